//! Rate limits and values that live for seconds to days, shared by replicas through Redis when it is configured, in this
//! process otherwise. Redis away: the answer is local and stricter at once, said once in the log; no door opens by it.
//! Never the only place of anything that must not be lost.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::config::StorageConfig;
use crate::error::StoreError;

pub mod local;
pub mod redis;

use local::LocalStore;
use redis::RedisStore;

/// Bytes of one value. A longer one is refused.
pub const VALUE_BYTES_MAX: usize = 64 << 10;

/// So many requests in so much time, as a bucket that fills evenly (GCRA).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Keeps limits apart; part of the stored key.
    pub name: &'static str,
    /// Requests that come back within `per`, at least 1.
    pub requests: u32,
    /// The time in which they come back.
    pub per: Duration,
    /// Requests that may come at once, at least 1.
    pub burst: u32,
}

impl RateLimit {
    /// Microseconds in which one request comes back, at least 1.
    fn interval_us(&self) -> u64 {
        let per_us = u64::try_from(self.per.as_micros()).unwrap_or(u64::MAX);
        (per_us / u64::from(self.requests.max(1))).max(1)
    }

    /// What counts alone when the shared count cannot be had: half the requests and half the burst, at least 1 each.
    pub fn halved(&self) -> Self {
        Self { requests: (self.requests / 2).max(1), burst: (self.burst / 2).max(1), ..*self }
    }
}

/// What a rate limit says of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may pass; so many more may at once.
    Allowed {
        /// Requests left at this moment.
        remaining: u32,
    },
    /// It may not.
    Refused {
        /// When the next may.
        retry_after: Duration,
    },
}

/// What became of a claim to be the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Nobody had it.
    Fresh,
    /// Somebody has it.
    Taken,
    /// It cannot be known now: treat it as taken.
    Unknown,
}

/// One place for short-lived values and counts. Both places behave alike.
pub trait ShortLived {
    /// Keeps a value for `ttl`, in place of an earlier one.
    fn put(&self, key: &str, value: &[u8], ttl: Duration) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The value, unless it is gone.
    fn get(&self, key: &str) -> impl Future<Output = Result<Option<Vec<u8>>, StoreError>> + Send;

    /// The value, which nobody gets after this.
    fn take(&self, key: &str) -> impl Future<Output = Result<Option<Vec<u8>>, StoreError>> + Send;

    /// Forgets the value.
    fn remove(&self, key: &str) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Whether this caller is the first with this key within `ttl`.
    fn claim(&self, key: &str, ttl: Duration) -> impl Future<Output = Result<Claim, StoreError>> + Send;

    /// Counts a request against a limit.
    fn count(&self, limit: &RateLimit, key: &str) -> impl Future<Output = Result<Verdict, StoreError>> + Send;
}

/// What a service holds: Redis when it is configured, and this process behind it.
#[derive(Debug)]
pub struct Cache {
    shared: Option<RedisStore>,
    local: LocalStore,
    /// Requests counted against half a limit here because Redis was away.
    counted_alone: AtomicU64,
}

impl Cache {
    /// Opens nothing yet: the first use does, so that a start does not wait for Redis.
    ///
    /// # Errors
    /// [`StoreError::Refused`] when `storage.redis_url` is not one.
    pub fn open(config: &StorageConfig) -> Result<Self, StoreError> {
        let shared = config.redis_url.as_ref().map(RedisStore::new).transpose()?;
        Ok(Self { shared, local: LocalStore::default(), counted_alone: AtomicU64::new(0) })
    }

    /// Whether answers are local though they should be shared: health says `degraded`.
    pub fn is_degraded(&self) -> bool {
        self.shared.as_ref().is_some_and(RedisStore::is_away)
    }

    /// Requests that were counted in this process alone, against half their limit, because Redis was away.
    pub fn counted_alone(&self) -> u64 {
        self.counted_alone.load(Ordering::Relaxed)
    }

    /// Counts a request. Redis away: against half the limit, in this process.
    pub async fn count(&self, limit: &RateLimit, key: &str) -> Verdict {
        let refused = Verdict::Refused { retry_after: Duration::from_secs(1) };
        let Some(shared) = &self.shared else {
            return self.local.count(limit, key).await.unwrap_or(refused);
        };
        match shared.count(limit, key).await {
            Ok(verdict) => verdict,
            Err(_) => {
                self.counted_alone.fetch_add(1, Ordering::Relaxed);
                self.local.count(&limit.halved(), key).await.unwrap_or(refused)
            }
        }
    }

    /// Whether this caller is the first. Redis away: [`Claim::Unknown`], since another replica may have been.
    pub async fn claim(&self, key: &str, ttl: Duration) -> Claim {
        let claimed = match &self.shared {
            Some(shared) => shared.claim(key, ttl).await,
            None => self.local.claim(key, ttl).await,
        };
        claimed.unwrap_or(Claim::Unknown)
    }

    /// The value, or `None`: gone, never there, or Redis is away. The caller then asks the database.
    pub async fn get(&self, key: &str) -> Option<Vec<u8>> {
        match &self.shared {
            Some(shared) => shared.get(key).await.ok().flatten(),
            None => self.local.get(key).await.ok().flatten(),
        }
    }

    /// Keeps a value.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] with Redis away, [`StoreError::Full`] in a full process. A caller that only wanted to
    /// be faster next time goes on.
    pub async fn put(&self, key: &str, value: &[u8], ttl: Duration) -> Result<(), StoreError> {
        if value.len() > VALUE_BYTES_MAX {
            return Err(StoreError::Refused(format!("a short-lived value has at most {VALUE_BYTES_MAX} bytes")));
        }
        match &self.shared {
            Some(shared) => shared.put(key, value, ttl).await,
            None => self.local.put(key, value, ttl).await,
        }
    }

    /// The value for one caller alone.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] with Redis away: whether another has taken it is not known.
    pub async fn take(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        match &self.shared {
            Some(shared) => shared.take(key).await,
            None => self.local.take(key).await,
        }
    }

    /// Forgets a value.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] with Redis away: other replicas see the value until it ends by itself. Whoever
    /// revokes must not call it done.
    pub async fn remove(&self, key: &str) -> Result<(), StoreError> {
        match &self.shared {
            Some(shared) => shared.remove(key).await,
            None => self.local.remove(key).await,
        }
    }
}
