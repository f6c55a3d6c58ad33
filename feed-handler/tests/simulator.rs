//! The simulated exchange from outside: the bytes it gives, day by day, read by a plain checker that knows nothing but
//! the protocol, and by the platform's own decoder and books, whose answer must be the exchange's own.

#[path = "simulator/days.rs"]
mod days;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Instant;

use book::market::{Limits as MarketLimits, Market};
use book::{BookId, Nanos, Phase, Price, Side};
use days::{SECOND_NS, START_NS, short_day};
use feed_handler::decode::bistech::Decoder;
use feed_handler::decode::sink::Received;
use feed_handler::sim::exchange::ticks::{self, Limits, Milli, NO_PRICE};
use feed_handler::sim::{Clock, Compression, Exchange, Output, SimConfig};
use feed_handler::wire::layout::bistech_2112 as layout;
use feed_handler::wire::layout::moldudp64::Session;
use feed_handler::wire::layout::unpadded;
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

fn read<M: FromBytes + KnownLayout + Immutable + Unaligned>(message: &[u8]) -> &M {
    M::ref_from_bytes(message).expect("a message of its type's length")
}

/// A hash (FNV-1a) and count of everything given.
#[derive(Debug, PartialEq, Eq)]
struct Digest {
    hash: u64,
    messages: u64,
    sessions: Vec<Session>,
}

impl Default for Digest {
    fn default() -> Self {
        Self { hash: 0xcbf2_9ce4_8422_2325, messages: 0, sessions: Vec::new() }
    }
}

impl Digest {
    fn add(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}

impl Output for Digest {
    fn session_begins(&mut self, session: Session) {
        self.sessions.push(session);
        self.add(&session);
    }

    fn message(&mut self, exchange_ns: Nanos, message: &[u8]) {
        self.add(&exchange_ns.to_be_bytes());
        self.add(message);
        self.messages += 1;
    }

    fn session_ends(&mut self) {
        self.add(b"end");
    }
}

/// Runs the whole of `config.days` in steps of `step_ns` (0: one event at a time).
fn digest(config: &SimConfig, step_ns: u64) -> Digest {
    let mut exchange = Exchange::new(config, START_NS).expect("a good configuration");
    let mut digest = Digest::default();
    while let Some(next_ns) = exchange.next_ns() {
        if step_ns == 0 {
            exchange.step(&mut digest);
        } else {
            exchange.advance(next_ns.saturating_add(step_ns), &mut digest);
        }
    }
    digest
}

#[test]
fn the_same_seed_gives_the_same_bytes_however_time_is_cut() {
    let config = SimConfig { rate: 500, days: 2, ..short_day() };
    let whole = digest(&config, u64::MAX);
    assert!(whole.messages > 50_000, "{}", whole.messages);
    assert_eq!(whole.sessions, [*b"S261123000", *b"S261124000"]);
    assert_eq!(whole, digest(&config, 0));
    assert_eq!(whole, digest(&config, 77_777_777));
    assert_ne!(whole.hash, digest(&SimConfig { seed: 2, ..config.clone() }, u64::MAX).hash);
    assert_eq!(digest(&SimConfig { run: 35, ..config }, u64::MAX).sessions, [*b"S26112300Z", *b"S26112400Z"]);
}

/// A receiver that believes nothing: it keeps plain books and checks every rule that it knows.
#[derive(Default)]
struct Checker {
    second: Option<u32>,
    last_ns: Nanos,
    first: Option<u8>,
    last: u8,
    books: BTreeMap<u32, CheckedBook>,
    match_ids: HashSet<u64>,
    counts: HashMap<&'static str, u64>,
    deleted: Option<(u32, u8, u64, Nanos)>,
    /// Traded so far in the auction whose survivors are being shown.
    sessions: u32,
}

/// Rank of an order: price (negative for bids), ranking time, ranking sequence.
type Rank = (i64, u64, u32);
/// Id, quantity left, price.
type Resting = (u64, u64, Milli);

#[derive(Default)]
struct CheckedBook {
    symbol: String,
    bands: Vec<(Milli, Milli, Milli)>,
    state: String,
    states: Vec<String>,
    sides: [BTreeMap<Rank, Resting>; 2],
    keys: [HashMap<u64, Rank>; 2],
    seen_ids: [HashSet<u64>; 2],
    last_trade: Option<Milli>,
    last_z: Option<Milli>,
    /// Key of the last order shown after an auction, to see that the best comes first.
    shown: Option<(usize, Rank)>,
}

impl CheckedBook {
    fn first(&self, side: usize) -> Option<Resting> {
        self.sides[side].values().next().copied()
    }

    fn check_price(&self, price: Milli) {
        assert!(ticks::is_valid(price), "{}: {price} is not on the tick table", self.symbol);
        assert!(
            self.bands.iter().any(|&(tick, from, to)| from <= price && price <= to && price % tick == 0),
            "{}: {price} is not in {:?}",
            self.symbol,
            self.bands
        );
    }

    fn check_not_crossed(&self) {
        if let (Some(bid), Some(ask)) = (self.first(0), self.first(1)) {
            assert!(bid.2 < ask.2, "{} is crossed in {}: {bid:?} {ask:?}", self.symbol, self.state);
        }
    }

    fn execute(&mut self, side: usize, id: u64, quantity: u64) -> Milli {
        let first = self.first(side).expect("an order to trade with");
        assert_eq!(first.0, id, "{}: not the first-ranked order", self.symbol);
        assert!(quantity > 0 && quantity <= first.1, "{}: {quantity} of {first:?}", self.symbol);
        let key = self.keys[side][&id];
        if quantity == first.1 {
            self.sides[side].remove(&key);
            self.keys[side].remove(&id);
        } else {
            self.sides[side].get_mut(&key).expect("the first order").1 -= quantity;
        }
        first.2
    }
}

fn side_of(byte: u8) -> usize {
    match byte {
        b'B' => 0,
        b'S' => 1,
        _ => panic!("side {byte}"),
    }
}

impl Checker {
    fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    fn of(&self, what: &'static str) -> u64 {
        self.counts.get(what).copied().unwrap_or(0)
    }

    fn book(&mut self, book_id: u32) -> &mut CheckedBook {
        self.books.get_mut(&book_id).expect("a book from the directory")
    }

    fn check_clock(&mut self, exchange_ns: Nanos, nanos: u32) {
        let second = self.second.expect("a T before everything else");
        assert!(nanos < 1_000_000_000);
        assert_eq!(u64::from(second) * SECOND_NS + u64::from(nanos), exchange_ns);
        assert!(exchange_ns >= self.last_ns, "time runs backwards");
        self.last_ns = exchange_ns;
    }

    fn trade(&mut self, book_id: u32, match_id: u64, price: Milli) {
        assert!(self.match_ids.insert(match_id), "match id {match_id} twice");
        let book = self.book(book_id);
        book.check_price(price);
        book.last_trade = Some(price);
    }
}

impl Output for Checker {
    fn session_begins(&mut self, _session: Session) {
        self.sessions += 1;
        self.second = None;
        self.first = None;
        self.books.clear();
    }

    fn session_ends(&mut self) {
        assert_eq!(self.last, b'C', "S C is the last message");
    }

    fn message(&mut self, exchange_ns: Nanos, message: &[u8]) {
        let deleted = self.deleted.take();
        let kind = message[0];
        if kind == b'T' {
            let second = read::<layout::Seconds>(message).second.get();
            assert_ne!(self.second, Some(second), "one T per second");
            assert_eq!(u64::from(second), exchange_ns / SECOND_NS);
            self.second = Some(second);
            self.count("T");
            return;
        }
        let nanos = u32::from_be_bytes(message[1..5].try_into().expect("four bytes"));
        self.check_clock(exchange_ns, nanos);
        if self.first.is_none() {
            assert_eq!(read::<layout::SystemEvent>(message).code, b'O', "S O is the first message but T");
            self.first = Some(kind);
        }
        self.last = 0;
        match kind {
            b'S' => {
                self.last = read::<layout::SystemEvent>(message).code;
                self.count("S");
            }
            b'R' => {
                let directory: &layout::OrderBookDirectory = read(message);
                let symbol = String::from_utf8_lossy(unpadded(&directory.symbol)).into_owned();
                assert!(symbol.ends_with(".E"));
                assert_eq!((directory.price_decimals.get(), directory.ranking_type), (3, 1));
                let book = CheckedBook { symbol, ..CheckedBook::default() };
                assert!(self.books.insert(directory.book_id.get(), book).is_none());
                self.count("R");
            }
            b'L' => {
                let size: &layout::TickSize = read(message);
                let band = (size.tick.get() as Milli, size.price_from.get(), size.price_to.get());
                let bands = &mut self.book(size.book_id.get()).bands;
                assert!(bands.last().is_none_or(|last| last.2 + last.0 == band.1), "bands leave a hole");
                bands.push(band);
                self.count("L");
            }
            b'V' => self.count("V"),
            b'O' => {
                let state: &layout::OrderBookState = read(message);
                let name = String::from_utf8_lossy(unpadded(&state.state)).into_owned();
                let book = self.book(state.book_id.get());
                book.state.clone_from(&name);
                book.shown = None;
                if name == "P_DK_TEKFIY_EMIR_TPL" {
                    book.states.push(name);
                    self.count("halt");
                } else if book.states.last() != Some(&name) {
                    book.states.push(name);
                }
                self.count("O");
            }
            b'A' => {
                let add: &layout::AddOrder = read(message);
                let (book_id, side) = (add.book_id.get(), side_of(add.side));
                let (id, price, quantity) = (add.order_id.get(), add.price.get(), add.quantity.get());
                let replaced = deleted == Some((book_id, add.side, id, exchange_ns));
                let rank = (add.ranking_ns.get(), add.ranking_sequence.get());
                let book = self.book(book_id);
                let showing = book.state == "P_ESLESTIRME";
                assert!(showing || matches!(book.state.as_str(), "P_SUREKLI_ISLEM" | "P_KAPANIS_FIY_ISLEM"));
                assert!(price != NO_PRICE, "market orders never rest visibly");
                book.check_price(price);
                assert!(quantity > 0 && rank.0 <= exchange_ns);
                let key = (if side == 0 { -i64::from(price) } else { i64::from(price) }, rank.0, rank.1);
                assert!(book.sides[side].insert(key, (id, quantity, price)).is_none(), "two orders of one rank");
                assert!(book.keys[side].insert(id, key).is_none(), "{}: {id} rests already", book.symbol);
                let known = !book.seen_ids[side].insert(id);
                if showing {
                    assert!(book.shown < Some((side, key)), "bids before asks, best first");
                    book.shown = Some((side, key));
                    self.count("shown after an auction");
                } else {
                    book.check_not_crossed();
                    if replaced {
                        self.count("replaced");
                        if rank.0 < exchange_ns {
                            self.count("replaced with its rank");
                        }
                    } else if known {
                        self.count("refilled");
                    }
                }
                self.count("A");
            }
            b'D' => {
                let delete: &layout::OrderDelete = read(message);
                let (side, id) = (side_of(delete.side), delete.order_id.get());
                let book = self.book(delete.book_id.get());
                let key = book.keys[side].remove(&id).expect("an order that rests");
                book.sides[side].remove(&key);
                self.deleted = Some((delete.book_id.get(), delete.side, id, exchange_ns));
                self.count("D");
            }
            b'E' => {
                let executed: &layout::OrderExecuted = read(message);
                let book_id = executed.book_id.get();
                let book = self.book(book_id);
                assert!(matches!(book.state.as_str(), "P_SUREKLI_ISLEM" | "P_KAPANIS_FIY_ISLEM"), "{}", book.state);
                let price = book.execute(side_of(executed.side), executed.order_id.get(), executed.quantity.get());
                self.trade(book_id, executed.match_id.get(), price);
                self.count("E");
            }
            b'C' => {
                let executed: &layout::OrderExecutedPrice = read(message);
                let book_id = executed.book_id.get();
                let (price, cross) = (executed.price.get(), executed.cross == b'Y');
                assert_eq!(executed.printable, b'Y');
                let book = self.book(book_id);
                assert_eq!(cross, book.state == "P_ESLESTIRME");
                if cross {
                    assert_eq!(Some(price), book.last_z, "an auction trades at the price last indicated");
                }
                let own = book.execute(side_of(executed.side), executed.order_id.get(), executed.quantity.get());
                assert!(if executed.side == b'B' { own >= price } else { own <= price });
                self.trade(book_id, executed.match_id.get(), price);
                self.count(if cross { "C in an auction" } else { "C at the close" });
            }
            b'P' => {
                let trade: &layout::Trade = read(message);
                let book_id = trade.book_id.get();
                let (price, cross) = (trade.price.get(), trade.cross == b'Y');
                let book = self.book(book_id);
                assert_eq!(cross, book.state == "P_ESLESTIRME");
                if cross {
                    assert_eq!(Some(price), book.last_z);
                    assert!(book.shown.is_none(), "trades come before the orders that are left");
                }
                assert!(trade.quantity.get() > 0 && trade.printable == b'Y');
                self.trade(book_id, trade.match_id.get(), price);
                self.count(if cross { "P in an auction" } else { "P of a reserve" });
            }
            b'Y' => {
                let book = self.book(read::<layout::OrderBookFlush>(message).book_id.get());
                for side in 0..2 {
                    book.sides[side].clear();
                    book.keys[side].clear();
                }
                self.count("Y");
            }
            b'Z' => {
                let price: &layout::EquilibriumPrice = read(message);
                let book = self.book(price.book_id.get());
                assert!(book.sides.iter().all(BTreeMap::is_empty), "an auction shows no orders");
                assert!(
                    matches!(
                        book.state.as_str(),
                        "P_ACS_EMR_TP_PY_EIY" | "P_MARJ_YAYIN" | "P_KAPANIS_EMIR_TPL" | "P_DK_TEKFIY_EMIR_TPL"
                    ),
                    "{}",
                    book.state
                );
                let at = price.price.get();
                book.last_z = (at != NO_PRICE).then_some(at);
                if at != NO_PRICE {
                    book.check_price(at);
                    assert!(price.bid_quantity.get() > 0 && price.ask_quantity.get() > 0);
                }
                self.count("Z");
            }
            other => panic!("type {other}"),
        }
    }
}

/// Runs everything through the checker and compares all books now and then: what the checker has is what the
/// exchange says it has.
fn check(config: &SimConfig, every_s: u64) -> (Exchange, Checker) {
    let mut checker = Checker::default();
    let mut exchange = Exchange::new(config, START_NS).expect("a good configuration");
    while exchange.next_ns().is_some() {
        let until_ns = exchange.next_ns().unwrap_or(0) + every_s * SECOND_NS;
        exchange.advance(until_ns, &mut checker);
        for (&book_id, book) in &checker.books {
            for (at, side) in [Side::Bid, Side::Ask].into_iter().enumerate() {
                let own: Vec<_> =
                    exchange.orders(book_id, side).iter().map(|order| (order.id, order.visible, order.price)).collect();
                let seen: Vec<_> = book.sides[at].values().copied().collect();
                assert_eq!(own, seen, "{} {side:?} at {}", book.symbol, checker.last_ns);
                let levels = exchange.levels(book_id, side);
                assert_eq!(levels.iter().map(|level| u64::from(level.count)).sum::<u64>(), own.len() as u64);
            }
        }
    }
    (exchange, checker)
}

#[test]
fn other_seeds_rates_and_sizes_obey_it_too() {
    for seed in 2..7 {
        let clock = Clock::Compressed(Compression { speed: 600, auction_speed: 480, halt_divisor: 6 });
        let config = SimConfig {
            seed,
            rate: 600 * seed as u32,
            symbols_max: 4 * seed as usize - 7,
            clock,
            days: 2,
            ..SimConfig::default()
        };
        let (exchange, checker) = check(&config, 1_200);
        assert_eq!((exchange.halts(), checker.of("S")), (checker.of("halt"), 4), "seed {seed}");
    }
}

#[test]
fn a_day_obeys_the_protocol() {
    let (exchange, checker) = check(&short_day(), 120);
    println!("{:?}", checker.counts);
    assert_eq!((checker.of("S"), checker.of("R"), checker.of("V")), (2, 50, 50));
    for what in [
        "Z",
        "halt",
        "shown after an auction",
        "replaced",
        "replaced with its rank",
        "refilled",
        "P in an auction",
        "P of a reserve",
        "C in an auction",
        "E",
    ] {
        assert!(checker.of(what) > 0, "no {what} in a whole day");
    }
    assert_eq!(checker.of("halt"), exchange.halts());
    let halted = ["P_SUREKLI_ISLEM", "P_DK_TEKFIY_EMIR_TPL", "P_ESLESTIRME", "P_SUREKLI_ISLEM"];
    let mut halts = 0;
    for book in checker.books.values() {
        let mut states: Vec<&str> = book.states.iter().map(String::as_str).collect();
        while let Some(at) = states.windows(4).position(|window| window == halted) {
            states.drain(at..at + 3);
            halts += 1;
        }
        assert_eq!(
            states,
            [
                "NONE",
                "P_ACS_EMR_TP_PY_EIY",
                "P_MARJ_YAYIN",
                "P_ESLESTIRME",
                "P_SUREKLI_ISLEM",
                "P_MARJ_YAYIN_KAPANIS",
                "P_KAPANIS_EMIR_TPL",
                "P_ESLESTIRME",
                "P_MARJ_YAYIN_KAPANIS",
                "P_KAPANIS_FIY_ISLEM",
                "P_GUNSONU_ISLEMLERI"
            ],
            "{}",
            book.symbol
        );
    }
    assert_eq!(halts, checker.of("halt"), "every halt is followed by an auction and by trading");
    // One Y before the opening auction, one before the closing one, one at the end, one per halt.
    assert_eq!(checker.of("Y"), 150 + halts);
}

#[test]
fn yesterday_s_close_is_today_s_base() {
    let config = SimConfig { days: 3, rate: 300, ..short_day() };
    let mut exchange = Exchange::new(&config, START_NS).expect("a good configuration");
    let mut checker = Checker::default();
    for expected in [20_261_123, 20_261_124, 20_261_125] {
        assert_eq!(exchange.yyyymmdd(), expected);
        let bases: Vec<_> = exchange.books().map(|book| (book.0, book.2, book.3)).collect();
        assert!(!exchange.advance(u64::MAX, &mut checker), "the day ends");
        for &(book_id, base, limits) in &bases {
            assert_eq!(limits, Limits::around(base, 10));
            let book = &checker.books[&book_id];
            assert_eq!((book.bands[0].1, book.bands[book.bands.len() - 1].2), (limits.low, limits.high));
        }
        if exchange.next_ns().is_some() {
            for (book_id, ticker, base, _) in exchange.books() {
                let last = checker.books[&book_id].last_trade;
                assert_eq!(Some(base), last, "{ticker}");
            }
        }
    }
    assert_eq!((checker.sessions, exchange.next_ns()), (3, None));
}

#[test]
fn spreads_stay_tight_and_books_full_for_hours() {
    let config = SimConfig { halts: false, ..SimConfig::default() };
    let mut exchange = Exchange::new(&config, START_NS).expect("a good configuration");
    let opens_ns = exchange.schedule().continuous_ns;
    let books: Vec<_> = exchange.books().collect();
    let mut digest = Digest::default();
    let mut spreads = Vec::new();
    for minute in 1..150 {
        exchange.advance(opens_ns + minute * 60 * SECOND_NS, &mut digest);
        for &(book_id, ticker, _, limits) in &books {
            let [bids, asks] = [Side::Bid, Side::Ask].map(|side| exchange.levels(book_id, side));
            let (Some(bid), Some(ask)) = (bids.first(), asks.first()) else {
                assert!(
                    bids.first().is_some_and(|bid| bid.price == limits.high)
                        || asks.first().is_some_and(|ask| ask.price == limits.low),
                    "{ticker}: a side is empty away from the limits"
                );
                continue;
            };
            spreads.push(ticks::rank(ask.price) - ticks::rank(bid.price));
            assert!(bids.len() >= 5 && asks.len() >= 5, "{ticker}: {} and {} levels", bids.len(), asks.len());
        }
    }
    spreads.sort_unstable();
    let at = |permille: usize| spreads[(spreads.len() - 1) * permille / 1_000];
    println!("spread in ticks: p50 {} p90 {} p99 {} most {}", at(500), at(900), at(990), at(1_000));
    assert!(at(500) <= 3 && at(900) <= 8 && at(990) <= 15);
}

/// Sends everything through the platform's decoder into its books.
struct Platform {
    decoder: Decoder,
    market: Market,
}

impl Output for Platform {
    fn session_begins(&mut self, _session: Session) {
        self.decoder.reset();
    }

    fn session_ends(&mut self) {}

    fn message(&mut self, exchange_ns: Nanos, message: &[u8]) {
        let market = &mut self.market;
        let received = Received { received_ns: exchange_ns, ..Received::default() };
        let decoded = self.decoder.decode(message, received, &mut |slot| market.apply(&slot, &mut ()));
        assert_eq!(decoded, Ok(()), "{message:?}");
    }
}

#[test]
fn decoded_books_are_the_exchange_s_own() {
    let mut exchange = Exchange::new(&short_day(), START_NS).expect("a good configuration");
    let mut platform = Platform { decoder: Decoder::new(64, None), market: Market::new(MarketLimits::default()) };
    let mut compared = 0;
    while let Some(next_ns) = exchange.next_ns() {
        exchange.advance(next_ns + 97 * SECOND_NS, &mut platform);
        let ids: Vec<u32> = exchange.books().map(|book| book.0).collect();
        for book_id in ids {
            for side in [Side::Bid, Side::Ask] {
                let own: Vec<_> = exchange
                    .levels(book_id, side)
                    .iter()
                    .map(|level| (Price::from_decimal(level.price.into(), 3), level.quantity, level.count))
                    .collect();
                let seen: Vec<_> = platform
                    .market
                    .levels(BookId(book_id), side)
                    .map(|level| (Some(level.price), level.quantity, level.count))
                    .collect();
                assert_eq!(own, seen, "book {book_id} {side:?}");
                compared += own.len();
            }
        }
        platform.market.check_invariants();
    }
    assert!(compared > 100_000, "{compared} levels compared");
    let anomalies = platform.market.anomalies();
    assert_eq!(anomalies.total(), 0, "{:?}", anomalies.iter().collect::<Vec<_>>());
    for book in platform.market.books() {
        assert_eq!(book.phase(), Phase::Closed, "{}", book.symbol());
        assert!(!book.maybe_bad());
    }
}

/// Messages of continuous trading in `wall_s` seconds of the planned wall clock after `skip_s`.
fn continuous_rate(config: &SimConfig, skip_s: u64, wall_s: u64) -> f64 {
    struct Count(u64);
    impl Output for Count {
        fn session_begins(&mut self, _session: Session) {}
        fn message(&mut self, _exchange_ns: Nanos, _message: &[u8]) {
            self.0 += 1;
        }
        fn session_ends(&mut self) {}
    }
    let mut exchange = Exchange::new(config, START_NS).expect("a good configuration");
    let mut count = Count(0);
    let opens_ns = exchange.timeline().planned_ns(exchange.schedule().continuous_ns);
    let from_ns = exchange.timeline().exchange_ns(opens_ns + skip_s * SECOND_NS);
    exchange.advance(from_ns, &mut count);
    let before = count.0;
    let until_ns = exchange.timeline().exchange_ns(opens_ns + (skip_s + wall_s) * SECOND_NS);
    exchange.advance(until_ns, &mut count);
    (count.0 - before) as f64 / wall_s as f64
}

#[test]
fn the_rate_holds_on_the_wall_clock_whatever_the_compression() {
    let compressed = |speed| Clock::Compressed(Compression { speed, ..Compression::default() });
    for (clock, rate, skip_s, wall_s, tolerance) in [
        (compressed(10), 2_000, 0, 120, 0.05),
        (compressed(10), 2_000, 30, 300, 0.05),
        (compressed(1), 2_000, 150, 120, 0.05),
        (compressed(100), 2_000, 0, 60, 0.06),
        (compressed(10), 100, 0, 600, 0.08),
        (compressed(10), 50_000, 2, 10, 0.10),
        (Clock::Real, 500, 150, 120, 0.08),
    ] {
        let config = SimConfig { rate, clock, halts: false, ..SimConfig::default() };
        let began = Instant::now();
        let seen = continuous_rate(&config, skip_s, wall_s);
        println!("{clock:?}: {rate} wanted, {seen:.0} seen, made in {:?}", began.elapsed());
        assert!((seen / f64::from(rate) - 1.0).abs() < tolerance, "{clock:?}: {seen} for {rate}");
    }
}

#[test]
fn numbers_out_of_range_are_refused() {
    for (config, field) in [
        (SimConfig { rate: 0, ..SimConfig::default() }, "rate"),
        (SimConfig { symbols_max: 51, ..SimConfig::default() }, "symbols_max"),
        (SimConfig { symbols_max: 0, ..SimConfig::default() }, "symbols_max"),
        (SimConfig { run: 46_656, ..SimConfig::default() }, "run"),
        (
            SimConfig {
                clock: Clock::Compressed(Compression { speed: 0, ..Compression::default() }),
                ..SimConfig::default()
            },
            "speed",
        ),
    ] {
        assert_eq!(Exchange::new(&config, START_NS).err().map(|error| error.field), Some(field));
    }
    let one = SimConfig { symbols_max: 1, days: 1, rate: 200, ..short_day() };
    let mut checker = Checker::default();
    Exchange::new(&one, START_NS).expect("one share is enough").advance(u64::MAX, &mut checker);
    assert_eq!(checker.of("R"), 1);
}

#[test]
fn a_real_clock_joins_the_day_at_its_time() {
    let config = SimConfig { clock: Clock::Real, rate: 200, ..SimConfig::default() };
    let mut exchange = Exchange::new(&config, START_NS).expect("a good configuration");
    assert_eq!(exchange.schedule().directory_ns, START_NS);
    assert_eq!(exchange.timeline().planned_ns(START_NS + 7), START_NS + 7);
    let mut checker = Checker::default();
    exchange.advance(START_NS + 10 * SECOND_NS, &mut checker);
    assert!(checker.books.values().all(|book| book.state == "P_SUREKLI_ISLEM"));
    assert!(checker.of("E") > 0);

    // On a Saturday a session day begins at once.
    let saturday_ns = START_NS + 5 * 86_400 * SECOND_NS;
    let exchange = Exchange::new(&config, saturday_ns).expect("a good configuration");
    assert_eq!(exchange.yyyymmdd(), 20_261_130);
    let opens_ns = exchange.timeline().planned_ns(exchange.schedule().continuous_ns);
    assert!(opens_ns - saturday_ns <= 3 * SECOND_NS);
}
