//! Books made of recorded data against what is known to be true of them, and against a second, plain book.
//!
//! Every recording runs through the market and through `book::reference` at once; all levels of the book at hand are
//! compared every so many events and at the end. On top of that each data set has an oracle of its own: the exchange's
//! ten levels after each event, the rank that the exchange stated, the final book, the exchange's own snapshots.

mod common;

use std::collections::BTreeMap;
use std::path::Path;

use book::anomaly::Anomaly;
use book::market::{Limits, Market, OrderKey};
use book::reference::ReferenceMarket;
use book::slot::{OrderEvent, QUANTITY_REST, Stamp, System, action, system};
use book::types::Level;
use book::{BookId, OrderId, Price, Side, Slot, View};
use common::{bytes, data};
use feed_handler::inspect::{self, BookQuery};
use feed_handler::recording::{Recording, RecordingOptions, Step};

const SIDES: [Side; 2] = [Side::Bid, Side::Ask];

/// The market and the plain book, fed alike.
struct Twin {
    market: Market,
    reference: ReferenceMarket,
    events: u64,
    compare_every: u64,
    last_book: BookId,
}

impl Twin {
    fn new(key: OrderKey, compare_every: u64) -> Self {
        let limits = Limits {
            books_max: 2_000,
            orders_max: 100_000,
            levels_max: 50_000,
            ladder_slots: 20_000,
            trades_max: 4_096,
            queues: true,
            look_ahead_orders_min: 0,
            key,
            seed: 7,
        };
        let mut twin = Self {
            market: Market::new(limits),
            reference: ReferenceMarket::new(key),
            events: 0,
            compare_every,
            last_book: BookId(0),
        };
        twin.apply(&System::new(system::SESSION, 0, 0, 0, 0, 1).into());
        twin
    }

    #[track_caller]
    fn apply(&mut self, slot: &Slot) {
        self.market.apply(slot, &mut ());
        self.reference.apply(slot);
        self.events += 1;
        if let View::Order(event) = slot.view() {
            self.last_book = BookId(event.book_id);
        }
        if self.events.is_multiple_of(self.compare_every) {
            self.compare(self.last_book);
        }
    }

    /// All levels of a book, and its queues order by order.
    #[track_caller]
    fn compare(&self, book_id: BookId) {
        for side in SIDES {
            let levels: Vec<Level> = self.market.levels(book_id, side).collect();
            assert_eq!(levels, self.reference.levels(book_id, side), "{side:?} after event {}", self.events);
            let queue: Vec<_> =
                self.market.queue(book_id, side).map(|(price, id, quantity, _)| (price, id, quantity)).collect();
            let plain: Vec<_> = self
                .reference
                .orders(book_id, side)
                .iter()
                .map(|order| (order.price, order.id, order.quantity))
                .collect();
            assert_eq!(queue, plain, "{side:?} queue after event {}", self.events);
        }
    }

    /// Everything, at the end.
    #[track_caller]
    fn compare_all(&self) {
        for book_id in self.reference.books() {
            self.compare(book_id);
        }
        for kind in [Anomaly::UnknownOrder, Anomaly::DuplicateOrder, Anomaly::OverExecution, Anomaly::OverCancel] {
            assert_eq!(self.market.anomalies().get(kind), self.reference.anomalies(kind), "{kind:?}");
        }
        self.market.check_invariants();
    }

    fn anomalies(&self) -> Vec<(&'static str, u64)> {
        self.market.anomalies().iter().map(|(kind, count)| (kind.name(), count)).collect()
    }
}

fn open(path: &Path) -> Recording {
    Recording::open(path, &RecordingOptions::default()).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Runs a recording to its end; `each` sees the books after every message.
fn run(path: &Path, key: OrderKey, compare_every: u64, mut each: impl FnMut(&mut Twin, u64, &[Slot])) -> Twin {
    let (mut recording, mut twin, mut slots) = (open(path), Twin::new(key, compare_every), Vec::new());
    loop {
        slots.clear();
        match recording.next(&mut |slot| slots.push(slot)).unwrap() {
            Step::End => break,
            Step::Message(taken) => {
                assert_eq!(taken.refused, None, "message {}", taken.position);
                slots.iter().for_each(|slot| twin.apply(slot));
                each(&mut twin, taken.position, &slots);
            }
            Step::Gap { .. } | Step::Session | Step::PartitionSession => slots.iter().for_each(|slot| twin.apply(slot)),
        }
    }
    twin.compare_all();
    twin
}

/// One row of a LOBSTER order book file: levels of bids and asks as (price × 10,000, size), empty ones left out.
fn oracle_row(line: &str) -> [Vec<(i64, u64)>; 2] {
    let numbers: Vec<i64> = line.trim_end().split(',').map(|number| number.parse().unwrap()).collect();
    let side = |at: usize| {
        let level = numbers.chunks(4).map(|level| (level[at], level[at + 1] as u64));
        level.filter(|&(_, size)| size > 0).collect()
    };
    [side(2), side(0)]
}

fn text(path: &Path) -> String {
    String::from_utf8(bytes(path)).unwrap()
}

fn ten_levels(market: &Market, book_id: BookId, side: Side) -> Vec<(i64, u64)> {
    market.levels(book_id, side).take(10).map(|level| (level.price.to_decimal(4), level.quantity)).collect()
}

#[track_caller]
fn a_full_day_equals_the_true_levels(format: &str, key: OrderKey) {
    let Some(path) = data(&format!("reencoded/GOOG_20120621.{format}.gz")) else { return };
    let rows: Vec<u64> = bytes(&data(&format!("reencoded/GOOG_20120621.{format}.rows.u32le.gz")).unwrap())
        .chunks(4)
        .map(|row| u64::from(u32::from_le_bytes(row.try_into().unwrap())))
        .collect();
    let oracle = text(&data("lobster/GOOG_2012-06-21_34200000_57600000_orderbook_10.csv.gz").unwrap());
    let mut oracle = oracle.lines();
    let (mut checked, mut wrong) = (0, 0);
    let twin = run(&path, key, 2_000, |twin, position, _| {
        while rows.get(checked) == Some(&position) {
            let expected = oracle_row(oracle.next().unwrap());
            let book_id = BookId(7);
            let seen = SIDES.map(|side| ten_levels(&twin.market, book_id, side));
            if seen != expected {
                wrong += 1;
                assert!(wrong < 5, "row {checked}, message {position}: {seen:?} instead of {expected:?}");
            }
            checked += 1;
        }
    });
    assert_eq!((checked, wrong), (147_916, 0));
    assert!(oracle.next().is_none());
    assert_eq!(twin.anomalies(), []);
    assert_eq!(twin.market.find("GOOG"), Some(BookId(7)));
}

#[test]
fn a_full_day_in_itch50_equals_the_true_levels_at_every_event() {
    a_full_day_equals_the_true_levels("itch50", OrderKey::Id);
}

#[test]
fn a_full_day_in_bistech_equals_the_true_levels_at_every_event() {
    a_full_day_equals_the_true_levels("bistech2112", OrderKey::BookSideId);
}

const GARAN: &str = "bist-itch/GARAN.E_20220921_first6002";

/// `19.92` as thousandths.
fn thousandths(text: &str) -> i64 {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    format!("{whole}{part:0<3}").parse().unwrap()
}

#[test]
fn the_exchange_s_own_ranks_are_the_ranks_of_the_book() {
    let Some(path) = data(&format!("{GARAN}.bistech2112.gz")) else { return };
    let csv = text(&data(&format!("{GARAN}.csv.gz")).unwrap());
    let mut rows = csv.lines();
    let (mut adds, mut executions) = (0, 0);
    // The one book before each execution: who stands first.
    let mut heads = [None; 2];
    let twin = run(&path, OrderKey::BookSideId, 50, |twin, position, slots| {
        let book_id = BookId(1);
        for slot in slots {
            let (kind, side, order) = match slot.view() {
                View::Order(event) if event.action == action::ADD => ("A", event.side(), event.order_id),
                View::Order(event) => ("D", event.side(), event.order_id),
                View::Execution(event) => ("E", event.side(), event.order_id),
                View::State(_) => ("O", Side::None, 0),
                _ => continue,
            };
            let row: Vec<&str> = rows.next().expect("a row for each message").split(',').collect();
            assert_eq!(row[2], kind, "message {position}");
            if kind == "O" {
                continue;
            }
            assert_eq!(row[8].parse(), Ok(order), "message {position}");
            let expected_side = if row[4] == "B" { Side::Bid } else { Side::Ask };
            assert_eq!(side, expected_side, "message {position}");
            if kind == "A" {
                let at = twin.market.position(book_id, side, OrderId(order)).expect("the order was added");
                assert_eq!(at.in_side.to_string(), row[6], "rank of order {order}, message {position}");
                let View::Order(event) = slot.view() else { unreachable!() };
                assert_eq!(Price(event.price).to_decimal(3), thousandths(row[5]), "message {position}");
                adds += 1;
            }
            if kind == "E" {
                assert_eq!(heads[side.index()], Some(OrderId(order)), "message {position}");
                executions += 1;
            }
        }
        heads = SIDES.map(|side| twin.market.queue(book_id, side).next().map(|(_, id, _, _)| id));
    });
    assert_eq!((adds, executions, rows.next()), (3_995, 1_382, None));
    assert_eq!(twin.anomalies(), []);
    let mut expected = text(&data(&format!("{GARAN}.final_book.csv.gz")).unwrap());
    expected.insert(0, '\n');
    let mut seen = "\nside,rank,order_id,price_x1000,remaining\n".to_owned();
    for (side, letter) in [(Side::Bid, 'B'), (Side::Ask, 'S')] {
        for (rank, (price, id, quantity, _)) in twin.market.queue(BookId(1), side).enumerate() {
            seen += &format!("{letter},{},{},{},{quantity}\n", rank + 1, id.0, price.to_decimal(3));
        }
    }
    assert!(seen == expected.replace('\r', ""), "the final book differs");
}

#[test]
fn a_capture_gives_the_same_events_as_the_plain_file() {
    let Some(path) = data(&format!("{GARAN}.bistech2112.gz")) else { return };
    let events = |path: &Path| {
        let (mut recording, mut slots) = (open(path), Vec::new());
        while recording.next(&mut |slot: Slot| slots.push(slot)).unwrap() != Step::End {}
        slots
    };
    let plain = events(&path);
    let capture = data(&format!("{GARAN}.bistech2112.pcap.gz")).unwrap();
    let captured = events(&capture);
    assert_eq!(plain.len(), captured.len());
    let (mut plain_books, mut captured_books) =
        (Twin::new(OrderKey::BookSideId, 1_000), Twin::new(OrderKey::BookSideId, 1_000));
    for (plain, captured) in plain.iter().zip(&captured) {
        // All but our own clock, which the plain file does not have.
        assert_eq!(plain.as_bytes()[..16], captured.as_bytes()[..16]);
        plain_books.apply(plain);
        captured_books.apply(captured);
    }
    for side in SIDES {
        let queue = |twin: &Twin| twin.market.queue(BookId(1), side).collect::<Vec<_>>();
        assert_eq!(queue(&plain_books), queue(&captured_books));
    }
    // A capture cut out of its frames, as a file of bare datagrams, is the same again.
    let folder = tempfile::tempdir().unwrap();
    let bare = folder.path().join("garan.mold");
    std::fs::write(&bare, payloads(&bytes(&capture))).unwrap();
    let bare = events(&bare);
    assert_eq!(bare.len(), plain.len());
    assert!(bare.iter().zip(&plain).all(|(bare, plain)| bare.as_bytes()[..48] == plain.as_bytes()[..48]));
}

/// UDP payloads of a little-endian capture of plain Ethernet frames: 42 bytes of heads each.
fn payloads(capture: &[u8]) -> Vec<u8> {
    let (mut payloads, mut rest) = (Vec::new(), &capture[24..]);
    while !rest.is_empty() {
        let length = u32::from_le_bytes(rest[8..12].try_into().unwrap()) as usize;
        payloads.extend(&rest[16 + 42..16 + length]);
        rest = &rest[16 + length..];
    }
    payloads
}

/// Row by row: a book that is the true one before the row must be the true one after it.
#[track_caller]
fn each_row_changes_the_book_as_the_oracle_says(messages: &str, oracle: &str, expected_rows: usize) {
    let Some(path) = data(&format!("lobster/{messages}")) else { return };
    let oracle = text(&data(&format!("lobster/{oracle}")).unwrap());
    let messages = text(&path);
    let mut oracle = oracle.lines().map(oracle_row);
    let mut messages = messages.lines();
    let mut recording = open(&path);
    let limits = Limits {
        books_max: 4,
        orders_max: 64,
        levels_max: 64,
        ladder_slots: 1,
        trades_max: 4_096,
        queues: true,
        look_ahead_orders_min: 0,
        key: OrderKey::BookSideId,
        seed: 1,
    };
    let mut market = Market::new(limits);
    let book_id = BookId(1);
    let mut before: Option<[Vec<(i64, u64)>; 2]> = None;
    let mut checked = 0;
    loop {
        let mut slots = Vec::new();
        let Step::Message(taken) = recording.next(&mut |slot| slots.push(slot)).unwrap() else { break };
        if taken.position == 0 {
            continue;
        }
        let after = oracle.next().unwrap();
        let fields: Vec<&str> = messages.next().unwrap().split(',').collect();
        let [slot] = slots[..] else { panic!("row {}: {slots:?}", taken.position) };
        if let Some(before) = before {
            let [size, price]: [i64; 2] = [fields[3].parse().unwrap(), fields[4].parse().unwrap()];
            let (id, side): (u64, usize) = (fields[2].parse().unwrap(), usize::from(fields[5] != "1"));
            market.apply(&System::new(system::SESSION, 0, 0, 0, 0, taken.position).into(), &mut ());
            let stamp = Stamp { book_id, ..Stamp::default() };
            let mut next_id = 1u64 << 60;
            for (index, levels) in before.iter().enumerate() {
                for &(level_price, level_size) in levels {
                    let mut add = |id: u64, size: u64| {
                        let price = Price::from_decimal(level_price, 4).unwrap();
                        market
                            .apply(&OrderEvent::add(stamp, SIDES[index], OrderId(id), price, size, 0).into(), &mut ());
                    };
                    // The order that the row names, with what the row says it has at least; and the others.
                    let mut others = level_size;
                    if matches!(fields[1], "2" | "3" | "4") && index == side && level_price == price {
                        // A partial cancel leaves something of its order.
                        let left = u64::from(fields[1] == "2");
                        let named = (size as u64 + left).min(level_size);
                        add(id, named);
                        others -= named;
                    }
                    if others > 0 {
                        next_id += 1;
                        add(next_id, others);
                    }
                }
            }
            market.apply(&slot, &mut ());
            assert_eq!(market.anomalies().total(), 0, "row {}", taken.position);
            for (index, after) in after.iter().enumerate() {
                let seen: Vec<(i64, u64)> = market
                    .levels(book_id, SIDES[index])
                    .map(|level| (level.price.to_decimal(4), level.quantity))
                    .collect();
                // What was out of sight may come into sight when a level goes.
                let shared = seen.len().min(after.len());
                assert_eq!(seen[..shared], after[..shared], "row {}, {:?}", taken.position, SIDES[index]);
                assert!(after.len() - shared <= 1, "row {}", taken.position);
            }
            checked += 1;
        }
        before = Some(after);
    }
    assert_eq!((checked, oracle.next()), (expected_rows - 1, None));
}

#[test]
fn lobster_rows_change_the_book_as_their_oracle_says() {
    each_row_changes_the_book_as_the_oracle_says(
        "GOOG_2012-06-21_34200000_57600000_message_10.csv.gz",
        "GOOG_2012-06-21_34200000_57600000_orderbook_10.csv.gz",
        147_916,
    );
    each_row_changes_the_book_as_the_oracle_says(
        "AAPL_2012-06-21_34200000_57600000_message_1.csv.gz",
        "AAPL_2012-06-21_34200000_57600000_orderbook_1.csv.gz",
        118_497,
    );
    each_row_changes_the_book_as_the_oracle_says(
        "AAPL_2012-06-21_34200000_57600000_message_10.first999.csv.gz",
        "AAPL_2012-06-21_34200000_57600000_orderbook_10.first999.csv.gz",
        999,
    );
}

#[test]
fn a_plain_replay_of_lobster_files_equals_the_plain_book() {
    for (name, orders_unknown) in [
        ("GOOG_2012-06-21_34200000_57600000_message_10.csv.gz", Some(3_363)),
        ("AAPL_2012-06-21_34200000_37800000_message_50.csv.gz", None),
    ] {
        let Some(path) = data(&format!("lobster/{name}")) else { return };
        let twin = run(&path, OrderKey::BookSideId, 2_000, |_, _, _| {});
        if let Some(expected) = orders_unknown {
            assert_eq!(twin.market.anomalies().get(Anomaly::UnknownOrder), expected, "{name}");
        }
    }
}

/// An exchange's decimal text as an integer with `decimals` decimals.
fn decimal(text: &str, decimals: usize) -> i64 {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    assert!(part.len() <= decimals, "{text}");
    format!("{whole}{part:0<decimals$}").parse().unwrap()
}

#[test]
fn a_crypto_exchange_s_snapshots_agree_as_far_as_they_can() {
    let Some(path) = data("bitstamp-l3/bitstamp_btcusd_20150501_000004-050442.log.gz") else { return };
    let log = text(&path);
    let mut twin = Twin::new(OrderKey::BookSideId, 500);
    let mut agreed = Vec::new();
    let mut kinds = BTreeMap::<&str, u64>::new();
    let (mut levels_agreed, mut levels) = (0, 0);
    let lines = log.lines().count();
    for (number, line) in log.lines().enumerate() {
        let mut parts = line.splitn(3, ' ');
        let (time_ms, kind, json) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
        *kinds.entry(kind).or_default() += 1;
        let json: serde_json::Value = serde_json::from_str(json).unwrap();
        let exchange_ns = time_ms.parse::<u64>().unwrap() * 1_000_000;
        let stamp = Stamp { book_id: BookId(1), exchange_ns, received_ns: exchange_ns, ..Stamp::default() };
        if kind == "order_book" {
            // A level agrees when the book has the exchange's amount at the exchange's price; `first` says that both
            // best levels are ours too.
            let (mut best, mut first) = (true, true);
            for (side, name) in SIDES.into_iter().zip(["bids", "asks"]) {
                let ours: Vec<_> = twin.market.levels(BookId(1), side).collect();
                for (at, theirs) in json[name].as_array().unwrap().iter().enumerate() {
                    let price = decimal(theirs[0].as_str().unwrap(), 2);
                    let amount = decimal(theirs[1].as_str().unwrap(), 8) as u64;
                    let found = ours.iter().position(|ours| ours.price.to_decimal(2) == price);
                    let same = found.is_some_and(|found| ours[found].quantity == amount);
                    levels += 1;
                    levels_agreed += u64::from(same);
                    if at == 0 {
                        best &= same;
                        first &= same && found == Some(0);
                    }
                }
            }
            if number >= lines / 2 {
                agreed.push((best, first));
            }
            continue;
        }
        if kind == "trade" {
            continue;
        }
        let field = |name: &str| json[name].as_str().unwrap();
        let price = Price::from_decimal(decimal(field("price"), 2), 2).unwrap();
        let amount = decimal(field("amount"), 8) as u64;
        let side = if json["order_type"] == 0 { Side::Bid } else { Side::Ask };
        let order = OrderId(json["id"].as_u64().unwrap());
        let event = match kind {
            "order_created" => OrderEvent::add(stamp, side, order, price, amount, 0),
            "order_changed" => OrderEvent::new(stamp, action::MODIFY, side, order, price, amount),
            "order_deleted" => OrderEvent::cancel(stamp, side, order, QUANTITY_REST),
            other => panic!("{other}"),
        };
        twin.apply(&event.into());
    }
    twin.compare_all();
    let expected = [
        ("order_book", 5_011),
        ("order_changed", 602),
        ("order_created", 24_894),
        ("order_deleted", 24_918),
        ("trade", 575),
    ];
    assert_eq!(kinds, BTreeMap::from(expected));
    assert_eq!(twin.market.anomalies().get(Anomaly::UnknownOrder), 213);
    let best = agreed.iter().filter(|(best, _)| *best).count();
    let first = agreed.iter().filter(|(_, first)| *first).count();
    assert_eq!((best, first, agreed.len()), (2_519, 2_518, 2_520));
    assert_eq!((levels_agreed, levels), (179_250, 200_440));
}

#[test]
fn a_futures_exchange_s_records_name_no_unknown_order() {
    for (name, orders) in
        [("esh4-glbx-mdp3-20231224.mbo.dbn.zst", [5_192, 3_533]), ("glbx_20240508_000000_2s.mbo.dbn.zst", [0, 0])]
    {
        let Some(path) = data(&format!("cme-mbo/{name}")) else { return };
        let twin = run(&path, OrderKey::BookSideId, 100, |_, _, _| {});
        assert_eq!(twin.anomalies(), [], "{name}");
        let symbol = if name.starts_with("esh4") { "ESH4" } else { "ESM4" };
        let book_id = twin.market.find(symbol).expect("named by the metadata");
        if orders[0] > 0 {
            assert_eq!(SIDES.map(|side| twin.market.queue(book_id, side).count()), orders);
        }
        let best = |side| twin.market.levels(book_id, side).next().unwrap().price;
        assert!(name.starts_with("esh4") || best(Side::Bid) < best(Side::Ask), "{name}");
    }
}

#[test]
fn snippets_name_as_many_unknown_orders_as_their_readme_says() {
    for (name, expected, named_by_replaces) in [
        ("nasdaq_20191230_0930_1000msgs.itch50", 394, 5),
        ("nasdaq_20191230_0400_500msgs_ADU.itch50", 0, 0),
        ("simulated_ritch_zero_length_prefix.itch50.gz", 117, 0),
    ] {
        let Some(path) = data(&format!("itch50/{name}")) else { return };
        let mut unknown = BTreeMap::<char, u64>::new();
        // New references of replaces of unknown orders. Without the old order nobody knows their side, so the book
        // cannot have them; the README counts them as known.
        let mut named = std::collections::HashSet::new();
        let mut before = 0;
        let twin = run(&path, OrderKey::Id, 100, |twin, _, slots| {
            let now = twin.market.anomalies().get(Anomaly::UnknownOrder);
            if now == before {
                return;
            }
            before = now;
            let (kind, order_id) = match slots[slots.len() - 1].view() {
                View::Order(event) if event.quantity() == QUANTITY_REST => ('D', event.order_id),
                View::Order(event) => ('X', event.order_id),
                View::Replace(event) => {
                    named.insert(event.other_id);
                    ('U', event.order_id)
                }
                View::Execution(event) => ('E', event.order_id),
                other => panic!("{other:?}"),
            };
            if !named.contains(&order_id) {
                *unknown.entry(kind).or_default() += 1;
            }
        });
        assert_eq!(unknown.values().sum::<u64>(), expected, "{name}");
        let counted = twin.market.anomalies().get(Anomaly::UnknownOrder);
        assert_eq!(counted, expected + named_by_replaces, "{name}");
        if expected == 394 {
            assert_eq!(unknown, BTreeMap::from([('D', 137), ('E', 29), ('U', 222), ('X', 6)]));
        }
    }
}

#[test]
fn rows_of_a_book_stand_at_the_messages_that_the_oracle_counts() {
    let Some(path) = data("reencoded/GOOG_20120621.itch50.gz") else { return };
    let query = BookQuery { symbol: "goog".to_owned(), levels: 10 };
    let mut csv = Vec::new();
    let report = inspect::inspect(&path, &RecordingOptions::default(), Some(&query), &mut csv, &mut |_, _| {}).unwrap();
    assert_eq!((report.book, report.rows, report.has_findings()), (Some(BookId(7)), 156_959, false));
    assert_eq!(report.instruments.len(), 1);
    assert_eq!((&report.instruments[0].symbol[..], report.instruments[0].price_decimals), ("GOOG", 4));
    let csv = String::from_utf8(csv).unwrap();
    let mut lines = csv.lines();
    let header = lines.next().unwrap();
    assert!(header.starts_with("seq,ts_event,bid_px_00,bid_sz_00,bid_ct_00,ask_px_00,ask_sz_00,ask_ct_00,bid_px_01,"));
    assert_eq!(header.split(',').count(), 2 + 10 * 6);
    let mut by_seq: BTreeMap<u64, &str> = BTreeMap::new();
    for line in lines {
        assert_eq!(line.split(',').count(), 62);
        let seq = line.split(',').next().unwrap().parse().unwrap();
        assert!(by_seq.insert(seq, line).is_none(), "one row for a message");
    }
    let rows = bytes(&data("reencoded/GOOG_20120621.itch50.rows.u32le.gz").unwrap());
    let oracle = text(&data("lobster/GOOG_2012-06-21_34200000_57600000_orderbook_10.csv.gz").unwrap());
    for (at, (row, oracle)) in rows.chunks(4).zip(oracle.lines()).enumerate().step_by(97) {
        let seq = u64::from(u32::from_le_bytes(row.try_into().unwrap()));
        let line = by_seq.get(&seq).unwrap_or_else(|| panic!("no row for message {seq}"));
        let fields: Vec<&str> = line.split(',').skip(2).collect();
        let expected = oracle_row(oracle);
        for (level, six) in fields.chunks(6).enumerate() {
            for (side, three) in six.chunks(3).enumerate() {
                match expected[side].get(level) {
                    None => assert_eq!(three, ["", "", ""], "row {at}"),
                    Some(&(price, size)) => {
                        assert_eq!((decimal(three[0], 4), three[1].parse()), (price, Ok(size)), "row {at}");
                        assert!(three[2].parse::<u32>().unwrap() > 0);
                    }
                }
            }
        }
    }
}

#[test]
fn a_report_reads_like_its_readme() {
    let Some(path) = data(&format!("{GARAN}.bistech2112.pcap.gz")) else { return };
    let query = BookQuery { symbol: "GARAN".to_owned(), levels: 2 };
    let mut csv = Vec::new();
    let report = inspect::inspect(&path, &RecordingOptions::default(), Some(&query), &mut csv, &mut |_, _| {}).unwrap();
    let text = report.to_string();
    for line in [
        "format       mold-pcap (bistech)",
        "messages     6176",
        "  A          3995",
        "from         2022-09-20 23:13:28",
        "to           2022-09-21 07:02:41",
        "packets      3207 (1 heartbeats, 1 ends of session)",
        "  stream     233.252.0.1:21001 session \"GARAN00001\"",
        "gaps         0 (0 messages missing)",
        "anomalies    0",
        "  GARAN.E      book 1, 3 decimals",
    ] {
        assert!(text.contains(line), "{line:?} is not in\n{text}");
    }
    assert_eq!(report.rows, 3_995 + 1_382 + 617);
    let csv = String::from_utf8(csv).unwrap();
    let seqs: Vec<u64> = csv.lines().skip(1).map(|row| row.split(',').next().unwrap().parse().unwrap()).collect();
    assert!(seqs.is_sorted_by(|a, b| a < b) && seqs[seqs.len() - 1] < 6_176, "the end of messages is no row");

    let Some(path) = data("bist-itch/bist_20140917_moldudp64_v1.2_directory.mold") else { return };
    let report =
        inspect::inspect(&path, &RecordingOptions::default(), None, &mut std::io::sink(), &mut |_, _| {}).unwrap();
    assert!(report.has_findings() && report.to_string().contains("cut short at byte 1881"), "{report}");
    assert_eq!(report.instruments.len(), 19);
}
