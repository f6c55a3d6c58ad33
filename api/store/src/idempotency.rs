//! The same request twice has one effect and one answer: the first answer to a key is kept and given again. A key in
//! flight is never released by a time-out, because nobody knows then whether its effect took place.

use aws_lc_rs::digest::{SHA256, digest};

use crate::database::Tx;
use crate::error::StoreError;
use crate::on_both;

/// Bytes of a key. A longer one is refused.
pub const KEY_BYTES_MAX: usize = 255;

/// Bytes of an answer that is kept, 256 KiB. A longer one is refused.
pub const ANSWER_BYTES_MAX: usize = 256 << 10;

/// The answer to the first request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its status, in the caller's own numbers.
    pub status: u16,
    /// Its bytes.
    pub body: Vec<u8>,
}

/// What a key is when a request comes with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begun {
    /// Seen for the first time: do it, then [`finish`].
    First,
    /// Done before: give this again.
    Done(Answer),
    /// Used before with another body.
    OtherBody,
    /// The first request has no answer yet.
    InFlight,
}

/// Claims a key. `scope` keeps users and routes apart. In a transaction of its own it also stops a second request that
/// comes before the first is done; in the effect's own transaction the second waits for the first.
///
/// # Errors
/// [`StoreError::Refused`] for a key of no or too many bytes.
pub async fn begin(tx: &mut Tx, scope: &str, key: &str, body: &[u8], now_ms: i64) -> Result<Begun, StoreError> {
    if key.is_empty() || key.len() > KEY_BYTES_MAX {
        return Err(StoreError::Refused(format!("an idempotency key has 1 to {KEY_BYTES_MAX} bytes")));
    }
    let body_hash = digest(&SHA256, body);
    let inserted: Option<i64> = on_both!(tx, c => sqlx::query_scalar(
        "INSERT INTO idempotency (scope, key, body_hash, started_ms) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (scope, key) DO NOTHING RETURNING started_ms"
    ).bind(scope).bind(key).bind(body_hash.as_ref()).bind(now_ms).fetch_optional(c))?;
    if inserted.is_some() {
        return Ok(Begun::First);
    }
    let (known_hash, status, answer): (Vec<u8>, Option<i64>, Option<Vec<u8>>) = on_both!(tx, c => sqlx::query_as(
        "SELECT body_hash, status, answer FROM idempotency WHERE scope = $1 AND key = $2"
    ).bind(scope).bind(key).fetch_one(c))?;
    if known_hash != body_hash.as_ref() {
        return Ok(Begun::OtherBody);
    }
    Ok(match (status.and_then(|status| u16::try_from(status).ok()), answer) {
        (Some(status), Some(body)) => Begun::Done(Answer { status, body }),
        _ => Begun::InFlight,
    })
}

/// Keeps the answer. In the effect's transaction, so that there is no effect without its answer.
///
/// # Errors
/// [`StoreError::NotFound`] for a key that is not in flight, [`StoreError::Refused`] for an answer that is too long.
pub async fn finish(tx: &mut Tx, scope: &str, key: &str, answer: &Answer, now_ms: i64) -> Result<(), StoreError> {
    if answer.body.len() > ANSWER_BYTES_MAX {
        return Err(StoreError::Refused(format!("an answer that is kept has at most {ANSWER_BYTES_MAX} bytes")));
    }
    let finished: Option<i64> = on_both!(tx, c => sqlx::query_scalar(
        "UPDATE idempotency SET finished_ms = $3, status = $4, answer = $5 \
         WHERE scope = $1 AND key = $2 AND finished_ms IS NULL RETURNING finished_ms"
    ).bind(scope).bind(key).bind(now_ms).bind(i64::from(answer.status)).bind(&answer.body).fetch_optional(c))?;
    finished.map(drop).ok_or(StoreError::NotFound)
}

/// Gives a key back whose request had no effect, *known* and not assumed: a refusal before anything was done.
///
/// # Errors
/// [`StoreError::NotFound`] for a key that is not in flight.
pub async fn release(tx: &mut Tx, scope: &str, key: &str) -> Result<(), StoreError> {
    let released: Option<i64> = on_both!(tx, c => sqlx::query_scalar(
        "DELETE FROM idempotency WHERE scope = $1 AND key = $2 AND finished_ms IS NULL RETURNING started_ms"
    ).bind(scope).bind(key).fetch_optional(c))?;
    released.map(drop).ok_or(StoreError::NotFound)
}

/// Keys in flight since before `before_ms` as (scope, key), oldest first, at most 1,000: after a crash their owner finds
/// out what became of them and finishes or releases each.
pub async fn in_flight(tx: &mut Tx, before_ms: i64) -> Result<Vec<(String, String)>, StoreError> {
    on_both!(tx, c => sqlx::query_as(
        "SELECT scope, key FROM idempotency WHERE finished_ms IS NULL AND started_ms < $1 \
         ORDER BY started_ms, scope, key LIMIT 1000"
    ).bind(before_ms).fetch_all(c))
}

/// Forgets keys that were finished before `before_ms`, never one in flight. Returns how many.
pub async fn prune(tx: &mut Tx, before_ms: i64) -> Result<u64, StoreError> {
    const FINISHED: &str = "DELETE FROM idempotency WHERE finished_ms < $1";
    Ok(match tx {
        Tx::Sqlite(held) => sqlx::query(FINISHED).bind(before_ms).execute(held.connection()).await?.rows_affected(),
        Tx::Postgres(held) => sqlx::query(FINISHED).bind(before_ms).execute(held.connection()).await?.rows_affected(),
    })
}
