//! API keys of a user: listed, made, revoked. The text of a key is given once, when it is made; what is kept is its
//! SHA-256. Never changes a key: another one is made.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::atomic::Ordering;

use api_kit::error::ApiError;
use api_kit::principal::{Environment, Scope};
use api_store::{StoreError, Tx, execute_on_both, on_both};
use axum::http::StatusCode;
use ipnet::IpNet;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::authenticator::may_hold;
use crate::bounds::{KEY_ADDRESSES_MAX, KEYS_MAX, NAME_CHARS_MAX};
use crate::clock::rfc3339;
use crate::error::{Result, UsersError};
use crate::service::Users;
use crate::users::UserRow;
use crate::{form, guard, key_text, secret, users};

/// A revoked key is forgotten after so long, milliseconds.
const REVOKED_KEPT_MS: i64 = 30 * 24 * 60 * 60 * 1_000;

/// A key to make.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "name": "my bot", "environment": "paper", "scopes": ["market:read", "trading:read"] }))]
pub struct NewKey {
    /// What its owner calls it.
    #[schema(min_length = 1, max_length = 50, example = "my bot")]
    pub name: String,
    /// `paper` or `live`: the accounts that it may touch.
    #[schema(pattern = "^(paper|live)$", example = "paper")]
    pub environment: String,
    /// What it may do: `market:read`, `trading:read`, `trading:place`, `trading:modify`, `trading:cancel`,
    /// `portfolio:read`, `orders:read`.
    #[schema(min_items = 1, max_items = 7, example = json!(["market:read"]))]
    pub scopes: Vec<String>,
    /// Addresses and ranges that it may be used from; none = from everywhere.
    #[serde(default)]
    #[schema(max_items = 20, example = json!(["192.0.2.7", "2001:db8::/48"]))]
    pub addresses: Option<Vec<String>>,
    /// When it ends, RFC 3339; none = when it is revoked.
    #[serde(default)]
    #[schema(format = DateTime, example = "2030-01-01T00:00:00Z")]
    pub expires_at: Option<String>,
}

/// One key, without its text.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Key {
    /// Its id.
    #[schema(example = "0196a0b0-0000-7000-8000-000000000001")]
    pub id: String,
    /// What its owner calls it.
    #[schema(example = "my bot")]
    pub name: String,
    /// `paper` or `live`.
    #[schema(example = "paper")]
    pub environment: String,
    /// The beginning of its text.
    #[schema(example = "bist_paper_abcdefgh2345")]
    pub prefix: String,
    /// What it may do.
    #[schema(example = json!(["market:read"]))]
    pub scopes: Vec<String>,
    /// Where it may be used from; empty = everywhere.
    #[schema(example = json!(["192.0.2.7/32"]))]
    pub addresses: Vec<String>,
    /// When it was made, RFC 3339.
    #[schema(example = "2026-11-23T07:00:00Z")]
    pub created_at: String,
    /// When it ends, RFC 3339.
    #[schema(example = json!(null))]
    pub expires_at: Option<String>,
    /// When it was last used, to the minute, RFC 3339.
    #[schema(example = json!(null))]
    pub last_used_at: Option<String>,
}

/// A key that was just made. The only answer that holds its text.
#[derive(Serialize, ToSchema)]
pub struct CreatedKey {
    /// The whole text: it is not shown again.
    #[schema(example = "bist_paper_abcdefgh2345_0000000000000000000000000000000000000000000")]
    pub key: String,
    /// The key.
    #[serde(flatten)]
    pub about: Key,
}

#[derive(sqlx::FromRow)]
struct KeyRow {
    id: String,
    name: String,
    environment: String,
    prefix: String,
    scopes: String,
    addresses: String,
    created_ms: i64,
    expires_ms: Option<i64>,
    last_used_ms: Option<i64>,
}

impl From<KeyRow> for Key {
    fn from(row: KeyRow) -> Self {
        let list = |text: &str| serde_json::from_str(text).unwrap_or_default();
        Self {
            scopes: list(&row.scopes),
            addresses: list(&row.addresses),
            created_at: rfc3339(row.created_ms),
            expires_at: row.expires_ms.map(rfc3339),
            last_used_at: row.last_used_ms.map(rfc3339),
            id: row.id,
            name: row.name,
            environment: row.environment,
            prefix: row.prefix,
        }
    }
}

/// A key whose every part was looked at.
struct CheckedKey {
    name: String,
    environment: Environment,
    scopes: BTreeSet<Scope>,
    addresses: Vec<IpNet>,
    expires_ms: Option<i64>,
}

impl CheckedKey {
    fn new(key: &NewKey, now_ms: i64) -> Result<Self> {
        let environment = Environment::from_name(&key.environment).ok_or_else(|| {
            UsersError::field("INVALID_ENVIRONMENT", "environment", format!("one of {}", Environment::names()))
        })?;
        Ok(Self {
            name: form::line("INVALID_NAME", "name", &key.name, NAME_CHARS_MAX)?,
            environment,
            scopes: scopes(&key.scopes)?,
            addresses: addresses(key.addresses.as_deref().unwrap_or_default())?,
            expires_ms: key.expires_at.as_deref().map(|text| expires_ms(text, now_ms)).transpose()?,
        })
    }

    /// Whether this user may have it.
    fn check_owner(&self, owner: &UserRow) -> Result<()> {
        if self.environment == Environment::Live && owner.live_allowed == 0 {
            let message = "live keys are for accounts that an administrator has allowed to trade live";
            return Err(UsersError::answer(StatusCode::FORBIDDEN, "LIVE_NOT_ALLOWED", message));
        }
        let roles = owner.roles();
        match self.scopes.iter().find(|&&scope| !may_hold(&roles, scope)) {
            None => Ok(()),
            Some(scope) => {
                let message = format!("{} needs the role trader: a key may no more than its owner", scope.name());
                let error = ApiError::new(StatusCode::FORBIDDEN, "SCOPE_NOT_ALLOWED", message);
                Err(UsersError::Answer(Box::new(ApiError { details: json!({ "scope": scope.name() }), ..error })))
            }
        }
    }

    fn scope_names(&self) -> Vec<String> {
        self.scopes.iter().map(|scope| scope.name().to_owned()).collect()
    }

    fn address_texts(&self) -> Vec<String> {
        self.addresses.iter().map(IpNet::to_string).collect()
    }
}

fn scopes(names: &[String]) -> Result<BTreeSet<Scope>> {
    let wrong = || UsersError::field("INVALID_SCOPE", "scopes", format!("1 or more of {}, each once", Scope::names()));
    let scopes = names.iter().map(|name| Scope::from_name(name)).collect::<Option<BTreeSet<_>>>().ok_or_else(wrong)?;
    if scopes.is_empty() || scopes.len() != names.len() { Err(wrong()) } else { Ok(scopes) }
}

fn addresses(texts: &[String]) -> Result<Vec<IpNet>> {
    let wrong = |message: String| UsersError::field("INVALID_ADDRESS", "addresses", message);
    if texts.len() > KEY_ADDRESSES_MAX {
        return Err(wrong(format!("a key has at most {KEY_ADDRESSES_MAX} addresses")));
    }
    let one = |text: &String| {
        let net = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
        let form = "an address such as 192.0.2.7, or a range such as 2001:db8::/48";
        // A range of IPv6 that stands for IPv4 would never match: those who ask over IPv4 are looked up as such.
        match net.map(|net| (net.trunc(), net.addr().to_canonical())) {
            Some((IpNet::V6(net), IpAddr::V4(v4))) if net.prefix_len() == 128 => Ok(IpNet::from(IpAddr::V4(v4))),
            Some((IpNet::V6(_), IpAddr::V4(_))) => Err(wrong(format!("{form}; write ranges of IPv4 as such"))),
            Some((net, _)) => Ok(net),
            None => Err(wrong(form.to_owned())),
        }
    };
    texts.iter().map(one).collect()
}

fn expires_ms(text: &str, now_ms: i64) -> Result<i64> {
    let wrong = || UsersError::field("INVALID_EXPIRY", "expires_at", "a time to come, such as 2030-01-01T00:00:00Z");
    let end = text.parse::<jiff::Timestamp>().map_err(|_| wrong())?.as_millisecond();
    if end > now_ms { Ok(end) } else { Err(wrong()) }
}

/// Revokes all keys of a user; how many.
pub(crate) async fn revoke_all(tx: &mut Tx, user_id: &str, now_ms: i64) -> std::result::Result<u64, StoreError> {
    execute_on_both!(tx, c => sqlx::query("UPDATE api_keys SET revoked_ms = $2 WHERE user_id = $1 AND revoked_ms IS NULL")
        .bind(user_id).bind(now_ms).execute(c))
}

impl Users {
    /// The keys of a user that are not revoked, oldest first.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn keys(&self, user_id: &str) -> Result<Vec<Key>> {
        self.store.database.read(|mut tx| async move { Ok(of_user(&mut tx, user_id).await?) }).await
    }

    /// Makes a key for a user, as asked by `actor`.
    ///
    /// # Errors
    /// 400 naming the field; 403 `LIVE_NOT_ALLOWED`, `SCOPE_NOT_ALLOWED`; 409 `TOO_MANY_KEYS`.
    pub async fn create_key(&self, actor: &str, user_id: &str, new: &NewKey) -> Result<CreatedKey> {
        let now_ms = self.clock.now_ms();
        let checked = CheckedKey::new(new, now_ms)?;
        let (prefix, text) = key_text::generate(checked.environment)?;
        let (id, hash) = (uuid::Uuid::now_v7().to_string(), secret::hash_of(&text));
        let row = KeyRow {
            id,
            name: checked.name.clone(),
            environment: checked.environment.name().to_owned(),
            prefix,
            scopes: json!(checked.scope_names()).to_string(),
            addresses: json!(checked.address_texts()).to_string(),
            created_ms: now_ms,
            expires_ms: checked.expires_ms,
            last_used_ms: None,
        };
        let (key, checked, hash) = (&row, &checked, &hash);
        let work = |mut tx: api_store::Lent| async move {
            self.insert_key(&mut tx, (actor, user_id), (key, hash), checked).await
        };
        self.store.database.write(work).await?;
        self.metrics.keys_made.fetch_add(1, Ordering::Relaxed);
        Ok(created(row, &text))
    }

    async fn insert_key(
        &self,
        tx: &mut Tx,
        (actor, user_id): (&str, &str),
        (key, hash): (&KeyRow, &[u8]),
        checked: &CheckedKey,
    ) -> Result<()> {
        checked.check_owner(&guard::own_locked(tx, user_id).await?)?;
        if count(tx, user_id).await? >= KEYS_MAX as i64 {
            let message = format!("a user has at most {KEYS_MAX} keys: revoke one first");
            return Err(UsersError::answer(StatusCode::CONFLICT, "TOO_MANY_KEYS", message));
        }
        insert(tx, user_id, key, hash).await?;
        let details = json!({ "environment": key.environment, "scopes": checked.scope_names() });
        self.audit(tx, (actor, "key.create", &key.id), &details).await
    }

    /// Revokes a key of a user, as asked by `actor`. At once in this process, everywhere within 5 s.
    ///
    /// # Errors
    /// 404 when it is revoked, not there, or of somebody else.
    pub async fn revoke_key(&self, actor: &str, user_id: &str, key_id: &str) -> Result<()> {
        let now_ms = self.clock.now_ms();
        let key_id = &form::id("key", key_id)?;
        let work = |mut tx: api_store::Lent| async move {
            let tx = &mut *tx;
            // The user's row first, as everywhere: a key that is being made and one that is revoked do not cross.
            users::by_id_locked(tx, user_id).await?;
            if !revoke(tx, user_id, key_id, now_ms).await? {
                return Err(UsersError::not_found("key"));
            }
            forget(tx, user_id, now_ms - REVOKED_KEPT_MS).await?;
            self.audit(tx, (actor, "key.revoke", key_id), &json!({})).await
        };
        self.store.database.write(work).await?;
        self.states.forget_user(user_id);
        self.metrics.keys_revoked.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

fn created(row: KeyRow, text: &SecretString) -> CreatedKey {
    CreatedKey { key: text.expose_secret().to_owned(), about: row.into() }
}

/// The keys of a user that are not revoked, oldest first.
pub(crate) async fn of_user(tx: &mut Tx, user_id: &str) -> std::result::Result<Vec<Key>, StoreError> {
    let rows: Vec<KeyRow> = on_both!(tx, c => sqlx::query_as(
        "SELECT id, name, environment, prefix, scopes, addresses, created_ms, expires_ms, last_used_ms FROM api_keys \
         WHERE user_id = $1 AND revoked_ms IS NULL ORDER BY created_ms, id"
    ).bind(user_id).fetch_all(c))?;
    Ok(rows.into_iter().map(Key::from).collect())
}

async fn count(tx: &mut Tx, user_id: &str) -> std::result::Result<i64, StoreError> {
    on_both!(tx, c => sqlx::query_scalar("SELECT count(*) FROM api_keys WHERE user_id = $1 AND revoked_ms IS NULL")
        .bind(user_id).fetch_one(c))
}

async fn insert(tx: &mut Tx, user_id: &str, key: &KeyRow, hash: &[u8]) -> std::result::Result<(), StoreError> {
    execute_on_both!(tx, c => sqlx::query(
        "INSERT INTO api_keys (id, user_id, name, environment, prefix, key_hash, scopes, addresses, created_ms, expires_ms) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
    ).bind(key.id.as_str()).bind(user_id).bind(key.name.as_str()).bind(key.environment.as_str())
     .bind(key.prefix.as_str()).bind(hash).bind(key.scopes.as_str()).bind(key.addresses.as_str())
     .bind(key.created_ms).bind(key.expires_ms).execute(c))
    .map(drop)
}

async fn revoke(tx: &mut Tx, user_id: &str, id: &str, now_ms: i64) -> std::result::Result<bool, StoreError> {
    execute_on_both!(tx, c => sqlx::query(
        "UPDATE api_keys SET revoked_ms = $3 WHERE id = $2 AND user_id = $1 AND revoked_ms IS NULL"
    ).bind(user_id).bind(id).bind(now_ms).execute(c))
    .map(|rows| rows > 0)
}

/// Forgets keys of a user that were revoked before `before_ms`.
async fn forget(tx: &mut Tx, user_id: &str, before_ms: i64) -> std::result::Result<(), StoreError> {
    execute_on_both!(tx, c => sqlx::query("DELETE FROM api_keys WHERE user_id = $1 AND revoked_ms < $2")
        .bind(user_id).bind(before_ms).execute(c))
    .map(drop)
}
