//! The paths of accounts: bodies into types, answers into the envelope. Decides nothing.

use std::sync::Arc;

use api_kit::error::ApiError;
use axum::http::StatusCode;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::service::Users;

pub mod admin;
mod answers;
mod asking;
pub mod auth;
pub mod body;
pub mod from;
mod introspect;
pub mod me;
pub mod watchlists;

/// `service` label of the port.
pub const SERVICE: &str = "user-management-service";

/// What every reader of a description of these paths must know.
pub const DESCRIPTION: &str = "Accounts: register, log in, API keys for programs, preferences, watchlists. Send the access \
     token of `POST /api/v1/auth/login`, or an API key, as `Authorization: Bearer …`; there are no cookies.";

/// Where the paths are.
const PREFIX: &str = "/api/v1";

fn paths() -> OpenApiRouter<Arc<Users>> {
    let paths = auth::paths().merge(me::paths()).merge(watchlists::paths()).merge(admin::paths());
    OpenApiRouter::default().nest(PREFIX, paths)
}

/// The paths with their handlers, answered by `users`.
pub fn documented(users: &Arc<Users>) -> OpenApiRouter {
    paths().with_state(Arc::clone(users))
}

/// The description of the paths alone.
#[must_use]
pub fn spec() -> OpenApi {
    paths().into_openapi()
}

/// What is at no path.
pub async fn nothing() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "NOT_FOUND", "nothing is at this path; /swagger-ui lists what there is")
}
