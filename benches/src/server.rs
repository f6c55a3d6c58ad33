//! The program's own server as a measurement sees it: where it listens, what it counts, how it rests and ends.
//!
//! Never composes one: the program hands in its own start functions, with the parts and the run loops of `bist serve`.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use book::metrics::MetricSource;
use book::order_interest::OrderInterestSender;
use book::ring::{Consumer, Notifier};
use feed_handler::feed::FeedMetrics;

/// Which thread of the server does what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerLayout {
    /// Feed, book and fan-out in one loop of one thread.
    Single,
    /// A thread each.
    Split,
}

/// What an idle thread of the server does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerWait {
    /// Looks again at once.
    Spin,
    /// Sleeps until woken.
    Park,
}

/// How to run the server.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// Which thread does what.
    pub layout: ServerLayout,
    /// What an idle thread does.
    pub wait: ServerWait,
    /// Cores of its threads, in the order feed, book, fan-out; empty = not pinned.
    pub cores: Vec<usize>,
    /// Symbols that will come.
    pub symbols: usize,
    /// Clients that will come.
    pub clients: usize,
}

/// What a fan-out alone reads: the end of an update ring whose books are the measurement's.
pub struct FanOutInput {
    /// The ring.
    pub updates: Consumer,
    /// That of the ring's producer.
    pub notifier: Arc<Notifier>,
    /// Where the fan-out asks for the orders of a book.
    pub interest: OrderInterestSender,
}

/// The program's start functions. Each server has ports of its own on loopback, and ends when it is stopped or dropped.
#[derive(Clone, Copy)]
pub struct StartServer {
    /// Feed, books and fan-out.
    pub whole: fn(&ServerOptions) -> Result<RunningServer>,
    /// The fan-out alone; the measurement fills its ring.
    pub fan_out: fn(&ServerOptions, FanOutInput) -> Result<RunningServer>,
}

impl fmt::Debug for StartServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StartServer")
    }
}

/// What a measurement may ask of the server's threads. Dropping it ends them.
pub trait ServerControl: Send {
    /// Lets them and the calling thread sleep for so long: a thread at real-time priority that has been spinning would
    /// soon have to give up its core, and that would be in the middle of a run.
    fn rest(&self, duration: Duration);
    /// Ends them.
    ///
    /// # Errors
    /// One had failed, or did not end in time.
    fn stop(&mut self) -> Result<()>;
}

/// A server that runs.
pub struct RunningServer {
    /// Where WebSocket clients connect.
    pub address: SocketAddr,
    /// Where packets go; none for a fan-out alone.
    pub line: Option<SocketAddr>,
    /// Its feed's counters; none for a fan-out alone.
    pub feed: Option<Arc<FeedMetrics>>,
    /// Counters of all its parts, in the order of a tick's path.
    pub sources: Vec<Arc<dyn MetricSource>>,
    /// Its threads.
    pub control: Box<dyn ServerControl>,
}

impl RunningServer {
    /// A percentile of every stage so far, ns: name, median, 99th.
    #[must_use]
    pub fn stages(&self) -> Vec<(&'static str, u64, u64)> {
        let mut stages = Vec::new();
        for source in &self.sources {
            source.stages(&mut |stage, latency| {
                let median_and_99th = latency.quantile_ns(1, 2).zip(latency.quantile_ns(99, 100));
                stages.extend(median_and_99th.map(|(median, high)| (stage, median, high)));
            });
        }
        stages
    }

    /// Lets its threads and the calling one sleep for so long, see [`ServerControl::rest`].
    pub fn rest(&self, duration: Duration) {
        self.control.rest(duration);
    }

    /// Ends it.
    ///
    /// # Errors
    /// One of its threads had failed, or did not end in time: then no figure of it counts.
    pub fn stop(mut self) -> Result<()> {
        self.control.stop().context("stopping the measured server")
    }
}

/// Keeps the calling thread on a core, if one is named and the system lets us.
pub fn pin(core: Option<usize>) {
    if let Some(id) = core {
        core_affinity::set_for_current(core_affinity::CoreId { id });
    }
}
