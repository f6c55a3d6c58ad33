//! What the command line does to accounts, over their store. Named accounts are named by their e-mail address; the audit
//! log has `operator` as the actor. Prints nothing and asks nothing.

use std::collections::BTreeSet;

use api_kit::principal::Role;
use api_store::{Lent, StoreError};
use axum::http::StatusCode;
use secrecy::SecretString;
use serde_json::json;

use crate::admin::{NewRoles, Reason, User, UserPage};
use crate::error::{Result, UsersError};
use crate::keys::{self, CreatedKey, Key, NewKey};
use crate::one_time::Purpose;
use crate::service::Users;
use crate::sessions::{self, Ended};
use crate::users::{self, NewUser, Status};
use crate::{email, one_time, password};

/// The actor of the audit log.
pub const OPERATOR: &str = "operator";

/// An account to make.
pub struct Account {
    /// E-mail address; it is taken as verified.
    pub email: String,
    /// Name.
    pub full_name: String,
    /// Password.
    pub password: SecretString,
    /// Whether it is an administrator besides a trader.
    pub is_admin: bool,
}

/// Makes an account that can be used at once; its id.
///
/// # Errors
/// 400 `INVALID_EMAIL`, `INVALID_NAME`, `WEAK_PASSWORD`; 409 `EMAIL_TAKEN`.
pub async fn add(users: &Users, account: Account) -> Result<String> {
    let email = email::checked(&account.email)?;
    let full_name = email::checked_name(&account.full_name)?;
    password::check_new(&account.password, &email)?;
    let hash = users.passwords.hash(account.password).await?;
    let mut roles = BTreeSet::from([Role::Trader]);
    if account.is_admin {
        roles.insert(Role::Admin);
    }
    let id = uuid::Uuid::now_v7().to_string();
    let names: Vec<&str> = roles.iter().map(|role| role.name()).collect();
    let (new, hash, full_name, roles) = ((&id, &email), &hash, &full_name, &roles);
    let (details, now_ms) = (&json!({ "roles": names }), users.clock.now_ms());
    let work = |mut tx: Lent| async move {
        let (tx, (id, email)) = (&mut *tx, new);
        let new = NewUser { id, email, password_hash: hash, full_name, roles, status: Status::Active };
        users::insert(tx, new, now_ms).await.map_err(taken)?;
        users.audit(tx, (OPERATOR, "user.register", id), details).await
    };
    users.store.database.write(work).await?;
    Ok(id)
}

fn taken(error: StoreError) -> UsersError {
    match error {
        StoreError::Conflict { .. } => {
            UsersError::answer(StatusCode::CONFLICT, "EMAIL_TAKEN", "this address has an account")
        }
        other => other.into(),
    }
}

/// Users after the id `after` (empty = from the first), oldest first, one page.
///
/// # Errors
/// Those of the store.
pub async fn list(users: &Users, after: &str) -> Result<UserPage> {
    users.users(after, "", crate::admin::PAGE_MAX).await
}

/// The account of an address.
///
/// # Errors
/// 400 `INVALID_EMAIL`; 404.
pub async fn find(users: &Users, email: &str) -> Result<User> {
    let email = &email::checked(email)?;
    let work = |mut tx: Lent| async move { Ok::<_, UsersError>(users::by_email(&mut tx, email).await?) };
    let row = users.store.database.read(work).await?.ok_or_else(|| {
        let message = format!("{email} has no account; `bist user list` lists the accounts");
        UsersError::answer(StatusCode::NOT_FOUND, "NOT_FOUND", message)
    })?;
    Ok(User::from(&row))
}

/// Gives a user other roles.
///
/// # Errors
/// 400 `INVALID_ROLE`; 404; 409 `LAST_ADMIN`.
pub async fn set_roles(users: &Users, email: &str, roles: &[String]) -> Result<User> {
    let user = find(users, email).await?;
    users.set_roles(OPERATOR, &user.id, &NewRoles { roles: roles.to_vec() }).await
}

/// Disables a user; its sessions end.
///
/// # Errors
/// 400 `INVALID_REASON`; 404; 409 `LAST_ADMIN`.
pub async fn disable(users: &Users, email: &str, reason: &str) -> Result<User> {
    let user = find(users, email).await?;
    users.disable(OPERATOR, &user.id, &Reason { reason: reason.to_owned() }).await
}

/// Enables a user.
///
/// # Errors
/// 404.
pub async fn enable(users: &Users, email: &str) -> Result<User> {
    let user = find(users, email).await?;
    users.enable(OPERATOR, &user.id).await
}

/// Gives a user another password, ends its sessions, how many, its keys and the links that would reset it.
///
/// # Errors
/// 400 `WEAK_PASSWORD`; 404.
pub async fn set_password(users: &Users, email: &str, password: SecretString) -> Result<u64> {
    let user = find(users, email).await?;
    password::check_new(&password, &user.email)?;
    let (hash, id) = (&users.passwords.hash(password).await?, &user.id);
    let now_ms = users.clock.now_ms();
    let work = |mut tx: Lent| async move {
        let tx = &mut *tx;
        users::by_id_locked(tx, id).await?.ok_or_else(|| UsersError::not_found("user"))?;
        users::set_password(tx, id, hash, now_ms).await?;
        one_time::drop_of_user(tx, id, Purpose::Reset).await?;
        keys::revoke_all(tx, id, now_ms).await?;
        let ended = sessions::revoke_all(tx, id, None, Ended::Password, now_ms).await?;
        users.audit(tx, (OPERATOR, "user.password_change", id), &json!({ "sessions_ended": ended })).await?;
        Ok::<_, UsersError>(ended)
    };
    let ended = users.store.database.write(work).await?;
    users.states.forget_user(id);
    Ok(ended)
}

/// Makes a key for a user.
///
/// # Errors
/// Those of [`Users::create_key`]; 404.
pub async fn make_key(users: &Users, email: &str, new: &NewKey) -> Result<CreatedKey> {
    let user = find(users, email).await?;
    users.create_key(OPERATOR, &user.id, new).await
}

/// The keys of a user.
///
/// # Errors
/// 404.
pub async fn keys(users: &Users, email: &str) -> Result<Vec<Key>> {
    let user = find(users, email).await?;
    users.keys(&user.id).await
}

/// Revokes a key of a user, named by its id or its prefix.
///
/// # Errors
/// 404.
pub async fn revoke_key(users: &Users, email: &str, key: &str) -> Result<()> {
    let user = find(users, email).await?;
    let keys = users.keys(&user.id).await?;
    let found =
        keys.iter().find(|one| one.id == key || one.prefix == key).ok_or_else(|| UsersError::not_found("key"))?;
    users.revoke_key(OPERATOR, &user.id, &found.id).await
}
