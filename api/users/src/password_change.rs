//! A new password by the current one. Ends every other session of the person: whoever knew the old password is out.

use api_store::Tx;
use secrecy::SecretString;
use serde_json::json;

use crate::caller::Caller;
use crate::confirm::{Whose, locked};
use crate::error::Result;
use crate::one_time::Purpose;
use crate::service::Users;
use crate::sessions::Ended;
use crate::{known, one_time, password, sessions, users};

impl Users {
    /// Changes the password of the person of a session, which stands on. How many other sessions ended.
    ///
    /// # Errors
    /// 400 `WEAK_PASSWORD`; 401 `LOGIN_FAILED`; 429; 503.
    pub async fn change_password(
        &self,
        (user_id, session_id): (&str, &str),
        (current, new): (SecretString, SecretString),
        caller: &Caller,
    ) -> Result<u64> {
        let confirmed = &self.confirm(Whose::Id(user_id), current, caller).await?;
        password::check_new(&new, &confirmed.user.email)?;
        let hash = &*self.passwords.hash(new).await?;
        let changed = self.store.database.write(|mut tx| async move {
            let tx = &mut *tx;
            let user = locked(tx, &confirmed.user).await?;
            // Without the second factor an address does not get a fresh allowance for its codes.
            if user.totp_enabled == 0 {
                known::remember(tx, user_id, caller, self.clock.now_ms()).await?;
            }
            self.put_password(tx, user_id, hash, Some(session_id)).await
        });
        let ended = changed.await?;
        self.states.forget_user(user_id);
        Ok(ended)
    }

    /// Another password, the end of all sessions but one and of links that would set one more, and the audit row.
    pub(crate) async fn put_password(
        &self,
        tx: &mut Tx,
        user_id: &str,
        hash: &str,
        except: Option<&str>,
    ) -> Result<u64> {
        let now_ms = self.clock.now_ms();
        users::set_password(tx, user_id, hash, now_ms).await?;
        let ended = sessions::revoke_all(tx, user_id, except, Ended::Password, now_ms).await?;
        one_time::drop_of_user(tx, user_id, Purpose::Reset).await?;
        let details = json!({ "sessions": ended });
        self.audit(tx, (user_id, "user.password_change", user_id), &details).await?;
        Ok(ended)
    }
}
