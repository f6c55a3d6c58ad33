//! Connections: handshakes, broken frames, limits, clocks, hand-overs, shutdown, and the thread around it all.

mod support;

use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use book::ring::{Notifier, ring};
use book::slot::{System, system};
use book::{Phase, Side};
use distributor::{Config, FanOut, HandedOver, SlowPath};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use support::{MS, SECOND, World, frames};
use tungstenite::client::IntoClientRequest;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{CloseFrame, Message};

const UPGRADE: &str = "GET /ws/v2 HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A client's frame.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        length @ 0..126 => bytes.push(0x80 | length as u8),
        length @ 126..65_536 => {
            bytes.push(0xFE);
            bytes.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            bytes.push(0xFF);
            bytes.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(&[1, 2, 3, 4]);
    bytes.extend(payload.iter().zip([1, 2, 3, 4].iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

/// What the server answers to these bytes after a handshake: opcodes and payloads.
fn answers(world: &mut World, bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut stream = world.raw();
    let head = world.exchange(&mut stream, UPGRADE.as_bytes());
    assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
    let mut answer = &world.exchange(&mut stream, bytes)[..];
    let mut frames = Vec::new();
    while let [first, length, rest @ ..] = answer {
        let (length, rest) = match length {
            126 => (usize::from(u16::from_be_bytes([rest[0], rest[1]])), &rest[2..]),
            length => (usize::from(*length), rest),
        };
        frames.push((first & 15, rest[..length].to_vec()));
        answer = &rest[length..];
    }
    frames
}

#[track_caller]
fn closes(world: &mut World, bytes: &[u8], code: u16) {
    let answers = answers(world, bytes);
    let (opcode, payload) = answers.last().expect("the server answers");
    assert_eq!(*opcode, 8, "{answers:?}");
    assert_eq!(u16::from_be_bytes([payload[0], payload[1]]), code, "{answers:?}");
}

#[test]
fn frames_against_the_rfc_close_with_its_codes() {
    let mut world = World::open(&["THYAO.E"]);
    for bit in [0x40, 0x20, 0x10] {
        closes(&mut world, &frame(0x81 | bit, b"{}"), 1002);
    }
    for opcode in [3, 7, 11, 15] {
        closes(&mut world, &frame(0x80 | opcode, b""), 1002);
    }
    closes(&mut world, &frame(0x89, &[0; 126]), 1002);
    closes(&mut world, &frame(0x09, b"x"), 1002);
    closes(&mut world, &frame(0x80, b"x"), 1002);
    closes(&mut world, &[frame(0x01, b"{"), frame(0x81, b"}")].concat(), 1002);
    closes(&mut world, &[0x81, 0x02, b'{', b'}'], 1002);
    closes(&mut world, &frame(0x82, b"\0"), 1003);
    closes(&mut world, &frame(0x81, &[0xFF, 0xFE]), 1007);
    closes(&mut world, &[frame(0x01, &[0xCE]), frame(0x80, &[0x41])].concat(), 1007);
    closes(&mut world, &[0x81, 0xFF, 0, 0, 0, 0, 0, 1, 0, 1], 1009);
    for code in [0_u16, 1004, 1005, 1006, 1015, 2000, 5000] {
        closes(&mut world, &frame(0x88, &code.to_be_bytes()), 1002);
    }
    closes(&mut world, &frame(0x88, &[3]), 1002);
    closes(&mut world, &frame(0x88, &[3, 0xE8, 0xC0]), 1007);
    // What is allowed is echoed.
    closes(&mut world, &frame(0x88, &[3, 0xE8, b'b', b'y', b'e']), 1000);
    closes(&mut world, &frame(0x88, &[0x0B, 0xB8]), 3000);
    assert_eq!(answers(&mut world, &frame(0x88, b"")), [(8, vec![])]);
    assert!(world.metric("bist_ws_refused_total", "protocol") >= 24);
    world.pass(3 * SECOND);
    assert_eq!(world.metric("bist_ws_connections", "market"), 0, "all of them are forgotten");
}

#[test]
fn frames_within_the_rfc_are_understood_in_any_pieces() {
    let mut world = World::open(&["THYAO.E"]);
    let ping = frame(0x89, b"hello");
    assert_eq!(answers(&mut world, &ping), [(10, b"hello".to_vec())]);
    assert_eq!(answers(&mut world, &frame(0x8A, b"unasked")), []);
    let request = br#"{"method":"ping","req_id":1}"#;
    let mut pieces = frame(0x01, &request[..5]);
    pieces.extend(&ping);
    pieces.extend(frame(0x00, &request[5..5]));
    pieces.extend(frame(0x80, &request[5..]));
    let answers = answers(&mut world, &pieces);
    assert_eq!((answers[0].0, answers[1].0), (10, 1));
    let reply: Value = serde_json::from_slice(&answers[1].1).unwrap();
    assert_eq!(reply["success"], true);

    // The head and the first frames may come together, or byte by byte.
    let mut stream = world.raw();
    let mut all = UPGRADE.as_bytes().to_vec();
    all.extend(frame(0x81, request));
    let mut answer = Vec::new();
    for byte in all {
        stream.write_all(&[byte]).unwrap();
        world.serve();
    }
    answer.extend(world.exchange(&mut stream, b""));
    let text = String::from_utf8_lossy(&answer);
    assert!(text.contains("\"method\":\"ping\",\"req_id\":1,\"success\":true"), "{text}");
}

#[test]
fn the_first_frame_says_where_the_market_comes_from_and_whether_it_is_simulated() {
    for (source, simulated) in [("sim", true), ("replay", false), ("itch", false)] {
        let config = Config { version: "1.2.3", source, simulated, subscriptions_max: 9, ..support::config() };
        let mut world = World::with(config, 1 << 12, Arc::new(()));
        let hello = world.connect().hello;
        let expected = json!({
            "channel": "system", "type": "hello", "version": "1.2.3", "epoch": 0, "source": source,
            "simulated": simulated, "subscriptions_max": 9, "ts_out": support::TEN.to_string(),
        });
        assert_eq!(hello, expected, "before the first session");
        world.session(7);
        world.turn();
        let mut later = world.connect_to("/ws/v2?ts=rfc3339");
        assert_eq!((&later.hello["epoch"], &later.hello["source"]), (&json!(7), &json!(source)));
        assert_eq!(later.hello["ts_out"], "2026-11-23T07:00:00.000000000Z");
        assert_eq!(world.drain(&mut later), [] as [Value; 0], "once, and nothing unasked behind it");
    }
    let unsaid = World::with(support::config(), 1 << 12, Arc::new(())).connect().hello;
    assert_eq!((&unsaid["source"], &unsaid["simulated"]), (&json!("unknown"), &json!(true)), "never real unsaid");
    assert_eq!(unsaid["subscriptions_max"], 16_384);
}

#[test]
fn subprotocols_are_negotiated() {
    let mut world = World::open(&[]);
    let url = format!("ws://{}/ws/v2", world.server.local_addr());
    let mut request = url.as_str().into_client_request().unwrap();
    request.headers_mut().insert("Sec-WebSocket-Protocol", "bist.v2.json".parse().unwrap());
    world.try_connect(request).expect("tungstenite checks that its protocol is named");
    let mut request = url.as_str().into_client_request().unwrap();
    request.headers_mut().insert("Sec-WebSocket-Protocol", "bist.v9".parse().unwrap());
    match world.try_connect(request) {
        Err(tungstenite::Error::Http(response)) => assert_eq!(response.status(), 400),
        other => panic!("{:?}", other.map(|_| "connected")),
    }
}

/// Keeps up to so many connections and never answers one.
#[derive(Default)]
struct Room {
    max: usize,
    taken: Mutex<Vec<HandedOver>>,
}

impl Room {
    fn of(max: usize) -> Arc<Self> {
        Arc::new(Self { max, ..Self::default() })
    }

    fn take(&self) -> HandedOver {
        self.taken.lock().unwrap().pop().expect("a connection was handed over")
    }
}

impl SlowPath for Room {
    fn hand_over(&self, connection: HandedOver) -> Result<(), HandedOver> {
        let mut taken = self.taken.lock().unwrap();
        if taken.len() == self.max {
            return Err(connection);
        }
        taken.push(connection);
        Ok(())
    }
}

#[test]
fn whatever_is_not_the_public_socket_is_handed_over_with_every_byte() {
    let room = Room::of(1);
    let mut world = World::with(support::config(), 1 << 12, room.clone());
    let private = UPGRADE.replace("/ws/v2", "/ws/v2/private");
    for (n, request) in [
        "GET /metrics?verbose HTTP/1.1\r\nHost: h\r\n\r\nGET /livez HTTP/1.1\r\n\r\n",
        "HEAD /readyz HTTP/1.1\r\n\r\n",
        "POST /ws/v2 HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody",
        &private,
    ]
    .iter()
    .enumerate()
    {
        let mut stream = world.raw();
        // In two pieces, the second with what stands behind the head.
        stream.write_all(&request.as_bytes()[..9]).unwrap();
        world.serve();
        assert_eq!(world.exchange(&mut stream, &request.as_bytes()[9..]), b"", "nothing is answered here");
        let mut taken = room.take();
        assert_eq!(String::from_utf8_lossy(&taken.read), *request);
        assert_eq!(taken.peer, stream.local_addr().unwrap());
        // The socket is the slow path's from now on: what comes is not read here, what goes out comes from there.
        stream.write_all(b"more").unwrap();
        world.serve();
        let mut more = [0; 8];
        assert_eq!(taken.stream.read(&mut more).unwrap(), 4);
        taken.stream.write_all(b"answer").unwrap();
        assert_eq!(world.exchange(&mut stream, b""), b"answer");
        assert_eq!(world.metric("bist_ws_handed_over_total", ""), n as u64 + 1);
    }
    assert_eq!(world.metric("bist_ws_sent_bytes_total", ""), 0);
    assert_eq!(world.metric("bist_ws_refused_total", ""), 0);
}

#[test]
fn a_bad_handshake_of_the_public_socket_is_answered_here() {
    let room = Room::of(1);
    let mut world = World::with(support::config(), 1 << 12, room.clone());
    let mut ask = |request: &str| {
        let mut stream = world.raw();
        String::from_utf8(world.exchange(&mut stream, request.as_bytes())).unwrap()
    };
    assert!(ask("GET /ws/v2 HTTP/1.1\r\nHost: h\r\n\r\n").starts_with("HTTP/1.1 426 "));
    assert!(ask(&UPGRADE.replace("Version: 13", "Version: 8")).starts_with("HTTP/1.1 426 "));
    assert!(ask("\u{16}\u{3}\u{1}\0\r\n\r\n").starts_with("HTTP/1.1 400 "));
    assert!(room.taken.lock().unwrap().is_empty());
}

#[test]
fn a_slow_path_without_room_closes_and_counts_and_one_that_never_answers_holds_nobody_up() {
    let room = Room::of(2);
    let mut world = World::with(support::config(), 1 << 12, room.clone());
    world.session(7);
    world.list(1, "THYAO.E");
    world.turn();
    let mut client = world.connect();
    world.subscribe(&mut client, "book", "THYAO", "");
    let mut streams: Vec<_> = (0..5).map(|_| world.raw()).collect();
    for stream in &mut streams {
        stream.write_all(b"GET /metrics?verbose HTTP/1.1\r\n\r\n").unwrap();
        world.turn();
    }
    let closed = |stream: &mut std::net::TcpStream| stream.read(&mut [0; 8]).is_ok_and(|read| read == 0);
    assert_eq!(streams.iter_mut().map(closed).collect::<Vec<_>>(), [false, false, true, true, true]);
    assert_eq!(world.metric("bist_ws_refused_total", "slow_path"), 3);
    assert_eq!(world.metric("bist_ws_handed_over_total", ""), 2);
    // With both still unanswered, the fan-out goes on, and their places are free again.
    world.add(1, Side::Bid, 1, 100, 1);
    let seen = world.until(&mut client, |seen| !frames(seen, "book").is_empty());
    assert_eq!(frames(&seen, "book")[0]["type"], "update");
    world.pass(61 * SECOND);
    assert!(room.taken.lock().unwrap().len() == 2 && !closed(&mut streams[0]), "their clocks are not ours any more");
}

#[test]
fn above_the_connection_limit_clients_are_closed_and_others_are_still_handed_over() {
    let config = Config { connections_max: 2, ..support::config() };
    let room = Room::of(1);
    let mut world = World::with(config, 1 << 12, room.clone());
    let (_one, mut two) = (world.connect(), world.connect());
    let mut three = world.connect();
    world.drain(&mut three);
    assert_eq!(three.closed, Some(4409));
    let mut stream = world.raw();
    world.exchange(&mut stream, b"GET /livez HTTP/1.1\r\n\r\n");
    assert_eq!(room.take().read, b"GET /livez HTTP/1.1\r\n\r\n");
    two.socket.close(Some(CloseFrame { code: CloseCode::Normal, reason: "".into() })).unwrap();
    world.drain(&mut two);
    assert_eq!(two.closed, Some(1000));
    world.pass(3 * SECOND);
    let mut four = world.connect();
    world.drain(&mut four);
    assert_eq!(four.closed, None);
}

#[test]
fn a_head_that_does_not_come_in_time_is_cut_off() {
    let mut world = World::open(&[]);
    let mut stream = world.raw();
    world.exchange(&mut stream, b"GET /ws/v2 HT");
    world.pass(9 * SECOND);
    assert_eq!(stream.read(&mut [0; 8]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    world.pass(2 * SECOND);
    assert_eq!(stream.read(&mut [0; 8]).unwrap(), 0);
    assert_eq!(world.metric("bist_ws_refused_total", "silent"), 1);
}

#[test]
fn a_silent_client_is_pinged_and_then_cut_off() {
    let mut world = World::open(&[]);
    let (mut living, mut dead) = (world.connect(), world.connect());
    for _ in 0..70 {
        world.pass(SECOND);
        world.drain(&mut living); // tungstenite answers pings
    }
    assert_eq!(living.closed, None);
    // Read without tungstenite, whose pong would meet a closed socket before the close frame is read.
    let mut bytes = Vec::new();
    let _ = dead.socket.get_mut().read_to_end(&mut bytes);
    assert!(bytes.ends_with(b"\x03\xF0no answer to pings"), "{bytes:?}");
    assert_eq!(world.metric("bist_ws_connections", "market"), 1);
}

#[test]
fn a_jump_of_the_wall_clock_closes_nobody_and_stops_no_timer() {
    const HOUR_NS: i64 = 3_600 * SECOND as i64;
    for jump_ns in [HOUR_NS, -HOUR_NS] {
        let mut world = World::open(&["THYAO.E"]);
        let (mut living, mut dead) = (world.connect(), world.connect());
        world.subscribe(&mut living, "book", "THYAO", r#","conflate_ms":500"#);
        world.drain(&mut living);
        world.wall_jump_ns = jump_ns;
        world.pass(SECOND);
        assert_eq!(world.metric("bist_ws_connections", "market"), 2, "jump of {jump_ns} ns");

        // Conflation goes on: two changes within half a second, and the second one comes.
        world.add(1, Side::Bid, 1, 100, 1);
        world.turn();
        world.add(1, Side::Bid, 2, 101, 1);
        world.turn();
        world.drain(&mut living);
        world.pass(SECOND);
        assert!(!frames(&world.drain(&mut living), "book").is_empty(), "jump of {jump_ns} ns");

        // Heartbeats and the close of the silent one come at their time.
        let mut heartbeats = 0;
        for _ in 0..70 {
            world.pass(SECOND);
            heartbeats += frames(&world.drain(&mut living), "heartbeat").len();
        }
        assert!(heartbeats > 0, "jump of {jump_ns} ns");
        assert_eq!(living.closed, None);
        let mut bytes = Vec::new();
        let _ = dead.socket.get_mut().read_to_end(&mut bytes);
        assert!(bytes.ends_with(b"\x03\xF0no answer to pings"), "jump of {jump_ns} ns");
    }
}

#[test]
fn a_client_that_vanishes_leaves_nothing_behind() {
    let mut world = World::open(&["THYAO.E"]);
    let mut client = world.connect();
    world.subscribe(&mut client, "book", "THYAO", "");
    world.ask(&mut client, r#"{"method":"subscribe","params":{"channel":"mbo","symbol":["*"]}}"#, 2);
    assert_eq!(world.metric("bist_ws_subscriptions", ""), 2);
    drop(client);
    world.add(1, Side::Bid, 1, 100, 1);
    world.pass(SECOND);
    assert_eq!(world.metric("bist_ws_subscriptions", ""), 0);
    assert_eq!(world.metric("bist_ws_connections", ""), 0);
    world.list(2, "GARAN.E");
    world.turn();
}

#[test]
fn requests_above_the_rate_are_delayed_and_a_flood_is_closed() {
    let mut world = World::open(&[]);
    let mut client = world.connect();
    for n in 0..40 {
        client.send(&format!(r#"{{"method":"ping","req_id":{n}}}"#));
    }
    let mut seen = world.drain(&mut client);
    assert_eq!(seen.len(), 10, "the burst");
    for _ in 0..11 {
        world.pass(100 * MS);
        client.read_into(&mut seen);
    }
    assert!((20..=22).contains(&frames_of("ping", &seen)), "{}", seen.len());
    for _ in 0..30 {
        world.pass(100 * MS);
        client.read_into(&mut seen);
    }
    let order: Vec<_> = seen.iter().filter_map(|reply| reply["req_id"].as_u64()).collect();
    assert_eq!(order, (0..40).collect::<Vec<_>>(), "none refused, in order");
    for n in 0..200 {
        let _ = client.socket.write(Message::text(format!(r#"{{"method":"ping","req_id":{n}}}"#)));
    }
    let _ = client.socket.flush();
    world.drain(&mut client);
    assert_eq!(client.closed, Some(4429));
    let mut pinger = world.connect();
    for _ in 0..60 {
        let _ = pinger.socket.write(Message::Ping(vec![1].into()));
    }
    let _ = pinger.socket.flush();
    world.drain(&mut pinger);
    assert_eq!(pinger.closed, Some(4429));
}

fn frames_of(method: &str, seen: &[Value]) -> usize {
    seen.iter().filter(|message| message["method"] == method).count()
}

#[test]
fn ten_malformed_requests_are_answered_and_end_the_connection() {
    let mut world = World::open(&[]);
    let mut client = world.connect();
    for _ in 0..10 {
        client.send("{");
    }
    let seen = world.drain(&mut client);
    assert_eq!(seen.len(), 10);
    assert!(seen.iter().all(|reply| reply["method"] == "error" && reply["error"]["code"] == "MALFORMED"));
    assert_eq!(client.closed, Some(4400));
}

#[test]
fn a_connection_has_so_many_subscriptions_and_no_more() {
    let config = Config { subscriptions_max: 2, ..support::config() };
    let mut world = World::open_with(config, 1 << 12, &["A.E", "B.E", "C.E"]);
    let mut client = world.connect();
    let request = r#"{"method":"subscribe","params":{"channel":"trades","symbol":["*"],"snapshot":false}}"#;
    let seen = world.ask(&mut client, request, 4);
    assert_eq!(seen[3]["error"]["code"], "SUBSCRIPTION_LIMIT");
}

/// Seeded: 100,000 messages that are almost requests, and bytes that are almost frames. Nothing panics, every message
/// gets an answer or a close code, and a healthy client beside them sees nothing of it.
#[test]
fn nonsense_never_panics() {
    let mut rng = StdRng::seed_from_u64(0xB157);
    let config = Config { requests_per_second: 1_000_000_000, requests_waiting_max: 1_000_000, ..support::config() };
    let mut world = World::open_with(config, 1 << 12, &["THYAO.E", "GARAN.E"]);
    world.add(1, Side::Bid, 1, 10_000, 5);
    let mut healthy = world.connect();
    world.subscribe(&mut healthy, "book", "THYAO", "");
    let words = [
        "subscribe",
        "unsubscribe",
        "get_snapshot",
        "list_subscriptions",
        "ping",
        "book",
        "mbo",
        "trades",
        "ohlcv-1d",
        "status",
        "heartbeat",
        "system",
        "THYAO",
        "GARAN.E",
        "*",
        "skip",
        "disconnect",
        "",
        "\u{0}",
        "ş",
        "\"",
        "null",
    ];
    let numbers = ["0", "-1", "1", "10", "100", "101", "1e309", "18446744073709551616", "0.5", "60001", "null", "true"];
    let names = [
        "method",
        "params",
        "req_id",
        "channel",
        "symbol",
        "depth",
        "conflate_ms",
        "slow_reader",
        "snapshot",
        "from",
        "epoch",
        "seq",
        "sub_id",
        "interval_s",
        "start",
    ];
    fn value(rng: &mut StdRng, words: &[&str], numbers: &[&str], names: &[&str], deep: u32) -> String {
        match rng.random_range(0..10) {
            0..4 => serde_json::to_string(words[rng.random_range(0..words.len())]).unwrap(),
            4..7 => numbers[rng.random_range(0..numbers.len())].to_owned(),
            7 if deep > 0 => {
                let items: Vec<_> =
                    (0..rng.random_range(0..4)).map(|_| value(rng, words, numbers, names, deep - 1)).collect();
                format!("[{}]", items.join(","))
            }
            _ if deep > 0 => {
                let items: Vec<_> = (0..rng.random_range(0..5))
                    .map(|_| {
                        let name = names[rng.random_range(0..names.len())];
                        format!("\"{name}\":{}", value(rng, words, numbers, names, deep - 1))
                    })
                    .collect();
                format!("{{{}}}", items.join(","))
            }
            _ => "[]".to_owned(),
        }
    }
    let mut messages = 0;
    let mut client = world.connect();
    let mut seen = Vec::new();
    while messages < 100_000 {
        let method = words[rng.random_range(0..5)];
        let channel = words[rng.random_range(5..12)];
        let symbol = words[rng.random_range(12..16)];
        let name = names[rng.random_range(0..names.len())];
        let any = value(&mut rng, &words, &numbers, &names, 3);
        let mut text = format!(
            r#"{{"method":"{method}","params":{{"channel":"{channel}","symbol":["{symbol}"],"{name}":{any}}},"req_id":1}}"#
        );
        match rng.random_range(0..20) {
            0 => text = any,
            1 => text.truncate((0..=text.len()).filter(|&at| text.is_char_boundary(at)).nth(messages % 9).unwrap_or(0)),
            _ => {}
        }
        let sent = client.socket.write(Message::text(text));
        messages += 1;
        if messages % 200 == 0 || sent.is_err() {
            let _ = client.socket.flush();
            world.turn();
            client.read_into(&mut seen);
            seen.clear();
        }
        if messages % 5_000 == 0 {
            world.add(1, Side::Bid, messages as u64 + 10, 10_000, 1);
        }
        if client.closed.is_some() {
            client = world.connect();
        }
    }
    for _ in 0..2_000 {
        let mut bytes: Vec<u8> = (0..rng.random_range(1..60)).map(|_| rng.random()).collect();
        if rng.random_bool(0.7) {
            bytes[0] = [0x81, 0x01, 0x00, 0x80, 0x88, 0x89, 0x8A][rng.random_range(0..7)];
        }
        if rng.random_bool(0.7) && bytes.len() > 1 {
            bytes[1] = 0x80 | (bytes[1] % 40);
        }
        let mut stream = world.raw();
        let upgraded = rng.random_bool(0.9);
        let _ = stream.write_all(if upgraded { UPGRADE.as_bytes() } else { b"GET " });
        let _ = stream.write_all(&bytes);
        world.serve();
        world.serve();
    }
    world.drain(&mut healthy);
    world.add(1, Side::Bid, 2, 10_000, 7);
    let seen = world.until(&mut healthy, |seen| !frames(seen, "book").is_empty());
    assert_eq!(frames(&seen, "book")[0]["type"], "update");
    assert_eq!(healthy.closed, None);
    world.pass(3 * SECOND);
}

#[test]
fn shutdown_tells_when_to_come_back_and_closes_with_1012() {
    let mut world = World::open(&["THYAO.E"]);
    let mut clients: Vec<_> = (0..5).map(|_| world.connect()).collect();
    world.subscribe(&mut clients[0], "book", "THYAO", "");
    let now_ns = world.now_ns;
    let begin = Instant::now();
    world.server.shutdown(now_ns);
    assert!(begin.elapsed() < Duration::from_millis(1_500));
    let mut times = Vec::new();
    for client in &mut clients {
        let mut seen = Vec::new();
        while client.closed.is_none() {
            client.read_into(&mut seen);
        }
        assert_eq!(client.closed, Some(1012));
        let told = frames(&seen, "system")[0];
        assert_eq!(told["type"], "server_shutdown");
        times.push(told["reconnect_after_ms"].as_u64().unwrap());
    }
    assert!(times.iter().all(|&ms| ms <= 5_000));
    times.dedup();
    assert_eq!(times.len(), 5, "not all at once");
}

#[test]
fn a_sleeping_thread_is_woken_by_the_bell_and_by_sockets() {
    let notifier = Notifier::new();
    let (mut updates, reader) = ring("fanout", 1_024, Arc::clone(&notifier));
    let mut server = FanOut::bind(support::config(), reader, notifier, Arc::new(()), || 0).unwrap();
    let address = server.local_addr();
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let thread = std::thread::spawn(move || {
        let begin = Instant::now();
        while !stopped.load(Ordering::Relaxed) {
            let now_ns = support::TEN + begin.elapsed().as_nanos() as u64;
            if server.do_work(now_ns) == 0 {
                server.wait(Duration::from_secs(30));
            }
        }
    });
    let (mut client, _) = tungstenite::connect(format!("ws://{address}/ws/v2")).unwrap();
    let hello = client.read().unwrap().into_text().unwrap();
    assert!(hello.as_str().contains("\"type\":\"hello\""), "{hello}");
    let begin = Instant::now();
    updates.push(System::new(system::SESSION, 1, 1, 0, 0, 9).into()).unwrap();
    updates.commit();
    let text = client.read().unwrap().into_text().unwrap();
    assert!(text.as_str().contains("\"type\":\"epoch\",\"epoch\":9"), "{text}");
    client.send(Message::text(r#"{"method":"ping"}"#)).unwrap();
    while !client.read().unwrap().into_text().unwrap().contains("\"success\":true") {}
    assert!(begin.elapsed() < Duration::from_secs(10), "woken, not timed out");
    stop.store(true, Ordering::Relaxed);
    updates.push(System::new(system::TIME, 1, 1, 0, 0, 9).into()).unwrap();
    updates.commit();
    thread.join().unwrap();
}

#[test]
fn several_threads_may_share_a_port() {
    let first = World::with(Config { reuse_port: true, ..support::config() }, 1 << 12, Arc::new(()));
    let listen = first.server.local_addr();
    let _second = World::with(Config { reuse_port: true, listen, ..support::config() }, 1 << 12, Arc::new(()));
    let notifier = Notifier::new();
    let (_updates, reader) = ring("fanout", 1_024, Arc::clone(&notifier));
    let third = FanOut::bind(Config { listen, ..support::config() }, reader, notifier, Arc::new(()), || 0);
    assert!(third.is_err(), "only who asks for it");
}

#[test]
fn a_state_of_the_book_is_json_whatever_the_venue_calls_it() {
    let mut world = World::open(&["A\"B\\"]);
    let state = book::slot::State::new(world.stamp(1), Phase::Halt, b"\"quoted\\\x01");
    world.event(state);
    let mut client = world.connect();
    client.send(&json!({"method": "subscribe", "params": {"channel": "status", "symbol": "A\"B\\"}}).to_string());
    let seen = world.until(&mut client, |seen| seen.len() >= 2);
    assert_eq!(seen[1]["state"], "\"quoted\\\u{1}");
    assert_eq!(seen[1]["symbol"], "A\"B\\");
}
