//! `[admin]`: metrics and health for operators. Opens no port.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::loopback;

/// `[admin]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Admin {
    /// Address and port of metrics and health.
    pub listen: SocketAddr,
}

impl Default for Admin {
    fn default() -> Self {
        Self { listen: loopback(9464) }
    }
}
