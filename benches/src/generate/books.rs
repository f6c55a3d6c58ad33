//! The generator's own truth: who rests where, in which order, and the best of every side.
//!
//! Every step costs the same however full the books are: queues are linked through the orders, levels lie on a window of
//! ticks around each symbol's price, a bitmap finds the next one. Knows nothing of messages, and shares no code with the
//! books that are measured.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// Ticks of a symbol's window. No order rests outside it.
pub const WINDOW_TICKS: u32 = 1_024;
const WORDS: usize = (WINDOW_TICKS / 64) as usize;

/// A resting order. Slot numbers start at 1; 0 is nobody.
#[derive(Clone, Copy)]
pub struct Order {
    /// Its number on the wire.
    pub id: u64,
    /// Symbol, from 0.
    pub symbol: u32,
    /// Shares left.
    pub quantity: u32,
    /// Place in the symbol's window.
    pub tick: u16,
    /// Bought, not sold.
    pub bid: bool,
    /// Queue neighbours, 0 = none.
    before: u32,
    after: u32,
    /// Place in `Books::live`.
    at: u32,
}

const NOBODY: Order = Order { id: 0, symbol: 0, quantity: 0, tick: 0, bid: false, before: 0, after: 0, at: 0 };

/// One price of one symbol; whose side it is follows from the touch, since books never cross.
#[derive(Clone, Copy, Default)]
struct Level {
    quantity: u64,
    head: u32,
    tail: u32,
    orders: u32,
}

/// What can be seen of a symbol at one glance.
#[derive(Clone)]
struct Symbol {
    /// Ticks at which somebody rests.
    taken: [u64; WORDS],
    /// Best bid and ask.
    touch: [Option<u16>; 2],
}

/// The best of one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Top {
    /// Place in the window.
    pub tick: u16,
    /// Shares there.
    pub quantity: u64,
    /// Orders there.
    pub orders: u32,
}

/// All books.
pub struct Books {
    symbols: Vec<Symbol>,
    levels: Vec<Level>,
    live_levels: usize,
    orders: Vec<Order>,
    free: Vec<u32>,
    live: Vec<u32>,
    /// The youngest adds as (slot, id), overwritten in turn: who left in between no longer has that id there.
    recent: Vec<(u32, u64)>,
    births: usize,
}

/// Adds that `recent` remembers; a power of two. Eight times the mean age at which a young order goes.
const RECENT: usize = 1 << 14;
/// Mean age, in later adds, at which the quick orders go.
const YOUNG_ADDS: f64 = 2_000.0;

impl Books {
    /// Empty books; `orders` is only a hint.
    pub fn new(symbols: usize, orders: usize) -> Self {
        let levels = symbols * WINDOW_TICKS as usize;
        let mut slots = Vec::with_capacity(orders + 1);
        slots.push(NOBODY);
        Self {
            symbols: vec![Symbol { taken: [0; WORDS], touch: [None; 2] }; symbols],
            levels: vec![Level::default(); levels],
            live_levels: 0,
            orders: slots,
            free: Vec::new(),
            live: Vec::with_capacity(orders),
            recent: vec![(0, 0); RECENT],
            births: 0,
        }
    }

    /// The order in a slot.
    pub fn order(&self, slot: u32) -> Order {
        self.orders[slot as usize]
    }

    /// Resting orders.
    pub fn live(&self) -> usize {
        self.live.len()
    }

    /// Prices at which somebody rests.
    pub fn live_levels(&self) -> usize {
        self.live_levels
    }

    /// Best tick of a side.
    pub fn touch(&self, symbol: usize, bid: bool) -> Option<u16> {
        self.symbols[symbol].touch[usize::from(!bid)]
    }

    /// Best level of a side.
    pub fn top(&self, symbol: usize, bid: bool) -> Option<Top> {
        let tick = self.touch(symbol, bid)?;
        let level = self.levels[place(symbol as u32, tick)];
        Some(Top { tick, quantity: level.quantity, orders: level.orders })
    }

    /// The order that the next execution of a side must hit.
    pub fn head(&self, symbol: usize, bid: bool) -> Option<u32> {
        Some(self.levels[place(symbol as u32, self.touch(symbol, bid)?)].head)
    }

    /// Somebody who is about to leave: seven times of ten one of the youngest, otherwise anybody.
    pub fn pick(&self, rng: &mut ChaCha8Rng) -> Option<u32> {
        let known = self.births.min(RECENT);
        if known > 0 && rng.random_bool(0.7) {
            for _ in 0..4 {
                let age: f64 = rng.sample(rand_distr::Exp1);
                let back = (age * YOUNG_ADDS) as usize % known;
                let (slot, id) = self.recent[(self.births - 1 - back) % RECENT];
                if self.orders[slot as usize].id == id {
                    return Some(slot);
                }
            }
        }
        if self.live.is_empty() { None } else { Some(self.live[rng.random_range(0..self.live.len())]) }
    }

    /// A new order at the end of its queue.
    pub fn add(&mut self, id: u64, symbol: usize, bid: bool, tick: u16, quantity: u32) {
        debug_assert!(self.touch(symbol, !bid).is_none_or(|other| if bid { tick < other } else { tick > other }));
        let slot = self.free.pop().unwrap_or_else(|| {
            self.orders.push(NOBODY);
            (self.orders.len() - 1) as u32
        });
        let symbol = symbol as u32;
        let level = &mut self.levels[place(symbol, tick)];
        let before = std::mem::replace(&mut level.tail, slot);
        if before == 0 {
            level.head = slot;
            self.live_levels += 1;
            self.symbols[symbol as usize].occupy(bid, tick);
        }
        level.quantity += u64::from(quantity);
        level.orders += 1;
        self.orders[before as usize].after = slot;
        let at = self.live.len() as u32;
        self.orders[slot as usize] = Order { id, symbol, quantity, tick, bid, before, after: 0, at };
        self.live.push(slot);
        self.recent[self.births % RECENT] = (slot, id);
        self.births += 1;
    }

    /// Takes shares from an order that keeps some.
    pub fn reduce(&mut self, slot: u32, by: u32) {
        let order = &mut self.orders[slot as usize];
        debug_assert!(by < order.quantity);
        order.quantity -= by;
        self.levels[place(order.symbol, order.tick)].quantity -= u64::from(by);
    }

    /// Takes an order out.
    pub fn remove(&mut self, slot: u32) {
        let Order { symbol, quantity, tick, bid, before, after, at, .. } = self.order(slot);
        let level = &mut self.levels[place(symbol, tick)];
        level.quantity -= u64::from(quantity);
        level.orders -= 1;
        if before == 0 {
            level.head = after;
        }
        if after == 0 {
            level.tail = before;
        }
        if level.orders == 0 {
            self.live_levels -= 1;
            self.symbols[symbol as usize].vacate(bid, tick);
        }
        // Slot 0 is nobody's, so that its links may be written without asking.
        self.orders[before as usize].after = after;
        self.orders[after as usize].before = before;
        self.orders[slot as usize].id = 0;
        self.live.swap_remove(at as usize);
        if let Some(&moved) = self.live.get(at as usize) {
            self.orders[moved as usize].at = at;
        }
        self.free.push(slot);
    }
}

fn place(symbol: u32, tick: u16) -> usize {
    symbol as usize * WINDOW_TICKS as usize + usize::from(tick)
}

impl Symbol {
    fn occupy(&mut self, bid: bool, tick: u16) {
        self.taken[usize::from(tick) / 64] |= 1 << (tick % 64);
        let best = &mut self.touch[usize::from(!bid)];
        if best.is_none_or(|best| if bid { tick > best } else { tick < best }) {
            *best = Some(tick);
        }
    }

    fn vacate(&mut self, bid: bool, tick: u16) {
        self.taken[usize::from(tick) / 64] &= !(1 << (tick % 64));
        if self.touch[usize::from(!bid)] == Some(tick) {
            // OK because everything below the best bid is a bid, and everything above the best ask an ask.
            self.touch[usize::from(!bid)] = if bid { self.below(tick) } else { self.above(tick) };
        }
    }

    fn below(&self, tick: u16) -> Option<u16> {
        let (word, bit) = (usize::from(tick) / 64, tick % 64);
        let mut bits = self.taken[word] & ((1 << bit) - 1);
        for at in (0..=word).rev() {
            if bits != 0 {
                return Some((at as u32 * 64 + 63 - bits.leading_zeros()) as u16);
            }
            bits = at.checked_sub(1).map_or(0, |at| self.taken[at]);
        }
        None
    }

    fn above(&self, tick: u16) -> Option<u16> {
        let (word, bit) = (usize::from(tick) / 64, tick % 64);
        let mut bits = self.taken[word] & !(u64::MAX >> (63 - bit));
        for at in word..WORDS {
            if bits != 0 {
                return Some((at as u32 * 64 + bits.trailing_zeros()) as u16);
            }
            bits = self.taken.get(at + 1).copied().unwrap_or(0);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use std::collections::BTreeMap;

    /// The same steps in two plain maps; every best is compared after every step.
    #[test]
    fn the_touch_and_the_queues_equal_two_plain_maps() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut books = Books::new(2, 10);
        let mut plain: [BTreeMap<u16, Vec<(u64, u32)>>; 2] = Default::default();
        for id in 1..20_000u64 {
            let bid = rng.random_bool(0.5);
            // Narrow and wide in turn, so that words of the bitmap run empty.
            let far = if id % 4_000 < 2_000 { 8 } else { 500 };
            if rng.random_bool(0.5) {
                let tick = if bid { 511 - rng.random_range(0..far) } else { 512 + rng.random_range(0..far) };
                let quantity = rng.random_range(2..100);
                books.add(id, 1, bid, tick, quantity);
                plain[usize::from(bid)].entry(tick).or_default().push((id, quantity));
            } else if let Some(slot) = books.pick(&mut rng) {
                let order = books.order(slot);
                let side = &mut plain[usize::from(order.bid)];
                let queue = side.get_mut(&order.tick).expect("its level");
                let at = queue.iter().position(|&(have, _)| have == order.id).expect("its place");
                if order.quantity > 1 && rng.random_bool(0.3) {
                    books.reduce(slot, 1);
                    queue[at].1 -= 1;
                } else {
                    books.remove(slot);
                    queue.remove(at);
                    if queue.is_empty() {
                        side.remove(&order.tick);
                    }
                }
            }
            for bid in [true, false] {
                let side = &plain[usize::from(bid)];
                let best = if bid { side.last_key_value() } else { side.first_key_value() };
                let expected = best.map(|(&tick, queue)| Top {
                    tick,
                    quantity: queue.iter().map(|&(_, quantity)| u64::from(quantity)).sum(),
                    orders: queue.len() as u32,
                });
                assert_eq!(books.top(1, bid), expected);
                let head = books.head(1, bid).map(|slot| books.order(slot).id);
                assert_eq!(head, best.map(|(_, queue)| queue[0].0));
            }
            assert_eq!(books.live_levels(), plain[0].len() + plain[1].len());
        }
        assert_eq!(books.top(0, true), None);
    }
}
