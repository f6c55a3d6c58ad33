//! The run loops of the hot threads and of the view: the only place with loops that never end by themselves.
//!
//! A loop gives its workers bounded turns and chooses how to wait between them; it knows nothing of what a turn does, and
//! starts no thread. Measurements run these same loops.

#![cfg_attr(not(test), deny(clippy::disallowed_types, clippy::disallowed_methods, clippy::disallowed_macros))]

use std::sync::mpsc::Sender;
use std::time::Duration;

use anyhow::Result;
use book::ring::Notifier;
use book::worker::BookWorker;
use distributor::FanOut;
use feed_handler::feed::FeedWorker;

use super::progress::{Progress, is_over};
use super::shutdown::{Stop, Stops};
use super::threads::{Event, IdlePolicy, clocks, now_ns};

/// Longest sleep of an idle thread: how soon it sees a request to stop.
const SLEEP_MAX: Duration = Duration::from_millis(100);
/// How often the book thread looks again while a reader waits for room.
const RESYNC_PERIOD: Duration = Duration::from_millis(1);

/// Workers of the fast path that share one thread.
pub struct HotWorkers {
    /// Gone once it has finished or was stopped.
    pub feed: Option<FeedWorker>,
    /// The books.
    pub book: BookWorker,
    /// The fan-out.
    pub fan_out: FanOut,
    /// Slots of the ring towards the fan-out.
    pub update_slots: usize,
}

impl HotWorkers {
    /// A bounded turn of each worker, so that none starves; a message that is alone runs through all three. Returns the
    /// work done.
    fn do_work(&mut self) -> usize {
        let begun = clocks();
        let mut now = begun.wall_ns;
        let mut work = self.feed.as_mut().map_or(0, |feed| feed.do_work_at(begun));
        if work > 0 {
            now = now_ns();
        }
        // With half the ring waiting, the fan-out catches up first: the feed's ring and its socket are the buffers then,
        // and no reader has to be resynchronised.
        if self.fan_out.waiting() <= self.update_slots / 2 {
            work += self.book.do_work(now);
        }
        work + self.fan_out.do_work(clocks())
    }

    /// Sleeps until a packet, a client or a timer asks for a turn.
    fn wait(&mut self) {
        let mut limit = if cfg!(unix) { SLEEP_MAX } else { RESYNC_PERIOD };
        if self.book.has_waiting_readers() || self.book.has_work() {
            limit = RESYNC_PERIOD;
        }
        if let Some(feed) = &self.feed {
            limit = limit.min(feed.rest());
        }
        self.fan_out.wait(limit);
    }
}

/// Feed, books and fan-out in one thread.
///
/// # Errors
/// The feed cannot go on.
pub fn run_hot(
    mut hot: HotWorkers,
    stops: &Stops,
    idle: &IdlePolicy,
    progress: Option<&Progress>,
    events: &Sender<Event>,
) -> Result<()> {
    loop {
        if hot.feed.is_some() && stops.feed.asked() {
            hot.feed = None;
        }
        if hot.do_work() > 0 {
            continue;
        }
        if let Some(feed) = &hot.feed
            && is_over(feed, progress)?
        {
            hot.feed = None;
            // OK because without a listener the program is ending anyway.
            let _ = events.send(Event::Ended { thread: "feed", failure: None });
        }
        if stops.readers.asked() && hot.feed.is_none() && hot.book.is_finished() {
            break;
        }
        idle.wait(|| hot.wait());
    }
    hot.fan_out.shutdown(clocks());
    Ok(())
}

/// The feed alone: from its source into the event ring.
///
/// # Errors
/// It cannot go on.
pub fn run_feed(mut feed: FeedWorker, stop: &Stop, idle: &IdlePolicy, progress: Option<&Progress>) -> Result<()> {
    while !stop.asked() {
        if feed.do_work_at(clocks()) > 0 {
            continue;
        }
        if is_over(&feed, progress)? {
            return Ok(());
        }
        idle.wait(|| feed.wait(SLEEP_MAX));
    }
    Ok(())
}

/// The books alone: from the event ring into the update rings. `notifier` is the event ring's.
pub fn run_book(mut book: BookWorker, notifier: &Notifier, stop: &Stop, idle: &IdlePolicy) {
    let thread = std::thread::current();
    notifier.set_waker(move || thread.unpark());
    loop {
        if book.do_work(now_ns()) > 0 {
            continue;
        }
        if stop.asked() && book.is_finished() {
            return;
        }
        idle.wait(|| {
            notifier.prepare_wait();
            if !book.has_work() {
                let waiting = book.has_waiting_readers();
                std::thread::park_timeout(if waiting { RESYNC_PERIOD } else { SLEEP_MAX });
            }
            notifier.cancel_wait();
        });
    }
}

/// The fan-out alone: from its update ring to its clients.
pub fn run_fan_out(mut fan_out: FanOut, stop: &Stop, idle: &IdlePolicy) {
    loop {
        if fan_out.do_work(clocks()) > 0 {
            continue;
        }
        if stop.asked() {
            break;
        }
        idle.wait(|| fan_out.wait(SLEEP_MAX));
    }
    fan_out.shutdown(clocks());
}

/// The view of the slow path, which always parks: from its update ring into the copy that requests read.
pub fn run_view(mut view: api::ViewWorker, notifier: &Notifier, stop: &Stop) {
    let thread = std::thread::current();
    notifier.set_waker(move || thread.unpark());
    loop {
        if view.do_work() > 0 {
            continue;
        }
        if stop.asked() && view.is_finished() {
            return;
        }
        notifier.prepare_wait();
        if !view.has_work() {
            std::thread::park_timeout(SLEEP_MAX);
        }
        notifier.cancel_wait();
    }
}
