//! A few stocks of an ITCH 5.0 market: adds, executions, cancels, deletes and replaces of resting orders that never cross.
//!
//! Knows no phases and no auctions; the simulated exchange of BISTECH has those.

use feed_handler::sim::exchange::Output;
use feed_handler::wire::layout::alpha;
use feed_handler::wire::layout::itch_5_0::{
    AddOrder, BUY, OrderCancel, OrderDelete, OrderExecuted, OrderReplace, SELL, StockDirectory, TrackedNanos,
    TradingAction,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use zerocopy::IntoBytes;

/// Price around which a book stands, four decimals; the best orders are a step away from it.
const MIDDLE: u32 = 1_000_000;
const STEP: u32 = 100;
/// Steps from the middle.
const STEPS_MAX: u32 = 12;
/// Resting orders from which on more go than come.
const ORDERS_USUAL: usize = 120;
const DAY_NS: u64 = 86_400_000_000_000;

struct Resting {
    reference: u64,
    locate: u16,
    side: u8,
    shares: u32,
}

/// The flow of one session.
pub struct Itch50Flow {
    random: ChaCha8Rng,
    session: [u8; 10],
    begun: bool,
    next_ns: u64,
    every_ns: u64,
    orders: Vec<Resting>,
    references: u64,
    books: u16,
}

impl Itch50Flow {
    pub fn new(seed: u64, run: u32, books: usize, now_ns: u64, every_ns: u64) -> Self {
        let session = *format!("N{run:09}").as_bytes().first_chunk().expect("ten digits and letters");
        let random = ChaCha8Rng::seed_from_u64(seed ^ 0x1750);
        Self {
            random,
            session,
            begun: false,
            next_ns: now_ns,
            every_ns,
            orders: Vec::new(),
            references: 0,
            books: books as u16,
        }
    }

    /// Lets everything happen up to `now_ns`.
    pub fn advance(&mut self, now_ns: u64, out: &mut dyn Output) {
        if !self.begun {
            self.begun = true;
            out.session_begins(self.session);
            (1..=self.books).for_each(|locate| self.list(locate, out));
        }
        while self.next_ns <= now_ns {
            let at_ns = self.next_ns;
            self.change(at_ns, out);
            self.next_ns += self.random.random_range(1..=2 * self.every_ns);
        }
    }

    fn time(&self) -> TrackedNanos {
        TrackedNanos::new(0, self.next_ns % DAY_NS)
    }

    fn list(&self, locate: u16, out: &mut dyn Output) {
        let (time, stock) = (self.time(), alpha(&format!("S{locate}")));
        let directory = StockDirectory { locate: locate.into(), time, stock, ..StockDirectory::default() };
        let action = TradingAction { locate: locate.into(), time, stock, state: b'T', ..TradingAction::default() };
        out.message(self.next_ns, directory.as_bytes());
        out.message(self.next_ns, action.as_bytes());
    }

    fn change(&mut self, at_ns: u64, out: &mut dyn Output) {
        let time = self.time();
        if self.random.random_range(0..2 * ORDERS_USUAL) >= self.orders.len() {
            return self.add(at_ns, out);
        }
        let at = self.random.random_range(0..self.orders.len());
        let Resting { reference, locate, side, shares } = self.orders[at];
        let (locate, reference) = (locate.into(), reference.into());
        let part = self.random.random_range(1..=shares);
        match self.random.random_range(0..4) {
            0 => {
                let event = OrderExecuted { locate, time, reference, shares: part.into(), ..OrderExecuted::default() };
                out.message(at_ns, event.as_bytes());
                self.take(at, part);
            }
            1 if part < shares => {
                let event = OrderCancel { locate, time, reference, shares: part.into(), ..OrderCancel::default() };
                out.message(at_ns, event.as_bytes());
                self.take(at, part);
            }
            2 => {
                self.references += 1;
                let price = self.price(side).into();
                let new_reference = self.references.into();
                let event = OrderReplace {
                    locate,
                    time,
                    reference,
                    new_reference,
                    shares: part.into(),
                    price,
                    ..OrderReplace::default()
                };
                out.message(at_ns, event.as_bytes());
                (self.orders[at].reference, self.orders[at].shares) = (self.references, part);
            }
            _ => {
                let event = OrderDelete { locate, time, reference, ..OrderDelete::default() };
                out.message(at_ns, event.as_bytes());
                self.take(at, shares);
            }
        }
    }

    fn add(&mut self, at_ns: u64, out: &mut dyn Output) {
        self.references += 1;
        let locate = self.random.random_range(1..=self.books);
        let side = if self.random.random() { BUY } else { SELL };
        let shares = 100 * self.random.random_range(1..20_u32);
        let event = AddOrder {
            locate: locate.into(),
            time: self.time(),
            reference: self.references.into(),
            side,
            shares: shares.into(),
            stock: alpha(&format!("S{locate}")),
            price: self.price(side).into(),
            ..AddOrder::default()
        };
        out.message(at_ns, event.as_bytes());
        self.orders.push(Resting { reference: self.references, locate, side, shares });
    }

    fn price(&mut self, side: u8) -> u32 {
        let away = STEP * self.random.random_range(1..=STEPS_MAX);
        if side == BUY { MIDDLE - away } else { MIDDLE + away }
    }

    fn take(&mut self, at: usize, shares: u32) {
        self.orders[at].shares -= shares;
        if self.orders[at].shares == 0 {
            self.orders.swap_remove(at);
        }
    }
}
