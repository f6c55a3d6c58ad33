//! Synthetic NASDAQ ITCH 5.0 and BISTECH ITCH streams of any size, by seed.
//!
//! Executions always hit the head of the best level, books never cross, every reference is known: the stream is what a
//! correct exchange would send. Prices lie within ticks of the touch with a tail far away, symbols are busy by Zipf's
//! law, messages come in bursts. The mix is that of a NASDAQ day (adds 42 %, deletes 40 %, replaces 8 %, executions
//! 5 %, cancels 3 %, the rest directory, trades and time).

use std::collections::{BTreeMap, VecDeque};

use feed_handler::layout::bistech_2112 as bistech;
use feed_handler::layout::itch_5_0 as itch50;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Exp1, Geometric, LogNormal, Zipf};
use zerocopy::{FromZeros, IntoBytes};

/// Message format of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// NASDAQ TotalView-ITCH 5.0.
    Itch50,
    /// BISTECH ITCH 2112; order ids use all 64 bits.
    Bistech,
}

/// What to generate.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Format.
    pub format: Format,
    /// Decides everything.
    pub seed: u64,
    /// Messages in all, directory included.
    pub messages: usize,
    /// Symbols, 1..=65,000.
    pub symbols: usize,
    /// Resting orders that the stream grows to.
    pub live_orders: usize,
}

/// A generated stream.
#[derive(Clone, Debug)]
pub struct Stream {
    /// Messages, each behind its length as two big-endian bytes.
    pub bytes: Vec<u8>,
    /// How many.
    pub messages: usize,
    /// Resting orders at the end.
    pub live_orders: usize,
    /// Best bid and ask (in units of 10⁻⁴, with their quantity) of every symbol at the end.
    pub best: Vec<[Option<(u32, u64)>; 2]>,
}

struct Order {
    id: u64,
    symbol: u32,
    bid: bool,
    price: u32,
    quantity: u32,
    /// Place in `Generator::live`.
    at: u32,
}

#[derive(Default)]
struct Side {
    levels: BTreeMap<u32, (VecDeque<u32>, u64)>,
}

struct Generator {
    rng: ChaCha8Rng,
    plan: Plan,
    bytes: Vec<u8>,
    messages: usize,
    books: Vec<[Side; 2]>,
    middle: Vec<u32>,
    orders: Vec<Order>,
    free: Vec<u32>,
    live: Vec<u32>,
    next_id: u64,
    match_id: u64,
    now_ns: u64,
    second: u64,
}

/// 09:30 in New York, and the day all streams are of, in UTC (1 Jun 2026 00:00 in Istanbul).
const OPEN_NS: u64 = 34_200_000_000_000;
const DAY_S: u64 = 1_780_261_200;
const TICK: u32 = 100;

/// Makes a stream.
///
/// # Panics
/// When the plan asks for no symbols or more than 65,000.
#[must_use]
pub fn generate(plan: Plan) -> Stream {
    assert!((1..=65_000).contains(&plan.symbols), "symbols must be in 1..=65000");
    let mut generator = Generator {
        rng: ChaCha8Rng::seed_from_u64(plan.seed),
        plan,
        bytes: Vec::with_capacity(plan.messages * 32),
        messages: 0,
        books: (0..plan.symbols).map(|_| Default::default()).collect(),
        middle: Vec::new(),
        orders: Vec::new(),
        free: Vec::new(),
        live: Vec::with_capacity(plan.live_orders),
        next_id: 1,
        match_id: 1,
        now_ns: OPEN_NS,
        second: 0,
    };
    generator.run();
    let best = generator.books.iter().map(|sides| {
        let of = |level: Option<(&u32, &(VecDeque<u32>, u64))>| level.map(|(&price, &(_, quantity))| (price, quantity));
        [of(sides[0].levels.last_key_value()), of(sides[1].levels.first_key_value())]
    });
    Stream {
        best: best.collect(),
        messages: generator.messages,
        live_orders: generator.live.len(),
        bytes: generator.bytes,
    }
}

impl Generator {
    fn run(&mut self) {
        for symbol in 0..self.plan.symbols {
            self.middle.push(self.rng.random_range(50..4_000) * 50 * TICK / 50 + 20 * TICK);
            self.directory(symbol);
        }
        #[allow(clippy::cast_precision_loss)] // a count of symbols
        let zipf = Zipf::new(self.plan.symbols as f64, 1.0).expect("a positive count");
        let burst = Geometric::new(1.0 / 13.0).expect("a probability");
        let mut left_in_burst = 0;
        let mut symbol = 0;
        while self.messages < self.plan.messages {
            if left_in_burst == 0 {
                left_in_burst = burst.sample(&mut self.rng) + 1;
                let pause: f64 = self.rng.sample(Exp1);
                self.pass((pause * 20_000.0) as u64);
            }
            left_in_burst -= 1;
            let step = self.rng.random_range(50..1_000);
            self.pass(step);
            if self.rng.random_bool(0.6) {
                symbol = zipf.sample(&mut self.rng) as usize - 1;
            }
            self.one(symbol);
        }
    }

    fn pass(&mut self, ns: u64) {
        self.now_ns += ns;
        let second = self.now_ns / 1_000_000_000;
        if self.plan.format == Format::Bistech && second != self.second {
            self.second = second;
            let second = (DAY_S + second) as u32;
            self.write(bistech::Seconds { kind: b'T', second: second.into() }.as_bytes());
        }
    }

    /// One message about a symbol, or about a random old order.
    fn one(&mut self, symbol: usize) {
        let full = self.live.len() >= self.plan.live_orders;
        // Shares of the mix; adds give way to deletes once the stream is as wide as asked for.
        let (add, delete) = if full { (0.40, 0.83) } else { (0.446, 0.835) };
        let dice: f64 = self.rng.random();
        if dice < add || self.live.is_empty() {
            self.add(symbol);
        } else if dice < delete {
            let order = self.pick();
            self.delete(order);
        } else if dice < 0.915 {
            let order = self.pick();
            self.replace(order);
        } else if dice < 0.967 {
            self.execute(symbol);
        } else if dice < 0.992 {
            let order = self.pick();
            self.cancel(order);
        } else {
            self.trade(symbol);
        }
    }

    /// A live order, the younger the likelier.
    fn pick(&mut self) -> u32 {
        let age: f64 = self.rng.sample(Exp1);
        #[allow(clippy::cast_precision_loss)] // a count of orders
        let back = (age * self.live.len() as f64 / 6.0) as usize % self.live.len();
        self.live[self.live.len() - 1 - back]
    }

    fn price(&mut self, symbol: usize, bid: bool) -> u32 {
        let side = &self.books[symbol];
        let touch = if bid { side[1].levels.first_key_value() } else { side[0].levels.last_key_value() };
        let middle = self.middle[symbol];
        let touch = touch.map_or(if bid { middle + TICK } else { middle - TICK }, |(&price, _)| price);
        let away = if self.rng.random_bool(0.03) {
            self.rng.random_range(1..400)
        } else {
            let near: f64 = self.rng.sample(Exp1);
            1 + (near * 4.0) as u32
        };
        let away = away * TICK;
        if bid { touch.saturating_sub(away).max(TICK) } else { touch + away }
    }

    fn quantity(&mut self) -> u32 {
        let size: f64 = LogNormal::new(4.6, 0.9).expect("finite").sample(&mut self.rng);
        (size as u32).clamp(1, 50_000)
    }

    fn id(&mut self) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        match self.plan.format {
            Format::Itch50 => id,
            // All 64 bits, neighbours in time are neighbours in number, as in real ones.
            Format::Bistech => 0x69C5_1234_0000_0000 ^ (id << 20) ^ (id & 0xFFF),
        }
    }

    fn add(&mut self, symbol: usize) {
        let bid = self.rng.random_bool(0.5);
        let (price, quantity, id) = (self.price(symbol, bid), self.quantity(), self.id());
        let (ns, locate) = (self.now_ns, symbol as u32 + 1);
        match self.plan.format {
            Format::Itch50 => {
                let (locate, time) = ((locate as u16).into(), itch50::TrackedNanos::new(0, ns));
                if self.rng.random_bool(0.02) {
                    let message = itch50::AddOrderParticipant {
                        kind: b'F',
                        locate,
                        time,
                        reference: id.into(),
                        side: side_byte(bid),
                        shares: quantity.into(),
                        stock: stock(symbol),
                        price: price.into(),
                        participant: *b"MPID",
                    };
                    self.write(message.as_bytes());
                } else {
                    let message = itch50::AddOrder {
                        kind: b'A',
                        locate,
                        time,
                        reference: id.into(),
                        side: side_byte(bid),
                        shares: quantity.into(),
                        stock: stock(symbol),
                        price: price.into(),
                    };
                    self.write(message.as_bytes());
                }
            }
            Format::Bistech => self.bistech_add(symbol, bid, price, quantity, id),
        }
        self.rest(symbol, bid, price, quantity, id);
    }

    fn bistech_add(&mut self, symbol: usize, bid: bool, price: u32, quantity: u32, id: u64) {
        let ns = self.now_ns;
        let message = bistech::AddOrder {
            kind: b'A',
            nanos: ((ns % 1_000_000_000) as u32).into(),
            order_id: id.into(),
            book_id: (symbol as u32 + 1).into(),
            side: side_byte(bid),
            ranking_sequence: ((self.messages as u32) | 1).into(),
            quantity: u64::from(quantity).into(),
            price: (price as i32).into(),
            attributes: 0.into(),
            lot_type: 2,
            ranking_ns: (DAY_S * 1_000_000_000 + ns).into(),
        };
        self.write(message.as_bytes());
    }

    fn rest(&mut self, symbol: usize, bid: bool, price: u32, quantity: u32, id: u64) {
        let order = Order { id, symbol: symbol as u32, bid, price, quantity, at: self.live.len() as u32 };
        let slot = match self.free.pop() {
            Some(slot) => {
                self.orders[slot as usize] = order;
                slot
            }
            None => {
                self.orders.push(order);
                self.orders.len() as u32 - 1
            }
        };
        self.live.push(slot);
        let level = self.books[symbol][usize::from(!bid)].levels.entry(price).or_default();
        level.0.push_back(slot);
        level.1 += u64::from(quantity);
    }

    fn gone(&mut self, slot: u32) {
        let order = &self.orders[slot as usize];
        let (symbol, bid, price, quantity, at) = (order.symbol, order.bid, order.price, order.quantity, order.at);
        let levels = &mut self.books[symbol as usize][usize::from(!bid)].levels;
        if let Some(level) = levels.get_mut(&price) {
            level.0.retain(|&have| have != slot);
            level.1 -= u64::from(quantity);
            if level.0.is_empty() {
                levels.remove(&price);
            }
        }
        // Keeps the order of age: the last one takes the place, which is good enough for "the younger the likelier".
        self.live.swap_remove(at as usize);
        if let Some(&moved) = self.live.get(at as usize) {
            self.orders[moved as usize].at = at;
        }
        self.free.push(slot);
    }

    fn delete(&mut self, slot: u32) {
        let order = &self.orders[slot as usize];
        let (id, locate, bid) = (order.id, order.symbol + 1, order.bid);
        match self.plan.format {
            Format::Itch50 => {
                let (kind, locate, time) = (b'D', (locate as u16).into(), itch50::TrackedNanos::new(0, self.now_ns));
                self.write(itch50::OrderDelete { kind, locate, time, reference: id.into() }.as_bytes());
            }
            Format::Bistech => self.bistech_delete(locate, bid, id),
        }
        self.gone(slot);
    }

    fn bistech_delete(&mut self, locate: u32, bid: bool, id: u64) {
        let nanos = ((self.now_ns % 1_000_000_000) as u32).into();
        let message = bistech::OrderDelete {
            kind: b'D',
            nanos,
            order_id: id.into(),
            book_id: locate.into(),
            side: side_byte(bid),
        };
        self.write(message.as_bytes());
    }

    fn replace(&mut self, slot: u32) {
        let order = &self.orders[slot as usize];
        let (id, symbol, bid) = (order.id, order.symbol as usize, order.bid);
        let (price, quantity) = (self.price(symbol, bid), self.quantity());
        let locate = symbol as u32 + 1;
        let new_id = match self.plan.format {
            Format::Itch50 => {
                let new_id = self.id();
                let (kind, locate, time) = (b'U', (locate as u16).into(), itch50::TrackedNanos::new(0, self.now_ns));
                let message = itch50::OrderReplace {
                    kind,
                    locate,
                    time,
                    reference: id.into(),
                    new_reference: new_id.into(),
                    shares: quantity.into(),
                    price: price.into(),
                };
                self.write(message.as_bytes());
                new_id
            }
            Format::Bistech => {
                self.bistech_delete(locate, bid, id);
                self.bistech_add(symbol, bid, price, quantity, id);
                id
            }
        };
        self.gone(slot);
        self.rest(symbol, bid, price, quantity, new_id);
    }

    fn cancel(&mut self, slot: u32) {
        let order = &mut self.orders[slot as usize];
        if order.quantity < 2 {
            return self.delete(slot);
        }
        let taken = order.quantity / 2;
        order.quantity -= taken;
        let (id, symbol, bid, price, left) = (order.id, order.symbol as usize, order.bid, order.price, order.quantity);
        if let Some(level) = self.books[symbol][usize::from(!bid)].levels.get_mut(&price) {
            level.1 -= u64::from(taken);
        }
        let locate = symbol as u32 + 1;
        match self.plan.format {
            Format::Itch50 => {
                let (kind, locate, time) = (b'X', (locate as u16).into(), itch50::TrackedNanos::new(0, self.now_ns));
                let message = itch50::OrderCancel { kind, locate, time, reference: id.into(), shares: taken.into() };
                self.write(message.as_bytes());
            }
            Format::Bistech => {
                // No partial cancel there: out, and in again at the end of the queue.
                self.bistech_delete(locate, bid, id);
                self.bistech_add(symbol, bid, price, left, id);
                self.gone(slot);
                self.rest(symbol, bid, price, left, id);
            }
        }
    }

    fn execute(&mut self, symbol: usize) {
        let bid = self.rng.random_bool(0.5);
        let levels = &self.books[symbol][usize::from(!bid)].levels;
        let best = if bid { levels.last_key_value() } else { levels.first_key_value() };
        let Some(slot) = best.and_then(|(_, (queue, _))| queue.front().copied()) else { return self.add(symbol) };
        let whole = self.rng.random_bool(0.7);
        let order = &mut self.orders[slot as usize];
        let taken = if whole { order.quantity } else { (order.quantity / 3).max(1) };
        let (id, price, all) = (order.id, order.price, taken == order.quantity);
        let (locate, match_id) = (symbol as u32 + 1, self.match_id);
        self.match_id += 1;
        if all {
            self.gone(slot);
        } else {
            order.quantity -= taken;
            if let Some(level) = self.books[symbol][usize::from(!bid)].levels.get_mut(&price) {
                level.1 -= u64::from(taken);
            }
        }
        match self.plan.format {
            Format::Itch50 => {
                let (kind, locate, time) = (b'E', (locate as u16).into(), itch50::TrackedNanos::new(0, self.now_ns));
                let message = itch50::OrderExecuted {
                    kind,
                    locate,
                    time,
                    reference: id.into(),
                    shares: taken.into(),
                    match_id: match_id.into(),
                };
                self.write(message.as_bytes());
            }
            Format::Bistech => {
                let message = bistech::OrderExecuted {
                    kind: b'E',
                    nanos: ((self.now_ns % 1_000_000_000) as u32).into(),
                    order_id: id.into(),
                    book_id: locate.into(),
                    side: side_byte(bid),
                    quantity: u64::from(taken).into(),
                    match_id: match_id.into(),
                    ..FromZeros::new_zeroed()
                };
                self.write(message.as_bytes());
            }
        }
    }

    fn trade(&mut self, symbol: usize) {
        let (locate, match_id) = (symbol as u32 + 1, self.match_id);
        self.match_id += 1;
        let (price, quantity) = (self.middle[symbol], self.quantity());
        match self.plan.format {
            Format::Itch50 => {
                let message = itch50::Trade {
                    kind: b'P',
                    locate: (locate as u16).into(),
                    time: itch50::TrackedNanos::new(0, self.now_ns),
                    reference: 0.into(),
                    side: b'B',
                    shares: quantity.into(),
                    stock: stock(symbol),
                    price: price.into(),
                    match_id: match_id.into(),
                };
                self.write(message.as_bytes());
            }
            Format::Bistech => {
                let message = bistech::Trade {
                    kind: b'P',
                    nanos: ((self.now_ns % 1_000_000_000) as u32).into(),
                    match_id: match_id.into(),
                    side: b' ',
                    quantity: u64::from(quantity).into(),
                    book_id: locate.into(),
                    price: (price as i32).into(),
                    printable: b'Y',
                    cross: b'N',
                    ..FromZeros::new_zeroed()
                };
                self.write(message.as_bytes());
            }
        }
    }

    fn directory(&mut self, symbol: usize) {
        let locate = symbol as u32 + 1;
        match self.plan.format {
            Format::Itch50 => {
                let (kind, locate, time) = (b'R', (locate as u16).into(), itch50::TrackedNanos::new(0, OPEN_NS));
                self.write(
                    itch50::StockDirectory { kind, locate, time, stock: stock(symbol), ..FromZeros::new_zeroed() }
                        .as_bytes(),
                );
                let kind = b'H';
                let action = itch50::TradingAction {
                    kind,
                    locate,
                    time,
                    stock: stock(symbol),
                    state: b'T',
                    ..FromZeros::new_zeroed()
                };
                self.write(action.as_bytes());
            }
            Format::Bistech => {
                self.pass(0);
                let mut name = [b' '; 32];
                name[..8].copy_from_slice(&stock(symbol));
                let directory = bistech::OrderBookDirectory {
                    kind: b'R',
                    book_id: locate.into(),
                    symbol: name,
                    long_name: name,
                    financial_product: 5,
                    price_decimals: 4.into(),
                    round_lot: 1.into(),
                    ranking_type: 1,
                    ..FromZeros::new_zeroed()
                };
                self.write(directory.as_bytes());
                // A BIST share's day: ten per cent either way, on its tick.
                let middle = self.middle[symbol];
                let band = middle / 10 / TICK * TICK;
                let tick = bistech::TickSize {
                    kind: b'L',
                    nanos: 0.into(),
                    book_id: locate.into(),
                    tick: u64::from(TICK).into(),
                    price_from: ((middle - band) as i32).into(),
                    price_to: ((middle + band) as i32).into(),
                };
                self.write(tick.as_bytes());
            }
        }
    }

    fn write(&mut self, message: &[u8]) {
        self.bytes.extend((message.len() as u16).to_be_bytes());
        self.bytes.extend(message);
        self.messages += 1;
    }
}

fn side_byte(bid: bool) -> u8 {
    if bid { b'B' } else { b'S' }
}

fn stock(symbol: usize) -> [u8; 8] {
    let mut name = *b"S       ";
    let digits = format!("{symbol:05}");
    name[1..6].copy_from_slice(digits.as_bytes());
    name
}
