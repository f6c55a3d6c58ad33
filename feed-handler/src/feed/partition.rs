//! One live partition: its sockets, and the turns in which their packets go through the intake into the event ring.
//!
//! The live path never allocates, locks, blocks, formats or drops a slot after construction, and calls the system
//! only for its own sockets. A ring without room stops the reading; nothing is taken from a socket that has no place.

#![cfg_attr(not(test), deny(clippy::disallowed_types, clippy::disallowed_methods, clippy::disallowed_macros))]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use book::{Nanos, Now};

use super::event_writer::EventWriter;
use super::intake::Intake;
use super::live_options::LiveOptions;
use super::turn::{Finished, Turn};
use crate::decode::protocol::MessageDecoder;
use crate::net::udp::UdpSource;

/// Packets of one turn: at 1,400 bytes each about 60 µs of decoding, so that a stop request is seen soon.
const PACKETS_PER_TURN_MAX: usize = 64;
/// One turn in so many has its time recorded: reading the clock costs as much as decoding two messages.
const LATENCY_SAMPLE: u64 = 4;

/// One partition: its lines, and what it makes of them.
pub(super) struct Partition {
    udp: UdpSource,
    intake: Intake,
    stop_at_end: bool,
    clock: Option<fn() -> Nanos>,
    /// Turns with packets.
    turns: u64,
    /// When the last turn was.
    turn_ns: Nanos,
}

impl Partition {
    /// A partition whose messages come by `udp`. Takes the memory of its sequencer.
    pub fn new(udp: UdpSource, decoder: MessageDecoder, mut options: LiveOptions) -> Self {
        if !udp.can_request() {
            options.sequencer.recovery = None;
        }
        options.sequencer.compares_lines = udp.lines() > 1;
        Self {
            udp,
            intake: Intake::new(decoder, &options),
            stop_at_end: options.stop_at_end,
            clock: options.clock,
            turns: 0,
            turn_ns: 0,
        }
    }

    /// Most slots that one packet can make.
    pub fn slots_needed(&self) -> usize {
        self.intake.slots_needed()
    }

    /// Where the lines listen.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.udp.addresses()
    }

    /// Name of each line, in the order of their index.
    pub fn line_names(&self) -> Vec<&'static str> {
        self.udp.line_names()
    }

    /// The first session begins, and silence counts from now on.
    pub fn start(&mut self, now: Now, out: &mut EventWriter) {
        self.intake.start(now, out);
    }

    /// Blocks until something comes, at most `timeout`.
    pub fn wait(&mut self, timeout: Duration) {
        self.udp.wait(timeout);
    }

    /// How long nothing needs a turn; zero when something is there already.
    pub fn rest(&self) -> Duration {
        if !self.udp.is_drained() {
            return Duration::ZERO;
        }
        // A gap is asked for or given up on time even if nothing else comes.
        let deadline_ns = self.intake.sequencer().deadline_ns().unwrap_or(Nanos::MAX);
        Duration::from_nanos(deadline_ns.saturating_sub(self.turn_ns))
    }

    /// Has another poll told, under `token`, that a socket has something.
    #[cfg(unix)]
    pub fn watch(&self, registry: &mio::Registry, token: mio::Token) -> std::io::Result<()> {
        self.udp.watch(registry, token)
    }

    /// Ends a [`Partition::wait`] from another thread.
    pub fn waker(&self) -> Arc<mio::Waker> {
        self.udp.waker()
    }

    /// One turn: the packets that are there, up to a bound, through order and decoder into the ring.
    #[inline]
    pub fn turn(&mut self, now: Now, out: &mut EventWriter) -> (usize, Turn) {
        let mut packets = 0;
        let mut turn = Turn::Done;
        while packets < PACKETS_PER_TURN_MAX {
            // Room first, packet then: once taken from the socket it could not be put back.
            if !out.has_room(self.intake.slots_needed()) {
                turn = Turn::Full;
                break;
            }
            let Some(arrived) = self.udp.receive() else {
                if packets == 0 && self.intake.on_idle(now, out) {
                    self.after_call();
                    self.publish(out);
                }
                break;
            };
            packets += 1;
            self.intake.on_datagram(now, arrived.line, arrived.bytes, out);
            // The book thread has the packet while the next one is read; its notifier rings once for all of the turn.
            out.publish();
            self.after_call();
        }
        if packets > 0 {
            self.on_packets(now.wall_ns, out);
        }
        self.turn_ns = now.monotonic_ns;
        if self.intake.sequencer().is_ended() && self.stop_at_end {
            turn = Turn::Finished(Finished::EndOfSession);
        }
        (packets, turn)
    }

    /// Packets came: shows what was counted, and how long it took.
    #[inline]
    fn on_packets(&mut self, wall_ns: Nanos, out: &EventWriter) {
        self.publish(out);
        if let Some(clock) = self.clock.filter(|_| self.turns.is_multiple_of(LATENCY_SAMPLE)) {
            out.metrics.decode.record(clock().saturating_sub(wall_ns));
        }
        self.turns += 1;
    }

    /// Sends the requests that the sequencer made.
    #[inline]
    fn after_call(&mut self) {
        let Self { intake, udp, .. } = self;
        intake.take_requests(|datagram| {
            udp.request(datagram);
        });
    }

    /// Shows the totals of sequencer and sockets to the scrape.
    #[inline]
    fn publish(&self, out: &EventWriter) {
        self.intake.publish(out);
        out.metrics.source_refused.set(self.udp.source_refused());
        out.metrics.socket_errors.set(self.udp.errors());
    }
}
