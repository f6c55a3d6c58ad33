//! Requests to a router without a socket.

#![allow(dead_code)] // every test file uses its own part

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use tower::ServiceExt;

/// One answer.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }

    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no header {name}")).to_str().unwrap()
    }
}

/// Asks a router without a socket.
pub async fn ask(router: &Router, request: Request<Body>) -> Answer {
    let response = router.clone().oneshot(request).await.expect("a router does not fail");
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, 64 << 20).await.expect("a body").to_vec();
    Answer { status: parts.status, headers: parts.headers, body }
}

/// `GET path`.
pub async fn get(router: &Router, path: &str) -> Answer {
    get_as(router, path, "*/*").await
}

/// `GET path` with an `Accept`.
pub async fn get_as(router: &Router, path: &str, accept: &str) -> Answer {
    ask(router, Request::get(path).header("accept", accept).body(Body::empty()).unwrap()).await
}
