//! `[auth]`: who must say who they are. Holds no secret.

use serde::{Deserialize, Serialize};

/// `[auth]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Auth {
    /// Market data needs a credential, too.
    pub required: bool,
    /// Development on a server that others can reach: accounts are usable without a verified e-mail address, and links stand
    /// in the log. On loopback without a mail server this is so without asking.
    pub development: bool,
}
