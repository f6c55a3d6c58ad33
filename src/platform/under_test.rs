//! The server that `bist bench` measures: parts, threads and run loops of `bist serve`, on loopback ports of their own.
//!
//! Leaves out the view, REST and the simulated exchange, so that a figure is about the path of a tick. Holds no loop and
//! opens nothing by itself.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use anyhow::{Result, bail};
use benches::server::{
    FanOutInput, RunningServer, ServerControl, ServerLayout, ServerOptions, ServerWait, StartServer,
};
use book::metrics::MetricSource;

use super::hot_path::{HotPath, start_fan_out};
use super::ingest::{Ingest, Updates};
use super::shutdown::{Stops, stop_in_order};
use super::threads::{Event, IdlePolicy, ThreadPlan, Threads};
use super::{fan_out, source};
use crate::settings::{Layout, Pin, Settings, Wait};

/// What `bist bench pipeline` and `fanout` are handed.
pub const START_SERVER: StartServer = StartServer { whole: start_whole, fan_out: start_fan_out_alone };

/// Receive buffer asked for, bytes: the system may cut it.
const RECEIVE_BUFFER_BYTES: usize = 32 << 20;
/// Bytes that may wait for one client: a slow client ends a run by itself.
const QUEUE_BYTES_MAX: usize = 16 << 20;

/// The threads of a measured server.
struct Control {
    threads: Threads,
    stops: Stops,
    idle: IdlePolicy,
    events: Receiver<Event>,
    stopped: bool,
}

impl Control {
    fn new(plan: ThreadPlan) -> Self {
        let (sender, events) = mpsc::channel();
        let idle = IdlePolicy::new(plan.idle);
        Self { threads: Threads::new(plan, sender), stops: Stops::default(), idle, events, stopped: false }
    }
}

impl ServerControl for Control {
    fn rest(&self, duration: Duration) {
        self.idle.rest(duration);
    }

    fn stop(&mut self) -> Result<()> {
        self.stopped = true;
        if !stop_in_order(&mut self.threads, &self.stops) {
            bail!("a thread of the server panicked or did not end in time");
        }
        for event in self.events.try_iter() {
            if let Event::Ended { thread, failure: Some(failure) } = event {
                bail!("{thread}: {failure}");
            }
        }
        Ok(())
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        if !self.stopped {
            stop_in_order(&mut self.threads, &self.stops);
        }
    }
}

fn start_whole(options: &ServerOptions) -> Result<RunningServer> {
    let settings = settings_of(options);
    let mut control = Control::new(ThreadPlan::new(&settings.threads)?);
    let mut line = None;
    let mut ingest = Ingest::open(&settings, control.threads.plan(), |settings, producer| {
        let (source, address) = source::open_own_line(settings, producer)?;
        line = Some(address);
        Ok(source)
    })?;
    let notifier = control.threads.plan().notifier();
    let (updates, interest) = ingest.add_reader_of_orders("fan-out", notifier);
    let fan_out = fan_out::open(&settings, updates, interest, Arc::new(()))?;
    let address = fan_out.local_addr();
    let feed_metrics = ingest.feed.metrics();
    let sources: Vec<Arc<dyn MetricSource>> =
        vec![Arc::clone(&feed_metrics) as _, ingest.book.metrics(), fan_out.metrics()];
    let Ingest { feed, book, book_notifier, .. } = ingest;
    let hot_path = HotPath { feed, book, book_notifier, fan_out, update_slots: settings.rings.update_slots };
    hot_path.start(&mut control.threads, &control.stops, &control.idle, None)?;
    Ok(RunningServer { address, line, feed: Some(feed_metrics), sources, control: Box::new(control) })
}

fn start_fan_out_alone(options: &ServerOptions, input: FanOutInput) -> Result<RunningServer> {
    let settings = settings_of(options);
    let mut control = Control::new(ThreadPlan::new(&settings.threads)?);
    let updates = Updates { consumer: input.updates, notifier: input.notifier };
    let fan_out = fan_out::open(&settings, updates, input.interest, Arc::new(()))?;
    let (address, sources) = (fan_out.local_addr(), vec![fan_out.metrics() as Arc<dyn MetricSource>]);
    start_fan_out(fan_out, &mut control.threads, &control.stops, &control.idle)?;
    Ok(RunningServer { address, line: None, feed: None, sources, control: Box::new(control) })
}

/// The defaults of `bist serve` with the measurement's bounds, and ports that are free.
fn settings_of(options: &ServerOptions) -> Settings {
    let mut settings = Settings::default();
    let symbols = options.symbols;
    settings.feed.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    settings.feed.interface = Ipv4Addr::LOCALHOST;
    settings.feed.receive_buffer_bytes = RECEIVE_BUFFER_BYTES;
    // Runs are shorter than an hour, and the time between them is not silence of a market.
    settings.feed.stale_ms = 3_600_000;
    settings.book.books_max = symbols + 1;
    settings.book.orders_max = symbols * 200 + 1_000;
    settings.book.levels_max = symbols * 40 + 1_000;
    settings.book.ladder_slots = symbols * 1_000;
    settings.market_data.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    settings.market_data.connections_max = options.clients + 8;
    settings.market_data.queue_bytes_max = QUEUE_BYTES_MAX;
    settings.threads.layout = match options.layout {
        ServerLayout::Single => Layout::Single,
        ServerLayout::Split => Layout::Split,
    };
    settings.threads.wait = match options.wait {
        ServerWait::Spin => Wait::Spin,
        ServerWait::Park => Wait::Park,
    };
    settings.threads.pin = if options.cores.is_empty() { Pin::Never } else { Pin::Always };
    settings.threads.cores.clone_from(&options.cores);
    settings
}

#[cfg(test)]
mod tests {
    use super::*;
    use benches::fanout::{self, FanoutOptions};
    use benches::pipeline::{self, PipelineOptions};

    /// The small mode: same code, same checks, both layouts, one thread and two.
    #[test]
    fn every_message_reaches_every_client_and_the_books_are_right() {
        for (layout, wait, sender_apart) in [
            (ServerLayout::Single, ServerWait::Park, false),
            (ServerLayout::Split, ServerWait::Park, true),
            (ServerLayout::Single, ServerWait::Spin, false),
        ] {
            let options = PipelineOptions {
                rates: vec![2_000],
                clients: 3,
                symbols: 5,
                runs: 2,
                warm_up_ms: 20,
                measured_ms: 100,
                layout,
                wait,
                sender_apart,
                ..PipelineOptions::default()
            };
            let mut lines = Vec::new();
            let outcome = pipeline::measure(&options, START_SERVER, &mut |line| lines.push(line.to_owned())).unwrap();
            assert_eq!(outcome.latencies.len(), 4, "{layout:?}: {lines:?} {}", outcome.ended);
            let end_to_end = &outcome.latencies[0];
            assert_eq!(end_to_end.corrected.len(), 2 * 200 * 3, "every message, client and run");
            assert!(outcome.checked[3].starts_with("10 final books"), "{:?}", outcome.checked);
            assert_eq!((end_to_end.disturbed.len(), outcome.rows[0].disturbed.len()), (2, 2), "every run was watched");
        }
    }

    /// The small mode: same code, same checks.
    #[test]
    fn every_frame_reaches_every_client() {
        let options = FanoutOptions {
            clients: vec![4],
            rates: vec![1_000],
            runs: 1,
            warm_up_ms: 20,
            measured_ms: 80,
            wait: ServerWait::Park,
            ..FanoutOptions::default()
        };
        let outcome = fanout::measure(&options, START_SERVER, &mut |_| {}).unwrap();
        assert!(outcome.rows[0].samples[0] > 0.0);
        assert_eq!(outcome.latencies[0].corrected.len(), 80 * 4, "every message and client");
    }
}
