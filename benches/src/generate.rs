//! Synthetic NASDAQ ITCH 5.0 and BISTECH ITCH streams of any size, by seed.
//!
//! Executions always hit the head of the best level, books never cross, every reference is known: the stream is what a
//! correct exchange would send. Prices lie within ticks of the touch with a tail far away, symbols are busy by Zipf's
//! law, messages come in bursts. The mix is that of a NASDAQ day (adds 42 %, deletes 40 %, replaces 8 %, executions
//! 5 %, cancels 3 %, trades 2 %); BISTECH has no replace and no partial cancel, each of them is a delete and an add
//! there. Books fill up to the asked number of orders in the first fifth of the stream, and keep it. Never holds
//! more of a stream than a few hundred kilobytes, unless asked for all of it.

use std::io::{self, Write};

use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::weighted::WeightedAliasIndex;
use rand_distr::{Distribution, Exp1, Geometric, LogNormal};

use crate::answer::Answer;
pub use crate::answer::Stream;
pub use crate::plan::{BadPlan, Format, Plan};
use books::{Books, WINDOW_TICKS};
use wire::{Named, Wire};

mod books;
mod wire;

/// Why no stream was written.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// The plan.
    #[error(transparent)]
    Plan(#[from] BadPlan),
    /// Whatever takes the bytes.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Makes a stream in memory.
///
/// # Panics
/// When the plan asks for no symbols or more than 65,000.
#[must_use]
pub fn generate(plan: Plan) -> Stream {
    assert!((1..=65_000).contains(&plan.symbols), "{}", BadPlan::Symbols(plan.symbols));
    let mut bytes = Vec::with_capacity(plan.messages * 36);
    let answer = Generator::new(plan).run(&mut bytes, &mut |_| ()).expect("memory takes all bytes");
    answer.into_stream(bytes)
}

/// Writes a stream, and says what it left in the books. `progress` is told the messages so far, now and then.
///
/// # Errors
/// A plan that cannot be carried out, or `out`.
pub fn write(plan: Plan, out: &mut impl Write, mut progress: impl FnMut(u64)) -> Result<Answer, GenerateError> {
    plan.check()?;
    Ok(Generator::new(plan).run(out, &mut progress)?)
}

/// 09:30, and the 6.5 hours that a NASDAQ day has.
const OPEN_NS: u64 = 34_200_000_000_000;
const DAY_NS: u64 = 23_400_000_000_000;
/// One tick in units of 10⁻⁴.
const TICK: u32 = 100;
/// Where a symbol's price begins in its window.
const MIDDLE: u32 = WINDOW_TICKS / 2;
/// Messages in a burst, on average.
const BURST_MESSAGES: u64 = 13;
/// Longest mean pause between bursts: 25 ms keeps BISTECH's messages of time below one in 400.
const PAUSE_NS_MAX: u64 = 25_000_000;
/// Bytes that are handed on at once.
const CHUNK_BYTES: usize = 1 << 18;

// Shares of the mix, in fractions of all messages. Adds and deletes share the first one by how full the books are.
const ADD_OR_DELETE: f64 = 0.82;
const REPLACE: f64 = 0.08;
const EXECUTE: f64 = 0.05;
const CANCEL: f64 = 0.03;

struct Generator {
    rng: ChaCha8Rng,
    plan: Plan,
    wire: Wire,
    books: Books,
    /// Price of the window's first tick by symbol, in ticks.
    base: Vec<u32>,
    /// Ticks either side of the middle that a symbol may trade at.
    band: Vec<u32>,
    sizes: LogNormal<f64>,
    next_id: u64,
    match_id: u64,
    now_ns: u64,
    /// Adds among all messages while the books fill up, while they are short of the asked number, and when they have it.
    adds: [f64; 3],
    /// Executions that take the whole order.
    whole: f64,
    /// Message at which the books first held what was asked for.
    full_at: Option<u64>,
}

impl Generator {
    fn new(plan: Plan) -> Self {
        #[allow(clippy::cast_precision_loss)] // counts of messages and orders
        let growth = plan.live_orders as f64 / plan.messages.max(1) as f64;
        // Adds are two points more than deletes: what the growth leaves of them goes by whole executions.
        let whole = ((0.02 - growth) / EXECUTE).clamp(0.2, 0.4);
        let steady = (ADD_OR_DELETE + whole * EXECUTE) / 2.0;
        // Full after a fifth, so that a quarter is kept in spite of chance and of the directory.
        let filling = steady + growth * 5.0 / 2.0;
        // More adds than there are places for them: then every message is one.
        let filling = if filling > 0.8 { 1.0 } else { filling };
        Self {
            rng: ChaCha8Rng::seed_from_u64(plan.seed),
            plan,
            wire: Wire::new(plan.format, plan.symbols),
            books: Books::new(plan.symbols, plan.live_orders),
            base: Vec::with_capacity(plan.symbols),
            band: Vec::with_capacity(plan.symbols),
            sizes: LogNormal::new(4.6, 0.9).expect("finite parameters"),
            next_id: match plan.format {
                Format::Itch50 => 1,
                // All 64 bits; the exchange's own begin with 0x69C6.
                Format::Bistech => 0xE9C6_AC81_0000_0000,
            },
            match_id: 1,
            now_ns: OPEN_NS,
            adds: [filling, steady + 0.02, steady - 0.02],
            whole,
            full_at: None,
        }
    }

    fn run(mut self, out: &mut impl Write, progress: &mut impl FnMut(u64)) -> io::Result<Answer> {
        self.directory();
        // Zipf's law, over symbols in any order: busy ones are not neighbours.
        let mut by_rank: Vec<usize> = (0..self.plan.symbols).collect();
        by_rank.shuffle(&mut self.rng);
        let weights = (1..=self.plan.symbols as u64).map(|rank| (1 << 32) / rank).collect();
        let rank = WeightedAliasIndex::new(weights).expect("positive weights");
        #[allow(clippy::cast_precision_loss)] // a small number
        let burst = Geometric::new(1.0 / BURST_MESSAGES as f64).expect("a probability");
        let pause_ns = (DAY_NS / (self.plan.messages as u64 / (BURST_MESSAGES + 1) + 1)).min(PAUSE_NS_MAX);
        let (mut left_in_burst, mut symbol, mut bytes) = (0, 0, 0);
        while self.wire.messages < self.plan.messages as u64 {
            if left_in_burst == 0 {
                left_in_burst = burst.sample(&mut self.rng) + 1;
                let pause: f64 = self.rng.sample(Exp1);
                #[allow(clippy::cast_precision_loss)] // at most 25 ms
                let pause = (pause * pause_ns as f64) as u64;
                self.now_ns += pause;
            }
            left_in_burst -= 1;
            self.now_ns += self.rng.random_range(50..1_000);
            self.wire.at(self.now_ns);
            if self.rng.random_bool(0.6) {
                symbol = by_rank[rank.sample(&mut self.rng)];
            }
            self.one(symbol);
            if self.wire.bytes.len() >= CHUNK_BYTES {
                bytes += self.hand_on(out)?;
                progress(self.wire.messages);
            }
        }
        bytes += self.hand_on(out)?;
        Ok(self.answer(bytes))
    }

    fn hand_on(&mut self, out: &mut impl Write) -> io::Result<u64> {
        out.write_all(&self.wire.bytes)?;
        let bytes = self.wire.bytes.len() as u64;
        self.wire.bytes.clear();
        Ok(bytes)
    }

    fn directory(&mut self) {
        self.wire.at(self.now_ns);
        self.wire.begin();
        for symbol in 0..self.plan.symbols {
            let middle = self.rng.random_range(1_000..=5_000);
            // A BIST share's day is ten per cent either way; a NASDAQ stock's has no end, but its window has.
            let band = match self.plan.format {
                Format::Itch50 => MIDDLE - 12,
                Format::Bistech => middle / 10,
            };
            self.base.push(middle - MIDDLE);
            self.band.push(band);
            self.wire.directory(symbol, TICK, (middle - band) * TICK, (middle + band) * TICK);
        }
    }

    /// One message about a symbol, or about an order that is about to leave.
    fn one(&mut self, symbol: usize) {
        let missing = self.books.live() < self.plan.live_orders;
        if !missing && self.full_at.is_none() {
            self.full_at = Some(self.wire.messages);
        }
        let add = self.adds[if self.full_at.is_none() { 0 } else { 2 - usize::from(missing) }];
        let add_or_delete = ADD_OR_DELETE.max(add);
        let dice: f64 = self.rng.random();
        if dice < add {
            return self.add(symbol);
        }
        if dice >= add_or_delete + REPLACE && dice < add_or_delete + REPLACE + EXECUTE {
            return self.execute(symbol);
        }
        if dice >= add_or_delete + REPLACE + EXECUTE + CANCEL {
            return self.trade(symbol);
        }
        match self.books.pick(&mut self.rng) {
            None => self.add(symbol),
            Some(slot) if dice < add_or_delete => self.delete(slot),
            Some(slot) if dice < add_or_delete + REPLACE => self.replace(slot),
            Some(slot) => self.cancel(slot),
        }
    }

    fn named(&self, slot: u32) -> Named {
        let order = self.books.order(slot);
        Named { id: order.id, symbol: order.symbol as usize, bid: order.bid }
    }

    fn price(&self, symbol: usize, tick: u16) -> u32 {
        (self.base[symbol] + u32::from(tick)) * TICK
    }

    /// Where a new order lies: ticks from the other side's touch, one of 14 far away.
    fn tick(&mut self, symbol: usize, bid: bool) -> u16 {
        let away = if self.rng.random_bool(0.07) {
            self.rng.random_range(1..400)
        } else {
            let near: f64 = self.rng.sample(Exp1);
            1 + (near * 4.0) as u32
        };
        let (low, high) = (MIDDLE - self.band[symbol], MIDDLE + self.band[symbol]);
        let other = self.books.touch(symbol, !bid).map(u32::from);
        // Bids keep off the highest tick of the band and asks off the lowest: each side always has a place.
        let tick = if bid {
            other.unwrap_or(MIDDLE + 1).saturating_sub(away).clamp(low, high - 1)
        } else {
            (other.unwrap_or(MIDDLE - 1) + away).clamp(low + 1, high)
        };
        tick as u16
    }

    fn quantity(&mut self) -> u32 {
        let size: f64 = self.sizes.sample(&mut self.rng);
        (size as u32).clamp(1, 50_000)
    }

    fn id(&mut self) -> u64 {
        let stride = match self.plan.format {
            Format::Itch50 => 1,
            // One counter for all books, some of whose numbers are never shown: between two orders of the recorded share
            // (GARAN, 21 September 2022) lie 89 numbers or fewer half the time, as if it had one in 45 of all orders.
            Format::Bistech => self.rng.random_range(1..=3),
        };
        let id = self.next_id;
        self.next_id += stride;
        id
    }

    fn add(&mut self, symbol: usize) {
        let bid = self.rng.random_bool(0.5);
        let (tick, quantity, id) = (self.tick(symbol, bid), self.quantity(), self.id());
        let participant = self.rng.random_bool(0.02);
        self.wire.add(Named { id, symbol, bid }, self.price(symbol, tick), quantity, participant);
        self.books.add(id, symbol, bid, tick, quantity);
    }

    fn delete(&mut self, slot: u32) {
        self.wire.delete(self.named(slot));
        self.books.remove(slot);
    }

    fn replace(&mut self, slot: u32) {
        let order = self.named(slot);
        let new_id = match self.plan.format {
            Format::Itch50 => self.id(),
            Format::Bistech => order.id,
        };
        let (tick, quantity) = (self.tick(order.symbol, order.bid), self.quantity());
        self.wire.replace(order, new_id, self.price(order.symbol, tick), quantity);
        self.books.remove(slot);
        self.books.add(new_id, order.symbol, order.bid, tick, quantity);
    }

    fn cancel(&mut self, slot: u32) {
        let resting = self.books.order(slot);
        if resting.quantity < 2 {
            return self.delete(slot);
        }
        let (order, taken) = (self.named(slot), resting.quantity / 2);
        match self.plan.format {
            Format::Itch50 => {
                self.wire.cancel(order, taken);
                self.books.reduce(slot, taken);
            }
            Format::Bistech => {
                // Out, and in again at the end of the queue.
                let (left, price) = (resting.quantity - taken, self.price(order.symbol, resting.tick));
                self.wire.replace(order, order.id, price, left);
                self.books.remove(slot);
                self.books.add(order.id, order.symbol, order.bid, resting.tick, left);
            }
        }
    }

    fn execute(&mut self, symbol: usize) {
        let bid = self.rng.random_bool(0.5);
        let Some(slot) = self.books.head(symbol, bid) else { return self.add(symbol) };
        let resting = self.books.order(slot);
        let whole = resting.quantity < 2 || self.rng.random_bool(self.whole);
        let taken = if whole { resting.quantity } else { (resting.quantity / 3).max(1) };
        // One of 25 at a price that has to be said.
        let at = self.rng.random_bool(0.04).then(|| self.price(symbol, resting.tick));
        self.wire.execute(self.named(slot), taken, self.match_id, at);
        self.match_id += 1;
        if whole {
            self.books.remove(slot);
        } else {
            self.books.reduce(slot, taken);
        }
    }

    fn trade(&mut self, symbol: usize) {
        let tick = self.books.touch(symbol, true).unwrap_or(MIDDLE as u16);
        let quantity = self.quantity();
        self.wire.trade(symbol, self.price(symbol, tick), quantity, self.match_id);
        self.match_id += 1;
    }

    fn answer(&self, bytes: u64) -> Answer {
        let top = |symbol: usize, bid: bool| self.books.top(symbol, bid);
        let both = |symbol: usize| [top(symbol, true), top(symbol, false)];
        Answer {
            plan: self.plan,
            bytes,
            messages: self.wire.messages,
            kinds: (0u8..).zip(self.wire.kinds).filter(|&(_, count)| count > 0).map(|(k, n)| (k.into(), n)).collect(),
            live_orders: self.books.live(),
            live_levels: self.books.live_levels(),
            full_at_message: self.full_at,
            best: (0..self.plan.symbols)
                .map(|symbol| both(symbol).map(|top| top.map(|top| (self.price(symbol, top.tick), top.quantity))))
                .collect(),
            orders_at_best: (0..self.plan.symbols)
                .map(|symbol| both(symbol).map(|top| top.map_or(0, |top| top.orders)))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run;
    use book::Slot;
    use feed_handler::decode::sink::Received;
    use feed_handler::decode::{bistech, itch50};

    const BOTH: [Format; 2] = [Format::Itch50, Format::Bistech];

    fn written(plan: Plan) -> (Answer, Vec<u8>) {
        let mut bytes = Vec::new();
        let answer = write(plan, &mut bytes, |_| ()).expect("a good plan");
        assert_eq!(answer.bytes, bytes.len() as u64);
        (answer, bytes)
    }

    fn share(answer: &Answer, kinds: &str) -> f64 {
        let count: u64 = kinds.chars().filter_map(|kind| answer.kinds.get(&kind)).sum();
        #[allow(clippy::cast_precision_loss)] // counts of messages
        let share = count as f64 / answer.messages as f64;
        share * 100.0
    }

    #[test]
    fn the_mix_is_the_asked_one_and_the_books_fill_up_and_stay_full() {
        for (format, asked) in [
            (Format::Itch50, [("AF", 42.0), ("D", 40.0), ("U", 8.0), ("EC", 5.0), ("X", 3.0), ("P", 2.0)].as_slice()),
            // Of 100 intended messages 11 are two.
            (Format::Bistech, &[("A", 53.0 / 1.11), ("D", 51.0 / 1.11), ("E", 5.0 / 1.11), ("P", 2.0 / 1.11)]),
        ] {
            let plan = Plan { format, seed: 5, messages: 1_000_000, symbols: 100, live_orders: 10_000 };
            let (answer, _) = written(plan);
            for &(kinds, percent) in asked {
                assert!((share(&answer, kinds) - percent).abs() < 1.0, "{format:?} {kinds}: {}", share(&answer, kinds));
            }
            let full_at = answer.full_at_message.expect("full at some time");
            assert!(full_at < 250_000, "full only at message {full_at}");
            assert!(answer.live_orders.abs_diff(10_000) < 200, "{} at the end", answer.live_orders);
        }
    }

    #[test]
    fn a_quarter_of_the_messages_suffices_to_fill_the_books() {
        for format in BOTH {
            let plan = Plan { format, seed: 5, messages: 44_000, symbols: 100, live_orders: 10_800 };
            assert_eq!(plan.check(), Ok(()));
            let (answer, _) = written(plan);
            assert!(answer.full_at_message.is_some_and(|at| at <= 11_100), "{:?}", answer.full_at_message);
        }
    }

    #[test]
    fn decodes_without_refusal_and_no_book_ever_crosses() {
        let (symbols, live_orders) = (20, 2_000);
        for format in BOTH {
            let plan = Plan { format, seed: 9, messages: 60_000, symbols, live_orders };
            let stream = generate(plan);
            let mut market = run::market(&stream, format);
            let received = Received::default();
            let mut itch50 = itch50::Decoder::new(0, 65_535);
            let mut bistech = bistech::Decoder::new(65_535, None);
            for (at, message) in run::messages(&stream.bytes).enumerate() {
                let mut sink = |slot: Slot| market.apply(&slot, &mut ());
                match format {
                    Format::Itch50 => itch50.decode(message, received, &mut sink),
                    Format::Bistech => bistech.decode(message, received, &mut sink),
                }
                .expect("a message that is not refused");
                let book = book::BookId((at % symbols) as u32 + 1);
                let best = |side| market.levels(book, side).next().map(|level| level.price);
                if let (Some(bid), Some(ask)) = (best(book::Side::Bid), best(book::Side::Ask)) {
                    assert!(bid < ask, "crossed after message {at}");
                }
            }
            assert_eq!(market.anomalies().iter().filter(|(kind, _)| kind.spoils_book()).count(), 0);
        }
    }

    #[test]
    fn order_numbers_of_bistech_increase_with_gaps_and_use_all_bits() {
        let (_, bytes) = written(Plan { live_orders: 500, ..small(Format::Bistech) });
        let (mut last, mut steps) = (0, [0; 4]);
        let adds = run::messages(&bytes).filter(|message| message[0] == b'A');
        for id in adds.map(|message| u64::from_be_bytes(message[5..13].try_into().expect("eight bytes"))) {
            assert!(id >> 63 == 1);
            // An order that is changed comes again with the number that it has.
            if id > last {
                let step = if last == 0 { 1 } else { id - last };
                steps[step as usize] += 1;
                last = id;
            }
        }
        assert!(steps[1..].iter().all(|&count| count > 1_000), "{steps:?}");
    }

    #[test]
    fn the_seed_decides_every_byte() {
        for format in BOTH {
            let plan = small(format);
            let (answer, bytes) = written(plan);
            assert_eq!(written(plan), (answer, bytes.clone()));
            assert_eq!(generate(plan).bytes, bytes, "in memory as into a file");
            assert_ne!(written(Plan { seed: 2, ..plan }).1, bytes);
        }
    }

    #[test]
    fn plans_that_cannot_be_carried_out_say_what_to_change() {
        let check = |plan: Plan, said: &str| {
            let error = write(plan, &mut Vec::new(), |_| ()).expect_err("a bad plan").to_string();
            assert!(error.contains(said), "{error}");
        };
        let plan = small(Format::Itch50);
        check(Plan { symbols: 0, ..plan }, "ask for 1 to 65000");
        check(Plan { symbols: 65_001, ..plan }, "ask for 1 to 65000");
        check(Plan { messages: 39, ..plan }, "ask for 40 or more messages");
        check(Plan { live_orders: 5_000, ..plan }, "ask for 4980 or fewer, or for 20080 or more messages");
        for good in [Plan::A, Plan::WIDE, Plan::DAY] {
            assert_eq!(good.check(), Ok(()));
        }
    }

    fn small(format: Format) -> Plan {
        Plan { format, seed: 1, messages: 20_000, symbols: 10, live_orders: 1_000 }
    }
}
