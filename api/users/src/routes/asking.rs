//! Who asks besides persons (see [`super::from`]), as handlers take it. The doors in front have looked already; a layer that is missing must not open a path,
//! so that each handler looks again.

use std::sync::Arc;

use api_kit::access::Access;
use api_kit::auth::Refusal;
use api_kit::error::ApiError;
use api_kit::principal::{Principal, Role};
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;

/// Somebody known: a person or a key.
pub(crate) struct Known(
    /// The user's id.
    pub Arc<str>,
);

/// An administrator who logged in.
pub(crate) struct Admin(
    /// The user's id.
    pub Arc<str>,
);

/// The id of the path, as it was asked.
pub(crate) struct Id(pub String);

/// The principal of a request, if `access` admits it.
fn admitted(parts: &Parts, access: Access) -> Result<Principal, ApiError> {
    let principal = parts.extensions.get::<Principal>().cloned().unwrap_or_default();
    access.admits(&principal, true)?;
    Ok(principal)
}

impl<S: Sync> FromRequestParts<S> for Known {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        let principal = admitted(parts, Access::Known)?;
        principal.user_id().map(|id| Self(Arc::clone(id))).ok_or_else(|| Refusal::Unknown.error())
    }
}

impl<S: Sync> FromRequestParts<S> for Admin {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        match admitted(parts, Access::Role(Role::Admin))? {
            Principal::User { user_id, .. } => Ok(Self(user_id)),
            _ => Err(Refusal::Unknown.error()),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        path.map(|Path(id)| Self(id)).map_err(|rejection| {
            ApiError::new(axum::http::StatusCode::BAD_REQUEST, "INVALID_PARAMETER", rejection.body_text())
        })
    }
}
