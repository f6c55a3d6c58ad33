//! What must be told to others because a transaction committed, and only then: appended inside that transaction, read
//! afterwards by position. At least once: a reader that stops between telling and [`advance`] tells again.
//! Never tells anybody itself.

use crate::database::Tx;
use crate::error::StoreError;
use crate::{execute_on_both, on_both};

/// Messages that may wait for the slowest reader. At the bound appends are refused, and with them what they report:
/// better no order than one that nobody hears of.
pub const WAITING_MAX: i64 = 1_000_000;

/// Bytes of one payload, 64 KiB. A longer one is refused.
pub const PAYLOAD_BYTES_MAX: usize = 64 << 10;

/// Messages of one [`read`]. More are cut off and come with the next.
pub const BATCH_MAX: u32 = 1_000;

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// 1, 2, 3, … without holes, in the order of the commits.
    pub position: i64,
    /// What it is about.
    pub topic: String,
    /// Messages of one key keep their order when they are passed on.
    pub key: String,
    /// JSON.
    pub payload: String,
    /// When it was appended, milliseconds of Unix time.
    pub at_ms: i64,
}

/// Appends a message; it exists when the caller's transaction commits. Returns its position.
///
/// # Errors
/// [`StoreError::Full`] when [`WAITING_MAX`] wait, [`StoreError::Refused`] for a payload that is too long.
pub async fn append(tx: &mut Tx, topic: &str, key: &str, payload: &str, now_ms: i64) -> Result<i64, StoreError> {
    if payload.len() > PAYLOAD_BYTES_MAX {
        return Err(StoreError::Refused(format!("an outbox message has at most {PAYLOAD_BYTES_MAX} bytes")));
    }
    // The head's row is locked to the end of the transaction: positions become visible in their own order, and a reader
    // cannot step over one that is not committed yet.
    let position: i64 = on_both!(tx, c => sqlx::query_scalar(
        "UPDATE outbox_head SET position = position + 1 WHERE id = 1 RETURNING position"
    ).fetch_one(c))?;
    let oldest: Option<i64> = on_both!(tx, c => sqlx::query_scalar("SELECT min(position) FROM outbox").fetch_one(c))?;
    if oldest.is_some_and(|oldest| position - oldest >= WAITING_MAX) {
        return Err(StoreError::Full { what: "the outbox", remedy: "see which reader has stopped" });
    }
    execute_on_both!(tx, c => sqlx::query(
        "INSERT INTO outbox (position, topic, key, payload, at_ms) VALUES ($1, $2, $3, $4, $5)"
    ).bind(position).bind(topic).bind(key).bind(payload).bind(now_ms).execute(c))?;
    Ok(position)
}

/// Makes a reader known, at the beginning. Messages are kept until every known reader has advanced over them.
pub async fn register(tx: &mut Tx, reader: &str) -> Result<(), StoreError> {
    execute_on_both!(tx, c => sqlx::query(
        "INSERT INTO outbox_readers (name, position) VALUES ($1, 0) ON CONFLICT (name) DO NOTHING"
    ).bind(reader).execute(c))
    .map(drop)
}

/// The next messages of a reader, oldest first, at most `limit` and [`BATCH_MAX`].
///
/// # Errors
/// [`StoreError::NotFound`] for a reader that is not registered.
pub async fn read(tx: &mut Tx, reader: &str, limit: u32) -> Result<Vec<Message>, StoreError> {
    let position = position(tx, reader).await?;
    let rows: Vec<(i64, String, String, String, i64)> = on_both!(tx, c => sqlx::query_as(
        "SELECT position, topic, key, payload, at_ms FROM outbox WHERE position > $1 ORDER BY position LIMIT $2"
    ).bind(position).bind(i64::from(limit.min(BATCH_MAX))).fetch_all(c))?;
    let message = |(position, topic, key, payload, at_ms)| Message { position, topic, key, payload, at_ms };
    Ok(rows.into_iter().map(message).collect())
}

/// The last position that a reader has dealt with.
pub async fn position(tx: &mut Tx, reader: &str) -> Result<i64, StoreError> {
    on_both!(tx, c => sqlx::query_scalar("SELECT position FROM outbox_readers WHERE name = $1").bind(reader).fetch_one(c))
}

/// Says that a reader has dealt with everything up to `position`. Never goes back.
///
/// # Errors
/// [`StoreError::Refused`] for a position that was not appended yet, [`StoreError::NotFound`] for an unknown reader.
pub async fn advance(tx: &mut Tx, reader: &str, to: i64) -> Result<(), StoreError> {
    let head: i64 = on_both!(tx, c => sqlx::query_scalar("SELECT position FROM outbox_head").fetch_one(c))?;
    if to > head {
        return Err(StoreError::Refused(format!("the outbox ends at {head}, before {to}")));
    }
    let before = position(tx, reader).await?;
    execute_on_both!(tx, c => sqlx::query("UPDATE outbox_readers SET position = $2 WHERE name = $1")
        .bind(reader).bind(to.max(before)).execute(c))
    .map(drop)
}

/// Deletes what every registered reader has dealt with, at most [`BATCH_MAX`] messages. Returns how many.
pub async fn prune(tx: &mut Tx) -> Result<u64, StoreError> {
    let slowest: Option<i64> =
        on_both!(tx, c => sqlx::query_scalar("SELECT min(position) FROM outbox_readers").fetch_one(c))?;
    let oldest: Option<i64> = on_both!(tx, c => sqlx::query_scalar("SELECT min(position) FROM outbox").fetch_one(c))?;
    let (Some(slowest), Some(oldest)) = (slowest, oldest) else { return Ok(0) };
    let to = slowest.min(oldest + i64::from(BATCH_MAX) - 1);
    match tx {
        Tx::Sqlite(held) => {
            let done =
                sqlx::query("DELETE FROM outbox WHERE position <= ?1").bind(to).execute(held.connection()).await?;
            Ok(done.rows_affected())
        }
        Tx::Postgres(held) => {
            let done =
                sqlx::query("DELETE FROM outbox WHERE position <= $1").bind(to).execute(held.connection()).await?;
            Ok(done.rows_affected())
        }
    }
}
