//! All books of one feed: takes events in order, numbers them, keeps the books, says what changed.
//!
//! Never allocates after construction, reads no clock and knows no ring: updates go to an [`Output`]. Same events in,
//! same updates out, bit for bit.

mod changes;
mod frequent;
mod look_ahead;
mod rare;
mod snapshot;
mod updates;

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;

use crate::anomaly::{Anomalies, Anomaly};
use crate::book::{Book, Pools, QueuePosition};
use crate::cells::Cells;
use crate::levels::Arena;
use crate::memory::with_capacity;
pub use crate::orders::OrderKey;
use crate::orders::{LEVELS_MAX, ORDERS_MAX, Orders, lines_for};
use crate::replica::{Level, ticker};
use crate::slot::Slot;
use crate::types::{BookId, Nanos, OrderId, Price, Side};
pub use look_ahead::LOOK_AHEAD;
pub(crate) use snapshot::{Part, Written};

/// How much a market can hold; all of it is allocated and touched at construction.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Books (about 2 KiB each).
    pub books_max: usize,
    /// Resting orders of all books (128 bytes each, 192 where the feed states ranks).
    pub orders_max: usize,
    /// Levels outside ladders (96 bytes each, 112 where the feed states ranks).
    pub levels_max: usize,
    /// Places of all dense ladders, both sides (32 bytes each, 48 where the feed states ranks), given out in groups of 64. A book whose price band was
    /// not announced takes an equal share of it, around its first price.
    pub ladder_slots: usize,
    /// Whether orders have places in queues. Without (`false`) an event costs about a tenth less, a quarter where the
    /// feed states ranks; readers get levels with totals and order counts, and snapshots leave the orders out and say so. A
    /// book that the feed clears while it holds orders makes a walk over the orders of all books.
    pub queues: bool,
    /// With room for fewer orders than these (`orders_max`) all of them are in the cache, and looking ahead for more than an
    /// order's line costs more than it saves. With room for more they lie far apart even while they are few.
    pub look_ahead_orders_min: usize,
    /// What names an order: depends on the feed's protocol.
    pub key: OrderKey,
    /// Key of the order index, which chooses where an id goes that finds its own lines full; random by default, so that
    /// nobody outside can make ids that meet there again.
    pub seed: u64,
}

impl Default for Limits {
    /// A whole BIST equity market: 1,024 books, 500,000 orders; about 115 MB, 80 where the feed states no ranks.
    fn default() -> Self {
        Self {
            books_max: 1_024,
            orders_max: 500_000,
            levels_max: 100_000,
            ladder_slots: 600_000,
            queues: true,
            look_ahead_orders_min: 16_384,
            key: OrderKey::BookSideId,
            seed: RandomState::new().build_hasher().finish(),
        }
    }
}

impl Limits {
    /// Whether a market can have these limits.
    ///
    /// # Errors
    /// What is wrong, and what would be right.
    pub const fn check(&self) -> Result<(), &'static str> {
        let Self { books_max, orders_max, levels_max, ladder_slots, .. } = *self;
        if books_max == 0 || books_max >= NO_BOOK as usize {
            return Err("books_max must be in 1..65535");
        }
        if orders_max == 0 || orders_max > ORDERS_MAX {
            return Err("orders_max must be in 1..=500000000");
        }
        if levels_max == 0 || levels_max >= LEVELS_MAX || ladder_slots > LEVELS_MAX - levels_max {
            return Err("levels_max must be above 0, and levels_max + ladder_slots at most 500000000");
        }
        Ok(())
    }

    /// Most bytes that a market of these limits takes: its pools, its index and its table of book numbers.
    #[must_use]
    pub const fn bytes_max(&self) -> usize {
        let Self { books_max, orders_max, levels_max, ladder_slots, queues, .. } = *self;
        let ranked = queues && matches!(self.key, OrderKey::BookSideId);
        let line = 64 + if ranked { 32 } else { 0 };
        let level = 33 + if ranked { 16 } else { 0 };
        let levels = levels_max * (level + 64) + ladder_slots * level;
        books_max * size_of::<Book>() + lines_for(orders_max) * line + levels + DIRECT_BOOKS * 2
    }
}

/// Most updates that one event makes: a replace (two orders, two levels), with a second of the clock before it.
pub const UPDATES_PER_EVENT_MAX: usize = 8;

/// Takes what an event changed.
pub trait Output {
    /// Takes one update.
    fn push(&mut self, update: Slot);
}

/// Nobody listens: the updates are not even made.
impl Output for () {
    #[inline]
    fn push(&mut self, _: Slot) {}
}

impl Output for Vec<Slot> {
    fn push(&mut self, update: Slot) {
        Vec::push(self, update);
    }
}

/// A direct table for book numbers below this, and probing for those above.
const DIRECT_BOOKS: usize = 1 << 17;
const NO_BOOK: u16 = u16::MAX;

/// All books of one feed.
pub struct Market {
    limits: Limits,
    books: Vec<Book>,
    direct: Vec<u16>,
    /// (book number, dense index) of the numbers that do not fit the direct table, open addressing.
    probed: Vec<(u32, u16)>,
    pools: Pools,
    anomalies: Arc<Anomalies>,
    epoch: u64,
    seq: u64,
    next_second_ns: Nanos,
    rank: Option<(u32, u64)>,
    /// Base prices by ticker, told from outside: the feed itself does not carry them.
    references: HashMap<String, Price>,
}

impl Market {
    /// An empty market; allocates and touches everything it will ever use.
    ///
    /// # Panics
    /// When [`Limits::check`] finds something wrong.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        if let Err(wrong) = limits.check() {
            panic!("{wrong}");
        }
        let Limits { ladder_slots, levels_max, orders_max, key, queues, .. } = limits;
        let cells = Cells::new(ladder_slots, levels_max, lines_for(orders_max), key == OrderKey::BookSideId, queues);
        Self {
            books: with_capacity(limits.books_max, || Book::new(BookId(0), 0)),
            direct: vec![NO_BOOK; DIRECT_BOOKS],
            probed: vec![(0, NO_BOOK); (limits.books_max * 2).next_power_of_two()],
            pools: Pools {
                small: limits.orders_max < limits.look_ahead_orders_min,
                orders: Orders::new(&cells, limits.orders_max, limits.key, limits.seed),
                arena: Arena::new(limits.levels_max, limits.ladder_slots, limits.books_max),
                cells,
            },
            anomalies: Arc::default(),
            epoch: 0,
            seq: 0,
            next_second_ns: 0,
            rank: None,
            references: HashMap::new(),
            limits,
        }
    }

    /// Tells the base prices of the first day (ticker or exchange name → price): BISTECH ITCH does not carry them. On
    /// later days the close before is the base price. To be called before the first event.
    pub fn set_references(&mut self, references: impl IntoIterator<Item = (String, Price)>) {
        self.references = references.into_iter().map(|(name, price)| (ticker(&name).to_owned(), price)).collect();
    }

    /// Counters of what the feed got wrong.
    #[must_use]
    pub fn anomalies(&self) -> &Arc<Anomalies> {
        &self.anomalies
    }

    /// Number of the last event, 0 at the start of an epoch.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// The epoch that `seq` counts in.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// All books, in the order they were first seen.
    #[must_use]
    pub fn books(&self) -> &[Book] {
        &self.books
    }

    /// A book by its number.
    #[must_use]
    pub fn book(&self, book_id: BookId) -> Option<&Book> {
        self.dense(book_id.0).map(|at| &self.books[at])
    }

    /// The number of a book by ticker (`GARAN`) or by the exchange's own name (`GARAN.E`). Walks all books.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<BookId> {
        self.books.iter().find(|book| ticker(book.symbol()) == ticker(name)).map(Book::id)
    }

    /// Levels of a side with a visible quantity, best first.
    pub fn levels(&self, book_id: BookId, side: Side) -> impl Iterator<Item = Level> + '_ {
        self.book(book_id).into_iter().flat_map(move |book| book.levels(&self.pools, side))
    }

    /// Orders of a side in priority order, market orders first: price, id, quantity, 1-based place in its level.
    pub fn queue(&self, book_id: BookId, side: Side) -> impl Iterator<Item = (Price, OrderId, u64, u32)> + '_ {
        self.book(book_id).into_iter().flat_map(move |book| book.queue(&self.pools, side))
    }

    /// Where an order stands. Walks the side: for people and tests, not for the hot path.
    #[must_use]
    pub fn position(&self, book_id: BookId, side: Side, id: OrderId) -> Option<QueuePosition> {
        self.book(book_id)?.position(&self.pools, side, id)
    }

    /// Resting orders of all books.
    #[must_use]
    pub fn orders(&self) -> usize {
        self.pools.orders.live()
    }

    /// Place of an update's book in [`Market::books`].
    #[inline]
    pub(crate) fn dense_of(&self, update: &Slot) -> Option<usize> {
        let bytes = update.as_bytes();
        self.dense(u32::from_ne_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]))
    }

    /// Whether orders have places in queues.
    pub(crate) fn has_queues(&self) -> bool {
        self.limits.queues
    }

    #[inline(always)]
    pub(crate) fn dense(&self, book_id: u32) -> Option<usize> {
        let dense = match self.direct.get(book_id as usize) {
            Some(&dense) => dense,
            None => self.probed[self.probe(book_id)].1,
        };
        (dense != NO_BOOK).then_some(usize::from(dense))
    }

    fn probe(&self, book_id: u32) -> usize {
        let mask = self.probed.len() - 1;
        let mut at = (book_id.wrapping_mul(0x9E37_79B1) >> 8) as usize & mask;
        while self.probed[at].1 != NO_BOOK && self.probed[at].0 != book_id {
            at = (at + 1) & mask;
        }
        at
    }

    #[inline(always)]
    fn dense_or_new(&mut self, book_id: u32) -> Option<usize> {
        self.dense(book_id).or_else(|| self.new_book(book_id))
    }

    #[cold]
    fn new_book(&mut self, book_id: u32) -> Option<usize> {
        let dense = self.books.len();
        if dense == self.limits.books_max {
            self.anomalies.count(Anomaly::BooksExhausted);
            return None;
        }
        if let Some(place) = self.direct.get_mut(book_id as usize) {
            *place = dense as u16;
        } else {
            let at = self.probe(book_id);
            self.probed[at] = (book_id, dense as u16);
        }
        // Within the capacity reserved at construction: no allocation.
        self.books.push(Book::new(BookId(book_id), dense as u32));
        Some(dense)
    }

    /// Panics when anything disagrees with anything. For tests and simulation only: walks everything.
    pub fn check_invariants(&self) {
        self.books.iter().for_each(|book| book.check_invariants(&self.pools));
        let orders: usize = self.books.iter().map(|book| book.orders() as usize).sum();
        assert_eq!(orders, self.orders());
    }
}
