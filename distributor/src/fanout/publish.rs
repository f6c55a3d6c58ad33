//! From the ring to frames: what changed is encoded once per topic and placed with every follower.
//!
//! Bounded by the slots of a turn; never blocks. Cold branches (slow readers, snapshots, epochs) may allocate.

use std::ops::Range;

use book::replica::prefetch_beside;
use book::slot::{Slot, View, rtype, system};

use super::answers::unsubscribed;
use super::{Core, DUE_PER_TURN_MAX, FRESH_MAX, TURN_BYTES};
use crate::config::Config;
use crate::frame::close;
use crate::json;
use crate::market::Notice;
use crate::metrics::{Refused, Slow};
use crate::request::{Context, Policy};
use crate::session::Stage;
use crate::topic::{Channel, Follower, Topic, touched};

impl Core {
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
            Notice::Loss { from, to } => self.tell_loss(from, to),
            Notice::Feed(state) => self.broadcast(|out, now_ns, rfc3339| {
                json::raw(out, "{\"channel\":\"system\",\"type\":\"feed\",\"state\":\"");
                json::raw(out, state);
                json::raw(out, "\",\"ts_out\":");
                json::time(out, now_ns, rfc3339);
                out.push(b'}');
            }),
        }
    }

    #[cold]
    pub(super) fn before_system(&mut self, slot: &Slot) {
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
            if self.turn.len() > TURN_BYTES {
                self.send_all();
            }
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
            ids.iter().take(TOPICS_MAX).filter_map(|&id| self.topics.get(id as usize))
        };
        topics(3).for_each(prefetch_beside);
        topics(1).flatten().for_each(Topic::prefetch);
    }

    pub(super) fn publish_book(&mut self, at: usize) {
        let bits = std::mem::take(&mut self.market.books[at].touched);
        if bits & touched::DEFINITION != 0 {
            self.on_definition(at);
        }
        if self.market.books[at].topics.is_empty() || bits == 0 {
            return;
        }
        if !self.market.is_settled(at) {
            self.keep_for_later(at, bits);
            return;
        }
        let mut fresh = std::mem::take(&mut self.market.books[at].fresh);
        let seq = self.market.seq(at);
        let moment = self.moment();
        let mut sent = false;
        for n in 0..self.market.books[at].topics.len() {
            let id = self.market.books[at].topics[n];
            let Some(topic) = self.topics[id as usize].as_mut() else { continue };
            if topic.live == 0 || bits & topic.key.channel.touched_by() == 0 {
                continue;
            }
            let view = &self.market.replica.books()[at];
            let prev_seq = topic.head;
            let place = if topic.key.conflate_ms == 0 {
                topic.write_update(&mut self.turn, view, &fresh, seq, moment, &mut self.scratch)
            } else {
                let full = topic.collect(&fresh);
                if self.now_ns < topic.due_ns && !full {
                    self.metrics.conflated.add(1);
                    if !topic.waiting {
                        topic.waiting = true;
                        self.conflated.push(id);
                        self.next_release_ns = self.next_release_ns.min(topic.due_ns);
                    }
                    continue;
                }
                topic.due_ns = self.now_ns + u64::from(topic.key.conflate_ms) * 1_000_000;
                topic.write_collected(&mut self.turn, view, seq, moment, &mut self.scratch)
            };
            if let Some(place) = place {
                sent |= self.hand_out(id, place, prev_seq, seq);
            }
        }
        if sent {
            self.round.stamp(self.market.view(at).received_ns);
        }
        fresh.clear();
        self.market.books[at].fresh = fresh;
    }

    /// Inside a snapshot or a definition: what came before must not be lost, and must not pile up.
    #[cold]
    pub(super) fn keep_for_later(&mut self, at: usize, bits: u8) {
        let book = &mut self.market.books[at];
        book.touched |= bits; // published with whatever touches it next, at the latest the end of what is under way
        let fresh = &book.fresh;
        if fresh.trades.len().max(fresh.closed.len()).max(fresh.changes.len()) > FRESH_MAX {
            let from = book.fresh.trades.first().map_or(1, |trade| trade.seq);
            book.gap_from = Some(book.gap_from.map_or(from, |gap| gap.min(from)));
            book.fresh.clear();
        }
    }

    /// Gives a frame to the followers; false when its number does not go on and snapshots follow instead.
    pub(super) fn hand_out(&mut self, id: u32, place: Range<usize>, prev_seq: u64, seq: u64) -> bool {
        if seq <= prev_seq {
            self.metrics.count(Refused::Sequence);
            self.turn.truncate(place.start);
            self.restart_topic(id, None);
            return false;
        }
        self.metrics.encoded_frames.add(1);
        let Some(topic) = self.topics[id as usize].as_ref() else { return false };
        let (limit, _) = self.limits();
        let mut frames = 0;
        let mut slow = 0;
        for follower in topic.followers.iter().filter(|follower| follower.live) {
            let outlet = &mut self.outlets[follower.connection as usize];
            if outlet.queued() >= limit {
                slow += 1;
                continue;
            }
            if outlet.open {
                frames += 1;
                outlet.push(place.clone());
                if !outlet.listed {
                    outlet.listed = true;
                    self.round.push(follower.connection);
                }
            }
        }
        self.metrics.sent_frames.add(frames);
        if slow > 0 {
            self.hand_to_slow(id, &place, prev_seq);
        }
        true
    }

    /// The slow readers among the followers: their policy decides.
    #[cold]
    pub(super) fn hand_to_slow(&mut self, id: u32, place: &Range<usize>, prev_seq: u64) {
        let Some(topic) = self.topics[id as usize].as_ref() else { return };
        let (limit, limit_hard) = self.limits();
        let slow: Vec<(usize, Follower)> = topic
            .followers
            .iter()
            .copied()
            .enumerate()
            .filter(|(_, follower)| follower.live && self.outlets[follower.connection as usize].queued() >= limit)
            .collect();
        for (position, follower) in slow {
            let at = follower.connection as usize;
            if !self.outlets[at].open {
                continue;
            }
            let Some(session) = self.sessions[at].as_mut() else { continue };
            let Some(policy) = session.subscription(follower.subscription).map(|one| one.policy) else { continue };
            match policy {
                Policy::Disconnect => {
                    self.metrics.count_slow(Slow::Disconnect);
                    self.close(at, close::SLOW_READER, "slow reader");
                }
                Policy::Warn if self.outlets[at].queued() < limit_hard => {
                    if !session.warned {
                        session.warned = true;
                        self.warn_slow(at);
                    }
                    self.outlets[at].push(place.clone());
                    self.metrics.sent_frames.add(1);
                    self.list(at);
                }
                Policy::Skip | Policy::Warn => {
                    self.metrics.count_slow(Slow::Skip);
                    if let Some(one) = session.subscription_mut(follower.subscription) {
                        one.gap_from = Some(one.gap_from.unwrap_or(prev_seq + 1));
                    }
                    self.set_due(at, follower.subscription, id, position);
                }
            }
        }
    }

    /// Unsent bytes at which the policy acts, and at which nothing more is queued. Both shrink while all queues together
    /// are too long.
    fn limits(&self) -> (usize, usize) {
        let Config { queue_bytes, queue_bytes_max, .. } = self.config;
        if self.tight { (queue_bytes / 16, queue_bytes) } else { (queue_bytes, queue_bytes_max) }
    }

    pub(super) fn warn_slow(&mut self, at: usize) {
        self.metrics.count_slow(Slow::Warn);
        let queued = self.outlets[at].queued();
        let (_, limit) = self.limits();
        let (now_ns, rfc3339) = (self.now_ns, self.rfc3339(at));
        self.say(at, |out| {
            json::raw(out, "{\"channel\":\"system\",\"type\":\"warning\",\"code\":\"SLOW_READER\",\"message\":");
            json::text(out, "you do not read fast enough: frames are skipped at the hard limit");
            json::raw(out, ",\"queued_bytes\":");
            json::integer(out, queued);
            json::raw(out, ",\"queued_bytes_max\":");
            json::integer(out, limit);
            json::raw(out, ",\"ts_out\":");
            json::time(out, now_ns, rfc3339);
            out.push(b'}');
        });
    }

    /// No more frames for this follower until its snapshot (or its gap, where it wants no snapshots).
    pub(super) fn set_due(&mut self, at: usize, place: u32, id: u32, position: usize) {
        if let Some(topic) = self.topics[id as usize].as_mut() {
            let follower = &mut topic.followers[position];
            topic.live -= usize::from(follower.live);
            follower.live = false;
        }
        let Some(session) = self.sessions[at].as_mut() else { return };
        let Some(one) = session.subscription_mut(place) else { return };
        if !one.due {
            one.due = true;
            session.due.push_back(place);
        }
        if !session.due_listed {
            session.due_listed = true;
            self.due.push_back(at as u32);
        }
    }

    /// Begins a topic's chain anew at the state of its book. `gap_from`: numbers from there on were missed upstream.
    pub(super) fn restart_topic(&mut self, id: u32, gap_from: Option<u64>) {
        let Some(topic) = self.topics[id as usize].as_mut() else { return };
        let at_book = topic.key.book as usize;
        let head = self.market.seq(at_book);
        topic.refresh(&self.market.replica.books()[at_book], head);
        for position in 0..topic_len(&self.topics, id) {
            let Some(topic) = self.topics[id as usize].as_ref() else { return };
            let Follower { connection, subscription, live } = topic.followers[position];
            let at = connection as usize;
            if !live {
                continue;
            }
            if let Some(from) = gap_from {
                self.metrics.gaps_upstream.add(1);
                self.say_gap(at, subscription, self.epoch, from, head, "upstream");
            }
            let wanted = self.sessions[at].as_ref().and_then(|session| session.subscription(subscription));
            if wanted.is_some_and(|one| one.snapshot) {
                self.set_due(at, subscription, id, position);
            }
        }
    }

    #[cold]
    pub(super) fn on_snapshot_whole(&mut self, at: usize) {
        let gap_from = self.market.books[at].gap_from.take();
        if gap_from.is_some() {
            self.market.books[at].fresh.clear();
        }
        for n in 0..self.market.books[at].topics.len() {
            let id = self.market.books[at].topics[n];
            let Some(topic) = self.topics[id as usize].as_ref() else { continue };
            // Without a gap the other channels go on by their difference to what was sent.
            if gap_from.is_some() || topic.key.channel == Channel::Mbo {
                self.restart_topic(id, gap_from);
            }
        }
    }

    #[cold]
    pub(super) fn on_epoch(&mut self) {
        let old = std::mem::replace(&mut self.epoch, self.market.replica.epoch);
        // A hole of a slow reader belongs to the old epoch: told now, it cannot be told later.
        for at in 0..self.sessions.len() {
            let Some(session) = self.sessions[at].as_mut() else { continue };
            let mut holes = Vec::new();
            for place in 0..session.subscriptions.len() as u32 {
                let Some(one) = session.subscription_mut(place) else { continue };
                if let Some(from) = one.gap_from.take() {
                    holes.push((place, one.topic, from));
                }
            }
            for (place, id, from) in holes {
                let head = self.topics[id as usize].as_ref().map_or(from, |topic| topic.head);
                self.metrics.gaps_slow.add(1);
                self.say_gap(at, place, old, from, head.max(from), "slow_reader");
            }
        }
        let epoch = self.epoch;
        let seq = self.market.replica.seq;
        self.broadcast(|out, now_ns, rfc3339| {
            json::raw(out, "{\"channel\":\"system\",\"type\":\"epoch\",\"epoch\":");
            json::integer(out, epoch);
            json::raw(out, ",\"seq\":");
            json::integer(out, seq);
            json::raw(out, ",\"ts_out\":");
            json::time(out, now_ns, rfc3339);
            out.push(b'}');
        });
        for id in 0..self.topics.len() as u32 {
            self.restart_topic(id, None);
        }
    }

    #[cold]
    pub(super) fn tell_loss(&mut self, from: u64, to: u64) {
        self.metrics.gaps_upstream.add(1);
        let (epoch, seq) = (self.epoch, self.market.replica.seq);
        self.broadcast(|out, now_ns, rfc3339| {
            json::raw(
                out,
                "{\"channel\":\"system\",\"type\":\"gap\",\"sub_id\":null,\"channel_of\":null,\"symbol\":\"*\"",
            );
            json::raw(out, ",\"epoch\":");
            json::integer(out, epoch);
            json::raw(out, ",\"from_seq\":");
            json::integer(out, seq);
            json::raw(out, ",\"to_seq\":");
            json::integer(out, seq);
            json::raw(out, ",\"reason\":\"upstream\",\"venue_from\":");
            json::quoted(out, from);
            json::raw(out, ",\"venue_to\":");
            json::quoted(out, to);
            json::raw(out, ",\"ts_out\":");
            json::time(out, now_ns, rfc3339);
            out.push(b'}');
        });
    }

    /// A definition is whole: the book can be found, or got another name, or shows its prices otherwise.
    #[cold]
    pub(super) fn on_definition(&mut self, at: usize) {
        let definition = &self.market.replica.books()[at].definition;
        if !definition.complete || definition.symbol.is_empty() {
            return;
        }
        let (old, old_decimals) = self.market.define(at);
        let book = &self.market.books[at];
        let fresh = book.ticker != old;
        let renamed = fresh && !old.is_empty();
        let rescaled = !fresh && book.decimals != old_decimals;
        if renamed {
            self.retire(at, &old);
        }
        if fresh {
            self.joined.push(at);
        }
        if rescaled {
            self.market.books[at].fresh.clear();
            let gap_from = self.market.books[at].gap_from.take();
            for n in 0..self.market.books[at].topics.len() {
                self.restart_topic(self.market.books[at].topics[n], gap_from);
            }
        }
    }

    /// The book now belongs to another instrument: who followed the old one is told that it ended.
    pub(super) fn retire(&mut self, at: usize, ticker: &str) {
        for id in self.market.books[at].topics.clone() {
            let followers = self.topics[id as usize].as_ref().map(|topic| topic.followers.clone()).unwrap_or_default();
            for follower in followers {
                let client = follower.connection as usize;
                let Some(one) = self.remove_subscription(client, follower.subscription) else { continue };
                let mut context = Context { method: "unsubscribe", ..Context::default() };
                context.warnings.push("the symbol is no longer listed".to_owned());
                self.reply(client, &context, self.now_ns, |out| {
                    unsubscribed(out, one.channel.name(), ticker, one.sub_id)
                });
            }
        }
    }

    /// New symbols join the wildcards.
    #[cold]
    pub(super) fn on_joined(&mut self) {
        let joined = std::mem::take(&mut self.joined);
        if self.wildcards_count == 0 {
            return;
        }
        for at in 0..self.sessions.len() {
            let Some(session) = self.sessions[at].as_ref() else { continue };
            for wildcard in session.wildcards.clone() {
                for &book in &joined {
                    let context = Context { method: "subscribe", req_id: wildcard.req_id, warnings: Vec::new() };
                    self.subscribe_and_reply(at, book, &wildcard.asked, &context, self.now_ns);
                }
            }
        }
    }

    /// Conflated topics whose time has come.
    pub(super) fn release_conflated(&mut self) {
        if self.now_ns < self.next_release_ns {
            return;
        }
        self.next_release_ns = u64::MAX;
        let moment = self.moment();
        let mut n = 0;
        while n < self.conflated.len() {
            let id = self.conflated[n];
            let Some(topic) = self.topics[id as usize].as_mut().filter(|topic| topic.waiting) else {
                self.conflated.swap_remove(n);
                continue;
            };
            let at = topic.key.book as usize;
            if self.now_ns < topic.due_ns || !self.market.may_show(at) {
                self.next_release_ns = self.next_release_ns.min(topic.due_ns);
                n += 1;
                continue;
            }
            topic.waiting = false;
            topic.due_ns = self.now_ns + u64::from(topic.key.conflate_ms) * 1_000_000;
            self.conflated.swap_remove(n);
            if topic.live == 0 {
                continue;
            }
            let (prev_seq, seq) = (topic.head, self.market.seq(at));
            let view = &self.market.replica.books()[at];
            if let Some(place) = topic.write_collected(&mut self.turn, view, seq, moment, &mut self.scratch) {
                self.hand_out(id, place, prev_seq, seq);
            }
        }
    }

    /// Snapshots for those who wait for one, as fast as each client takes them. Returns how many were sent.
    pub(super) fn emit_due(&mut self) -> usize {
        let quarter = self.limits().0 / 4;
        let mut budget = DUE_PER_TURN_MAX;
        let mut emitted = 0;
        for _ in 0..self.due.len() {
            let Some(at) = self.due.pop_front() else { break };
            let at = at as usize;
            let waiting = self.sessions[at].as_ref().map_or(0, |session| session.due.len());
            for _ in 0..waiting {
                if budget == 0 || !self.outlets[at].open || self.outlets[at].pending() >= quarter.max(1) {
                    break;
                }
                budget -= 1;
                let Some(session) = self.sessions[at].as_mut() else { break };
                let Some(place) = session.due.pop_front() else { break };
                match self.emit_one(at, place) {
                    Some(true) => emitted += 1,
                    Some(false) => {
                        if let Some(session) = self.sessions[at].as_mut() {
                            session.due.push_back(place);
                        }
                    }
                    None => {}
                }
                if self.turn.len() > TURN_BYTES {
                    self.send_all();
                }
            }
            let Some(session) = self.sessions[at].as_mut() else { continue };
            if session.due.is_empty() || session.stage != Stage::Open {
                session.due_listed = false;
            } else {
                self.due.push_back(at as u32);
            }
        }
        emitted
    }

    /// `None`: nothing is due there (any more); false: its book, or the book's orders, may not be shown yet.
    pub(super) fn emit_one(&mut self, at: usize, place: u32) -> Option<bool> {
        let one = self.sessions[at].as_ref()?.subscription(place).filter(|one| one.due)?;
        let (id, position) = (one.topic, one.position as usize);
        let (book, channel) = (one.book as usize, one.channel);
        if !self.market.may_show(book) || !self.may_follow(book, channel) {
            return Some(false);
        }
        let seq = self.market.seq(book);
        let topic = self.topics[id as usize].as_mut()?;
        if topic.live == 0 {
            topic.refresh(&self.market.replica.books()[book], seq);
        }
        topic.followers[position].live = true;
        topic.live += 1;
        let head = topic.head;
        let one = self.sessions[at].as_mut()?.subscription_mut(place)?;
        one.due = false;
        let wanted = one.snapshot || std::mem::take(&mut one.once);
        if let Some(from) = one.gap_from.take() {
            self.metrics.count_slow(Slow::Recovered);
            self.metrics.gaps_slow.add(1);
            self.say_gap(at, place, self.epoch, from, head, "slow_reader");
        }
        if wanted {
            self.push_snapshot(at, id);
        }
        Some(true)
    }

    /// Gives a client the snapshot of a topic, which is made once per turn.
    pub(super) fn push_snapshot(&mut self, at: usize, id: u32) {
        let moment = self.moment();
        let Some(topic) = self.topics[id as usize].as_mut() else { return };
        let made = topic.snapshot_place.clone().filter(|(turn, _)| *turn == self.turn_number);
        let place = if let Some((_, place)) = made {
            place
        } else {
            let view = &self.market.replica.books()[topic.key.book as usize];
            let place = topic.write_snapshot(&mut self.turn, view, moment);
            self.metrics.encoded_frames.add(1);
            topic.snapshot_place = Some((self.turn_number, place.clone()));
            place
        };
        self.metrics.sent_frames.add(1);
        self.outlets[at].push(place);
        self.list(at);
    }
}

fn topic_len(topics: &[Option<Topic>], id: u32) -> usize {
    topics[id as usize].as_ref().map_or(0, |topic| topic.followers.len())
}
