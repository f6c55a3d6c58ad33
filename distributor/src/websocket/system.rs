//! What is said to clients unasked beside data frames: system frames, heartbeats, gaps, and the closing of a connection.
//!
//! A client that takes no more is closed instead; nothing here waits.

use serde::Serialize;

use crate::config::Config;
use crate::ids::{ClientId, SubscriptionId};
use crate::metrics::Slow;
use crate::websocket::frame::{self, close, opcode};
use crate::websocket::replies::{self, Gap, Heads, Heartbeat, Hello, Quoted, ServerShutdown, SlowReader, System, Time};
use crate::websocket::session::ConnectionState;
use crate::websocket::shard::Shard;

/// Why numbers are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GapReason {
    /// They did not reach us.
    Upstream,
    /// The client did not read fast enough.
    SlowReader,
}

impl GapReason {
    const fn name(self) -> &'static str {
        match self {
            Self::Upstream => "upstream",
            Self::SlowReader => "slow_reader",
        }
    }
}

impl Shard {
    /// This turn's time, as the client wants it.
    pub(super) fn time_for(&self, client: ClientId) -> Time {
        Time { ns: self.wall_ns, rfc3339: self.clients.rfc3339(client) }
    }

    /// The time now, as the client wants it: a reply's distance from its request is more than the turn's own clock can
    /// tell. Never before the turn began.
    pub(super) fn time_written(&self, client: ClientId) -> Time {
        Time { ns: (self.clock)().max(self.wall_ns), ..self.time_for(client) }
    }

    /// A text frame for one client. At the hard limit the client is closed instead.
    pub(super) fn say(&mut self, client: ClientId, value: &impl Serialize) {
        if !self.egress.is_open(client) {
            return;
        }
        if self.egress.is_overfull(client) {
            return self.close_slow(client);
        }
        let place = self.egress.frame(opcode::TEXT, |out| replies::write(out, value));
        self.egress.push(client, place);
    }

    pub(super) fn control(&mut self, client: ClientId, opcode: u8, payload: &[u8]) {
        if !self.egress.is_open(client) {
            return;
        }
        let place = self.egress.frame(opcode, |out| out.extend_from_slice(payload));
        self.egress.push(client, place);
    }

    /// A system frame for every client, written once for each kind of time.
    pub(super) fn broadcast(&mut self, r#type: &'static str, body: impl Serialize) {
        let ns = self.wall_ns;
        let places = [false, true].map(|rfc3339| {
            let frame = System::new(r#type, &body, Time { ns, rfc3339 });
            self.egress.frame(opcode::TEXT, |out| replies::write(out, &frame))
        });
        for client in self.clients.ids() {
            let Some(session) = self.clients.get(client) else { continue };
            if session.state != ConnectionState::Open || !self.egress.is_open(client) {
                continue;
            }
            let place = places[usize::from(session.rfc3339)].clone();
            if self.egress.is_overfull(client) {
                self.close_slow(client);
            } else {
                self.egress.push(client, place);
            }
        }
    }

    /// The first frame of a connection: where the market comes from, before anything of it is shown.
    pub(super) fn say_hello(&mut self, client: ClientId) {
        let &Config { version, source, simulated, subscriptions_max, .. } = &self.config;
        let hello = Hello { version, epoch: self.epoch, source, simulated, subscriptions_max };
        self.say(client, &System::new("hello", hello, self.time_for(client)));
    }

    pub(super) fn say_gap(
        &mut self,
        client: ClientId,
        id: SubscriptionId,
        epoch: u64,
        (from_seq, to_seq): (u64, u64),
        reason: GapReason,
    ) {
        let Some(one) = self.clients.get(client).and_then(|session| session.subscriptions.get(id)) else {
            return self.broken(client);
        };
        let (sub_id, channel_of) = (Some(one.sub_id), Some(one.channel.name()));
        let symbol = &self.market.book(one.book).ticker.clone();
        let reason = reason.name();
        let gap = Gap { sub_id, channel_of, symbol, epoch, from_seq, to_seq, reason, venue_from: None, venue_to: None };
        self.say(client, &System::new("gap", gap, self.time_for(client)));
    }

    /// The feed lost messages of the venue.
    #[cold]
    pub(super) fn send_feed_gap(&mut self, from: u64, to: u64) {
        self.metrics.gaps_upstream.add(1);
        let (epoch, seq) = (self.epoch, self.market.replica.seq);
        let gap = Gap {
            sub_id: None,
            channel_of: None,
            symbol: "*",
            epoch,
            from_seq: seq,
            to_seq: seq,
            reason: GapReason::Upstream.name(),
            venue_from: Some(Quoted(from)),
            venue_to: Some(Quoted(to)),
        };
        self.broadcast("gap", gap);
    }

    pub(super) fn heartbeat(&mut self, client: ClientId) {
        if !self.egress.is_open(client) {
            return;
        }
        if self.egress.is_overfull(client) {
            return self.close_slow(client);
        }
        let Some(session) = self.clients.get(client) else { return };
        let topics = &self.topics;
        let heads = session.subscriptions.iter().map(|one| {
            let topic = topics.get(one.topic).filter(|_| !one.due);
            (one.sub_id, topic.map(|topic| topic.head))
        });
        let frame = Heartbeat {
            channel: "heartbeat",
            r#type: "heartbeat",
            epoch: self.epoch,
            seq: self.market.replica.seq,
            server_time: Time { ns: self.wall_ns, rfc3339: session.rfc3339 },
            feed_age_ms: self.last_update_ns.map(|last_ns| self.now_ns.saturating_sub(last_ns) / 1_000_000),
            session_state: self.session_state(),
            joined_midway: self.market.joined_midway,
            subscriptions: Heads(heads),
        };
        let place = self.egress.frame(opcode::TEXT, |out| replies::write(out, &frame));
        self.egress.push(client, place);
    }

    fn session_state(&self) -> &'static str {
        if self.epoch == 0 && self.last_update_ns.is_none() {
            "waiting"
        } else if self.market.ended {
            "ended"
        } else if self.market.replica.stale {
            "stale"
        } else {
            "open"
        }
    }

    pub(super) fn warn_slow(&mut self, client: ClientId) {
        self.metrics.count_slow(Slow::Warn);
        let (_, queued_bytes_max) = self.egress.thresholds();
        let warning = SlowReader {
            code: "SLOW_READER",
            message: "you do not read fast enough: frames are skipped at the hard limit",
            queued_bytes: self.egress.queue(client).queued(),
            queued_bytes_max,
        };
        self.say(client, &System::new("warning", warning, self.time_for(client)));
    }

    /// The end of a client that its policy or the hard limit asks for.
    pub(super) fn close_slow(&mut self, client: ClientId) {
        self.metrics.count_slow(Slow::Disconnect);
        self.close(client, close::SLOW_READER, "slow reader");
    }

    /// Sends a close frame and nothing after it.
    pub(super) fn close(&mut self, client: ClientId, code: u16, reason: &str) {
        if !self.egress.is_open(client) {
            return;
        }
        if code == close::SLOW_READER {
            self.egress.drop_unbegun(client);
        }
        let mut payload = [0; frame::CONTROL_BYTES_MAX];
        let length = reason.len().min(payload.len() - 2);
        payload[..2].copy_from_slice(&code.to_be_bytes());
        payload[2..2 + length].copy_from_slice(&reason.as_bytes()[..length]);
        self.control(client, opcode::CLOSE, &payload[..2 + length]);
        self.egress.queue_mut(client).open = false;
        self.mark_closing(client);
    }

    pub(super) fn mark_closing(&mut self, client: ClientId) {
        let now_ns = self.now_ns;
        let session = self.clients.get_mut(client).filter(|session| session.state == ConnectionState::Open);
        if let Some(session) = session {
            session.state = ConnectionState::Closing;
            session.state_ns = now_ns;
            session.waiting.clear();
            self.clients.leaving.push(client);
        }
    }

    pub(super) fn say_goodbye(&mut self) {
        for client in self.clients.ids() {
            let Some(session) = self.clients.get(client) else { continue };
            if session.state != ConnectionState::Open {
                continue;
            }
            let spread = spread(self.now_ns ^ client.index() as u64);
            let reconnect_after_ms = spread % (self.config.reconnect_after_ms_max + 1);
            let body = ServerShutdown { reconnect_after_ms, message: "the server restarts" };
            self.say(client, &System::new("server_shutdown", body, self.time_for(client)));
            self.close(client, close::RESTART, "restart");
        }
    }
}

/// SplitMix64: neighbours get numbers far apart, so that clients do not come back all at once.
fn spread(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
