//! What one client follows: its subscriptions by place, by number and by name, its wildcards, and what is due to it.
//!
//! A table; who is sent what is decided elsewhere.

use std::collections::{HashMap, VecDeque};

use book::BookIndex;

use crate::egress::slow_reader::Policy;
use crate::ids::{SubscriptionId, TopicId};
use crate::topics::channel::Channel;
use crate::websocket::requests::{AnyChannel, Subscribe};

/// What of one symbol a client follows.
#[derive(Clone, Debug)]
pub struct Subscription {
    /// Number that the client knows.
    pub sub_id: u32,
    /// Topic.
    pub topic: TopicId,
    /// Place among the topic's followers.
    pub position: u32,
    /// Channel.
    pub channel: Channel,
    /// Book.
    pub book: BookIndex,
    /// Snapshots are wanted.
    pub snapshot: bool,
    /// A snapshot was asked for and could not be made at once.
    pub once: bool,
    /// Slow-reader policy.
    pub policy: Policy,
    /// First number not sent, while a gap is to be told.
    pub gap_from: Option<u64>,
    /// Among those to which a snapshot is due.
    pub due: bool,
}

/// `["*"]` of one channel: symbols that appear later join.
#[derive(Clone, Debug)]
pub struct Wildcard {
    /// Number that the client knows.
    pub sub_id: u32,
    /// The request's own number, repeated in later replies.
    pub req_id: Option<i64>,
    /// Channel.
    pub channel: Channel,
    /// Parameters.
    pub asked: Subscribe,
}

/// All that one client follows.
#[derive(Debug, Default)]
pub struct Subscriptions {
    /// A free place is `None`.
    places: Vec<Option<Subscription>>,
    free: Vec<SubscriptionId>,
    by_key: HashMap<(Channel, BookIndex), SubscriptionId>,
    /// By the number the client knows.
    by_sub_id: HashMap<u32, SubscriptionId>,
    /// Wildcards.
    pub wildcards: Vec<Wildcard>,
    /// Those to which a snapshot is due.
    pub due: VecDeque<SubscriptionId>,
    /// The client is in the list of clients with something due.
    pub due_listed: bool,
    /// The last number given out.
    last_sub_id: u32,
}

impl Subscriptions {
    /// The number of the next subscription.
    pub fn next_sub_id(&mut self) -> u32 {
        self.last_sub_id = self.last_sub_id.wrapping_add(1);
        self.last_sub_id
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// The subscription at a place.
    #[must_use]
    pub fn get(&self, id: SubscriptionId) -> Option<&Subscription> {
        self.places.get(id.index())?.as_ref()
    }

    /// The same, to change it.
    #[must_use]
    pub fn get_mut(&mut self, id: SubscriptionId) -> Option<&mut Subscription> {
        self.places.get_mut(id.index())?.as_mut()
    }

    /// Every place that was ever given out.
    pub fn ids(&self) -> impl Iterator<Item = SubscriptionId> + use<> {
        (0..self.places.len()).map(SubscriptionId::from_index)
    }

    /// All, in the order of their places.
    pub fn iter(&self) -> impl Iterator<Item = &Subscription> + Clone {
        self.places.iter().flatten()
    }

    /// The subscription of a channel of a book.
    #[must_use]
    pub fn find(&self, channel: Channel, book: BookIndex) -> Option<SubscriptionId> {
        self.by_key.get(&(channel, book)).copied()
    }

    /// The subscription of a number that the client knows.
    #[must_use]
    pub fn by_sub_id(&self, sub_id: u32) -> Option<SubscriptionId> {
        self.by_sub_id.get(&sub_id).copied()
    }

    /// Takes a new subscription; returns its place.
    pub fn insert(&mut self, subscription: Subscription) -> SubscriptionId {
        let key = (subscription.channel, subscription.book);
        let sub_id = subscription.sub_id;
        let id = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            SubscriptionId::from_index(self.places.len() - 1)
        });
        self.places[id.index()] = Some(subscription);
        self.by_key.insert(key, id);
        self.by_sub_id.insert(sub_id, id);
        id
    }

    /// Gives a subscription back.
    pub fn remove(&mut self, id: SubscriptionId) -> Option<Subscription> {
        let subscription = self.places.get_mut(id.index())?.take()?;
        self.by_key.remove(&(subscription.channel, subscription.book));
        self.by_sub_id.remove(&subscription.sub_id);
        // OK because `due` may still hold the place: a later owner of it is asked whether it is due itself
        self.free.push(id);
        Some(subscription)
    }

    /// The place of the wildcard of a channel.
    #[must_use]
    pub fn wildcard(&self, channel: AnyChannel) -> Option<usize> {
        self.wildcards.iter().position(|wildcard| AnyChannel::Data(wildcard.channel) == channel)
    }
}
