//! One stream of frames: a channel of a book with its effective parameters, made once for all who follow it.
//!
//! Keeps who follows, the number of the last frame, and what a conflated stream has not sent yet. Knows no text and no
//! socket.

use std::ops::Range;

use book::{BookIndex, Nanos};

use crate::ids::{ClientId, SubscriptionId};
use crate::market::changes::PendingEvents;
use crate::topics::channel::Channel;

/// Trades or closed candles that a conflated topic collects before it sends them early.
const COLLECTED_MAX: usize = 1_000;

/// Everything that makes two subscriptions share their frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// The book in the reader's copy.
    pub book: BookIndex,
    /// Channel.
    pub channel: Channel,
    /// Levels a side, 0 where there are none.
    pub depth: u8,
    /// At most one frame per so many milliseconds, 0 = every one.
    pub conflate_ms: u32,
    /// Times as text.
    pub rfc3339: bool,
}

/// A follower of a topic.
#[derive(Clone, Copy, Debug)]
pub struct Follower {
    /// Client.
    pub client: ClientId,
    /// Its subscription.
    pub subscription: SubscriptionId,
    /// Gets frames now; otherwise a snapshot is due first.
    pub live: bool,
}

/// One stream of frames, which are made of `F`. What every frame touches stands in the first lines.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Topic<F> {
    /// `seq` of the last frame.
    pub head: u64,
    /// What it is.
    pub key: Key,
    /// Followers that get frames now.
    pub live: usize,
    /// All followers.
    pub followers: Vec<Follower>,
    /// What was last sent, and what the next frame begins with.
    pub frames: F,
    /// Conflated: earliest time of the next frame.
    pub due_ns: Nanos,
    /// Conflated: something waits for `due_ns`.
    pub waiting: bool,
    /// Conflated: what waits.
    pub collected: PendingEvents,
    /// Turn and place of the last snapshot, so that newcomers of one turn share it.
    pub snapshot_place: Option<(u64, Range<usize>)>,
}

impl<F> Topic<F> {
    /// A topic without followers, whose chain begins at `head`.
    #[must_use]
    pub fn of(key: Key, head: u64, frames: F) -> Self {
        Self {
            head,
            key,
            live: 0,
            followers: Vec::new(),
            frames,
            due_ns: 0,
            waiting: false,
            collected: PendingEvents::default(),
            snapshot_place: None,
        }
    }

    /// A new follower; returns its position.
    pub fn follow(&mut self, follower: Follower) -> usize {
        self.followers.push(follower);
        self.live += usize::from(follower.live);
        self.followers.len() - 1
    }

    /// The follower at `position` gets frames from now on, or none until its snapshot. False: there is none.
    #[must_use]
    pub fn set_live(&mut self, position: usize, live: bool) -> bool {
        let Some(follower) = self.followers.get_mut(position) else { return false };
        self.live = self.live + usize::from(live) - usize::from(follower.live);
        follower.live = live;
        true
    }

    /// Conflated: earliest time of the frame after one at `now_ns`.
    #[inline]
    #[must_use]
    pub fn next_due_ns(&self, now_ns: Nanos) -> Nanos {
        now_ns + u64::from(self.key.conflate_ms) * 1_000_000
    }

    /// Adds this turn's events to what waits; true when they must go out now although it is not time.
    pub fn collect(&mut self, events: &PendingEvents) -> bool {
        match self.key.channel {
            Channel::Trades => self.collected.trades.extend_from_slice(&events.trades),
            Channel::Ohlcv(interval) => {
                self.collected.closed.extend(events.closed.iter().filter(|(closed, _)| *closed == interval));
            }
            _ => {}
        }
        self.collected.trades.len().max(self.collected.closed.len()) >= COLLECTED_MAX
    }
}
