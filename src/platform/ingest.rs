//! The way in: a source, the event ring and the books, opened together and not yet running.
//!
//! Adds a ring for each reader of the books before they start; knows nothing of what a reader does with it.

use std::sync::Arc;

use anyhow::Result;
use book::market::Market;
use book::metrics::MetricSource;
use book::order_interest::{OrderInterestSender, order_interest};
use book::ring::{Consumer, Notifier, Producer, ring};
use book::worker::{BookWorker, Detail};
use feed_handler::feed::FeedWorker;
use feed_handler::sim;

use super::source::Source;
use super::threads::ThreadPlan;
use crate::settings::Settings;

/// Source, event ring and books.
pub struct Ingest {
    /// Reads the source and fills the event ring.
    pub feed: FeedWorker,
    /// Applies the events, and fills the readers' rings.
    pub book: BookWorker,
    /// Wakes the book thread.
    pub book_notifier: Arc<Notifier>,
    /// The simulated exchange behind the source, if it is one.
    pub sim: Option<sim::Server>,
    /// The source in one line, for the person who started it.
    pub describe: String,
    /// Counters of the rings: events first, then the readers' in their order.
    pub rings: Vec<Arc<dyn MetricSource>>,
    books_max: usize,
    update_slots: usize,
}

/// A reader's end of its update ring.
pub struct Updates {
    /// The ring.
    pub consumer: Consumer,
    /// Wakes the reader.
    pub notifier: Arc<Notifier>,
}

impl Ingest {
    /// Opens the source with `open` between a new event ring and new books.
    ///
    /// # Errors
    /// Those of `open`.
    pub fn open(
        settings: &Settings,
        plan: &ThreadPlan,
        open: impl FnOnce(&Settings, Producer) -> Result<Source>,
    ) -> Result<Self> {
        let book_notifier = plan.notifier();
        let (producer, consumer) = ring("events", settings.rings.event_slots, Arc::clone(&book_notifier));
        let rings: Vec<Arc<dyn MetricSource>> = vec![producer.metrics()];
        let source = open(settings, producer)?;
        let mut market = Market::new(settings.book.limits(source.key));
        market.set_references(source.references);
        Ok(Self {
            feed: source.feed,
            book: BookWorker::new(consumer, market),
            book_notifier,
            sim: source.sim,
            describe: source.describe,
            rings,
            books_max: settings.book.books_max,
            update_slots: settings.rings.update_slots,
        })
    }

    /// Adds a reader that `notifier` wakes and that is told every level, and the orders of the books that it asks for.
    pub fn add_reader_of_orders(
        &mut self,
        name: &'static str,
        notifier: Arc<Notifier>,
    ) -> (Updates, OrderInterestSender) {
        let (sender, receiver) = order_interest(self.books_max, Arc::clone(&self.book_notifier));
        (self.add(name, notifier, Detail::OnRequest(receiver)), sender)
    }

    /// Adds a reader that `notifier` wakes and that is told every level and no order.
    pub fn add_reader_of_levels(&mut self, name: &'static str, notifier: Arc<Notifier>) -> Updates {
        self.add(name, notifier, Detail::Levels)
    }

    fn add(&mut self, name: &'static str, notifier: Arc<Notifier>, detail: Detail) -> Updates {
        let (producer, consumer) = ring(name, self.update_slots, Arc::clone(&notifier));
        self.rings.push(producer.metrics());
        self.book.add_reader(producer, detail, self.books_max);
        Updates { consumer, notifier }
    }

    /// Counters of feed, books and source, in the order of a tick's path: `/actuator/latency` shows the stages so.
    pub fn metrics(&self) -> Vec<Arc<dyn MetricSource>> {
        let mut sources: Vec<Arc<dyn MetricSource>> =
            vec![self.feed.metrics(), self.book.metrics(), Arc::clone(self.book.market().anomalies()) as _];
        sources.extend(self.sim.iter().map(|sim| sim.metrics() as Arc<dyn MetricSource>));
        sources
    }
}
