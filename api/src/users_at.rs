//! Where the users service is: in this process, or in another one that is reached over HTTP. The rest of the process makes
//! no difference between the two.

use std::sync::Arc;

use api_clients::users::{RemoteUsers, UsersClient};
use api_kit::MetricSource;
use api_kit::auth::Authenticator;
use api_kit::health::Verdict;
use api_kit::limits::Limit;
use api_users::UsersConfig;

use crate::accounts::Accounts;
use crate::config::Config;

/// The users service.
#[derive(Clone)]
pub(crate) enum UsersAt {
    /// In this process.
    Here(Arc<Accounts>),
    /// In another one.
    There(Arc<RemoteUsers>),
}

impl UsersAt {
    /// `accounts`, unless `config` says that the service is elsewhere.
    pub fn new(config: &Config, accounts: &Arc<Accounts>) -> Self {
        match &config.users_elsewhere {
            Some(upstream) => {
                Self::There(RemoteUsers::new(upstream.clone(), config.rate_limit.trusted_proxies.clone()))
            }
            None => Self::Here(Arc::clone(accounts)),
        }
    }

    pub fn is_elsewhere(&self) -> bool {
        matches!(self, Self::There(_))
    }

    pub fn client(&self) -> Arc<dyn UsersClient> {
        match self {
            Self::Here(accounts) => Arc::clone(accounts) as _,
            Self::There(remote) => Arc::clone(remote) as _,
        }
    }

    pub fn authenticator(&self) -> Arc<dyn Authenticator> {
        match self {
            Self::Here(accounts) => Arc::clone(accounts) as _,
            Self::There(remote) => Arc::clone(remote) as _,
        }
    }

    pub fn metrics(&self) -> Arc<dyn MetricSource> {
        match self {
            Self::Here(accounts) => Arc::clone(accounts) as _,
            Self::There(remote) => Arc::clone(remote.upstream()) as _,
        }
    }

    pub fn verdict(&self) -> Verdict {
        match self {
            Self::Here(accounts) => accounts.verdict(),
            Self::There(remote) => remote.upstream().verdict(),
        }
    }

    /// The limits that a caller can hit here; `users` are those of the service in this process.
    pub fn limits(&self, config: &Config, users: &UsersConfig) -> Vec<Limit> {
        match (&config.users_elsewhere, self) {
            (Some(upstream), Self::There(_)) => upstream.limits(),
            _ => users.limits(),
        }
    }
}
