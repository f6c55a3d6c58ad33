//! Registration: an account of an address, a password and a name. On a platform with a mailer nobody learns whether an
//! address has an account: the answer and its cost are the same, and its owner gets a mail.

use std::collections::BTreeSet;

use api_kit::principal::Role;
use api_store::{FromStore, StoreError, Tx, execute_on_both};
use axum::http::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use uuid::Uuid;

use crate::caller::Caller;
use crate::error::{Result, UsersError};
use crate::mailer::{Mail, Purpose as MailPurpose};
use crate::one_time::Purpose;
use crate::service::{ANONYMOUS, Users, ms};
use crate::users::{NewUser, Status};
use crate::{email, known, one_time, password, users};

/// What a person gives.
pub struct Registration {
    /// The address, in any case.
    pub email: String,
    /// The password.
    pub password: SecretString,
    /// The name.
    pub full_name: String,
}

/// An account as its registration is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    /// Its id.
    pub id: String,
    /// Its address, as it is kept.
    pub email: String,
    /// Whether it can be used at once.
    pub verified: bool,
}

/// A registration whose parts are good, its password hashed.
pub(crate) struct Checked {
    pub id: String,
    pub email: String,
    pub full_name: String,
    pub password_hash: String,
}

/// What a registration with a mailer has met.
enum Met {
    /// Nothing: an account is made.
    New,
    /// An account that was never verified: it is the newest registration's now.
    Unverified,
    /// An account.
    Taken,
}

impl Users {
    /// Makes an account.
    ///
    /// # Errors
    /// 400 `INVALID_EMAIL`, `INVALID_NAME`, `WEAK_PASSWORD`; 409 `EMAIL_TAKEN` in development; 429; 503.
    pub async fn register(&self, registration: Registration, caller: &Caller) -> Result<Registered> {
        // First: who is refused for want of room must not have used up a registration.
        let place = self.passwords.place()?;
        self.count_registration(caller).await?;
        let checked = self.check_registration(registration, place).await?;
        if self.config.development {
            self.register_at_once(&checked, caller).await
        } else {
            self.register_by_mail(&checked).await
        }
    }

    pub(crate) async fn check_registration(
        &self,
        registration: Registration,
        place: password::Place,
    ) -> Result<Checked> {
        let email = email::checked(&registration.email)?;
        let full_name = email::checked_name(&registration.full_name)?;
        password::check_new(&registration.password, &email)?;
        let password_hash = self.passwords.hash_at(place, registration.password).await?;
        Ok(Checked { id: Uuid::now_v7().to_string(), email, full_name, password_hash })
    }

    async fn register_at_once(&self, checked: &Checked, caller: &Caller) -> Result<Registered> {
        let roles = &BTreeSet::from([Role::Trader]);
        let made = self.store.database.write(|mut tx| async move {
            let tx = &mut *tx;
            self.make_active(tx, checked, roles, caller).await
        });
        made.await.map_err(taken)?;
        self.metrics.count_registered();
        Ok(Registered { id: checked.id.clone(), email: checked.email.clone(), verified: true })
    }

    /// An account that can be used, known where it was made, with its audit row.
    pub(crate) async fn make_active(
        &self,
        tx: &mut Tx,
        checked: &Checked,
        roles: &BTreeSet<Role>,
        caller: &Caller,
    ) -> Result<()> {
        let now_ms = self.clock.now_ms();
        users::insert(tx, new_user(checked, roles, Status::Active), now_ms).await?;
        known::remember(tx, &checked.id, caller, now_ms).await?;
        let names: Vec<&str> = roles.iter().map(|role| role.name()).collect();
        self.audit(tx, (&checked.id, "user.register", &checked.id), &json!({ "roles": names })).await
    }

    async fn register_by_mail(&self, checked: &Checked) -> Result<Registered> {
        let token = &one_time::text()?;
        let may_mail = self.may_mail(&checked.email).await;
        let made = self.store.database.write(|mut tx| async move {
            let tx = &mut *tx;
            self.make_unverified(tx, checked, token, may_mail).await
        });
        let met = match made.await {
            // Another registration of the same address was faster: its owner has a mail already.
            Err(error) if is_conflict(&error) => Met::Taken,
            other => other?,
        };
        if matches!(met, Met::New) {
            self.metrics.count_registered();
        }
        if may_mail {
            self.mailer.send(match met {
                Met::New | Met::Unverified => self.link(&checked.email, MailPurpose::Verify, token),
                Met::Taken => Mail {
                    to: checked.email.clone(),
                    purpose: MailPurpose::Registered,
                    link: self.config.page_url.clone().into(),
                },
            });
        }
        // A new id each time, which is nobody's unless the account is new: it says nothing of one that was there.
        Ok(Registered { id: checked.id.clone(), email: checked.email.clone(), verified: false })
    }

    /// Writes once whatever it meets, so that the answer takes as long.
    async fn make_unverified(
        &self,
        tx: &mut Tx,
        checked: &Checked,
        token: &SecretString,
        may_mail: bool,
    ) -> Result<Met> {
        let now_ms = self.clock.now_ms();
        let (met, id) = match users::by_email(tx, &checked.email).await? {
            None => {
                users::insert(tx, new_user(checked, &BTreeSet::from([Role::Trader]), Status::Unverified), now_ms)
                    .await?;
                (Met::New, checked.id.clone())
            }
            // Whoever registered it first may not have been its owner. The newest link alone works, and with it goes the
            // password of the same registration. One that is not sent must not end the one that was.
            Some(row) if row.status() == Status::Unverified && may_mail => {
                replace(tx, &row.id, checked, now_ms).await?;
                (Met::Unverified, row.id)
            }
            Some(row) => {
                self.audit(tx, (ANONYMOUS, "user.register_again", &row.id), &json!({})).await?;
                return Ok(Met::Taken);
            }
        };
        let times = (now_ms, now_ms + ms(self.config.verify_life));
        one_time::insert(tx, (Purpose::Verify, Some(&id)), &one_time::hash(token)?, times).await?;
        self.audit(tx, (&id, "user.register", &id), &json!({})).await?;
        Ok(met)
    }

    /// A mail with a link that works once.
    pub(crate) fn link(&self, to: &str, purpose: MailPurpose, token: &SecretString) -> Mail {
        let link = format!("{}/#{}={}", self.config.page_url, purpose.name(), token.expose_secret());
        Mail { to: to.to_owned(), purpose, link: link.into() }
    }
}

fn new_user<'n>(checked: &'n Checked, roles: &'n BTreeSet<Role>, status: Status) -> NewUser<'n> {
    NewUser {
        id: &checked.id,
        email: &checked.email,
        password_hash: &checked.password_hash,
        full_name: &checked.full_name,
        roles,
        status,
    }
}

async fn replace(tx: &mut Tx, id: &str, checked: &Checked, now_ms: i64) -> std::result::Result<(), StoreError> {
    execute_on_both!(tx, c => sqlx::query(
        "UPDATE users SET password_hash = $2, full_name = $3, updated_ms = $4 WHERE id = $1 AND status = 'unverified'"
    ).bind(id).bind(checked.password_hash.as_str()).bind(checked.full_name.as_str()).bind(now_ms).execute(c))
    .map(drop)
}

fn is_conflict(error: &UsersError) -> bool {
    matches!(error.store_error(), Some(StoreError::Conflict { .. }))
}

/// 409 for an address that has an account, where nobody else is there to be told of it.
pub(crate) fn taken(error: UsersError) -> UsersError {
    if is_conflict(&error) {
        return UsersError::answer(StatusCode::CONFLICT, "EMAIL_TAKEN", "this e-mail address has an account; log in");
    }
    error
}
