//! The users service behind a socket, as a gateway sees it: who it vouches for, how often it is asked, and what holds when it
//! is away.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};

use api_clients::users::{INTROSPECT_PATH, RemoteUsers, UsersClient};
use api_kit::auth::{Authenticator, Identity, Refusal};
use api_kit::principal::{Peer, Principal, Role};
use api_kit::upstream::UpstreamConfig;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::CONNECTION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use axum::{Json, Router};
use serde_json::json;

const HOME: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
const OFFICE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 8));

/// What the service was asked: credential and address.
type Asked = Arc<Mutex<Vec<(String, String)>>>;

async fn introspect(State(asked): State<Asked>, headers: HeaderMap) -> Response {
    let text = |name: &str| headers.get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
    let (credential, from) = (text("authorization"), text("x-forwarded-for"));
    asked.lock().unwrap().push((credential.clone(), from));
    // Closed after each answer, so that nothing answers any more once the service is gone.
    let answer = |data: serde_json::Value| {
        let body = json!({ "success": true, "data": data, "message": null });
        ([(CONNECTION, "close")], Json(body)).into_response()
    };
    match credential.as_str() {
        "Bearer good" => {
            answer(json!({ "kind": "user", "user_id": "u", "session_id": "s", "roles": ["trader", "queen"] }))
        }
        "Bearer ended" => answer(json!({
            "kind": "user", "user_id": "u", "session_id": "s", "roles": [], "expires_at": "2020-01-01T00:00:00Z"
        })),
        "Bearer strange" => answer(json!({ "kind": "robot", "user_id": "u" })),
        "Bearer down" => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        _ => (StatusCode::UNAUTHORIZED, [(CONNECTION, "close")]).into_response(),
    }
}

/// A service, the client of it, and what it was asked; gone when the task is aborted.
async fn service() -> (Arc<RemoteUsers>, Asked, tokio::task::JoinHandle<()>) {
    let asked = Asked::default();
    let routes = Router::new()
        .route(INTROSPECT_PATH, get(introspect))
        .route("/api/v1/users/me", any(|headers: HeaderMap| async move { format!("{:?}", headers["x-forwarded-for"]) }))
        .with_state(Arc::clone(&asked));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let served = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
    (RemoteUsers::new(UpstreamConfig::new("users", url), vec![OFFICE]), asked, served)
}

fn somebody() -> Identity {
    let principal =
        Principal::User { user_id: "u".into(), session_id: "s".into(), roles: BTreeSet::from([Role::Trader]) };
    Identity { principal, expires_ms: None }
}

#[tokio::test]
async fn the_service_is_asked_once_in_two_seconds_for_a_credential_and_an_address() {
    let (users, asked, served) = service().await;
    for _ in 0..3 {
        assert_eq!(users.authenticate("good", HOME).await, Ok(somebody()));
        assert_eq!(users.authenticate("bad", HOME).await, Err(Refusal::Unknown));
    }
    assert_eq!(users.authenticate("good", OFFICE).await, Ok(somebody()));
    let pair = |credential: &str, from: IpAddr| (format!("Bearer {credential}"), from.to_string());
    assert_eq!(*asked.lock().unwrap(), [pair("good", HOME), pair("bad", HOME), pair("good", OFFICE)]);

    served.abort();
    let _ = served.await;
    assert_eq!(users.authenticate("good", HOME).await, Ok(somebody()), "what it said lately holds");
    assert_eq!(users.authenticate("new", HOME).await, Err(Refusal::Unavailable), "nobody new passes");
}

#[tokio::test]
async fn what_is_not_understood_lets_nobody_pass() {
    let (users, asked, _served) = service().await;
    for credential in ["strange", "down"] {
        assert_eq!(users.authenticate(credential, HOME).await, Err(Refusal::Unavailable), "{credential}");
        assert_eq!(users.authenticate(credential, HOME).await, Err(Refusal::Unavailable), "{credential}");
    }
    assert_eq!(asked.lock().unwrap().len(), 4, "no such answer is remembered");
    let before = asked.lock().unwrap().len();
    for _ in 0..2 {
        assert!(users.authenticate("ended", HOME).await.is_ok(), "the service decides");
    }
    assert_eq!(asked.lock().unwrap().len(), before + 2, "a credential that has ended is asked for each time");
}

#[tokio::test]
async fn requests_carry_the_address_that_the_gateway_believes() {
    let (users, ..) = service().await;
    for (peer, named, believed) in [(HOME, "203.0.113.1", "192.0.2.7"), (OFFICE, "203.0.113.1", "203.0.113.1")] {
        let mut request =
            Request::get("/api/v1/users/me").header("x-forwarded-for", named).body(Body::empty()).unwrap();
        request.extensions_mut().insert(Peer(peer));
        let answer = users.call(request).await;
        let body = axum::body::to_bytes(answer.into_body(), 1_000).await.unwrap();
        assert_eq!(body, format!("{believed:?}"));
    }
}
