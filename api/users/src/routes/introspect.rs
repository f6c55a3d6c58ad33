//! What this service says of a credential to whoever holds it: gateways in other processes ask with the caller's own.
//! Decides nothing.

use std::sync::Arc;

use api_clients::users::Introspection;
use api_kit::auth::Refusal;
use api_kit::envelope::Success;
use api_kit::principal::{CredentialEnd, Principal};
use axum::Extension;
use axum::middleware::map_response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::{Answer, OfKnown, ok, unkept};
use crate::service::Users;

/// The path, below `/api/v1`.
pub(super) fn paths() -> OpenApiRouter<Arc<Users>> {
    OpenApiRouter::default().routes(routes!(introspect)).layer(map_response(unkept))
}

/// Who stands behind the credential of this request
///
/// For an access token its user, session and roles; for an API key its owner, environment and scopes.
#[utoipa::path(get, path = "/auth/introspect", tag = "auth",
    responses(OfKnown, (status = 200, description = "Whose credential it is.", body = Success<Introspection>)))]
async fn introspect(principal: Principal, end: Option<Extension<CredentialEnd>>) -> Answer<Introspection> {
    let expires_ms = end.and_then(|Extension(CredentialEnd(expires_ms))| expires_ms);
    ok(Introspection::of(&principal, expires_ms).ok_or_else(|| Refusal::Unknown.error())?)
}
