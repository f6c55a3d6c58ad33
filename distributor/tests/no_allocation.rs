//! Publishing to clients that have subscribed takes no memory, however many they are.

mod support;

use book::Side;
use support::{Client, World, desk};

/// How often `work` took memory, or gave back or moved what was taken before.
fn taken(work: impl FnOnce()) -> u64 {
    let info = allocation_counter::measure(work);
    info.count_total + info.count_current.unsigned_abs()
}

/// Changes orders that are there and trades; returns what the fan-out's turns took.
fn rounds(world: &mut World, clients: &mut [Client], rounds: u64) -> u64 {
    let mut sum = 0;
    for n in 0..rounds {
        for order in 1..=40 {
            let side = if order % 2 == 0 { Side::Bid } else { Side::Ask };
            world.cancel(1, side, order, 1 + n % 3);
        }
        world.trade(1, 10_000, 1 + n, 0);
        world.exchange_ns += 1_000_000;
        world.stage_only();
        let now_ns = world.now_ns;
        sum += taken(|| while world.server.do_work(now_ns) > 0 {});
        for client in clients.iter_mut() {
            while client.next_text().is_some() {}
        }
    }
    sum
}

#[test]
fn a_published_update_takes_no_memory_for_any_number_of_clients() {
    for count in [1, 60] {
        let (mut world, desk) = World::guarded(support::config());
        desk.knows("key", desk::admitted("key 1", None));
        for order in 1..=40 {
            let side = if order % 2 == 0 { Side::Bid } else { Side::Ask };
            let cents = if order % 2 == 0 { 9_900 - order as i64 } else { 10_100 + order as i64 };
            world.add(1, side, order, cents, 1_000_000);
        }
        let mut clients: Vec<Client> = (0..count).map(|_| world.connect()).collect();
        for client in &mut clients {
            let seen = world.ask(client, r#"{"method":"auth","params":{"token":"key"}}"#, 1);
            assert_eq!(seen[0]["success"], true);
            for channel in ["book", "mbp-10", "mbo", "trades", "statistics", "ohlcv-1m"] {
                world.subscribe(client, channel, "THYAO", "");
            }
        }
        rounds(&mut world, &mut clients, 300); // buffers and histories grow to their size
        let sent = world.metric("bist_ws_sent_frames_total", "");
        assert_eq!(rounds(&mut world, &mut clients, 200), 0, "{count} clients");
        let sent = world.metric("bist_ws_sent_frames_total", "") - sent;
        assert!(sent >= 200 * 6 * count, "{sent} frames to {count} clients");
    }
}
