//! A book that may be wrong is marked in the turn of the cause, with the cause, in every channel of the book.

mod support;

use book::Side;
use book::slot::system;
use serde_json::{Value, json};
use support::{Client, World, frames};

/// Mark and reason of the newest frame of a channel.
fn mark(seen: &[Value], channel: &str) -> (Value, Value) {
    let frame = *frames(seen, channel).last().unwrap_or_else(|| panic!("no frame of {channel} in {seen:?}"));
    (frame["maybe_bad"].clone(), frame["reason"].clone())
}

/// The frame that comes after a second without any other.
fn heartbeat(world: &mut World, client: &mut Client) -> Value {
    world.drain(client);
    world.pass(1_100_000_000);
    let seen = world.drain(client);
    (*frames(&seen, "heartbeat").last().unwrap_or_else(|| panic!("no heartbeat in {seen:?}"))).clone()
}

fn marked(reason: &str) -> (Value, Value) {
    (json!(true), json!(reason))
}

#[test]
fn f9_marks_an_event_that_contradicts_a_book_marks_it_at_once_and_no_other() {
    for (reason, cause) in [
        ("unknown_order", (|world: &mut World| world.execute(1, Side::Bid, 99, 5)) as fn(&mut World)),
        ("unknown_order", |world| world.cancel(1, Side::Ask, 98, 5)),
        ("duplicate_order", |world| world.add(1, Side::Bid, 1, 9_900, 1)),
        ("crossed", |world| world.add(1, Side::Ask, 7, 9_000, 1)),
    ] {
        let mut world = World::open(&["THYAO.E", "GARAN.E"]);
        world.add(1, Side::Bid, 1, 10_000, 10);
        world.add(2, Side::Bid, 1, 10_000, 10);
        let mut client = world.connect();
        for channel in ["book", "mbo", "mbp-1"] {
            world.subscribe(&mut client, channel, "THYAO", "");
        }
        world.subscribe(&mut client, "book", "GARAN", "");
        cause(&mut world);
        // Nothing else happens to the book.
        let all = |seen: &[Value]| ["book", "mbo", "mbp-1"].iter().all(|channel| !frames(seen, channel).is_empty());
        let seen = world.until(&mut client, all);
        for channel in ["book", "mbo", "mbp-1"] {
            assert_eq!(mark(&seen, channel), marked(reason), "{channel} after {reason}: {seen:?}");
        }
        assert!(frames(&seen, "book").iter().all(|frame| frame["symbol"] == "THYAO"), "{seen:?}");
        world.add(2, Side::Bid, 2, 10_000, 10);
        let seen = world.until(&mut client, |seen| !seen.is_empty());
        assert_eq!((&seen[0]["symbol"], &seen[0]["maybe_bad"]), (&json!("GARAN"), &Value::Null));
    }
}

#[test]
fn a_session_that_was_joined_midway_marks_books_that_are_there_and_books_that_come() {
    let mut world = World::open(&["THYAO.E"]);
    let mut client = world.connect();
    world.subscribe(&mut client, "book", "THYAO", "");
    world.system(system::JOINED_MIDWAY, 4_000, 0, 7);
    let seen = world.until(&mut client, |seen| !frames(seen, "book").is_empty());
    assert_eq!(mark(&seen, "book"), marked("joined_midway"));
    world.list(2, "GARAN.E");
    let seen = world.subscribe(&mut client, "book", "GARAN", "");
    assert_eq!(mark(&seen, "book"), marked("joined_midway"));
    assert_eq!(heartbeat(&mut world, &mut client)["joined_midway"], json!(true));
    // A new session is known from its beginning.
    world.session(8);
    world.add(1, Side::Bid, 1, 10_000, 10);
    let seen = world.until(&mut client, |seen| !frames(seen, "book").is_empty());
    assert_eq!(mark(&seen, "book"), (Value::Null, Value::Null), "{seen:?}");
    assert_eq!(heartbeat(&mut world, &mut client).get("joined_midway"), None);
}

#[test]
fn f9_marks_a_book_that_is_seen_first_after_a_loss_is_marked() {
    let causes = [(system::GAP, "gap"), (system::REFUSED, "refused_message"), (system::LINE_MISMATCH, "line_mismatch")];
    for (code, reason) in causes {
        let mut world = World::open(&["THYAO.E"]);
        world.system(code, 88, 99, 7);
        world.list(2, "GARAN.E");
        world.add(2, Side::Bid, 2, 10_000, 10);
        let mut client = world.connect();
        let seen = world.subscribe(&mut client, "book", "GARAN", "");
        assert_eq!(mark(&seen, "book"), marked(reason));
    }
}

#[test]
fn a_snapshot_for_a_later_reader_says_the_first_cause() {
    let mut world = World::open(&["THYAO.E"]);
    world.cancel(1, Side::Ask, 98, 5);
    world.system(system::GAP, 88, 99, 7);
    let mut client = world.connect();
    let seen = world.subscribe(&mut client, "book", "THYAO", "");
    assert_eq!(mark(&seen, "book"), marked("unknown_order"));
    // The exchange says that the book is empty: that is known.
    world.clear(1);
    world.add(1, Side::Bid, 3, 10_000, 10);
    let seen = world.until(&mut client, |seen| frames(seen, "book").iter().any(|frame| frame["bids"] != json!([])));
    assert_eq!(mark(&seen, "book"), (Value::Null, Value::Null), "{seen:?}");
}
