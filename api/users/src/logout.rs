//! Logging out: one session by its refresh token or its access token, or all of a person. Another session's end needs
//! nothing of that session but its id, and is not here.

use api_store::{StoreError, Tx, on_both};
use secrecy::SecretString;
use serde_json::json;

use crate::error::Result;
use crate::refresh::{refresh_hash, unauthenticated};
use crate::service::Users;
use crate::sessions::{self, Ended};

impl Users {
    /// Ends the session of a refresh token, used or not. How many ended: 0 when it had.
    ///
    /// # Errors
    /// 401 `UNAUTHENTICATED` for a token that was never given; 503.
    pub async fn log_out_by_token(&self, token: &SecretString) -> Result<u64> {
        let token_hash = &refresh_hash(token)?;
        let ended = self.store.database.write(|mut tx| async move {
            let tx = &mut *tx;
            let (user_id, session_id) = owner(tx, token_hash).await?.ok_or_else(unauthenticated)?;
            let ended = self.end_session(tx, &user_id, &session_id).await?;
            Ok::<_, crate::error::UsersError>((user_id, ended))
        });
        let (user_id, ended) = ended.await?;
        self.states.forget_user(&user_id);
        Ok(ended)
    }

    /// Ends a session of a user. How many ended: 0 when it had.
    ///
    /// # Errors
    /// 503.
    pub async fn log_out(&self, user_id: &str, session_id: &str) -> Result<u64> {
        let ended = self.store.database.write(|mut tx| async move {
            let tx = &mut *tx;
            self.end_session(tx, user_id, session_id).await
        });
        let ended = ended.await?;
        self.states.forget_user(user_id);
        Ok(ended)
    }

    /// Ends the session of an access token that is still good, whoever vouches for the session.
    ///
    /// # Errors
    /// 401 `UNAUTHENTICATED`; 503.
    pub async fn log_out_by_access_token(&self, token: &str) -> Result<u64> {
        let claims = self.tokens.verify(token, self.clock.now_ms()).map_err(|_| unauthenticated())?;
        self.log_out(&claims.sub, &claims.sid).await
    }

    /// Ends all sessions of a user; how many.
    ///
    /// # Errors
    /// 503.
    pub async fn log_out_everywhere(&self, user_id: &str) -> Result<u64> {
        let ended = self.store.database.write(|mut tx| async move {
            let tx = &mut *tx;
            let ended = sessions::revoke_all(tx, user_id, None, Ended::Elsewhere, self.clock.now_ms()).await?;
            let details = json!({ "why": Ended::Elsewhere.name(), "sessions": ended });
            self.audit(tx, (user_id, "session.revoke_all", user_id), &details).await?;
            Ok::<_, crate::error::UsersError>(ended)
        });
        let ended = ended.await?;
        self.states.forget_user(user_id);
        Ok(ended)
    }

    async fn end_session(&self, tx: &mut Tx, user_id: &str, session_id: &str) -> Result<u64> {
        if !sessions::revoke(tx, user_id, session_id, Ended::Logout, self.clock.now_ms()).await? {
            return Ok(0);
        }
        let details = json!({ "why": Ended::Logout.name() });
        self.audit(tx, (user_id, "session.revoke", session_id), &details).await?;
        Ok(1)
    }
}

/// User and session of a refresh token.
async fn owner(tx: &mut Tx, token_hash: &[u8]) -> std::result::Result<Option<(String, String)>, StoreError> {
    on_both!(tx, c => sqlx::query_as(
        "SELECT s.user_id, s.id FROM refresh_tokens t JOIN sessions s ON s.id = t.session_id WHERE t.token_hash = $1"
    ).bind(token_hash.to_vec()).fetch_optional(c))
}
