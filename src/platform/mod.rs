//! The composition root: builds the rings, starts the threads in order, stops them in order.
//!
//! ```text
//! simulated exchange ─UDP─▶ feed ─event ring─▶ book ─update ring─▶ fan-out ─▶ WebSocket clients
//!                                                └──update ring──▶ view ───▶ REST, page (tokio)
//! ```
//!
//! Read in this order: [`roles`] (what a process runs), [`source`], [`ingest`], [`fan_out`], [`slow_path`] (its parts),
//! [`hot_path`] (which thread does what), [`run_loops`], [`threads`], [`bounds`], [`shutdown`]; [`under_test`] is what `bist bench` measures. Holds no logic of its own: what a
//! thread does is in the crate that it belongs to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use anyhow::Result;
use book::metrics::MetricSource;

use self::bounds::BookBounds;
use self::day_log::DayLog;
use self::epochs::Epochs;
use self::late_start::LateStart;
use self::progress::Progress;
use self::roles::Role;
use self::shutdown::{Stops, stop_in_order};
use self::threads::{Event, Threads};
use crate::settings::Settings;

mod bounds;
pub mod day_log;
mod epochs;
mod fan_out;
mod hot_path;
mod ingest;
mod late_start;
pub mod progress;
pub mod roles;
mod run_loops;
mod shutdown;
mod slow_path;
pub mod source;
pub mod threads;
pub mod under_test;

/// The running platform.
pub struct Platform {
    threads: Threads,
    stops: Stops,
    server: Option<api::Server>,
    view: api::View,
    book_metrics: Arc<book::worker::BookMetrics>,
    feed_metrics: Arc<feed_handler::feed::FeedMetrics>,
    progress: Option<Progress>,
    counted: Vec<Arc<dyn MetricSource>>,
    source: String,
    origin: source::Origin,
    bounds: BookBounds,
    late_start: LateStart,
    epochs: Epochs,
    market_data: SocketAddr,
}

impl Platform {
    /// Opens and starts what a role runs; the threads report their ends to `events`.
    ///
    /// # Errors
    /// A port that is taken, a file that cannot be read, a bad setting: each names what to change.
    pub fn start(role: Role, settings: &Settings, events: &Sender<Event>) -> Result<Self> {
        roles::start(role, settings, events)
    }

    /// Where everything is, for the person who started it.
    pub fn banner(&self) -> String {
        let server = self.server.as_ref();
        let web = server.map_or_else(String::new, |server| server.local_addr().to_string());
        let admin = server.and_then(api::Server::admin_addr).map_or_else(|| "off".to_owned(), |a| a.to_string());
        format!(
            "\nbist {version}\n  source      {source}\n  market      {market}\n  web page    http://{web}\n  REST        http://{web}/swagger-ui\n  \
             WebSocket   ws://{market_data}/ws/v2\n  metrics     http://{admin}/actuator/prometheus\n  threads     {plan}\n  data        {data}\n  \
             stop        Ctrl-C\n",
            version = env!("CARGO_PKG_VERSION"),
            source = self.source,
            market = self.origin.describe(),
            market_data = self.market_data,
            plan = self.threads.plan().describe(),
            data = self.epochs.describe(),
        )
    }

    /// The same as one line of the log.
    pub fn log_start(&self) {
        let server = self.server.as_ref();
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            source = self.source,
            web = server.map(|server| server.local_addr().to_string()),
            market_data = %self.market_data,
            admin = server.and_then(api::Server::admin_addr).map(|address| address.to_string()),
            threads = self.threads.plan().describe(),
            "started"
        );
    }

    /// A log of what the threads of this process count.
    pub fn day_log(&self) -> DayLog {
        DayLog::new(self.counted.clone())
    }

    /// What is done now and then beside the threads: tells the log of every bound that the market has reached, each
    /// once, and keeps epochs reserved ahead of those in use.
    pub fn look_after(&self) {
        self.bounds.tell();
        self.late_start.tell();
        self.epochs.keep_ahead(self.view.summary().epoch);
    }

    /// How far the recording is, if there is one.
    pub fn progress(&self) -> Option<Progress> {
        self.progress.clone()
    }

    /// Waits until the readers have seen everything the feed sent, at most `limit`.
    pub fn settle(&self, limit: Duration) {
        let start = Instant::now();
        let mut seen = (0, 0);
        while start.elapsed() < limit {
            std::thread::sleep(Duration::from_millis(20));
            let now = (self.book_metrics.events(), self.view.summary().seq);
            if now == seen && self.view.waiting() == 0 {
                return;
            }
            seen = now;
        }
    }

    /// Stops from the source to the readers, so that everything received is still sent. True when all threads ended
    /// in time and none had failed.
    pub fn stop(mut self) -> bool {
        let clean = stop_in_order(&mut self.threads, &self.stops);
        self.bounds.tell();
        if let Some(server) = self.server.take() {
            server.stop();
        }
        tracing::info!(
            messages = self.feed_metrics.decoded(),
            refused = self.feed_metrics.refused(),
            gaps = self.feed_metrics.gaps(),
            events = self.book_metrics.events(),
            "stopped"
        );
        clean
    }
}
