//! A round of writes to many clients is worked off in parts: news joins it, and nobody misses, repeats or disorders a frame.

mod support;

use std::time::{Duration, Instant};

use book::Side;
use support::client_book::ClientBook;
use support::{Client, MS, World, frames};

const CLIENTS: usize = 40;

/// Clients of `book`, with the book that each made of its snapshot.
fn followers(world: &mut World, count: usize) -> Vec<(Client, ClientBook)> {
    (0..count)
        .map(|_| {
            let mut client = world.connect();
            let seen = world.subscribe(&mut client, "book", "THYAO", "");
            let mut book = ClientBook::default();
            frames(&seen, "book").into_iter().filter(|frame| frame["type"] == "snapshot").for_each(|frame| {
                book.on_frame(frame, 10);
            });
            (client, book)
        })
        .collect()
}

/// Bytes that sockets took.
fn sent_bytes(world: &World) -> u64 {
    world.metric("bist_ws_sent_bytes_total", "")
}

/// Messages that each client has got when all of so many bytes have come: loopback may be a moment late.
#[track_caller]
fn arrived(clients: &mut [(Client, ClientBook)], bytes: u64) -> Vec<usize> {
    let mut counts = vec![0; clients.len()];
    let mut come = 0;
    let deadline = Instant::now() + Duration::from_secs(5);
    while come < bytes {
        assert!(Instant::now() < deadline, "{come} of {bytes} bytes came");
        for ((client, _), count) in clients.iter_mut().zip(&mut counts) {
            while let Some(text) = client.next_text() {
                *count += 1;
                come += text.len() as u64 + if text.len() < 126 { 2 } else { 4 };
            }
        }
    }
    counts
}

/// Reads until the client's book is at `seq`; every frame must go on from the one before.
#[track_caller]
fn follow(client: &mut Client, book: &mut ClientBook, seq: u64) {
    let deadline = Instant::now() + Duration::from_secs(5);
    let mut seen = Vec::new();
    while book.have.is_none_or(|(_, have)| have < seq) {
        assert!(Instant::now() < deadline, "has {:?} and not {seq}", book.have);
        client.read_into(&mut seen);
        for frame in seen.drain(..) {
            assert_eq!(book.on_frame(&frame, 10), "apply", "{frame}");
        }
    }
    assert_eq!(book.have.map(|(_, have)| have), Some(seq));
}

fn event(world: &mut World, n: u64) {
    world.exchange_ns += 1_000;
    world.add(1, Side::Bid, 1_000 + n, 5_000 + (n % 50) as i64, 1 + n);
    world.stage_only();
}

#[test]
fn news_joins_the_round_and_who_is_still_to_come_gets_it_in_one_write() {
    let mut world = World::open(&["THYAO.E"]);
    let mut clients = followers(&mut world, CLIENTS);
    world.serve();
    let writes = |world: &World| world.metric("bist_stage_latency_seconds", "write");
    let (parts, frames_before) = (writes(&world), world.metric("bist_ws_sent_frames_total", ""));
    // One event, one turn: how many messages each client gets by it.
    let mut turn = |world: &mut World, n: u64| {
        let bytes = sent_bytes(world);
        event(world, n);
        assert!(world.server.do_work(world.now_ns) > 0, "the round is not over: no time to sleep");
        arrived(&mut clients, sent_bytes(world) - bytes)
    };
    let (first, second) = (turn(&mut world, 1), turn(&mut world, 2));
    assert_eq!(writes(&world), parts + 2);
    let served = |counts: &[usize], count| counts.iter().filter(|&&have| have == count).count();
    assert!((1..CLIENTS / 4).contains(&served(&first, 1)), "{first:?}");
    assert!((1..CLIENTS / 4).contains(&served(&second, 2)), "{second:?}");
    assert!(first.iter().zip(&second).all(|(&first, &second)| (first, second) != (1, 2)), "{first:?} {second:?}");

    let bytes = sent_bytes(&world);
    world.serve();
    let rest = arrived(&mut clients, sent_bytes(&world) - bytes);
    let all = |n: usize| first[n] + second[n] + rest[n];
    assert!((0..CLIENTS).all(|n| all(n) == 2), "{first:?} {second:?} {rest:?}");
    assert_eq!(world.metric("bist_ws_sent_frames_total", "") - frames_before, 2 * CLIENTS as u64);
    assert_eq!(world.metric("bist_tick_to_wire_seconds", ""), 2, "each publication is measured once");
}

#[test]
fn every_chain_holds_while_news_comes_in_the_middle_of_rounds() {
    const EVENTS: u64 = 400;
    let mut world = World::open(&["THYAO.E"]);
    let mut clients = followers(&mut world, CLIENTS);
    let last = clients[0].1.have.map_or(0, |(_, seq)| seq) + EVENTS;
    let mut state = 7_u64;
    for n in 0..EVENTS {
        event(&mut world, n);
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        for _ in 0..state >> 62 {
            world.server.do_work(world.now_ns);
        }
    }
    world.serve();
    clients.iter_mut().for_each(|(client, book)| follow(client, book, last));
    let levels = |(_, book): &(Client, ClientBook)| (book.bids.clone(), book.asks.clone());
    assert!(clients.iter().all(|client| levels(client) == levels(&clients[0])));
}

#[test]
fn a_client_that_is_gone_when_its_turn_comes_harms_nobody() {
    let mut world = World::open(&["THYAO.E"]);
    let mut clients = followers(&mut world, CLIENTS);
    let mut last = clients[0].1.have.map_or(0, |(_, seq)| seq);
    drop(clients.pop());
    while world.metric("bist_ws_connections", "") == CLIENTS as u64 {
        event(&mut world, last);
        last += 1;
        world.server.do_work(world.now_ns); // no time passes: only the write finds out
    }
    clients.extend(followers(&mut world, 2));
    event(&mut world, last);
    world.serve();
    clients.iter_mut().for_each(|(client, book)| follow(client, book, last + 1));
}

#[test]
fn a_place_that_changes_hands_before_its_turn_comes_serves_the_new_client() {
    let mut world = World::open(&["THYAO.E"]);
    let mut clients = followers(&mut world, CLIENTS);
    let last = clients[0].1.have.map_or(0, |(_, seq)| seq);
    event(&mut world, 1);
    world.server.do_work(world.now_ns);
    drop(clients.pop());
    // A turn looks at its sockets, in the middle of a round too, once some time has passed.
    world.now_ns += MS;
    assert!(world.server.do_work(world.now_ns) > 0);
    assert_eq!(world.metric("bist_ws_connections", ""), CLIENTS as u64 - 1, "it is gone in the middle of the round");
    let mut next = world.raw();
    world.now_ns += MS;
    assert!(world.server.do_work(world.now_ns) > 0, "its place is taken in the middle of the round");
    let answer = world.exchange(&mut next, b"GET /ws/v2 HTTP/1.1\r\n\r\n");
    assert!(answer.starts_with(b"HTTP/1.1 426"), "{}", String::from_utf8_lossy(&answer));
    clients.iter_mut().for_each(|(client, book)| follow(client, book, last + 1));
}
