//! One client: what it has said, what it follows, and its clocks.
//!
//! Holds state only; the shard acts on it.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

use book::Nanos;

use crate::config::Config;
use crate::websocket::door::Door;
use crate::websocket::frame::{CONTROL_BYTES_MAX, Decoder, Message, Violation};
use crate::websocket::subscriptions::Subscriptions;

/// Pings of a client: per second, and at once.
const PINGS: (u32, u32) = (10, 50);

/// Where a connection is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionState {
    /// The request head is not whole.
    Head,
    /// The upgrade waits for the verdict on its credential.
    Asking,
    /// A WebSocket.
    Open,
    /// Our close frame is out or on its way; the client's answer is awaited.
    Closing,
    /// Both sides said all: what is queued goes out, then the socket is shut.
    Ending,
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
pub struct HeartbeatTimer {
    /// Number that the client knows.
    pub sub_id: u32,
    /// Time between two.
    pub interval_s: u8,
    /// Time of the next.
    pub next_ns: Nanos,
}

/// One client.
#[derive(Debug)]
pub struct Session {
    /// The other end.
    pub peer: SocketAddr,
    /// Where it comes from: the other end, or the address that a gateway on this machine names.
    pub origin: IpAddr,
    /// What is known of who it is.
    pub door: Door,
    /// Where it is in its life.
    pub state: ConnectionState,
    /// When that began.
    pub state_ns: Nanos,
    /// The upgrade was answered.
    pub is_websocket: bool,
    /// Came when the connection limit was reached.
    pub surplus: bool,
    /// Bytes received and not yet understood; at most one message or one head.
    pub input: Vec<u8>,
    /// Fragments.
    pub decoder: Decoder,
    /// Times as text.
    pub rfc3339: bool,
    /// What it follows.
    pub subscriptions: Subscriptions,
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
    /// When the client last sent anything.
    pub received_ns: Nanos,
    /// When it was last pinged.
    pub pinged_ns: Nanos,
    /// Its own heartbeat.
    pub heartbeat: Option<HeartbeatTimer>,
    /// Its subscription to `system`.
    pub system_sub_id: Option<u32>,
}

impl Session {
    /// Of a connection that has said nothing yet.
    #[must_use]
    pub fn new(peer: SocketAddr, surplus: bool, config: &Config, now_ns: Nanos) -> Self {
        Self {
            peer,
            origin: peer.ip(),
            door: Door::default(),
            state: ConnectionState::Head,
            state_ns: now_ns,
            is_websocket: false,
            surplus,
            input: Vec::new(),
            decoder: Decoder::default(),
            rfc3339: false,
            subscriptions: Subscriptions::default(),
            waiting: VecDeque::new(),
            requests: Bucket::new(config.requests_per_second, config.requests_per_second),
            pings: Bucket::new(PINGS.0, PINGS.1),
            malformed: 0,
            warned: false,
            received_ns: now_ns,
            pinged_ns: now_ns,
            heartbeat: None,
            system_sub_id: None,
        }
    }
}

/// What a client said in a whole message.
#[derive(Debug)]
pub enum Said {
    /// A request.
    Text(String),
    /// A ping with its payload.
    Ping(PingPayload),
    /// A close frame with its code.
    Close(Option<u16>),
}

/// A ping's payload, at most 125 bytes.
#[derive(Debug)]
pub struct PingPayload([u8; CONTROL_BYTES_MAX], usize);

impl std::ops::Deref for PingPayload {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0[..self.1]
    }
}

impl Session {
    /// Takes the whole messages out of the input, up to a close frame or a violation.
    pub fn read_frames(&mut self) -> (Vec<Said>, Option<Violation>) {
        let mut start = 0;
        let mut said = Vec::new();
        let violation = loop {
            match self.decoder.read(&mut self.input[start..]) {
                Ok((0, _)) => break None,
                Ok((used, message)) => {
                    start += used;
                    match message {
                        None | Some(Message::Pong) => {}
                        Some(Message::Text(text)) => said.push(Said::Text(text.to_owned())),
                        Some(Message::Ping(payload)) => {
                            let mut copy = [0; CONTROL_BYTES_MAX];
                            copy[..payload.len()].copy_from_slice(payload);
                            said.push(Said::Ping(PingPayload(copy, payload.len())));
                        }
                        Some(Message::Close(code)) => {
                            said.push(Said::Close(code));
                            break None;
                        }
                    }
                }
                Err(violation) => break Some(violation),
            }
        };
        self.input.drain(..start);
        if self.input.is_empty() && self.input.capacity() > 4_096 {
            self.input = Vec::new();
        }
        (said, violation)
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
