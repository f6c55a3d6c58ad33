//! Who did what, in a chain: each row's hash covers the row and the hash before it, so that a change, a deletion or an
//! exchange of rows shows. Rows name people by pseudonyms alone and are never changed or deleted, by triggers too.
//! Against somebody who may rewrite the whole table the chain helps only with a hash kept elsewhere: see [`head`].

use std::io::Write;

use aws_lc_rs::digest::{Context, SHA256};
use serde::Serialize;

use crate::database::{Database, Tx};
use crate::error::StoreError;
use crate::{execute_on_both, on_both};

/// Bytes of `actor`, `action` and `subject` each. A longer one is refused.
pub const NAME_BYTES_MAX: usize = 128;

/// Bytes of `details` as JSON, 16 KiB. Longer ones are refused.
pub const DETAILS_BYTES_MAX: usize = 16 << 10;

/// Rows of one batch of a verification or export; each batch is a read of its own, so that a long chain holds nothing up.
const BATCH: i64 = 500;

/// Starts what is hashed, so that no hash of anything else can stand for one of ours.
const DOMAIN: &[u8] = b"bist-audit-1";

/// What is to be recorded.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'e> {
    /// Pseudonymous id of who did it: a user's or key's UUID, or a service's name. Never an e-mail or a name.
    pub actor: &'e str,
    /// What was done, such as `user.login`.
    pub action: &'e str,
    /// Pseudonymous id of what it was done to.
    pub subject: &'e str,
    /// More, without anything that names a person.
    pub details: &'e serde_json::Value,
    /// When, milliseconds of Unix time.
    pub at_ms: i64,
}

/// A row of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// 1, 2, 3, … without holes.
    pub seq: i64,
    /// When, milliseconds of Unix time.
    pub at_ms: i64,
    /// See [`Entry::actor`].
    pub actor: String,
    /// See [`Entry::action`].
    pub action: String,
    /// See [`Entry::subject`].
    pub subject: String,
    /// JSON, byte for byte as hashed.
    pub details: String,
    /// The hash of the row before, 64 hexadecimal digits; zeros at the first.
    pub previous_hash: String,
    /// This row's hash, 64 hexadecimal digits.
    pub hash: String,
}

/// The first fault of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "fault", rename_all = "snake_case")]
pub enum Fault {
    /// The row's content is not what was hashed.
    #[error("row {seq} was changed")]
    Changed {
        /// Its number.
        seq: i64,
    },
    /// The row is not there.
    #[error("row {seq} was deleted")]
    Deleted {
        /// Its number.
        seq: i64,
    },
    /// The row does not continue the one before: rows were exchanged, or the one before was rewritten with its hash.
    #[error("row {seq} does not follow the row before it: rows were reordered")]
    Reordered {
        /// Its number.
        seq: i64,
    },
}

/// What a verification found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Rows that were read.
    pub rows: i64,
    /// The hash of the last, 64 hexadecimal digits.
    pub head: String,
    /// The first fault, if there is one.
    pub fault: Option<Fault>,
}

/// Appends a row in the caller's transaction: what is done and that it was done are one. Returns its number.
///
/// # Errors
/// [`StoreError::Refused`] for a field that is too long.
pub async fn append(tx: &mut Tx, entry: Entry<'_>) -> Result<i64, StoreError> {
    let details = entry.details.to_string();
    for (name, length, max) in [
        ("actor", entry.actor.len(), NAME_BYTES_MAX),
        ("action", entry.action.len(), NAME_BYTES_MAX),
        ("subject", entry.subject.len(), NAME_BYTES_MAX),
        ("details", details.len(), DETAILS_BYTES_MAX),
    ] {
        if length > max {
            return Err(StoreError::Refused(format!("{name} of an audit row has at most {max} bytes")));
        }
    }
    // The head's row is locked to the end of the transaction: a chain grows at one end, by one at a time.
    let (last, previous): (i64, Vec<u8>) = match tx {
        Tx::Sqlite(held) => {
            sqlx::query_as("SELECT seq, hash FROM audit_head WHERE id = 1").fetch_one(held.connection()).await?
        }
        Tx::Postgres(held) => {
            let head = "SELECT seq, hash FROM audit_head WHERE id = 1 FOR UPDATE";
            sqlx::query_as(head).fetch_one(held.connection()).await?
        }
    };
    let seq = last + 1;
    let hash = hash(&previous, seq, entry.at_ms, [entry.actor, entry.action, entry.subject, &details]);
    execute_on_both!(tx, c => sqlx::query(
        "INSERT INTO audit (seq, at_ms, actor, action, subject, details, previous_hash, hash) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
    ).bind(seq).bind(entry.at_ms).bind(entry.actor).bind(entry.action).bind(entry.subject).bind(&details)
        .bind(&previous).bind(&hash[..]).execute(c))?;
    execute_on_both!(tx, c => sqlx::query("UPDATE audit_head SET seq = $1, hash = $2 WHERE id = 1")
        .bind(seq).bind(&hash[..]).execute(c))?;
    Ok(seq)
}

/// The end of the chain: number and hash of the last row. Kept elsewhere, it proves later that nothing up to it changed.
pub async fn head(tx: &mut Tx) -> Result<(i64, String), StoreError> {
    let (seq, hash): (i64, Vec<u8>) =
        on_both!(tx, c => sqlx::query_as("SELECT seq, hash FROM audit_head WHERE id = 1").fetch_one(c))?;
    Ok((seq, hex(&hash)))
}

/// Rows after `after`, oldest first, at most 500.
pub async fn rows(tx: &mut Tx, after: i64) -> Result<Vec<Row>, StoreError> {
    Ok(raw_rows(tx, after).await?.into_iter().map(Row::from).collect())
}

/// Walks the whole chain and names the first row that was changed, deleted or reordered.
pub async fn verify(database: &Database) -> Result<Verified, StoreError> {
    let (end, end_hash) = database
        .read(|mut tx| async move {
            let tx = &mut *tx;
            head(tx).await
        })
        .await?;
    let (mut seq, mut previous) = (0_i64, vec![0_u8; 32]);
    loop {
        let batch = database
            .read(|mut tx| async move {
                let tx = &mut *tx;
                raw_rows(tx, seq).await
            })
            .await?;
        // Rows that came after the start are left to the next verification.
        let batch = batch.into_iter().take_while(|row| row.0 <= end).collect::<Vec<_>>();
        if batch.is_empty() {
            break;
        }
        for row in batch {
            if let Some(fault) = fault(&row, seq + 1, &previous) {
                return Ok(Verified { rows: seq, head: hex(&previous), fault: Some(fault) });
            }
            (seq, previous) = (row.0, row.7);
        }
    }
    let fault = if seq < end {
        Some(Fault::Deleted { seq: seq + 1 })
    } else {
        // The last row was rewritten together with its hash: only the head remembers the right one.
        (hex(&previous) != end_hash).then_some(Fault::Changed { seq })
    };
    Ok(Verified { rows: seq, head: hex(&previous), fault })
}

/// Writes the whole log as JSON lines, oldest first. Returns the number of rows.
pub async fn export(database: &Database, out: &mut (impl Write + Send)) -> Result<i64, StoreError> {
    let mut after = 0;
    loop {
        let batch = database
            .read(|mut tx| async move {
                let tx = &mut *tx;
                rows(tx, after).await
            })
            .await?;
        let Some(last) = batch.last() else { return Ok(after) };
        after = last.seq;
        for row in &batch {
            let line = serde_json::to_string(row).map_err(|error| StoreError::Fault(error.to_string()))?;
            writeln!(out, "{line}").map_err(|error| StoreError::file("the export", error))?;
        }
    }
}

type RawRow = (i64, i64, String, String, String, String, Vec<u8>, Vec<u8>);

async fn raw_rows(tx: &mut Tx, after: i64) -> Result<Vec<RawRow>, StoreError> {
    on_both!(tx, c => sqlx::query_as(
        "SELECT seq, at_ms, actor, action, subject, details, previous_hash, hash FROM audit \
         WHERE seq > $1 ORDER BY seq LIMIT $2"
    ).bind(after).bind(BATCH).fetch_all(c))
}

fn fault(row: &RawRow, expected: i64, previous: &[u8]) -> Option<Fault> {
    let (seq, at_ms, actor, action, subject, details, row_previous, row_hash) = row;
    if *seq != expected {
        return Some(Fault::Deleted { seq: expected });
    }
    if row_previous != previous {
        return Some(Fault::Reordered { seq: *seq });
    }
    let right = hash(previous, *seq, *at_ms, [actor, action, subject, details]);
    (right[..] != row_hash[..]).then_some(Fault::Changed { seq: *seq })
}

/// SHA-256 over the fields in their order, each text behind its length, so that no two rows have the same bytes.
fn hash(previous: &[u8], seq: i64, at_ms: i64, texts: [&str; 4]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    context.update(DOMAIN);
    context.update(&(previous.len() as u64).to_be_bytes());
    context.update(previous);
    context.update(&seq.to_be_bytes());
    context.update(&at_ms.to_be_bytes());
    for text in texts {
        context.update(&(text.len() as u64).to_be_bytes());
        context.update(text.as_bytes());
    }
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl From<RawRow> for Row {
    fn from((seq, at_ms, actor, action, subject, details, previous_hash, hash): RawRow) -> Self {
        Self { seq, at_ms, actor, action, subject, details, previous_hash: hex(&previous_hash), hash: hex(&hash) }
    }
}
