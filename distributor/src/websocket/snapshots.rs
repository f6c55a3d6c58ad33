//! Where a chain begins anew, and snapshots for those to whom one is due, as fast as each client takes them.
//!
//! Bounded per turn; a client that does not take its snapshots gets no further ones, and no frames of those topics.

#![cfg_attr(not(test), deny(clippy::disallowed_types, clippy::disallowed_methods, clippy::disallowed_macros))]

use book::BookIndex;

use crate::ids::{ClientId, SubscriptionId, TopicId};
use crate::metrics::Slow;
use crate::topics::channel::Channel;
use crate::topics::topic::Follower;
use crate::websocket::replies::Epoch;
use crate::websocket::session::ConnectionState;
use crate::websocket::shard::Shard;
use crate::websocket::system::GapReason;

/// Due snapshots looked at per turn.
const DUE_PER_TURN_MAX: usize = 2_048;

/// What became of a snapshot that was due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Emitted {
    /// It was sent, or the gap was told to who wants no snapshots.
    Sent,
    /// The book, or its orders, may not be shown yet.
    NotYet,
    /// Nothing is due there any more.
    Nothing,
}

impl Shard {
    /// No more frames for this follower until its snapshot (or its gap, where it wants no snapshots).
    pub(super) fn set_due(&mut self, client: ClientId, id: SubscriptionId, topic: TopicId, position: usize) {
        if !self.topics.get_mut(topic).is_some_and(|topic| topic.set_live(position, false)) {
            return self.broken(client);
        }
        let Some(session) = self.clients.get_mut(client) else { return self.broken(client) };
        let subscriptions = &mut session.subscriptions;
        let Some(one) = subscriptions.get_mut(id) else { return self.broken(client) };
        if !std::mem::replace(&mut one.due, true) {
            subscriptions.due.push_back(id);
        }
        if !std::mem::replace(&mut subscriptions.due_listed, true) {
            self.clients.due.push_back(client);
        }
    }

    /// Begins a topic's chain anew at the state of its book. `gap_from`: numbers from there on were missed upstream.
    pub(super) fn restart_topic(&mut self, id: TopicId, gap_from: Option<u64>) {
        let Some(topic) = self.topics.get_mut(id) else { return };
        let at = topic.key.book;
        let head = self.market.seq(at);
        topic.refresh(self.market.view(at), head);
        for position in 0..topic.followers.len() {
            let Some(&follower) = self.topics.followers(id).get(position) else { return };
            let Follower { client, subscription, live } = follower;
            if !live {
                continue;
            }
            if let Some(from) = gap_from {
                self.metrics.gaps_upstream.add(1);
                self.say_gap(client, subscription, self.epoch, (from, head), GapReason::Upstream);
            }
            match self.clients.get(client).and_then(|session| session.subscriptions.get(subscription)) {
                Some(one) if one.snapshot => self.set_due(client, subscription, id, position),
                Some(_) => {}
                None => self.broken(client),
            }
        }
    }

    #[cold]
    pub(super) fn on_snapshot_whole(&mut self, at: BookIndex) {
        let book = self.market.book_mut(at);
        let gap_from = book.gap_from.take();
        if gap_from.is_some() {
            book.events.clear();
        }
        for id in book.topics.clone() {
            let Some(topic) = self.topics.get(id) else {
                self.broken_topic(id);
                continue;
            };
            // Without a gap the other channels go on by their difference to what was sent.
            if gap_from.is_some() || topic.key.channel == Channel::Mbo {
                self.restart_topic(id, gap_from);
            }
        }
    }

    #[cold]
    pub(super) fn on_epoch(&mut self) {
        let old = std::mem::replace(&mut self.epoch, self.market.replica.epoch);
        for client in self.clients.ids() {
            self.tell_holes(client, old);
        }
        self.broadcast("epoch", Epoch { epoch: self.epoch, seq: self.market.replica.seq });
        for id in self.topics.ids() {
            self.restart_topic(id, None);
        }
    }

    /// A hole of a slow reader belongs to the old epoch: told now, it cannot be told later.
    fn tell_holes(&mut self, client: ClientId, epoch: u64) {
        let Some(session) = self.clients.get_mut(client) else { return };
        let mut holes = Vec::new();
        for id in session.subscriptions.ids() {
            let Some(one) = session.subscriptions.get_mut(id) else { continue };
            if let Some(from) = one.gap_from.take() {
                holes.push((id, one.topic, from));
            }
        }
        for (id, topic, from) in holes {
            let head = self.topics.get(topic).map_or(from, |topic| topic.head);
            self.metrics.gaps_slow.add(1);
            self.say_gap(client, id, epoch, (from, head.max(from)), GapReason::SlowReader);
        }
    }

    /// Snapshots for those who wait for one. Returns how many were sent.
    pub(super) fn emit_due(&mut self) -> usize {
        let mut budget = DUE_PER_TURN_MAX;
        let mut emitted = 0;
        for _ in 0..self.clients.due.len() {
            let Some(client) = self.clients.due.pop_front() else { break };
            emitted += self.emit_due_of(client, &mut budget);
            let Some(session) = self.clients.get_mut(client) else { continue }; // OK because it left meanwhile
            let goes_on = !session.subscriptions.due.is_empty() && session.state == ConnectionState::Open;
            session.subscriptions.due_listed = goes_on;
            if goes_on {
                self.clients.due.push_back(client);
            }
        }
        emitted
    }

    fn emit_due_of(&mut self, client: ClientId, budget: &mut usize) -> usize {
        let quarter = (self.egress.thresholds().0 / 4).max(1);
        let mut emitted = 0;
        let waiting = self.clients.get(client).map_or(0, |session| session.subscriptions.due.len());
        for _ in 0..waiting {
            if *budget == 0 || !self.egress.is_open(client) || self.egress.queue(client).pending() >= quarter {
                break;
            }
            *budget -= 1;
            let next = self.clients.get_mut(client).and_then(|session| session.subscriptions.due.pop_front());
            let Some(id) = next else { break };
            match self.emit_one(client, id) {
                Emitted::Sent => emitted += 1,
                Emitted::NotYet => {
                    if let Some(session) = self.clients.get_mut(client) {
                        session.subscriptions.due.push_back(id);
                    }
                }
                Emitted::Nothing => {}
            }
            self.send_if_large();
        }
        emitted
    }

    fn emit_one(&mut self, client: ClientId, id: SubscriptionId) -> Emitted {
        let session = self.clients.get_mut(client);
        let Some(one) = session.and_then(|session| session.subscriptions.get_mut(id)).filter(|one| one.due) else {
            return Emitted::Nothing;
        };
        let (topic_id, position, book) = (one.topic, one.position as usize, one.book);
        if !self.market.may_show(book) || !self.interests.may_follow(&self.market, book, one.channel) {
            return Emitted::NotYet;
        }
        one.due = false;
        let wanted = one.snapshot || std::mem::take(&mut one.once);
        let gap_from = one.gap_from.take();
        let Some(topic) = self.topics.get_mut(topic_id) else {
            self.broken(client);
            return Emitted::Nothing;
        };
        if topic.live == 0 {
            topic.refresh(self.market.view(book), self.market.seq(book));
        }
        let head = topic.head;
        if !topic.set_live(position, true) {
            self.broken(client);
            return Emitted::Nothing;
        }
        if let Some(from) = gap_from {
            self.metrics.count_slow(Slow::Recovered);
            self.metrics.gaps_slow.add(1);
            self.say_gap(client, id, self.epoch, (from, head), GapReason::SlowReader);
        }
        if wanted {
            self.push_snapshot(client, topic_id);
        }
        Emitted::Sent
    }

    /// Gives a client the snapshot of a topic, which is made once per turn.
    pub(super) fn push_snapshot(&mut self, client: ClientId, id: TopicId) {
        let moment = self.moment();
        let Some(topic) = self.topics.get_mut(id) else { return self.broken(client) };
        let turn = self.egress.turn();
        let made = topic.snapshot_place.clone().filter(|(made_in, _)| *made_in == turn);
        let place = if let Some((_, place)) = made {
            place
        } else {
            let view = self.market.view(topic.key.book);
            let place = topic.write_snapshot(&mut self.egress.shared, view, moment);
            self.metrics.encoded_frames.add(1);
            topic.snapshot_place = Some((turn, place.clone()));
            place
        };
        self.metrics.sent_frames.add(1);
        self.egress.push(client, place);
    }
}
