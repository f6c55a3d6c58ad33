//! One reader of the book thread: what it follows, what it missed, what it asked for and is owed.
//!
//! Never blocks, allocates after construction, or waits for the reader: what finds no room is owed, and written when half the ring is
//! free.

use super::BookMetrics;
use super::pending::Pending;
use crate::market::{Market, Output, Part, UPDATES_PER_EVENT_MAX, Written};
use crate::order_interest::{OrderInterest, OrderInterestReceiver};
use crate::ring::{Full, Producer};
use crate::slot::{Slot, View, flags, picture, rtype, system};
use crate::types::{BookIndex, Price, Side};

/// Orders that a turn writes for a reader that asked for them, with a snapshot or without: bounds how long the events of others
/// wait for a walk over queues, whose orders lie anywhere in memory.
pub(super) const ORDERS_PER_TURN_MAX: usize = 256;

/// Which orders a reader is told of; levels, trades and the rest it is told of always.
pub enum Detail {
    /// None.
    Levels,
    /// All.
    Orders,
    /// Those of the books that it asks for.
    OnRequest(OrderInterestReceiver),
}

/// How a reader follows a book.
#[derive(Clone, Copy, Default)]
struct Following {
    /// First number it missed; 0 = it has never had this book.
    from_seq: u64,
    /// It does not: a snapshot is due.
    waiting: bool,
    /// It is told of every order.
    orders: bool,
    /// What it asked for and was not answered yet.
    requested: Option<bool>,
    /// It had the orders, and a snapshot without them: they come without a request.
    follow: bool,
}

impl Following {
    /// Whether orders are to be written, or an answer that there are none.
    fn is_owed_orders(&self) -> bool {
        self.follow || self.requested.is_some()
    }
}

/// One reader, and what it is owed.
pub(super) struct Reader {
    ring: Producer,
    detail: Detail,
    /// One per book, by the order in which the market first saw them.
    books: Vec<Following>,
    /// Books that wait for a snapshot.
    waiting: usize,
    /// Books that wait for orders or an answer.
    owed_orders: usize,
    /// The book whose orders are being written, and to where. Of what is written already it is told every change.
    writing: Option<(usize, Option<Written>)>,
    next: usize,
    /// Records about the whole feed that found no room.
    pending: Pending,
}

/// Writes a snapshot straight into a ring that has room for all of it.
struct RingOutput<'a>(&'a mut Producer);

impl Output for RingOutput<'_> {
    fn push(&mut self, update: Slot) {
        // OK because the caller has seen that there is room; a miscount would show in `bist_ring_full_total`.
        let _ = self.0.write(update);
    }
}

impl Reader {
    /// A reader that is told of at most `books_max` books.
    pub(super) fn new(ring: Producer, detail: Detail, books_max: usize) -> Self {
        Self {
            ring,
            detail,
            books: Vec::with_capacity(books_max),
            waiting: 0,
            owed_orders: 0,
            writing: None,
            next: 0,
            pending: Pending::default(),
        }
    }

    /// Books that wait for a snapshot.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Ends a turn: shows the reader all of it.
    pub(super) fn commit(&mut self) {
        self.ring.commit();
    }

    /// Makes room for books seen for the first time. While a system record waits, a new book waits as well: its
    /// updates must not overtake a session, which would void them.
    #[cold]
    pub(super) fn learn_books(&mut self, books: usize) {
        let waiting = !self.pending.is_empty();
        self.waiting += if waiting { books - self.books.len() } else { 0 };
        let orders = matches!(self.detail, Detail::Orders);
        self.books.resize(books, Following { waiting, orders, ..Following::default() });
    }

    /// Updates of one event of one book.
    #[inline]
    pub(super) fn publish(&mut self, book_index: BookIndex, seq: u64, group: &[Slot]) {
        let index = book_index.as_usize();
        let book = &mut self.books[index];
        if book.waiting {
            return;
        }
        let sent = if !self.pending.is_empty() {
            // Its mark, or its session, is still to come: what it changes must not be read before.
            Err(Full)
        } else if book.orders {
            self.ring.write_all(group)
        } else {
            let written = self.writing.filter(|(writing, _)| *writing == index).and_then(|(_, written)| written);
            // Nearly always the first, which is then not the last.
            let rest = group.iter().position(|slot| slot.rtype != rtype::ORDER_UPDATE).unwrap_or(group.len());
            if written.is_none() && group[rest..].iter().all(|slot| slot.rtype != rtype::ORDER_UPDATE) {
                self.ring.write_all(&group[rest..])
            } else {
                write_part(&mut self.ring, group, written)
            }
        };
        if sent.is_err() {
            (book.from_seq, book.waiting) = (seq, true);
            self.waiting += 1;
            self.stop_writing(index);
        }
    }

    /// The snapshot that is due now has the orders, or they are written anew behind it.
    #[cold]
    fn stop_writing(&mut self, index: usize) {
        if self.writing.is_some_and(|(writing, _)| writing == index) {
            self.writing = None;
        }
    }

    pub(super) fn publish_system(&mut self, record: Slot, code: u8) {
        if code == system::SESSION {
            // Whatever it had is void; what waited of the old session is, too.
            self.pending.clear();
        }
        if !self.pending.is_empty() || self.ring.write(record).is_err() {
            // A missed tick of the clock repairs itself with the next one.
            if code != system::TIME {
                self.pending.add(record, code);
            }
            if code == system::SESSION {
                self.books.iter_mut().for_each(|book| (book.from_seq, book.waiting) = (0, true));
                self.waiting = self.books.len();
                self.writing = None;
            }
        }
    }

    /// Whether something is to be written that is no update.
    pub(super) fn is_owed(&self) -> bool {
        self.waiting > 0 || self.owed_orders > 0 || !self.pending.is_empty()
    }

    pub(super) fn has_order_interest(&self) -> bool {
        matches!(&self.detail, Detail::OnRequest(interests) if !interests.is_empty())
    }

    /// Notes what the reader asks for.
    #[cold]
    pub(super) fn take_order_interest(&mut self, market: &Market) {
        let Self { detail: Detail::OnRequest(interests), books, owed_orders, .. } = self else { return };
        while let Some(OrderInterest { book_id, orders }) = interests.take() {
            // A book that the reader was never told of cannot be asked for.
            let Some(book) = market.index_of(book_id.0).and_then(|index| books.get_mut(index.as_usize())) else {
                continue;
            };
            *owed_orders += usize::from(!book.is_owed_orders());
            book.requested = Some(orders && market.has_queues());
            book.orders &= orders;
            book.follow = false;
        }
    }

    /// Brings books up to date and answers requests, as far as there is room. Starts only when half the ring is free, so that
    /// a reader that is only just too slow is not fed snapshots all the time.
    pub(super) fn resynchronise(&mut self, market: &Market, metrics: &BookMetrics) -> usize {
        let half = self.ring.capacity() / 2;
        if self.ring.free() < half {
            return 0;
        }
        while let Some(record) = self.pending.first() {
            if self.ring.write(record).is_err() {
                return 0;
            }
            self.pending.remove_first();
        }
        let mut done = 0;
        let mut orders_max = ORDERS_PER_TURN_MAX;
        // What was begun goes on before anything else is begun.
        if let Some((index, _)) = self.writing {
            self.next = index;
        }
        for _ in 0..market.books().len() {
            if self.waiting + self.owed_orders == 0 {
                break;
            }
            let index = self.next;
            let is_done = if self.books[index].waiting {
                self.write_snapshot(market, index, &mut orders_max, metrics)
            } else if self.books[index].is_owed_orders() {
                self.write_orders(market, index, &mut orders_max, metrics)
            } else {
                self.next = (index + 1) % market.books().len();
                continue;
            };
            done += 1;
            if !is_done {
                return done - usize::from(orders_max == ORDERS_PER_TURN_MAX);
            }
            self.next = (index + 1) % market.books().len();
        }
        done
    }

    /// Writes the snapshot of a book if there is room. A reader that asked for its orders gets them level by level afterwards
    /// where there never is room for them, or they are more than a turn writes; `orders_max` counts down.
    fn write_snapshot(&mut self, market: &Market, index: usize, orders_max: &mut usize, metrics: &BookMetrics) -> bool {
        let Following { from_seq, requested, orders, follow, .. } = self.books[index];
        let book = &market.books()[index];
        let wanted = requested.unwrap_or(orders || follow);
        let on_order_interest = matches!(self.detail, Detail::OnRequest(_));
        let walked = if on_order_interest { book.orders() as usize } else { 0 };
        let fits_ever = market.snapshot_slots(book, wanted) <= self.ring.capacity() / 2;
        let later = on_order_interest && wanted && !(fits_ever && walked <= ORDERS_PER_TURN_MAX);
        let orders = wanted && fits_ever && !later;
        if self.ring.free() < market.snapshot_slots(book, orders) || (orders && walked > *orders_max) {
            return false;
        }
        *orders_max -= if orders { walked } else { 0 };
        let missed = if from_seq == 0 { (0, 0) } else { (from_seq, market.seq().max(from_seq)) };
        let answers = requested.is_some() && !later;
        let said = match (orders, later) {
            (true, _) => picture::HERE,
            (false, true) => picture::FOLLOW,
            (false, false) => picture::OMITTED,
        };
        market.snapshot(book, missed, said, answers, &mut RingOutput(&mut self.ring));
        self.waiting -= 1;
        self.owed_orders -= usize::from(self.books[index].is_owed_orders());
        self.owed_orders += usize::from(later);
        self.books[index] = Following {
            from_seq,
            waiting: false,
            orders: wanted && !later,
            requested: requested.filter(|_| later),
            follow: later && requested.is_none(),
        };
        metrics.snapshots.add(1);
        metrics.answers.add(u64::from(answers));
        true
    }

    /// Writes the orders of a book, or that none come any more, as far as there is room and no further than `orders_max`.
    /// Returns whether that was all.
    fn write_orders(&mut self, market: &Market, index: usize, orders_max: &mut usize, metrics: &BookMetrics) -> bool {
        /// Beside orders: a begin, another one that takes it back, and an end.
        const MARKS: usize = 3;
        let (book, half) = (&market.books()[index], self.ring.capacity() / 2);
        let requested = self.books[index].requested;
        let orders = requested.unwrap_or(true);
        let Some(room) = self.ring.free().min(half).checked_sub(MARKS) else { return false };
        if orders && *orders_max == 0 {
            return false;
        }
        let mut out = RingOutput(&mut self.ring);
        if orders && self.writing.is_none() {
            market.begin_orders(book, picture::HERE, &mut out);
        }
        let mut written = self.writing.and_then(|(_, written)| written);
        let part =
            if orders { market.write_orders(book, &mut written, orders_max, room, &mut out) } else { Part::Whole };
        let never_fits = matches!(part, Part::NoRoom(orders) if orders + MARKS > half);
        if part != Part::Whole && !never_fits {
            self.writing = Some((index, written));
            return false;
        }
        let omitted = !orders || never_fits;
        if omitted {
            market.begin_orders(book, picture::OMITTED, &mut out);
        }
        let said = if omitted { picture::OMITTED } else { picture::HERE };
        market.end_orders(book, said, requested.is_some(), &mut out);
        self.writing = None;
        self.owed_orders -= 1;
        let book = &mut self.books[index];
        (book.orders, book.requested, book.follow) = (!omitted, None, false);
        metrics.answers.add(u64::from(requested.is_some()));
        true
    }
}

/// Sends of a group what is no order, and of its orders those on levels that are written.
fn write_part(ring: &mut Producer, group: &[Slot], written: Option<Written>) -> Result<(), Full> {
    let (mut kept, mut count) = ([Slot::EMPTY; UPDATES_PER_EVENT_MAX], 0);
    for slot in group {
        let is_told = match slot.view() {
            View::OrderUpdate(order) => {
                let level = Written::to(Side::from_byte(order.side), Price(order.price));
                written.is_some_and(|written| level <= written)
            }
            _ => true,
        };
        if is_told {
            kept[count] = *slot;
            count += 1;
        }
    }
    if let Some(last) = kept[..count].last_mut() {
        *last = last.with_flag(flags::LAST);
    }
    ring.write_all(&kept[..count])
}
