//! Clients: their sockets, handshakes, frames, clocks and ends.
//!
//! Bad input ends in a counter and a close code; a client that goes away takes nothing with it.

use std::collections::{HashMap, VecDeque};
use std::io::{self, Read};
use std::net::SocketAddr;

use book::Nanos;
use mio::net::TcpStream;
use mio::{Interest, Token};

use super::{Core, FAREWELL_NS, FIRST_CLIENT, PINGS, READ_BYTES_MAX, SURPLUS_MAX};
use crate::frame::{self, Message, close, opcode};
use crate::handshake::{self, Asked};
use crate::json;
use crate::metrics::{Refused, Slow};
use crate::outlet::{Outlet, Written};
use crate::session::{Bucket, Session, Stage};
use crate::slow_path::HandedOver;
use crate::topic::Moment;

impl Core {
    pub(super) fn moment(&self) -> Moment {
        Moment { now_ns: self.now_ns, epoch: self.epoch }
    }

    pub(super) fn rfc3339(&self, at: usize) -> bool {
        self.sessions[at].as_ref().is_some_and(|session| session.rfc3339)
    }

    /// Puts a client among those to be written to.
    pub(super) fn list(&mut self, at: usize) {
        let outlet = &mut self.outlets[at];
        if !outlet.listed {
            outlet.listed = true;
            self.round.push(at as u32);
        }
    }

    /// A text frame for one client. At the hard limit the client is closed instead.
    pub(super) fn say(&mut self, at: usize, write: impl FnOnce(&mut Vec<u8>)) {
        if !self.outlets[at].open {
            return;
        }
        if self.outlets[at].pending() >= self.config.queue_bytes_max {
            self.metrics.count_slow(Slow::Disconnect);
            self.close(at, close::SLOW_READER, "slow reader");
            return;
        }
        let begin = frame::begin(&mut self.turn);
        write(&mut self.turn);
        let place = frame::finish(&mut self.turn, begin, opcode::TEXT);
        self.outlets[at].push(place);
        self.list(at);
    }

    pub(super) fn control(&mut self, at: usize, opcode: u8, payload: &[u8]) {
        if !self.outlets[at].open {
            return;
        }
        let begin = frame::begin(&mut self.turn);
        self.turn.extend_from_slice(payload);
        let place = frame::finish(&mut self.turn, begin, opcode);
        self.outlets[at].push(place);
        self.list(at);
    }

    /// A text frame for every client, encoded once per kind of timestamp.
    pub(super) fn broadcast(&mut self, write: impl Fn(&mut Vec<u8>, Nanos, bool)) {
        let now_ns = self.now_ns;
        let places = [false, true].map(|rfc3339| {
            let begin = frame::begin(&mut self.turn);
            write(&mut self.turn, now_ns, rfc3339);
            frame::finish(&mut self.turn, begin, opcode::TEXT)
        });
        for at in 0..self.sessions.len() {
            let Some(session) = self.sessions[at].as_ref() else { continue };
            if session.stage != Stage::Open || !self.outlets[at].open {
                continue;
            }
            let place = places[usize::from(session.rfc3339)].clone();
            if self.outlets[at].pending() >= self.config.queue_bytes_max {
                self.metrics.count_slow(Slow::Disconnect);
                self.close(at, close::SLOW_READER, "slow reader");
            } else {
                self.outlets[at].push(place);
                self.list(at);
            }
        }
    }

    pub(super) fn say_gap(&mut self, at: usize, place: u32, epoch: u64, from: u64, to: u64, reason: &str) {
        let Some(session) = self.sessions[at].as_ref() else { return };
        let Some(one) = session.subscription(place) else { return };
        let (sub_id, channel, rfc3339) = (one.sub_id, one.channel, session.rfc3339);
        let ticker = self.market.books[one.book as usize].ticker.clone();
        let now_ns = self.now_ns;
        self.say(at, |out| {
            json::raw(out, "{\"channel\":\"system\",\"type\":\"gap\",\"sub_id\":");
            json::integer(out, sub_id);
            json::raw(out, ",\"channel_of\":\"");
            json::raw(out, channel.name());
            json::raw(out, "\",\"symbol\":");
            json::text(out, &ticker);
            json::raw(out, ",\"epoch\":");
            json::integer(out, epoch);
            json::raw(out, ",\"from_seq\":");
            json::integer(out, from);
            json::raw(out, ",\"to_seq\":");
            json::integer(out, to);
            json::raw(out, ",\"reason\":\"");
            json::raw(out, reason);
            json::raw(out, "\",\"ts_out\":");
            json::time(out, now_ns, rfc3339);
            out.push(b'}');
        });
    }

    pub(super) fn heartbeat(&mut self, at: usize) {
        let Some(session) = self.sessions[at].take() else { return };
        let (epoch, seq) = (self.epoch, self.market.replica.seq);
        let age_ms = self.fed_ns.map(|fed_ns| self.now_ns.saturating_sub(fed_ns) / 1_000_000);
        let state = if self.epoch == 0 && self.fed_ns.is_none() {
            "waiting"
        } else if self.market.ended {
            "ended"
        } else if self.market.replica.stale {
            "stale"
        } else {
            "open"
        };
        let now_ns = self.now_ns;
        let topics = std::mem::take(&mut self.topics);
        self.say(at, |out| {
            json::raw(out, "{\"channel\":\"heartbeat\",\"type\":\"heartbeat\",\"epoch\":");
            json::integer(out, epoch);
            json::raw(out, ",\"seq\":");
            json::integer(out, seq);
            json::raw(out, ",\"server_time\":");
            json::time(out, now_ns, session.rfc3339);
            json::raw(out, ",\"feed_age_ms\":");
            match age_ms {
                Some(age_ms) => json::integer(out, age_ms),
                None => json::raw(out, "null"),
            }
            json::raw(out, ",\"session_state\":\"");
            json::raw(out, state);
            json::raw(out, "\",\"subscriptions\":{");
            for (n, one) in session.subscriptions.iter().flatten().enumerate() {
                json::raw(out, if n > 0 { ",\"" } else { "\"" });
                json::integer(out, one.sub_id);
                json::raw(out, "\":");
                match topics[one.topic as usize].as_ref().filter(|_| !one.due) {
                    Some(topic) => json::integer(out, topic.head),
                    None => json::raw(out, "null"),
                }
            }
            json::raw(out, "}}");
        });
        self.topics = topics;
        // OK because `say` may have closed the outlet but looks the session up only to mark it
        self.sessions[at] = Some(session);
        if !self.outlets[at].open {
            self.mark_closing(at);
        }
    }

    /// Sends a close frame and nothing after it.
    pub(super) fn close(&mut self, at: usize, code: u16, reason: &str) {
        if !self.outlets[at].open {
            return;
        }
        if code == close::SLOW_READER {
            let before = self.outlets[at].queued();
            self.outlets[at].drop_unbegun();
            self.queued_bytes = self.queued_bytes + self.outlets[at].queued() - before;
        }
        let mut payload = [0; frame::CONTROL_BYTES_MAX];
        let length = reason.len().min(payload.len() - 2);
        payload[..2].copy_from_slice(&code.to_be_bytes());
        payload[2..2 + length].copy_from_slice(&reason.as_bytes()[..length]);
        self.control(at, opcode::CLOSE, &payload[..2 + length]);
        self.outlets[at].open = false;
        self.mark_closing(at);
    }

    pub(super) fn mark_closing(&mut self, at: usize) {
        let now_ns = self.now_ns;
        if let Some(session) = self.sessions[at].as_mut().filter(|session| session.stage == Stage::Open) {
            session.stage = Stage::Closing;
            session.stage_ns = now_ns;
            session.waiting.clear();
            self.leaving.push(at as u32);
        }
    }

    /// One write to each of the next clients of the round; what comes meanwhile joins the round.
    pub(super) fn send_part(&mut self) {
        self.send(self.round.part());
    }

    /// The same to all of them: the place in the shared bytes is needed, or they must be out.
    pub(super) fn send_all(&mut self) {
        self.send(usize::MAX);
    }

    fn send(&mut self, clients_max: usize) {
        if !self.round.is_empty() {
            self.write_round(clients_max);
        }
        if self.round.is_empty() {
            self.turn.clear();
            self.turn_number += 1;
        }
    }

    fn write_round(&mut self, clients_max: usize) {
        let begin_ns = (self.clock)();
        let mut bytes = 0;
        for _ in 0..clients_max {
            let Some(at) = self.round.next() else { break };
            bytes += self.write_to(at as usize);
        }
        let end_ns = (self.clock)();
        self.metrics.write.record(end_ns.saturating_sub(begin_ns));
        while let Some(received_ns) = self.round.next_out() {
            self.metrics.tick_to_wire.record(end_ns.saturating_sub(received_ns));
        }
        self.metrics.sent_bytes.add(bytes as u64);
        self.on_queued();
    }

    /// Returns the bytes that the client took.
    #[inline]
    fn write_to(&mut self, at: usize) -> usize {
        let outlet = &mut self.outlets[at];
        outlet.listed = false;
        let Some(socket) = self.sockets[at].as_mut() else { return 0 };
        let before = outlet.queued();
        let (written, sent) = outlet.flush(socket, &self.turn, &mut self.pieces);
        self.queued_bytes = self.queued_bytes + outlet.queued() - before;
        outlet.sent_ns = self.now_ns;
        match written {
            Written::Broken => self.doomed.push(at as u32),
            Written::All => self.shut_if_ending(at),
            Written::Part => {}
        }
        sent
    }

    /// The sum of all queues changed. Tight until it is halved, so that the limits do not come and go with every frame.
    fn on_queued(&mut self) {
        self.metrics.queue_bytes.set(self.queued_bytes as u64);
        let total = self.config.queue_bytes_total;
        self.tight = self.queued_bytes > if self.tight { total / 2 } else { total };
    }

    /// Everything is out: ends a connection that was to end then.
    #[inline]
    pub(super) fn shut_if_ending(&mut self, at: usize) {
        if !std::mem::take(&mut self.outlets[at].ends) {
            return;
        }
        if let Some(socket) = &self.sockets[at] {
            let _ = socket.shutdown(std::net::Shutdown::Write); // OK because the client may be gone
        }
    }

    /// Both sides said all: what is queued still goes out.
    fn end(&mut self, at: usize) {
        let now_ns = self.now_ns;
        let Some(session) = self.sessions[at].as_mut() else { return };
        self.outlets[at].ends |= session.stage != Stage::Ending;
        session.stage = Stage::Ending;
        session.stage_ns = now_ns;
    }

    pub(super) fn on_writable(&mut self, at: usize) {
        let Some(session) = self.sessions.get_mut(at).and_then(Option::as_mut) else { return };
        let outlet = &mut self.outlets[at];
        if !outlet.full {
            return;
        }
        let before = outlet.queued();
        let Some(socket) = self.sockets[at].as_mut() else { return };
        let (written, sent) = outlet.resume(socket);
        self.queued_bytes = self.queued_bytes + outlet.queued() - before;
        self.metrics.sent_bytes.add(sent as u64);
        if outlet.queued() < self.config.queue_bytes / 4 {
            session.warned = false;
        }
        self.on_queued();
        match written {
            Written::Broken => self.doomed.push(at as u32),
            Written::All => self.shut_if_ending(at),
            Written::Part => {}
        }
    }

    pub(super) fn on_accept(&mut self, mut socket: TcpStream, peer: SocketAddr) {
        if self.sockets_open >= self.config.connections_max + SURPLUS_MAX {
            self.metrics.count(Refused::Connections);
            return;
        }
        let at = self.free_sessions.pop().map_or(self.sessions.len(), |at| at as usize);
        let token = Token(at + FIRST_CLIENT);
        let registered = self.registry.register(&mut socket, token, Interest::READABLE | Interest::WRITABLE);
        if registered.and_then(|()| socket.set_nodelay(true)).is_err() {
            self.metrics.count(Refused::Accept);
            if at < self.sessions.len() {
                self.free_sessions.push(at as u32);
            }
            return;
        }
        let session = Box::new(Session {
            peer,
            stage: Stage::Head,
            is_websocket: false,
            surplus: self.sockets_open >= self.config.connections_max,
            input: Vec::new(),
            decoder: frame::Decoder::default(),
            rfc3339: false,
            subscriptions: Vec::new(),
            free: Vec::new(),
            by_key: HashMap::new(),
            by_id: HashMap::new(),
            wildcards: Vec::new(),
            due: VecDeque::new(),
            due_listed: false,
            last_sub_id: 0,
            waiting: VecDeque::new(),
            requests: Bucket::new(self.config.requests_per_second, self.config.requests_per_second),
            pings: Bucket::new(PINGS.0, PINGS.1),
            malformed: 0,
            warned: false,
            stage_ns: self.now_ns,
            received_ns: self.now_ns,
            pinged_ns: self.now_ns,
            beat: None,
            system_sub_id: None,
        });
        if at == self.sessions.len() {
            self.sessions.push(None);
            self.sockets.push(None);
            self.outlets.push(Outlet::default());
        }
        self.sessions[at] = Some(session);
        self.sockets[at] = Some(socket);
        self.renew_outlet(at, Outlet::open(self.now_ns));
        self.sockets_open += 1;
    }

    /// A place changes hands; whether it is in the round stays as it is.
    fn renew_outlet(&mut self, at: usize, outlet: Outlet) {
        let listed = self.outlets[at].listed;
        self.outlets[at] = outlet;
        self.outlets[at].listed = listed;
    }

    pub(super) fn on_readable(&mut self, at: usize) {
        let mut bytes = 0;
        loop {
            let Some(session) = self.sessions.get_mut(at).and_then(Option::as_mut) else { return };
            let Some(socket) = self.sockets[at].as_mut() else { return };
            let read = match socket.read(&mut self.input) {
                Ok(0) => {
                    self.doomed.push(at as u32);
                    return;
                }
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => {
                    self.doomed.push(at as u32);
                    return;
                }
            };
            session.received_ns = self.now_ns;
            if session.stage == Stage::Ending {
                continue; // what comes after both sides said all is not read, only taken off the socket
            }
            session.input.extend_from_slice(&self.input[..read]);
            if session.stage == Stage::Head {
                self.on_head(at);
            }
            self.on_frames(at);
            bytes += read;
            if bytes >= READ_BYTES_MAX {
                self.readable.push(at as u32);
                return;
            }
        }
    }

    pub(super) fn on_head(&mut self, at: usize) {
        let Some(session) = self.sessions[at].as_mut() else { return };
        let asked = handshake::read(&session.input, &self.config.path);
        match asked {
            Asked::Incomplete => return,
            Asked::Other => return self.hand_over(at),
            Asked::Upgrade { .. } | Asked::Refuse(..) => {}
        }
        let begin = self.turn.len();
        match asked {
            Asked::Incomplete | Asked::Other => {}
            Asked::Upgrade { head_bytes, accept, subprotocol, rfc3339 } => {
                session.input.drain(..head_bytes);
                session.rfc3339 = rfc3339;
                session.stage = Stage::Open;
                session.stage_ns = self.now_ns;
                session.is_websocket = true;
                handshake::write_upgrade(&mut self.turn, &accept, subprotocol);
                self.sessions_count += 1;
                self.metrics.connections.set(self.sessions_count as u64);
            }
            Asked::Refuse(status, reason) => {
                self.metrics.count(Refused::Handshake);
                handshake::write_refusal(&mut self.turn, status, &format!("{reason}\n"));
            }
        }
        let (is_websocket, surplus) = (session.is_websocket, session.surplus);
        self.outlets[at].push(begin..self.turn.len());
        self.list(at);
        if !is_websocket {
            self.end(at);
        } else if surplus {
            self.metrics.count(Refused::Connections);
            self.close(at, close::CONNECTION_LIMIT, "connection limit: try again later");
        }
    }

    /// Takes a connection out of the poll and gives it away with all that was read of it; one that nobody has room for is
    /// closed.
    #[cold]
    fn hand_over(&mut self, at: usize) {
        let Some(session) = self.sessions[at].as_mut() else { return };
        let Some(mut socket) = self.sockets[at].take() else { return };
        session.stage = Stage::Ending;
        self.outlets[at].open = false;
        self.doomed.push(at as u32);
        let (peer, read) = (session.peer, std::mem::take(&mut session.input));
        if self.registry.deregister(&mut socket).is_err() {
            return self.metrics.count(Refused::SlowPath); // dropped, which closes it
        }
        match self.slow_path.hand_over(HandedOver { stream: socket.into(), peer, read }) {
            Ok(()) => self.metrics.handed_over.add(1),
            Err(_) => self.metrics.count(Refused::SlowPath), // dropped, which closes it
        }
    }

    pub(super) fn on_frames(&mut self, at: usize) {
        enum Said {
            Text(String),
            Ping([u8; frame::CONTROL_BYTES_MAX], usize),
            Close(Option<u16>),
        }
        let Some(session) = self.sessions[at].as_mut() else { return };
        if !matches!(session.stage, Stage::Open | Stage::Closing) {
            return;
        }
        let mut input = std::mem::take(&mut session.input);
        let mut start = 0;
        let mut said = Vec::new();
        let violation = loop {
            match session.decoder.read(&mut input[start..]) {
                Ok((0, _)) => break None,
                Ok((used, message)) => {
                    start += used;
                    match message {
                        None | Some(Message::Pong) => {}
                        Some(Message::Text(text)) => said.push(Said::Text(text.to_owned())),
                        Some(Message::Ping(payload)) => {
                            let mut copy = [0; frame::CONTROL_BYTES_MAX];
                            copy[..payload.len()].copy_from_slice(payload);
                            said.push(Said::Ping(copy, payload.len()));
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
        input.drain(..start);
        if input.is_empty() && input.capacity() > 4_096 {
            input = Vec::new();
        }
        session.input = input;
        for said in said {
            match said {
                Said::Text(text) => self.on_text(at, text),
                Said::Ping(payload, length) => {
                    let now_ns = self.now_ns;
                    let granted = self.sessions[at].as_mut().is_some_and(|session| session.pings.take(now_ns));
                    if granted {
                        self.control(at, opcode::PONG, &payload[..length]);
                    } else {
                        self.metrics.count(Refused::Rate);
                        self.close(at, close::RATE, "too many pings");
                    }
                }
                Said::Close(code) => {
                    if self.outlets[at].open {
                        let echo = code.map(u16::to_be_bytes);
                        self.control(at, opcode::CLOSE, echo.as_ref().map_or(&[][..], |code| &code[..]));
                        self.outlets[at].open = false;
                    }
                    self.mark_closing(at);
                    self.end(at);
                    if self.outlets[at].pending() == 0 {
                        self.shut_if_ending(at);
                    }
                }
            }
        }
        if let Some(violation) = violation {
            self.metrics.count(Refused::Protocol);
            if self.outlets[at].open {
                self.close(at, violation.code, violation.reason);
            }
            self.end(at);
            // The bytes behind a violation mean nothing.
            if let Some(session) = self.sessions[at].as_mut() {
                session.input = Vec::new();
            }
        }
    }

    pub(super) fn on_text(&mut self, at: usize, text: String) {
        let now_ns = self.now_ns;
        let Some(session) = self.sessions[at].as_mut().filter(|session| session.stage == Stage::Open) else { return };
        if session.waiting.is_empty() && session.requests.take(now_ns) {
            self.on_request(at, &text, now_ns);
            return;
        }
        self.metrics.delayed.add(1);
        if session.waiting.len() >= self.config.requests_waiting_max {
            self.metrics.count(Refused::Rate);
            self.close(at, close::RATE, "too many requests");
            return;
        }
        if session.waiting.is_empty() {
            self.limited.push(at as u32);
        }
        session.waiting.push_back((now_ns, text));
    }

    pub(super) fn on_tick(&mut self) {
        self.tick_ns = self.now_ns;
        if std::mem::take(&mut self.accept_more_at_tick) {
            self.accept_more = true;
        }
        self.release_limited();
        self.look_at_order_interests();
        for at in 0..self.sessions.len() {
            self.on_tick_of(at);
        }
    }

    pub(super) fn on_tick_of(&mut self, at: usize) {
        let now_ns = self.now_ns;
        let Some(session) = self.sessions[at].as_mut() else { return };
        let of_stage_ns = now_ns.saturating_sub(session.stage_ns);
        match session.stage {
            Stage::Head if of_stage_ns >= self.config.handshake_ns => {
                self.metrics.count(Refused::Silent);
                self.doomed.push(at as u32);
            }
            Stage::Closing | Stage::Ending if of_stage_ns >= FAREWELL_NS => self.doomed.push(at as u32),
            Stage::Open => {
                let silence_ns = now_ns.saturating_sub(session.received_ns);
                if silence_ns >= self.config.silence_ns {
                    self.metrics.count(Refused::Silent);
                    return self.close(at, close::POLICY, "no answer to pings");
                }
                if silence_ns >= self.config.ping_ns && now_ns.saturating_sub(session.pinged_ns) >= self.config.ping_ns
                {
                    session.pinged_ns = now_ns;
                    self.control(at, opcode::PING, b"");
                }
                let Some(session) = self.sessions[at].as_mut() else { return };
                let beat = match session.beat.as_mut() {
                    Some(beat) if now_ns >= beat.next_ns => {
                        beat.next_ns = now_ns + u64::from(beat.interval_s) * 1_000_000_000;
                        true
                    }
                    Some(_) => false,
                    None => now_ns.saturating_sub(self.outlets[at].sent_ns) >= self.config.heartbeat_ns,
                };
                if beat {
                    self.heartbeat(at);
                    self.send_if_large();
                }
            }
            _ => {}
        }
    }

    /// Forgets who left.
    pub(super) fn settle(&mut self) {
        while let Some(at) = self.leaving.pop() {
            self.drop_subscriptions(at as usize);
        }
        while let Some(at) = self.doomed.pop() {
            let at = at as usize;
            if self.sessions[at].is_none() {
                continue; // twice in the list
            }
            self.drop_subscriptions(at);
            let Some(session) = self.sessions[at].take() else { continue };
            self.queued_bytes -= self.outlets[at].queued();
            self.sockets[at] = None;
            self.renew_outlet(at, Outlet::default());
            self.free_sessions.push(at as u32);
            self.sockets_open -= 1;
            if session.is_websocket {
                self.sessions_count -= 1;
                self.metrics.connections.set(self.sessions_count as u64);
            }
        }
        self.on_queued();
    }

    pub(super) fn drop_subscriptions(&mut self, at: usize) {
        self.forget_asked_once(at);
        let Some(session) = self.sessions[at].as_mut() else { return };
        self.wildcards_count -= session.wildcards.len();
        session.wildcards.clear();
        session.due.clear();
        session.beat = None;
        let count = session.subscriptions.len() as u32;
        for place in 0..count {
            self.remove_subscription(at, place);
        }
    }

    pub(super) fn say_goodbye(&mut self) {
        for at in 0..self.sessions.len() {
            let Some(session) = self.sessions[at].as_ref() else { continue };
            if session.stage != Stage::Open {
                continue;
            }
            let rfc3339 = session.rfc3339;
            let after_ms = spread(self.now_ns ^ at as u64) % (self.config.reconnect_after_ms_max + 1);
            let now_ns = self.now_ns;
            self.say(at, |out| {
                json::raw(out, "{\"channel\":\"system\",\"type\":\"server_shutdown\",\"reconnect_after_ms\":");
                json::integer(out, after_ms);
                json::raw(out, ",\"message\":\"the server restarts\",\"ts_out\":");
                json::time(out, now_ns, rfc3339);
                out.push(b'}');
            });
            self.close(at, close::RESTART, "restart");
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
