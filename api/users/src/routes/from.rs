//! Who a request comes from: the client's address, and the person who is logged in. The one place that decides which
//! address counts.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use api_kit::access::Access;
use api_kit::error::ApiError;
use api_kit::principal::{Client, Peer, Principal};
use axum::extract::FromRequestParts;
use axum::http::header::USER_AGENT;
use axum::http::request::Parts;

use crate::caller::Caller;

/// The client's address: the one that the doors decided on, else the peer of the connection.
#[must_use]
pub fn client_address(parts: &Parts) -> IpAddr {
    let peer = || parts.extensions.get::<Peer>().map(|Peer(address)| *address);
    let address = parts.extensions.get::<Client>().map(|Client(address)| *address).or_else(peer);
    // A request that no connection brought is counted with all others of its kind.
    address.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.to_canonical())
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        let user_agent = parts.headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        Ok(Self::new(client_address(parts), user_agent))
    }
}

/// A person who is logged in; a key and nobody are refused, whatever the door before has done.
pub struct Person {
    /// The person's id.
    pub user_id: Arc<str>,
    /// The session of the access token.
    pub session_id: Arc<str>,
}

impl<S: Sync> FromRequestParts<S> for Person {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        let principal = parts.extensions.get::<Principal>().cloned().unwrap_or_default();
        Access::Person.admits(&principal, true)?;
        match principal {
            Principal::User { user_id, session_id, .. } => Ok(Self { user_id, session_id }),
            Principal::Anonymous | Principal::Key { .. } => Err(api_kit::auth::Refusal::Unknown.error()),
        }
    }
}
