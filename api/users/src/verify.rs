//! The link that verifies an e-mail address. Verifies nothing of a disabled account.

use api_store::Tx;
use secrecy::SecretString;
use serde_json::json;

use crate::caller::Caller;
use crate::error::Result;
use crate::one_time::{self, Purpose};
use crate::service::Users;
use crate::users::Status;
use crate::{known, users};

impl Users {
    /// Verifies the address that `token` was sent to.
    ///
    /// # Errors
    /// 400 `TOKEN_INVALID`; 503.
    pub async fn verify_email(&self, token: &SecretString, caller: &Caller) -> Result<()> {
        let token_hash = &one_time::hash(token)?;
        let user_id = self.store.database.write(|mut tx| async move {
            let tx = &mut *tx;
            self.use_verify_link(tx, token_hash, caller).await
        });
        self.states.forget_user(&user_id.await?);
        Ok(())
    }

    async fn use_verify_link(&self, tx: &mut Tx, token_hash: &[u8], caller: &Caller) -> Result<String> {
        let now_ms = self.clock.now_ms();
        let user_id = one_time::take(tx, Purpose::Verify, token_hash, now_ms).await?.ok_or_else(one_time::invalid)?;
        let user = users::by_id_locked(tx, &user_id).await?.ok_or_else(one_time::invalid)?;
        if user.status() != Status::Unverified {
            return Err(one_time::invalid());
        }
        users::set_status(tx, &user_id, Status::Active, now_ms).await?;
        known::remember(tx, &user_id, caller, now_ms).await?;
        self.audit(tx, (&user_id, "user.verify", &user_id), &json!({})).await?;
        Ok(user_id)
    }
}
