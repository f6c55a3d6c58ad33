//! Rows of `known_addresses`: where an account was logged in to. Only a hash with the user's id is kept, so that the table
//! says of no address who used it. Decides nothing.

use api_store::{StoreError, Tx, execute_on_both, on_both};

use crate::caller::Caller;
use crate::secret;

/// Addresses that are remembered of one account; beyond, the one unused for longest is forgotten.
const ADDRESSES_MAX: i64 = 50;

fn address_hash(user_id: &str, caller: &Caller) -> Vec<u8> {
    secret::hash(&format!("{user_id} {}", caller.network()))
}

/// When the account was last logged in to from there, Unix milliseconds.
pub(crate) async fn last_ms(tx: &mut Tx, user_id: &str, caller: &Caller) -> Result<Option<i64>, StoreError> {
    on_both!(tx, c => sqlx::query_scalar("SELECT last_ms FROM known_addresses WHERE user_id = $1 AND address_hash = $2")
        .bind(user_id).bind(address_hash(user_id, caller)).fetch_optional(c))
}

/// Remembers that its person was there.
pub(crate) async fn remember(tx: &mut Tx, user_id: &str, caller: &Caller, now_ms: i64) -> Result<(), StoreError> {
    execute_on_both!(&mut *tx, c => sqlx::query(
        "INSERT INTO known_addresses (user_id, address_hash, last_ms) VALUES ($1, $2, $3) \
         ON CONFLICT (user_id, address_hash) DO UPDATE SET last_ms = $3"
    ).bind(user_id).bind(address_hash(user_id, caller)).bind(now_ms).execute(c))?;
    execute_on_both!(tx, c => sqlx::query(
        "DELETE FROM known_addresses WHERE user_id = $1 AND address_hash NOT IN \
         (SELECT address_hash FROM known_addresses WHERE user_id = $1 ORDER BY last_ms DESC, address_hash LIMIT $2)"
    ).bind(user_id).bind(ADDRESSES_MAX).execute(c))
    .map(drop)
}

/// Forgets addresses unused since `before_ms`; how many.
pub(crate) async fn prune(tx: &mut Tx, before_ms: i64) -> Result<u64, StoreError> {
    execute_on_both!(tx, c => sqlx::query("DELETE FROM known_addresses WHERE last_ms < $1").bind(before_ms).execute(c))
}
