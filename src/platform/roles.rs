//! What one process runs: a role is a list of parts to open and to start, in order.
//!
//! A role composes; what a part does is in the crate that it belongs to. Later roles (`market-data`, `orders`, `broker`,
//! `rest`, `graphql`) are a function each beside [`start_all`].

use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use anyhow::Result;

use super::admission::Admissions;
use super::bounds::BookBounds;
use super::day_log::DayLog;
use super::epochs::Epochs;
use super::hot_path::HotPath;
use super::ingest::Ingest;
use super::late_start::LateStart;
use super::progress::Progress;
use super::run_loops::run_view;
use super::shutdown::Stops;
use super::slow_path::SlowPath;
use super::threads::{Event, IdlePolicy, ThreadPlan, Threads};
use super::users_alone::UsersAlone;
use super::{Platform, fan_out, slow_path, source};
use crate::settings::Settings;

/// Parts of the platform that one process runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Role {
    /// Everything.
    #[default]
    All,
    /// Accounts alone, on `users.listen`; gateways reach them by `users.url`.
    Users,
}

impl Role {
    /// The role that the flags of a command ask for; everything when they name none, or everything among others.
    pub fn of(targets: &[Self]) -> Self {
        match targets {
            [] => Self::All,
            targets if targets.contains(&Self::All) => Self::All,
            _ => Self::Users,
        }
    }
}

/// What a process runs.
pub enum Running {
    /// Everything.
    All(Box<Platform>),
    /// Accounts alone.
    Users(UsersAlone),
}

impl Running {
    /// Opens and starts what `role` runs; the threads report their ends to `events`.
    ///
    /// # Errors
    /// A port that is taken, a file that cannot be read, a bad setting: each names what to change.
    pub fn start(role: Role, settings: &Settings, events: &Sender<Event>) -> Result<Self> {
        match role {
            Role::All => Ok(Self::All(Box::new(start_all(settings, events)?))),
            Role::Users => Ok(Self::Users(UsersAlone::start(settings)?)),
        }
    }

    /// Where everything is, for the person who started it.
    pub fn banner(&self) -> String {
        match self {
            Self::All(platform) => platform.banner(),
            Self::Users(users) => users.banner(),
        }
    }

    /// The same as one line of the log.
    pub fn log_start(&self) {
        match self {
            Self::All(platform) => platform.log_start(),
            Self::Users(users) => users.log_start(),
        }
    }

    /// A log of what the threads of this process count.
    pub fn day_log(&self) -> DayLog {
        match self {
            Self::All(platform) => platform.day_log(),
            Self::Users(_) => DayLog::new(Vec::new()),
        }
    }

    /// What is done now and then beside the threads.
    pub fn look_after(&self) {
        if let Self::All(platform) = self {
            platform.look_after();
        }
    }

    /// How far the recording is, if there is one.
    pub fn progress(&self) -> Option<Progress> {
        match self {
            Self::All(platform) => platform.progress(),
            Self::Users(_) => None,
        }
    }

    /// Waits until the readers have seen everything the feed sent, at most `limit`.
    pub fn settle(&self, limit: Duration) {
        if let Self::All(platform) = self {
            platform.settle(limit);
        }
    }

    /// Stops. True when all ended in time and nothing had failed.
    pub fn stop(self) -> bool {
        match self {
            Self::All(platform) => platform.stop(),
            Self::Users(users) => {
                users.stop();
                true
            }
        }
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
    let (admissions, verdicts) = Admissions::new(Arc::clone(&fan_updates.notifier));
    let fan_out = fan_out::open(settings, fan_updates, interest, Arc::clone(&late) as _)?
        .with_admission(Arc::clone(&admissions) as _, verdicts);
    let market_data = fan_out.local_addr();
    let mut metrics = ingest.rings.clone();
    metrics.extend(ingest.metrics());
    metrics.push(fan_out.metrics());
    let counted = metrics.clone();
    let bounds = BookBounds::new(Arc::clone(ingest.book.market().anomalies()), ingest.feed.metrics());
    let late_start = LateStart::new(ingest.feed.metrics());
    let checks = (&bounds, &late_start, ingest.feed.metrics());
    let server = slow_path::serve(settings, &view, checks, metrics, market_data, &late)?;
    admissions.open(server.admission());

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
        accounts_elsewhere: settings.users.url.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_more_than_a_part() {
        assert_eq!(Role::of(&[]), Role::All);
        assert_eq!(Role::of(&[Role::Users, Role::Users]), Role::Users);
        assert_eq!(Role::of(&[Role::Users, Role::All]), Role::All);
    }
}
