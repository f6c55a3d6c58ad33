//! From sockets to what clients say: handshakes, frames, clocks and ends.
//!
//! Bad input ends in a counter and a close code; a client that goes away takes nothing with it. Answers nothing but the
//! handshake of the public socket: what asks for anything else is handed over.

use std::io::{self, Read};
use std::net::SocketAddr;

use mio::Interest;
use mio::net::TcpStream;

use crate::config::Config;
use crate::egress::send_queue::{SendQueue, Written};
use crate::ids::ClientId;
use crate::metrics::{DoorResult, Refused};
use crate::slow_path::HandedOver;
use crate::websocket::admit::STRANGER_BYTES_MAX;
use crate::websocket::door::Upgrade;
use crate::websocket::frame::{Violation, close, opcode};
use crate::websocket::handshake::{self, Asked, Failure, HEAD_BYTES_MAX};
use crate::websocket::session::{ConnectionState, Said, Session};
use crate::websocket::shard::{Shard, token_of};

/// A closing client has this long to answer, and to take what is queued.
const FAREWELL_NS: u64 = 2_000_000_000;

/// Connections above the limit that are still handed over, or a WebSocket closed with 4409.
const SURPLUS_MAX: usize = 128;

/// Delayed requests of a connection that was not admitted where that is required.
const STRANGER_REQUESTS_MAX: usize = 0;

/// Bytes read from a client per turn; the rest waits for the next one.
const READ_BYTES_MAX: usize = 256 * 1024;

impl Shard {
    pub(super) fn on_writable(&mut self, client: ClientId) {
        let Some((session, socket)) = self.clients.with_socket(client) else { return };
        if !self.egress.queue(client).full {
            return;
        }
        let (written, sent) = self.egress.resume(client, socket);
        if self.egress.has_recovered(client) {
            session.warned = false;
        }
        if written == Written::Broken {
            self.clients.to_close.push(client);
        }
        self.metrics.sent_bytes.add(sent as u64);
        self.metrics.queue_bytes.set(self.egress.queued_bytes() as u64);
    }

    pub(super) fn on_accept(&mut self, mut socket: TcpStream, peer: SocketAddr) {
        if self.clients.open() >= self.config.connections_max + SURPLUS_MAX {
            return self.metrics.count(Refused::Connections);
        }
        let token = token_of(self.clients.next_id());
        let registered = self.registry.register(&mut socket, token, Interest::READABLE | Interest::WRITABLE);
        if registered.and_then(|()| socket.set_nodelay(true)).is_err() {
            return self.metrics.count(Refused::Accept);
        }
        let surplus = self.clients.open() >= self.config.connections_max;
        let client = self.clients.add(Session::new(peer, surplus, &self.config, self.now_ns), socket);
        self.egress.renew(client, SendQueue::open(self.now_ns));
    }

    pub(super) fn on_readable(&mut self, client: ClientId) {
        let mut bytes = 0;
        loop {
            let Some((session, socket)) = self.clients.with_socket(client) else { return };
            let read = match socket.read(&mut self.input) {
                Ok(0) => return self.clients.to_close.push(client),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => return self.clients.to_close.push(client),
            };
            session.received_ns = self.now_ns;
            if session.state == ConnectionState::Ending {
                continue; // what comes after both sides said all is not read, only taken off the socket
            }
            session.input.extend_from_slice(&self.input[..read]);
            match session.state {
                ConnectionState::Head => self.on_head(client),
                ConnectionState::Asking if session.input.len() > HEAD_BYTES_MAX => {
                    // A client waits for the answer before it says more.
                    self.leave_door(client);
                    self.refuse_head(client, 400, "frames before the answer to the handshake");
                }
                _ => {}
            }
            self.on_frames(client);
            bytes += read;
            if bytes >= READ_BYTES_MAX {
                return self.clients.readable.push(client);
            }
        }
    }

    fn on_head(&mut self, client: ClientId) {
        let Some(session) = self.clients.get_mut(client) else { return };
        match handshake::read(&session.input, &self.config.path) {
            Asked::Incomplete => {}
            Asked::Other => self.hand_over(client),
            Asked::Refuse(status, reason) => self.refuse_head(client, status, &reason),
            Asked::Unauthenticated => {
                self.metrics.count_door(DoorResult::Refused);
                self.refuse_upgrade(client, &Failure::UNAUTHENTICATED);
            }
            Asked::Upgrade { head_bytes, accept, subprotocol, rfc3339, credential, forwarded_for, forwarder } => {
                session.input.drain(..head_bytes);
                session.rfc3339 = rfc3339;
                // Only the gateway of this process is believed where a connection comes from.
                let is_ours = self.config.forwarder.is_some() && forwarder == self.config.forwarder;
                session.origin = forwarded_for.filter(|_| is_ours).unwrap_or(session.origin);
                let is_public = !self.config.auth_required && self.doors.guard.is_none();
                let upgrade = Upgrade { accept, subprotocol };
                match credential.filter(|_| !session.surplus && !is_public) {
                    Some(credential) => self.ask_for_upgrade(client, upgrade, credential),
                    None => self.open(client, &upgrade),
                }
            }
        }
    }

    fn refuse_head(&mut self, client: ClientId, status: u16, reason: &str) {
        self.metrics.count(Refused::Handshake);
        let begin = self.egress.shared.len();
        handshake::write_refusal(&mut self.egress.shared, status, &format!("{reason}\n"));
        self.egress.push(client, begin..self.egress.shared.len());
        self.end(client);
    }

    /// The connection is a WebSocket.
    pub(super) fn write_upgrade(&mut self, client: ClientId, upgrade: &Upgrade) {
        let Some(session) = self.clients.get_mut(client) else { return };
        session.state = ConnectionState::Open;
        session.state_ns = self.now_ns;
        session.is_websocket = true;
        self.clients.websockets += 1;
        self.metrics.connections.set(self.clients.websockets as u64);
        let begin = self.egress.shared.len();
        handshake::write_upgrade(&mut self.egress.shared, &upgrade.accept, upgrade.subprotocol);
        self.egress.push(client, begin..self.egress.shared.len());
    }

    /// The same, and it is greeted.
    pub(super) fn open(&mut self, client: ClientId, upgrade: &Upgrade) {
        self.write_upgrade(client, upgrade);
        if self.clients.get(client).is_some_and(|session| session.surplus) {
            self.metrics.count(Refused::Connections);
            self.close(client, close::CONNECTION_LIMIT, "connection limit: try again later");
        } else {
            self.say_hello(client);
        }
    }

    /// Takes a connection out of the poll and gives it away with all that was read of it; one that nobody has room for is
    /// closed.
    #[cold]
    fn hand_over(&mut self, client: ClientId) {
        let Some(session) = self.clients.get_mut(client) else { return };
        session.state = ConnectionState::Ending;
        let (peer, read) = (session.peer, std::mem::take(&mut session.input));
        let Some(mut socket) = self.clients.sockets[client.index()].take() else { return };
        self.egress.queue_mut(client).open = false;
        self.clients.to_close.push(client);
        if self.registry.deregister(&mut socket).is_err() {
            return self.metrics.count(Refused::SlowPath); // dropped, which closes it
        }
        match self.slow_path.hand_over(HandedOver { stream: socket.into(), peer, read }) {
            Ok(()) => self.metrics.handed_over.add(1),
            Err(_) => self.metrics.count(Refused::SlowPath), // dropped, which closes it
        }
    }

    /// Both sides said all: what is queued still goes out.
    pub(super) fn end(&mut self, client: ClientId) {
        let now_ns = self.now_ns;
        let Some(session) = self.clients.get_mut(client) else { return };
        self.egress.queue_mut(client).ends |= session.state != ConnectionState::Ending;
        session.state = ConnectionState::Ending;
        session.state_ns = now_ns;
    }

    pub(super) fn on_frames(&mut self, client: ClientId) {
        let Some(session) = self.clients.get_mut(client) else { return };
        if !matches!(session.state, ConnectionState::Open | ConnectionState::Closing) {
            return;
        }
        let (said, mut violation) = session.read_frames();
        let held_bytes = session.input.len() + session.decoder.held_bytes();
        if violation.is_none() && held_bytes > STRANGER_BYTES_MAX && self.is_stranger(client) {
            violation = Some(Violation { code: close::TOO_BIG, reason: "message above 16 KiB before auth" });
        }
        for said in said {
            match said {
                Said::Text(text) => self.on_text(client, text),
                Said::Ping(payload) => self.on_ping(client, &payload),
                Said::Close(code) => self.on_close(client, code),
            }
        }
        if let Some(violation) = violation {
            self.metrics.count(Refused::Protocol);
            self.close(client, violation.code, violation.reason);
            self.end(client);
            // The bytes behind a violation mean nothing.
            if let Some(session) = self.clients.get_mut(client) {
                session.input = Vec::new();
            }
        }
    }

    fn on_ping(&mut self, client: ClientId, payload: &[u8]) {
        let now_ns = self.now_ns;
        if self.clients.get_mut(client).is_some_and(|session| session.pings.take(now_ns)) {
            self.control(client, opcode::PONG, payload);
        } else {
            self.metrics.count(Refused::Rate);
            self.close(client, close::RATE, "too many pings");
        }
    }

    fn on_close(&mut self, client: ClientId, code: Option<u16>) {
        if self.egress.is_open(client) {
            let echo = code.map(u16::to_be_bytes);
            self.control(client, opcode::CLOSE, echo.as_ref().map_or(&[][..], |code| &code[..]));
            self.egress.queue_mut(client).open = false;
        }
        self.mark_closing(client);
        self.end(client);
        let Some((_, socket)) = self.clients.with_socket(client) else { return };
        let queue = self.egress.queue_mut(client);
        if queue.pending() == 0 {
            queue.shut_if_ending(socket);
        }
    }

    fn on_text(&mut self, client: ClientId, text: String) {
        let (now_ns, wall_ns) = (self.now_ns, self.wall_ns);
        let waiting_max =
            if self.is_stranger(client) { STRANGER_REQUESTS_MAX } else { self.config.requests_waiting_max };
        let session = self.clients.get_mut(client).filter(|session| session.state == ConnectionState::Open);
        let Some(session) = session else { return };
        if session.waiting.is_empty() && session.requests.take(now_ns) {
            return self.on_request(client, &text, wall_ns);
        }
        self.metrics.delayed.add(1);
        if session.waiting.len() >= waiting_max {
            self.metrics.count(Refused::Rate);
            return self.close(client, close::RATE, "too many requests");
        }
        session.waiting.push_back((wall_ns, text));
        if session.waiting.len() == 1 {
            self.clients.limited.push(client);
        }
    }

    pub(super) fn on_tick(&mut self) {
        self.tick_ns = self.now_ns;
        if std::mem::take(&mut self.accept_more_at_tick) {
            self.accept_more = true;
        }
        self.release_limited();
        self.look_at_order_interests();
        for client in self.clients.ids() {
            self.on_tick_of(client);
        }
    }

    fn on_tick_of(&mut self, client: ClientId) {
        let Some(session) = self.clients.get(client) else { return };
        let (state, of_state_ns) = (session.state, self.now_ns.saturating_sub(session.state_ns));
        match state {
            ConnectionState::Head if of_state_ns >= self.config.handshake_ns => {
                self.metrics.count(Refused::Silent);
                self.clients.to_close.push(client);
            }
            ConnectionState::Closing | ConnectionState::Ending if of_state_ns >= FAREWELL_NS => {
                self.clients.to_close.push(client);
            }
            ConnectionState::Asking => self.give_up_late(client),
            ConnectionState::Open if self.on_tick_of_door(client) => self.on_tick_of_open(client),
            _ => {}
        }
    }

    fn on_tick_of_open(&mut self, client: ClientId) {
        let now_ns = self.now_ns;
        let Config { silence_ns, ping_ns, heartbeat_ns, .. } = self.config;
        let Some(session) = self.clients.get_mut(client) else { return };
        let silent_ns = now_ns.saturating_sub(session.received_ns);
        if silent_ns >= silence_ns {
            self.metrics.count(Refused::Silent);
            return self.close(client, close::POLICY, "no answer to pings");
        }
        let heartbeat = match session.heartbeat.as_mut() {
            Some(timer) if now_ns >= timer.next_ns => {
                timer.next_ns = now_ns + u64::from(timer.interval_s) * 1_000_000_000;
                true
            }
            Some(_) => false,
            None => now_ns.saturating_sub(self.egress.queue(client).sent_ns) >= heartbeat_ns,
        };
        if silent_ns >= ping_ns && now_ns.saturating_sub(session.pinged_ns) >= ping_ns {
            session.pinged_ns = now_ns;
            self.control(client, opcode::PING, b"");
        }
        if heartbeat {
            self.heartbeat(client);
            self.send_if_large();
        }
    }

    /// Forgets who left.
    pub(super) fn settle(&mut self) {
        while let Some(client) = self.clients.leaving.pop() {
            self.drop_subscriptions(client);
        }
        while let Some(client) = self.clients.to_close.pop() {
            self.drop_subscriptions(client);
            if self.clients.remove(client).is_some() {
                self.egress.renew(client, SendQueue::default());
            }
        }
        self.metrics.connections.set(self.clients.websockets as u64);
        self.egress.on_queued();
        self.metrics.queue_bytes.set(self.egress.queued_bytes() as u64);
    }

    fn drop_subscriptions(&mut self, client: ClientId) {
        self.forget_asked_once(client);
        self.leave_door(client);
        let Some(session) = self.clients.get_mut(client) else { return };
        session.heartbeat = None;
        let subscriptions = &mut session.subscriptions;
        subscriptions.due.clear();
        let ids = subscriptions.ids();
        let wildcards = std::mem::take(&mut subscriptions.wildcards).len();
        self.clients.wildcards -= wildcards;
        for id in ids {
            self.remove_subscription(client, id);
        }
    }
}
