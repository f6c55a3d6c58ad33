//! What a user likes: language, theme, and free data of the page, kept whole with a version. Never looks into the data.

use api_store::{StoreError, Tx, execute_on_both, on_both};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use crate::bounds::PREFERENCES_BYTES_MAX;
use crate::error::{Result, UsersError};
use crate::guard;
use crate::service::Users;

api_kit::named_enum! {
    /// Languages of the page.
    Language {
        /// Turkish.
        Turkish = "tr",
        /// English.
        English = "en",
    }
}

api_kit::named_enum! {
    /// Colours of the page.
    Theme {
        /// Dark.
        Dark = "dark",
        /// Light.
        Light = "light",
        /// As the machine's.
        System = "system",
    }
}

/// What a user likes.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(example = json!({ "language": "tr", "theme": "dark", "data": { "depth": 10 }, "version": 1 }))]
pub struct Preferences {
    /// `tr`, `en`; null = as the browser's.
    #[schema(example = "tr")]
    pub language: Option<String>,
    /// `dark`, `light`, `system`; null = never chosen.
    #[schema(example = "dark")]
    pub theme: Option<String>,
    /// What the page keeps besides.
    #[schema(value_type = Object, example = json!({}))]
    pub data: Map<String, Value>,
    /// Grows with each change; 0 before the first.
    #[schema(example = 1)]
    pub version: i64,
}

/// New preferences, in place of the old ones.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "language": "tr", "theme": "dark", "data": { "depth": 10 }, "version": 1 }))]
pub struct NewPreferences {
    /// `tr`, `en`; null = as the browser's.
    #[serde(default)]
    #[schema(pattern = "^(tr|en)$", example = "tr")]
    pub language: Option<String>,
    /// `dark`, `light`, `system`; null = never chosen.
    #[serde(default)]
    #[schema(pattern = "^(dark|light|system)$", example = "dark")]
    pub theme: Option<String>,
    /// At most 8 KiB of JSON.
    #[serde(default)]
    #[schema(value_type = Object, example = json!({ "depth": 10 }))]
    pub data: Map<String, Value>,
    /// The version that they replace; without it, whichever is stored.
    #[serde(default)]
    #[schema(minimum = 0, example = 1)]
    pub version: Option<i64>,
}

impl NewPreferences {
    /// The data as JSON.
    fn check(&self) -> Result<String> {
        if self.language.as_deref().is_some_and(|name| Language::from_name(name).is_none()) {
            let message = format!("language is one of {}, or null", Language::names());
            return Err(UsersError::field("INVALID_LANGUAGE", "language", message));
        }
        if self.theme.as_deref().is_some_and(|name| Theme::from_name(name).is_none()) {
            return Err(UsersError::field(
                "INVALID_THEME",
                "theme",
                format!("theme is one of {}, or null", Theme::names()),
            ));
        }
        let data = json!(self.data).to_string();
        if data.len() > PREFERENCES_BYTES_MAX {
            return Err(UsersError::field(
                "INVALID_DATA",
                "data",
                format!("data has at most {PREFERENCES_BYTES_MAX} bytes"),
            ));
        }
        Ok(data)
    }
}

impl Users {
    /// What a user likes.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn preferences(&self, user_id: &str) -> Result<Preferences> {
        self.store.database.read(|mut tx| async move { Ok(of_user(&mut tx, user_id).await?) }).await
    }

    /// Puts new preferences in place of the old ones.
    ///
    /// # Errors
    /// 400 naming the field; 409 `VERSION_CONFLICT` with the stored version.
    pub async fn set_preferences(&self, user_id: &str, new: &NewPreferences) -> Result<Preferences> {
        let data = &new.check()?;
        let now_ms = self.clock.now_ms();
        let work = |mut tx: api_store::Lent| async move {
            let tx = &mut *tx;
            guard::own_locked(tx, user_id).await?;
            let stored = of_user(tx, user_id).await?.version;
            if new.version.is_some_and(|version| version != stored) {
                return Err(guard::conflict(stored));
            }
            let version = stored + 1;
            put(tx, user_id, (new, data), version, now_ms).await?;
            self.audit(tx, (user_id, "user.preferences", user_id), &json!({ "version": version })).await?;
            Ok(version)
        };
        let version = self.store.database.write(work).await?;
        let NewPreferences { language, theme, data, .. } = new.clone();
        Ok(Preferences { language, theme, data, version })
    }
}

/// Stored ones, or those before the first.
pub(crate) async fn of_user(tx: &mut Tx, user_id: &str) -> std::result::Result<Preferences, StoreError> {
    let row: Option<(Option<String>, Option<String>, String, i64)> = on_both!(tx, c => sqlx::query_as(
        "SELECT language, theme, data, version FROM preferences WHERE user_id = $1"
    ).bind(user_id).fetch_optional(c))?;
    let (language, theme, data, version) = row.unwrap_or_default();
    Ok(Preferences { language, theme, data: serde_json::from_str(&data).unwrap_or_default(), version })
}

async fn put(
    tx: &mut Tx,
    user_id: &str,
    (new, data): (&NewPreferences, &str),
    version: i64,
    now_ms: i64,
) -> std::result::Result<(), StoreError> {
    execute_on_both!(tx, c => sqlx::query(
        "INSERT INTO preferences (user_id, language, theme, data, version, updated_ms) VALUES ($1, $2, $3, $4, $5, $6) \
         ON CONFLICT (user_id) DO UPDATE SET language = $2, theme = $3, data = $4, version = $5, updated_ms = $6"
    ).bind(user_id).bind(new.language.as_deref()).bind(new.theme.as_deref()).bind(data).bind(version).bind(now_ms)
     .execute(c))
    .map(drop)
}
