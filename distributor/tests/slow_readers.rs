//! A client that does not read: never a silent hole, never unbounded memory, and nobody else notices.

mod support;

use book::Side;
use distributor::Config;
use serde_json::Value;
use support::client_book::ClientBook;
use support::{Client, MS, World, frames};

const QUEUE_BYTES: usize = 64 * 1024;
const QUEUE_BYTES_MAX: usize = 256 * 1024;

fn world() -> World {
    let config = Config {
        queue_bytes: QUEUE_BYTES,
        queue_bytes_max: QUEUE_BYTES_MAX,
        send_buffer_bytes: Some(16 * 1024),
        ..support::config()
    };
    let mut world = World::open_with(config, 1 << 14, &["THYAO.E"]);
    world.receive_buffer_bytes = Some(16 * 1024);
    world
}

fn subscribe(world: &mut World, channel: &str, policy: &str) -> Client {
    let mut client = world.connect();
    client.send(&format!(
        r#"{{"method":"subscribe","params":{{"channel":"{channel}","symbol":"THYAO","slow_reader":"{policy}"}}}}"#
    ));
    let seen = world.until(&mut client, |seen| seen.iter().any(|message| message["type"] == "snapshot"));
    assert_eq!(seen[0]["result"]["slow_reader"], policy);
    client
}

/// Changes the book and trades, one frame each per turn, until `enough`.
fn flood(world: &mut World, mut enough: impl FnMut(&World) -> bool) {
    for n in 0..200_000 {
        world.add(1, Side::Bid, 1_000_000 + n, 5_000 + (n % 400) as i64, 1 + n % 7);
        if n >= 200 {
            world.cancel(1, Side::Bid, 1_000_000 + n - 200, u64::MAX);
        }
        world.trade(1, 5_000, 1 + n, 0);
        world.turn();
        assert!(world.metric("bist_ws_send_queue_bytes", "") as usize <= QUEUE_BYTES_MAX + 64 * 1024);
        if enough(world) {
            return;
        }
    }
    panic!("the reader never became slow");
}

/// Reads until nothing is queued and nothing is due.
fn recover(world: &mut World, client: &mut Client) -> Vec<Value> {
    world.read_until(client, |world, client, _| {
        let recovered = world.metric("bist_ws_slow_readers_total", "recovered");
        let stopped = world.metric("bist_ws_slow_readers_total", "skip");
        client.closed.is_some() || recovered == stopped && world.metric("bist_ws_send_queue_bytes", "") == 0
    })
}

#[test]
fn skip_stops_tells_the_gap_and_begins_anew() {
    let mut world = world();
    let mut slow = subscribe(&mut world, "book", "skip");
    world.receive_buffer_bytes = None;
    let mut fast = subscribe(&mut world, "book", "skip");
    let mut book = ClientBook::default();
    let mut from_fast = Vec::new();
    flood(&mut world, |world| {
        fast.read_into(&mut from_fast);
        world.metric("bist_ws_slow_readers_total", "skip") > 0
    });
    for n in 0..500 {
        world.add(1, Side::Ask, 9_000_000 + n, 9_000 - n as i64, 1);
        world.turn();
        fast.read_into(&mut from_fast);
    }
    assert!(frames(&from_fast, "system").is_empty(), "the fast one lost nothing");
    let queued = world.metric("bist_ws_send_queue_bytes", "");
    assert!(queued as usize >= QUEUE_BYTES / 4, "{queued}");

    let seen = recover(&mut world, &mut slow);
    let at = seen.iter().position(|frame| frame["type"] == "gap").expect("a gap is told");
    let mut have = 0;
    for frame in frames(&seen[..at], "book") {
        assert_ne!(book.on_frame(frame, 10), "resync");
        have = frame["seq"].as_u64().unwrap();
    }
    let gap = &seen[at];
    assert_eq!((&gap["reason"], &gap["channel_of"]), (&"slow_reader".into(), &"book".into()));
    assert_eq!((gap["sub_id"].as_u64(), gap["from_seq"].as_u64()), (Some(1), Some(have + 1)));
    let snapshot = &seen[at + 1];
    assert_eq!((&snapshot["type"], &snapshot["seq"]), (&"snapshot".into(), &gap["to_seq"]));
    for frame in frames(&seen[at..], "book") {
        assert_ne!(book.on_frame(frame, 10), "resync");
        assert_eq!(frame["checksum"], book.checksum(10));
    }
    book.assert_is(world.stage.market(), 1, 10);
    assert_eq!(world.metric("bist_ws_slow_readers_total", "recovered"), 1);
    assert_eq!(world.metric("bist_ws_gaps_total", "slow_reader"), 1);
    assert_eq!(world.metric("bist_ws_send_queue_bytes", ""), 0);

    world.add(1, Side::Bid, 1, 8_000, 1);
    let seen = world.until(&mut slow, |seen| !seen.is_empty());
    assert_eq!(book.on_frame(&seen[0], 10), "apply");
    book.assert_is(world.stage.market(), 1, 10);
}

#[test]
fn warn_warns_first_and_every_missing_trade_is_in_the_gap() {
    let mut world = world();
    let mut slow = subscribe(&mut world, "trades", "warn");
    flood(&mut world, |world| world.metric("bist_ws_slow_readers_total", "skip") > 0);
    assert_eq!(world.metric("bist_ws_slow_readers_total", "warn"), 1);
    let at_most = QUEUE_BYTES_MAX + 16 * 1024;
    assert!((world.metric("bist_ws_send_queue_bytes", "") as usize) < at_most);
    let seen = recover(&mut world, &mut slow);
    let system = frames(&seen, "system");
    assert_eq!((&system[0]["type"], &system[0]["code"]), (&"warning".into(), &"SLOW_READER".into()));
    assert_eq!(system[1]["type"], "gap");
    let (from, to) = (system[1]["from_seq"].as_u64().unwrap(), system[1]["to_seq"].as_u64().unwrap());
    let mut have = None;
    let mut told = 0;
    for frame in frames(&seen, "trades") {
        for trade in frame["trades"].as_array().unwrap() {
            let id: u64 = trade["match_id"].as_str().unwrap().parse().unwrap();
            let seq = trade["seq"].as_u64().unwrap();
            if let Some(have) = have
                && id > have + 1
            {
                // What is missing lies in the gap, to its last trade.
                assert!(from <= seq && have + 1 < id);
                told += 1;
            }
            have = Some(have.unwrap_or(0).max(id));
        }
    }
    assert!(told <= 1, "one hole, and it is told");
    assert!(to > from);
}

#[test]
fn disconnect_closes_with_4490() {
    let mut world = world();
    let mut slow = subscribe(&mut world, "book", "disconnect");
    flood(&mut world, |world| world.metric("bist_ws_slow_readers_total", "disconnect") > 0);
    recover(&mut world, &mut slow);
    assert_eq!(slow.closed, Some(4490));
    assert_eq!(world.metric("bist_ws_send_queue_bytes", ""), 0);
    assert_eq!(world.metric("bist_ws_subscriptions", "book"), 0);
    world.turn(); // the client's answer to the close
    world.pass(3_000 * MS);
    assert_eq!(world.metric("bist_ws_connections", "market"), 0);
}

#[test]
fn what_is_no_data_ends_at_the_hard_limit() {
    let mut world = world();
    let mut slow = subscribe(&mut world, "book", "skip");
    flood(&mut world, |world| world.metric("bist_ws_slow_readers_total", "skip") > 0);
    // A long reply for each request, and none of them read.
    let names: Vec<String> = (0..900).map(|n| format!("\"X{n}\"")).collect();
    let request =
        format!(r#"{{"method":"get_snapshot","params":{{"channel":"book","symbol":[{}]}}}}"#, names.join(","));
    for _ in 0..9 {
        slow.send(&request);
    }
    world.pass(200 * MS);
    assert_eq!(world.metric("bist_ws_slow_readers_total", "disconnect"), 1);
    recover(&mut world, &mut slow);
    assert_eq!(slow.closed, Some(4490));
}

#[test]
fn a_slow_reader_of_the_old_epoch_is_told_its_hole() {
    let mut world = world();
    let mut slow = subscribe(&mut world, "trades", "skip");
    flood(&mut world, |world| world.metric("bist_ws_slow_readers_total", "skip") > 0);
    world.session(8);
    world.trade(1, 100, 1, 0);
    world.turn();
    let seen = world.read_until(&mut slow, |_, _, seen| {
        seen.iter().any(|frame| frame["channel"] == "trades" && frame["epoch"] == 8)
    });
    let kinds: Vec<_> = frames(&seen, "system").iter().map(|frame| frame["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["gap", "epoch"]);
    assert_eq!(frames(&seen, "system")[0]["epoch"], 7);
    let last = frames(&seen, "trades").into_iter().next_back().unwrap();
    assert_eq!((&last["type"], &last["epoch"]), (&"snapshot".into(), &8.into()));
}

#[test]
fn a_snapshot_larger_than_the_queue_still_comes() {
    let mut world = world();
    for n in 0..5_000 {
        world.add(1, Side::Bid, 1 + n, 5_000 + (n % 300) as i64, 1);
        if n % 1_000 == 0 {
            world.turn();
        }
    }
    world.turn();
    let mut client = world.connect();
    let seen = world.subscribe(&mut client, "mbo", "THYAO", "");
    assert_eq!(frames(&seen, "mbo")[0]["orders"].as_array().unwrap().len(), 5_000);
    assert!(frames(&seen, "system").is_empty());
    world.cancel(1, Side::Bid, 1, 1);
    let next = world.until(&mut client, |seen| !seen.is_empty());
    assert_eq!(next[0]["prev_seq"], frames(&seen, "mbo")[0]["seq"]);
}

#[test]
fn many_slow_readers_together_are_held_shorter() {
    let config = Config {
        queue_bytes: QUEUE_BYTES * 2,
        queue_bytes_max: QUEUE_BYTES * 4,
        queue_bytes_total: QUEUE_BYTES * 4,
        send_buffer_bytes: Some(16 * 1024),
        ..support::config()
    };
    let mut world = World::open_with(config, 1 << 14, &["THYAO.E"]);
    world.receive_buffer_bytes = Some(16 * 1024);
    let mut slow: Vec<Client> = (0..8).map(|_| subscribe(&mut world, "book", "skip")).collect();
    let mut most = 0;
    for n in 0..3_000 {
        world.add(1, Side::Bid, 1 + n, 5_000 + (n % 400) as i64, 1 + n % 7);
        world.turn();
        most = most.max(world.metric("bist_ws_send_queue_bytes", "") as usize);
    }
    assert_eq!(world.metric("bist_ws_slow_readers_total", "skip"), 8);
    assert!(most > QUEUE_BYTES * 4, "{most}");
    assert!(most < QUEUE_BYTES * 4 + 8 * 4_096, "{most}");
    // The kernel's timers may take some more from the queues meanwhile, but they stay tight until halved.
    for client in &mut slow {
        let seen = recover_one(&mut world, client);
        assert!(seen.iter().any(|frame| frame["type"] == "gap"));
    }
}

/// Reads until the snapshot behind the gap.
fn recover_one(world: &mut World, client: &mut Client) -> Vec<Value> {
    world.read_until(client, |_, _, seen| {
        let gap = seen.iter().position(|frame| frame["type"] == "gap");
        gap.is_some_and(|at| seen[at..].iter().any(|frame| frame["type"] == "snapshot"))
    })
}
