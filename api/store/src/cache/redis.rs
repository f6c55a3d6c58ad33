//! Short-lived values and rate limits shared through one Redis server. Every call ends within a quarter of a second. When
//! the server fails, callers are told at once, and one of them alone tries again after a pause. Sentinel and cluster
//! addresses are refused with words.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, FromRedisValue, RedisError, Script};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::{Instant, timeout};

use super::{Claim, RateLimit, ShortLived, Verdict};
use crate::error::StoreError;

/// How long a command may take.
const COMMAND_MAX: Duration = Duration::from_millis(250);

/// How long a connection may take.
const CONNECT_MAX: Duration = Duration::from_millis(500);

/// Pause after a failure; up to half of it is added at random, so that replicas do not come back all at once.
const PAUSE: Duration = Duration::from_secs(1);

/// Starts all keys of ours: the server may have other users.
const PREFIX: &str = "bist:";

/// GCRA with the server's own clock, which all replicas share. Returns {1, remaining} or {0, microseconds to wait}.
/// A key ends by itself when its bucket is full again.
const COUNT: &str = r"
local interval, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local full_again = tonumber(redis.call('GET', KEYS[1]) or now)
local ahead = math.max(full_again - now, 0)
local tolerance = interval * (burst - 1)
if ahead > tolerance then return {0, ahead - tolerance} end
ahead = ahead + interval
redis.call('SET', KEYS[1], string.format('%.0f', now + ahead), 'PX', math.ceil(ahead / 1000) + 1)
return {1, math.floor((tolerance + interval - ahead) / interval)}
";

/// The shared place.
pub struct RedisStore {
    client: Client,
    count: Script,
    link: Mutex<Link>,
    /// Set while one caller connects.
    connecting: AtomicBool,
}

#[derive(Default)]
struct Link {
    connection: Option<MultiplexedConnection>,
    /// Not before then; `None` before the first failure.
    retry_at: Option<Instant>,
    away: bool,
}

impl std::fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisStore").field("away", &self.is_away()).finish_non_exhaustive()
    }
}

impl RedisStore {
    /// Connects at the first use.
    ///
    /// # Errors
    /// [`StoreError::Refused`] for anything but the URL of one server.
    pub fn new(url: &SecretString) -> Result<Self, StoreError> {
        let client = Client::open(url.expose_secret()).map_err(|_| {
            // Without the client's words, which may quote the URL and with it the password.
            let words =
                "storage.redis_url is not the URL of one server (redis:// or rediss://; no Sentinel, no cluster)";
            StoreError::Refused(words.to_owned())
        })?;
        let count = Script::new(COUNT);
        Ok(Self { client, count, link: Mutex::default(), connecting: AtomicBool::new(false) })
    }

    /// Whether the last attempt failed.
    pub fn is_away(&self) -> bool {
        self.link().away
    }

    fn link(&self) -> MutexGuard<'_, Link> {
        // OK because each field stands for itself.
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, StoreError> {
        let mut connection = self.connection().await?;
        let answer = timeout(COMMAND_MAX, command.query_async(&mut connection)).await;
        self.settle(answer)
    }

    fn settle<T>(&self, answer: Result<Result<T, RedisError>, tokio::time::error::Elapsed>) -> Result<T, StoreError> {
        let reason = match answer {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => error.to_string(),
            Err(_elapsed) => format!("no answer within {} ms", COMMAND_MAX.as_millis()),
        };
        Err(self.failed(&reason))
    }

    /// From now on callers are told at once, until the pause is over.
    fn failed(&self, reason: &str) -> StoreError {
        let pause = PAUSE + Duration::from_millis((uuid::Uuid::new_v4().as_u128() % 500) as u64);
        let mut link = self.link();
        link.connection = None;
        link.retry_at = Some(Instant::now() + pause);
        if !std::mem::replace(&mut link.away, true) {
            tracing::warn!(reason, "Redis is away: limits are local and halved, short-lived values are not shared");
        }
        StoreError::Unavailable { what: "Redis".to_owned(), retry_after: pause }
    }

    async fn connection(&self) -> Result<MultiplexedConnection, StoreError> {
        let retry_at = {
            let link = self.link();
            if let Some(connection) = &link.connection {
                return Ok(connection.clone());
            }
            link.retry_at
        };
        if let Some(wait) =
            retry_at.map(|at| at.saturating_duration_since(Instant::now())).filter(|wait| !wait.is_zero())
        {
            return Err(StoreError::Unavailable { what: "Redis".to_owned(), retry_after: wait });
        }
        let Some(_alone) = Alone::enter(&self.connecting) else {
            return Err(StoreError::away("Redis"));
        };
        // Another may have connected between the look above and now.
        let connected = self.link().connection.clone();
        match connected {
            Some(connection) => Ok(connection),
            None => self.connect().await,
        }
    }

    async fn connect(&self) -> Result<MultiplexedConnection, StoreError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_MAX))
            .set_response_timeout(Some(COMMAND_MAX));
        let connect = self.client.get_multiplexed_async_connection_with_config(&config);
        match timeout(CONNECT_MAX, connect).await {
            Ok(Ok(connection)) => {
                let mut link = self.link();
                link.connection = Some(connection.clone());
                if std::mem::replace(&mut link.away, false) {
                    tracing::info!("Redis is back: limits and short-lived values are shared again");
                }
                Ok(connection)
            }
            Ok(Err(error)) => Err(self.failed(&error.to_string())),
            Err(_elapsed) => Err(self.failed("no connection within half a second")),
        }
    }
}

/// The one caller that connects; leaves when dropped, also when it is given up.
struct Alone<'f>(&'f AtomicBool);

impl<'f> Alone<'f> {
    fn enter(flag: &'f AtomicBool) -> Option<Self> {
        // Made only when it is the first: one that is made in vain would free the place when it is dropped.
        (!flag.swap(true, Ordering::Acquire)).then(|| Self(flag))
    }
}

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

fn value_key(key: &str) -> String {
    format!("{PREFIX}v:{key}")
}

fn command(name: &str, key: &str) -> Cmd {
    let mut command = redis::cmd(name);
    command.arg(value_key(key));
    command
}

fn milliseconds(ttl: Duration) -> u64 {
    u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).max(1)
}

impl ShortLived for RedisStore {
    async fn put(&self, key: &str, value: &[u8], ttl: Duration) -> Result<(), StoreError> {
        self.ask(command("SET", key).arg(value).arg("PX").arg(milliseconds(ttl))).await
    }

    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.ask(&command("GET", key)).await
    }

    async fn take(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.ask(&command("GETDEL", key)).await
    }

    async fn remove(&self, key: &str) -> Result<(), StoreError> {
        self.ask::<i64>(&command("DEL", key)).await.map(drop)
    }

    async fn claim(&self, key: &str, ttl: Duration) -> Result<Claim, StoreError> {
        let mut claim = command("SET", key);
        claim.arg("").arg("NX").arg("PX").arg(milliseconds(ttl));
        let set: Option<String> = self.ask(&claim).await?;
        Ok(if set.is_some() { Claim::Fresh } else { Claim::Taken })
    }

    async fn count(&self, limit: &RateLimit, key: &str) -> Result<Verdict, StoreError> {
        let mut connection = self.connection().await?;
        let mut script = self.count.key(format!("{PREFIX}r:{}:{key}", limit.name));
        script.arg(limit.interval_us()).arg(limit.burst.max(1));
        let answer = timeout(COMMAND_MAX, script.invoke_async(&mut connection)).await;
        let (allowed, number): (i64, u64) = self.settle(answer)?;
        Ok(match allowed {
            1 => Verdict::Allowed { remaining: u32::try_from(number).unwrap_or(u32::MAX) },
            _ => Verdict::Refused { retry_after: Duration::from_micros(number) },
        })
    }
}
