//! Rows of `sessions` and `refresh_tokens`: one log-in is one session, a family of refresh tokens of which one is good.
//! SQL only; what a log-in needs is decided elsewhere.

use api_store::{StoreError, Tx, execute_on_both, on_both};

api_kit::named_enum! {
    /// Why a session ended before its time.
    Ended {
        /// Its person logged out.
        Logout = "logout",
        /// Its person ended it from another session, or all at once.
        Elsewhere = "elsewhere",
        /// The password was changed or reset.
        Password = "password",
        /// A refresh token came a second time.
        Reused = "reused",
        /// The account was disabled or deleted.
        Account = "account",
        /// Its person logged in so often that the oldest sessions ended.
        TooMany = "too_many",
    }
}

/// One session.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct SessionRow {
    pub id: String,
    pub user_id: String,
    pub created_ms: i64,
    pub last_used_ms: i64,
    pub expires_ms: i64,
    pub revoked_ms: Option<i64>,
    pub address: String,
    pub user_agent: String,
}

macro_rules! select_sessions {
    ($rest:literal) => {
        concat!(
            "SELECT id, user_id, created_ms, last_used_ms, expires_ms, revoked_ms, address, user_agent FROM sessions ",
            $rest
        )
    };
}

pub(crate) async fn by_id(tx: &mut Tx, id: &str) -> Result<Option<SessionRow>, StoreError> {
    on_both!(tx, c => sqlx::query_as(select_sessions!("WHERE id = $1")).bind(id).fetch_optional(c))
}

/// The sessions of a user that stand at `now_ms`, newest first, at most 100.
pub(crate) async fn of_user(tx: &mut Tx, user_id: &str, now_ms: i64) -> Result<Vec<SessionRow>, StoreError> {
    on_both!(tx, c => sqlx::query_as(select_sessions!(
        "WHERE user_id = $1 AND revoked_ms IS NULL AND expires_ms > $2 ORDER BY created_ms DESC LIMIT 100"
    )).bind(user_id).bind(now_ms).fetch_all(c))
}

/// Makes a session and its first refresh token.
pub(crate) async fn insert(tx: &mut Tx, session: &SessionRow, token_hash: &[u8]) -> Result<(), StoreError> {
    execute_on_both!(tx, c => sqlx::query(
        "INSERT INTO sessions (id, user_id, created_ms, last_used_ms, expires_ms, address, user_agent) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)"
    ).bind(session.id.as_str()).bind(session.user_id.as_str()).bind(session.created_ms).bind(session.last_used_ms)
     .bind(session.expires_ms).bind(session.address.as_str()).bind(session.user_agent.as_str()).execute(c))?;
    insert_token(tx, &session.id, token_hash, session.created_ms).await
}

/// Adds the next refresh token of a session.
pub(crate) async fn insert_token(
    tx: &mut Tx,
    session_id: &str,
    token_hash: &[u8],
    now_ms: i64,
) -> Result<(), StoreError> {
    execute_on_both!(tx, c => sqlx::query(
        "INSERT INTO refresh_tokens (token_hash, session_id, created_ms) VALUES ($1, $2, $3)"
    ).bind(token_hash.to_vec()).bind(session_id).bind(now_ms).execute(c))
    .map(drop)
}

/// Uses a refresh token up: `Some(session, false)` the first time, `Some(session, true)` when it was used before.
pub(crate) async fn use_token(
    tx: &mut Tx,
    token_hash: &[u8],
    now_ms: i64,
) -> Result<Option<(String, bool)>, StoreError> {
    let used: Option<String> = on_both!(tx, c => sqlx::query_scalar(
        "UPDATE refresh_tokens SET used_ms = $2 WHERE token_hash = $1 AND used_ms IS NULL RETURNING session_id"
    ).bind(token_hash.to_vec()).bind(now_ms).fetch_optional(c))?;
    if let Some(session) = used {
        return Ok(Some((session, false)));
    }
    let before: Option<String> = on_both!(tx, c => sqlx::query_scalar(
        "SELECT session_id FROM refresh_tokens WHERE token_hash = $1"
    ).bind(token_hash.to_vec()).fetch_optional(c))?;
    Ok(before.map(|session| (session, true)))
}

/// Notes that a session was used, and until when it stands now.
pub(crate) async fn touch(tx: &mut Tx, id: &str, now_ms: i64, expires_ms: i64) -> Result<(), StoreError> {
    execute_on_both!(tx, c => sqlx::query("UPDATE sessions SET last_used_ms = $2, expires_ms = $3 WHERE id = $1")
        .bind(id).bind(now_ms).bind(expires_ms).execute(c))
    .map(drop)
}

/// Ends one session of a user; false when it had ended, or is of somebody else.
pub(crate) async fn revoke(tx: &mut Tx, user_id: &str, id: &str, why: Ended, now_ms: i64) -> Result<bool, StoreError> {
    execute_on_both!(tx, c => sqlx::query(
        "UPDATE sessions SET revoked_ms = $3, revoked_reason = $4 WHERE id = $2 AND user_id = $1 AND revoked_ms IS NULL"
    ).bind(user_id).bind(id).bind(now_ms).bind(why.name()).execute(c))
    .map(|rows| rows > 0)
}

/// Ends all sessions of a user but `except`; how many.
pub(crate) async fn revoke_all(
    tx: &mut Tx,
    user_id: &str,
    except: Option<&str>,
    why: Ended,
    now_ms: i64,
) -> Result<u64, StoreError> {
    execute_on_both!(tx, c => sqlx::query(
        "UPDATE sessions SET revoked_ms = $3, revoked_reason = $4 WHERE user_id = $1 AND id <> $2 AND revoked_ms IS NULL"
    ).bind(user_id).bind(except.unwrap_or_default()).bind(now_ms).bind(why.name()).execute(c))
}

/// Forgets sessions that ended before `before_ms`, with their tokens (some thousand each), at most 20; how many.
pub(crate) async fn prune(tx: &mut Tx, before_ms: i64) -> Result<u64, StoreError> {
    execute_on_both!(tx, c => sqlx::query(
        "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE expires_ms < $1 OR revoked_ms < $1 LIMIT 20)"
    ).bind(before_ms).execute(c))
}

/// Forgets refresh tokens used before `before_ms`, of sessions that go on, at most 1,000; how many.
pub(crate) async fn prune_tokens(tx: &mut Tx, before_ms: i64) -> Result<u64, StoreError> {
    execute_on_both!(tx, c => sqlx::query(
        "DELETE FROM refresh_tokens WHERE token_hash IN \
         (SELECT token_hash FROM refresh_tokens WHERE used_ms < $1 LIMIT 1000)"
    ).bind(before_ms).execute(c))
}
