//! One database of one service: SQLite in the data folder, or a schema of PostgreSQL. Work runs in transactions that end
//! within a deadline, whatever the server does. Never shares SQL across services, never guesses how a COMMIT ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use sqlx::pool::Pool;
use sqlx::{Postgres, Sqlite};
use tokio::time::{Instant, timeout};

use crate::config::{ServiceName, StorageConfig};
use crate::error::{FromStore, RETRY_AFTER, StoreError};
use crate::folder::DataFolder;

mod open;
mod tx;

pub(crate) use open::{Single, postgres_options, sqlite_options, sqlite_path};
use open::{postgres_pool, sqlite_pools};
use tx::given_back;
pub use tx::{Held, Lent, Tx};

/// How often a transaction is tried that others were in the way of.
const ATTEMPTS_MAX: u32 = 3;

/// SQLite's COMMIT waits for this machine's disk, not for a server that may be gone: a slow disk is waited for.
const SQLITE_COMMIT_MAX: Duration = Duration::from_secs(10);

/// How long a health check waits.
const HEALTH_DEADLINE: Duration = Duration::from_millis(500);

/// Runs the same statement on whichever database a [`Tx`] is of; each arm is typed by its own database.
///
/// `$1`, `$2` … are understood by both. Where the text must differ, match on the [`Tx`].
///
/// ```ignore
/// let name: String = on_both!(tx, c => sqlx::query_scalar("SELECT name FROM users WHERE id = $1").bind(id).fetch_one(c))?;
/// ```
#[macro_export]
macro_rules! on_both {
    ($tx:expr, $connection:ident => $query:expr) => {
        match $tx {
            $crate::Tx::Sqlite(held) => {
                let $connection: &mut ::sqlx::SqliteConnection = held.connection();
                $query.await.map_err($crate::StoreError::from)
            }
            $crate::Tx::Postgres(held) => {
                let $connection: &mut ::sqlx::PgConnection = held.connection();
                $query.await.map_err($crate::StoreError::from)
            }
        }
    };
}

/// [`on_both!`] for a statement without rows: how many rows it changed.
///
/// ```ignore
/// let changed: u64 = execute_on_both!(tx, c => sqlx::query("DELETE FROM users WHERE id = $1").bind(id).execute(c))?;
/// ```
#[macro_export]
macro_rules! execute_on_both {
    ($tx:expr, $connection:ident => $query:expr) => {
        match $tx {
            $crate::Tx::Sqlite(held) => {
                let $connection: &mut ::sqlx::SqliteConnection = held.connection();
                $query.await.map(|done| done.rows_affected()).map_err($crate::StoreError::from)
            }
            $crate::Tx::Postgres(held) => {
                let $connection: &mut ::sqlx::PgConnection = held.connection();
                $query.await.map(|done| done.rows_affected()).map_err($crate::StoreError::from)
            }
        }
    };
}

/// The database of one service. Cloning is cheap; all clones share the pools.
#[derive(Clone, Debug)]
pub struct Database {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    service: ServiceName,
    pools: Pools,
    deadline: Duration,
    waiters_max: usize,
    waiting: AtomicUsize,
    disk_failed: AtomicBool,
    /// The last health check had no answer.
    away: AtomicBool,
    counters: Counters,
}

#[derive(Debug)]
enum Pools {
    /// SQLite has one writer whatever one does; with a pool of one, waiting for it is ours and bounded.
    Sqlite {
        writer: Pool<Sqlite>,
        readers: Pool<Sqlite>,
    },
    Postgres(Pool<Postgres>),
}

#[derive(Debug, Default)]
struct Counters {
    acquired: AtomicU64,
    waited_us: AtomicU64,
    refused: AtomicU64,
    timed_out: AtomicU64,
    retried: AtomicU64,
    outcome_unknown: AtomicU64,
}

/// What the pools have done since the start, and how they are now. For metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolStats {
    /// Connections open now.
    pub connections: u32,
    /// Of these, those that nobody uses.
    pub idle: u32,
    /// Callers that wait for one now.
    pub waiting: u32,
    /// Connections handed out.
    pub acquired: u64,
    /// Time that callers waited for a connection, all together, microseconds.
    pub waited_us: u64,
    /// Callers refused at once because `waiters_max` waited already.
    pub refused: u64,
    /// Transactions given up at the deadline.
    pub timed_out: u64,
    /// Transactions tried again after contention.
    pub retried: u64,
    /// COMMITs whose outcome is not known.
    pub outcome_unknown: u64,
}

/// Which kind of database it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file.
    Sqlite,
    /// A server.
    Postgres,
}

impl Database {
    /// Opens the pools. Looks at nothing inside: [`crate::Store::open`] also migrates and checks.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the server does not answer within the deadline.
    pub async fn connect(
        config: &StorageConfig,
        service: ServiceName,
        folder: &DataFolder,
    ) -> Result<Self, StoreError> {
        let pools = match &config.postgres_url {
            Some(url) => Pools::Postgres(postgres_pool(config, service, url).await?),
            None => sqlite_pools(config, service, folder).await?,
        };
        let inner = Inner {
            service,
            pools,
            deadline: config.deadline,
            waiters_max: config.waiters_max,
            waiting: AtomicUsize::new(0),
            disk_failed: AtomicBool::new(false),
            away: AtomicBool::new(false),
            counters: Counters::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Whose database it is.
    pub fn service(&self) -> ServiceName {
        self.inner.service
    }

    /// Which kind it is.
    pub fn kind(&self) -> Kind {
        match self.inner.pools {
            Pools::Sqlite { .. } => Kind::Sqlite,
            Pools::Postgres(_) => Kind::Postgres,
        }
    }

    /// Reads in one snapshot; writes inside are refused by the database. Answers within the deadline.
    ///
    /// # Errors
    /// What the work says; [`StoreError::Unavailable`] at the deadline or when too many wait.
    pub async fn read<T, E, F, Work>(&self, work: F) -> Result<T, E>
    where
        F: FnOnce(Lent) -> Work,
        Work: Future<Output = Result<T, E>>,
        E: FromStore,
    {
        let begin = match self.kind() {
            Kind::Sqlite => "BEGIN",
            Kind::Postgres => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        };
        let whole = async {
            let (lent, home) = Lent::new(self.begin(begin, false).await?);
            let answer = work(lent).await;
            // Nothing to keep either way; an answer that was read is good even when the end is not.
            let _ = given_back(&home)?.end("ROLLBACK").await;
            answer
        };
        match timeout(self.inner.deadline, whole).await {
            Ok(answer) => answer,
            Err(_elapsed) => Err(self.timed_out().into()),
        }
    }

    /// Writes in one transaction that is committed when the work returns `Ok`. The work may run up to three times, each
    /// time from nothing, and must therefore have no effect but through `tx`. PostgreSQL: READ COMMITTED; lock rows
    /// that a decision rests on (`SELECT … FOR UPDATE`).
    ///
    /// # Errors
    /// What the work says; [`StoreError::Unavailable`] when nothing was done; [`StoreError::OutcomeUnknown`] when the
    /// COMMIT was sent and not answered.
    pub async fn write<T, E, F, Work>(&self, work: F) -> Result<T, E>
    where
        F: Fn(Lent) -> Work,
        Work: Future<Output = Result<T, E>>,
        E: FromStore,
    {
        let end = Instant::now() + self.inner.deadline;
        let mut attempt = 1;
        loop {
            let answer = self.write_once(&work, end).await;
            let contended = |error: &E| matches!(error.store_error(), Some(StoreError::Contended));
            if !answer.as_ref().is_err_and(contended) || attempt == ATTEMPTS_MAX {
                return answer;
            }
            self.inner.counters.retried.fetch_add(1, Ordering::Relaxed);
            // Those that met must not meet again at once: 0 to 16 ms, longer each time.
            let jitter_ms = uuid::Uuid::new_v4().as_u128() as u64 % (8 << attempt);
            tokio::time::sleep(Duration::from_millis(jitter_ms)).await;
            attempt += 1;
        }
    }

    async fn write_once<T, E, F, Work>(&self, work: &F, end: Instant) -> Result<T, E>
    where
        F: Fn(Lent) -> Work,
        Work: Future<Output = Result<T, E>>,
        E: FromStore,
    {
        if self.inner.disk_failed.load(Ordering::Relaxed) {
            return Err(StoreError::Disk("an earlier write failed".to_owned()).into());
        }
        let begin = match self.kind() {
            // Takes the write lock at once: a transaction that reads first could otherwise not be tried again inside.
            Kind::Sqlite => "BEGIN IMMEDIATE",
            Kind::Postgres => "BEGIN ISOLATION LEVEL READ COMMITTED",
        };
        let before_commit = async {
            let (lent, home) = Lent::new(self.begin(begin, true).await?);
            let answer = work(lent).await;
            let mut tx = given_back(&home)?;
            match answer {
                Ok(value) => Ok((tx, value)),
                Err(error) => {
                    let _ = tx.end("ROLLBACK").await;
                    Err(error)
                }
            }
        };
        match tokio::time::timeout_at(end, before_commit).await {
            Ok(Ok((tx, value))) => self.commit(tx).await.map(|()| value).map_err(E::from),
            Ok(Err(error)) => {
                if let Some(error) = error.store_error() {
                    self.note(error);
                }
                Err(error)
            }
            Err(_elapsed) => Err(self.timed_out().into()),
        }
    }

    async fn commit(&self, mut tx: Tx) -> Result<(), StoreError> {
        let deadline = match self.kind() {
            Kind::Sqlite => SQLITE_COMMIT_MAX,
            Kind::Postgres => self.inner.deadline,
        };
        let error = match timeout(deadline, tx.end("COMMIT")).await {
            Ok(Ok(())) => return Ok(()),
            // The connection went away between our word and the server's answer.
            Ok(Err(StoreError::Unavailable { .. })) | Err(_) => StoreError::OutcomeUnknown,
            Ok(Err(error)) => error,
        };
        if matches!(error, StoreError::OutcomeUnknown) {
            self.inner.counters.outcome_unknown.fetch_add(1, Ordering::Relaxed);
        }
        self.note(&error);
        Err(error)
    }

    /// A disk that failed once is not written to again: after a failed `fsync` the kernel calls the lost pages clean, so
    /// the next one would succeed over a hole.
    fn note(&self, error: &StoreError) {
        if matches!(error, StoreError::Disk(_)) && !self.inner.disk_failed.swap(true, Ordering::Relaxed) {
            tracing::error!(service = %self.inner.service, %error, "nothing more is written until a restart");
        }
    }

    async fn begin(&self, statement: &'static str, write: bool) -> Result<Tx, StoreError> {
        let mut tx = self.acquire(write).await?;
        tx.run(statement).await?;
        Ok(tx)
    }

    async fn acquire(&self, write: bool) -> Result<Tx, StoreError> {
        let counters = &self.inner.counters;
        let Some(_waiting) = Waiting::enter(&self.inner.waiting, self.inner.waiters_max) else {
            counters.refused.fetch_add(1, Ordering::Relaxed);
            return Err(StoreError::away(format!("the database of {} (too many wait)", self.inner.service)));
        };
        let start = Instant::now();
        let tx = match &self.inner.pools {
            Pools::Sqlite { writer, .. } if write => Tx::Sqlite(Held::new(writer.acquire().await?)),
            Pools::Sqlite { readers, .. } => Tx::Sqlite(Held::new(readers.acquire().await?)),
            Pools::Postgres(pool) => Tx::Postgres(Held::new(pool.acquire().await?)),
        };
        counters.acquired.fetch_add(1, Ordering::Relaxed);
        counters.waited_us.fetch_add(start.elapsed().as_micros() as u64, Ordering::Relaxed);
        Ok(tx)
    }

    fn timed_out(&self) -> StoreError {
        self.inner.counters.timed_out.fetch_add(1, Ordering::Relaxed);
        StoreError::Unavailable { what: format!("the database of {}", self.inner.service), retry_after: RETRY_AFTER }
    }

    /// Whether the database answers, within half a second.
    pub async fn health(&self) -> Result<(), StoreError> {
        if self.inner.disk_failed.load(Ordering::Relaxed) {
            return Err(StoreError::Disk("an earlier write failed".to_owned()));
        }
        let ask = self.read(|mut tx| async move {
            let tx = &mut *tx;
            execute_on_both!(tx, c => sqlx::query("SELECT 1").execute(c)).map(drop)
        });
        let answer = timeout(HEALTH_DEADLINE, ask).await.unwrap_or_else(|_elapsed| Err(self.timed_out()));
        self.inner.away.store(answer.is_err(), Ordering::Relaxed);
        answer
    }

    /// Whether a write has failed on the disk: nothing more is written until a restart.
    pub fn has_disk_failed(&self) -> bool {
        self.inner.disk_failed.load(Ordering::Relaxed)
    }

    /// Whether the last [`Database::health`] had no answer. Asks nobody.
    pub fn is_away(&self) -> bool {
        self.inner.away.load(Ordering::Relaxed)
    }

    /// What the pools have done, and how they are.
    pub fn stats(&self) -> PoolStats {
        let (connections, idle) = match &self.inner.pools {
            Pools::Sqlite { writer, readers } => {
                (writer.size() + readers.size(), writer.num_idle() + readers.num_idle())
            }
            Pools::Postgres(pool) => (pool.size(), pool.num_idle()),
        };
        let counters = &self.inner.counters;
        PoolStats {
            connections,
            idle: idle as u32,
            waiting: self.inner.waiting.load(Ordering::Relaxed) as u32,
            acquired: counters.acquired.load(Ordering::Relaxed),
            waited_us: counters.waited_us.load(Ordering::Relaxed),
            refused: counters.refused.load(Ordering::Relaxed),
            timed_out: counters.timed_out.load(Ordering::Relaxed),
            retried: counters.retried.load(Ordering::Relaxed),
            outcome_unknown: counters.outcome_unknown.load(Ordering::Relaxed),
        }
    }

    /// Ends all connections; what runs is waited for, up to `grace`.
    pub async fn close(&self, grace: Duration) {
        let close = async {
            match &self.inner.pools {
                Pools::Sqlite { writer, readers } => {
                    readers.close().await;
                    writer.close().await;
                }
                Pools::Postgres(pool) => pool.close().await,
            }
        };
        if timeout(grace, close).await.is_err() {
            tracing::warn!(service = %self.inner.service, "connections to the database were cut at the end");
        }
    }
}

/// One caller that waits for a connection; leaves when dropped, also by a time-out.
struct Waiting<'c>(&'c AtomicUsize);

impl<'c> Waiting<'c> {
    fn enter(count: &'c AtomicUsize, waiters_max: usize) -> Option<Self> {
        if count.fetch_add(1, Ordering::Relaxed) >= waiters_max {
            count.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Self(count))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
