//! Looking ahead: starts to load what the next events will touch while this one is applied.
//!
//! Changes no book and decides nothing: what is seen here is only where to look, and is looked at again when its event is
//! applied.

use std::hint::select_unpredictable as select;

use super::{Market, NO_BOOK, Output};
use crate::market::store::Store;
use crate::market::store::ladder::key_of;
use crate::market::store::node::{Nodes as _, SCRATCH};
use crate::market::store::order_index::level_in;
use crate::slot::{Slot, rtype};

/// How many events ahead the first of three looks is: far enough that a load has time to end between two of them, near
/// enough that what was loaded is still in the first cache.
pub const LOOK_AHEAD: usize = 24;
/// Room for the guesses about them; a power of two.
const GUESSES: usize = (LOOK_AHEAD + 1).next_power_of_two();
/// How many events ahead the only look is in a small market.
const LOOK_NEAR: usize = 6;
const NEAR_GUESSES: usize = (LOOK_NEAR + 1).next_power_of_two();

/// What an event says for certain: where its order's name belongs.
#[derive(Clone, Copy)]
pub(super) struct Name {
    /// The own line of the order's name.
    pub line: u32,
    /// The book, or [`NO_BOOK`].
    pub book_at: u16,
}

impl Name {
    const NONE: Self = Self { line: 0, book_at: NO_BOOK };
}

/// Where an event will lead to, as far as it can be known. A wrong guess is found out when the event is applied.
#[derive(Clone, Copy)]
struct Guess {
    name: Name,
    /// The order's level, or where none is known the one that the event's price has on the ladder, or [`SCRATCH`].
    level: u32,
    /// The order, or where none is known that level: what stands beside it will be touched.
    node: u32,
}

impl Guess {
    const NONE: Self = Self { name: Name::NONE, level: SCRATCH, node: SCRATCH };
}

impl Market {
    /// Takes events in order like [`Market::apply`], to the same answer, and calls `after` behind each.
    ///
    /// Looks up to [`LOOK_AHEAD`] events ahead and starts to load what they will touch, so that an event finds in the
    /// cache what it would have waited for some 150 ns at a time. The more events at once the better: for the
    /// first ones of a call the loads have little time.
    #[inline]
    pub fn apply_all<O: Output>(&mut self, events: &[Slot], out: &mut O, after: impl FnMut(&Self, &Slot, &mut O)) {
        if self.store.small {
            self.apply_near(events, out, after);
        } else {
            self.apply_far(events, out, after);
        }
    }

    /// Only the order's line, which lies in the second cache: it is known before its event is.
    #[inline(always)]
    fn apply_near<O: Output>(&mut self, events: &[Slot], out: &mut O, mut after: impl FnMut(&Self, &Slot, &mut O)) {
        let mut names = [Name::NONE; NEAR_GUESSES];
        self.begin_near(events, &mut names);
        for (at, event) in events.iter().enumerate() {
            if let Some(next) = events.get(at + LOOK_NEAR) {
                names[(at + LOOK_NEAR) % NEAR_GUESSES] = self.look_near(next);
            }
            self.apply_named(event, names[at % NEAR_GUESSES], out);
            after(self, event, out);
        }
    }

    #[inline(never)]
    fn begin_near(&self, events: &[Slot], names: &mut [Name; NEAR_GUESSES]) {
        events.iter().zip(names).take(LOOK_NEAR).for_each(|(event, name)| *name = self.look_near(event));
    }

    /// First look: the book, and the line of the order's name.
    #[inline(always)]
    fn look_near(&self, event: &Slot) -> Name {
        let line = self.store.orders.line_of(event.as_order().order_id);
        self.store.pool.prefetch_line(line);
        Name { line, book_at: self.book_of_event(event) }
    }

    /// Four events side by side, each a third of the way further: while one is applied, the loads of the others run.
    #[inline(always)]
    fn apply_far<O: Output>(&mut self, events: &[Slot], out: &mut O, mut after: impl FnMut(&Self, &Slot, &mut O)) {
        let mut guesses = [Guess::NONE; GUESSES];
        self.begin_far(events, &mut guesses);
        for (at, event) in events.iter().enumerate() {
            if let Some(event) = events.get(at + LOOK_AHEAD) {
                guesses[(at + LOOK_AHEAD) % GUESSES] = self.look_far(event);
            }
            if let Some(event) = events.get(at + LOOK_AHEAD / 3 * 2) {
                self.look_at_order(event, &mut guesses[(at + LOOK_AHEAD / 3 * 2) % GUESSES]);
            }
            if let Some(event) = events.get(at + LOOK_AHEAD / 3) {
                self.prefetch_around(event, &guesses[(at + LOOK_AHEAD / 3) % GUESSES]);
            }
            self.apply_named(event, guesses[at % GUESSES].name, out);
            after(self, event, out);
        }
    }

    /// What would have been looked at before the first event, had it been known.
    #[inline(never)]
    fn begin_far(&self, events: &[Slot], guesses: &mut [Guess; GUESSES]) {
        let with_guesses = || events.iter().zip(0..GUESSES);
        with_guesses().take(LOOK_AHEAD).for_each(|(event, at)| guesses[at] = self.look_far(event));
        with_guesses().take(LOOK_AHEAD / 3 * 2).for_each(|(event, at)| self.look_at_order(event, &mut guesses[at]));
        with_guesses().take(LOOK_AHEAD / 3).for_each(|(event, at)| self.prefetch_around(event, &guesses[at]));
    }

    /// The book of an event, or [`NO_BOOK`].
    #[inline(always)]
    pub(super) fn book_of_event(&self, event: &Slot) -> u16 {
        self.index_of(event.as_order().book_id).map_or(NO_BOOK, |index| index.0 as u16)
    }

    /// The same, and what it leads to.
    #[inline(always)]
    fn look_far(&self, event: &Slot) -> Guess {
        let name = self.look_near(event);
        if let Some(book) = self.books.get(usize::from(name.book_at)) {
            book.prefetch();
        }
        Guess { name, ..Guess::NONE }
    }

    /// Second look: the order, or the level of an add. No branch: which of the two it is is as hard to predict here as
    /// it will be when the event is applied.
    #[inline(always)]
    fn look_at_order(&self, event: &Slot, guess: &mut Guess) {
        let Store { pool, arena, .. } = &self.store;
        let named = event.as_order();
        let line = pool.nodes().line(guess.name.line);
        let (level, place) = level_in(line, named.order_id);
        let on_ladder = self.level_at(guess.name.book_at, named.side_index(), named.price);
        let is_order = level != SCRATCH;
        guess.level = select(is_order, level, on_ladder);
        guess.node = select(is_order, guess.name.line + place as u32, on_ladder);
        pool.prefetch_level(guess.level);
        arena.prefetch(guess.level);
        pool.prefetch_ranks(guess.name.line);
        self.prefetch_trades(event, guess);
    }

    /// The level of a price on the ladder of a book's side, or [`SCRATCH`].
    #[inline(always)]
    fn level_at(&self, book_at: u16, side: usize, price: i64) -> u32 {
        let Some(book) = self.books.get(usize::from(book_at)) else { return SCRATCH };
        let (level, on_ladder) = book.sides[side & 1].on_ladder(key_of(side & 1, price));
        select(on_ladder, level, SCRATCH)
    }

    /// A trade changes statistics and candles too.
    #[inline(always)]
    fn prefetch_trades(&self, event: &Slot, guess: &Guess) {
        if event.rtype == rtype::EXECUTION
            && let Some(book) = self.books.get(usize::from(guess.name.book_at))
        {
            book.prefetch_trades();
        }
    }

    /// Third look: what lies around the order or level.
    #[inline(always)]
    fn prefetch_around(&self, event: &Slot, guess: &Guess) {
        let Store { pool, arena, orders, .. } = &self.store;
        pool.prefetch_neighbours(guess.node);
        if event.rtype == rtype::REPLACE {
            // Name and level that the order gets: known only now, since the event does not state the side.
            let book_side = pool.level(guess.level).book_side;
            let line = orders.line_of(event.as_execution().other_id);
            pool.prefetch_line(line);
            pool.prefetch_ranks(line);
            let side = (book_side & 1) as usize;
            let level = self.level_at(guess.name.book_at, side, event.as_execution().price);
            pool.prefetch_level(level);
            arena.prefetch(level);
        }
    }
}
