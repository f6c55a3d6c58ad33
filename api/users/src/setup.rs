//! The first administrator: by a link that works once and that only whoever started the program has seen. Nothing secret
//! is preset, and nothing is made once any account exists.

use std::collections::BTreeSet;

use api_kit::principal::Role;
use api_store::Tx;
use axum::http::StatusCode;
use secrecy::{ExposeSecret, SecretString};

use crate::caller::Caller;
use crate::error::{Result, UsersError};
use crate::one_time::{self, Purpose};
use crate::register::{Checked, Registered, Registration, taken};
use crate::service::{Users, ms};
use crate::users;

impl Users {
    /// Whether no account exists.
    ///
    /// # Errors
    /// 503.
    pub async fn setup_needed(&self) -> Result<bool> {
        let count = self.store.database.read(|mut tx| async move {
            let tx = &mut *tx;
            users::count(tx).await
        });
        Ok(count.await? == 0)
    }

    /// A link for the first administrator, good for `verify_life`; earlier ones end. `None` when an account exists.
    ///
    /// # Errors
    /// 503.
    pub async fn setup_link(&self) -> Result<Option<SecretString>> {
        let token = &one_time::text()?;
        let token_hash = &one_time::hash(token)?;
        let made = self.store.database.write(|mut tx| async move {
            let tx = &mut *tx;
            if users::count(tx).await? > 0 {
                return Ok::<_, UsersError>(false);
            }
            one_time::drop_of_nobody(tx, Purpose::Setup).await?;
            let now_ms = self.clock.now_ms();
            let times = (now_ms, now_ms + ms(self.config.verify_life));
            one_time::insert(tx, (Purpose::Setup, None), token_hash, times).await?;
            Ok(true)
        });
        let link = format!("{}/#setup={}", self.config.page_url, token.expose_secret());
        Ok(made.await?.then(|| link.into()))
    }

    /// Makes the first administrator, who may trade, too.
    ///
    /// # Errors
    /// 400 `TOKEN_INVALID` and those of a registration; 409 `SETUP_DONE` when an account exists; 429; 503.
    pub async fn set_up(&self, token: &SecretString, first: Registration, caller: &Caller) -> Result<Registered> {
        let place = self.passwords.place()?;
        self.count_registration(caller).await?;
        let token_hash = &one_time::hash(token)?;
        // Before the hash, which costs more than all the rest.
        self.look_at_setup(token_hash).await?;
        let checked = &self.check_registration(first, place).await?;
        let made = self.store.database.write(|mut tx| async move {
            let tx = &mut *tx;
            self.make_first(tx, token_hash, checked, caller).await
        });
        made.await.map_err(taken)?;
        self.metrics.count_registered();
        Ok(Registered { id: checked.id.clone(), email: checked.email.clone(), verified: true })
    }

    async fn look_at_setup(&self, token_hash: &[u8]) -> Result<()> {
        let now_ms = self.clock.now_ms();
        let look = self.store.database.read(|mut tx| async move {
            let tx = &mut *tx;
            must_be_first(tx).await?;
            one_time::look(tx, Purpose::Setup, token_hash, now_ms).await
        });
        look.await.map(drop)
    }

    async fn make_first(&self, tx: &mut Tx, token_hash: &[u8], checked: &Checked, caller: &Caller) -> Result<()> {
        one_time::take(tx, Purpose::Setup, token_hash, self.clock.now_ms()).await?;
        must_be_first(tx).await?;
        let roles = BTreeSet::from([Role::Trader, Role::Admin]);
        self.make_active(tx, checked, &roles, caller).await
    }
}

async fn must_be_first(tx: &mut Tx) -> Result<()> {
    if users::count(tx).await? == 0 {
        return Ok(());
    }
    let message = "an account exists; make further administrators with `bist user add --admin`, or by one of them";
    Err(UsersError::answer(StatusCode::CONFLICT, "SETUP_DONE", message))
}
