//! One client's bytes whatever the protocol: frames stand once in shared bytes, clients hold places in them, and all that
//! waits for a client goes out in one write.
//!
//! Knows no frames, channels or requests. Never blocks; what a socket does not take waits in its queue, and the limits of
//! `slow_reader` say when that is too much.

#![cfg_attr(not(test), deny(clippy::disallowed_types, clippy::disallowed_methods, clippy::disallowed_macros))]

pub mod send_queue;
pub mod slow_reader;
pub mod write_schedule;

use std::ops::Range;

use book::Nanos;
use mio::net::TcpStream;

use crate::encode::server_frame;
use crate::ids::ClientId;
use send_queue::{SendQueue, Written};
use slow_reader::Limits;
use write_schedule::WriteSchedule;

/// Shared bytes after which everybody is written to before anything is added: keeps them in the cache, and bounds by how
/// much a queue can pass its limit.
pub const SHARED_BYTES: usize = 256 * 1024;

/// The ways out to all clients of a thread.
#[derive(Debug)]
pub struct Egress {
    /// By [`ClientId`]; apart from all else that is known of a client, because every frame touches it.
    queues: Vec<SendQueue>,
    /// Clients to write to.
    schedule: WriteSchedule,
    /// The bytes of all frames since everybody was last written to; places in it are handed to queues.
    pub shared: Vec<u8>,
    /// How often `shared` was emptied.
    turn: u64,
    queued_bytes: usize,
    /// All queues together were too long and are not short again.
    over_budget: bool,
    limits: Limits,
    pieces: Vec<u8>,
}

impl Egress {
    /// Without clients; `clients` are expected.
    #[must_use]
    pub fn new(limits: Limits, clients: usize) -> Self {
        Self {
            queues: Vec::new(),
            schedule: WriteSchedule::new(clients.min(65_536)),
            shared: Vec::with_capacity(4 * SHARED_BYTES),
            turn: 0,
            queued_bytes: 0,
            over_budget: false,
            limits,
            pieces: Vec::with_capacity(SHARED_BYTES),
        }
    }

    /// The queue of a client.
    #[inline]
    #[must_use]
    pub fn queue(&self, client: ClientId) -> &SendQueue {
        &self.queues[client.index()]
    }

    /// The same, to change it.
    #[inline]
    #[must_use]
    pub fn queue_mut(&mut self, client: ClientId) -> &mut SendQueue {
        &mut self.queues[client.index()]
    }

    /// Whether a client accepts frames.
    #[inline]
    #[must_use]
    pub fn is_open(&self, client: ClientId) -> bool {
        self.queues[client.index()].open
    }

    /// A place changes hands; whether it is among those to be written to stays as it is.
    pub fn renew(&mut self, client: ClientId, queue: SendQueue) {
        if self.queues.len() <= client.index() {
            self.queues.resize_with(client.index() + 1, SendQueue::default);
        }
        let place = &mut self.queues[client.index()];
        self.queued_bytes -= place.queued();
        let listed = place.listed;
        *place = queue;
        place.listed = listed;
    }

    /// Which emptying of the shared bytes is the last one: places are good while it stays the same.
    #[inline]
    #[must_use]
    pub fn turn(&self) -> u64 {
        self.turn
    }

    /// Bytes that clients have not taken yet, all together.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.queued_bytes
    }

    /// Unsent bytes of a client at which its policy acts, and at which nothing more is queued.
    #[inline]
    #[must_use]
    pub fn thresholds(&self) -> (usize, usize) {
        self.limits.thresholds(self.over_budget)
    }

    /// Whether nothing more may be queued for a client, whatever its policy.
    #[must_use]
    pub fn is_overfull(&self, client: ClientId) -> bool {
        self.queue(client).pending() >= self.limits.queue_bytes_max
    }

    /// Whether a client has taken so much that it may be warned again.
    #[must_use]
    pub fn has_recovered(&self, client: ClientId) -> bool {
        self.queue(client).queued() < self.limits.queue_bytes / 4
    }

    /// The sum of all queues changed. Over budget until it is halved, so that the limits do not come and go with every frame.
    pub fn on_queued(&mut self) {
        let total = self.limits.queue_bytes_total;
        self.over_budget = self.queued_bytes > if self.over_budget { total / 2 } else { total };
    }

    /// Writes a server's frame into the shared bytes and returns where it stands.
    pub fn frame(&mut self, opcode: u8, write: impl FnOnce(&mut Vec<u8>)) -> Range<usize> {
        let begin = server_frame::begin(&mut self.shared);
        write(&mut self.shared);
        server_frame::finish(&mut self.shared, begin, opcode)
    }

    /// Gives a place in the shared bytes to a client, which is written to soon.
    #[inline]
    pub fn push(&mut self, client: ClientId, place: Range<usize>) {
        let queue = &mut self.queues[client.index()];
        queue.push(place);
        if !queue.listed {
            queue.listed = true;
            self.schedule.push(client);
        }
    }

    /// Gives a place to every open client whose queue is shorter than the limit. Returns to how many, and whether there
    /// were longer ones.
    #[inline]
    pub fn push_to_all(&mut self, clients: impl Iterator<Item = ClientId>, place: &Range<usize>) -> (u64, bool) {
        let (limit, _) = self.thresholds();
        let (mut frames, mut slow) = (0, false);
        for client in clients {
            let queue = &mut self.queues[client.index()];
            if queue.queued() >= limit {
                slow = true;
                continue;
            }
            if queue.open {
                frames += 1;
                queue.push(place.clone());
                if !queue.listed {
                    queue.listed = true;
                    self.schedule.push(client);
                }
            }
        }
        (frames, slow)
    }

    /// Forgets what a client has not begun to get, so that a close frame comes soon.
    pub fn drop_unbegun(&mut self, client: ClientId) {
        let queue = &mut self.queues[client.index()];
        let before = queue.queued();
        queue.drop_unbegun();
        self.queued_bytes = self.queued_bytes + queue.queued() - before;
    }

    /// Nobody has anything to be written.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.schedule.is_empty()
    }

    /// Clients that have something to be written.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.schedule.len()
    }

    /// Clients to write to before the ring is looked at again.
    #[must_use]
    pub fn part(&self) -> usize {
        self.schedule.part()
    }

    /// A publication received at `received_ns` was given to all its clients.
    #[inline]
    pub fn stamp(&mut self, received_ns: Nanos) {
        self.schedule.stamp(received_ns);
    }

    /// Takes the oldest publication that is out to everybody.
    pub fn next_out(&mut self) -> Option<Nanos> {
        self.schedule.next_out()
    }

    /// One write to each of the next clients; those whose connection is broken are added to `broken`. Returns the bytes that
    /// sockets took.
    pub fn write(
        &mut self,
        sockets: &mut [Option<TcpStream>],
        clients_max: usize,
        now_ns: Nanos,
        broken: &mut Vec<ClientId>,
    ) -> usize {
        let mut bytes = 0;
        for _ in 0..clients_max {
            let Some(client) = self.schedule.next() else { break };
            bytes += self.write_to(client, sockets, now_ns, broken);
        }
        self.on_queued();
        bytes
    }

    /// Forgets the shared bytes if everybody has what is theirs.
    pub fn end_turn(&mut self) {
        if self.schedule.is_empty() {
            self.shared.clear();
            self.turn += 1;
        }
    }

    /// Returns the bytes that the client took.
    #[inline]
    fn write_to(
        &mut self,
        client: ClientId,
        sockets: &mut [Option<TcpStream>],
        now_ns: Nanos,
        broken: &mut Vec<ClientId>,
    ) -> usize {
        let queue = &mut self.queues[client.index()];
        queue.listed = false;
        let Some(socket) = sockets[client.index()].as_mut() else { return 0 };
        let before = queue.queued();
        let (written, sent) = queue.flush(socket, &self.shared, &mut self.pieces);
        self.queued_bytes = self.queued_bytes + queue.queued() - before;
        queue.sent_ns = now_ns;
        match written {
            Written::Broken => broken.push(client),
            Written::All => queue.shut_if_ending(socket),
            Written::Part => {}
        }
        sent
    }

    /// The socket takes bytes again: sends what was queued. Returns how it went and the bytes sent.
    pub fn resume(&mut self, client: ClientId, socket: &mut TcpStream) -> (Written, usize) {
        let queue = &mut self.queues[client.index()];
        let before = queue.queued();
        let (written, sent) = queue.resume(socket);
        self.queued_bytes = self.queued_bytes + queue.queued() - before;
        if written == Written::All {
            queue.shut_if_ending(socket);
        }
        self.on_queued();
        (written, sent)
    }
}
