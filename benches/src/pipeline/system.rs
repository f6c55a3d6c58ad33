//! One run: a server with its sender and its clients, opened, subscribed, sent to at planned times and followed.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use book::Nanos;

use super::{PAUSE, PipelineOptions, Run};
use crate::disturbance::{Disturbance, Watch};
use crate::load::client::{Clients, Target};
use crate::load::follow::Follow;
use crate::load::sender::{Sender, Times, plan};
use crate::load::stream::{Choice, Message, Stream};
use crate::load::turns::{Silence, on_frame, wait_for};
use crate::load::verify::{Proof, Transcript, verify};
use crate::load::{SUBSCRIBE_BOOKS, now_ns};
use crate::server::{RunningServer, ServerOptions, pin};

/// Messages of one packet of the opening.
const OPENING_BURST: usize = 200;
/// Before the first planned message, so that the loop is warm when it is due.
const LEAD_NS: u64 = 20_000_000;

/// The server that the options ask for.
pub(super) fn server_options(options: &PipelineOptions) -> ServerOptions {
    ServerOptions {
        layout: options.layout,
        wait: options.wait,
        cores: options.server_cores.clone(),
        symbols: options.symbols,
        clients: options.clients,
    }
}

/// How a run ended.
pub(super) enum Ran {
    Whole(Box<Run>),
    /// Messages were lost on the way in, which the server told; and what took its cores.
    Lost(String, Disturbance),
}

/// A server with its sender and its clients, opened and subscribed.
pub(super) struct PipelineSystem {
    server: RunningServer,
    sender: Sender,
    clients: Clients,
    follow: Follow,
    stream: Stream,
    transcript: Transcript,
}

impl PipelineSystem {
    /// Opens the books, connects the clients and waits for their snapshots.
    ///
    /// # Errors
    /// A socket fails, or something that must come does not.
    pub(super) fn start(server: RunningServer, options: &PipelineOptions) -> Result<Self> {
        pin(options.client_core);
        let mut stream = Stream::new(options.symbols, Choice::Random, options.seed);
        let line = server.line.context("a server without a line")?;
        let mut sender = Sender::open(line).context("opening the sender's socket")?;
        open_books(&server, &mut sender, &mut stream)?;
        let target = Target::parse(&format!("ws://{}/ws/v2", server.address), false)?;
        let clients = Clients::connect(&target, options.clients)?;
        let follow = Follow::new(options.clients, options.symbols);
        let mut system = Self { server, sender, clients, follow, stream, transcript: Transcript::default() };
        system.subscribe(options)?;
        Ok(system)
    }

    /// Every client asks for all books and gets their snapshots.
    fn subscribe(&mut self, options: &PipelineOptions) -> Result<()> {
        let Self { clients, follow, transcript, .. } = self;
        let times = Times::default();
        for client in 0..options.clients {
            clients.send(client, SUBSCRIBE_BOOKS)?;
        }
        let mut turns = Silence::default();
        while follow.snapshots.iter().any(|&snapshots| snapshots < options.symbols) {
            let frames = clients.turn(Duration::from_millis(1), now_ns, &mut |arrived| {
                on_frame(arrived, follow, &times, transcript);
            })?;
            turns.check(frames > 0, "the snapshots of the subscriptions")?;
        }
        Ok(())
    }

    /// One run at a rate: warm-up, then the measured part.
    ///
    /// # Errors
    /// A socket fails, or a chain of frames broke.
    pub(super) fn run(&mut self, rate: u64, options: &PipelineOptions) -> Result<Ran> {
        let of = |ms: u64| (rate * ms / 1_000) as usize;
        let (warm_up, measured) = (of(options.warm_up_ms), of(options.measured_ms).max(1));
        let mut messages: Vec<Message> = (0..warm_up + measured).map(|_| self.stream.next_message()).collect();
        self.follow.begin(messages.iter().map(|message| usize::from(message.symbol)));
        self.follow.measured_from = warm_up;
        let mut transcript = std::mem::take(&mut self.transcript);
        transcript.reserve(messages.len());
        self.server.rest(PAUSE);
        let watch = Watch::begin(&options.cores());
        let (frames_before, gaps_before) = (self.follow.updates, self.follow.gaps);
        let start_ns = now_ns() + LEAD_NS;
        let mut times =
            Times { planned_ns: plan(start_ns, rate, messages.len()), sent_ns: Vec::with_capacity(messages.len()) };
        let end_ns = if options.sender_apart {
            self.send_apart(&mut messages, &mut times, &mut transcript)?
        } else {
            self.send_and_receive(&mut messages, &mut times, &mut transcript)?
        };
        let disturbance = watch.end();
        self.transcript = transcript;
        if let Some(why) = self.lost(messages.len(), gaps_before)? {
            return Ok(Ran::Lost(why, disturbance));
        }
        let first_ns = times.planned_ns[warm_up];
        let plan_ns = measured as u64 * 1_000_000_000 / rate;
        let took_ns = (end_ns - first_ns).max(plan_ns);
        Ok(Ran::Whole(Box::new(Run {
            latencies: std::mem::take(&mut self.follow.latencies),
            achieved_per_s: measured as f64 * 1e9 / took_ns as f64,
            messages: messages.len(),
            frames: self.follow.updates - frames_before,
            stages: self.server.stages(),
            disturbance,
        })))
    }

    /// Why messages were lost on the way in, if any were: `gaps_before` had been told before the run.
    ///
    /// # Errors
    /// A chain of frames broke.
    fn lost(&mut self, messages: usize, gaps_before: u64) -> Result<Option<String>> {
        let follow = &mut self.follow;
        if follow.gaps > gaps_before {
            return Ok(Some(format!("gaps told by the server: {}, the first: {}", follow.gaps, follow.first_gap)));
        }
        ensure!(follow.broken == 0, "{} frames did not go on from the one before", follow.broken);
        let missing = (messages as u64).saturating_sub(follow.slowest());
        Ok((missing > 0).then(|| format!("{missing} of {messages} messages never came")))
    }

    /// Sends from a thread of its own.
    fn send_apart(
        &mut self,
        messages: &mut [Message],
        times: &mut Times,
        transcript: &mut Transcript,
    ) -> Result<Nanos> {
        let Self { sender, clients, follow, .. } = self;
        // The sender's stamps are its own: what clients count from is the plan.
        let planned = times.clone();
        std::thread::scope(|scope| {
            let sending = scope.spawn(|| send_all(sender, messages, planned));
            let end_ns = receive_all(clients, follow, times, transcript)?;
            times.sent_ns = match sending.join() {
                Ok(sent) => sent?,
                Err(_) => bail!("the sending thread panicked"),
            };
            Ok(end_ns)
        })
    }

    /// Both in this thread: a packet of what is due, then a look at every socket.
    fn send_and_receive(
        &mut self,
        messages: &mut [Message],
        times: &mut Times,
        transcript: &mut Transcript,
    ) -> Result<Nanos> {
        let all = messages.len();
        let (sender, clients, follow) = (&mut self.sender, &mut self.clients, &mut self.follow);
        let mut silence = Silence::default();
        let mut sent = 0;
        // What a gap tells of will not come.
        let gaps = follow.gaps;
        while follow.slowest() < all as u64 && follow.gaps == gaps {
            let now = now_ns();
            if sent < all {
                sent += sender.send_due(messages, times, now)?;
            }
            let frames = clients.turn(Duration::ZERO, now_ns, &mut |arrived| {
                on_frame(arrived, follow, times, transcript);
            })?;
            if silence.is_over(frames > 0 || sent < all) {
                break;
            }
        }
        Ok(now_ns())
    }

    /// Proves what the first client got.
    pub(super) fn finish(self) -> Result<Proof> {
        let Self { server, clients, transcript, stream, .. } = self;
        drop(clients);
        server.stop()?;
        verify(&transcript, &stream)
    }
}

/// Sends the opening of every book, in bursts that the server has read before the next.
fn open_books(server: &RunningServer, sender: &mut Sender, stream: &mut Stream) -> Result<()> {
    let feed = server.feed.clone().context("a server without a feed")?;
    let mut opening = stream.opening();
    let mut sent = 0;
    for burst in opening.chunks_mut(OPENING_BURST) {
        for message in burst.iter_mut() {
            while !sender.push(message, now_ns())? {
                sender.flush()?;
            }
        }
        sender.flush()?;
        sent += burst.len() as u64;
        wait_for("the server to read the opening", || feed.decoded() >= sent)?;
    }
    Ok(())
}

/// From another thread than the clients': sends everything at its time and gives the real times.
fn send_all(sender: &mut Sender, messages: &mut [Message], mut times: Times) -> Result<Vec<Nanos>> {
    while times.sent_ns.len() < messages.len() {
        if sender.send_due(messages, &mut times, now_ns())? == 0 {
            std::hint::spin_loop();
        }
    }
    Ok(times.sent_ns)
}

fn receive_all(
    clients: &mut Clients,
    follow: &mut Follow,
    times: &Times,
    transcript: &mut Transcript,
) -> Result<Nanos> {
    let all = times.planned_ns.len() as u64;
    let last_ns = times.planned_ns.last().copied().unwrap_or(0);
    let mut silence = Silence::default();
    let gaps = follow.gaps;
    while follow.slowest() < all && follow.gaps == gaps {
        let now = now_ns();
        let frames =
            clients.turn(Duration::ZERO, now_ns, &mut |arrived| on_frame(arrived, follow, times, transcript))?;
        if silence.is_over(frames > 0 || now < last_ns) {
            break;
        }
    }
    Ok(now_ns())
}
