//! The two loops of the measurement, for any server: as much as it takes, and messages at planned times.
//!
//! Knows neither what a message is nor whose server it is.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use hdrhistogram::Histogram;

use crate::load::now_ns;
use crate::load::sender::plan;
use crate::load::turns::Silence;
use crate::load::verify::Proof;

/// Messages offered at once, so that a server finds something to batch.
const OFFERED_AT_ONCE: usize = 64;
/// Before the first planned message.
const LEAD_NS: u64 = 20_000_000;

/// What a loop has to know of the messages to come.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// About how many.
    pub messages: usize,
    /// Number of the first one that is timed, from 0; `None` = none is.
    pub timed_from: Option<usize>,
}

/// A server, its clients, and the way messages get in.
pub trait SystemUnderTest {
    /// Lets this thread, and a server of ours, sleep for so long.
    fn rest(&self, duration: Duration);
    /// Messages that may be under way in the closed loop.
    fn window(&self) -> usize;
    /// Counting and timing begin anew.
    fn begin(&mut self, load: Load);
    /// Makes the next message, due at `planned_ns`, and takes it to the server's door.
    ///
    /// # Errors
    /// The server refuses it.
    fn give(&mut self, planned_ns: u64, now_ns: u64) -> Result<()>;
    /// Lets the server have what was given.
    ///
    /// # Errors
    /// The server is gone.
    fn publish(&mut self) -> Result<()>;
    /// Reads what the clients have; returns the messages among it.
    ///
    /// # Errors
    /// A client was closed, or got something that is wrong.
    fn turn(&mut self, wait: Duration) -> Result<u64>;
    /// Messages given since `begin` that the slowest client has got.
    fn slowest(&mut self) -> u64;
    /// Messages and bytes that all clients have got so far.
    fn received(&self) -> (u64, u64);
    /// Latencies since `begin`: from the planned and from the real time, ns.
    fn latencies(&mut self) -> (Histogram<u64>, Histogram<u64>);
    /// Ends it and proves what can be proved.
    ///
    /// # Errors
    /// An answer is wrong.
    fn finish(self: Box<Self>) -> Result<Proof>;
}

/// How long a run is.
#[derive(Clone, Copy, Debug)]
pub struct Length {
    /// Warm-up, ms.
    pub warm_up_ms: u64,
    /// Measured, ms.
    pub measured_ms: u64,
}

/// What all clients got in a measured time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Throughput {
    /// Messages per second.
    pub frames_per_s: f64,
    /// Bytes per second, frame heads included.
    pub bytes_per_s: f64,
}

/// What all clients got since `from`.
fn since(from: (Instant, (u64, u64)), now: (u64, u64)) -> Throughput {
    let seconds = from.0.elapsed().as_secs_f64();
    let per_s = |now: u64, then: u64| (now - then) as f64 / seconds;
    Throughput { frames_per_s: per_s(now.0, from.1.0), bytes_per_s: per_s(now.1, from.1.1) }
}

/// As many messages as the slowest client takes.
///
/// # Errors
/// Nothing came for too long, or the server failed.
pub fn closed_loop(system: &mut dyn SystemUnderTest, length: Length) -> Result<Throughput> {
    let warm_up = Duration::from_millis(length.warm_up_ms);
    let all = warm_up + Duration::from_millis(length.measured_ms.max(1));
    system.begin(Load { messages: 0, timed_from: None });
    let (mut offered, mut last_ns) = (0_usize, now_ns());
    let mut from = None;
    let mut silence = Silence::default();
    let begin = Instant::now();
    while begin.elapsed() < all {
        let room = system.window() - (offered - system.slowest() as usize);
        if room >= OFFERED_AT_ONCE.min(system.window()) {
            for _ in 0..room {
                last_ns = now_ns().max(last_ns + 1);
                system.give(last_ns, last_ns)?;
                offered += 1;
            }
        }
        system.publish()?;
        silence.check(system.turn(Duration::ZERO)? > 0, "messages")?;
        if from.is_none() && begin.elapsed() >= warm_up {
            from = Some((Instant::now(), system.received()));
        }
    }
    let found = since(from.context("no time was left after the warm-up")?, system.received());
    drain(system, offered as u64)?;
    Ok(found)
}

/// Messages at planned times. The rate of delivery counts from the end of the warm-up to the last message.
///
/// # Errors
/// Nothing came for too long, or the server failed.
pub fn open_loop(system: &mut dyn SystemUnderTest, rate: u64, length: Length) -> Result<Throughput> {
    let of = |ms: u64| (rate * ms / 1_000) as usize;
    let (warm_up, measured) = (of(length.warm_up_ms), of(length.measured_ms).max(1));
    let planned_ns = plan(now_ns() + LEAD_NS, rate, warm_up + measured);
    system.begin(Load { messages: planned_ns.len(), timed_from: Some(warm_up) });
    let mut given = 0;
    let mut from = None;
    let mut silence = Silence::default();
    while system.slowest() < planned_ns.len() as u64 {
        let now = now_ns();
        while given < planned_ns.len() && planned_ns[given] <= now {
            if given == warm_up {
                from = Some((Instant::now(), system.received()));
            }
            system.give(planned_ns[given], now)?;
            given += 1;
        }
        system.publish()?;
        let frames = system.turn(Duration::ZERO)?;
        silence.check(frames > 0 || given < planned_ns.len(), "the last messages")?;
    }
    Ok(since(from.context("no message was measured")?, system.received()))
}

/// Takes what is still under way.
///
/// # Errors
/// It does not come.
pub fn drain(system: &mut dyn SystemUnderTest, offered: u64) -> Result<()> {
    let mut silence = Silence::default();
    while system.slowest() < offered {
        system.publish()?;
        silence.check(system.turn(Duration::from_millis(1))? > 0, "the last messages")?;
    }
    Ok(())
}
