//! A new password by a link to the address of the account. Whether an address has an account is told by neither the answer
//! nor its time: for one that has none a link is made that nobody gets.

use api_store::Tx;
use secrecy::SecretString;
use serde_json::json;

use crate::caller::Caller;
use crate::error::Result;
use crate::mailer::Purpose as MailPurpose;
use crate::one_time::Purpose;
use crate::service::{ANONYMOUS, Users, ms};
use crate::users::{Status, UserRow};
use crate::{email, keys, known, one_time, password, users};

impl Users {
    /// Sends a link to `email` when it has an account that is not disabled, five times an hour at most.
    ///
    /// # Errors
    /// 400 `INVALID_EMAIL`; 429 by the caller's address; 503.
    pub async fn forgot_password(&self, email: &str, caller: &Caller) -> Result<()> {
        self.count_registration(caller).await?;
        let email = &*email::checked(email)?;
        let token = &one_time::text()?;
        let may_mail = self.may_mail(email).await;
        let asked = self.store.database.write(|mut tx| async move {
            let tx = &mut *tx;
            self.make_reset_link(tx, email, &one_time::hash(token)?, may_mail).await
        });
        if asked.await? {
            self.mailer.send(self.link(email, MailPurpose::Reset, token));
        }
        Ok(())
    }

    /// Writes the same whatever it meets. Whether the link is to be sent.
    async fn make_reset_link(&self, tx: &mut Tx, email: &str, token_hash: &[u8], may_mail: bool) -> Result<bool> {
        let now_ms = self.clock.now_ms();
        // A link that is not sent must not end the one that was.
        let may_get = |user: &UserRow| may_mail && user.status() != Status::Disabled;
        let user = users::by_email(tx, email).await?.filter(may_get);
        let user_id = user.as_ref().map(|user| &*user.id);
        let times = (now_ms, now_ms + ms(self.config.reset_life));
        one_time::insert(tx, (Purpose::Reset, user_id), token_hash, times).await?;
        let subject = user_id.unwrap_or("unknown");
        self.audit(tx, (ANONYMOUS, "user.password_forgot", subject), &json!({})).await?;
        Ok(user.is_some())
    }

    /// Sets a password by the link, ends all sessions, and verifies the address that the link went to.
    ///
    /// # Errors
    /// 400 `TOKEN_INVALID`, `WEAK_PASSWORD` (the link stays good); 503.
    pub async fn reset_password(&self, token: &SecretString, new: SecretString, caller: &Caller) -> Result<()> {
        let token_hash = &one_time::hash(token)?;
        let found = self.store.database.read(|mut tx| async move {
            let tx = &mut *tx;
            let user_id = one_time::look(tx, Purpose::Reset, token_hash, self.clock.now_ms()).await?;
            let user = users::by_id(tx, user_id.as_deref().unwrap_or_default()).await?;
            of_link(user)
        });
        password::check_new(&new, &found.await?.email)?;
        let hash = &*self.passwords.hash(new).await?;
        let changed = self.store.database.write(|mut tx| async move {
            let tx = &mut *tx;
            self.use_reset_link(tx, token_hash, hash, caller).await
        });
        self.states.forget_user(&changed.await?);
        Ok(())
    }

    async fn use_reset_link(&self, tx: &mut Tx, token_hash: &[u8], hash: &str, caller: &Caller) -> Result<String> {
        let now_ms = self.clock.now_ms();
        let user_id = one_time::take(tx, Purpose::Reset, token_hash, now_ms).await?;
        let user = of_link(users::by_id_locked(tx, user_id.as_deref().unwrap_or_default()).await?)?;
        if user.status() == Status::Unverified {
            users::set_status(tx, &user.id, Status::Active, now_ms).await?;
            one_time::drop_of_user(tx, &user.id, Purpose::Verify).await?;
        }
        // Without the second factor, which a link does not prove, an address does not get a fresh allowance for its codes.
        if user.totp_enabled == 0 {
            known::remember(tx, &user.id, caller, now_ms).await?;
        }
        // Whoever had the account may have made keys: the person makes new ones.
        keys::revoke_all(tx, &user.id, now_ms).await?;
        self.put_password(tx, &user.id, hash, None).await?;
        Ok(user.id)
    }
}

/// The account of a link, unless it is disabled; a link of nobody's opens nothing.
fn of_link(user: Option<UserRow>) -> Result<UserRow> {
    user.filter(|user| user.status() != Status::Disabled).ok_or_else(one_time::invalid)
}
