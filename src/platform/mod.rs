//! The composition root: builds the rings, starts the threads in order, stops them in order.
//!
//! ```text
//! simulated exchange ─UDP─▶ feed ─event ring─▶ book ─update ring─▶ fan-out ─▶ WebSocket clients
//!                                                └──update ring──▶ view ───▶ REST, page (tokio)
//! ```
//!
//! Read in this order: [`roles`] (what a process runs), [`source`], [`ingest`], [`fan_out`], [`slow_path`],
//! [`admission`] (its parts),
//! [`hot_path`] (which thread does what), [`run_loops`], [`threads`], [`bounds`], [`shutdown`]; [`users_alone`] is a role of one part; [`under_test`] is what `bist bench` measures. Holds no logic of its own: what a
//! thread does is in the crate that it belongs to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use book::metrics::MetricSource;

use self::bounds::BookBounds;
use self::day_log::DayLog;
use self::epochs::Epochs;
use self::late_start::LateStart;
use self::progress::Progress;
use self::shutdown::{Stops, stop_in_order};
use self::threads::Threads;

pub mod accounts;
mod admission;
mod bounds;
pub mod day_log;
mod epochs;
mod fan_out;
mod hot_path;
mod ingest;
mod late_start;
mod line_mismatch;
pub mod progress;
pub mod roles;
mod run_loops;
mod shutdown;
mod slow_path;
pub mod source;
pub mod threads;
pub mod under_test;
mod users_alone;

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
    /// `users.url`
    accounts_elsewhere: Option<String>,
}

impl Platform {
    /// Where everything is, for the person who started it.
    pub fn banner(&self) -> String {
        let server = self.server.as_ref();
        let web = server.map_or_else(String::new, |server| server.local_addr().to_string());
        let admin = server.and_then(api::Server::admin_addr).map_or_else(|| "off".to_owned(), |a| a.to_string());
        format!(
            "\nbist {version}\n  source      {source}\n  market      {market}\n  web page    http://{web}\n  REST        http://{web}/swagger-ui\n  \
             WebSocket   ws://{market_data}/ws/v2\n  accounts    {accounts}\n  metrics     http://{admin}/actuator/prometheus\n  threads     {plan}\n  data        {data}\n  \
             {setup}stop        Ctrl-C\n",
            version = env!("CARGO_PKG_VERSION"),
            source = self.source,
            market = self.origin.describe(),
            market_data = self.market_data,
            plan = self.threads.plan().describe(),
            data = self.epochs.describe(),
            accounts = self.accounts_line(),
            setup = self.setup_line(),
        )
    }

    /// Where accounts are: a port of this process, or another process.
    fn accounts_line(&self) -> String {
        let here = self.server.as_ref().and_then(api::Server::users_addr);
        let elsewhere = self.accounts_elsewhere.as_ref().map(|url| format!("{url} (users.url)"));
        here.map(|address| format!("http://{address}/swagger-ui")).or(elsewhere).unwrap_or_else(|| "off".to_owned())
    }

    /// While there is no account and only this machine reaches the page: how the first administrator is made. For the
    /// person at the terminal alone, because the link opens something.
    fn setup_line(&self) -> String {
        use secrecy::ExposeSecret;
        let on_loopback = |server: &&api::Server| server.local_addr().ip().is_loopback();
        let link = self.server.as_ref().filter(on_loopback).and_then(api::Server::setup_link);
        link.map_or_else(String::new, |link| {
            format!("set up      {} makes the first administrator\n  ", link.expose_secret())
        })
    }

    /// The same as one line of the log.
    pub fn log_start(&self) {
        let server = self.server.as_ref();
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            source = self.source,
            web = server.map(|server| server.local_addr().to_string()),
            market_data = %self.market_data,
            users = server.and_then(api::Server::users_addr).map(|address| address.to_string()),
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
