//! Who follows what: every topic of a fan-out thread, its followers, and the conflated ones whose time has not come.
//!
//! Knows no text and no socket: what a topic's frames are made of is its parameter `F`.

#![cfg_attr(not(test), deny(clippy::disallowed_types, clippy::disallowed_methods, clippy::disallowed_macros))]

pub mod channel;
pub mod topic;

use std::collections::HashMap;

use book::{BookIndex, Nanos};

use crate::ids::TopicId;
use topic::{Follower, Key, Topic};

/// All topics.
#[derive(Debug)]
pub struct Topics<F> {
    topics: Vec<Option<Topic<F>>>,
    free: Vec<TopicId>,
    by_key: HashMap<Key, TopicId>,
    /// Conflated topics with something waiting.
    conflated: Vec<TopicId>,
    /// When the first of them is due; `u64::MAX`: none waits.
    next_release_ns: Nanos,
}

/// What is left when a follower has gone.
#[derive(Debug)]
pub struct Unfollowed {
    /// The follower that now has the place of the one that went.
    pub moved: Option<Follower>,
    /// The topic ended with its last follower.
    pub ended: Option<Key>,
}

impl<F> Topics<F> {
    /// Without topics.
    #[must_use]
    pub fn new() -> Self {
        Self {
            topics: Vec::new(),
            free: Vec::new(),
            by_key: HashMap::new(),
            conflated: Vec::new(),
            next_release_ns: u64::MAX,
        }
    }

    /// A topic.
    #[inline]
    #[must_use]
    pub fn get(&self, id: TopicId) -> Option<&Topic<F>> {
        self.topics.get(id.index())?.as_ref()
    }

    /// The same, to change it.
    #[inline]
    #[must_use]
    pub fn get_mut(&mut self, id: TopicId) -> Option<&mut Topic<F>> {
        self.topics.get_mut(id.index())?.as_mut()
    }

    /// Its place in the table, to be loaded before it is looked at.
    #[inline]
    #[must_use]
    pub fn place(&self, id: TopicId) -> Option<&Option<Topic<F>>> {
        self.topics.get(id.index())
    }

    /// The topic of a key.
    #[must_use]
    pub fn find(&self, key: &Key) -> Option<TopicId> {
        self.by_key.get(key).copied()
    }

    /// Every number that was ever given out.
    pub fn ids(&self) -> impl Iterator<Item = TopicId> + use<F> {
        (0..self.topics.len()).map(TopicId::from_index)
    }

    /// Followers of a topic; none when it is gone.
    #[must_use]
    pub fn followers(&self, id: TopicId) -> &[Follower] {
        self.get(id).map_or(&[], |topic| &topic.followers)
    }

    /// Adds a topic.
    pub fn add(&mut self, topic: Topic<F>) -> TopicId {
        let id = self.free.pop().unwrap_or_else(|| {
            self.topics.push(None);
            TopicId::from_index(self.topics.len() - 1)
        });
        self.by_key.insert(topic.key, id);
        self.topics[id.index()] = Some(topic);
        id
    }

    /// Ends the follower at `position`, and with the last one the topic; `None`: there was none.
    pub fn unfollow(&mut self, id: TopicId, position: usize) -> Option<Unfollowed> {
        let topic = self.topics.get_mut(id.index())?.as_mut()?;
        if position >= topic.followers.len() {
            return None;
        }
        let follower = topic.followers.swap_remove(position);
        topic.live -= usize::from(follower.live);
        let moved = topic.followers.get(position).copied();
        let ended = topic.followers.is_empty().then_some(topic.key);
        if let Some(key) = ended {
            self.by_key.remove(&key);
            self.topics[id.index()] = None;
            self.free.push(id);
        }
        Some(Unfollowed { moved, ended })
    }

    /// A conflated topic has something that waits until `due_ns`.
    pub fn wait(&mut self, id: TopicId, due_ns: Nanos) {
        self.conflated.push(id);
        self.next_release_ns = self.next_release_ns.min(due_ns);
    }

    /// When the first conflated topic is due; `u64::MAX`: none waits.
    #[inline]
    #[must_use]
    pub fn next_release_ns(&self) -> Nanos {
        self.next_release_ns
    }

    /// Puts the conflated topics into `released` whose time has come and whose book `may_show`; the others wait on.
    pub fn release(&mut self, now_ns: Nanos, may_show: impl Fn(BookIndex) -> bool, released: &mut Vec<TopicId>) {
        self.next_release_ns = u64::MAX;
        let mut n = 0;
        while n < self.conflated.len() {
            let id = self.conflated[n];
            let Some(topic) = self.topics[id.index()].as_mut().filter(|topic| topic.waiting) else {
                self.conflated.swap_remove(n); // OK because it was sent early, or its last follower has gone
                continue;
            };
            if now_ns < topic.due_ns || !may_show(topic.key.book) {
                self.next_release_ns = self.next_release_ns.min(topic.due_ns);
                n += 1;
                continue;
            }
            topic.waiting = false;
            topic.due_ns = topic.next_due_ns(now_ns);
            self.conflated.swap_remove(n);
            if topic.live > 0 {
                released.push(id);
            }
        }
    }
}
