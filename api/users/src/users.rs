//! Rows of `users`: read, made, changed. SQL only; what may be changed by whom is decided elsewhere.

use std::collections::BTreeSet;

use api_kit::principal::Role;
use api_store::{StoreError, Tx, execute_on_both, on_both};

api_kit::named_enum! {
    /// Whether an account can be used.
    Status {
        /// The e-mail address is not verified yet.
        Unverified = "unverified",
        /// It can.
        Active = "active",
        /// An administrator disabled it.
        Disabled = "disabled",
    }
}

/// One account.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct UserRow {
    pub id: String,
    pub email: String,
    pub password_hash: String,
    pub full_name: String,
    pub phone_sealed: Option<Vec<u8>>,
    pub tckn_sealed: Option<Vec<u8>>,
    pub kyc_level: i64,
    /// JSON list of names.
    pub roles: String,
    pub live_allowed: i64,
    pub status: String,
    pub totp_sealed: Option<Vec<u8>>,
    pub totp_enabled: i64,
    pub created_ms: i64,
}

impl UserRow {
    pub fn roles(&self) -> BTreeSet<Role> {
        roles_of(&self.roles)
    }

    pub fn status(&self) -> Status {
        Status::from_name(&self.status).unwrap_or(Status::Disabled)
    }
}

/// Roles of their JSON text; an unknown name gives nothing.
pub(crate) fn roles_of(json: &str) -> BTreeSet<Role> {
    let names: Vec<String> = serde_json::from_str(json).unwrap_or_default();
    names.iter().filter_map(|name| Role::from_name(name)).collect()
}

/// JSON text of roles.
pub(crate) fn roles_text(roles: &BTreeSet<Role>) -> String {
    serde_json::json!(roles.iter().map(|role| role.name()).collect::<Vec<_>>()).to_string()
}

/// `SELECT … FROM users` with `rest` behind it; both are constants of this program.
macro_rules! select_users {
    ($rest:literal) => {
        concat!(
            "SELECT id, email, password_hash, full_name, phone_sealed, tckn_sealed, kyc_level, roles, live_allowed, status, \
             totp_sealed, totp_enabled, created_ms FROM users ",
            $rest
        )
    };
}
pub(crate) use select_users;

pub(crate) async fn by_email(tx: &mut Tx, email: &str) -> Result<Option<UserRow>, StoreError> {
    on_both!(tx, c => sqlx::query_as(select_users!("WHERE email = $1")).bind(email).fetch_optional(c))
}

pub(crate) async fn by_id(tx: &mut Tx, id: &str) -> Result<Option<UserRow>, StoreError> {
    on_both!(tx, c => sqlx::query_as(select_users!("WHERE id = $1")).bind(id).fetch_optional(c))
}

/// The same, locked until the transaction ends: for decisions that rest on the row.
pub(crate) async fn by_id_locked(tx: &mut Tx, id: &str) -> Result<Option<UserRow>, StoreError> {
    match tx {
        // SQLite has one writer at a time.
        Tx::Sqlite(_) => by_id(tx, id).await,
        Tx::Postgres(held) => {
            let query = sqlx::query_as(select_users!("WHERE id = $1 FOR UPDATE")).bind(id);
            query.fetch_optional(held.connection()).await.map_err(StoreError::from)
        }
    }
}

/// An account to make.
pub(crate) struct NewUser<'n> {
    pub id: &'n str,
    pub email: &'n str,
    pub password_hash: &'n str,
    pub full_name: &'n str,
    pub roles: &'n BTreeSet<Role>,
    pub status: Status,
}

/// Makes an account; [`StoreError::Conflict`] when the address has one.
pub(crate) async fn insert(tx: &mut Tx, user: NewUser<'_>, now_ms: i64) -> Result<(), StoreError> {
    let roles = roles_text(user.roles);
    execute_on_both!(tx, c => sqlx::query(
        "INSERT INTO users (id, email, password_hash, full_name, roles, status, created_ms, updated_ms) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $7)"
    ).bind(user.id).bind(user.email).bind(user.password_hash).bind(user.full_name).bind(roles.as_str())
     .bind(user.status.name()).bind(now_ms).execute(c))
    .map(drop)
}

pub(crate) async fn set_status(tx: &mut Tx, id: &str, status: Status, now_ms: i64) -> Result<(), StoreError> {
    execute_on_both!(tx, c => sqlx::query("UPDATE users SET status = $2, updated_ms = $3 WHERE id = $1")
        .bind(id).bind(status.name()).bind(now_ms).execute(c))
    .map(drop)
}

pub(crate) async fn set_password(tx: &mut Tx, id: &str, hash: &str, now_ms: i64) -> Result<(), StoreError> {
    execute_on_both!(tx, c => sqlx::query("UPDATE users SET password_hash = $2, updated_ms = $3 WHERE id = $1")
        .bind(id).bind(hash).bind(now_ms).execute(c))
    .map(drop)
}

pub(crate) async fn count(tx: &mut Tx) -> Result<i64, StoreError> {
    on_both!(tx, c => sqlx::query_scalar("SELECT count(*) FROM users").fetch_one(c))
}
