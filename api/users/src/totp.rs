//! The second factor: codes of RFC 6238 (SHA-1, 6 digits, 30 s, one step to each side), each good once, and ten recovery
//! codes. The secret is sealed at rest and shown once; a password alone neither switches it off nor reads it.

use api_store::{Place, StoreError, Tx, execute_on_both, on_both};
use axum::http::StatusCode;
use data_encoding::BASE32_NOPAD;
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use serde_json::json;
use totp_rs::{Builder, Totp};

use crate::attempts::Pool;
use crate::caller::Caller;
use crate::confirm::{Whose, locked};
use crate::error::{Result, UsersError};
use crate::service::Users;
use crate::users::UserRow;
use crate::{known, recovery, secret, users};

/// Bytes of a secret (RFC 4226, section 4: 160 bits are recommended).
const SECRET_BYTES: usize = 20;

/// Who issues, as an app shows it.
const ISSUER: &str = "BIST";

/// What proves the second factor.
pub enum Factor {
    /// Six digits of an app.
    Code(SecretString),
    /// One of the recovery codes.
    Recovery(SecretString),
}

/// What an app is told, once.
pub struct Setup {
    /// The secret, base32.
    pub secret: SecretString,
    /// The same as `otpauth://` URL, for a QR code.
    pub otpauth_url: SecretString,
}

impl Users {
    /// Makes a secret that waits for its first code; one that waited before is forgotten.
    ///
    /// # Errors
    /// 401 `LOGIN_FAILED`; 409 `TOTP_ENABLED`; 429; 503.
    pub async fn set_up_totp(&self, user_id: &str, password: SecretString, caller: &Caller) -> Result<Setup> {
        let confirmed = self.confirm(Whose::Id(user_id), password, caller).await?;
        let bytes = &SecretSlice::from(secret::random_bytes::<SECRET_BYTES>()?.to_vec());
        let totp = totp(bytes, &confirmed.user.email)?;
        let setup = Setup {
            secret: BASE32_NOPAD.encode(bytes.expose_secret()).into(),
            otpauth_url: totp.to_url().map_err(|_| fault("a second factor has no URL"))?.into(),
        };
        let now_ms = self.clock.now_ms();
        let before = &confirmed.user;
        let kept = self.store.database.write(|mut tx| async move {
            let tx = &mut *tx;
            let user = locked(tx, before).await?;
            if user.totp_enabled != 0 {
                return Err(already_enabled());
            }
            let place = place(&user.id);
            let sealed = self.store.vault.seal(tx, &user.id, place, bytes.expose_secret(), now_ms).await?;
            set(tx, &user.id, Some(sealed), (false, 0), now_ms).await?;
            known::remember(tx, &user.id, caller, now_ms).await?;
            self.audit(tx, (&user.id, "user.totp_setup", &user.id), &json!({})).await
        });
        kept.await.map(|()| setup)
    }

    /// Switches the second factor on by the first code of its secret. The recovery codes, shown once.
    ///
    /// # Errors
    /// 401 `TOTP_INVALID`; 409 `TOTP_ENABLED`, `TOTP_NOT_SET_UP`; 429; 503.
    pub async fn enable_totp(&self, user_id: &str, code: &SecretString, caller: &Caller) -> Result<Vec<SecretString>> {
        self.count_code(&self.code_pool(user_id, caller).await?).await?;
        let codes = &recovery::texts()?;
        let enabled = self.store.database.write(|mut tx| async move {
            let tx = &mut *tx;
            self.try_enable(tx, user_id, code, codes).await
        });
        if !enabled.await? {
            return Err(invalid());
        }
        Ok(codes.clone())
    }

    /// Switches the second factor off.
    ///
    /// # Errors
    /// 401 `LOGIN_FAILED`, `TOTP_INVALID`; 409 `TOTP_NOT_ENABLED`; 429; 503.
    pub async fn disable_totp(
        &self,
        user_id: &str,
        password: SecretString,
        factor: &Factor,
        caller: &Caller,
    ) -> Result<()> {
        let confirmed = &self.confirm(Whose::Id(user_id), password, caller).await?;
        self.count_code(&confirmed.pool).await?;
        let disabled = self.store.database.write(|mut tx| async move {
            let tx = &mut *tx;
            let user = locked(tx, &confirmed.user).await?;
            if user.totp_enabled == 0 {
                return Err(UsersError::answer(StatusCode::CONFLICT, "TOTP_NOT_ENABLED", "there is no second factor"));
            }
            if !self.use_factor(tx, &user, factor).await? {
                self.note_wrong_code(tx, &user.id).await?;
                return Ok(false);
            }
            let now_ms = self.clock.now_ms();
            set(tx, &user.id, None, (false, 0), now_ms).await?;
            recovery::delete(tx, &user.id).await?;
            known::remember(tx, &user.id, caller, now_ms).await?;
            self.audit(tx, (&user.id, "user.totp_disable", &user.id), &json!({})).await?;
            Ok(true)
        });
        if disabled.await? { Ok(()) } else { Err(invalid()) }
    }

    /// Whether `factor` is right and was never used; then it is used up. `user` is locked.
    pub(crate) async fn use_factor(&self, tx: &mut Tx, user: &UserRow, factor: &Factor) -> Result<bool> {
        match factor {
            Factor::Recovery(code) => Ok(recovery::take(tx, &user.id, code, self.clock.now_ms()).await?),
            Factor::Code(code) => match self.step_of(tx, user, code).await? {
                Some(step) => Ok(use_step(tx, &user.id, step).await?),
                None => Ok(false),
            },
        }
    }

    /// The step that `code` belongs to, of those around now.
    async fn step_of(&self, tx: &mut Tx, user: &UserRow, code: &SecretString) -> Result<Option<i64>> {
        let Some(sealed) = &user.totp_sealed else { return Ok(None) };
        let bytes = self.store.vault.open_sealed(tx, &user.id, place(&user.id), sealed).await?;
        let now_s = u64::try_from(self.clock.now_ms() / 1_000).unwrap_or_default();
        let step = totp(&bytes, &user.email)?.check(code.expose_secret(), now_s);
        Ok(step.and_then(|step| i64::try_from(step).ok()))
    }

    async fn try_enable(
        &self,
        tx: &mut Tx,
        user_id: &str,
        code: &SecretString,
        codes: &[SecretString],
    ) -> Result<bool> {
        let user = users::by_id_locked(tx, user_id).await?.ok_or_else(|| UsersError::not_found("account"))?;
        if user.totp_enabled != 0 {
            return Err(already_enabled());
        }
        let Some(sealed) = user.totp_sealed.clone() else {
            let message = "there is no secret yet: POST /api/v1/auth/totp/setup first";
            return Err(UsersError::answer(StatusCode::CONFLICT, "TOTP_NOT_SET_UP", message));
        };
        let Some(step) = self.step_of(tx, &user, code).await? else {
            self.note_wrong_code(tx, user_id).await?;
            return Ok(false);
        };
        let now_ms = self.clock.now_ms();
        set(tx, user_id, Some(sealed), (true, step), now_ms).await?;
        recovery::replace(tx, user_id, codes).await?;
        self.audit(tx, (user_id, "user.totp_enable", user_id), &json!({})).await?;
        Ok(true)
    }

    async fn note_wrong_code(&self, tx: &mut Tx, user_id: &str) -> Result<()> {
        self.audit(tx, (user_id, "user.totp_failed", user_id), &json!({})).await
    }

    async fn code_pool(&self, user_id: &str, caller: &Caller) -> Result<Pool> {
        let found = self.store.database.read(|mut tx| async move {
            let tx = &mut *tx;
            let user = users::by_id(tx, user_id).await?.ok_or_else(|| UsersError::not_found("account"))?;
            let known_ms = known::last_ms(tx, user_id, caller).await?;
            Ok::<_, UsersError>(Pool::new(&user.email, caller, known_ms))
        });
        found.await
    }
}

fn totp(bytes: &SecretSlice<u8>, email: &str) -> Result<Totp> {
    let builder = Builder::new().with_secret(bytes.expose_secret().to_vec());
    let builder = builder.with_account_name(email.to_owned()).with_issuer(Some(ISSUER.to_owned()));
    builder.build().map_err(|_| fault("a second factor cannot be made"))
}

fn place(user_id: &str) -> Place<'_> {
    Place { table: "users", row: user_id, column: "totp_sealed" }
}

async fn set(
    tx: &mut Tx,
    user_id: &str,
    sealed: Option<Vec<u8>>,
    (enabled, last_step): (bool, i64),
    now_ms: i64,
) -> std::result::Result<(), StoreError> {
    execute_on_both!(tx, c => sqlx::query(
        "UPDATE users SET totp_sealed = $2, totp_enabled = $3, totp_last_step = $4, updated_ms = $5 WHERE id = $1"
    ).bind(user_id).bind(sealed.clone()).bind(i64::from(enabled)).bind(last_step).bind(now_ms).execute(c))
    .map(drop)
}

/// False when that step, or a later one, was used.
async fn use_step(tx: &mut Tx, user_id: &str, step: i64) -> std::result::Result<bool, StoreError> {
    let used: Option<i64> = on_both!(tx, c => sqlx::query_scalar(
        "UPDATE users SET totp_last_step = $2 WHERE id = $1 AND totp_last_step < $2 RETURNING totp_last_step"
    ).bind(user_id).bind(step).fetch_optional(c))?;
    Ok(used.is_some())
}

/// 401: the password is right and the second factor is missing.
pub(crate) fn required() -> UsersError {
    let message = "this account has a second factor: send `totp` or `recovery_code`, too";
    UsersError::answer(StatusCode::UNAUTHORIZED, "TOTP_REQUIRED", message)
}

/// 401: the second factor is wrong.
pub(crate) fn invalid() -> UsersError {
    let message = "the code is wrong, was used before or has ended; wait for the next one";
    UsersError::answer(StatusCode::UNAUTHORIZED, "TOTP_INVALID", message)
}

fn already_enabled() -> UsersError {
    let message = "the second factor is on; switch it off before setting up another one";
    UsersError::answer(StatusCode::CONFLICT, "TOTP_ENABLED", message)
}

fn fault(text: &str) -> UsersError {
    UsersError::Store(StoreError::Fault(text.to_owned()))
}
