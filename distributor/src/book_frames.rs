//! The frames of channel `book` without a server: the same replica, topics and encoder as the fan-out thread's, for who
//! measures or checks the text. Knows no sockets, followers or conflation.

#![cfg_attr(not(test), deny(clippy::disallowed_types, clippy::disallowed_methods, clippy::disallowed_macros))]

use book::replica::prefetch_beside;
use book::slot::Slot;
use book::{BookIndex, Nanos};

use crate::encode::Moment;
use crate::encode::json::frames::{Frames, Scratch};
use crate::market::Market;
use crate::market::changes::touched;
use crate::topics::channel::Channel;
use crate::topics::topic::{Key, Topic};

/// Updates between the second look at a topic and its turn.
const TOPIC_AHEAD: usize = 4;

/// Takes updates, makes a frame of every book that they changed.
pub struct BookFrames {
    market: Market,
    /// Beside the books of the market; `None` until a book's definition was whole once.
    topics: Vec<Option<Topic<Frames>>>,
    /// Levels a side, 1..=100.
    depth: u8,
    turn: Vec<u8>,
    scratch: Scratch,
}

impl BookFrames {
    /// Knows no books yet; frames show `depth` levels a side (1..=100, others are brought into that range).
    #[must_use]
    pub fn new(depth: u8) -> Self {
        Self::of(Market::new(), depth)
    }

    /// The same without a copy of every order, which channel `mbo` is made of and `book` is not.
    #[must_use]
    pub fn without_orders(depth: u8) -> Self {
        Self::of(Market::without_orders(), depth)
    }

    fn of(market: Market, depth: u8) -> Self {
        Self {
            market,
            topics: Vec::new(),
            depth: depth.clamp(1, 100),
            turn: Vec::with_capacity(4 * 1024),
            scratch: Scratch::new(),
        }
    }

    /// Takes one update of the book thread.
    #[inline]
    pub fn apply(&mut self, update: &Slot) {
        self.market.apply(update);
    }

    /// Takes updates as they wait in a ring and makes no frames: [`BookFrames::publish`] then makes one of each book for all
    /// of them.
    pub fn follow(&mut self, updates: &[Slot]) {
        for (at, update) in updates.iter().enumerate() {
            self.market.look_ahead(updates, at);
            self.market.apply(update);
        }
    }

    /// Takes updates as they wait in a ring, to the same frames as one after the other: whenever an event is whole, its
    /// book's frame is handed to `each`. `now_ns` is asked for the time of every event. The more updates at once the
    /// better, because those that come are looked at ahead of their turn.
    ///
    /// Returns how many frames there were.
    pub fn apply_all(
        &mut self,
        updates: &[Slot],
        mut now_ns: impl FnMut() -> Nanos,
        mut each: impl FnMut(&[u8]),
    ) -> usize {
        let mut frames = 0;
        for (at, update) in updates.iter().enumerate() {
            if let Some(place) = self.market.look_ahead(updates, at)
                && let Some(topic) = self.topics.get(place.as_usize())
            {
                prefetch_beside(topic);
            }
            self.look_at_topic(updates, at + TOPIC_AHEAD);
            self.market.apply(update);
            if self.market.unfinished.is_none() && !self.market.ends_in_time {
                frames += self.publish(now_ns(), &mut each);
            }
        }
        frames
    }

    #[inline(always)]
    fn look_at_topic(&self, updates: &[Slot], at: usize) {
        if let Some(place) = self.market.replica.levels_seen(updates, at)
            && let Some(Some(topic)) = self.topics.get(place.as_usize())
        {
            topic.prefetch();
        }
    }

    /// Encodes every book that changed since the last call and hands out each frame, with its WebSocket head, as it would
    /// go to a socket. `now_ns` is stamped as `ts_out`. Returns how many there were.
    ///
    /// The first frame of a book is the difference to an empty one.
    pub fn publish(&mut self, now_ns: Nanos, mut each: impl FnMut(&[u8])) -> usize {
        let mut frames = 0;
        while let Some(at) = self.market.next_changed() {
            let bits = std::mem::take(&mut self.market.book_mut(at).touched);
            if bits & touched::DEFINITION != 0 {
                self.on_definition(at);
            }
            if bits & touched::LEVELS == 0 || !self.market.may_show(at) {
                continue;
            }
            let seq = self.market.seq(at);
            let moment = Moment { now_ns, epoch: self.market.replica.epoch };
            let Some(topic) =
                self.topics.get_mut(at.as_usize()).and_then(Option::as_mut).filter(|topic| topic.head < seq)
            else {
                continue;
            };
            let (view, book) = (self.market.view(at), self.market.book(at));
            let place = topic.write_update(&mut self.turn, view, &book.events, seq, moment, &mut self.scratch);
            if let Some(place) = place {
                frames += 1;
                each(&self.turn[place]);
            }
            self.turn.clear();
        }
        frames
    }

    #[cold]
    fn on_definition(&mut self, at: BookIndex) {
        let view = self.market.view(at);
        if !view.definition.complete || view.definition.symbol.is_empty() {
            return;
        }
        self.market.define(at);
        let view = self.market.view(at);
        if self.topics.len() <= at.as_usize() {
            self.topics.resize_with(at.as_usize() + 1, || None);
        }
        let depth = self.depth;
        self.topics[at.as_usize()].get_or_insert_with(|| {
            let key = Key { book: at, channel: Channel::Book, depth, conflate_ms: 0, rfc3339: false };
            Topic::new(key, view, 0)
        });
    }
}
