//! The end of an account, as its owner asks: everything personal is deleted and its key in the vault is shredded. What
//! stays is the audit chain, which knows the account by its id alone. Never erases somebody else.

use api_store::{Lent, Tx, execute_on_both};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::caller::Caller;
use crate::confirm::{self, Whose};
use crate::error::Result;
use crate::guard;
use crate::service::Users;
use crate::totp::{self, Factor};

/// What proves that it is the owner who asks.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "password": "kırmızı bisiklet 7" }))]
pub struct Erasure {
    /// The account's password.
    #[schema(value_type = String, max_length = 128, example = "kırmızı bisiklet 7")]
    pub password: SecretString,
    /// The second factor, when it is on.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 16, example = "123456")]
    pub totp: Option<SecretString>,
    /// A recovery code in its place.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 64, example = json!(null))]
    pub recovery_code: Option<SecretString>,
}

impl Erasure {
    /// The second factor, if one is shown.
    fn factor(&self) -> Option<Factor> {
        let code = self.totp.clone().map(Factor::Code);
        code.or_else(|| self.recovery_code.clone().map(Factor::Recovery))
    }
}

impl Users {
    /// Erases a user.
    ///
    /// # Errors
    /// 401 `LOGIN_FAILED`, `TOTP_REQUIRED`, `TOTP_INVALID`; 409 `LAST_ADMIN`; 429 `TOO_MANY_ATTEMPTS`; 503 `BUSY`.
    pub async fn erase(&self, user_id: &str, proof: Erasure, caller: &Caller) -> Result<()> {
        let confirmed = self.confirm(Whose::Id(user_id), proof.password.clone(), caller).await?;
        let factor = &proof.factor();
        if confirmed.user.totp_enabled != 0 {
            factor.as_ref().ok_or_else(totp::required)?;
            self.count_code(&confirmed.pool).await?;
        }
        let user = &confirmed.user;
        let work = |mut tx: Lent| async move {
            let tx = &mut *tx;
            guard::keep_an_admin(tx, user_id).await?;
            let user = confirm::locked(tx, user).await?;
            if !self.passes(tx, &user, factor.as_ref()).await? {
                // Not an error yet: that it was tried is to be kept.
                return Ok(false);
            }
            self.delete(tx, user_id).await.map(|()| true)
        };
        if !self.store.database.write(work).await? {
            return Err(totp::invalid());
        }
        self.states.forget_user(user_id);
        Ok(())
    }

    async fn delete(&self, tx: &mut Tx, user_id: &str) -> Result<()> {
        self.store.vault.shred(tx, user_id, self.clock.now_ms()).await?;
        // Sessions, keys, codes, links, preferences and lists go with it (ON DELETE CASCADE).
        execute_on_both!(&mut *tx, c => sqlx::query("DELETE FROM users WHERE id = $1").bind(user_id).execute(c))?;
        self.audit(tx, (user_id, "user.erase", user_id), &json!({})).await
    }
}
