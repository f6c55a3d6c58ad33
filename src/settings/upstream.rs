//! `[upstream]`: services in other processes. Asks none.

use serde::{Deserialize, Serialize};

/// `[upstream]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Upstream {
    /// How long a service that does not answer is left alone, milliseconds.
    pub open_ms: u64,
}

impl Default for Upstream {
    fn default() -> Self {
        Self { open_ms: 60_000 }
    }
}
