//! Links that work once: a random text goes out, its hash stays, and the first use deletes it. Never keeps a text.

use api_store::{StoreError, Tx, execute_on_both, on_both};
use axum::http::StatusCode;
use secrecy::{ExposeSecret, SecretString};

use crate::error::{Result, UsersError};
use crate::secret;

/// What every such text begins with.
const PREFIX: &str = "bist_ot_";

/// Bytes of a whole text.
const TEXT_BYTES: usize = PREFIX.len() + 43;

api_kit::named_enum! {
    /// What a link does.
    Purpose {
        /// Verifies an e-mail address.
        Verify = "verify",
        /// Sets a new password.
        Reset = "reset",
        /// Makes the first administrator.
        Setup = "setup",
    }
}

/// A new text.
pub(crate) fn text() -> Result<SecretString> {
    secret::random_text(PREFIX)
}

/// What is kept of a text that may be one of ours; the answer to one that cannot be costs no question to the database.
pub(crate) fn hash(text: &SecretString) -> Result<Vec<u8>> {
    let is_ours = text.expose_secret().len() == TEXT_BYTES && text.expose_secret().starts_with(PREFIX);
    if is_ours { Ok(secret::hash_of(text)) } else { Err(invalid()) }
}

/// 400, one answer for a text that was used, has ended or was never given.
pub(crate) fn invalid() -> UsersError {
    UsersError::answer(
        StatusCode::BAD_REQUEST,
        "TOKEN_INVALID",
        "this link was used before, has ended or was never valid; ask for a new one",
    )
}

/// Keeps a text's hash until `expires_ms`. Earlier ones of the same user and purpose end: only the newest link works.
pub(crate) async fn insert(
    tx: &mut Tx,
    (purpose, user_id): (Purpose, Option<&str>),
    token_hash: &[u8],
    (now_ms, expires_ms): (i64, i64),
) -> std::result::Result<(), StoreError> {
    if let Some(user_id) = user_id {
        drop_of_user(&mut *tx, user_id, purpose).await?;
    }
    execute_on_both!(tx, c => sqlx::query(
        "INSERT INTO one_time_tokens (token_hash, purpose, user_id, created_ms, expires_ms) VALUES ($1, $2, $3, $4, $5)"
    ).bind(token_hash.to_vec()).bind(purpose.name()).bind(user_id).bind(now_ms).bind(expires_ms).execute(c))
    .map(drop)
}

/// Ends what a user was sent for a purpose.
pub(crate) async fn drop_of_user(tx: &mut Tx, user_id: &str, purpose: Purpose) -> std::result::Result<u64, StoreError> {
    execute_on_both!(tx, c => sqlx::query("DELETE FROM one_time_tokens WHERE user_id = $1 AND purpose = $2")
        .bind(user_id).bind(purpose.name()).execute(c))
}

/// Ends what nobody in particular was given for a purpose.
pub(crate) async fn drop_of_nobody(tx: &mut Tx, purpose: Purpose) -> std::result::Result<u64, StoreError> {
    execute_on_both!(tx, c => sqlx::query("DELETE FROM one_time_tokens WHERE user_id IS NULL AND purpose = $1")
        .bind(purpose.name()).execute(c))
}

/// Whose a standing text is, `None` = nobody's in particular. Uses nothing up.
pub(crate) async fn look(tx: &mut Tx, purpose: Purpose, token_hash: &[u8], now_ms: i64) -> Result<Option<String>> {
    let found: Option<(Option<String>,)> = on_both!(tx, c => sqlx::query_as(
        "SELECT user_id FROM one_time_tokens WHERE token_hash = $1 AND purpose = $2 AND expires_ms > $3"
    ).bind(token_hash.to_vec()).bind(purpose.name()).bind(now_ms).fetch_optional(c))?;
    found.map(|(user_id,)| user_id).ok_or_else(invalid)
}

/// The same, and nobody gets it after this: of two at once one does.
pub(crate) async fn take(tx: &mut Tx, purpose: Purpose, token_hash: &[u8], now_ms: i64) -> Result<Option<String>> {
    let found: Option<(Option<String>,)> = on_both!(tx, c => sqlx::query_as(
        "DELETE FROM one_time_tokens WHERE token_hash = $1 AND purpose = $2 AND expires_ms > $3 RETURNING user_id"
    ).bind(token_hash.to_vec()).bind(purpose.name()).bind(now_ms).fetch_optional(c))?;
    found.map(|(user_id,)| user_id).ok_or_else(invalid)
}

/// Forgets what ended before `now_ms`; how many.
pub(crate) async fn prune(tx: &mut Tx, now_ms: i64) -> std::result::Result<u64, StoreError> {
    execute_on_both!(tx, c => sqlx::query("DELETE FROM one_time_tokens WHERE expires_ms <= $1").bind(now_ms).execute(c))
}
