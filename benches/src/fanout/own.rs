//! Our own fan-out stage as the system under test: fed from its ring by the book stage in the clients' thread.
//!
//! Symbols take turns, and no two messages under way are of one symbol: every message is a frame of its own for every
//! client.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use book::market::{Limits, Market};
use book::order_interest::order_interest;
use book::ring::{Notifier, Producer, ring};
use book::slot::{System, system};
use book::worker::{BookWorker, Detail};
use feed_handler::decode::bistech;
use feed_handler::decode::sink::Received;
use hdrhistogram::Histogram;

use super::loops::{Load, SystemUnderTest};
use super::{FanoutOptions, window};
use crate::load::client::{Clients, Target};
use crate::load::follow::Follow;
use crate::load::sender::Times;
use crate::load::stream::{Choice, Message, Stream};
use crate::load::turns::{Silence, on_frame};
use crate::load::verify::{Proof, Transcript, verify};
use crate::load::{SUBSCRIBE_BOOKS, now_ns};
use crate::server::{FanOutInput, RunningServer, ServerLayout, ServerOptions, StartServer, pin};

/// Slots of each ring.
const RING_SLOTS: usize = 65_536;
/// Clients that subscribe together, so that the snapshots of all do not fill every queue at once.
const GROUP: usize = 50;

/// Symbols of a measurement with so many clients: twice the window, so that none is under way twice.
pub const fn symbols(clients: usize) -> usize {
    2 * window(clients)
}

/// Encoded messages in, updates out: the book stage in the thread of whoever feeds it.
struct Books {
    events: Producer,
    worker: BookWorker,
    decoder: bistech::Decoder,
    second: u64,
}

impl Books {
    /// Empty books of so many symbols, and the reader's end of their update ring.
    fn new(symbols: usize) -> (Self, FanOutInput) {
        let (events, consumer) = ring("events", RING_SLOTS, Notifier::new());
        let limits = Limits { books_max: symbols + 1, orders_max: symbols * 200, ..Limits::default() };
        let mut worker = BookWorker::new(consumer, Market::new(limits));
        let notifier = Notifier::new();
        let (producer, updates) = ring("fan-out", RING_SLOTS, Arc::clone(&notifier));
        let (interest, receiver) = order_interest(symbols + 1, Notifier::new());
        worker.add_reader(producer, Detail::OnRequest(receiver), symbols + 1);
        let decoder = bistech::Decoder::new(symbols + 1, None);
        (Self { events, worker, decoder, second: 0 }, FanOutInput { updates, notifier, interest })
    }

    /// A new session, then the opening of every book.
    fn open(&mut self, stream: &mut Stream) -> Result<()> {
        let session = System::new(system::SESSION, now_ns(), now_ns(), 0, 0, now_ns() / 1_000_000_000);
        ensure!(self.events.push(session.into()).is_ok(), "an empty ring is full");
        for burst in stream.opening().chunks_mut(1_000) {
            for message in burst {
                self.give(message, now_ns())?;
            }
            self.publish();
        }
        Ok(())
    }

    fn give(&mut self, message: &mut Message, at_ns: u64) -> Result<()> {
        let (second, nanos) = (at_ns / 1_000_000_000, (at_ns % 1_000_000_000) as u32);
        let received = Received { received_ns: at_ns, ..Received::default() };
        let Self { events, decoder, .. } = self;
        let mut sink = |slot| {
            let _ = events.push(slot); // OK because the ring is emptied after every burst, and refusals are counted
        };
        if self.second != second {
            self.second = second;
            let [a, b, c, d] = (second as u32).to_be_bytes();
            decoder.decode(&[b'T', a, b, c, d], received, &mut sink)?;
        }
        decoder.decode(message.stamped(nanos), received, &mut sink)?;
        Ok(())
    }

    fn publish(&mut self) {
        self.events.commit();
        while self.worker.do_work(now_ns()) > 0 {}
    }
}

/// The fan-out with its clients.
pub struct OwnSystem {
    server: RunningServer,
    books: Books,
    clients: Clients,
    follow: Follow,
    stream: Stream,
    transcript: Transcript,
    times: Times,
    window: usize,
}

impl OwnSystem {
    /// Opens the books, connects the clients and waits for their snapshots.
    ///
    /// # Errors
    /// A socket fails, or something that must come does not.
    pub fn start(options: &FanoutOptions, start: StartServer, clients: usize) -> Result<Self> {
        pin(options.client_core);
        let symbols = symbols(clients);
        let (mut books, input) = Books::new(symbols);
        let server_options = ServerOptions {
            layout: ServerLayout::Split,
            wait: options.wait,
            cores: options.server_core.into_iter().collect(),
            symbols,
            clients,
        };
        let server = (start.fan_out)(&server_options, input)?;
        let mut stream = Stream::new(symbols, Choice::InTurn, 1);
        books.open(&mut stream)?;
        let target = Target::parse(&format!("ws://{}/ws/v2", server.address), false)?;
        let mut own = Self {
            server,
            books,
            clients: Clients::connect(&target, clients)?,
            follow: Follow::new(clients, symbols),
            stream,
            transcript: Transcript::default(),
            times: Times::default(),
            window: window(clients),
        };
        own.subscribe()?;
        Ok(own)
    }

    fn subscribe(&mut self) -> Result<()> {
        let (clients, symbols) = (self.clients.len(), self.stream.symbols());
        let mut silence = Silence::default();
        for first in (0..clients).step_by(GROUP) {
            let group = first..clients.min(first + GROUP);
            for client in group.clone() {
                self.clients.send(client, SUBSCRIBE_BOOKS)?;
            }
            while self.follow.snapshots[group.clone()].iter().any(|&snapshots| snapshots < symbols) {
                let frames = self.turn(Duration::from_millis(1))?;
                self.books.publish();
                silence.check(frames > 0, "the snapshots of the subscriptions")?;
            }
        }
        Ok(())
    }
}

impl SystemUnderTest for OwnSystem {
    fn rest(&self, duration: Duration) {
        self.server.rest(duration);
    }

    fn window(&self) -> usize {
        self.window
    }

    fn begin(&mut self, load: Load) {
        self.follow.begin(std::iter::empty());
        self.follow.untimed = load.timed_from.is_none();
        self.follow.measured_from = load.timed_from.unwrap_or(0);
        self.transcript.reserve(load.messages);
        self.times =
            Times { planned_ns: Vec::with_capacity(load.messages), sent_ns: Vec::with_capacity(load.messages) };
    }

    fn give(&mut self, planned_ns: u64, now_ns: u64) -> Result<()> {
        let mut message = self.stream.next_message();
        self.follow.add(usize::from(message.symbol));
        self.times.planned_ns.push(planned_ns);
        self.times.sent_ns.push(now_ns);
        self.books.give(&mut message, planned_ns)
    }

    fn publish(&mut self) -> Result<()> {
        self.books.publish();
        Ok(())
    }

    fn turn(&mut self, wait: Duration) -> Result<u64> {
        let (follow, times, transcript) = (&mut self.follow, &self.times, &mut self.transcript);
        let each = &mut |arrived: crate::load::client::Arrived<'_>| on_frame(arrived, follow, times, transcript);
        Ok(self.clients.turn(wait, now_ns, each)?)
    }

    fn slowest(&mut self) -> u64 {
        self.follow.slowest()
    }

    fn received(&self) -> (u64, u64) {
        (self.follow.updates, self.clients.bytes)
    }

    fn latencies(&mut self) -> (Histogram<u64>, Histogram<u64>) {
        let latencies = std::mem::take(&mut self.follow.latencies);
        (latencies.corrected, latencies.uncorrected)
    }

    fn finish(self: Box<Self>) -> Result<Proof> {
        let Self { server, clients, transcript, stream, follow, .. } = *self;
        drop(clients);
        server.stop()?;
        ensure!(follow.broken == 0, "{} frames did not go on from the one before", follow.broken);
        ensure!(follow.gaps == 0, "gaps told by the server: {}, the first: {}", follow.gaps, follow.first_gap);
        verify(&transcript, &stream)
    }
}
