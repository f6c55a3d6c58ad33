//! One client: what it has said, what it follows, and its clocks.
//!
//! Holds state only; `fanout` acts on it.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;

use book::Nanos;

use crate::frame::Decoder;
use crate::request::{AnyChannel, Policy, Subscribe};
use crate::topic::Channel;

/// Where a connection is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The request head is not whole.
    Head,
    /// A WebSocket.
    Open,
    /// Our close frame is out or on its way; the client's answer is awaited.
    Closing,
    /// Both sides said all: what is queued goes out, then the socket is shut.
    Ending,
}

/// What of one symbol a client follows.
#[derive(Clone, Debug)]
pub struct Subscription {
    /// Number that the client knows.
    pub sub_id: u32,
    /// Topic.
    pub topic: u32,
    /// Place among the topic's followers.
    pub position: u32,
    /// Channel, for lookups after the topic is gone.
    pub channel: Channel,
    /// Book.
    pub book: u32,
    /// Snapshots are wanted.
    pub snapshot: bool,
    /// A snapshot was asked for and could not be made at once.
    pub once: bool,
    /// Slow-reader policy.
    pub policy: Policy,
    /// First number not sent, while a gap is to be told.
    pub gap_from: Option<u64>,
    /// In `Session::due`.
    pub due: bool,
}

/// `["*"]` of one channel: symbols that appear later join.
#[derive(Clone, Debug)]
pub struct Wildcard {
    /// Number that the client knows.
    pub sub_id: u32,
    /// The request's own number, repeated in later replies.
    pub req_id: Option<i64>,
    /// Parameters.
    pub asked: Subscribe,
}

/// A rate limit: `burst` at once, then one per `interval_ns`.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    interval_ns: u64,
    burst: u64,
    /// When the bucket is full again.
    full_ns: Nanos,
}

impl Bucket {
    /// A full bucket; a rate of 0 counts as 1.
    pub fn new(per_second: u32, burst: u32) -> Self {
        Self { interval_ns: 1_000_000_000 / u64::from(per_second.max(1)), burst: u64::from(burst.max(1)), full_ns: 0 }
    }

    /// Takes one if there is one.
    pub fn take(&mut self, now_ns: Nanos) -> bool {
        let full_ns = self.full_ns.max(now_ns);
        let granted = full_ns - now_ns <= (self.burst - 1) * self.interval_ns;
        if granted {
            self.full_ns = full_ns + self.interval_ns;
        }
        granted
    }
}

/// A subscription to `heartbeat`.
#[derive(Clone, Copy, Debug)]
pub struct Beat {
    /// Number that the client knows.
    pub sub_id: u32,
    /// Time between two.
    pub interval_s: u8,
    /// Time of the next.
    pub next_ns: Nanos,
}

/// One client.
pub struct Session {
    /// The other end.
    pub peer: SocketAddr,
    /// Where it is in its life.
    pub stage: Stage,
    /// The upgrade was answered.
    pub is_websocket: bool,
    /// Came when the house was full.
    pub surplus: bool,
    /// Bytes received and not yet understood; at most one message or one head.
    pub input: Vec<u8>,
    /// Fragments.
    pub decoder: Decoder,
    /// Times as text.
    pub rfc3339: bool,
    /// Slots; a free one is `None`.
    pub subscriptions: Vec<Option<Subscription>>,
    /// Free places in `subscriptions`.
    pub free: Vec<u32>,
    /// By channel and book.
    pub by_key: HashMap<(Channel, u32), u32>,
    /// By the number the client knows.
    pub by_id: HashMap<u32, u32>,
    /// Wildcards.
    pub wildcards: Vec<Wildcard>,
    /// Places of subscriptions to which a snapshot is due.
    pub due: VecDeque<u32>,
    /// In the list of clients with something due.
    pub due_listed: bool,
    /// The last number given out.
    pub last_sub_id: u32,
    /// Requests that wait for the rate limit, with the time they came.
    pub waiting: VecDeque<(Nanos, String)>,
    /// Rate of requests.
    pub requests: Bucket,
    /// Rate of pings.
    pub pings: Bucket,
    /// Malformed requests so far.
    pub malformed: u32,
    /// The queue was above its bound and the client was told.
    pub warned: bool,
    /// When the stage began.
    pub stage_ns: Nanos,
    /// When the client last sent anything.
    pub received_ns: Nanos,
    /// When it was last pinged.
    pub pinged_ns: Nanos,
    /// Its own heartbeat.
    pub beat: Option<Beat>,
    /// Its subscription to `system`.
    pub system_sub_id: Option<u32>,
}

impl Session {
    /// The number of the next subscription.
    pub fn next_sub_id(&mut self) -> u32 {
        self.last_sub_id = self.last_sub_id.wrapping_add(1);
        self.last_sub_id
    }

    /// How many subscriptions there are.
    pub fn subscriptions_count(&self) -> usize {
        self.by_key.len()
    }

    /// The subscription at a place.
    pub fn subscription(&self, place: u32) -> Option<&Subscription> {
        self.subscriptions.get(place as usize)?.as_ref()
    }

    /// The same, to change it.
    pub fn subscription_mut(&mut self, place: u32) -> Option<&mut Subscription> {
        self.subscriptions.get_mut(place as usize)?.as_mut()
    }

    /// Takes a new subscription; returns its place.
    pub fn insert(&mut self, subscription: Subscription) -> u32 {
        let key = (subscription.channel, subscription.book);
        let sub_id = subscription.sub_id;
        let place = self.free.pop().unwrap_or_else(|| {
            self.subscriptions.push(None);
            self.subscriptions.len() as u32 - 1
        });
        self.subscriptions[place as usize] = Some(subscription);
        self.by_key.insert(key, place);
        self.by_id.insert(sub_id, place);
        place
    }

    /// Gives a subscription back.
    pub fn remove(&mut self, place: u32) -> Option<Subscription> {
        let subscription = self.subscriptions.get_mut(place as usize)?.take()?;
        self.by_key.remove(&(subscription.channel, subscription.book));
        self.by_id.remove(&subscription.sub_id);
        // OK because `due` may still hold the place: a later owner of it is asked whether it is due itself
        self.free.push(place);
        Some(subscription)
    }

    /// The wildcard of a channel.
    pub fn wildcard(&self, channel: AnyChannel) -> Option<usize> {
        self.wildcards.iter().position(|wildcard| wildcard.asked.channel == channel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let mut bucket = Bucket::new(10, 10);
        let granted = |bucket: &mut Bucket, now_ns| (0..100).filter(|_| bucket.take(now_ns)).count();
        assert_eq!(granted(&mut bucket, 5_000_000_000), 10);
        assert_eq!(granted(&mut bucket, 5_099_000_000), 0);
        assert_eq!(granted(&mut bucket, 5_100_000_000), 1);
        assert_eq!(granted(&mut bucket, 5_500_000_000), 4);
        assert_eq!(granted(&mut bucket, 9_000_000_000), 10);
    }
}
