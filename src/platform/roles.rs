//! What one process runs: a role is a list of parts to open and to start, in order.
//!
//! A role composes; what a part does is in the crate that it belongs to. Later roles (`market-data`, `users`, `orders`,
//! `broker`, `rest`, `graphql`) are a function each beside [`start_all`].

use std::sync::Arc;
use std::sync::mpsc::Sender;

use anyhow::Result;

use super::bounds::BookBounds;
use super::epochs::Epochs;
use super::hot_path::HotPath;
use super::ingest::Ingest;
use super::late_start::LateStart;
use super::progress::Progress;
use super::run_loops::run_view;
use super::shutdown::Stops;
use super::slow_path::SlowPath;
use super::threads::{Event, IdlePolicy, ThreadPlan, Threads};
use super::{Platform, fan_out, slow_path, source};
use crate::settings::Settings;

/// Parts of the platform that one process runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Role {
    /// Everything.
    #[default]
    All,
}

impl Role {
    /// The role that the flags of a command ask for; everything when they name none.
    pub fn of(targets: &[Self]) -> Self {
        targets.first().copied().unwrap_or_default()
    }
}

/// Opens and starts what the role runs.
///
/// # Errors
/// A port that is taken, a file that cannot be read, a bad setting: each names what to change.
pub fn start(role: Role, settings: &Settings, events: &Sender<Event>) -> Result<Platform> {
    match role {
        Role::All => start_all(settings, events),
    }
}

/// Opens everything that can fail, then starts the threads from the readers to the source, so that nothing is sent
/// before somebody listens.
fn start_all(settings: &Settings, events: &Sender<Event>) -> Result<Platform> {
    let plan = ThreadPlan::new(&settings.threads)?;
    let epochs = Epochs::open(&settings.storage)?;
    let first_epoch = epochs.first();
    let mut ingest = Ingest::open(settings, &plan, |settings, producer| source::open(settings, producer, first_epoch))?;
    let (fan_updates, interest) = ingest.add_reader_of_orders("fan-out", plan.notifier());
    // The view always sleeps; the others only where they are told to.
    let view_updates = ingest.add_reader_of_levels("view", book::ring::Notifier::new());
    let view_notifier = Arc::clone(&view_updates.notifier);
    let (view_worker, view) = slow_path::open_view(view_updates);

    let late = Arc::new(SlowPath::default());
    let fan_out = fan_out::open(settings, fan_updates, interest, Arc::clone(&late) as _)?;
    let market_data = fan_out.local_addr();
    let mut metrics = ingest.rings.clone();
    metrics.extend(ingest.metrics());
    metrics.push(fan_out.metrics());
    let counted = metrics.clone();
    let bounds = BookBounds::new(Arc::clone(ingest.book.market().anomalies()), ingest.feed.metrics());
    let late_start = LateStart::new(ingest.feed.metrics());
    let checks = (&bounds, &late_start);
    let server = slow_path::serve(settings, &view, checks, metrics, market_data, &late)?;

    let (book_metrics, feed_metrics) = (ingest.book.metrics(), ingest.feed.metrics());
    let progress = Progress::of(&ingest.feed);
    let (stops, idle) = (Stops::default(), IdlePolicy::new(plan.idle));
    let mut threads = Threads::new(plan, events.clone());
    let stop = stops.readers.clone();
    threads.start("view", None, move || {
        run_view(view_worker, &view_notifier, &stop);
        Ok(())
    })?;
    let Ingest { feed, book, book_notifier, sim, describe, .. } = ingest;
    let hot_path = HotPath { feed, book, book_notifier, fan_out, update_slots: settings.rings.update_slots };
    hot_path.start(&mut threads, &stops, &idle, progress.clone())?;
    if let Some(sim) = sim {
        let stop = stops.feed.flag();
        threads.start("sim", None, move || {
            sim.run(&stop);
            Ok(())
        })?;
    }
    let origin = source::origin(settings);
    tracing::info!(source = origin.source, simulated = origin.simulated, describe, "started");
    Ok(Platform {
        threads,
        stops,
        server: Some(server),
        view,
        book_metrics,
        feed_metrics,
        progress,
        counted,
        source: describe,
        origin,
        bounds,
        late_start,
        epochs,
        market_data,
    })
}
