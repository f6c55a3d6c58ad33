//! Who is asking: the address of the peer, and the principal that a request was authenticated as.
//!
//! Plain data that an authentication layer puts into a request's extensions. Never checks a credential: a request that no
//! such layer touched is anonymous.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

/// Address of the peer of a connection; the server puts it into every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

/// Address of the caller: the peer, or whom a trusted proxy in front names; the doors put it into every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client(pub IpAddr);

/// When the credential of a request ends, Unix milliseconds; `None` = never, or there is none. The doors put it into every
/// request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CredentialEnd(pub Option<i64>);

/// Who is asking.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Principal {
    /// Nobody who said who they are.
    #[default]
    Anonymous,
    /// A person who has logged in.
    User {
        /// The user's public id.
        user_id: Arc<str>,
        /// The session that the access token belongs to.
        session_id: Arc<str>,
        /// What this person may do.
        roles: BTreeSet<Role>,
    },
    /// A program with an API key of a user.
    Key {
        /// The public id of the user who owns the key.
        user_id: Arc<str>,
        /// The key's public id, never the secret.
        key_id: Arc<str>,
        /// The accounts that the key may touch.
        environment: Environment,
        /// What the key may do.
        scopes: BTreeSet<Scope>,
    },
}

impl Principal {
    /// The user behind the request; `None` for an anonymous one.
    #[must_use]
    pub fn user_id(&self) -> Option<&Arc<str>> {
        match self {
            Self::Anonymous => None,
            Self::User { user_id, .. } | Self::Key { user_id, .. } => Some(user_id),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Principal {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_default())
    }
}

crate::named_enum! {
    /// What a person may do.
    Role {
        /// Reads.
        Viewer = "viewer",
        /// Trades on its own paper accounts, and on live ones that an administrator allowed.
        Trader = "trader",
        /// Health, halts, the kill switch for all.
        Ops = "ops",
        /// Users, roles, limits.
        Admin = "admin",
    }
}

crate::named_enum! {
    /// What an API key may do.
    Scope {
        /// Reads market data.
        MarketRead = "market:read",
        /// Reads what concerns trading.
        TradingRead = "trading:read",
        /// Places orders.
        TradingPlace = "trading:place",
        /// Changes orders.
        TradingModify = "trading:modify",
        /// Cancels orders.
        TradingCancel = "trading:cancel",
        /// Reads positions and balances.
        PortfolioRead = "portfolio:read",
        /// Reads orders and executions.
        OrdersRead = "orders:read",
    }
}

crate::named_enum! {
    /// Which accounts a key may touch: there is no switch between them at run time.
    Environment {
        /// Simulated money.
        Paper = "paper",
        /// Real money.
        Live = "live",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request;

    #[test]
    fn every_name_leads_back() {
        assert!(Scope::ALL.iter().all(|&scope| Scope::from_name(scope.name()) == Some(scope)));
        assert!(Role::ALL.iter().all(|&role| Role::from_name(role.name()) == Some(role)));
        assert!(Environment::ALL.iter().all(|&one| Environment::from_name(one.name()) == Some(one)));
        assert_eq!(Scope::from_name("trading:*"), None);
    }

    #[tokio::test]
    async fn a_request_that_nobody_vouched_for_is_anonymous() {
        let (mut parts, ()) = Request::new(()).into_parts();
        assert_eq!(Principal::from_request_parts(&mut parts, &()).await, Ok(Principal::Anonymous));
        let user =
            Principal::User { user_id: "u1".into(), session_id: "s1".into(), roles: BTreeSet::from([Role::Viewer]) };
        parts.extensions.insert(user.clone());
        let found = Principal::from_request_parts(&mut parts, &()).await.unwrap();
        assert_eq!((found.user_id().map(|id| &**id), &found), (Some("u1"), &user));
    }
}
