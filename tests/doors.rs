//! Doors of the running program: credentials at the public socket, straight and through the gateway's passage.

mod common;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use common::{Bist, Socket, get};
use serde_json::{Value, json};

/// The answer to a handshake with these header lines, as far as its head and a body of stated length go.
fn handshake(address: SocketAddr, target: &str, more: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).expect("the port answers");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
    let head = format!(
        "GET {target} HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
    );
    stream.write_all(head.as_bytes()).expect("sent");
    let (mut answer, mut some) = (Vec::new(), [0; 4_096]);
    let is_whole = |answer: &[u8]| {
        let text = String::from_utf8_lossy(answer).to_ascii_lowercase();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
        let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok());
        body.len() >= length.unwrap_or(0)
    };
    while !is_whole(&answer) {
        let read = stream.read(&mut some).expect("an answer in time");
        assert!(read > 0, "closed: {}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&some[..read]);
    }
    let text = String::from_utf8_lossy(&answer).into_owned();
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
}

fn reply(socket: &mut Socket, request: &Value) -> Value {
    socket.send(request);
    loop {
        let frame = socket.frame().expect("the socket is open");
        if frame.get("method").is_some() {
            return frame;
        }
    }
}

#[test]
fn w6_public_a_credential_counts_at_8083_and_through_8080_and_none_stands_in_a_query() {
    let bist = Bist::start(&["serve"]);
    for door in [bist.market_data, bist.api] {
        assert_eq!(handshake(door, "/ws/v2", "").0, 101, "the data is public");
        let (status, body) = handshake(door, "/ws/v2", "Authorization: Bearer bist_paper_UNKNOWN\r\n");
        let body: Value = serde_json::from_str(&body).expect("an envelope");
        assert_eq!((status, &body["error"]["code"]), (401, &json!("UNAUTHENTICATED")), "{door}");
        assert_eq!(handshake(door, "/ws/v2", "Authorization: Basic YTpi\r\n").0, 401);
        for query in ["token=abc", "access_token=abc"] {
            let (status, body) = handshake(door, &format!("/ws/v2?{query}"), "");
            assert!(status == 400 && body.contains("TOKEN_IN_QUERY"), "{door}: {status} {body}");
        }
        let mut socket = Socket::connect(door);
        let auth = json!({ "method": "auth", "params": { "token": "bist_paper_UNKNOWN" } });
        assert_eq!(reply(&mut socket, &auth)["error"]["code"], "UNAUTHENTICATED");
        let subscribe = json!({ "method": "subscribe", "params": { "channel": "system" } });
        assert_eq!(reply(&mut socket, &subscribe)["success"], true, "it is as public as before");
    }
    let metrics = get(bist.admin, "/metrics");
    assert!(metrics.contains("bist_ws_admission_total{result=\"refused\"} 6"), "{metrics}");
    assert!(!metrics.contains("UNKNOWN"));
}

#[test]
fn w7_public_where_a_credential_is_required_a_stranger_gets_no_market_data() {
    let bist = Bist::start_with(&["serve"], &[("BIST__AUTH__REQUIRED", "true")]);
    for door in [bist.market_data, bist.api] {
        let mut socket = Socket::connect(door);
        let subscribe = json!({ "method": "subscribe", "params": { "channel": "book", "symbol": ["*"] } });
        assert_eq!(reply(&mut socket, &subscribe)["error"]["code"], "AUTH_REQUIRED");
        assert_eq!(reply(&mut socket, &json!({ "method": "ping" }))["success"], true);
    }
}
