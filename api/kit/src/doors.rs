//! The door in front of every path of a port: who asks, may they, and how often.
//!
//! In this order: the row of the route ([`AccessTable`]; none = closed), the credential, the allowance (of the key, else of
//! the user, else of the address), the row's demand. What passes carries its [`Principal`], the end of
//! its credential, and its [`Client`] address. Never looks into a body, and keeps nothing of a credential.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{HeaderValue, WWW_AUTHENTICATE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::access::{Access, AccessTable};
use crate::auth::{Authenticator, Counted, Identity, Refusal, credential};
use crate::error::ApiError;
use crate::principal::{Client, CredentialEnd, Peer, Principal};
use crate::rate_limit::{RateLimit, Who};

/// The doors of one process.
pub struct Doors {
    authenticator: Arc<Counted>,
    table: AccessTable,
    /// `auth.required`: market data needs a credential, too.
    required: bool,
    rate_limit: Arc<RateLimit>,
}

impl Doors {
    /// Doors that ask `authenticator` and keep to `table`.
    #[must_use]
    pub fn new(authenticator: Arc<Counted>, table: AccessTable, required: bool, rate_limit: Arc<RateLimit>) -> Self {
        Self { authenticator, table, required, rate_limit }
    }

    /// Who may ask what.
    #[must_use]
    pub fn table(&self) -> &AccessTable {
        &self.table
    }

    /// The row of a request: `None` when its method is one that the path does not take, which the router answers.
    fn access(&self, method: &str, path: Option<&str>) -> Result<Option<Access>, ApiError> {
        let Some(path) = path else { return Ok(None) };
        if let Some(access) = self.table.get(method, path) {
            return Ok(Some(access));
        }
        if self.table.rows().any(|(_, known, _)| known == path) {
            return Ok(None);
        }
        tracing::error!(method, path, "a route has no row in the access table: it is closed");
        Err(ApiError::new(StatusCode::FORBIDDEN, "FORBIDDEN", "this path is closed"))
    }

    async fn identity(&self, access: Option<Access>, headers: &HeaderMap, from: IpAddr) -> Result<Identity, ApiError> {
        const NOBODY: Identity = Identity { principal: Principal::Anonymous, expires_ms: None };
        if !access.is_some_and(Access::reads_credential) {
            return Ok(NOBODY);
        }
        let credential = credential(headers).map_err(|refusal| {
            self.authenticator.count(refusal);
            refusal.error()
        })?;
        let Some(credential) = credential else { return Ok(NOBODY) };
        // Before anybody is asked: guesses of keys must not reach the database as fast as they come.
        self.rate_limit.take_attempt(from)?;
        self.authenticator.authenticate(credential, from).await.map_err(Refusal::error)
    }

    /// The answer to a request that may not pass, or what it passes with.
    async fn ask(&self, request: &Parts) -> (Client, Result<Identity, ApiError>) {
        let peer = request.extensions.get::<Peer>().map_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED), |peer| peer.0);
        let from = self.rate_limit.client(peer, &request.headers);
        let path = request.extensions.get::<MatchedPath>().map(|path| path.as_str().to_owned());
        let answer = async {
            let access = self.access(request.method.as_str(), path.as_deref())?;
            let identity = self.identity(access, &request.headers, from).await?;
            if let Some(access) = access {
                access.admits(&identity.principal, self.required)?;
            }
            Ok(identity)
        };
        (Client(from), answer.await)
    }
}

/// Lets a request pass, or says why not; either way its allowance is counted and stands in the answer's headers.
pub(crate) async fn pass(State(doors): State<Arc<Doors>>, request: Request, next: Next) -> Response {
    // The head alone is looked at: a body cannot be shared between threads.
    let (head, body) = request.into_parts();
    let (client, answer) = doors.ask(&head).await;
    let mut request = Request::from_parts(head, body);
    let who = match &answer {
        Ok(identity) => Who::of(&identity.principal, client.0),
        Err(_) => Who::Address(client.0),
    };
    let allowed = doors.rate_limit.take(&who);
    let mut response = match (&allowed, answer) {
        (Some(Err(wait_s)), _) => RateLimit::refusal(*wait_s).into_response(),
        (_, Err(error)) => error.into_response(),
        (_, Ok(Identity { principal, expires_ms })) => {
            request.extensions_mut().insert(client);
            request.extensions_mut().insert(principal);
            request.extensions_mut().insert(CredentialEnd(expires_ms));
            next.run(request).await
        }
    };
    let headers = response.headers_mut();
    if let Some(allowed) = &allowed {
        doors.rate_limit.describe(allowed, headers);
    }
    if response.status() == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Row;
    use crate::auth::{Identity, Verdict};
    use crate::principal::{Environment, Role, Scope};
    use crate::rate_limit::RateLimitConfig;
    use axum::Router;
    use axum::body::Body;
    use axum::middleware::from_fn_with_state;
    use axum::routing::get;
    use std::collections::BTreeSet;
    use tower::ServiceExt;

    /// Knows `user` and `key`.
    struct Two;

    impl Authenticator for Two {
        fn authenticate<'a>(&'a self, credential: &'a str, _peer: IpAddr) -> Verdict<'a> {
            let principal = match credential {
                "user" => Principal::User {
                    user_id: "u".into(),
                    session_id: "s".into(),
                    roles: BTreeSet::from([Role::Trader]),
                },
                "key" => Principal::Key {
                    user_id: "u".into(),
                    key_id: "k".into(),
                    environment: Environment::Paper,
                    scopes: BTreeSet::from([Scope::MarketRead]),
                },
                _ => return Box::pin(std::future::ready(Err(Refusal::Unknown))),
            };
            Box::pin(std::future::ready(Ok(Identity { principal, expires_ms: None })))
        }
    }

    const ROWS: [Row; 4] = [
        Row::new("GET", "/open", Access::Open),
        Row::new("GET", "/public", Access::Public(Scope::MarketRead)),
        Row::new("GET", "/mine/{id}", Access::Person),
        Row::new("GET", "/anyone", Access::Anyone),
    ];

    fn routes(required: bool, burst: u32) -> Router {
        let config = RateLimitConfig { requests_per_second: 1, requests_burst: burst, ..RateLimitConfig::default() };
        let counted = Arc::new(Counted::new(Arc::new(Two)));
        let doors = Doors::new(counted, AccessTable::new(ROWS), required, RateLimit::new(&config));
        let who = |principal: Principal| async move { format!("{:?}", principal.user_id()) };
        ["/open", "/public", "/mine/{id}", "/anyone", "/forgotten"]
            .into_iter()
            .fold(Router::new(), |routes, path| routes.route(path, get(who)))
            .layer(from_fn_with_state(Arc::new(doors), pass))
    }

    async fn status(routes: &Router, path: &str, credential: Option<&str>) -> u16 {
        let mut request = axum::http::Request::get(path);
        if let Some(credential) = credential {
            request = request.header("authorization", format!("Bearer {credential}"));
        }
        let response = routes.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status() == 401, response.headers().contains_key("www-authenticate"));
        response.status().as_u16()
    }

    #[tokio::test]
    async fn each_row_opens_to_those_it_names() {
        let routes = routes(false, 1_000);
        for (path, nobody, user, key, bad) in [
            ("/open", 200, 200, 200, 200),
            ("/public", 200, 200, 200, 401),
            ("/anyone", 200, 200, 200, 401),
            ("/mine/1", 401, 200, 403, 401),
            ("/forgotten", 403, 403, 403, 403),
            ("/nowhere", 404, 404, 404, 404),
        ] {
            let found = [
                status(&routes, path, None).await,
                status(&routes, path, Some("user")).await,
                status(&routes, path, Some("key")).await,
                status(&routes, path, Some("bad")).await,
            ];
            assert_eq!(found, [nobody, user, key, bad], "{path}");
        }
    }

    #[tokio::test]
    async fn market_data_can_be_closed_to_strangers() {
        let routes = routes(true, 1_000);
        assert_eq!(status(&routes, "/public", None).await, 401);
        assert_eq!(status(&routes, "/public", Some("key")).await, 200);
        assert_eq!(status(&routes, "/open", None).await, 200);
    }

    #[tokio::test]
    async fn a_key_a_user_and_an_address_have_an_allowance_each() {
        let routes = routes(false, 2);
        for credential in [None, Some("user"), Some("key")] {
            let found = [status(&routes, "/public", credential).await, status(&routes, "/public", credential).await];
            assert_eq!(found, [200, 200], "{credential:?}");
            assert_eq!(status(&routes, "/public", credential).await, 429, "{credential:?}");
        }
    }

    #[tokio::test]
    async fn guesses_are_refused_by_address_before_anybody_is_asked() {
        let routes = routes(false, 2);
        let mut found = Vec::new();
        for _ in 0..12 {
            found.push(status(&routes, "/public", Some("bad")).await);
        }
        assert_eq!(found[..2], [401, 401]);
        assert!(found[2..].iter().all(|&status| status == 429), "{found:?}");
    }

    #[tokio::test]
    async fn another_method_is_answered_by_the_router() {
        let request = axum::http::Request::post("/mine/1").body(Body::empty()).unwrap();
        let response = routes(false, 9).oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    }
}
