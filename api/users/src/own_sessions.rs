//! A user's own sessions: listed, ended one by one. Never makes one: a log-in does.

use api_store::Lent;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::clock::rfc3339;
use crate::error::{Result, UsersError};
use crate::form;
use crate::service::Users;
use crate::sessions::{self, Ended, SessionRow};

/// One session.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Session {
    /// Its id.
    #[schema(example = "0196a0b0-0000-7000-8000-000000000001")]
    pub id: String,
    /// Whether it is the one that asks.
    #[schema(example = true)]
    pub current: bool,
    /// When it was logged in, RFC 3339.
    #[schema(example = "2026-11-23T07:00:00Z")]
    pub created_at: String,
    /// When its tokens were last renewed, RFC 3339.
    #[schema(example = "2026-11-23T07:10:00Z")]
    pub last_used_at: String,
    /// Where it was logged in from.
    #[schema(example = "192.0.2.7")]
    pub address: String,
    /// What it was logged in with.
    #[schema(example = "Mozilla/5.0")]
    pub user_agent: String,
}

impl Session {
    pub(crate) fn new(row: SessionRow, current: &str) -> Self {
        Self {
            current: row.id == current,
            created_at: rfc3339(row.created_ms),
            last_used_at: rfc3339(row.last_used_ms),
            id: row.id,
            address: row.address,
            user_agent: row.user_agent,
        }
    }
}

impl Users {
    /// The sessions of a user that stand, newest first, at most 100; `current` is the one that asks.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn sessions(&self, user_id: &str, current: &str) -> Result<Vec<Session>> {
        let now_ms = self.clock.now_ms();
        let rows = self
            .store
            .database
            .read(|mut tx| async move { Ok::<_, UsersError>(sessions::of_user(&mut tx, user_id, now_ms).await?) });
        Ok(rows.await?.into_iter().map(|row| Session::new(row, current)).collect())
    }

    /// Ends one session of a user; `current` is the one that asks.
    ///
    /// # Errors
    /// 404 when it has ended, is not there, or is of somebody else.
    pub async fn end_own_session(&self, user_id: &str, current: &str, id: &str) -> Result<()> {
        let id = &form::id("session", id)?;
        let why = if id == current { Ended::Logout } else { Ended::Elsewhere };
        let now_ms = self.clock.now_ms();
        let work = |mut tx: Lent| async move {
            let tx = &mut *tx;
            if !sessions::revoke(tx, user_id, id, why, now_ms).await? {
                return Err(UsersError::not_found("session"));
            }
            self.audit(tx, (user_id, "session.revoke", id), &json!({ "reason": why.name() })).await
        };
        self.store.database.write(work).await?;
        self.states.forget_user(user_id);
        Ok(())
    }
}
