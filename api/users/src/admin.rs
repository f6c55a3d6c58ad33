//! What administrators do to accounts: list, read, roles, disable, enable, live trading, KYC. There is always one who can
//! log in. Never shows what is sealed, and never touches a password.

use std::collections::BTreeSet;

use api_kit::principal::Role;
use api_store::{Lent, StoreError, Tx, execute_on_both, on_both};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::clock::rfc3339;
use crate::error::{Result, UsersError};
use crate::service::Users;
use crate::sessions::{self, Ended};
use crate::users::{self, Status, UserRow, roles_text, select_users};
use crate::{form, guard};

/// Users of a page.
pub const PAGE_MAX: usize = 100;

/// Longest reason, characters.
pub const REASON_CHARS_MAX: usize = 200;

/// A user as administrators see it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct User {
    /// Its id.
    #[schema(example = "0196a0b0-0000-7000-8000-000000000001")]
    pub id: String,
    /// Its e-mail address.
    #[schema(example = "ayse@example.com")]
    pub email: String,
    /// Its name.
    #[schema(example = "Ayşe Çelik")]
    pub full_name: String,
    /// What it may do.
    #[schema(example = json!(["trader"]))]
    pub roles: Vec<String>,
    /// `unverified`, `active`, `disabled`.
    #[schema(example = "active")]
    pub status: &'static str,
    /// Whether it may trade live.
    #[schema(example = false)]
    pub live_allowed: bool,
    /// 0 = nothing is known, 1 = phone and citizen's number are given, 2 = an administrator has compared them.
    #[schema(minimum = 0, maximum = 2, example = 1)]
    pub kyc_level: i64,
    /// When it was registered, RFC 3339.
    #[schema(example = "2026-11-23T07:00:00Z")]
    pub created_at: String,
}

impl From<&UserRow> for User {
    fn from(row: &UserRow) -> Self {
        Self {
            id: row.id.clone(),
            email: row.email.clone(),
            full_name: row.full_name.clone(),
            roles: row.roles().iter().map(|role| role.name().to_owned()).collect(),
            status: row.status().name(),
            live_allowed: row.live_allowed != 0,
            kyc_level: row.kyc_level,
            created_at: rfc3339(row.created_ms),
        }
    }
}

/// The roles of a user, in place of those it had.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRoles {
    /// `viewer`, `trader`, `ops`, `admin`.
    #[schema(min_items = 1, max_items = 4, example = json!(["trader"]))]
    pub roles: Vec<String>,
}

/// Why a user is disabled.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// Kept in the audit log, which is never deleted: name nobody in it.
    #[schema(min_length = 1, max_length = 200, example = "a key was found in public")]
    pub reason: String,
}

/// Whether a user may trade live.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LivePermission {
    /// Whether it may. Live keys of a user who may not are refused.
    #[schema(example = true)]
    pub allowed: bool,
}

/// How well a user is known.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KycLevel {
    /// 0, 1 or 2. Above 0 the user must have given phone and citizen's number.
    #[schema(minimum = 0, maximum = 2, example = 2)]
    pub level: i64,
}

/// One page of users, by id, which is by age.
pub struct UserPage {
    /// The users.
    pub items: Vec<User>,
    /// The id after which the next page begins; `None` = there is none.
    pub next_cursor: Option<String>,
}

/// One change of an account, as the audit log has it.
struct Change {
    action: &'static str,
    details: Value,
}

/// Roles of their names.
///
/// # Errors
/// 400 `INVALID_ROLE`.
pub(crate) fn roles(names: &[String]) -> Result<BTreeSet<Role>> {
    let wrong = || UsersError::field("INVALID_ROLE", "roles", format!("1 or more of {}, each once", Role::names()));
    let roles = names.iter().map(|name| Role::from_name(name)).collect::<Option<BTreeSet<_>>>().ok_or_else(wrong)?;
    if roles.is_empty() || roles.len() != names.len() { Err(wrong()) } else { Ok(roles) }
}

impl Users {
    /// Users after the id `after`, whose address begins with `email`; at most `limit` (1..=[`PAGE_MAX`]).
    ///
    /// # Errors
    /// Those of the store.
    pub async fn users(&self, after: &str, email: &str, limit: usize) -> Result<UserPage> {
        let limit = limit.clamp(1, PAGE_MAX);
        let work =
            |mut tx: Lent| async move { Ok::<_, UsersError>(page(&mut tx, after, email, limit as i64 + 1).await?) };
        let rows = self.store.database.read(work).await?;
        let items: Vec<User> = rows.iter().take(limit).map(User::from).collect();
        let next_cursor = items.last().filter(|_| rows.len() > limit).map(|last| last.id.clone());
        Ok(UserPage { items, next_cursor })
    }

    /// One user.
    ///
    /// # Errors
    /// 404.
    pub async fn user(&self, id: &str) -> Result<User> {
        let id = &form::id("user", id)?;
        let work = |mut tx: Lent| async move { Ok::<_, UsersError>(users::by_id(&mut tx, id).await?) };
        let row = self.store.database.read(work).await?.ok_or_else(|| UsersError::not_found("user"))?;
        Ok(User::from(&row))
    }

    /// Gives a user other roles.
    ///
    /// # Errors
    /// 400 `INVALID_ROLE`; 404; 409 `LAST_ADMIN`.
    pub async fn set_roles(&self, actor: &str, id: &str, new: &NewRoles) -> Result<User> {
        let new = &roles(&new.roles)?;
        let leaves = !new.contains(&Role::Admin);
        self.change(actor, id, leaves, |user| {
            let before = (user.roles() != *new).then(|| std::mem::replace(&mut user.roles, roles_text(new)))?;
            let names = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
            Some(Change { action: "user.roles", details: json!({ "from": names(&before), "to": names(&user.roles) }) })
        })
        .await
    }

    /// Disables a user: its sessions end, its keys are refused until it is enabled.
    ///
    /// # Errors
    /// 400 `INVALID_REASON`; 404; 409 `LAST_ADMIN`.
    pub async fn disable(&self, actor: &str, id: &str, reason: &Reason) -> Result<User> {
        let reason = &form::line("INVALID_REASON", "reason", &reason.reason, REASON_CHARS_MAX)?;
        self.change(actor, id, true, |user| {
            set_status(user, Status::Disabled)?;
            Some(Change { action: "user.disable", details: json!({ "reason": reason }) })
        })
        .await
    }

    /// Enables a user who was disabled, or whose address was not verified: the administrator vouches for it.
    ///
    /// # Errors
    /// 404.
    pub async fn enable(&self, actor: &str, id: &str) -> Result<User> {
        self.change(actor, id, false, |user| {
            let before = user.status().name();
            set_status(user, Status::Active)?;
            Some(Change { action: "user.enable", details: json!({ "from": before }) })
        })
        .await
    }

    /// Allows a user to trade live, or no more.
    ///
    /// # Errors
    /// 404.
    pub async fn set_live(&self, actor: &str, id: &str, new: LivePermission) -> Result<User> {
        self.change(actor, id, false, |user| {
            let allowed = i64::from(new.allowed);
            (user.live_allowed != allowed).then(|| user.live_allowed = allowed)?;
            Some(Change { action: "user.live", details: json!({ "allowed": new.allowed }) })
        })
        .await
    }

    /// Says how well a user is known.
    ///
    /// # Errors
    /// 400 `INVALID_LEVEL`; 404; 409 `KYC_INCOMPLETE`.
    pub async fn set_kyc(&self, actor: &str, id: &str, new: KycLevel) -> Result<User> {
        if !(0..=2).contains(&new.level) {
            return Err(UsersError::field("INVALID_LEVEL", "level", "level is 0, 1 or 2"));
        }
        let id = &form::id("user", id)?;
        let work = |mut tx: Lent| async move {
            let tx = &mut *tx;
            let mut user = users::by_id_locked(tx, id).await?.ok_or_else(|| UsersError::not_found("user"))?;
            if new.level > 0 && (user.phone_sealed.is_none() || user.tckn_sealed.is_none()) {
                let message = "the user has not given phone and citizen's number yet";
                return Err(UsersError::answer(StatusCode::CONFLICT, "KYC_INCOMPLETE", message));
            }
            if user.kyc_level != new.level {
                let details = json!({ "from": user.kyc_level, "to": new.level });
                user.kyc_level = new.level;
                self.keep(tx, actor, &user, &Change { action: "user.kyc", details }).await?;
            }
            Ok(User::from(&user))
        };
        self.store.database.write(work).await
    }

    /// Changes one account by `change`, which says what it did, or nothing when there was nothing to do. `leaves`: it may
    /// stop being an administrator who can log in by it.
    async fn change(
        &self,
        actor: &str,
        id: &str,
        leaves: bool,
        change: impl Fn(&mut UserRow) -> Option<Change> + Sync,
    ) -> Result<User> {
        let (id, change) = (&form::id("user", id)?, &change);
        let work = |mut tx: Lent| async move {
            let tx = &mut *tx;
            if leaves {
                guard::keep_an_admin(tx, id).await?;
            }
            let mut user = users::by_id_locked(tx, id).await?.ok_or_else(|| UsersError::not_found("user"))?;
            if let Some(done) = change(&mut user) {
                self.keep(tx, actor, &user, &done).await?;
            }
            Ok::<_, UsersError>(User::from(&user))
        };
        let user = self.store.database.write(work).await?;
        self.states.forget_user(&user.id);
        Ok(user)
    }

    async fn keep(&self, tx: &mut Tx, actor: &str, user: &UserRow, done: &Change) -> Result<()> {
        let now_ms = self.clock.now_ms();
        update(tx, user, now_ms).await?;
        if user.status() == Status::Disabled {
            sessions::revoke_all(tx, &user.id, None, Ended::Account, now_ms).await?;
        }
        self.audit(tx, (actor, done.action, &user.id), &done.details).await
    }
}

/// `None` when it is so already.
fn set_status(user: &mut UserRow, status: Status) -> Option<()> {
    (user.status() != status).then(|| user.status = status.name().to_owned())
}

async fn page(tx: &mut Tx, after: &str, email: &str, rows: i64) -> std::result::Result<Vec<UserRow>, StoreError> {
    on_both!(tx, c => sqlx::query_as(select_users!(
        "WHERE id > $1 AND substr(email, 1, length($2)) = $2 ORDER BY id LIMIT $3"
    )).bind(after).bind(email).bind(rows).fetch_all(c))
}

async fn update(tx: &mut Tx, user: &UserRow, now_ms: i64) -> std::result::Result<(), StoreError> {
    execute_on_both!(tx, c => sqlx::query(
        "UPDATE users SET roles = $2, status = $3, live_allowed = $4, kyc_level = $5, updated_ms = $6 WHERE id = $1"
    ).bind(user.id.as_str()).bind(user.roles.as_str()).bind(user.status.as_str()).bind(user.live_allowed)
     .bind(user.kyc_level).bind(now_ms).execute(c))
    .map(drop)
}
