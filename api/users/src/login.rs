//! Logging in: the password, the second factor where there is one, then a session with its first tokens. An answer tells
//! nothing of an account to whoever does not know its password.

use api_kit::principal::Role;
use api_store::{StoreError, Tx, execute_on_both};
use axum::http::StatusCode;
use secrecy::SecretString;
use serde_json::json;
use uuid::Uuid;

use crate::caller::Caller;
use crate::config::SESSIONS_MAX;
use crate::confirm::{Confirmed, Whose, locked};
use crate::error::{Result, UsersError};
use crate::metrics::Login;
use crate::service::{ANONYMOUS, Users, ms};
use crate::sessions::{Ended, SessionRow};
use crate::totp::Factor;
use crate::users::{Status, UserRow};
use crate::{email, known, secret, sessions, totp, users};

/// What every refresh token begins with.
pub(crate) const REFRESH_PREFIX: &str = "bist_rt_";

/// What a person gives.
pub struct Credentials {
    /// The address, in any case.
    pub email: String,
    /// The password.
    pub password: SecretString,
    /// A code of the second factor, or a recovery code.
    pub factor: Option<Factor>,
}

/// What a person gets.
pub struct Issued {
    /// For every request, until it ends.
    pub access_token: SecretString,
    /// For the next one, once.
    pub refresh_token: SecretString,
    /// Life of the access token, seconds.
    pub expires_in_s: i64,
}

impl Users {
    /// Makes a session.
    ///
    /// # Errors
    /// 401 `LOGIN_FAILED`, `TOTP_REQUIRED`, `TOTP_INVALID`; 403 `EMAIL_NOT_VERIFIED`; 429 `TOO_MANY_ATTEMPTS`; 503.
    pub async fn log_in(&self, credentials: Credentials, caller: &Caller) -> Result<Issued> {
        let answer = self.try_log_in(credentials, caller).await;
        let how = match &answer {
            Ok(_) => Some(Login::Ok),
            Err(error) => counted(error.code()),
        };
        if let Some(how) = how {
            self.metrics.login(how);
        }
        answer
    }

    async fn try_log_in(&self, credentials: Credentials, caller: &Caller) -> Result<Issued> {
        let Credentials { email, password, factor } = credentials;
        // What is no address is looked up like one that has no account.
        let email = email::cleaned(&email).unwrap_or_default();
        let confirmed = self.confirm(Whose::Email(&email), password.clone(), caller).await?;
        if confirmed.user.status() == Status::Unverified {
            let message = "the e-mail address is not verified: open the link that was sent to it";
            return Err(UsersError::answer(StatusCode::FORBIDDEN, "EMAIL_NOT_VERIFIED", message));
        }
        if confirmed.user.totp_enabled != 0 {
            if factor.is_none() {
                return Err(totp::required());
            }
            self.count_code(&confirmed.pool).await?;
        }
        let rehashed = if confirmed.is_old { Some(self.passwords.hash(password).await?) } else { None };
        self.open_session(&confirmed, factor.as_ref(), rehashed.as_deref(), caller).await
    }

    async fn open_session(
        &self,
        confirmed: &Confirmed,
        factor: Option<&Factor>,
        rehashed: Option<&str>,
        caller: &Caller,
    ) -> Result<Issued> {
        let refresh_token = secret::random_text(REFRESH_PREFIX)?;
        let token_hash = &*secret::hash_of(&refresh_token);
        let now_ms = self.clock.now_ms();
        let session = &SessionRow {
            id: Uuid::now_v7().to_string(),
            user_id: confirmed.user.id.clone(),
            created_ms: now_ms,
            last_used_ms: now_ms,
            expires_ms: now_ms + ms(self.config.session_life),
            revoked_ms: None,
            address: caller.address.to_string(),
            user_agent: caller.user_agent.clone(),
        };
        let written = self.store.database.write(|mut tx| async move {
            let tx = &mut *tx;
            let user = locked(tx, &confirmed.user).await?;
            if !self.passes(tx, &user, factor).await? {
                return Ok(None);
            }
            if let Some(hash) = rehashed {
                users::set_password(tx, &user.id, hash, now_ms).await?;
            }
            sessions::insert(tx, session, token_hash).await?;
            let ended = end_oldest(tx, session, now_ms).await?;
            known::remember(tx, &user.id, caller, now_ms).await?;
            let details = json!({ "session": session.id, "ended": ended });
            self.audit(tx, (&user.id, "user.login", &user.id), &details).await?;
            Ok::<_, UsersError>(Some((self.access_token(&user, &session.id)?, ended)))
        });
        let (access_token, ended) = written.await?.ok_or_else(totp::invalid)?;
        if ended > 0 {
            self.states.forget_user(&session.user_id);
        }
        Ok(Issued { access_token, refresh_token, expires_in_s: self.tokens.life_s() })
    }

    /// Whether the second factor is right, where there is one; a wrong one is noted.
    pub(crate) async fn passes(&self, tx: &mut Tx, user: &UserRow, factor: Option<&Factor>) -> Result<bool> {
        if user.totp_enabled == 0 {
            return Ok(true);
        }
        // Switched on since the password was compared.
        let factor = factor.ok_or_else(totp::required)?;
        let passes = self.use_factor(tx, user, factor).await?;
        if !passes {
            let details = json!({ "part": "second factor" });
            self.audit(tx, (ANONYMOUS, "user.login_failed", &user.id), &details).await?;
        }
        Ok(passes)
    }

    pub(crate) fn access_token(&self, user: &UserRow, session_id: &str) -> Result<SecretString> {
        let roles = user.roles().into_iter().map(|role: Role| role.name().to_owned()).collect();
        self.tokens.access(&user.id, session_id, roles, self.clock.now_ms()).map(SecretString::from)
    }
}

/// As what a refusal of a log-in is counted; one that says nothing of the person is counted elsewhere.
fn counted(code: &str) -> Option<Login> {
    match code {
        "LOGIN_FAILED" => Some(Login::Failed),
        "TOTP_REQUIRED" => Some(Login::TotpRequired),
        "TOTP_INVALID" => Some(Login::TotpInvalid),
        "EMAIL_NOT_VERIFIED" => Some(Login::Unverified),
        "TOO_MANY_ATTEMPTS" => Some(Login::Limited),
        _ => None,
    }
}

/// Ends the sessions beyond [`SESSIONS_MAX`]; how many.
async fn end_oldest(tx: &mut Tx, newest: &SessionRow, now_ms: i64) -> std::result::Result<u64, StoreError> {
    execute_on_both!(tx, c => sqlx::query(
        "UPDATE sessions SET revoked_ms = $2, revoked_reason = $3 WHERE revoked_ms IS NULL AND id IN (\
         SELECT id FROM sessions WHERE user_id = $1 AND id <> $4 AND revoked_ms IS NULL AND expires_ms > $2 \
         ORDER BY last_used_ms DESC, id DESC LIMIT 1000 OFFSET $5)"
    ).bind(newest.user_id.as_str()).bind(now_ms).bind(Ended::TooMany.name()).bind(newest.id.as_str())
     .bind(i64::from(SESSIONS_MAX) - 1).execute(c))
}
