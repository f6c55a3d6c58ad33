//! What the books are: the clean stream of a session up to a number, through a decoder of its own and the plain books.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use book::market::OrderKey;
use book::reference::ReferenceMarket;
use book::replica::BookView;
use book::types::Level;
use book::{BookId, Side, Slot};
use feed_handler::decode::protocol::MessageDecoder;
use feed_handler::decode::sink::Received;

use super::venue::Stream;

/// Both sides of one book.
const SIDES: [Side; 2] = [Side::Bid, Side::Ask];

/// One book as it is, and what it was.
#[derive(Default)]
struct TrueBook {
    levels: [Vec<Level>; 2],
    /// Digests of the levels after every message so far.
    once: HashSet<u64>,
    changes: u64,
}

/// The books of one session after the message numbered [`Truth::at`].
pub struct Truth {
    pub at: u64,
    decoder: MessageDecoder,
    market: ReferenceMarket,
    books: BTreeMap<BookId, TrueBook>,
}

impl Truth {
    /// Before the first message of a session.
    pub fn new(decoder: MessageDecoder, key: OrderKey) -> Self {
        Self { at: 0, decoder, market: ReferenceMarket::new(key), books: BTreeMap::new() }
    }

    /// Takes the messages of `stream` up to number `until`, or all there are.
    pub fn advance(&mut self, stream: &Stream, until: u64) {
        while self.at < until {
            let Some(message) = stream.messages.get(self.at as usize) else { return };
            self.at += 1;
            let mut slots: Vec<Slot> = Vec::new();
            let received = Received { sequence: self.at, ..Received::default() };
            self.decoder.decode(message, received, &mut |slot| slots.push(slot)).expect("the stream is clean");
            for slot in &slots {
                self.market.apply(slot);
            }
            for slot in &slots {
                self.note(BookId(slot.record().book_id), Side::from_byte(slot.record().side));
            }
        }
    }

    /// A message was about this book, and this side of it or both.
    fn note(&mut self, id: BookId, changed: Side) {
        let book = self.books.entry(id).or_default();
        for side in SIDES.into_iter().filter(|&side| changed == Side::None || changed == side) {
            book.levels[side.index()] = self.market.levels(id, side);
        }
        book.changes += 1;
        book.once.insert(digest(book.levels.each_ref().map(|levels| levels.iter())));
    }

    /// Books with something to show.
    pub fn books(&self) -> impl Iterator<Item = BookId> + '_ {
        self.books.iter().filter(|(_, book)| book.levels.iter().any(|side| !side.is_empty())).map(|(&id, _)| id)
    }

    /// Messages about a book so far.
    pub fn changes(&self, id: BookId) -> u64 {
        self.books.get(&id).map_or(0, |book| book.changes)
    }

    /// Whether a reader's book is as it is now, `order_by_order` where the reader has the orders.
    pub fn is_now(&self, view: &BookView, order_by_order: bool) -> bool {
        let empty = TrueBook::default();
        let book = self.books.get(&view.book_id).unwrap_or(&empty);
        SIDES.into_iter().all(|side| {
            let levels = view.levels(side).iter().eq(&book.levels[side.index()]);
            let orders = || {
                let have = view.orders.iter(side).map(|(price, order)| (price, order.order_id, order.quantity));
                let orders = self.market.orders(view.book_id, side);
                have.eq(orders.iter().map(|order| (order.price, order.id, order.quantity)))
            };
            levels && (!order_by_order || view.orders_omitted || orders())
        })
    }

    /// Whether a reader's book is as it is or once was in this session.
    pub fn was_once(&self, view: &BookView) -> bool {
        let sides = SIDES.map(|side| view.levels(side).iter());
        let is_empty = SIDES.into_iter().all(|side| view.levels(side).is_empty());
        is_empty || self.books.get(&view.book_id).is_some_and(|book| book.once.contains(&digest(sides)))
    }

    /// Both in words, for who looks for the difference.
    pub fn compare(&self, view: &BookView) -> String {
        let best = |levels: &mut dyn Iterator<Item = Level>| {
            let words = |level: Level| format!("{}x{}({})", level.price.0, level.quantity, level.count);
            levels.take(4).map(words).collect::<Vec<_>>().join(" ")
        };
        let book = self.books.get(&view.book_id);
        let mut text = String::new();
        for side in SIDES {
            let is = book.map(|book| best(&mut book.levels[side.index()].iter().copied())).unwrap_or_default();
            let shown = best(&mut view.levels(side).iter().copied());
            text += &format!("\n    {side:?} is    {is}\n    {side:?} shown {shown}");
        }
        text
    }
}

fn digest<'a>(sides: [impl Iterator<Item = &'a Level>; 2]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for side in sides {
        side.for_each(|level| (level.price.0, level.quantity, level.count).hash(&mut hasher));
        u64::MAX.hash(&mut hasher);
    }
    hasher.finish()
}
