//! Everything that is kept of a user, as one object, for the user alone (KVKK, article 11). Never holds a secret: no
//! password, token, key or code, nor the hash of one.

use api_store::{Lent, StoreError, Tx, on_both};
use secrecy::ExposeSecret;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::clock::rfc3339;
use crate::error::{Result, UsersError};
use crate::keys::{self, Key};
use crate::own_sessions::Session;
use crate::preferences::{self, Preferences};
use crate::profile::{Profile, profile};
use crate::service::Users;
use crate::watchlists::{self, Watchlist};
use crate::{sessions, users};

/// Audit rows of an export, the newest.
pub const AUDIT_ROWS_MAX: usize = 1_000;

/// Everything that is kept of a user.
#[derive(Serialize, ToSchema)]
pub struct Export {
    /// The account.
    pub profile: Profile,
    /// The phone, whole.
    #[schema(example = "+905321234567")]
    pub phone: Option<String>,
    /// The citizen's number, whole.
    #[schema(example = "10000000146")]
    pub tckn: Option<String>,
    /// The sessions that stand.
    pub sessions: Vec<Session>,
    /// The keys that are not revoked, without their texts.
    pub keys: Vec<Key>,
    /// Preferences.
    pub preferences: Preferences,
    /// Watch lists.
    pub watchlists: Vec<Watchlist>,
    /// What was done by this user or to it, newest first.
    pub audit: Vec<OwnAuditRow>,
    /// There are older audit rows than these.
    #[schema(example = false)]
    pub audit_is_cut: bool,
    /// When this was made, RFC 3339.
    #[schema(example = "2026-11-23T07:00:00Z")]
    pub exported_at: String,
}

/// What was done by a user or to it.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "at": "2026-11-23T07:00:00Z", "by": "you", "action": "user.login", "subject": "0196a0b0-0000-7000-8000-000000000001",
    "details": { "session": "0196a0b0-0000-7000-8000-000000000002" },
}))]
pub struct OwnAuditRow {
    /// When, RFC 3339.
    #[schema(example = "2026-11-23T07:00:00Z")]
    pub at: String,
    /// `you`, or `another`: an administrator, an operator or the service itself.
    #[schema(example = "you")]
    pub by: &'static str,
    /// What.
    #[schema(example = "user.login")]
    pub action: String,
    /// To whom or what, an id.
    #[schema(example = "0196a0b0-0000-7000-8000-000000000001")]
    pub subject: String,
    /// More.
    #[schema(value_type = Object, example = json!({}))]
    pub details: Value,
}

impl Users {
    /// Everything that is kept of a user; `current` is the session that asks.
    ///
    /// # Errors
    /// 404 when the user is gone.
    pub async fn export(&self, user_id: &str, current: &str) -> Result<Export> {
        let work = |mut tx: Lent| async move { self.read_export(&mut tx, user_id, current).await };
        self.store.database.read(work).await
    }

    async fn read_export(&self, tx: &mut Tx, user_id: &str, current: &str) -> Result<Export> {
        let now_ms = self.clock.now_ms();
        let user = users::by_id(tx, user_id).await?.ok_or_else(|| UsersError::not_found("user"))?;
        let personal = self.personal(tx, &user).await?;
        let sessions = sessions::of_user(tx, user_id, now_ms).await?;
        let mut audit = audit_rows(tx, user_id).await?;
        let audit_is_cut = audit.len() > AUDIT_ROWS_MAX;
        audit.truncate(AUDIT_ROWS_MAX);
        let whole = |number: &Option<secrecy::SecretString>| number.as_ref().map(|one| one.expose_secret().to_owned());
        Ok(Export {
            profile: profile(&user, &personal),
            phone: whole(&personal.phone),
            tckn: whole(&personal.tckn),
            sessions: sessions.into_iter().map(|row| Session::new(row, current)).collect(),
            keys: keys::of_user(tx, user_id).await?,
            preferences: preferences::of_user(tx, user_id).await?,
            watchlists: watchlists::of_user(tx, user_id).await?,
            audit,
            audit_is_cut,
            exported_at: rfc3339(now_ms),
        })
    }
}

/// One more than [`AUDIT_ROWS_MAX`] when there are more.
async fn audit_rows(tx: &mut Tx, user_id: &str) -> std::result::Result<Vec<OwnAuditRow>, StoreError> {
    let rows: Vec<(i64, String, String, String, String)> = on_both!(tx, c => sqlx::query_as(
        "SELECT at_ms, actor, action, subject, details FROM audit WHERE actor = $1 OR subject = $1 \
         ORDER BY seq DESC LIMIT $2"
    ).bind(user_id).bind(AUDIT_ROWS_MAX as i64 + 1).fetch_all(c))?;
    let row = |(at_ms, actor, action, subject, details): (i64, String, String, String, String)| OwnAuditRow {
        at: rfc3339(at_ms),
        by: if actor == user_id { "you" } else { "another" },
        action,
        subject,
        details: serde_json::from_str(&details).unwrap_or_else(|_| json!({})),
    };
    Ok(rows.into_iter().map(row).collect())
}
