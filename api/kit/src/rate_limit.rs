//! How many requests a caller may make: GCRA per key, else per user, else per address, in a table that cannot grow.
//!
//! Names and addresses are hashed with a key drawn at start into a fixed number of buckets, one allowance each: memory is
//! bounded whatever is sent, and nobody can choose whose bucket to share. IPv6 clients count by their /64, which is
//! what one subscriber has. Never keeps a name or an address.

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::{HeaderMap, HeaderValue, StatusCode};
use book::metrics::{MetricSource, Sample};
use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use serde_json::json;

use crate::error::ApiError;
use crate::limits::Limit;
use crate::principal::Principal;

/// How many requests one client may make.
#[derive(Clone, Debug)]
pub struct RateLimitConfig {
    /// Requests per second of one caller (key, else user, else address) under `/api/v1`; 0 = no limit.
    pub requests_per_second: u32,
    /// Requests that a caller may make at once after a pause.
    pub requests_burst: u32,
    /// Hash buckets that client addresses share, one allowance each: what bounds the table.
    pub client_buckets: usize,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpAddr>,
}

impl Default for RateLimitConfig {
    fn default() -> Self {
        Self { requests_per_second: 200, requests_burst: 400, client_buckets: 65_536, trusted_proxies: Vec::new() }
    }
}

impl RateLimitConfig {
    /// The limits as they stand.
    #[must_use]
    pub fn limits(&self) -> Vec<Limit> {
        let rate = |name, value: u32, meaning| Limit {
            name,
            value: (self.requests_per_second > 0).then_some(value.into()),
            unit: "requests",
            meaning,
        };
        vec![
            rate(
                "rest.requests_per_second",
                self.requests_per_second,
                "429 RATE_LIMITED with Retry-After, per key, else user, else address",
            ),
            rate("rest.requests_burst", self.requests_burst, "requests at once after a pause, per client"),
            rate(
                "rest.credentials_per_second",
                self.requests_per_second.saturating_mul(ATTEMPTS_FACTOR),
                "429 RATE_LIMITED: requests with a credential, of all callers of one address",
            ),
        ]
    }
}

/// Callers of one address that all send good credentials together may ask so many times as often as one of them.
const ATTEMPTS_FACTOR: u32 = 5;

/// Whose allowance a request takes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Who<'w> {
    /// Nobody who is known.
    Address(IpAddr),
    /// A person, by id.
    User(&'w str),
    /// A key, by id.
    Key(&'w str),
}

impl<'w> Who<'w> {
    /// The allowance of `principal`, or of the address of nobody.
    #[must_use]
    pub fn of(principal: &'w Principal, from: IpAddr) -> Self {
        match principal {
            Principal::Anonymous => Self::Address(from),
            Principal::User { user_id, .. } => Self::User(user_id),
            Principal::Key { key_id, .. } => Self::Key(key_id),
        }
    }

    /// An IPv6 subscriber counts as one.
    fn counted(self) -> Self {
        match self {
            Self::Address(address) => Self::Address(network(address)),
            known => known,
        }
    }
}

/// The rate limit of one process: all its ports count a caller together.
pub struct RateLimit {
    /// `None` = no limit.
    allowances: Option<Allowances>,
    /// Requests with a credential, by address.
    attempts: Option<Allowances>,
    trusted_proxies: Vec<IpAddr>,
    refused: AtomicU64,
}

impl RateLimit {
    /// Nothing asked yet.
    #[must_use]
    pub fn new(config: &RateLimitConfig) -> Arc<Self> {
        let attempts = RateLimitConfig {
            requests_per_second: config.requests_per_second.saturating_mul(ATTEMPTS_FACTOR),
            requests_burst: config.requests_burst.saturating_mul(ATTEMPTS_FACTOR),
            ..config.clone()
        };
        Arc::new(Self {
            allowances: Allowances::new(config, DefaultClock::default()),
            attempts: Allowances::new(&attempts, DefaultClock::default()),
            trusted_proxies: config.trusted_proxies.clone(),
            refused: AtomicU64::new(0),
        })
    }

    /// The address that a request comes from.
    #[must_use]
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        client(peer, headers, &self.trusted_proxies)
    }

    /// Takes one request out of an allowance; `None` when there is no limit, an error with the seconds to wait beyond it.
    pub(crate) fn take(&self, who: &Who<'_>) -> Option<Result<Allowed, u64>> {
        let taken = self.allowances.as_ref()?.take(who);
        if taken.is_err() {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        Some(taken)
    }

    /// Takes one request with a credential out of what an address may send.
    ///
    /// # Errors
    /// 429 beyond it.
    pub(crate) fn take_attempt(&self, from: IpAddr) -> Result<(), ApiError> {
        let Some(attempts) = &self.attempts else { return Ok(()) };
        attempts.take(&Who::Address(from)).map(drop).map_err(|wait_s| {
            self.refused.fetch_add(1, Ordering::Relaxed);
            Self::refusal(wait_s)
        })
    }

    /// 429 with the time to wait.
    pub(crate) fn refusal(wait_s: u64) -> ApiError {
        ApiError {
            details: json!({ "retry_after_seconds": wait_s }),
            retry_after_s: Some(wait_s),
            ..ApiError::new(
                StatusCode::TOO_MANY_REQUESTS,
                "RATE_LIMITED",
                format!("too many requests; try again in {wait_s} s (GET /api/v1/limits names the limit)"),
            )
        }
    }

    /// Says in headers what is left.
    pub(crate) fn describe(&self, allowed: &Result<Allowed, u64>, headers: &mut HeaderMap) {
        let Some(allowances) = &self.allowances else { return };
        let (remaining, reset_s) = match allowed {
            Ok(allowed) => (allowed.remaining, allowed.reset_s),
            Err(wait_s) => (0, *wait_s),
        };
        headers.insert("ratelimit-limit", allowances.header().into());
        headers.insert("ratelimit-remaining", remaining.into());
        headers.insert("ratelimit-reset", HeaderValue::from(reset_s));
    }

    /// Forgets the callers whose allowance is whole again. The runtime calls it about once a minute.
    pub fn sweep(&self) {
        for allowances in [&self.allowances, &self.attempts].into_iter().flatten() {
            allowances.sweep();
        }
    }
}

impl MetricSource for RateLimit {
    fn collect(&self, samples: &mut Vec<Sample>) {
        let refused = self.refused.load(Ordering::Relaxed);
        samples.push(Sample::counter("bist_http_rate_limited_total", "Requests refused with 429.", &[], refused));
    }
}

/// The allowances of all clients.
struct Allowances<C: Clock = DefaultClock> {
    limiter: RateLimiter<u64, HashMapStateStore<u64>, C, StateInformationMiddleware>,
    clock: C,
    hasher: RandomState,
    buckets: u64,
    burst: u32,
    per_second: u32,
}

/// What a request was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Allowed {
    /// Requests left at once.
    remaining: u32,
    /// Seconds until the allowance is whole again.
    reset_s: u64,
}

impl<C: Clock + Clone> Allowances<C> {
    /// `None` when there is no limit.
    fn new(config: &RateLimitConfig, clock: C) -> Option<Self> {
        let per_second = NonZeroU32::new(config.requests_per_second)?;
        let burst = NonZeroU32::new(config.requests_burst.max(1))?;
        let quota = Quota::per_second(per_second).allow_burst(burst);
        Some(Self {
            limiter: RateLimiter::new(quota, HashMapStateStore::default(), clock.clone()),
            clock,
            hasher: RandomState::new(),
            buckets: config.client_buckets.max(1) as u64,
            burst: burst.get(),
            per_second: per_second.get(),
        })
    }

    /// Takes one request out of the allowance of `who`.
    ///
    /// # Errors
    /// Seconds to wait, at least 1.
    fn take(&self, who: &Who<'_>) -> Result<Allowed, u64> {
        let bucket = self.hasher.hash_one(who.counted()) % self.buckets;
        match self.limiter.check_key(&bucket) {
            Ok(state) => {
                let remaining = state.remaining_burst_capacity();
                let used = u64::from(self.burst.saturating_sub(remaining));
                Ok(Allowed { remaining, reset_s: used.div_ceil(self.per_second.into()) })
            }
            Err(until) => Err(until.wait_time_from(self.clock.now()).as_secs() + 1),
        }
    }

    /// Forgets buckets whose allowance is whole again.
    fn sweep(&self) {
        self.limiter.retain_recent();
    }

    fn header(&self) -> u32 {
        self.burst
    }
}

/// The address itself for IPv4 (also inside IPv6), the /64 for IPv6.
fn network(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        v4 => v4,
    }
}

/// Who asks: the peer, or, when the peer is a trusted proxy, the last address of `X-Forwarded-For` that is not one.
#[must_use]
pub fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[IpAddr]) -> IpAddr {
    let peer = peer.to_canonical();
    if !trusted.contains(&peer) {
        return peer;
    }
    let named = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
    let mut hops: Vec<Option<IpAddr>> = named
        .flat_map(|list| list.split(','))
        .map(|hop| hop.trim().parse().ok().map(|ip: IpAddr| ip.to_canonical()))
        .collect();
    while let Some(hop) = hops.pop() {
        match hop {
            Some(hop) if trusted.contains(&hop) => {}
            Some(hop) => return hop,
            None => return peer, // what stands before something unreadable cannot be believed
        }
    }
    peer
}

#[cfg(test)]
mod tests {
    use super::*;
    use governor::clock::FakeRelativeClock;
    use std::time::Duration;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn at(text: &str) -> Who<'static> {
        Who::Address(ip(text))
    }

    #[test]
    fn an_allowance_is_used_up_and_comes_back() {
        let clock = FakeRelativeClock::default();
        let config = RateLimitConfig { requests_per_second: 2, requests_burst: 4, ..RateLimitConfig::default() };
        let allowances = Allowances::new(&config, clock.clone()).unwrap();
        let remaining: Vec<_> = (0..4).map(|_| allowances.take(&at("192.0.2.1")).unwrap().remaining).collect();
        assert_eq!(remaining, [3, 2, 1, 0]);
        assert_eq!(allowances.take(&at("192.0.2.1")), Err(1));
        assert!(allowances.take(&at("192.0.2.2")).is_ok(), "another client has its own");
        clock.advance(Duration::from_millis(500));
        assert_eq!(allowances.take(&at("::ffff:192.0.2.1")), Ok(Allowed { remaining: 0, reset_s: 2 }));
        assert!(allowances.take(&at("192.0.2.1")).is_err());
    }

    #[test]
    fn the_table_does_not_grow_with_clients() {
        let config =
            RateLimitConfig { client_buckets: 8, requests_per_second: 1_000_000, ..RateLimitConfig::default() };
        let allowances = Allowances::new(&config, FakeRelativeClock::default()).unwrap();
        for client in 0..10_000u32 {
            let _ = allowances.take(&Who::Address(IpAddr::V4(client.into())));
        }
        assert!(allowances.limiter.len() <= 8);
    }

    #[test]
    fn a_known_caller_takes_from_an_allowance_of_its_own() {
        let clock = FakeRelativeClock::default();
        let config = RateLimitConfig { requests_per_second: 1, requests_burst: 1, ..RateLimitConfig::default() };
        let allowances = Allowances::new(&config, clock).unwrap();
        for who in [at("192.0.2.1"), Who::User("a"), Who::Key("a")] {
            assert!(allowances.take(&who).is_ok(), "{who:?}");
            assert!(allowances.take(&who).is_err(), "{who:?}");
        }
    }

    #[test]
    fn an_ipv6_subscriber_is_one_client() {
        assert_eq!(network(ip("2001:db8::1")), network(ip("2001:db8::ffff:1")));
        assert_ne!(network(ip("2001:db8:0:1::1")), network(ip("2001:db8::1")));
    }

    #[test]
    fn a_forwarded_address_is_believed_only_from_a_trusted_proxy() {
        let mut headers = HeaderMap::new();
        headers.append("x-forwarded-for", "203.0.113.9, 198.51.100.7".parse().unwrap());
        headers.append("x-forwarded-for", "10.0.0.2".parse().unwrap());
        let trusted = [ip("10.0.0.1"), ip("10.0.0.2")];
        assert_eq!(client(ip("192.0.2.1"), &headers, &trusted), ip("192.0.2.1"));
        assert_eq!(client(ip("10.0.0.1"), &headers, &trusted), ip("198.51.100.7"));
        headers.append("x-forwarded-for", "not an address".parse().unwrap());
        assert_eq!(client(ip("10.0.0.1"), &headers, &trusted), ip("10.0.0.1"));
    }
}
