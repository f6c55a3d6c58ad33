//! All books of one feed: takes events in order, numbers them, keeps the books, says what changed.
//!
//! Never allocates after construction, reads no clock and knows no ring: updates go to an [`Output`]. Same events in,
//! same updates out, bit for bit.

#![cfg_attr(not(test), deny(clippy::disallowed_types, clippy::disallowed_methods, clippy::disallowed_macros))]

mod book;
mod broken_trade;
mod changes;
mod fast_path;
mod look_ahead;
mod slow_path;
mod snapshot;
mod store;
mod trade_log;
mod updates;

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;

pub use self::book::{Book, QueuePosition};
use crate::anomaly::{Anomalies, Anomaly};
use crate::doubt::Doubt;
use crate::market::store::Store;
use crate::market::store::levels::Arena;
use crate::market::store::node_pool::NodePool;
pub use crate::market::store::order_index::OrderKey;
use crate::market::store::order_index::{LEVELS_MAX, ORDERS_MAX, OrderIndex, lines_for};
use crate::market::trade_log::TradeLog;
use crate::memory::with_capacity;
use crate::slot::Slot;
use crate::types::{BookId, BookIndex, Level, Nanos, OrderId, Price, Side, ticker};
pub use look_ahead::LOOK_AHEAD;
pub(crate) use snapshot::{Part, Written};

/// How much a market can hold; all of it is allocated and touched at construction.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Books (about 2 KiB each).
    pub books_max: usize,
    /// Resting orders of all books (128 bytes each, 192 where the feed states ranks: two lines of the index).
    pub orders_max: usize,
    /// Levels outside ladders (96 bytes each, 112 where the feed states ranks).
    pub levels_max: usize,
    /// Places of all dense ladders, both sides (32 bytes each, 48 where the feed states ranks), given out in groups of 64. A book whose price band was
    /// not announced takes an equal share of it, around its first price.
    pub ladder_slots: usize,
    /// Newest trades of all books that are kept, so that a broken one leaves the figures of its day (48 bytes each, rounded up
    /// to a power of two). A break of an older one marks its book.
    pub trades_max: usize,
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
    /// A whole BIST equity market: 1,024 books, 500,000 orders; about 142 MB, 98 where the feed states no ranks.
    fn default() -> Self {
        Self {
            books_max: 1_024,
            orders_max: 500_000,
            levels_max: 100_000,
            ladder_slots: 600_000,
            trades_max: 65_536,
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
        let Self { books_max, orders_max, levels_max, ladder_slots, trades_max, .. } = *self;
        if books_max == 0 || books_max >= NO_BOOK as usize {
            return Err("books_max must be in 1..65535");
        }
        if orders_max == 0 || orders_max > ORDERS_MAX {
            return Err("orders_max must be in 1..=500000000");
        }
        if levels_max == 0 || levels_max >= LEVELS_MAX || ladder_slots > LEVELS_MAX - levels_max {
            return Err("levels_max must be above 0, and levels_max + ladder_slots at most 500000000");
        }
        if trades_max == 0 || trades_max > TRADES_MAX {
            return Err("trades_max must be in 1..=100000000");
        }
        Ok(())
    }

    /// Bytes that a market of these limits takes and touches at construction.
    #[must_use]
    pub const fn memory(&self) -> Memory {
        let Self { books_max, orders_max, levels_max, ladder_slots, trades_max, queues, .. } = *self;
        let ranked = queues && matches!(self.key, OrderKey::BookSideId);
        Memory {
            books: books_max * size_of::<Book>()
                + DIRECT_BOOKS * size_of::<u16>()
                + probed_slots(books_max) * size_of::<(u32, u16)>(),
            orders: lines_for(orders_max) * store::line_bytes(ranked),
            levels: levels_max * (store::level_bytes(ranked) + store::SORTED_BYTES_PER_LEVEL),
            ladders: ladder_slots * store::level_bytes(ranked) + ladder_slots / 8,
            trades: trade_log::places(trades_max) * size_of::<trade_log::Kept>(),
        }
    }
}

/// What a market takes, in bytes, by what it is for. Beside it there is less than 64 KiB that no limit changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Books and the tables of their numbers.
    pub books: usize,
    /// Orders and their index.
    pub orders: usize,
    /// Levels outside ladders, and the sorted arrays of them.
    pub levels: usize,
    /// Levels on ladders.
    pub ladders: usize,
    /// Trades that may be broken.
    pub trades: usize,
}

impl Memory {
    /// All of it, bytes.
    #[must_use]
    pub const fn total(&self) -> usize {
        self.books + self.orders + self.levels + self.ladders + self.trades
    }
}

/// Most updates that one event makes: a broken trade (statistics and four candles anew, the trade, a doubt), with a second of
/// the clock before it. Others make at most eight.
pub const UPDATES_PER_EVENT_MAX: usize = 24;

/// Most trades that are kept.
const TRADES_MAX: usize = 100_000_000;

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

/// At most half full, so that probing ends soon.
const fn probed_slots(books_max: usize) -> usize {
    (books_max * 2).next_power_of_two()
}

/// All books of one feed.
pub struct Market {
    limits: Limits,
    books: Vec<Book>,
    direct: Vec<u16>,
    /// (book number, index) of the numbers that do not fit the direct table, open addressing.
    probed: Vec<(u32, u16)>,
    store: Store,
    trade_log: TradeLog,
    anomalies: Arc<Anomalies>,
    epoch: u64,
    seq: u64,
    next_second_ns: Nanos,
    rank: Option<(u32, u64)>,
    /// The book whose readers have to be told that it may be wrong.
    doubted: Option<BookIndex>,
    /// Why a book that is seen for the first time may be wrong.
    born_doubted: Option<Doubt>,
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
        let pool = NodePool::new(ladder_slots, levels_max, lines_for(orders_max), key == OrderKey::BookSideId, queues);
        Self {
            books: with_capacity(limits.books_max, || Book::new(BookId(0), BookIndex(0))),
            direct: vec![NO_BOOK; DIRECT_BOOKS],
            probed: vec![(0, NO_BOOK); probed_slots(limits.books_max)],
            store: Store {
                small: limits.orders_max < limits.look_ahead_orders_min,
                orders: OrderIndex::new(&pool, limits.orders_max, limits.key, limits.seed),
                arena: Arena::new(limits.levels_max, limits.ladder_slots, limits.books_max),
                pool,
            },
            trade_log: TradeLog::new(limits.trades_max),
            anomalies: Arc::default(),
            epoch: 0,
            seq: 0,
            next_second_ns: 0,
            rank: None,
            doubted: None,
            born_doubted: None,
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
        self.index_of(book_id.0).map(|index| &self.books[index.as_usize()])
    }

    /// The number of a book by ticker (`GARAN`) or by the exchange's own name (`GARAN.E`). Walks all books.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<BookId> {
        self.books.iter().find(|book| ticker(book.symbol()) == ticker(name)).map(Book::id)
    }

    /// Levels of a side with a visible quantity, best first.
    pub fn levels(&self, book_id: BookId, side: Side) -> impl Iterator<Item = Level> + '_ {
        self.book(book_id).into_iter().flat_map(move |book| book.levels(&self.store, side))
    }

    /// Orders of a side in priority order, market orders first: price, id, quantity, 1-based place in its level.
    pub fn queue(&self, book_id: BookId, side: Side) -> impl Iterator<Item = (Price, OrderId, u64, u32)> + '_ {
        self.book(book_id).into_iter().flat_map(move |book| book.queue(&self.store, side))
    }

    /// Where an order stands. Walks the side: for people and tests, not for the hot path.
    #[must_use]
    pub fn position(&self, book_id: BookId, side: Side, id: OrderId) -> Option<QueuePosition> {
        self.book(book_id)?.position(&self.store, side, id)
    }

    /// Resting orders of all books.
    #[must_use]
    pub fn orders(&self) -> usize {
        self.store.orders.live()
    }

    /// Index of an update's book in [`Market::books`].
    #[inline]
    pub(crate) fn index_of_update(&self, update: &Slot) -> Option<BookIndex> {
        self.index_of(update.record().book_id)
    }

    /// Whether orders have places in queues.
    pub(crate) fn has_queues(&self) -> bool {
        self.limits.queues
    }

    #[inline(always)]
    pub(crate) fn index_of(&self, book_id: u32) -> Option<BookIndex> {
        let index = match self.direct.get(book_id as usize) {
            Some(&index) => index,
            None => self.probed[self.probe(book_id)].1,
        };
        (index != NO_BOOK).then_some(BookIndex(u32::from(index)))
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
    fn index_or_new(&mut self, book_id: u32) -> Option<BookIndex> {
        self.index_of(book_id).or_else(|| self.new_book(book_id))
    }

    #[cold]
    fn new_book(&mut self, book_id: u32) -> Option<BookIndex> {
        let index = self.books.len();
        if index == self.limits.books_max {
            self.anomalies.count(Anomaly::BooksExhausted);
            return None;
        }
        if let Some(place) = self.direct.get_mut(book_id as usize) {
            *place = index as u16;
        } else {
            let at = self.probe(book_id);
            self.probed[at] = (book_id, index as u16);
        }
        // Within the capacity reserved at construction: no allocation.
        let index = BookIndex::from_usize(index);
        self.books.push(Book::new(BookId(book_id), index));
        if let Some(doubt) = self.born_doubted {
            slow_path::cast_doubt(&mut self.doubted, &mut self.books[index.as_usize()], doubt);
        }
        Some(index)
    }

    /// Panics when anything disagrees with anything. For tests and simulation only: walks everything.
    pub fn check_invariants(&self) {
        self.books.iter().for_each(|book| book.check_invariants(&self.store));
        let orders: usize = self.books.iter().map(|book| book.orders() as usize).sum();
        assert_eq!(orders, self.orders());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One figure everywhere: `bist doctor` prints what [`Limits::memory`] says, and so do the documents.
    #[test]
    fn the_memory_that_documents_state_is_the_memory_of_the_default_limits() {
        let mb = |key| (Limits { key, ..Limits::default() }.memory().total() + 500_000) / 1_000_000;
        let (ranked, plain) = (mb(OrderKey::BookSideId), mb(OrderKey::Id));
        let decision = include_str!("../../docs/decisions/0003-fixed-memory-from-the-start.md");
        let stated = format!("about {ranked} MB with the defaults, {plain} where the feed states no ranks");
        assert!(decision.contains(&stated), "decision 0003 must say: {stated}");
        let here = include_str!("market.rs");
        let stated = format!("500,000 orders; about {ranked} MB, {plain} where the feed states no ranks");
        assert!(here.contains(&stated), "the default limits must say: {stated}");
        assert_eq!((size_of::<Book>() + 512) / 1_024, 2, "what `books_max` says");
        let each = |ranked| (store::line_bytes(ranked) * 2, store::level_bytes(ranked) + store::SORTED_BYTES_PER_LEVEL);
        assert_eq!((each(false), each(true)), ((128, 96), (192, 112)), "what `orders_max` and `levels_max` say");
        assert_eq!((store::level_bytes(false), store::level_bytes(true)), (32, 48), "what `ladder_slots` says");
    }
}
