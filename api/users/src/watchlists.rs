//! Watch lists of a user: names and symbols, each with a version. Whether a symbol is listed is not asked: lists outlive
//! listings. Never shows a list of somebody else.

use std::collections::BTreeSet;

use api_store::{Lent, StoreError, Tx, execute_on_both, on_both};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::bounds::{NAME_CHARS_MAX, SYMBOL_BYTES_MAX, WATCHLIST_SYMBOLS_MAX, WATCHLISTS_MAX};
use crate::error::{Result, UsersError};
use crate::service::Users;
use crate::{form, guard};

/// One list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Watchlist {
    /// Its id.
    #[schema(example = "0196a0b0-0000-7000-8000-000000000001")]
    pub id: String,
    /// Its name.
    #[schema(example = "banks")]
    pub name: String,
    /// Its symbols, in the user's order.
    #[schema(example = json!(["GARAN", "AKBNK"]))]
    pub symbols: Vec<String>,
    /// Grows with each change, from 1.
    #[schema(example = 1)]
    pub version: i64,
}

/// A list to make.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewWatchlist {
    /// Its name, which no other list of this user has.
    #[schema(min_length = 1, max_length = 50, example = "banks")]
    pub name: String,
    /// Its symbols, each once.
    #[schema(max_items = 500, example = json!(["GARAN", "AKBNK"]))]
    pub symbols: Vec<String>,
}

/// A list in place of an older version of it.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangedWatchlist {
    /// Its name, which no other list of this user has.
    #[schema(min_length = 1, max_length = 50, example = "banks")]
    pub name: String,
    /// Its symbols, each once.
    #[schema(max_items = 500, example = json!(["GARAN", "AKBNK"]))]
    pub symbols: Vec<String>,
    /// The version that it replaces.
    #[schema(minimum = 1, example = 1)]
    pub version: i64,
}

fn check_symbols(symbols: &[String]) -> Result<()> {
    let wrong = |message: String| Err(UsersError::field("INVALID_SYMBOL", "symbols", message));
    if symbols.len() > WATCHLIST_SYMBOLS_MAX {
        return wrong(format!("a list has at most {WATCHLIST_SYMBOLS_MAX} symbols"));
    }
    let is_symbol = |text: &String| {
        let allowed = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'.' || byte == b'_';
        (1..=SYMBOL_BYTES_MAX).contains(&text.len()) && text.bytes().all(allowed)
    };
    if !symbols.iter().all(is_symbol) {
        return wrong(format!("a symbol has 1 to {SYMBOL_BYTES_MAX} of the characters A-Z, 0-9, `.` and `_`"));
    }
    if symbols.iter().collect::<BTreeSet<_>>().len() != symbols.len() {
        return wrong("a list has each symbol once".to_owned());
    }
    Ok(())
}

/// A unique key that is taken is the name's: ids are new.
fn taken(error: StoreError) -> UsersError {
    match error {
        StoreError::Conflict { .. } => {
            UsersError::answer(StatusCode::CONFLICT, "NAME_TAKEN", "another list has this name")
        }
        other => other.into(),
    }
}

impl Users {
    /// The lists of a user, oldest first.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn watchlists(&self, user_id: &str) -> Result<Vec<Watchlist>> {
        self.store.database.read(|mut tx| async move { Ok(of_user(&mut tx, user_id).await?) }).await
    }

    /// Makes a list.
    ///
    /// # Errors
    /// 400 naming the field; 409 `NAME_TAKEN`, `TOO_MANY_WATCHLISTS`.
    pub async fn create_watchlist(&self, user_id: &str, new: NewWatchlist) -> Result<Watchlist> {
        check_symbols(&new.symbols)?;
        let name = form::line("INVALID_NAME", "name", &new.name, NAME_CHARS_MAX)?;
        let list = Watchlist { id: uuid::Uuid::now_v7().to_string(), name, symbols: new.symbols, version: 1 };
        let (one, now_ms) = (&list, self.clock.now_ms());
        let work = |mut tx: Lent| async move {
            let tx = &mut *tx;
            guard::own_locked(tx, user_id).await?;
            if count(tx, user_id).await? >= WATCHLISTS_MAX as i64 {
                let message = format!("a user has at most {WATCHLISTS_MAX} lists: delete one first");
                return Err(UsersError::answer(StatusCode::CONFLICT, "TOO_MANY_WATCHLISTS", message));
            }
            insert(tx, user_id, one, now_ms).await.map_err(taken)?;
            self.audit(tx, (user_id, "watchlist.create", &one.id), &json!({ "symbols": one.symbols.len() })).await
        };
        self.store.database.write(work).await?;
        Ok(list)
    }

    /// Puts a list in place of an older version.
    ///
    /// # Errors
    /// 400 naming the field; 404; 409 `NAME_TAKEN`, `VERSION_CONFLICT` with the stored version.
    pub async fn change_watchlist(&self, user_id: &str, id: &str, new: ChangedWatchlist) -> Result<Watchlist> {
        let id = form::id("watch list", id)?;
        check_symbols(&new.symbols)?;
        let name = form::line("INVALID_NAME", "name", &new.name, NAME_CHARS_MAX)?;
        let list = Watchlist { id, name, symbols: new.symbols, version: new.version.saturating_add(1) };
        let (one, version, now_ms) = (&list, new.version, self.clock.now_ms());
        let work = |mut tx: Lent| async move {
            let tx = &mut *tx;
            guard::own_locked(tx, user_id).await?;
            let stored = version_of(tx, user_id, &one.id).await?.ok_or_else(|| UsersError::not_found("watch list"))?;
            if stored != version {
                return Err(guard::conflict(stored));
            }
            update(tx, user_id, one, now_ms).await.map_err(taken)?;
            self.audit(tx, (user_id, "watchlist.change", &one.id), &json!({ "symbols": one.symbols.len() })).await
        };
        self.store.database.write(work).await?;
        Ok(list)
    }

    /// Deletes a list.
    ///
    /// # Errors
    /// 404.
    pub async fn delete_watchlist(&self, user_id: &str, id: &str) -> Result<()> {
        let id = &form::id("watch list", id)?;
        let work = |mut tx: Lent| async move {
            let tx = &mut *tx;
            guard::own_locked(tx, user_id).await?;
            let deleted = execute_on_both!(&mut *tx, c => sqlx::query("DELETE FROM watchlists WHERE id = $2 AND user_id = $1")
                .bind(user_id).bind(id).execute(c))?;
            if deleted == 0 {
                return Err(UsersError::not_found("watch list"));
            }
            self.audit(tx, (user_id, "watchlist.delete", id), &json!({})).await
        };
        self.store.database.write(work).await
    }
}

/// The lists of a user, oldest first.
pub(crate) async fn of_user(tx: &mut Tx, user_id: &str) -> std::result::Result<Vec<Watchlist>, StoreError> {
    let rows: Vec<(String, String, String, i64)> = on_both!(tx, c => sqlx::query_as(
        "SELECT id, name, symbols, version FROM watchlists WHERE user_id = $1 ORDER BY created_ms, id"
    ).bind(user_id).fetch_all(c))?;
    let list = |(id, name, symbols, version): (String, String, String, i64)| {
        let symbols = serde_json::from_str(&symbols).unwrap_or_default();
        Watchlist { id, name, symbols, version }
    };
    Ok(rows.into_iter().map(list).collect())
}

async fn count(tx: &mut Tx, user_id: &str) -> std::result::Result<i64, StoreError> {
    on_both!(tx, c => sqlx::query_scalar("SELECT count(*) FROM watchlists WHERE user_id = $1").bind(user_id).fetch_one(c))
}

async fn version_of(tx: &mut Tx, user_id: &str, id: &str) -> std::result::Result<Option<i64>, StoreError> {
    on_both!(tx, c => sqlx::query_scalar("SELECT version FROM watchlists WHERE id = $2 AND user_id = $1")
        .bind(user_id).bind(id).fetch_optional(c))
}

async fn insert(tx: &mut Tx, user_id: &str, list: &Watchlist, now_ms: i64) -> std::result::Result<(), StoreError> {
    let symbols = json!(list.symbols).to_string();
    execute_on_both!(tx, c => sqlx::query(
        "INSERT INTO watchlists (id, user_id, name, symbols, version, created_ms, updated_ms) \
         VALUES ($1, $2, $3, $4, $5, $6, $6)"
    ).bind(list.id.as_str()).bind(user_id).bind(list.name.as_str()).bind(symbols.as_str()).bind(list.version)
     .bind(now_ms).execute(c))
    .map(drop)
}

async fn update(tx: &mut Tx, user_id: &str, list: &Watchlist, now_ms: i64) -> std::result::Result<(), StoreError> {
    let symbols = json!(list.symbols).to_string();
    execute_on_both!(tx, c => sqlx::query(
        "UPDATE watchlists SET name = $3, symbols = $4, version = $5, updated_ms = $6 WHERE id = $2 AND user_id = $1"
    ).bind(user_id).bind(list.id.as_str()).bind(list.name.as_str()).bind(symbols.as_str()).bind(list.version)
     .bind(now_ms).execute(c))
    .map(drop)
}
