//! What changes of accounts have in common: the row they rest on, locked, and the last administrator, who stays.

use api_kit::auth::Refusal;
use api_kit::error::ApiError;
use api_kit::principal::Role;
use api_store::{StoreError, Tx, on_both};
use axum::http::StatusCode;
use serde_json::json;

use crate::error::{Result, UsersError};
use crate::users::{self, Status, UserRow};

/// The caller's own row, locked. Between the door's look and this one the account may have been disabled or erased.
///
/// # Errors
/// 401.
pub(crate) async fn own_locked(tx: &mut Tx, user_id: &str) -> Result<UserRow> {
    let user = users::by_id_locked(tx, user_id).await?;
    user.filter(|user| user.status() == Status::Active)
        .ok_or_else(|| UsersError::Answer(Box::new(Refusal::Disabled.error())))
}

/// Refuses what would leave the platform without an administrator who can log in: `leaving` stops being one. Locks all
/// of them before any other row of `users` is locked, so that two who leave at once do not both count on the other.
///
/// # Errors
/// 409 `LAST_ADMIN`.
pub(crate) async fn keep_an_admin(tx: &mut Tx, leaving: &str) -> Result<()> {
    let admins = admins_locked(tx).await?;
    let is_one = admins.iter().any(|id| id == leaving);
    if is_one && admins.len() == 1 {
        let message = "this is the last administrator: make another one first";
        return Err(UsersError::answer(StatusCode::CONFLICT, "LAST_ADMIN", message));
    }
    Ok(())
}

/// 409: somebody else was faster; `stored` is the version that stands.
pub(crate) fn conflict(stored: i64) -> UsersError {
    let message = "it was changed meanwhile: read it, then try again";
    let error = ApiError::new(StatusCode::CONFLICT, "VERSION_CONFLICT", message);
    UsersError::Answer(Box::new(ApiError { details: json!({ "version": stored }), ..error }))
}

/// Ids of the administrators who can log in.
async fn admins_locked(tx: &mut Tx) -> std::result::Result<Vec<String>, StoreError> {
    let rows: Vec<(String, String)> = match tx {
        Tx::Sqlite(_) => on_both!(tx, c => sqlx::query_as(
            "SELECT id, roles FROM users WHERE status = 'active' AND roles LIKE '%\"admin\"%' ORDER BY id"
        ).fetch_all(c))?,
        Tx::Postgres(held) => {
            let admins = "SELECT id, roles FROM users WHERE status = 'active' AND roles LIKE '%\"admin\"%' \
                          ORDER BY id FOR UPDATE";
            sqlx::query_as(admins).fetch_all(held.connection()).await.map_err(StoreError::from)?
        }
    };
    Ok(rows.into_iter().filter(|(_, roles)| users::roles_of(roles).contains(&Role::Admin)).map(|(id, _)| id).collect())
}
