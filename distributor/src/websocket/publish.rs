//! From the ring to frames: what changed is encoded once per topic and given to every follower.
//!
//! Bounded by the slots of a turn; never blocks. Cold branches (slow readers, snapshots, epochs) may allocate.

#![cfg_attr(not(test), deny(clippy::disallowed_types, clippy::disallowed_methods, clippy::disallowed_macros))]

use std::ops::Range;

use book::BookIndex;
use book::replica::prefetch_beside;
use book::slot::{Slot, View, rtype, system};

use crate::egress::slow_reader::Policy;
use crate::ids::TopicId;
use crate::market::Notice;
use crate::market::changes::touched;
use crate::metrics::{Refused, Slow};
use crate::topics::topic::{Follower, Topic};
use crate::websocket::replies::{self, Feed};
use crate::websocket::requests::Context;
use crate::websocket::shard::Shard;

/// Most events that are kept of a book that cannot be published yet; beyond it they become a gap.
const PENDING_EVENTS_MAX: usize = 10_000;

impl Shard {
    #[inline]
    pub(super) fn on_slot(&mut self, slot: &Slot) {
        // What a book was before its snapshot or its last epoch must go out as that.
        if slot.rtype == rtype::SNAPSHOT_BEGIN {
            if let Some(at) = self.market.place_of(slot) {
                self.publish_book(at);
            }
        } else if slot.rtype == rtype::SYSTEM {
            self.before_system(slot);
        }
        let notice = self.market.apply(slot);
        if std::mem::take(&mut self.session_began) || self.market.replica.epoch != self.epoch {
            self.on_epoch();
        }
        match notice {
            Notice::None | Notice::Epoch => {}
            Notice::SnapshotWhole { book, answers } => {
                self.on_snapshot_whole(book);
                self.on_orders_whole(book, answers);
            }
            Notice::OrdersWhole { book, answers } => self.on_orders_whole(book, answers),
            Notice::FeedGap { from, to } => self.send_feed_gap(from, to),
            Notice::Feed(state) => self.broadcast("feed", Feed { state }),
        }
    }

    #[cold]
    fn before_system(&mut self, slot: &Slot) {
        if matches!(slot.view(), View::System(record) if record.code == system::SESSION) {
            self.publish();
            // Even without a new number: books are empty and numbers begin again.
            self.session_began = true;
        }
    }

    /// Encodes and hands out everything that changed.
    pub(super) fn publish(&mut self) {
        while let Some(at) = self.market.next_changed() {
            self.look_ahead();
            self.publish_book(at);
            self.send_if_large();
        }
        if !self.joined.is_empty() {
            self.on_joined();
        }
    }

    /// Starts to load the topics of the books that come next: their places in the table first, then what they keep.
    fn look_ahead(&self) {
        /// Of each book; more would only push each other out.
        const TOPICS_MAX: usize = 4;
        let topics = |calls: usize| {
            let ids = self.market.changed_soon(calls).map_or(&[][..], |book| &book.topics);
            ids.iter().take(TOPICS_MAX).filter_map(|&id| self.topics.place(id))
        };
        topics(3).for_each(prefetch_beside);
        topics(1).flatten().for_each(Topic::prefetch);
    }

    fn publish_book(&mut self, at: BookIndex) {
        let bits = std::mem::take(&mut self.market.book_mut(at).touched);
        if bits & touched::DEFINITION != 0 {
            self.on_definition(at);
        }
        if self.market.book(at).topics.is_empty() || bits == 0 {
            return;
        }
        if !self.market.is_settled(at) {
            return self.keep_for_later(at, bits);
        }
        let events = std::mem::take(&mut self.market.book_mut(at).events);
        let seq = self.market.seq(at);
        let moment = self.moment();
        let mut sent = false;
        for n in 0..self.market.book(at).topics.len() {
            let Some(&id) = self.market.book(at).topics.get(n) else { break }; // OK because a broken topic left the list
            let Some(topic) = self.topics.get_mut(id) else {
                self.broken_topic(id);
                continue;
            };
            if topic.live == 0 || bits & topic.key.channel.touched_by() == 0 {
                continue;
            }
            let view = self.market.view(at);
            let prev_seq = topic.head;
            let out = &mut self.egress.shared;
            let place = if topic.key.conflate_ms == 0 {
                topic.write_update(out, view, &events, seq, moment, &mut self.scratch)
            } else {
                let full = topic.collect(&events);
                if self.now_ns < topic.due_ns && !full {
                    self.metrics.conflated.add(1);
                    if !topic.waiting {
                        topic.waiting = true;
                        let due_ns = topic.due_ns;
                        self.topics.wait(id, due_ns);
                    }
                    continue;
                }
                topic.due_ns = topic.next_due_ns(self.now_ns);
                topic.write_collected(out, view, seq, moment, &mut self.scratch)
            };
            if let Some(place) = place {
                sent |= self.hand_out(id, place, prev_seq, seq);
            }
        }
        if sent {
            self.egress.stamp(self.market.view(at).received_ns);
        }
        self.market.book_mut(at).events = events.emptied();
    }

    /// Inside a snapshot or a definition: what came before must not be lost, and must not pile up.
    #[cold]
    fn keep_for_later(&mut self, at: BookIndex, bits: u8) {
        let book = self.market.book_mut(at);
        book.touched |= bits; // published with whatever touches it next, at the latest the end of what is under way
        let events = &book.events;
        if events.trades.len().max(events.closed.len()).max(events.changes.len()) > PENDING_EVENTS_MAX {
            let from = book.events.trades.first().map_or(1, |trade| trade.seq);
            book.gap_from = Some(book.gap_from.map_or(from, |gap| gap.min(from)));
            book.events.clear();
        }
    }

    /// Gives a frame to the followers; false when its number does not go on and snapshots follow instead.
    fn hand_out(&mut self, id: TopicId, place: Range<usize>, prev_seq: u64, seq: u64) -> bool {
        if seq <= prev_seq {
            self.metrics.count(Refused::Sequence);
            self.egress.shared.truncate(place.start);
            self.restart_topic(id, None);
            return false;
        }
        self.metrics.encoded_frames.add(1);
        let followers = self.topics.followers(id).iter().filter(|follower| follower.live);
        let (frames, slow) = self.egress.push_to_all(followers.map(|follower| follower.client), &place);
        self.metrics.sent_frames.add(frames);
        if slow {
            self.hand_to_slow(id, &place, prev_seq);
        }
        true
    }

    /// The slow readers among the followers: their policy decides.
    #[cold]
    fn hand_to_slow(&mut self, id: TopicId, place: &Range<usize>, prev_seq: u64) {
        let (limit, limit_hard) = self.egress.thresholds();
        let is_slow = |follower: &Follower| follower.live && self.egress.queue(follower.client).queued() >= limit;
        let followers = self.topics.followers(id).iter().copied().enumerate();
        let slow: Vec<(usize, Follower)> = followers.filter(|(_, follower)| is_slow(follower)).collect();
        for (position, Follower { client, subscription, .. }) in slow {
            if !self.egress.is_open(client) {
                continue; // OK because it is closing: its subscriptions end with this turn
            }
            let session = self.clients.get_mut(client);
            let Some(one) = session.and_then(|session| session.subscriptions.get_mut(subscription)) else {
                self.broken(client);
                continue;
            };
            match one.policy {
                Policy::Disconnect => self.close_slow(client),
                Policy::Warn if self.egress.queue(client).queued() < limit_hard => {
                    if self.clients.get_mut(client).is_some_and(|session| !std::mem::replace(&mut session.warned, true))
                    {
                        self.warn_slow(client);
                    }
                    self.egress.push(client, place.clone());
                    self.metrics.sent_frames.add(1);
                }
                Policy::Skip | Policy::Warn => {
                    self.metrics.count_slow(Slow::Skip);
                    one.gap_from = Some(one.gap_from.unwrap_or(prev_seq + 1));
                    self.set_due(client, subscription, id, position);
                }
            }
        }
    }

    /// Conflated topics whose time has come.
    pub(super) fn release_conflated(&mut self) {
        if self.now_ns < self.topics.next_release_ns() {
            return;
        }
        let moment = self.moment();
        let mut released = std::mem::take(&mut self.released);
        let market = &self.market;
        self.topics.release(self.now_ns, |book| market.may_show(book), &mut released);
        for id in released.drain(..) {
            let Some(topic) = self.topics.get_mut(id) else {
                self.broken_topic(id);
                continue;
            };
            let at = topic.key.book;
            let (prev_seq, seq) = (topic.head, self.market.seq(at));
            let (out, view) = (&mut self.egress.shared, self.market.view(at));
            if let Some(place) = topic.write_collected(out, view, seq, moment, &mut self.scratch) {
                self.hand_out(id, place, prev_seq, seq);
            }
        }
        self.released = released;
    }

    /// A definition is whole: the book can be found, or got another name, or shows its prices otherwise.
    #[cold]
    fn on_definition(&mut self, at: BookIndex) {
        let definition = &self.market.view(at).definition;
        if !definition.complete || definition.symbol.is_empty() {
            return;
        }
        let (old, old_decimals) = self.market.define(at);
        let book = self.market.book(at);
        let named = book.ticker != old;
        let renamed = named && !old.is_empty();
        let rescaled = !named && book.decimals != old_decimals;
        if renamed {
            self.retire(at, &old);
        }
        if named {
            self.joined.push(at);
        }
        if rescaled {
            let book = self.market.book_mut(at);
            book.events.clear();
            let gap_from = book.gap_from.take();
            for id in book.topics.clone() {
                self.restart_topic(id, gap_from);
            }
        }
    }

    /// The book now belongs to another instrument: who followed the old one is told that it ended.
    fn retire(&mut self, at: BookIndex, ticker: &str) {
        for id in self.market.book(at).topics.clone() {
            for Follower { client, subscription, .. } in self.topics.followers(id).to_vec() {
                let Some(one) = self.remove_subscription(client, subscription) else {
                    self.broken(client);
                    continue;
                };
                let mut context = Context { method: "unsubscribe", ..Context::default() };
                context.warnings.push("the symbol is no longer listed".to_owned());
                let ended = replies::Ended { channel: one.channel.name(), symbol: Some(ticker), sub_id: one.sub_id };
                self.reply(client, &context, self.wall_ns, &ended);
            }
        }
    }

    /// New symbols join the wildcards.
    #[cold]
    fn on_joined(&mut self) {
        let joined = std::mem::take(&mut self.joined);
        if self.clients.wildcards == 0 {
            return;
        }
        for client in self.clients.ids() {
            let Some(session) = self.clients.get(client) else { continue };
            for wildcard in session.subscriptions.wildcards.clone() {
                for &book in &joined {
                    let context = Context { method: "subscribe", req_id: wildcard.req_id, warnings: Vec::new() };
                    self.subscribe_and_reply(client, book, (wildcard.channel, &wildcard.asked), &context, self.wall_ns);
                }
            }
        }
    }
}
