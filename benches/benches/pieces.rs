//! Question: what does each piece of the hot path cost alone, with everything it needs in cache?
//!
//! Input: small fixed ones, made before the clock starts. Expects an idle core; run with `cargo bench -p benches --bench
//! pieces`. Finds which piece changed; how fast the whole is, `bist bench` says. Each piece's answer is checked once.

use std::hint::black_box;

use benches::generate::{Format, Plan, generate};
use benches::run::{decode, decode_book, market};
use book::candle::Candles;
use book::checksum::{checksum, checksum_of_text};
use book::market::{Limits, Market, OrderKey};
use book::ring::{Notifier, ring};
use book::slot::{OrderEvent, TickBand, action, rtype};
use book::{Price, Slot};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use distributor::BookFrames;
use zerocopy::FromZeros;

/// One cent of a price, in units of 10⁻⁹.
const CENT: i64 = 10_000_000;

fn order(action: u8, id: u64, cents: i64) -> Slot {
    let mut event = OrderEvent::new_zeroed();
    event.length = 14;
    event.rtype = rtype::ORDER;
    event.book_id = 1;
    event.order_id = id;
    event.price = cents * CENT;
    event.size = 100;
    event.action = action;
    event.side = b'B';
    event.into()
}

/// A market of one book with a ladder from 1 to 20,000 cents.
fn one_book() -> Market {
    let limits = Limits {
        books_max: 1,
        orders_max: 150_000,
        levels_max: 1_000,
        ladder_slots: 50_000,
        key: OrderKey::BookSideId,
        seed: 1,
        ..Limits::default()
    };
    let mut market = Market::new(limits);
    let mut band = TickBand::new_zeroed();
    (band.length, band.rtype, band.book_id) = (16, rtype::TICK_BAND, 1);
    (band.tick, band.from, band.to, band.reference) = (CENT, CENT, 20_000 * CENT, 10_000 * CENT);
    market.apply(&band.into(), &mut ());
    market
}

fn decoders(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    for format in [Format::Itch50, Format::Bistech] {
        let stream = generate(Plan { format, seed: 1, messages: 20_000, symbols: 20, live_orders: 2_000 });
        assert_eq!(decode(&stream.bytes, format).0, stream.messages);
        group.throughput(Throughput::Elements(stream.messages as u64));
        group
            .bench_function(format!("{format:?}"), |bencher| bencher.iter(|| decode(black_box(&stream.bytes), format)));
    }
}

fn books(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("book");
    let plan = Plan { format: Format::Itch50, seed: 1, messages: 20_000, symbols: 20, live_orders: 2_000 };
    let stream = generate(plan);
    group.throughput(Throughput::Elements(stream.messages as u64));
    group.bench_function("decode and apply, in cache", |bencher| {
        bencher.iter_batched_ref(
            || market(&stream, plan.format),
            |market| assert_eq!(decode_book(&stream.bytes, plan.format, market, plan.symbols), stream.best),
            BatchSize::PerIteration,
        );
    });
    group.throughput(Throughput::Elements(2));
    group.bench_function("order index: add and cancel beside 100,000 orders", |bencher| {
        let mut market = one_book();
        (1..=100_000).for_each(|id| market.apply(&order(action::ADD, id, 9_000), &mut ()));
        assert_eq!(market.orders(), 100_000);
        let mut id = 1u64 << 40;
        bencher.iter(|| {
            // Numbers far apart, as of an exchange that uses all 64 bits.
            id = id.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1) | 1 << 40;
            market.apply(&order(action::ADD, id, 9_000), &mut ());
            market.apply(&order(action::CANCEL, id, 9_000), &mut ());
        });
        assert_eq!(market.orders(), 100_000);
    });
    group.bench_function("ladder: the best level comes and goes", |bencher| {
        let mut market = one_book();
        (1..=500).for_each(|id| market.apply(&order(action::ADD, id, id as i64 * 20), &mut ()));
        let mut cents = 10_001;
        bencher.iter(|| {
            cents = if cents > 19_000 { 10_001 } else { cents + 37 };
            market.apply(&order(action::ADD, 1_000, cents), &mut ());
            market.apply(&order(action::CANCEL, 1_000, cents), &mut ());
        });
        assert_eq!(market.orders(), 500);
    });
}

fn rings(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ring");
    let batch = [order(action::ADD, 1, 1); 32];
    group.throughput(Throughput::Elements(32));
    group.bench_function("32 in and out, one thread", |bencher| {
        let (mut producer, mut consumer) = ring("bench", 4_096, Notifier::new());
        bencher.iter(|| {
            let written = producer.push_all(black_box(&batch));
            producer.commit();
            let taken = consumer.drain(usize::MAX, |slot| {
                black_box(slot);
            });
            assert_eq!((written, taken), (Ok(()), 32));
        });
    });
}

fn readers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("reader");
    group.bench_function("checksum of ten levels a side", |bencher| {
        let side: Vec<(Price, u64)> = (0..10).map(|n| (Price((31_250 + n) * CENT), 1_000 + n as u64)).collect();
        let texts: Vec<(String, String)> =
            (0..10).map(|n| (format!("312.{}", 50 + n), format!("{}", 1_000 + n))).collect();
        let texts: Vec<(&str, &str)> = texts.iter().map(|(price, quantity)| (&**price, &**quantity)).collect();
        let expected = checksum_of_text(&texts, &texts);
        bencher.iter(|| assert_eq!(checksum(2, side.iter().copied(), side.iter().copied()), expected));
    });
    group.bench_function("candles: a trade", |bencher| {
        let mut candles = Candles::default();
        let mut exchange_ns = 0;
        let mut closed = 0u64;
        bencher.iter(|| {
            exchange_ns += 10_000_000;
            candles.on_trade(exchange_ns, Price(31_250 * CENT), 100, 0, &mut |_, _| closed += 1);
        });
        assert_eq!(closed > 0, exchange_ns > 1_000_000_000);
    });
    group.bench_function("frame of channel book: an order comes and goes", |bencher| {
        let mut updates = Updates::new();
        let mut id = 1_000;
        bencher.iter(|| {
            id += 1;
            updates.event(&order(action::ADD, id, 10_001));
            updates.event(&order(action::CANCEL, id, 10_001));
        });
        assert!(updates.bytes > 0);
    });
}

/// One generated book with its book thread's turn and the frames behind it.
struct Updates {
    events: book::ring::Producer,
    worker: book::worker::BookWorker,
    reader: book::ring::Consumer,
    frames: BookFrames,
    bytes: usize,
}

impl Updates {
    fn new() -> Self {
        let (events, at_worker) = ring("events", 1_024, Notifier::new());
        let (at_reader, reader) = ring("reader", 1_024, Notifier::new());
        let limits =
            Limits { books_max: 4, orders_max: 1_000, levels_max: 1_000, ladder_slots: 50_000, ..Limits::default() };
        let mut worker = book::worker::BookWorker::new(at_worker, Market::new(limits));
        worker.add_reader(at_reader, book::worker::Detail::Orders, 4);
        let mut updates = Self { events, worker, reader, frames: BookFrames::new(10), bytes: 0 };
        // The directory of a generated stream of one symbol: a frame needs a whole definition.
        let format = Format::Bistech;
        let stream = generate(Plan { format, seed: 1, messages: 4, symbols: 1, live_orders: 1 });
        let mut decoder = benches::input::decoder(format);
        for message in benches::run::messages(&stream.bytes) {
            let mut slots = Vec::new();
            let decoded = decoder.decode(message, Default::default(), &mut |slot: Slot| slots.push(slot));
            assert!(decoded.is_ok());
            slots.iter().for_each(|slot| updates.event(slot));
        }
        updates
    }

    fn event(&mut self, event: &Slot) {
        assert!(self.events.push(*event).is_ok());
        self.worker.do_work(0);
        let Self { reader, frames, bytes, .. } = self;
        reader.drain(usize::MAX, |slot| frames.apply(slot));
        frames.publish(0, |frame| *bytes += frame.len());
    }
}

criterion_group!(all, decoders, books, rings, readers);
criterion_main!(all);
