//! `[users]`: accounts. Opens no port.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Secret, loopback};

/// `[users]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Users {
    /// Address and port of user management.
    pub listen: SocketAddr,
    /// Where accounts are when they are in another process, `http://HOST:PORT`; `None` = in this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Where links in mails lead, the page's address as people see it; `None` = `http://` and `api.listen`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page_url: Option<String>,
    /// Mail server, `smtps://user:password@host`; `None` = no mails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smtp_url: Option<Secret>,
    /// The same from a file of one line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smtp_url_file: Option<PathBuf>,
    /// Sender of mails.
    pub mail_from: String,
    /// Threads that hash passwords.
    pub hash_threads: usize,
    /// Hashes that may wait; beyond, 503.
    pub hash_queue_max: usize,
    /// Accounts that one address may register in an hour.
    pub registrations_per_hour: u32,
}

impl Default for Users {
    fn default() -> Self {
        Self {
            listen: loopback(8081),
            url: None,
            page_url: None,
            smtp_url: None,
            smtp_url_file: None,
            mail_from: "BIST Trading Platform <no-reply@localhost>".to_owned(),
            hash_threads: 1,
            hash_queue_max: 16,
            registrations_per_hour: 20,
        }
    }
}
