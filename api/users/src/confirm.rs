//! A password compared, for a log-in and for what a logged-in person must confirm by it. Every try is counted first,
//! costs one argon2 and, when it fails, one audit row: also on an account that is not there.

use api_store::Tx;
use axum::http::StatusCode;
use secrecy::SecretString;
use serde_json::json;

use crate::attempts::Pool;
use crate::caller::Caller;
use crate::error::{Result, UsersError};
use crate::password::Verified;
use crate::service::{ANONYMOUS, Users};
use crate::users::{Status, UserRow};
use crate::{known, users};

/// Subject of an audit row of an account that is not there.
const UNKNOWN: &str = "unknown";

/// An account whose password was right.
pub(crate) struct Confirmed {
    /// As it was when the password was compared: what changes it looks again.
    pub user: UserRow,
    /// What further tries are counted in.
    pub pool: Pool,
    /// Whether the password is to be hashed anew.
    pub is_old: bool,
}

/// Which account is meant.
#[derive(Clone, Copy)]
pub(crate) enum Whose<'w> {
    /// The one of an address, as [`crate::email::cleaned`] gives it.
    Email(&'w str),
    /// The one of an id.
    Id(&'w str),
}

impl Users {
    /// Whether `password` is the account's, of one that is not disabled.
    ///
    /// # Errors
    /// 401 `LOGIN_FAILED`, the same for an account that is not there; 429; 503.
    pub(crate) async fn confirm(&self, whose: Whose<'_>, password: SecretString, caller: &Caller) -> Result<Confirmed> {
        // First: who is refused for want of room must not have used up an attempt.
        let place = self.passwords.place()?;
        self.count_address(caller).await?;
        let found = self.store.database.read(|mut tx| async move {
            let tx = &mut *tx;
            find(tx, whose, caller).await
        });
        let (user, known_ms) = found.await?;
        let pool = match (&user, whose) {
            (Some(user), _) => Pool::new(&user.email, caller, known_ms),
            (None, Whose::Email(text) | Whose::Id(text)) => Pool::new(text, caller, None),
        };
        self.count_account(&pool).await?;
        let hash = user.as_ref().map(|user| user.password_hash.clone());
        let verified = self.passwords.verify_at(place, password, hash).await?;
        match user {
            Some(user) if verified != Verified::Wrong && user.status() != Status::Disabled => {
                Ok(Confirmed { user, pool, is_old: verified == Verified::RightButOld })
            }
            user => {
                self.note_failure(user.as_ref().map(|user| &*user.id)).await?;
                Err(login_failed())
            }
        }
    }

    async fn note_failure(&self, user_id: Option<&str>) -> Result<()> {
        let write = self.store.database.write(|mut tx| async move {
            let tx = &mut *tx;
            self.audit(tx, (ANONYMOUS, "user.login_failed", user_id.unwrap_or(UNKNOWN)), &json!({})).await
        });
        write.await
    }
}

/// As many questions for an account that is not there.
async fn find(tx: &mut Tx, whose: Whose<'_>, caller: &Caller) -> Result<(Option<UserRow>, Option<i64>)> {
    let user = match whose {
        Whose::Email(email) => users::by_email(tx, email).await?,
        Whose::Id(id) => users::by_id(tx, id).await?,
    };
    let user_id = user.as_ref().map_or("", |user| &user.id);
    let known_ms = known::last_ms(tx, user_id, caller).await?;
    Ok((user, known_ms))
}

/// The account that was [`Confirmed`], locked, if it still is what it was.
///
/// # Errors
/// 401 `LOGIN_FAILED` when its password was changed or it was disabled meanwhile.
pub(crate) async fn locked(tx: &mut Tx, user: &UserRow) -> Result<UserRow> {
    let now = users::by_id_locked(tx, &user.id).await?;
    let is_same = |now: &UserRow| now.password_hash == user.password_hash && now.status == user.status;
    now.filter(is_same).ok_or_else(login_failed)
}

/// 401, one answer for whatever was wrong.
pub(crate) fn login_failed() -> UsersError {
    UsersError::answer(StatusCode::UNAUTHORIZED, "LOGIN_FAILED", "e-mail address or password is wrong")
}
