//! The threads of the fast path: one for all workers, or one for each. Starts them from the readers to the source.
//!
//! Knows no loop and no worker's work.

use std::sync::Arc;

use anyhow::{Context, Result};
use book::ring::Notifier;
use book::worker::BookWorker;
use distributor::FanOut;
use feed_handler::feed::FeedWorker;

use super::progress::Progress;
use super::run_loops::{HotWorkers, run_book, run_fan_out, run_feed, run_hot};
use super::shutdown::Stops;
use super::threads::{IdlePolicy, Threads};
use crate::settings::Layout;

/// Workers of the fast path that do not run yet.
pub struct HotPath {
    /// Reads the source.
    pub feed: FeedWorker,
    /// Keeps the books.
    pub book: BookWorker,
    /// Wakes the book thread.
    pub book_notifier: Arc<Notifier>,
    /// Writes to the clients.
    pub fan_out: FanOut,
    /// Slots of the ring towards the fan-out.
    pub update_slots: usize,
}

impl HotPath {
    /// Starts their threads, so that nothing is read before somebody listens.
    ///
    /// # Errors
    /// The system has no room for a thread, or cannot watch the feed's sockets for another one.
    pub fn start(
        self,
        threads: &mut Threads,
        stops: &Stops,
        idle: &IdlePolicy,
        progress: Option<Progress>,
    ) -> Result<()> {
        match threads.plan().layout {
            Layout::Single => self.start_one(threads, stops, idle, progress),
            Layout::Split => self.start_each(threads, stops, idle, progress),
        }
    }

    fn start_one(
        self,
        threads: &mut Threads,
        stops: &Stops,
        idle: &IdlePolicy,
        progress: Option<Progress>,
    ) -> Result<()> {
        let Self { feed, book, fan_out, update_slots, .. } = self;
        #[cfg(unix)]
        feed.watch(fan_out.registry(), FanOut::OUTSIDE).context("watching the feed's sockets")?;
        let workers = HotWorkers { feed: Some(feed), book, fan_out, update_slots };
        let (stops, idle, events) = (stops.clone(), idle.clone(), threads.events().clone());
        threads.start("hot", Some(0), move || run_hot(workers, &stops, &idle, progress.as_ref(), &events))
    }

    fn start_each(
        self,
        threads: &mut Threads,
        stops: &Stops,
        idle: &IdlePolicy,
        progress: Option<Progress>,
    ) -> Result<()> {
        let Self { feed, book, book_notifier, fan_out, .. } = self;
        start_fan_out(fan_out, threads, stops, idle)?;
        let (stop, book_idle) = (stops.feed.clone(), idle.clone());
        threads.start("book", Some(1), move || {
            run_book(book, &book_notifier, &stop, &book_idle);
            Ok(())
        })?;
        let (stop, idle) = (stops.feed.clone(), idle.clone());
        threads.start("feed", Some(0), move || run_feed(feed, &stop, &idle, progress.as_ref()))
    }
}

/// Starts the fan-out's own thread.
///
/// # Errors
/// The system has no room for another thread.
pub fn start_fan_out(fan_out: FanOut, threads: &mut Threads, stops: &Stops, idle: &IdlePolicy) -> Result<()> {
    let (stop, idle) = (stops.readers.clone(), idle.clone());
    threads.start("fan-out", Some(2), move || {
        run_fan_out(fan_out, &stop, &idle);
        Ok(())
    })
}
