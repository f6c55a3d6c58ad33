//! The door in front of the paths, as the program has it: each route's row, and the service as the one who knows
//! credentials. Beside it, another reading of an access token: by the published keys alone (RFC 7517).

use std::net::IpAddr;
use std::sync::Arc;

use api_kit::access::{Access, AccessTable};
use api_kit::auth::{Authenticator, Identity, Refusal, credential};
use api_kit::principal::{Peer, Principal};
use api_users::Users;
use api_users::access::ACCESS;
use api_users::tokens::Claims;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};

pub async fn stand(State(users): State<Arc<Users>>, mut request: Request, next: Next) -> Response {
    let path = format!("/api/v1{}", request.uri().path());
    let table = AccessTable::new(ACCESS.iter().copied());
    let access = table.get(request.method().as_str(), &path).unwrap_or(Access::Person);
    let mut principal = Principal::Anonymous;
    if access.reads_credential() {
        let peer = request.extensions().get::<Peer>().expect("a peer").0;
        let known = match credential(request.headers()) {
            Ok(Some(text)) => users.authenticate(text, peer).await.map(|identity| identity.principal),
            Ok(None) => Ok(Principal::Anonymous),
            Err(refusal) => Err(refusal),
        };
        match known {
            Ok(known) => principal = known,
            Err(refusal) => return refusal.error().into_response(),
        }
    }
    if let Err(error) = access.admits(&principal, true) {
        return error.into_response();
    }
    request.extensions_mut().insert(principal);
    next.run(request).await
}

/// Who stands behind an access token.
pub async fn identify(users: &Users, token: &str) -> Result<Identity, Refusal> {
    users.authenticate(token, IpAddr::from([192, 0, 2, 10])).await
}

/// What an access token says to whoever has the published keys.
pub fn by_published_keys(keys: &serde_json::Value, token: &str) -> Claims {
    let keys: JwkSet = serde_json::from_value(keys.clone()).expect("a JWK set");
    let kid = decode_header(token).expect("a header").kid.expect("a key's name");
    let key = DecodingKey::from_jwk(keys.find(&kid).expect("a published key")).expect("a key");
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.validate_exp = false;
    validation.set_audience(&["bist"]);
    validation.set_issuer(&["bist"]);
    decode::<Claims>(token, &key, &validation).expect("a token").claims
}
