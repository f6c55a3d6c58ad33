//! Paths, queries and headers nobody would write: never a fault of ours, always a shape that was promised.

mod common;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use common::{ask, fed, market};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

const REQUESTS: usize = 10_000;

const PIECES: [&str; 40] = [
    "/api/v1",
    "/market-data",
    "/quotes",
    "/symbols",
    "/orderbook",
    "/trades",
    "/candles",
    "/movers",
    "/limits",
    "/GARAN",
    "/garan.e",
    "/%00",
    "/%FF",
    "/%C4%B0",
    "/..",
    "/.",
    "//",
    "/",
    "/readyz",
    "/actuator/health",
    "/swagger-ui/",
    "/js",
    "/ws/v2",
    "?",
    "&",
    "=",
    "depth=",
    "limit=",
    "symbols=",
    "search=",
    "interval=1m",
    "by=",
    "offset=",
    "GARAN,THYAO",
    "18446744073709551615",
    "-1",
    "1e9",
    "%2C",
    "{symbol}",
    "verbose",
];

fn target() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        6 => prop::sample::select(PIECES.to_vec()).prop_map(str::to_owned),
        1 => "[!-~]{0,12}".prop_map(|text: String| text),
        1 => "\\PC{0,6}".prop_map(|text: String| {
            text.bytes().map(|byte| format!("%{byte:02X}")).collect()
        }),
    ];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| format!("/{}", pieces.concat().trim_start_matches('/')))
}

#[tokio::test]
async fn ten_thousand_strange_requests_find_no_fault() {
    let router = fed(&market()).router();
    let mut runner = TestRunner::deterministic();
    let target = target();
    let accept =
        prop::sample::select(vec!["*/*", "application/problem+json", "application/openmetrics-text", ",;q=", ""]);
    let method = prop::sample::select(vec![Method::GET, Method::GET, Method::HEAD, Method::POST, Method::OPTIONS]);
    let (mut sent, mut answered) = (0, 0);
    while sent < REQUESTS {
        let target = target.new_tree(&mut runner).unwrap().current();
        let accept = accept.new_tree(&mut runner).unwrap().current();
        let method = method.new_tree(&mut runner).unwrap().current();
        // What no HTTP library would send is refused before it becomes a request.
        let Ok(request) = Request::builder().method(&method).uri(&target).header("accept", accept).body(Body::empty())
        else {
            continue;
        };
        sent += 1;
        let answer = ask(&router, request).await;
        assert!(
            !answer.status.is_server_error() || answer.status == StatusCode::SERVICE_UNAVAILABLE,
            "{method} {target}: {} {}",
            answer.status,
            answer.text()
        );
        assert!(answer.headers.contains_key("x-content-type-options"), "{method} {target}");
        if answer.status.is_client_error() && method != Method::HEAD {
            let body = answer.json();
            let code = body["error"]["code"].as_str().or(body["code"].as_str());
            assert!(code.is_some(), "{method} {target}: {body}");
        }
        answered += usize::from(answer.status.is_success());
    }
    assert!(answered > REQUESTS / 50, "only {answered} requests were answered: the generator is too wild");
}
