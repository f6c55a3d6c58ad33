//! What is counted of calls to an upstream, and how its breaker stands.

use std::sync::atomic::{AtomicU64, Ordering};

use book::metrics::{MetricSource, Sample};

use super::{CallError, Upstream};
use crate::breaker::BreakerState;

crate::named_enum! {
    /// How a call ended.
    Ended {
        /// With an answer, whatever its status.
        Answered = "answered",
        /// Nobody was reached, or the connection broke, and nothing was changed.
        Unavailable = "unavailable",
        /// Too late, and nothing was changed.
        Timeout = "timeout",
        /// Without an answer, and nobody knows whether it was done.
        Ambiguous = "ambiguous",
        /// Not tried: the breaker is open, or too many are under way.
        Refused = "refused",
        /// The caller went away.
        Abandoned = "abandoned",
    }
}

/// Calls by their end.
#[derive(Debug, Default)]
pub(super) struct Counts([AtomicU64; Ended::ALL.len()]);

impl Counts {
    fn count(&self, ended: Ended) {
        self.0[ended as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub fn refused(&self) {
        self.count(Ended::Refused);
    }

    pub fn abandoned(&self) {
        self.count(Ended::Abandoned);
    }

    pub fn ended(&self, error: Option<&CallError>) {
        self.count(match error {
            None => Ended::Answered,
            Some(CallError::NotTried(_)) => Ended::Refused,
            Some(CallError::Unavailable) => Ended::Unavailable,
            Some(CallError::Timeout) => Ended::Timeout,
            Some(CallError::Unknown { .. }) => Ended::Ambiguous,
        });
    }
}

impl MetricSource for Upstream {
    fn collect(&self, samples: &mut Vec<Sample>) {
        let name = self.config.name;
        for (ended, count) in Ended::ALL.iter().zip(&self.counts.0) {
            let labels = [("upstream", name), ("outcome", ended.name())];
            let count = count.load(Ordering::Relaxed);
            let what = "Calls to a service in another process, by their end.";
            samples.push(Sample::counter("bist_upstream_requests_total", what, &labels, count));
        }
        let state = self.breaker.state();
        for one in BreakerState::ALL {
            let labels = [("name", name), ("state", one.name())];
            let is_it = f64::from(u8::from(*one == state));
            let what = "1 for the state that the circuit breaker is in.";
            samples.push(Sample::gauge("bist_circuit_breaker_state", what, &labels, is_it));
        }
    }
}
