//! All books of one feed: takes events in order, numbers them, keeps the books, says what changed.
//!
//! Never allocates after construction, reads no clock and knows no ring: updates go to an [`Output`]. Same events in,
//! same updates out, bit for bit.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::hint::select_unpredictable;
use std::sync::Arc;

use crate::anomaly::{Anomalies, Anomaly};
use crate::book::{Book, NewOrder, Pools, QueuePosition, Touched};
use crate::candle::Interval;
use crate::levels::Arena;
use crate::memory::prefetch;
use crate::nodes::{NO_NODE, Nodes, QueueRank};
pub use crate::orders::OrderKey;
use crate::orders::{Orders, Tag};
use crate::phase::Phase;
use crate::replica::{Level, ticker};
use crate::slot::{
    Execution, LevelUpdate, Mark, OrderEvent, OrderUpdate, QUANTITY_REST, Slot, System, TickBand, TradeUpdate, View,
    action, conditions, flags, frequent, rtype, system,
};
use crate::types::{BookId, Nanos, OrderId, Price, Side};

/// How much a market can hold; all of it is allocated and touched at construction.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Books (about 3 KiB each).
    pub books_max: usize,
    /// Resting orders of all books (64 to 80 bytes each).
    pub orders_max: usize,
    /// Levels outside ladders (112 bytes each).
    pub levels_max: usize,
    /// Places of all dense ladders, both sides (48 bytes each). A book whose price band was not announced takes an
    /// equal share of it, around its first price.
    pub ladder_slots: usize,
    /// Whether orders stand in queues, so that their places are known. Without (`false`), levels have their totals and
    /// order counts, and an event costs less; snapshots then leave the orders out and say so.
    pub queues: bool,
    /// With fewer resting orders than these all of them are in the cache, and looking ahead costs more than it saves.
    pub look_ahead_orders_min: usize,
    /// What names an order: depends on the feed's protocol.
    pub key: OrderKey,
    /// Key of the order index; random by default, so that nobody outside can aim at one place of it.
    pub seed: u64,
}

impl Default for Limits {
    /// A whole BIST equity market: 1,024 books, 500,000 orders; about 70 MB.
    fn default() -> Self {
        Self {
            books_max: 1_024,
            orders_max: 500_000,
            levels_max: 100_000,
            ladder_slots: 600_000,
            queues: true,
            look_ahead_orders_min: 8_192,
            key: OrderKey::BookSideId,
            seed: RandomState::new().build_hasher().finish(),
        }
    }
}

impl Limits {
    /// Most bytes that a market of these limits takes: its pools, its index and its table of book numbers.
    #[must_use]
    pub const fn bytes_max(&self) -> usize {
        let Self { books_max, orders_max, levels_max, ladder_slots, .. } = *self;
        books_max * 3_584 + orders_max * 80 + levels_max * 112 + ladder_slots * 48 + DIRECT_BOOKS * 2
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

/// How many events ahead the first of three looks is: far enough that a load has time to end between two of them, near
/// enough that what was loaded is still in the first cache.
pub const LOOK_AHEAD: usize = 24;
/// Room for the guesses about them; a power of two.
const GUESSES: usize = (LOOK_AHEAD + 1).next_power_of_two();

/// What looking ahead found out about an event. All of it is checked before it is believed.
#[derive(Clone, Copy)]
struct Guess {
    tag: Tag,
    /// The order it names.
    order: u32,
    /// What it will touch first: that order, or the level of an add.
    node: u32,
    /// The book that `tag` is about.
    dense: u16,
}

impl Guess {
    const NONE: Self = Self { tag: Tag::NONE, order: NO_NODE, node: NO_NODE, dense: NO_BOOK };
}

/// The scope of an order's name.
#[inline]
const fn book_side(dense: usize, side: Side) -> u32 {
    (dense as u32) << 1 | side.index() as u32
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
    exchange_ns: Nanos,
    next_second_ns: Nanos,
    rank: Option<(u32, u64)>,
    /// Base prices by ticker, told from outside: the feed itself does not carry them.
    references: HashMap<String, Price>,
}

/// What every update of one event shares.
#[derive(Clone, Copy)]
struct Stamp {
    book_id: u32,
    seq: u64,
    exchange_ns: Nanos,
    received_ns: Nanos,
    flags: u8,
}

impl Market {
    /// An empty market; allocates and touches everything it will ever use.
    ///
    /// # Panics
    /// When a limit is 0 or does not fit (`books_max`: 16 bits; all others together: 31 bits).
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        assert!(limits.books_max > 0 && limits.books_max < usize::from(NO_BOOK), "books_max must be in 1..65535");
        Self {
            books: Vec::with_capacity(limits.books_max),
            direct: vec![NO_BOOK; DIRECT_BOOKS],
            probed: vec![(0, NO_BOOK); (limits.books_max * 2).next_power_of_two()],
            pools: Pools {
                nodes: Nodes::new(
                    limits.ladder_slots,
                    limits.levels_max,
                    limits.orders_max,
                    limits.key == OrderKey::BookSideId,
                ),
                orders: Orders::new(limits.orders_max, limits.key, limits.seed),
                arena: Arena::new(limits.levels_max, limits.ladder_slots, limits.books_max),
                queues: limits.queues,
            },

            anomalies: Arc::default(),
            epoch: 0,
            seq: 0,
            exchange_ns: 0,
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

    /// The exchange's clock, as far as events told it.
    #[must_use]
    pub fn exchange_ns(&self) -> Nanos {
        self.exchange_ns
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
        self.pools.nodes.live()
    }

    /// Place of an update's book in [`Market::books`].
    #[inline]
    pub(crate) fn dense_of(&self, update: &Slot) -> Option<usize> {
        let bytes = update.as_bytes();
        self.dense(u32::from_ne_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]))
    }

    #[inline(always)]
    fn dense(&self, book_id: u32) -> Option<usize> {
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

    /// Takes one event, numbers it, and says what it changed.
    #[inline]
    pub fn apply(&mut self, event: &Slot, out: &mut impl Output) {
        self.apply_guessed(event, Guess::NONE, out);
    }

    /// Takes events in order like [`Market::apply`], to the same answer, and calls `after` behind each.
    ///
    /// Looks up to [`LOOK_AHEAD`] events ahead and starts to load what they will touch, so that an event finds in the
    /// cache what it would have waited for some 150 ns at a time. The more events at once the better: the first ones
    /// of a call come unprepared.
    #[inline]
    pub fn apply_all<O: Output>(&mut self, events: &[Slot], out: &mut O, mut after: impl FnMut(&Self, &Slot, &mut O)) {
        if self.pools.nodes.live() < self.limits.look_ahead_orders_min {
            for event in events {
                self.apply_guessed(event, Guess::NONE, out);
                after(self, event, out);
            }
            return;
        }
        let mut guesses = [Guess::NONE; GUESSES];
        // Four events side by side, each a third of the way further: while one is applied, the loads of the others run.
        for step in 0..events.len() + LOOK_AHEAD {
            if let Some(event) = events.get(step) {
                guesses[step % GUESSES] = self.look_at_name(event);
            }
            let at = step.wrapping_sub(LOOK_AHEAD / 3);
            if let Some(event) = events.get(at) {
                self.look_at_order(event, &mut guesses[at % GUESSES]);
            }
            let at = step.wrapping_sub(LOOK_AHEAD / 3 * 2);
            if at < events.len() {
                self.pools.nodes.prefetch_around(guesses[at % GUESSES].node);
            }
            if let Some(event) = events.get(step.wrapping_sub(LOOK_AHEAD)) {
                self.apply_guessed(event, guesses[step.wrapping_sub(LOOK_AHEAD) % GUESSES], out);
                after(self, event, out);
            }
        }
    }

    /// First look: where the index keeps the order, and the book.
    #[inline(always)]
    fn look_at_name(&self, event: &Slot) -> Guess {
        let named = event.named();
        let dense = self.direct.get(named.book_id as usize).copied().unwrap_or(NO_BOOK);
        let tag = self.pools.orders.tag(u32::from(dense) << 1 | named.side as u32, named.order_id);
        self.pools.orders.prefetch(tag);
        prefetch(&self.books, usize::from(dense));
        Guess { tag, dense, ..Guess::NONE }
    }

    /// Second look: the order, or the level that an add goes to.
    #[inline(always)]
    fn look_at_order(&self, event: &Slot, guess: &mut Guess) {
        guess.order = self.pools.orders.candidate(guess.tag);
        let named = event.named();
        let book = self.books.get(usize::from(guess.dense));
        let level = book.map_or(NO_NODE, |book| book.on_grid(named.side, named.price));
        // No branch: whether it is an add is as hard to predict here as it will be when it is applied.
        guess.node = select_unpredictable(guess.order == NO_NODE, level, guess.order);
        self.pools.nodes.prefetch(guess.node);
    }

    #[inline(always)]
    fn apply_guessed(&mut self, event: &Slot, guess: Guess, out: &mut impl Output) {
        self.seq += 1;
        let rank = if self.rank.is_some() { self.take_rank(event) } else { None };
        // The frequent kinds one after the other, the most frequent first: each is a guess of the processor's.
        match event.code() {
            code if code == frequent::ADD => self.on_add(event.as_order(), rank, guess, out),
            code if code == frequent::CANCEL => self.on_cancel(event.as_order(), guess, out),
            code if code == frequent::REPLACE => self.on_replace(event.as_execution(), guess, out),
            code if code == frequent::EXECUTION => self.on_execution(event.as_execution(), guess, out),
            _ => self.on_rare(event, guess, out),
        }
    }

    #[inline(never)]
    fn on_rare(&mut self, event: &Slot, guess: Guess, out: &mut impl Output) {
        match event.view() {
            View::Order(event) => {
                self.on_clock(event.exchange_ns, event.received_ns, out);
                match event.action {
                    action::MODIFY => self.on_modify(event, guess, out),
                    action::CLEAR => self.on_clear(event, out),
                    _ => self.anomaly(Anomaly::UnknownEvent, event.book_id),
                }
            }
            View::Trade(event) => {
                self.on_clock(event.exchange_ns, event.received_ns, out);
                self.on_trade(event, out);
            }
            View::Rank(event) => self.rank = Some((event.book_id, event.rank_ns)),
            View::System(event) => self.on_system(event, out),
            View::Unknown(_) => self.anomalies.count(Anomaly::UnknownEvent),
            _ => self.on_record(event, out),
        }
    }

    /// The ranking time that the event before stated, if this is the add that it was stated for.
    #[cold]
    fn take_rank(&mut self, event: &Slot) -> Option<u64> {
        let (book_id, rank_ns) = self.rank.take()?;
        if let View::Order(event) = event.view()
            && (event.book_id, event.action) == (book_id, action::ADD)
        {
            return Some(rank_ns);
        }
        self.anomaly(Anomaly::StrayRank, book_id);
        None
    }

    #[cold]
    fn anomaly(&mut self, anomaly: Anomaly, book_id: u32) {
        self.anomalies.count(anomaly);
        if anomaly.spoils_book()
            && let Some(dense) = self.dense(book_id)
        {
            self.books[dense].maybe_bad = true;
        }
    }

    /// The exchange's clock only moves forward; each new second closes candles and tells the readers.
    #[inline(always)]
    fn on_clock(&mut self, exchange_ns: Nanos, received_ns: Nanos, out: &mut impl Output) {
        if exchange_ns >= self.next_second_ns {
            self.on_second(exchange_ns, received_ns, out);
        }
        self.exchange_ns = self.exchange_ns.max(exchange_ns);
    }

    #[cold]
    fn on_second(&mut self, exchange_ns: Nanos, received_ns: Nanos, out: &mut impl Output) {
        let second_ns = Interval::Second.start_ns(exchange_ns);
        self.exchange_ns = exchange_ns;
        self.next_second_ns = second_ns.saturating_add(Interval::Second.length_ns());
        // Candles that end here are closed by their book's next trade, or left out of its next snapshot: nobody reads
        // them before, and a walk over all books each second would be a stall of a millisecond in a wide market.
        let mut record = System::new(system::TIME, second_ns, received_ns, 0, 0, self.epoch);
        record.seq = self.seq;
        out.push(record.into());
    }

    #[inline(always)]
    fn on_add(&mut self, event: &OrderEvent, rank: Option<u64>, guess: Guess, out: &mut impl Output) {
        self.on_clock(event.exchange_ns, event.received_ns, out);
        let side = event.side();
        if side == Side::None {
            return self.anomaly(Anomaly::NoSide, event.book_id);
        }
        let Some(dense) = self.dense_or_new(event.book_id) else { return };
        let tag = self.tag(guess, dense, side, event.order_id);
        let rank = match (event.rank_sequence, rank) {
            (0, _) => None,
            (sequence, ns) => Some(QueueRank { ns: ns.unwrap_or(event.exchange_ns), sequence }),
        };
        let (price, quantity) = (Price(event.price), event.quantity());
        self.rest(dense, NewOrder { side, id: event.order_id, price, quantity, rank, tag }, event, out);
    }

    /// The tag of an order's name; the guess knows it, unless it is about another book.
    #[inline(always)]
    fn tag(&self, guess: Guess, dense: usize, side: Side, id: u64) -> Tag {
        if usize::from(guess.dense) == dense { guess.tag } else { self.pools.orders.tag(book_side(dense, side), id) }
    }

    /// Adds an order if its name is free, publishes it, and looks whether the book crossed.
    #[inline(always)]
    fn rest(&mut self, dense: usize, new: NewOrder, event: &impl Stamped, out: &mut impl Output) {
        let Self { pools, books, anomalies, seq, .. } = self;
        let book = &mut books[dense];
        if pools.orders.find(&pools.nodes, new.tag, book_side(dense, new.side), new.id).is_some() {
            return spoil(anomalies, book, Anomaly::DuplicateOrder);
        }
        if book.off_ladder(new.side, new.price) {
            anomalies.count(Anomaly::OffLadder);
        }
        match book.add(pools, &new) {
            Ok(touched) => {
                publish(stamp(book, *seq, event), action::ADD, &touched, out);
                check_crossed(anomalies, book);
            }
            Err(anomaly) => spoil(anomalies, book, anomaly),
        }
    }

    /// The order that an event names, with its book and tag; an unknown one is counted.
    #[inline(always)]
    fn named(&mut self, book_id: u32, side: Side, id: u64, guess: Guess) -> Option<(usize, u32, Tag)> {
        if (side == Side::None) & (self.limits.key == OrderKey::BookSideId) {
            self.anomaly(Anomaly::NoSide, book_id);
            return None;
        }
        let Some(dense) = self.dense(book_id) else { return self.unknown_order(book_id) };
        let tag = self.tag(guess, dense, side, id);
        let Pools { nodes, orders, .. } = &self.pools;
        match orders.find_guessed(nodes, tag, book_side(dense, side), id, guess.order) {
            // An id that is unique for the day may still be named under the wrong book.
            Some(order) if nodes.get(order).book_side >> 1 == dense as u32 => Some((dense, order, tag)),
            _ => self.unknown_order(book_id),
        }
    }

    #[cold]
    fn unknown_order<T>(&mut self, book_id: u32) -> Option<T> {
        self.anomaly(Anomaly::UnknownOrder, book_id);
        None
    }

    #[inline(always)]
    fn on_cancel(&mut self, event: &OrderEvent, guess: Guess, out: &mut impl Output) {
        self.on_clock(event.exchange_ns, event.received_ns, out);
        let Some((dense, order, tag)) = self.named(event.book_id, event.side(), event.order_id, guess) else { return };
        // DBN's undefined size means the same as our own sentinel.
        let undefined = event.quantity() == u64::from(u32::MAX);
        let quantity = if undefined { QUANTITY_REST } else { event.quantity() };
        let Self { pools, books, anomalies, seq, .. } = self;
        let book = &mut books[dense];
        let touched = book.reduce(pools, order, tag, quantity);
        if touched.excess {
            spoil(anomalies, book, Anomaly::OverCancel);
        }
        publish(stamp(book, *seq, event), action::CANCEL, &touched, out);
        check_uncrossed(book);
    }

    /// A new price or a larger quantity sends an order to the end of its new queue; less quantity keeps its place
    /// (CME Globex, "Modify": loss of priority).
    fn on_modify(&mut self, event: &OrderEvent, guess: Guess, out: &mut impl Output) {
        let Some((dense, order, tag)) = self.named(event.book_id, event.side(), event.order_id, guess) else { return };
        let have = *self.pools.nodes.get(order);
        let price = self.pools.nodes.get(have.owner).price();
        if price == event.price && event.quantity() <= have.quantity && event.quantity() > 0 {
            let book = &mut self.books[dense];
            let touched = book.reduce(&mut self.pools, order, tag, have.quantity - event.quantity());
            publish(stamp(book, self.seq, event), action::CANCEL, &touched, out);
            return check_uncrossed(book);
        }
        let moved = (event.order_id, Price(event.price), event.quantity());
        self.move_order(dense, order, tag, moved, event, out);
    }

    /// Takes an order out and puts it in again under an id, price and quantity, behind all others.
    #[inline(always)]
    fn move_order(
        &mut self,
        dense: usize,
        order: u32,
        tag: Tag,
        (id, price, quantity): (u64, Price, u64),
        event: &impl Stamped,
        out: &mut impl Output,
    ) {
        let book = &mut self.books[dense];
        let gone = book.reduce(&mut self.pools, order, tag, QUANTITY_REST);
        publish(stamp(book, self.seq, event), action::CANCEL, &gone, out);
        check_uncrossed(book);
        let side = gone.side;
        let tag = self.pools.orders.tag(book_side(dense, side), id);
        self.rest(dense, NewOrder { side, id, price, quantity, rank: None, tag }, event, out);
    }

    #[inline(never)]
    fn on_replace(&mut self, event: &Execution, guess: Guess, out: &mut impl Output) {
        self.on_clock(event.exchange_ns, event.received_ns, out);
        let Some((dense, order, tag)) = self.named(event.book_id, event.side(), event.order_id, guess) else { return };
        let moved = (event.other_id, Price(event.price), event.quantity);
        self.move_order(dense, order, tag, moved, event, out);
    }

    fn on_clear(&mut self, event: &OrderEvent, out: &mut impl Output) {
        let Some(dense) = self.dense_or_new(event.book_id) else { return };
        let book = &mut self.books[dense];
        book.clear(&mut self.pools);
        let stamp = stamp(book, self.seq, event);
        out.push(mark(rtype::CLEAR, stamp, 0, 0, false, self.epoch));
    }

    #[inline(never)]
    fn on_execution(&mut self, event: &Execution, guess: Guess, out: &mut impl Output) {
        self.on_clock(event.exchange_ns, event.received_ns, out);
        let Some((dense, order, tag)) = self.named(event.book_id, event.side(), event.order_id, guess) else {
            // The trade happened all the same, if only its price is known.
            if event.price != Price::NONE.0 {
                self.on_trade(event, out);
            }
            return;
        };
        let Self { pools, books, anomalies, seq, next_second_ns, .. } = self;
        let book = &mut books[dense];
        let touched = book.reduce(pools, order, tag, event.quantity.min(QUANTITY_REST - 1));
        if touched.excess {
            spoil(anomalies, book, Anomaly::OverExecution);
        }
        let stamp = stamp(book, *seq, event);
        publish(stamp, action::FILL, &touched, out);
        let price = if event.price == Price::NONE.0 { touched.price } else { Price(event.price) };
        book.candles.on_time(second_before(*next_second_ns), &mut |_, _| {});
        trade(book, stamp, touched.side, price, event, out);
        check_uncrossed(book);
    }

    fn on_trade(&mut self, event: &Execution, out: &mut impl Output) {
        let Some(dense) = self.dense_or_new(event.book_id) else { return };
        let book = &mut self.books[dense];
        let stamp = stamp(book, self.seq, event);
        book.candles.on_time(second_before(self.next_second_ns), &mut |_, _| {});
        trade(book, stamp, event.side(), Price(event.price), event, out);
    }

    fn on_system(&mut self, event: &System, out: &mut impl Output) {
        match event.code {
            system::SESSION => self.on_session(event),
            system::TIME => return self.on_clock(event.exchange_ns, event.received_ns, out),
            system::GAP => self.books.iter_mut().for_each(|book| book.maybe_bad = true),
            system::END_OF_MESSAGES => self.books.iter_mut().for_each(|book| book.statistics.on_close()),
            _ => {}
        }
        let mut record = *event;
        record.seq = self.seq;
        out.push(record.into());
    }

    /// All books are empty, a new day of statistics begins, numbers start again.
    fn on_session(&mut self, event: &System) {
        self.epoch = event.epoch;
        self.seq = 0;
        self.exchange_ns = event.exchange_ns;
        let second_ns = second_before(self.next_second_ns);
        self.next_second_ns = 0;
        self.pools.nodes.clear();
        self.pools.orders.clear();
        self.pools.arena.clear();
        for book in &mut self.books {
            book.candles.on_time(second_ns, &mut |_, _| {});
            book.forget_orders();
            book.statistics = book.statistics.next_day();
            book.phase = Phase::Unknown;
            book.records.state = None;
            book.records.equilibrium = None;
            book.records.equilibrium_best = None;
            book.seq = 0;
            book.lay_ladder(&mut self.pools);
        }
    }

    /// Definitions, states, auction pictures: kept for snapshots and passed on with their number.
    fn on_record(&mut self, event: &Slot, out: &mut impl Output) {
        let bytes = event.as_bytes();
        let word = |at: usize| u64::from_ne_bytes(std::array::from_fn(|byte| bytes[at + byte]));
        let (book_id, exchange_ns, received_ns) = ((word(0) >> 32) as u32, word(8), word(24));
        self.on_clock(exchange_ns, received_ns, out);
        let Some(dense) = self.dense_or_new(book_id) else { return };
        stamp(&mut self.books[dense], self.seq, &(exchange_ns, received_ns));
        let numbered = event.with_seq(self.seq);
        let book = &mut self.books[dense];
        match event.view() {
            View::Symbol(record) => {
                let same = book.symbol() == crate::slot::text(&record.symbol);
                if !same && book.records.symbol.is_some() {
                    // The exchange may give the number of an expired book to a new instrument.
                    book.clear(&mut self.pools);
                    book.statistics = Default::default();
                    book.candles = Default::default();
                    book.records = Default::default();
                }
                book.ticks.clear();
                book.records.symbol = Some(numbered);
                if !book.statistics.reference.is_some() {
                    book.statistics.reference = self.references.get(ticker(book.symbol())).copied().unwrap_or_default();
                }
            }
            View::LongName(_) => book.records.name = Some(numbered),
            View::Terms(_) => book.records.terms = Some(numbered),
            View::Contract(_) => book.records.contract = Some(numbered),
            View::ShortSell(_) => book.records.short_sell = Some(numbered),
            View::TickBand(band) => {
                // Readers learn the base price from here.
                let band = self.on_tick_band(dense, band);
                return out.push(Slot::from(band).with_seq(self.seq));
            }
            View::State(state) => {
                book.records.state = Some(numbered);
                book.phase = state.phase();
                if !book.phase.is_auction() {
                    book.records.equilibrium = None;
                    book.records.equilibrium_best = None;
                }
                if book.phase == Phase::Closed {
                    book.statistics.on_close();
                }
                if book.phase.may_cross() {
                    book.crossed = false;
                } else {
                    check_crossed(&self.anomalies, book);
                }
            }
            View::Equilibrium(_) => book.records.equilibrium = Some(numbered),
            View::EquilibriumBest(_) => book.records.equilibrium_best = Some(numbered),
            View::Leg(_) => {}
            _ => return self.anomaly(Anomaly::UnknownEvent, book_id), // an update kind on the event ring
        }
        out.push(numbered);
    }

    fn on_tick_band(&mut self, dense: usize, band: &TickBand) -> TickBand {
        let book = &mut self.books[dense];
        if book.ticks.add(band).is_err() {
            self.anomalies.count(Anomaly::BadTickBand);
        } else {
            book.statistics.set_band(&book.ticks, Price(band.reference));
            book.lay_ladder(&mut self.pools);
        }
        TickBand { reference: book.statistics.reference.0, ..*band }
    }

    /// Number of slots [`Market::snapshot`] will write for a book.
    #[must_use]
    pub fn snapshot_slots(&self, book: &Book, orders: bool) -> usize {
        let fixed = 2 + 8 + crate::tick::TICK_BANDS_MAX + crate::statistics::Statistics::RECORDS + 2 * 4;
        let levels = Side::Bid.index()..=Side::Ask.index();
        let levels: usize = levels.map(|side| book.levels(&self.pools, [Side::Bid, Side::Ask][side]).count()).sum();
        fixed + levels + if orders { book.orders() as usize } else { 0 }
    }

    /// Writes the whole state of a book as updates that replace whatever the reader knew of it.
    ///
    /// `missed` are the numbers the reader did not get (0, 0: none). Without `orders` the begin says so.
    pub fn snapshot(&self, book: &Book, missed: (u64, u64), orders: bool, out: &mut impl Output) {
        let orders = orders && self.limits.queues;
        let flags = flags::SNAPSHOT | if book.maybe_bad { flags::MAYBE_BAD_BOOK } else { 0 };
        let stamp = Stamp {
            book_id: book.id.0,
            seq: book.seq,
            exchange_ns: book.exchange_ns,
            received_ns: book.received_ns,
            flags,
        };
        out.push(mark(rtype::SNAPSHOT_BEGIN, stamp, missed.0, missed.1, !orders, self.epoch));
        book.records.iter().for_each(|record| out.push(record.with_flag(flags::SNAPSHOT)));
        for band in book.ticks.bands() {
            let record = TickBand {
                length: 16,
                rtype: rtype::TICK_BAND,
                flags,
                side: b'N',
                book_id: stamp.book_id,
                exchange_ns: stamp.exchange_ns,
                seq: stamp.seq,
                received_ns: stamp.received_ns,
                tick: band.tick,
                from: band.from.0,
                to: band.to.0,
                reference: Price::NONE.0,
            };
            out.push(record.into());
        }
        book.records.iter_state().for_each(|record| out.push(record.with_flag(flags::SNAPSHOT)));
        for record in book.statistics.records() {
            out.push(Slot::from(record).stamped(stamp.book_id, stamp.exchange_ns, stamp.seq));
        }
        let mut candles = book.candles;
        candles.on_time(second_before(self.next_second_ns), &mut |_, _| {});
        for (prices, amounts) in Interval::ALL.into_iter().filter_map(|interval| candles.records(interval)) {
            out.push(Slot::from(prices).stamped(stamp.book_id, stamp.exchange_ns, stamp.seq));
            out.push(Slot::from(amounts).stamped(stamp.book_id, stamp.exchange_ns, stamp.seq));
        }
        for side in [Side::Bid, Side::Ask] {
            book.levels(&self.pools, side).for_each(|level| out.push(level_update(stamp, side, level)));
            if orders {
                for (price, id, quantity, place) in book.queue(&self.pools, side) {
                    out.push(order_update(stamp, side, action::ADD, id.0, price, quantity, place));
                }
            }
        }
        out.push(mark(rtype::SNAPSHOT_END, stamp, 0, 0, !orders, self.epoch));
    }

    /// Panics when anything disagrees with anything. For tests and simulation only: walks everything.
    pub fn check_invariants(&self) {
        self.books.iter().for_each(|book| book.check_invariants(&self.pools));
        let orders: usize = self.books.iter().map(|book| book.orders() as usize).sum();
        assert_eq!(orders, self.orders());
    }
}

/// The two clocks of an event.
trait Stamped {
    fn exchange_ns(&self) -> Nanos;
    fn received_ns(&self) -> Nanos;
}

impl Stamped for OrderEvent {
    fn exchange_ns(&self) -> Nanos {
        self.exchange_ns
    }
    fn received_ns(&self) -> Nanos {
        self.received_ns
    }
}

impl Stamped for Execution {
    fn exchange_ns(&self) -> Nanos {
        self.exchange_ns
    }
    fn received_ns(&self) -> Nanos {
        self.received_ns
    }
}

impl Stamped for (Nanos, Nanos) {
    fn exchange_ns(&self) -> Nanos {
        self.0
    }
    fn received_ns(&self) -> Nanos {
        self.1
    }
}

/// Notes in the book that this event was its newest.
#[inline(always)]
fn stamp(book: &mut Book, seq: u64, event: &impl Stamped) -> Stamp {
    let (exchange_ns, received_ns) = (event.exchange_ns(), event.received_ns());
    book.seq = seq;
    book.exchange_ns = exchange_ns;
    book.received_ns = received_ns;
    let flags = if book.maybe_bad { flags::MAYBE_BAD_BOOK } else { 0 };
    Stamp { book_id: book.id.0, seq, exchange_ns, received_ns, flags }
}

#[cold]
fn spoil(anomalies: &Anomalies, book: &mut Book, anomaly: Anomaly) {
    anomalies.count(anomaly);
    book.maybe_bad |= anomaly.spoils_book();
}

#[inline(always)]
fn check_crossed(anomalies: &Anomalies, book: &mut Book) {
    if book.is_crossed() && !book.crossed && !book.phase.may_cross() {
        book.crossed = true;
        spoil(anomalies, book, Anomaly::Crossed);
    }
}

#[inline(always)]
fn check_uncrossed(book: &mut Book) {
    if book.crossed {
        book.crossed = book.is_crossed();
    }
}

/// The second that the exchange's clock is in, from the one that it has not reached.
#[inline]
const fn second_before(next_second_ns: Nanos) -> Nanos {
    next_second_ns.saturating_sub(Interval::Second.length_ns())
}

#[inline]
fn trade(book: &mut Book, stamp: Stamp, resting: Side, price: Price, event: &Execution, out: &mut impl Output) {
    book.statistics.on_trade(price, event.quantity, event.conditions);
    book.candles.on_trade(stamp.exchange_ns, price, event.quantity, event.conditions, &mut |_, _| {});
    // In an auction both sides meet at one price: nobody is the aggressor.
    let aggressor = if event.conditions & conditions::CROSS != 0 { Side::None } else { resting.opposite() };
    let update = TradeUpdate {
        length: 16,
        rtype: rtype::TRADE_UPDATE,
        flags: stamp.flags,
        side: aggressor as u8,
        book_id: stamp.book_id,
        exchange_ns: stamp.exchange_ns,
        seq: stamp.seq,
        received_ns: stamp.received_ns,
        match_id: event.other_id,
        price: price.0,
        quantity: event.quantity,
        conditions: event.conditions,
        reserved: [0; 7],
    };
    out.push(update.into());
}

/// The order, then its level (market orders have none).
#[inline(always)]
fn publish(stamp: Stamp, action: u8, touched: &Touched, out: &mut impl Output) {
    let Touched { side, order_id, price, left, position, level, unchanged, .. } = *touched;
    if unchanged {
        return;
    }
    out.push(order_update(stamp, side, action, order_id, price, left, position));
    if price.is_some() {
        out.push(level_update(stamp, side, level));
    }
}

#[inline(always)]
fn order_update(stamp: Stamp, side: Side, action: u8, order_id: u64, price: Price, left: u64, place: u32) -> Slot {
    let update = OrderUpdate {
        length: 16,
        rtype: rtype::ORDER_UPDATE,
        flags: stamp.flags,
        side: side as u8,
        book_id: stamp.book_id,
        exchange_ns: stamp.exchange_ns,
        seq: stamp.seq,
        received_ns: stamp.received_ns,
        order_id,
        price: price.0,
        quantity: left,
        position: place,
        action,
        reserved: [0; 3],
    };
    update.into()
}

#[inline(always)]
fn level_update(stamp: Stamp, side: Side, level: Level) -> Slot {
    let update = LevelUpdate {
        length: 16,
        rtype: rtype::LEVEL,
        flags: stamp.flags,
        side: side as u8,
        book_id: stamp.book_id,
        exchange_ns: stamp.exchange_ns,
        seq: stamp.seq,
        received_ns: stamp.received_ns,
        price: level.price.0,
        quantity: level.quantity,
        count: level.count,
        reserved: 0,
        reserved2: 0,
    };
    update.into()
}

fn mark(rtype: u8, stamp: Stamp, from_seq: u64, to_seq: u64, orders_omitted: bool, epoch: u64) -> Slot {
    let mark = Mark {
        length: 16,
        rtype,
        flags: stamp.flags,
        side: b'N',
        book_id: stamp.book_id,
        exchange_ns: stamp.exchange_ns,
        seq: stamp.seq,
        received_ns: stamp.received_ns,
        from_seq,
        to_seq,
        orders_omitted: u64::from(orders_omitted),
        epoch,
    };
    mark.into()
}
