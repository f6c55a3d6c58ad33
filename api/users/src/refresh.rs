//! A refresh token is used once and gives the next one. One that comes a second time was copied: its session ends.
//!
//! There is no time of grace, also not for a client whose answer was lost: nobody can tell it from a thief, and logging in
//! again costs it less than a stolen session. Of two uses at once one wins the race, and the other one ends the session.

use axum::http::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use api_kit::auth::Refusal;
use api_store::Tx;

use crate::error::{Result, UsersError};
use crate::login::{Issued, REFRESH_PREFIX};
use crate::service::{ANONYMOUS, Users, ms};
use crate::sessions::{Ended, SessionRow};
use crate::users::Status;
use crate::{secret, sessions, users};

/// Bytes of a whole refresh token.
const TOKEN_BYTES: usize = REFRESH_PREFIX.len() + 43;

/// What became of a token; each is committed.
enum Used {
    /// The next access token of the session.
    Renewed(SecretString),
    /// It was used before. Whose session has ended by it now.
    Again(Option<String>),
    /// Its session does not stand.
    Ended,
}

impl Users {
    /// The next tokens of a session.
    ///
    /// # Errors
    /// 401 `REFRESH_REUSED`: the session has ended. 401 `UNAUTHENTICATED`: there is none. 503.
    pub async fn refresh(&self, token: &SecretString) -> Result<Issued> {
        let token_hash = &refresh_hash(token)?;
        let next = secret::random_text(REFRESH_PREFIX)?;
        let next_hash = &secret::hash_of(&next);
        let used = self.store.database.write(|mut tx| async move {
            let tx = &mut *tx;
            self.use_refresh_token(tx, token_hash, next_hash).await
        });
        match used.await? {
            Used::Renewed(access_token) => {
                self.metrics.refreshed.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                Ok(Issued { access_token, refresh_token: next, expires_in_s: self.tokens.life_s() })
            }
            Used::Again(ended) => {
                if let Some(user_id) = ended {
                    self.states.forget_user(&user_id);
                    self.metrics.reused.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                }
                Err(reused())
            }
            Used::Ended => Err(unauthenticated()),
        }
    }

    async fn use_refresh_token(&self, tx: &mut Tx, token_hash: &[u8], next_hash: &[u8]) -> Result<Used> {
        let now_ms = self.clock.now_ms();
        let Some((session_id, before)) = sessions::use_token(tx, token_hash, now_ms).await? else {
            return Ok(Used::Ended);
        };
        let Some(session) = sessions::by_id(tx, &session_id).await? else { return Ok(Used::Ended) };
        if before {
            return self.end_family(tx, &session, now_ms).await;
        }
        let user = users::by_id(tx, &session.user_id).await?.filter(|user| user.status() == Status::Active);
        let (Some(user), true) = (user, session.revoked_ms.is_none() && session.expires_ms > now_ms) else {
            return Ok(Used::Ended);
        };
        // A renewal changes nothing that a person would look for in the audit log: the log-in and the end stand there.
        sessions::insert_token(tx, &session.id, next_hash, now_ms).await?;
        sessions::touch(tx, &session.id, now_ms, now_ms + ms(self.config.session_life)).await?;
        self.access_token(&user, &session.id).map(Used::Renewed)
    }

    async fn end_family(&self, tx: &mut Tx, session: &SessionRow, now_ms: i64) -> Result<Used> {
        if !sessions::revoke(tx, &session.user_id, &session.id, Ended::Reused, now_ms).await? {
            return Ok(Used::Again(None));
        }
        let details = json!({ "why": Ended::Reused.name(), "user": session.user_id });
        self.audit(tx, (ANONYMOUS, "session.revoke", &session.id), &details).await?;
        Ok(Used::Again(Some(session.user_id.clone())))
    }
}

/// What is kept of a refresh token; a text that cannot be one costs no question to the database.
pub(crate) fn refresh_hash(token: &SecretString) -> Result<Vec<u8>> {
    let text = token.expose_secret();
    let is_ours = text.len() == TOKEN_BYTES && text.starts_with(REFRESH_PREFIX);
    if is_ours { Ok(secret::hash_of(token)) } else { Err(unauthenticated()) }
}

/// 401, the answer to every bad credential.
pub(crate) fn unauthenticated() -> UsersError {
    UsersError::Answer(Box::new(Refusal::Unknown.error()))
}

fn reused() -> UsersError {
    let message = "this refresh token was used before, so that its session has ended; log in again";
    UsersError::answer(StatusCode::UNAUTHORIZED, "REFRESH_REUSED", message)
}
