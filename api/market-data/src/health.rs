//! Should this process be asked for market data? Looks at counters and flags of the view; never waits.

use api_kit::health::{Health, Verdict};

use crate::view::{BEHIND_SLOTS, View};

/// The three checks of a process that shows market data: feed, books, view. `missing` says what of the market is not shown
/// at all, and what to do about it.
pub fn add_checks(health: &mut Health, view: &View, missing: impl Fn() -> Option<String> + Send + Sync + 'static) {
    let feed = view.clone();
    health.add_readiness("feed", move || {
        let summary = feed.summary();
        match (summary.epoch, summary.stale, summary.day_over) {
            (0, ..) => Verdict::Down("no session has begun yet".to_owned()),
            (_, true, false) => Verdict::Down("stale: nothing has come for too long".to_owned()),
            (_, _, true) => Verdict::Up("the exchange's day is over".to_owned()),
            (epoch, ..) => Verdict::Up(format!("epoch {epoch}, seq {}", summary.seq)),
        }
    });
    let books = view.clone();
    health.add_readiness("books", move || {
        let summary = books.summary();
        let (all, in_sync, bad) = (summary.books, summary.in_sync, summary.maybe_bad);
        if in_sync == 0 {
            Verdict::Down(format!("none of {all} books is in sync"))
        } else if let Some(missing) = missing() {
            Verdict::Degraded(format!("{in_sync} of {all} books in sync, {bad} of them may be wrong; {missing}"))
        } else if in_sync < all || bad > 0 {
            Verdict::Degraded(format!("{in_sync} of {all} books in sync, {bad} of them may be wrong"))
        } else {
            Verdict::Up(format!("all {all} books in sync"))
        }
    });
    let behind = view.clone();
    health.add_readiness("view", move || {
        let waiting = behind.waiting();
        if behind.has_ended() {
            Verdict::Down("the view thread has ended: what is shown grows old".to_owned())
        } else if waiting > BEHIND_SLOTS {
            Verdict::Down(format!("behind: {waiting} slots waiting, {BEHIND_SLOTS} allowed"))
        } else {
            Verdict::Up(format!("{waiting} slots waiting"))
        }
    });
}
