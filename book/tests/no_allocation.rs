//! The book thread's turn takes no memory after construction: definitions, orders on and off the ladder, executions,
//! a session change, a reader whose ring overflows and its snapshots.

use book::anomaly::Anomaly;
use book::market::{Limits, Market, OrderKey};
use book::order_interest::{OrderInterest, order_interest};
use book::ring::{Notifier, ring};
use book::slot::{self, Execution, OrderEvent, QUANTITY_REST, Stamp, State, Symbol, System, TickBand, rtype, system};
use book::worker::{BookWorker, Detail};
use book::{BookId, OrderId, Phase, Price, Side, Slot};

/// How often `work` took memory, or gave back or moved what was taken before.
fn taken(work: impl FnOnce()) -> u64 {
    let info = allocation_counter::measure(work);
    info.count_total + info.count_current.unsigned_abs()
}

/// A day in small: two epochs of 40 books with 3,000 orders each way.
fn events() -> Vec<Slot> {
    let mut events = Vec::new();
    for epoch in 1..3 {
        events.push(System::new(system::SESSION, epoch, 1, 0, 0, epoch).into());
        for book in 1..=40u32 {
            let stamp = stamp(book, epoch * 1_000_000_000);
            let mut symbol = [b' '; 32];
            symbol[..6].copy_from_slice(format!("T{book:03}.E").as_bytes());
            let head = (16, 0x80, b'N');
            events.push(Slot::from(Symbol {
                length: head.0,
                rtype: rtype::SYMBOL,
                flags: head.1,
                side: head.2,
                book_id: book,
                exchange_ns: stamp.exchange_ns,
                seq: 0,
                received_ns: 0,
                symbol,
            }));
            events.push(Slot::from(TickBand {
                length: head.0,
                rtype: rtype::TICK_BAND,
                flags: head.1,
                side: head.2,
                book_id: book,
                exchange_ns: stamp.exchange_ns,
                seq: 0,
                received_ns: 0,
                tick: 10,
                from: 9_000,
                to: 11_000,
                reference: Price::NONE.0,
            }));
            events.push(State::new(stamp, Phase::Continuous, b"P_SUREKLI_ISLEM").into());
        }
        for order in 0..3_000u64 {
            let stamp = stamp((order % 40) as u32 + 1, (epoch * 10_000 + order) * 10_000_000);
            let (bid, ask) = (9_990 - (order as i64 % 90) * 10, 10_010 + (order as i64 % 90) * 10);
            // Every seventh lies off the ladder's grid.
            let off = i64::from(order % 7 == 0);
            events.push(OrderEvent::add(stamp, Side::Bid, OrderId(order), Price(bid + off), 10, 0).into());
            events.push(OrderEvent::add(stamp, Side::Ask, OrderId(order), Price(ask - off), 10, 0).into());
            if order % 3 == 0 {
                let id = OrderId(order / 2);
                events.push(Execution::new(rtype::EXECUTION, stamp, Side::Bid, id, order, Price::NONE, 4, 0).into());
            }
            if order % 9 == 0 {
                let broken = slot::conditions::BROKEN;
                let trade = (rtype::TRADE, Side::None, OrderId(0), order, Price::NONE, 0);
                events.push(Execution::new(trade.0, stamp, trade.1, trade.2, trade.3, trade.4, trade.5, broken).into());
            }
            if order % 2 == 0 {
                events.push(OrderEvent::cancel(stamp, Side::Ask, OrderId(order), QUANTITY_REST).into());
            }
        }
    }
    events
}

fn stamp(book: u32, exchange_ns: u64) -> Stamp {
    Stamp { book_id: BookId(book), exchange_ns, ..Stamp::default() }
}

#[test]
fn a_turn_of_the_book_thread_takes_no_memory() {
    turns_take_no_memory(true);
}

#[test]
fn nor_does_one_without_queues() {
    turns_take_no_memory(false);
}

fn turns_take_no_memory(queues: bool) {
    let limits = Limits {
        books_max: 64,
        orders_max: 20_000,
        levels_max: 5_000,
        ladder_slots: 40_000,
        trades_max: 4_096,
        queues,
        look_ahead_orders_min: 0,
        key: OrderKey::BookSideId,
        seed: 3,
    };
    let events = events();
    let (mut producer, consumer) = ring("events", 4_096, Notifier::new());
    let (quick, mut quick_reader) = ring("quick", 1 << 15, Notifier::new());
    let (slow, mut slow_reader) = ring("slow", 1_024, Notifier::new());
    let mut stage = BookWorker::new(consumer, Market::new(limits));
    stage.add_reader(quick, Detail::Orders, limits.books_max);
    stage.add_reader(slow, Detail::Levels, limits.books_max);
    let (requesting, mut requesting_reader) = ring("requesting", 1_024, Notifier::new());
    let (mut sender, receiver) = order_interest(limits.books_max, Notifier::new());
    stage.add_reader(requesting, Detail::OnRequest(receiver), limits.books_max);

    let taken = taken(|| {
        for (turn, chunk) in events.chunks(1_000).enumerate() {
            producer.push_all(chunk).expect("room");
            producer.commit();
            while stage.has_work() {
                stage.do_work(1);
            }
            quick_reader.drain(usize::MAX, |_| {});
            // Another book each turn; what was asked for before is answered by then.
            let book_id = BookId(1 + turn as u32 % 40);
            sender.ask(OrderInterest { book_id, orders: turn % 80 < 40 }).expect("room");
            while stage.has_work() || stage.has_waiting_readers() {
                requesting_reader.drain(usize::MAX, |_| {});
                slow_reader.drain(if turn % 3 == 2 { usize::MAX } else { 0 }, |_| {});
                if stage.do_work(1) == 0 {
                    break;
                }
            }
            // The slow one reads now and then: it overflows, and gets snapshots.
            if turn % 3 == 2 {
                slow_reader.drain(usize::MAX, |_| {});
                stage.do_work(1);
            }
        }
    });

    assert_eq!(taken, 0, "allocations or releases during the turns");
    assert_eq!(stage.market().books().len(), 40);
    assert!(stage.market().books().iter().all(book::market::Book::has_ladder));
    assert!(stage.market().orders() > 1_000);
    // Of 668 breaks some name a trade of their book, and most none.
    let unknown = stage.market().anomalies().get(Anomaly::BrokenTrade);
    assert!((1..668).contains(&unknown), "{unknown}");
    let mut samples = Vec::new();
    book::metrics::MetricSource::collect(&*stage.metrics(), &mut samples);
    let counted = |name: &str| samples.iter().any(|s| s.name == name && s.value != book::metrics::Value::Counter(0));
    assert!(counted("bist_book_order_interest_total"));
    assert!(counted("bist_book_snapshots_total") && counted("bist_book_reader_gaps_total"), "{samples:?}");
}
