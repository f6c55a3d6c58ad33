//! Whatever happens in the market, a client that knows only the protocol's page has the same book.
//!
//! Random order flow goes through the real book stage; plain clients of several depths, conflated or not, apply every
//! frame by the page's rules and compare levels and checksums with the books themselves. The oracle for orders is a
//! plain list.

mod support;

use std::collections::HashMap;

use book::Side;
use book::slot::QUANTITY_REST;
use distributor::Config;
use proptest::prelude::*;
use serde_json::Value;
use support::client_book::ClientBook;
use support::{Client, MS, World, frames};

/// What happens to book `book`; ids and quantities are small so that things meet.
#[derive(Clone, Debug)]
enum Step {
    Add {
        book: u32,
        bid: bool,
        ticks: i64,
        quantity: u64,
    },
    Cancel {
        nth: usize,
        quantity: u64,
    },
    Execute {
        nth: usize,
        quantity: u64,
    },
    Modify {
        nth: usize,
        ticks: i64,
        quantity: u64,
    },
    Clear {
        book: u32,
    },
    Session,
    /// The server takes a turn and time passes.
    Turn {
        ms: u64,
    },
    Newcomer,
    /// The client of the orders leaves and comes back after so long.
    Away {
        ms: u64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (1..=2u32, any::<bool>(), 0..40i64, 1..50u64)
            .prop_map(|(book, bid, ticks, quantity)| Step::Add { book, bid, ticks, quantity }),
        5 => (0..64usize, prop_oneof![1..50u64, Just(QUANTITY_REST)])
            .prop_map(|(nth, quantity)| Step::Cancel { nth, quantity }),
        3 => (0..64usize, 1..50u64).prop_map(|(nth, quantity)| Step::Execute { nth, quantity }),
        2 => (0..64usize, 0..40i64, 1..50u64).prop_map(|(nth, ticks, quantity)| Step::Modify { nth, ticks, quantity }),
        1 => (1..=2u32).prop_map(|book| Step::Clear { book }).boxed(),
        1 => Just(Step::Session),
        6 => (0..40u64).prop_map(|ms| Step::Turn { ms }),
        1 => Just(Step::Newcomer),
        // Before and after the orders are let go.
        1 => prop_oneof![Just(0), Just(11_000)].prop_map(|ms| Step::Away { ms }),
    ]
}

/// A client of one book channel.
struct Watcher {
    client: Client,
    book: u32,
    depth: usize,
    conflated: bool,
    state: ClientBook,
}

impl Watcher {
    fn read(&mut self) {
        let mut seen = Vec::new();
        self.client.read_into(&mut seen);
        for frame in frames(&seen, "book") {
            let decision = self.state.on_frame(frame, self.depth);
            assert!(decision == "replace" || decision == "apply", "{decision} of {frame}");
            assert_eq!(frame["checksum"], self.state.checksum(self.depth), "{frame}\n{:?}", self.state);
        }
    }
}

/// A client's orders, as the page says: lists per side and price.
#[derive(Default)]
struct ClientOrders {
    queues: HashMap<(char, String), Vec<(String, u64)>>,
    have: u64,
}

impl ClientOrders {
    fn on_frame(&mut self, frame: &Value) {
        if frame["type"] == "snapshot" {
            self.queues.clear();
            for order in frame["orders"].as_array().unwrap() {
                let side = order[1].as_str().unwrap().chars().next().unwrap();
                let quantity = order[3].as_str().unwrap().parse().unwrap();
                let place = (side, order[2].as_str().unwrap().to_owned());
                self.queues.entry(place).or_default().push((order[0].as_str().unwrap().to_owned(), quantity));
            }
        } else {
            assert_eq!(frame["prev_seq"], self.have);
            frame["changes"].as_array().unwrap().iter().for_each(|change| self.on_change(change));
        }
        self.have = frame["seq"].as_u64().unwrap();
    }

    fn on_change(&mut self, change: &Value) {
        let action = change["action"].as_str().unwrap();
        if action == "R" {
            return self.queues.clear();
        }
        let side = change["side"].as_str().unwrap().chars().next().unwrap();
        let id = change["order_id"].as_str().unwrap();
        let quantity: u64 = change["quantity"].as_str().unwrap().parse().unwrap();
        let position = change["position"].as_u64().unwrap() as usize;
        let mine = |of: &&mut (String, u64)| of.0 == id;
        if (action == "C" || action == "F") && quantity > 0 {
            let queues = self.queues.iter_mut().filter(|((of, _), _)| *of == side);
            let order = queues.flat_map(|(_, queue)| queue.iter_mut()).find(mine);
            order.expect("the order is known").1 = quantity;
            return;
        }
        for ((of, _), queue) in &mut self.queues {
            if *of == side {
                queue.retain(|order| order.0 != id);
            }
        }
        if position > 0 {
            let queue = self.queues.entry((side, change["price"].as_str().unwrap().to_owned())).or_default();
            queue.insert(position - 1, (id.to_owned(), quantity));
        }
    }

    fn assert_is(&self, world: &World, book: u32) {
        let mut want: HashMap<(char, String), Vec<(String, u64)>> = HashMap::new();
        for (side, letter) in [(Side::Bid, 'B'), (Side::Ask, 'A')] {
            for (price, id, quantity, _) in world.stage.market().queue(book::BookId(book), side) {
                let price = price.write(2, &mut [0; 24]).to_owned();
                want.entry((letter, price)).or_default().push((id.0.to_string(), quantity));
            }
        }
        let mut have = self.queues.clone();
        have.retain(|_, queue| !queue.is_empty());
        assert_eq!(have, want, "orders of book {book}");
    }
}

fn watch(world: &mut World, book: u32, depth: usize, conflate_ms: u64) -> Watcher {
    let mut client = world.connect();
    let symbol = ["THYAO", "GARAN"][book as usize - 1];
    client.send(&format!(
        r#"{{"method":"subscribe","params":{{"channel":"book","symbol":"{symbol}","depth":{depth},"conflate_ms":{conflate_ms}}}}}"#
    ));
    Watcher { client, book, depth, conflated: conflate_ms > 0, state: ClientBook::default() }
}

/// With a server that takes `slots` of its ring per turn: few, and a turn ends in the middle of an event.
fn run(steps: &[Step], slots: usize) {
    let config = Config { slots_per_turn_max: slots, requests_per_second: 1_000, ..support::config() };
    let mut world = World::open_with(config, 1 << 14, &["THYAO.E", "GARAN.E"]);
    world.phase(1, book::Phase::OpeningCollection); // bids and asks may cross
    world.phase(2, book::Phase::OpeningCollection);
    let mut watchers: Vec<Watcher> = [(1, 1, 0), (1, 3, 0), (1, 10, 0), (1, 10, 30), (2, 100, 0), (2, 2, 17)]
        .map(|(book, depth, conflate_ms)| watch(&mut world, book, depth, conflate_ms))
        .into();
    let mut orders = ClientOrders::default();
    let mut order_client = world.connect();
    let of_orders = |method| format!(r#"{{"method":"{method}","params":{{"channel":"mbo","symbol":"THYAO"}}}}"#);
    order_client.send(&of_orders("subscribe"));
    let mut resting: Vec<(u32, Side, u64)> = Vec::new();
    let mut last_id = 0;
    let mut epoch = 7;
    for step in steps.iter().chain([&Step::Turn { ms: 100 }, &Step::Turn { ms: 100 }]) {
        if let Step::Away { ms } = *step {
            order_client.send(&of_orders("unsubscribe"));
            world.pass(0);
            world.pass(ms * MS);
            order_client.send(&of_orders("subscribe"));
        }
        match *step {
            Step::Add { book, bid, ticks, quantity } => {
                last_id += 1;
                let side = if bid { Side::Bid } else { Side::Ask };
                world.add(book, side, last_id, 10_000 + ticks, quantity);
                resting.push((book, side, last_id));
            }
            Step::Cancel { nth, quantity } if !resting.is_empty() => {
                let (book, side, id) = resting[nth % resting.len()];
                world.cancel(book, side, id, quantity);
            }
            Step::Execute { nth, quantity } if !resting.is_empty() => {
                let (book, side, id) = resting[nth % resting.len()];
                world.execute(book, side, id, quantity);
            }
            Step::Modify { nth, ticks, quantity } if !resting.is_empty() => {
                let (book, side, id) = resting[nth % resting.len()];
                world.modify(book, side, id, 10_000 + ticks, quantity);
            }
            Step::Clear { book } => world.clear(book),
            Step::Session => {
                epoch += 1;
                world.session(epoch);
                resting.clear();
            }
            Step::Newcomer => {
                let watcher = watch(&mut world, 1, 10, 0);
                watchers.push(watcher);
            }
            Step::Turn { .. } | Step::Away { .. } => {
                world.pass(if let Step::Turn { ms } = *step { ms * MS } else { 0 });
                let mut seen = Vec::new();
                order_client.read_into(&mut seen);
                frames(&seen, "mbo").into_iter().for_each(|frame| orders.on_frame(frame));
                orders.assert_is(&world, 1);
                for watcher in &mut watchers {
                    watcher.read();
                    if !watcher.conflated {
                        watcher.state.assert_is(world.stage.market(), watcher.book, watcher.depth);
                    }
                }
            }
            _ => {}
        }
    }
    for watcher in &watchers {
        watcher.state.assert_is(world.stage.market(), watcher.book, watcher.depth);
    }
    assert_eq!(world.metric("bist_ws_refused_total", ""), 0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_client_has_the_book(
        steps in proptest::collection::vec(step(), 1..250),
        slots in prop_oneof![Just(1), Just(3), Just(4_096)],
    ) {
        run(&steps, slots);
    }
}

#[test]
fn two_clients_with_the_same_parameters_get_identical_bytes() {
    let mut world = World::open(&["THYAO.E"]);
    let mut clients: Vec<Client> = (0..3).map(|_| world.connect()).collect();
    for client in &mut clients {
        world.subscribe(client, "book", "THYAO", "");
        world.subscribe(client, "trades", "THYAO", "");
    }
    for n in 0..200 {
        world.add(1, Side::Bid, n + 1, 10_000 + (n % 13) as i64, 1 + n);
        world.trade(1, 10_000, 1 + n, 0);
        if n % 3 == 0 {
            world.turn();
        }
    }
    world.turn();
    let mut texts = clients.iter_mut().map(|client| std::iter::from_fn(|| client.next_text()).collect::<Vec<_>>());
    let first = texts.next().unwrap();
    assert!(first.len() > 100);
    assert!(texts.all(|other| other == first));
    let encoded = world.metric("bist_ws_encoded_frames_total", "");
    let sent = world.metric("bist_ws_sent_frames_total", "");
    assert!(sent >= 3 * (encoded - 6), "encoded {encoded} frames for {sent}");
}

#[test]
fn a_reader_ring_that_overflows_becomes_a_gap_and_snapshots() {
    let mut world = World::open_with(support::config(), 1_024, &["THYAO.E", "GARAN.E"]);
    world.add(1, Side::Bid, 1, 9_000, 1);
    let mut watcher = watch(&mut world, 1, 10, 0);
    let mut client = world.connect();
    world.subscribe(&mut client, "trades", "THYAO", "");
    world.subscribe(&mut client, "mbo", "THYAO", "");
    let quiet = r#"{"method":"subscribe","params":{"channel":"statistics","symbol":"THYAO","snapshot":false}}"#;
    world.ask(&mut client, quiet, 1);
    world.turn();
    watcher.read();
    // The book stage runs on, the fan-out does not: its ring of 1,024 slots overflows.
    for n in 0..3_000 {
        world.add(1, Side::Bid, 10 + n, 9_000 + (n % 50) as i64, 1);
        if n % 100 == 0 {
            world.trade(1, 9_000, 1, 0);
        }
        if n % 500 == 0 {
            world.stage_only();
        }
    }
    world.stage_only();
    let mut seen = Vec::new();
    for _ in 0..50 {
        world.turn();
        client.read_into(&mut seen);
        watcher.client.read_into(&mut seen);
    }
    let gaps: Vec<_> = frames(&seen, "system").into_iter().filter(|frame| frame["type"] == "gap").collect();
    assert!(gaps.len() >= 4, "{gaps:?}");
    for gap in &gaps {
        assert_eq!(gap["reason"], "upstream");
        assert!(gap["from_seq"].as_u64().unwrap() <= gap["to_seq"].as_u64().unwrap());
        assert_eq!(gap["epoch"], 7);
    }
    // After a gap comes a snapshot, and the chain holds from it on.
    for channel in ["book", "trades", "mbo"] {
        let mut after_gap = false;
        let mut have = None;
        for frame in &seen {
            if frame["channel"] == "system" && frame["channel_of"] == channel {
                after_gap = true;
            } else if frame["channel"] == channel {
                if frame["type"] == "snapshot" {
                    after_gap = false;
                } else if have.is_some() {
                    assert!(!after_gap, "an update of {channel} between a gap and its snapshot");
                    assert_eq!(frame["prev_seq"], have.unwrap(), "{channel}");
                }
                have = Some(frame["seq"].as_u64().unwrap());
            }
        }
    }
    for frame in frames(&seen, "book") {
        watcher.state.on_frame(frame, 10);
    }
    watcher.state.assert_is(world.stage.market(), 1, 10);
    // A subscription without snapshots goes on behind the gap.
    let gap = gaps.iter().find(|gap| gap["channel_of"] == "statistics").expect("statistics have a gap too");
    let next = frames(&seen, "statistics").into_iter().find(|frame| frame["seq"].as_u64() > gap["to_seq"].as_u64());
    world.trade(1, 9_000, 1, 0);
    let later = world.until(&mut client, |seen| !frames(seen, "statistics").is_empty());
    let next = next.unwrap_or_else(|| frames(&later, "statistics")[0]);
    assert_eq!(next["prev_seq"], gap["to_seq"]);
}
