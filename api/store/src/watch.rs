//! What operators see of a store: metrics and the health check. A scrape and a check read counters and flags; the one
//! thing that asks the database is [`Store::watch`]. Labels hold the service's name, never an id of a row.

use std::sync::Arc;
use std::time::Duration;

use api_kit::health::{Health, Verdict};
use api_kit::{MetricSource, Sample};

use crate::store::Store;

/// Time between two questions to the database.
const ASK_EVERY: Duration = Duration::from_secs(2);

impl Store {
    /// Asks the database every two seconds whether it answers, and logs each change. Ends never: to be spawned, and
    /// dropped with the service.
    pub async fn watch(self: Arc<Self>) {
        let (service, mut was_away, mut was_degraded) = (self.database.service(), false, false);
        loop {
            let health = self.health().await;
            match (&health.database, was_away) {
                (Err(error), false) => tracing::error!(%service, %error, "the database does not answer"),
                (Ok(()), true) => tracing::info!(%service, "the database answers again"),
                _ => {}
            }
            if !health.cache_degraded && was_degraded {
                tracing::info!(%service, "Redis answers again: limits are shared");
            }
            if health.cache_degraded {
                // Nobody may ask it for a while, and then nobody would learn that it is back. What it has does not matter.
                let _ = self.cache.get("watch").await;
            }
            (was_away, was_degraded) = (health.database.is_err(), health.cache_degraded);
            tokio::time::sleep(ASK_EVERY).await;
        }
    }

    /// Adds this store's check under `name`. Degraded, not down: what needs no store still answers, and what does need
    /// it says 503 by itself.
    pub fn add_check(self: &Arc<Self>, health: &mut Health, name: &'static str) {
        let store = Arc::clone(self);
        health.add_readiness(name, move || store.verdict());
    }

    /// How the store is by what the last question found.
    pub fn verdict(&self) -> Verdict {
        let service = self.database.service();
        if self.database.has_disk_failed() {
            return Verdict::Degraded(format!("the disk failed under the database of {service}: look, then restart"));
        }
        if self.database.is_away() {
            return Verdict::Degraded(format!("the database of {service} does not answer"));
        }
        if self.cache.is_degraded() {
            return Verdict::Degraded("Redis is away: limits are local and halved".to_owned());
        }
        Verdict::Up(format!("the database of {service} answers"))
    }
}

impl MetricSource for Store {
    fn collect(&self, samples: &mut Vec<Sample>) {
        let stats = self.database.stats();
        let labels = [("service", self.database.service().as_str())];
        let mut gauge = |name, help, value: u32| samples.push(Sample::gauge(name, help, &labels, f64::from(value)));
        let used = stats.connections.saturating_sub(stats.idle);
        gauge("bist_store_connections_open", "Open connections to the database.", stats.connections);
        gauge("bist_store_connections_used", "Connections to the database in use.", used);
        gauge("bist_store_callers_waiting", "Callers waiting for a connection.", stats.waiting);
        gauge("bist_store_away", "1 while the database does not answer.", self.database.is_away().into());
        let disk_failed = self.database.has_disk_failed().into();
        gauge(
            "bist_store_disk_failed",
            "1 after a failed write to the disk; no further writes until a restart.",
            disk_failed,
        );
        gauge(
            "bist_cache_degraded",
            "1 while Redis is configured and does not answer.",
            self.cache.is_degraded().into(),
        );
        let counters = [
            ("bist_store_connections_acquired_total", "Connections handed out.", stats.acquired),
            ("bist_store_wait_microseconds_total", "Time that callers waited for a connection.", stats.waited_us),
            ("bist_store_refused_total", "Callers refused because too many waited.", stats.refused),
            ("bist_store_timed_out_total", "Transactions abandoned at the deadline.", stats.timed_out),
            ("bist_store_retried_total", "Transactions retried after contention.", stats.retried),
            ("bist_store_outcome_unknown_total", "COMMITs with an unknown outcome.", stats.outcome_unknown),
            (
                "bist_cache_counted_alone_total",
                "Requests counted against half of a limit in this process because Redis does not answer.",
                self.cache.counted_alone(),
            ),
        ];
        samples.extend(counters.map(|(name, help, value)| Sample::counter(name, help, &labels, value)));
    }
}
