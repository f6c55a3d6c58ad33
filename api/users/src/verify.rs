//! The link that verifies an e-mail address, with the password of the registration: whoever owns the address may not be the
//! one who registered it, and must not make an account usable for a stranger. Verifies nothing of a disabled account.

use api_store::Tx;
use secrecy::SecretString;
use serde_json::json;

use crate::caller::Caller;
use crate::confirm::{Confirmed, Whose, locked};
use crate::error::Result;
use crate::one_time::{self, Purpose};
use crate::service::Users;
use crate::users::Status;
use crate::{known, users};

impl Users {
    /// Verifies the address that `token` was sent to, for the registration whose password it is.
    ///
    /// # Errors
    /// 400 `TOKEN_INVALID`; 401 `LOGIN_FAILED`: another password, and the link still works; 429; 503.
    pub async fn verify_email(&self, token: &SecretString, password: SecretString, caller: &Caller) -> Result<()> {
        let token_hash = &one_time::hash(token)?;
        let found = self.store.database.read(|mut tx| async move {
            let tx = &mut *tx;
            one_time::look(tx, Purpose::Verify, token_hash, self.clock.now_ms()).await
        });
        let user_id = found.await?.ok_or_else(one_time::invalid)?;
        let confirmed = &self.confirm(Whose::Id(&user_id), password, caller).await?;
        let user_id = self.store.database.write(|mut tx| async move {
            let tx = &mut *tx;
            self.use_verify_link(tx, token_hash, confirmed, caller).await
        });
        self.states.forget_user(&user_id.await?);
        Ok(())
    }

    async fn use_verify_link(
        &self,
        tx: &mut Tx,
        token_hash: &[u8],
        confirmed: &Confirmed,
        caller: &Caller,
    ) -> Result<String> {
        let now_ms = self.clock.now_ms();
        let user_id = one_time::take(tx, Purpose::Verify, token_hash, now_ms).await?.ok_or_else(one_time::invalid)?;
        let user = locked(tx, &confirmed.user).await?;
        if user.id != user_id || user.status() != Status::Unverified {
            return Err(one_time::invalid());
        }
        users::set_status(tx, &user_id, Status::Active, now_ms).await?;
        known::remember(tx, &user_id, caller, now_ms).await?;
        self.audit(tx, (&user_id, "user.verify", &user_id), &json!({})).await?;
        Ok(user_id)
    }
}
