//! The frames made without a server are the server's, byte for byte: what is measured is what is sent.

mod support;

use book::Side;
use book::ring::{Notifier, ring};
use book::worker::Detail;
use book::{Phase, Slot};
use distributor::BookFrames;
use support::World;

#[test]
fn frames_without_a_server_are_the_servers() {
    let mut world = World::new();
    let (updates, mut reader) = ring("beside", 1 << 14, Notifier::new());
    world.stage.add_reader(updates, Detail::Orders, 64);
    let mut frames = BookFrames::new(10);
    let mut slots: Vec<Slot> = Vec::new();
    world.session(7);
    world.list(1, "THYAO.E");
    world.phase(1, Phase::Continuous);
    world.turn();
    let mut client = world.connect();
    world.subscribe(&mut client, "book", "THYAO", "");
    reader.drain(usize::MAX, |slot| slots.push(*slot));
    slots.drain(..).for_each(|slot| frames.apply(&slot));
    assert_eq!(frames.publish(world.now_ns, |_| {}), 0, "an empty book has no frame");

    let mut ours: Vec<String> = Vec::new();
    let mut servers: Vec<String> = Vec::new();
    for n in 0..60u64 {
        let (side, cents) = if n % 2 == 0 { (Side::Bid, 9_900 - n as i64) } else { (Side::Ask, 10_100 + n as i64) };
        world.add(1, side, n + 1, cents, 100 + n);
        if n >= 30 {
            let side = if n % 2 == 0 { Side::Bid } else { Side::Ask };
            world.cancel(1, side, n - 29, 50);
        }
        world.stage_only();
        reader.drain(usize::MAX, |slot| frames.apply(slot));
        frames.publish(world.now_ns, |frame| {
            let json = frame.iter().position(|&byte| byte == b'{').map_or(&[][..], |at| &frame[at..]);
            ours.push(String::from_utf8_lossy(json).into_owned());
        });
        world.serve();
        while let Some(text) = client.next_text() {
            servers.extend(text.contains("\"channel\":\"book\",\"type\":\"update\"").then_some(text));
        }
    }
    assert!(ours.len() > 20, "{} frames", ours.len());
    // The first one differs in one number: the server's chain begins at the subscription's snapshot, ours at nothing.
    assert_eq!(ours[1..], servers[1..]);
}
