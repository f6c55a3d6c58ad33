//! Short-lived values and rate limits in this process. Time is tokio's, so that tests can turn it. Bounded: what is over
//! is refused, a value as well as a request of a key that there is no room to count.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::{Claim, RateLimit, ShortLived, Verdict};
use crate::error::StoreError;

/// Values, and counted keys, of each kind: at 64 KiB a value 6 GiB at the very most, at usual sizes some tens of MiB.
pub const ENTRIES_MAX: usize = 100_000;

/// A full table is searched for what has ended at most so often; a sweep reads all entries.
const SWEEP_PAUSE: Duration = Duration::from_secs(1);

/// The local place.
#[derive(Debug, Default)]
pub struct LocalStore {
    values: Mutex<Table<Vec<u8>>>,
    /// When a key's bucket is full again; counted by GCRA's theoretical arrival time.
    counts: Mutex<Table<()>>,
}

#[derive(Debug)]
struct Table<V> {
    entries: HashMap<String, (V, Instant)>,
    swept: Option<Instant>,
}

impl<V> Default for Table<V> {
    fn default() -> Self {
        Self { entries: HashMap::new(), swept: None }
    }
}

impl<V> Table<V> {
    fn live(&self, key: &str, now: Instant) -> Option<&V> {
        self.entries.get(key).filter(|(_, end)| *end > now).map(|(value, _)| value)
    }

    /// Whether `key` has a place or can get one.
    fn has_room(&mut self, key: &str, now: Instant) -> bool {
        if self.entries.len() < ENTRIES_MAX || self.entries.contains_key(key) {
            return true;
        }
        if self.swept.is_none_or(|swept| now >= swept + SWEEP_PAUSE) {
            self.swept = Some(now);
            self.entries.retain(|_, (_, end)| *end > now);
        }
        self.entries.len() < ENTRIES_MAX
    }
}

const FULL: StoreError = StoreError::Full { what: "the cache in this process", remedy: "wait, or configure Redis" };

fn open<T>(table: &Mutex<T>) -> MutexGuard<'_, T> {
    // OK because an entry is written in one step: a panic elsewhere leaves no half of one.
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ShortLived for LocalStore {
    async fn put(&self, key: &str, value: &[u8], ttl: Duration) -> Result<(), StoreError> {
        let (mut values, now) = (open(&self.values), Instant::now());
        if !values.has_room(key, now) {
            return Err(FULL);
        }
        values.entries.insert(key.to_owned(), (value.to_vec(), now + ttl));
        Ok(())
    }

    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(open(&self.values).live(key, Instant::now()).cloned())
    }

    async fn take(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let taken = open(&self.values).entries.remove(key);
        Ok(taken.filter(|(_, end)| *end > Instant::now()).map(|(value, _)| value))
    }

    async fn remove(&self, key: &str) -> Result<(), StoreError> {
        open(&self.values).entries.remove(key);
        Ok(())
    }

    async fn claim(&self, key: &str, ttl: Duration) -> Result<Claim, StoreError> {
        let (mut values, now) = (open(&self.values), Instant::now());
        if values.live(key, now).is_some() {
            return Ok(Claim::Taken);
        }
        if !values.has_room(key, now) {
            return Err(FULL);
        }
        values.entries.insert(key.to_owned(), (Vec::new(), now + ttl));
        Ok(Claim::Fresh)
    }

    async fn count(&self, limit: &RateLimit, key: &str) -> Result<Verdict, StoreError> {
        let (mut counts, now) = (open(&self.counts), Instant::now());
        let key = format!("{}:{key}", limit.name);
        if !counts.has_room(&key, now) {
            return Err(FULL);
        }
        let full_again = counts.entries.get(&key).map_or(now, |(_, end)| (*end).max(now));
        let ahead_us = full_again.duration_since(now).as_micros() as u64;
        match admit(limit, ahead_us) {
            Ok((next_us, remaining)) => {
                counts.entries.insert(key, ((), now + Duration::from_micros(next_us)));
                Ok(Verdict::Allowed { remaining })
            }
            Err(retry_after) => Ok(Verdict::Refused { retry_after }),
        }
    }
}

/// GCRA: `ahead_us` is how far the theoretical arrival time is ahead of now. Allowed: how far it is then, and how many
/// more may come at once. The script for Redis has the same arithmetic.
fn admit(limit: &RateLimit, ahead_us: u64) -> Result<(u64, u32), Duration> {
    let interval_us = limit.interval_us();
    let tolerance_us = interval_us.saturating_mul(u64::from(limit.burst.max(1) - 1));
    if ahead_us > tolerance_us {
        return Err(Duration::from_micros(ahead_us - tolerance_us));
    }
    Ok((ahead_us.saturating_add(interval_us), ((tolerance_us - ahead_us) / interval_us) as u32))
}
