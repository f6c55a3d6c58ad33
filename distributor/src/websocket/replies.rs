//! What is said to clients beside data frames, as shapes that the JSON library writes: replies, refusals, system frames.
//!
//! Rare, so they may allocate; the order of the fields is that of `docs/protocols/websocket.md`. Data frames are written by
//! hand, in `encode/json`.

use std::io::{self, Write};

use book::Nanos;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::ser::{CharEscape, Formatter};

use crate::egress::slow_reader::Policy;
use crate::encode::json::text;
use crate::topics::channel::Channel;
use crate::websocket::requests::{Context, Refusal, Subscribe};

/// A time: nanoseconds since 1970 as text, or RFC 3339 with nine decimals.
#[derive(Clone, Copy, Debug)]
pub struct Time {
    /// Since 1970, our clock.
    pub ns: Nanos,
    /// As a calendar writes it.
    pub rfc3339: bool,
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !self.rfc3339 {
            return serializer.serialize_str(itoa::Buffer::new().format(self.ns));
        }
        let mut quoted = Vec::with_capacity(40);
        text::time(&mut quoted, self.ns, true);
        serializer.serialize_str(std::str::from_utf8(&quoted[1..quoted.len() - 1]).unwrap_or_default())
    }
}

/// A number that may exceed 2⁵³: as text.
#[derive(Clone, Copy, Debug)]
pub struct Quoted(pub u64);

impl Serialize for Quoted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(itoa::Buffer::new().format(self.0))
    }
}

/// Control characters as `\u00XX`, never as `\n`: the same text as in data frames.
struct Escapes;

impl Formatter for Escapes {
    fn write_char_escape<W: ?Sized + Write>(&mut self, writer: &mut W, escape: CharEscape) -> io::Result<()> {
        let byte = match escape {
            CharEscape::Quote => return writer.write_all(b"\\\""),
            CharEscape::ReverseSolidus => return writer.write_all(b"\\\\"),
            CharEscape::Solidus => return writer.write_all(b"/"),
            CharEscape::Backspace => 8,
            CharEscape::FormFeed => 12,
            CharEscape::LineFeed => 10,
            CharEscape::CarriageReturn => 13,
            CharEscape::Tab => 9,
            CharEscape::AsciiControl(byte) => byte,
        };
        write!(writer, "\\u{byte:04x}")
    }
}

/// Appends a value as JSON.
pub fn write(out: &mut Vec<u8>, value: &impl Serialize) {
    // OK because memory takes every byte, and no shape here has a key that is not text
    let _ = value.serialize(&mut serde_json::Serializer::with_formatter(out, Escapes));
}

/// The answer to a request that was done.
#[derive(Debug, Serialize)]
pub struct Reply<'a, R> {
    method: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    req_id: Option<i64>,
    success: bool,
    result: R,
    warnings: &'a [String],
    time_in: Time,
    time_out: Time,
}

impl<'a, R: Serialize> Reply<'a, R> {
    /// Of what `context` repeats.
    pub fn new(context: &'a Context, result: R, time_in: Time, time_out: Time) -> Self {
        let Context { method, req_id, ref warnings } = *context;
        Self { method, req_id, success: true, result, warnings, time_in, time_out }
    }
}

/// The answer to a request that was refused.
#[derive(Debug, Serialize)]
pub struct Refused<'a> {
    method: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    req_id: Option<i64>,
    success: bool,
    error: Problem<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    symbol: Option<&'a str>,
    time_in: Time,
    time_out: Time,
}

#[derive(Debug, Serialize)]
struct Problem<'a> {
    code: &'static str,
    message: &'a str,
    retryable: bool,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    near: &'a [String],
}

impl<'a> Refused<'a> {
    /// Of what `context` repeats.
    pub fn new(
        context: &Context,
        refusal: &'a Refusal,
        symbol: Option<&'a str>,
        time_in: Time,
        time_out: Time,
    ) -> Self {
        let Refusal { code, message, near } = refusal;
        let error = Problem { code, message, retryable: refusal.retryable(), near };
        Self { method: context.method, req_id: context.req_id, success: false, error, symbol, time_in, time_out }
    }
}

/// `{}`.
#[derive(Debug, Serialize)]
pub struct Nothing {}

/// The result of `auth`.
#[derive(Debug, Serialize)]
pub struct AdmittedUntil {
    /// When the credential ends; `null`: it does not.
    pub expires_at: Option<Time>,
}

/// The credential of this connection ends soon.
#[derive(Debug, Serialize)]
pub struct AuthExpiring {
    /// When.
    pub expires_at: Time,
    /// What to do.
    pub message: &'static str,
}

/// A subscription, or a wildcard, as it is in force.
#[derive(Debug, Serialize)]
pub struct Following {
    channel: &'static str,
    symbol: String,
    /// Of a wildcard that was just made: how many symbols there are now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub symbols: Option<usize>,
    /// Of `book` alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    depth: Option<u8>,
    snapshot: bool,
    conflate_ms: u32,
    slow_reader: &'static str,
    sub_id: u32,
    /// The cursor: epoch and number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    /// Number of the last frame.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
}

impl Following {
    /// One symbol.
    pub fn of(
        channel: Channel,
        symbol: String,
        depth: u8,
        snapshot: bool,
        conflate_ms: u32,
        policy: Policy,
        sub_id: u32,
    ) -> Self {
        let depth = (channel == Channel::Book).then_some(depth);
        let (channel, slow_reader) = (channel.name(), policy.name());
        Self {
            channel,
            symbol,
            symbols: None,
            depth,
            snapshot,
            conflate_ms,
            slow_reader,
            sub_id,
            epoch: None,
            seq: None,
        }
    }

    /// Every symbol.
    pub fn wildcard(channel: Channel, asked: &Subscribe, sub_id: u32) -> Self {
        let Subscribe { depth, snapshot, conflate_ms, policy, .. } = *asked;
        Self::of(channel, "*".to_owned(), depth, snapshot, conflate_ms, policy, sub_id)
    }
}

/// A subscription to a channel without symbols.
#[derive(Debug, Serialize)]
pub struct FollowingFeed {
    /// `heartbeat` or `system`.
    pub channel: &'static str,
    /// Of `heartbeat` alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval_s: Option<u8>,
    /// Number that the client knows.
    pub sub_id: u32,
}

/// One line of `list_subscriptions`.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Listed {
    /// Without symbols.
    Feed(FollowingFeed),
    /// With one, or with all.
    Symbol(Following),
}

/// The result of `list_subscriptions`.
#[derive(Debug, Serialize)]
pub struct List {
    /// Feed, wildcards, symbols.
    pub subscriptions: Vec<Listed>,
}

/// A subscription that ended.
#[derive(Debug, Serialize)]
pub struct Ended<'a> {
    /// Channel.
    pub channel: &'static str,
    /// Symbol, where the channel has any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub symbol: Option<&'a str>,
    /// Number that the client knew.
    pub sub_id: u32,
}

/// The result of `get_snapshot`; the snapshot follows.
#[derive(Debug, Serialize)]
pub struct SnapshotComes<'a> {
    /// Channel.
    pub channel: &'static str,
    /// Symbol.
    pub symbol: &'a str,
    /// Of `book` alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub depth: Option<u8>,
    /// The cursor: epoch.
    pub epoch: u64,
    /// The cursor: number.
    pub seq: u64,
}

/// A frame of channel `system`; `type` says which, and what it has stands in this order.
#[derive(Debug, Serialize)]
pub struct System<B> {
    channel: &'static str,
    r#type: &'static str,
    #[serde(flatten)]
    body: B,
    ts_out: Time,
}

impl<B: Serialize> System<B> {
    /// A frame of this type.
    pub fn new(r#type: &'static str, body: B, ts_out: Time) -> Self {
        Self { channel: "system", r#type, body, ts_out }
    }
}

/// What the market is that this connection shows: its first frame.
#[derive(Debug, Serialize)]
pub struct Hello {
    /// Of the program.
    pub version: &'static str,
    /// In force; 0 before the first session.
    pub epoch: u64,
    /// `sim`, `replay` or `itch`.
    pub source: &'static str,
    /// The market is an invention.
    pub simulated: bool,
    /// Subscriptions of one connection.
    pub subscriptions_max: usize,
}

/// Numbers that will not come.
#[derive(Debug, Serialize)]
pub struct Gap<'a> {
    /// Number that the client knows; `None`: the whole feed.
    pub sub_id: Option<u32>,
    /// Channel of the subscription.
    pub channel_of: Option<&'static str>,
    /// Symbol, or `*`.
    pub symbol: &'a str,
    /// Of the numbers.
    pub epoch: u64,
    /// First number.
    pub from_seq: u64,
    /// Last number.
    pub to_seq: u64,
    /// `upstream` or `slow_reader`.
    pub reason: &'static str,
    /// First number of the venue that was lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub venue_from: Option<Quoted>,
    /// Last number of the venue that was lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub venue_to: Option<Quoted>,
}

/// The feed's state changed.
#[derive(Debug, Serialize)]
pub struct Feed {
    /// Its name.
    pub state: &'static str,
}

/// A new epoch is in force.
#[derive(Debug, Serialize)]
pub struct Epoch {
    /// The epoch.
    pub epoch: u64,
    /// The newest number.
    pub seq: u64,
}

/// The client does not read fast enough.
#[derive(Debug, Serialize)]
pub struct SlowReader {
    /// `SLOW_READER`.
    pub code: &'static str,
    /// What happens next.
    pub message: &'static str,
    /// Unsent bytes.
    pub queued_bytes: usize,
    /// Unsent bytes at which frames are skipped.
    pub queued_bytes_max: usize,
}

/// The server stops.
#[derive(Debug, Serialize)]
pub struct ServerShutdown {
    /// Another time for each client, so that they do not come back all at once.
    pub reconnect_after_ms: u64,
    /// Why.
    pub message: &'static str,
}

/// A sign of life.
#[derive(Debug, Serialize)]
#[serde(bound = "")]
pub struct Heartbeat<I: Iterator<Item = (u32, Option<u64>)> + Clone> {
    /// `heartbeat`.
    pub channel: &'static str,
    /// `heartbeat`.
    pub r#type: &'static str,
    /// In force.
    pub epoch: u64,
    /// The newest number of the feed.
    pub seq: u64,
    /// Our clock.
    pub server_time: Time,
    /// Since the feed last gave anything.
    pub feed_age_ms: Option<u64>,
    /// `waiting`, `open`, `stale` or `ended`.
    pub session_state: &'static str,
    /// The session was joined after its beginning; left out while it was not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub joined_midway: bool,
    /// By `sub_id`, the number of the last frame; `None` while a snapshot is due.
    pub subscriptions: Heads<I>,
}

/// Pairs of a number that the client knows and the number of its last frame, as an object.
#[derive(Debug)]
pub struct Heads<I>(pub I);

impl<I: Iterator<Item = (u32, Option<u64>)> + Clone> Serialize for Heads<I> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (sub_id, head) in self.0.clone() {
            map.serialize_entry(&sub_id, &head)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_as_in_data_frames() {
        let nasty = "a\"b\\c\u{1}\n\t\u{7f}/ğ\u{2028}";
        let (mut ours, mut library) = (Vec::new(), Vec::new());
        text::text(&mut ours, nasty);
        write(&mut library, &nasty);
        assert_eq!(String::from_utf8_lossy(&library), String::from_utf8_lossy(&ours));
    }

    #[test]
    fn times_are_those_of_data_frames() {
        for rfc3339 in [false, true] {
            let ns = 1_795_417_200_000_000_001;
            let (mut ours, mut library) = (Vec::new(), Vec::new());
            text::time(&mut ours, ns, rfc3339);
            write(&mut library, &Time { ns, rfc3339 });
            assert_eq!(library, ours);
        }
    }
}
