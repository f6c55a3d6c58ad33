//! Doors of the public socket: credentials in the handshake and in `auth`, their ends, revocations, and who must show one.

mod support;

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use book::Side;
use distributor::Config;
use distributor::admission::Verdict;
use serde_json::{Value, json};
use support::desk::admitted;
use support::{Client, SECOND, TEN, World, config, frames};
use tungstenite::client::IntoClientRequest;

const SUBSCRIBE: &str = r#"{"method":"subscribe","params":{"channel":"book","symbol":["THYAO"]},"req_id":2}"#;
const PING: &str = r#"{"method":"ping","req_id":3}"#;

fn required() -> Config {
    Config { auth_required: true, ..config() }
}

fn head(more: &str) -> String {
    format!(
        "GET /ws/v2 HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
    )
}

/// All that comes back for a handshake with these header lines.
fn answer(world: &mut World, more: &str) -> String {
    let mut stream = world.raw();
    let bytes = world.exchange(&mut stream, head(more).as_bytes());
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The status of an answer, and its body as JSON.
fn failure(answer: &str) -> (u16, Value) {
    let (head, body) = answer.split_once("\r\n\r\n").expect("a whole head");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, serde_json::from_str(body).unwrap_or_else(|error| panic!("{error} in {body}")))
}

/// Connects with a credential in the header.
fn connect(world: &mut World, credential: &str) -> Client {
    let mut request = format!("ws://{}/ws/v2", world.server.local_addr()).into_client_request().unwrap();
    request.headers_mut().insert("authorization", format!("Bearer {credential}").parse().unwrap());
    world.try_connect(request).expect("the handshake succeeds")
}

fn auth(token: &str) -> String {
    format!(r#"{{"method":"auth","params":{{"token":"{token}"}},"req_id":1}}"#)
}

/// The reply to `auth` with this token.
#[track_caller]
fn auth_reply(world: &mut World, client: &mut Client, token: &str) -> Value {
    world.ask(client, &auth(token), 1).into_iter().find(|message| message["method"] == "auth").expect("a reply")
}

/// The code that a client is closed with by now.
fn closed(world: &mut World, client: &mut Client) -> Option<u16> {
    world.drain(client);
    client.closed
}

/// Seconds after ten o'clock, as the end of a credential.
fn at_s(seconds: u64) -> Option<i64> {
    Some(((TEN + seconds * SECOND) / 1_000_000) as i64)
}

#[test]
fn the_upgrade_waits_for_the_verdict_and_then_goes_on_with_every_byte() {
    let (mut world, desk) = World::guarded(config());
    let mut stream = world.raw();
    let mut bytes = head("Authorization: Bearer key\r\n").into_bytes();
    bytes.extend([0x89, 0x82, 0, 0, 0, 0, b'h', b'i']); // a ping right behind the head
    assert_eq!(world.exchange(&mut stream, &bytes), b"", "nothing before the verdict");
    assert_eq!(world.metric("bist_ws_admission_waiting", ""), 1);
    assert_eq!(world.metric("bist_ws_connections", "market"), 0);
    let (ticket, credential, peer) = desk.last();
    assert!(ticket.is_held());
    assert_eq!((credential.as_str(), peer), ("key", stream.local_addr().unwrap().ip()));
    desk.tell(&ticket, admitted("key 1", None));
    let answer = world.exchange(&mut stream, b"");
    let text = String::from_utf8_lossy(&answer);
    assert!(text.starts_with("HTTP/1.1 101 ") && text.contains("\"type\":\"hello\""), "{text}");
    assert!(answer.ends_with(&[0x8A, 2, b'h', b'i']), "{text}");
    assert_eq!(world.metric("bist_ws_admission_total", "admitted"), 1);
    assert_eq!(world.metric("bist_ws_admission_waiting", ""), 0);
    drop(stream);
    world.pass(SECOND);
    assert!(!ticket.is_held(), "nobody has to watch the credential of a connection that has gone");
}

#[test]
fn w6_public_every_bad_credential_gets_one_answer() {
    let (mut world, desk) = World::guarded(config());
    desk.knows("bad", Verdict::Refused);
    desk.knows("old", Verdict::Revoked);
    let refused = answer(&mut world, "Authorization: Bearer bad\r\n");
    let (status, body) = failure(&refused);
    assert_eq!((status, &body["error"]["code"], &body["success"]), (401, &json!("UNAUTHENTICATED"), &json!(false)));
    assert_eq!(body["timestamp"], "2026-11-23T07:00:00.000000000Z");
    assert!(refused.contains("\r\nWWW-Authenticate: Bearer\r\n"), "{refused}");
    assert_eq!(desk.asked(), 1);
    assert_eq!(answer(&mut world, "Authorization: Bearer old\r\n"), refused);
    let long = format!("Bearer {}", "a".repeat(4_097));
    for malformed in ["Basic YTpi", "Bearer", "Bearer a b", "Bearer a\r\nAuthorization: Bearer a", &long] {
        assert_eq!(answer(&mut world, &format!("Authorization: {malformed}\r\n")), refused, "{malformed}");
    }
    assert_eq!(desk.asked(), 2, "nobody is asked about what has no form");
    assert_eq!(world.metric("bist_ws_admission_total", "refused"), 7);
    world.pass(3 * SECOND);
    assert_eq!(world.metric("bist_ws_connections", "market"), 0);
}

#[test]
fn an_upgrade_that_cannot_be_decided_says_so_and_may_be_tried_again() {
    let (mut world, desk) = World::guarded(Config { questions_max: 1, ..config() });
    desk.knows("reader", Verdict::NotEntitled);
    desk.knows("any", Verdict::Unavailable);
    let (status, body) = failure(&answer(&mut world, "Authorization: Bearer reader\r\n"));
    assert_eq!((status, &body["error"]["code"]), (403, &json!("SCOPE_MISSING")));
    let text = answer(&mut world, "Authorization: Bearer any\r\n");
    assert_eq!((failure(&text).0, &failure(&text).1["error"]["code"]), (503, &json!("STORE_UNAVAILABLE")));
    assert!(text.contains("\r\nRetry-After: 1\r\n"), "{text}");
    desk.full.store(true, Ordering::Relaxed);
    let (status, body) = failure(&answer(&mut world, "Authorization: Bearer reader\r\n"));
    assert_eq!((status, &body["error"]["code"]), (503, &json!("BUSY")));
    desk.full.store(false, Ordering::Relaxed);

    // One waits: as many as may. The next is told so at once.
    let mut waiting = world.raw();
    world.exchange(&mut waiting, head("Authorization: Bearer silence\r\n").as_bytes());
    let (late, _, _) = desk.last();
    assert_eq!(failure(&answer(&mut world, "Authorization: Bearer reader\r\n")).0, 503);
    assert_eq!(world.metric("bist_ws_admission_total", "full"), 2);
    world.pass(1_900 * SECOND / 1_000);
    assert_eq!(world.exchange(&mut waiting, b""), b"");
    world.pass(SECOND / 5);
    let text = String::from_utf8(world.exchange(&mut waiting, b"")).unwrap();
    assert_eq!((failure(&text).0, &failure(&text).1["error"]["code"]), (503, &json!("BUSY")));
    assert_eq!(world.metric("bist_ws_admission_total", "late"), 1);
    assert!(!late.is_held());
    desk.tell(&late, admitted("key 1", None));
    world.turn();
    assert_eq!(world.metric("bist_ws_admission_total", "admitted"), 0, "a verdict that nobody waits for is nothing");
}

#[test]
fn bytes_before_the_answer_are_bounded() {
    let (mut world, desk) = World::guarded(config());
    let mut stream = world.raw();
    world.exchange(&mut stream, head("Authorization: Bearer silence\r\n").as_bytes());
    let (ticket, _, _) = desk.last();
    let text = String::from_utf8(world.exchange(&mut stream, &[b'x'; 9_000])).unwrap();
    assert!(text.starts_with("HTTP/1.1 400 "), "{text}");
    assert!(!ticket.is_held());
    desk.tell(&ticket, admitted("key 1", None));
    assert_eq!(world.exchange(&mut stream, b""), b"", "a late verdict opens nothing");
    assert_eq!(world.metric("bist_ws_admission_waiting", ""), 0);
}

#[test]
fn w6_public_a_credential_in_the_query_is_refused_and_nobody_is_asked() {
    let (mut world, desk) = World::guarded(config());
    for query in ["token=abc", "access_token=abc", "ts=rfc3339&TOKEN=abc"] {
        let mut stream = world.raw();
        let request = head("").replace("/ws/v2", &format!("/ws/v2?{query}"));
        let text = String::from_utf8(world.exchange(&mut stream, request.as_bytes())).unwrap();
        assert!(text.starts_with("HTTP/1.1 400 ") && text.contains("Authorization") && text.contains("auth"), "{text}");
        assert!(!text.contains("abc"), "{text}");
    }
    assert_eq!(desk.asked(), 0);
}

#[test]
fn the_gateway_of_this_process_alone_is_believed_where_a_client_comes_from() {
    let ours = Some("drawn-at-start".to_owned());
    let (mut world, desk) = World::guarded(Config { forwarder: ours, ..config() });
    for (named, known_by, peer) in [
        ("203.0.113.9", "drawn-at-start", "203.0.113.9"),
        ("1.1.1.1, 2001:db8::7", "drawn-at-start", "2001:db8::7"),
        ("nonsense", "drawn-at-start", "127.0.0.1"),
        // Another program of this machine, or a client behind one that passes everything on.
        ("203.0.113.9", "guessed", "127.0.0.1"),
        ("203.0.113.9", "", "127.0.0.1"),
    ] {
        answer(
            &mut world,
            &format!(
                "X-Forwarded-For: 9.9.9.9\r\nX-Forwarded-For: {named}\r\nX-Bist-Forwarder: {known_by}\r\n\
                 Authorization: Bearer key\r\n"
            ),
        );
        assert_eq!(desk.last().2, peer.parse::<std::net::IpAddr>().unwrap(), "{named} by {known_by}");
    }
    let (mut world, desk) = World::guarded(config());
    answer(&mut world, "X-Forwarded-For: 203.0.113.9\r\nX-Bist-Forwarder: \r\nAuthorization: Bearer key\r\n");
    assert_eq!(desk.last().2, std::net::IpAddr::from([127, 0, 0, 1]), "without a gateway nobody is believed");
}

#[test]
fn auth_in_the_socket_is_answered_by_the_verdict() {
    let (mut world, desk) = World::guarded(config());
    desk.knows("good", admitted("user 1", at_s(900)));
    desk.knows("endless", admitted("key 1", None));
    desk.knows("bad", Verdict::Refused);
    desk.knows("reader", Verdict::NotEntitled);
    desk.knows("any", Verdict::Unavailable);
    let mut client = world.connect();
    let reply = auth_reply(&mut world, &mut client, "good");
    let expires = (TEN + 900 * SECOND).to_string();
    assert_eq!((&reply["req_id"], &reply["result"]), (&json!(1), &json!({"expires_at": expires})));
    assert_eq!(auth_reply(&mut world, &mut client, "endless")["result"], json!({"expires_at": null}));
    let mut text = world.connect_to("/ws/v2?ts=rfc3339");
    assert_eq!(auth_reply(&mut world, &mut text, "good")["result"]["expires_at"], "2026-11-23T07:15:00.000000000Z");
    for (token, code, retryable) in [
        ("bad", "UNAUTHENTICATED", false),
        ("a b", "UNAUTHENTICATED", false),
        ("reader", "SCOPE_MISSING", false),
        ("any", "STORE_UNAVAILABLE", true),
    ] {
        let reply = auth_reply(&mut world, &mut client, token);
        assert_eq!((&reply["success"], &reply["error"]["code"]), (&json!(false), &json!(code)));
        assert_eq!(reply["error"]["retryable"], retryable);
        world.pass(SECOND); // ten requests a second
    }
    desk.full.store(true, Ordering::Relaxed);
    assert_eq!(auth_reply(&mut world, &mut client, "good")["error"]["code"], "BUSY");
    desk.full.store(false, Ordering::Relaxed);

    client.send(&auth("silence"));
    world.drain(&mut client);
    let asked = desk.asked();
    let reply = auth_reply(&mut world, &mut client, "good");
    assert_eq!((&reply["error"]["code"], &reply["error"]["retryable"]), (&json!("BUSY"), &json!(true)));
    assert_eq!(desk.asked(), asked, "one question of a connection at a time");
    world.pass(2 * SECOND);
    let late = world.drain(&mut client).into_iter().find(|message| message["method"] == "auth").expect("a reply");
    assert_eq!(late["error"]["code"], "BUSY", "no verdict in time");
    assert_eq!(auth_reply(&mut world, &mut client, "good")["success"], true, "and it may be tried again");
}

#[test]
fn without_a_credential_a_public_socket_is_what_it_was() {
    let (mut world, desk) = World::guarded(config());
    let mut client = world.connect();
    let seen = world.ask(&mut client, r#"{"method":"auth"}"#, 1);
    assert_eq!((&seen[0]["success"], seen[0]["warnings"].as_array().unwrap().len()), (&json!(true), 1));
    world.subscribe(&mut client, "book", "THYAO", "");
    world.pass(30 * SECOND);
    client.send(PING);
    assert_eq!(closed(&mut world, &mut client), None);
    assert_eq!(desk.asked(), 0);
}

#[test]
fn w7_public_a_stranger_may_say_who_it_is_and_nothing_else() {
    let (mut world, desk) = World::guarded(required());
    desk.knows("key", admitted("key 1", None));
    let mut client = world.connect();
    for request in [
        SUBSCRIBE,
        r#"{"method":"get_snapshot","params":{"channel":"book","symbol":["THYAO"]}}"#,
        r#"{"method":"list_subscriptions"}"#,
        r#"{"method":"unsubscribe","params":{"sub_id":1}}"#,
    ] {
        let seen = world.ask(&mut client, request, 1);
        assert_eq!(seen[0]["error"]["code"], "AUTH_REQUIRED", "{request}");
        assert!(frames(&seen, "book").is_empty());
    }
    assert_eq!(world.ask(&mut client, PING, 1)[0]["success"], true);
    let seen = world.ask(&mut client, r#"{"method":"auth"}"#, 1);
    assert_eq!(seen[0]["error"]["code"], "PARAMETER_INVALID", "where it is required a token is missing");
    assert_eq!(auth_reply(&mut world, &mut client, "key")["success"], true);
    world.add(1, Side::Bid, 1, 100, 1);
    world.turn();
    assert_eq!(world.subscribe(&mut client, "book", "THYAO", "").last().unwrap()["type"], "snapshot");
    world.pass(30 * SECOND);
    assert_eq!(closed(&mut world, &mut client), None);
    let mut shown = connect(&mut world, "key");
    assert_eq!(world.ask(&mut shown, SUBSCRIBE, 1)[0]["success"], true, "the header is enough");
}

#[test]
fn w7_public_no_auth_in_time_is_4408_and_something_else_instead_is_4401() {
    let (mut world, desk) = World::guarded(required());
    desk.knows("bad", Verdict::Refused);
    let (mut silent, mut pinging, mut asking, mut refused) =
        (world.connect(), world.connect(), world.connect(), world.connect());
    world.ask(&mut pinging, PING, 1);
    world.ask(&mut asking, SUBSCRIBE, 1);
    assert_eq!(auth_reply(&mut world, &mut refused, "bad")["error"]["code"], "UNAUTHENTICATED");
    world.pass(9_900 * SECOND / 1_000);
    for client in [&mut silent, &mut pinging, &mut asking, &mut refused] {
        assert_eq!(closed(&mut world, client), None);
    }
    world.pass(SECOND / 5);
    let codes = [&mut silent, &mut pinging, &mut asking, &mut refused].map(|client| closed(&mut world, client));
    assert_eq!(codes, [Some(4408), Some(4408), Some(4401), Some(4401)]);
    assert_eq!(world.metric("bist_ws_admission_total", "missing"), 4);
}

#[test]
fn w7_public_asking_again_and_again_puts_the_end_off_by_no_more_than_three_seconds() {
    let (mut world, desk) = World::guarded(required());
    let mut client = world.connect();
    let mut seconds = 0;
    while client.closed.is_none() {
        client.send(&auth("silence"));
        world.pass(SECOND / 2);
        world.drain(&mut client);
        seconds += 1;
        assert!(seconds <= 28, "13 s and no more");
    }
    assert!(seconds >= 20);
    assert_eq!(client.closed, Some(4401));
    assert!(!desk.last().0.is_held());
}

#[test]
fn a_server_that_needs_credentials_and_can_ask_nobody_lets_nobody_in() {
    let mut world = World::open_with(required(), 1 << 14, &["THYAO.E"]);
    assert_eq!(failure(&answer(&mut world, "Authorization: Bearer key\r\n")).0, 503);
    let mut client = world.connect();
    assert_eq!(auth_reply(&mut world, &mut client, "key")["error"]["code"], "STORE_UNAVAILABLE");
    assert_eq!(world.ask(&mut client, SUBSCRIBE, 1)[0]["error"]["code"], "AUTH_REQUIRED");
    world.pass(10 * SECOND);
    assert_eq!(closed(&mut world, &mut client), Some(4401));
}

#[test]
fn w6_public_the_end_of_a_credential_is_told_and_closes_with_4401() {
    for config in [config(), required()] {
        let (mut world, desk) = World::guarded(config);
        desk.knows("token", admitted("user 1", at_s(100)));
        let mut client = connect(&mut world, "token");
        let told = |seen: &[Value]| seen.iter().filter(|message| message["type"] == "auth_expiring").count();
        world.pass(39 * SECOND);
        client.send(PING);
        assert_eq!(told(&world.drain(&mut client)), 0);
        world.pass(SECOND);
        let seen = world.drain(&mut client);
        assert_eq!(told(&seen), 1, "{seen:?}");
        let frame = seen.iter().find(|message| message["type"] == "auth_expiring").unwrap();
        assert_eq!(
            (&frame["channel"], &frame["expires_at"]),
            (&json!("system"), &json!((TEN + 100 * SECOND).to_string()))
        );
        for _ in 0..59 {
            client.send(PING);
            world.pass(SECOND);
            assert_eq!((told(&world.drain(&mut client)), client.closed), (0, None), "once");
        }
        world.pass(SECOND);
        assert_eq!(closed(&mut world, &mut client), Some(4401));
        assert_eq!(world.metric("bist_ws_admission_total", "expired"), 1);
    }
}

#[test]
fn w6_public_a_credential_renewed_in_the_socket_goes_on_and_the_old_one_counts_no_more() {
    let (mut world, desk) = World::guarded(required());
    desk.knows("one", admitted("user 1", at_s(100)));
    desk.knows("two", admitted("user 1", at_s(200)));
    desk.knows("bad", Verdict::Refused);
    let mut client = connect(&mut world, "one");
    let (first, _, _) = desk.last();
    world.pass(50 * SECOND);
    assert_eq!(auth_reply(&mut world, &mut client, "bad")["success"], false);
    assert!(first.is_held(), "a bad one changes nothing");
    assert_eq!(auth_reply(&mut world, &mut client, "two")["success"], true);
    assert!(!first.is_held());
    desk.tell(&first, Verdict::Revoked);
    world.pass(10 * SECOND);
    client.send(PING);
    world.pass(85 * SECOND / 2);
    client.send(PING);
    world.pass(85 * SECOND / 2);
    let seen = world.drain(&mut client);
    assert!(seen.iter().any(|message| message["type"] == "auth_expiring"), "of the new one");
    assert_eq!(client.closed, None);
    client.send(PING);
    world.pass(54 * SECOND);
    client.send(PING);
    assert_eq!(closed(&mut world, &mut client), None);
    world.pass(2 * SECOND);
    assert_eq!(closed(&mut world, &mut client), Some(4401), "at its own end");
}

#[test]
fn w6_public_a_revoked_credential_closes_its_connection_alone() {
    for config in [config(), required()] {
        let (mut world, desk) = World::guarded(config);
        for name in ["one", "two", "three"] {
            desk.knows(name, admitted(name, None));
        }
        let mut client = connect(&mut world, "one");
        let (ticket, _, _) = desk.last();
        let mut demoted = connect(&mut world, "two");
        let (demoted_ticket, _, _) = desk.last();
        let mut other = connect(&mut world, "three");
        world.subscribe(&mut client, "book", "THYAO", "");
        desk.tell(&ticket, Verdict::Revoked);
        desk.tell(&demoted_ticket, Verdict::NotEntitled);
        world.add(1, Side::Bid, 1, 100, 1);
        let seen = world.drain(&mut client);
        assert_eq!(client.closed, Some(4401), "{seen:?}");
        assert_eq!(closed(&mut world, &mut demoted), Some(4403));
        assert_eq!(closed(&mut world, &mut other), None);
        assert_eq!(world.metric("bist_ws_admission_total", "revoked"), 1);
        assert!(!ticket.is_held());
    }
}

#[test]
fn a_store_that_is_away_ends_connections_after_five_seconds_where_a_credential_is_required() {
    for (config, code) in [(config(), None), (required(), Some(1013))] {
        let (mut world, desk) = World::guarded(config);
        desk.knows("key", admitted("key 1", None));
        let mut client = connect(&mut world, "key");
        let (ticket, _, _) = desk.last();
        desk.tell(&ticket, Verdict::Unavailable);
        world.turn();
        world.pass(4 * SECOND);
        desk.tell(&ticket, admitted("key 1", None));
        world.turn();
        world.pass(9 * SECOND);
        assert_eq!(closed(&mut world, &mut client), None, "it came back in time");
        desk.tell(&ticket, Verdict::Unavailable);
        world.turn();
        world.pass(3 * SECOND);
        desk.tell(&ticket, Verdict::Unavailable); // the time goes on
        world.turn();
        world.pass(2 * SECOND);
        assert_eq!(closed(&mut world, &mut client), code);
    }
}

#[test]
fn a_verdict_for_a_connection_that_has_gone_is_nothing_to_the_next_in_its_place() {
    let (mut world, desk) = World::guarded(required());
    let mut gone = world.raw();
    world.exchange(&mut gone, head("Authorization: Bearer silence\r\n").as_bytes());
    let (ticket, _, _) = desk.last();
    drop(gone);
    world.pass(SECOND / 5);
    assert!(!ticket.is_held());
    let mut next = world.connect();
    next.send(&auth("silence"));
    world.drain(&mut next);
    desk.tell(&ticket, admitted("key 1", None));
    desk.tell(&ticket, Verdict::Revoked);
    assert_eq!(world.ask(&mut next, SUBSCRIBE, 1)[0]["error"]["code"], "AUTH_REQUIRED");
    assert_eq!(next.closed, None);
    let (own, _, _) = desk.last();
    assert!(own.is_held());
    desk.tell(&own, admitted("key 2", None));
    let seen = world.until(&mut next, |seen| seen.iter().any(|message| message["method"] == "auth"));
    assert_eq!(seen.last().unwrap()["success"], true);
}

#[test]
fn a_key_has_so_many_connections_and_no_more() {
    let (mut world, desk) = World::guarded(Config { connections_per_principal_max: 2, ..config() });
    desk.knows("key", admitted("key 1", None));
    desk.knows("same", admitted("key 1", None));
    desk.knows("other", admitted("key 2", None));
    let (first, mut second) = (connect(&mut world, "key"), connect(&mut world, "same"));
    let mut third = connect(&mut world, "key");
    assert_eq!(third.closed.or_else(|| closed(&mut world, &mut third)), Some(4409));
    let mut fourth = world.connect();
    assert_eq!(auth_reply(&mut world, &mut fourth, "key")["error"]["code"], "CONNECTION_LIMIT");
    assert_eq!(closed(&mut world, &mut fourth), Some(4409));
    assert_eq!(world.metric("bist_ws_admission_total", "limit"), 2);
    let other = connect(&mut world, "other");
    assert_eq!(other.closed, None);
    assert_eq!(auth_reply(&mut world, &mut second, "key")["success"], true, "its own place is enough to renew");
    assert_eq!(auth_reply(&mut world, &mut second, "other")["success"], true, "and it may change over");
    let mut again = connect(&mut world, "key");
    assert_eq!(closed(&mut world, &mut again), None, "what it left is free");
    drop(first);
    world.pass(SECOND / 5);
    assert_eq!(connect(&mut world, "key").closed, None);
}

#[test]
fn w7_public_a_stranger_takes_little_memory() {
    let (mut world, desk) = World::guarded(required());
    desk.knows("key", admitted("key 1", None));
    // The beginning of a message of 60,000 bytes, of which 20,000 come.
    let mut begin = vec![0x81, 0xFE];
    begin.extend(60_000_u16.to_be_bytes());
    begin.extend([0; 4 + 20_000]);
    let mut fragment = vec![0x01, 0xFE];
    fragment.extend(20_000_u16.to_be_bytes());
    fragment.extend([0; 4]);
    fragment.extend([b' '; 20_000]);
    for bytes in [&begin, &fragment] {
        let mut stranger = world.raw();
        assert!(world.exchange(&mut stranger, head("").as_bytes()).starts_with(b"HTTP/1.1 101 "));
        let answer = world.exchange(&mut stranger, bytes);
        assert!(answer.windows(4).any(|window| window[0] == 0x88 && window[2..] == 1009_u16.to_be_bytes()));
        let mut known = world.raw();
        let answer = world.exchange(&mut known, head("Authorization: Bearer key\r\n").as_bytes());
        assert!(answer.starts_with(b"HTTP/1.1 101 "));
        assert_eq!(world.exchange(&mut known, bytes), b"", "the rest may come");
    }
    let mut hasty = world.connect();
    for _ in 0..11 {
        hasty.send(PING);
    }
    assert_eq!(closed(&mut world, &mut hasty), Some(4429), "nothing of a stranger is kept for later");
}

/// A connection keeps the fan-out from sleeping longer than a tick of 100 ms: a wait that ends well before it was woken. A
/// busy machine may be late, so one of many will do; without a waker none is early.
#[test]
fn a_verdict_wakes_the_fan_out() {
    let (mut world, desk) = World::guarded(config());
    desk.knows("key", admitted("key 1", None));
    let _client = connect(&mut world, "key");
    let (ticket, _, _) = desk.last();
    let is_early = |world: &mut World, told_after: Duration| {
        world.turn();
        world.server.wait(Duration::ZERO); // takes what the sockets have to say
        world.turn();
        let begin = Instant::now();
        std::thread::scope(|threads| {
            threads.spawn(|| {
                while begin.elapsed() < told_after {
                    std::thread::yield_now();
                }
                desk.tell(&ticket, admitted("key 1", None));
            });
            if told_after.is_zero() {
                while begin.elapsed() < Duration::from_millis(10) {
                    std::thread::yield_now();
                }
            }
            world.server.wait(Duration::from_secs(60));
            begin.elapsed() < Duration::from_millis(80)
        })
    };
    for told_after in [Duration::ZERO, Duration::from_millis(20)] {
        assert!((0..40).any(|_| is_early(&mut world, told_after)), "told {told_after:?} after the wait began");
    }
}
