//! Who stands behind a credential: an access token whose session stands, or an API key.
//!
//! What the store says of a session or key is remembered ([`crate::states`]), good and bad answers alike. While the store is
//! away, what was remembered lately is believed a little longer; then nobody passes. Never tells a caller why.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use api_kit::auth::{Authenticator, Identity, Refusal, Verdict};
use api_kit::principal::{Environment, Principal, Role, Scope};
use api_store::{StoreError, Tx, execute_on_both, on_both};
use ipnet::IpNet;
use subtle::ConstantTimeEq;

use crate::error::Result;
use crate::service::Users;
use crate::states::{Handle, State};
use crate::users::{Status, roles_of};
use crate::{key_text, secret};

/// How often the uses of keys are written.
const USES_PERIOD: Duration = Duration::from_secs(5);

/// What keys do that only traders may: a key never may more than its owner.
const TRADERS_SCOPES: [Scope; 3] = [Scope::TradingPlace, Scope::TradingModify, Scope::TradingCancel];

/// Whether an owner with these roles may have keys with `scope`.
pub(crate) fn may_hold(roles: &std::collections::BTreeSet<Role>, scope: Scope) -> bool {
    roles.contains(&Role::Trader) || !TRADERS_SCOPES.contains(&scope)
}

/// What is asked of the store.
enum Asked<'a> {
    Session { id: &'a str, user_id: &'a str },
    Key { prefix: &'a str, hash: &'a [u8] },
}

impl Authenticator for Users {
    fn authenticate<'a>(&'a self, credential: &'a str, peer: IpAddr) -> Verdict<'a> {
        Box::pin(async move {
            if key_text::is_key(credential) {
                self.of_key(credential, peer).await
            } else {
                self.of_token(credential).await
            }
        })
    }
}

impl Users {
    async fn of_token(&self, token: &str) -> std::result::Result<Identity, Refusal> {
        let now_ms = self.clock.now_ms();
        let claims = self.tokens.verify(token, now_ms)?;
        let asked = Asked::Session { id: &claims.sid, user_id: &claims.sub };
        let state = self.state(Handle::Session(claims.sid.clone()), asked, now_ms).await?;
        let principal = state.verdict.clone()?;
        if principal.user_id().is_none_or(|id| **id != *claims.sub) {
            return Err(Refusal::Unknown);
        }
        let token_ms = claims.exp.saturating_mul(1_000);
        let expires_ms = state.expires_ms.map_or(token_ms, |session_ms| session_ms.min(token_ms));
        if expires_ms <= now_ms {
            return Err(Refusal::Expired);
        }
        Ok(Identity { principal, expires_ms: Some(expires_ms) })
    }

    async fn of_key(&self, key: &str, peer: IpAddr) -> std::result::Result<Identity, Refusal> {
        let prefix = key_text::prefix(key).ok_or(Refusal::Malformed)?;
        let now_ms = self.clock.now_ms();
        let hash = secret::hash(key);
        let state = self.state(Handle::Key(hash.clone()), Asked::Key { prefix, hash: &hash }, now_ms).await?;
        let principal = state.verdict.clone()?;
        if state.expires_ms.is_some_and(|end| end <= now_ms) {
            return Err(Refusal::Expired);
        }
        let peer = peer.to_canonical();
        if !state.addresses.is_empty() && !state.addresses.iter().any(|net| net.contains(&peer)) {
            return Err(Refusal::Address);
        }
        if let Principal::Key { key_id, .. } = &principal
            && !self.states.uses.note(key_id, now_ms)
        {
            self.metrics.key_uses_dropped.fetch_add(1, Ordering::Relaxed);
        }
        Ok(Identity { principal, expires_ms: state.expires_ms })
    }

    /// What is remembered, else what the store says.
    async fn state(&self, handle: Handle, asked: Asked<'_>, now_ms: i64) -> std::result::Result<Arc<State>, Refusal> {
        let version = match self.states.get(&handle, now_ms) {
            Ok(state) => return Ok(state),
            Err(version) => version,
        };
        let asked = &asked;
        let read = self.store.database.read(|mut tx| async move {
            match *asked {
                Asked::Session { id, user_id } => session(&mut tx, id, user_id).await,
                Asked::Key { prefix, hash } => key(&mut tx, prefix, hash).await,
            }
        });
        match read.await {
            Ok(state) => {
                let state = Arc::new(state);
                self.states.put(handle, Arc::clone(&state), now_ms, version);
                Ok(state)
            }
            Err(error) => {
                tracing::debug!(%error, "a credential could not be looked up");
                self.states.stale(&handle, self.clock.now_ms()).ok_or(Refusal::Unavailable)
            }
        }
    }

    /// Writes when keys were used. Ends never: to be spawned, and dropped with the service.
    pub async fn write_key_uses(self: Arc<Self>) {
        loop {
            tokio::time::sleep(USES_PERIOD).await;
            if let Err(error) = self.flush_key_uses().await {
                tracing::debug!(%error, "the last uses of keys could not be written; they are written later");
            }
        }
    }

    /// Writes the noted uses of keys, a bounded number; how many.
    ///
    /// # Errors
    /// Those of the store; what could not be written is written the next time.
    pub async fn flush_key_uses(&self) -> Result<usize> {
        let waiting = self.states.uses.waiting(self.clock.now_ms());
        if waiting.is_empty() {
            return Ok(0);
        }
        let uses = &waiting;
        self.store.database.write(|mut tx| async move { write_uses(&mut tx, uses).await }).await?;
        self.states.uses.written(&waiting);
        Ok(waiting.len())
    }
}

async fn write_uses(tx: &mut Tx, uses: &[(String, i64)]) -> std::result::Result<(), StoreError> {
    for (key_id, used_ms) in uses {
        execute_on_both!(&mut *tx, c => sqlx::query(
            "UPDATE api_keys SET last_used_ms = $2 WHERE id = $1 AND (last_used_ms IS NULL OR last_used_ms < $2)"
        ).bind(key_id).bind(used_ms).execute(c))?;
    }
    Ok(())
}

/// Nobody, as far as the store knows.
fn unknown() -> State {
    State { user_id: "".into(), verdict: Err(Refusal::Unknown), expires_ms: None, addresses: Arc::new([]) }
}

#[derive(sqlx::FromRow)]
struct SessionState {
    user_id: String,
    expires_ms: i64,
    revoked_ms: Option<i64>,
    roles: String,
    status: String,
}

async fn session(tx: &mut Tx, id: &str, user_id: &str) -> std::result::Result<State, StoreError> {
    let row: Option<SessionState> = on_both!(tx, c => sqlx::query_as(
        "SELECT s.user_id, s.expires_ms, s.revoked_ms, u.roles, u.status FROM sessions s JOIN users u ON u.id = s.user_id \
         WHERE s.id = $1 AND s.user_id = $2"
    ).bind(id).bind(user_id).fetch_optional(c))?;
    let Some(row) = row else { return Ok(unknown()) };
    let user_id: Arc<str> = row.user_id.into();
    let verdict = if row.revoked_ms.is_some() {
        Err(Refusal::Revoked)
    } else if Status::from_name(&row.status) != Some(Status::Active) {
        Err(Refusal::Disabled)
    } else {
        Ok(Principal::User { user_id: Arc::clone(&user_id), session_id: id.into(), roles: roles_of(&row.roles) })
    };
    Ok(State { user_id, verdict, expires_ms: Some(row.expires_ms), addresses: Arc::new([]) })
}

#[derive(sqlx::FromRow)]
struct KeyState {
    id: String,
    user_id: String,
    environment: String,
    key_hash: Vec<u8>,
    scopes: String,
    addresses: String,
    expires_ms: Option<i64>,
    revoked_ms: Option<i64>,
    roles: String,
    status: String,
    live_allowed: i64,
}

async fn key(tx: &mut Tx, prefix: &str, hash: &[u8]) -> std::result::Result<State, StoreError> {
    let row: Option<KeyState> = on_both!(tx, c => sqlx::query_as(
        "SELECT k.id, k.user_id, k.environment, k.key_hash, k.scopes, k.addresses, k.expires_ms, k.revoked_ms, \
         u.roles, u.status, u.live_allowed FROM api_keys k JOIN users u ON u.id = k.user_id WHERE k.prefix = $1"
    ).bind(prefix).fetch_optional(c))?;
    match row {
        Some(row) if bool::from(row.key_hash.ct_eq(hash)) => Ok(row.state()),
        _ => Ok(unknown()),
    }
}

impl KeyState {
    fn state(self) -> State {
        let user_id: Arc<str> = self.user_id.as_str().into();
        let (verdict, addresses) = match self.addresses() {
            Some(addresses) => (self.verdict(&user_id), addresses),
            // A list that cannot be read lets nobody in, rather than all.
            None => (Err(Refusal::Address), Vec::new()),
        };
        State { user_id, verdict, expires_ms: self.expires_ms, addresses: addresses.into() }
    }

    fn verdict(&self, user_id: &Arc<str>) -> std::result::Result<Principal, Refusal> {
        let environment = Environment::from_name(&self.environment).ok_or(Refusal::Unknown)?;
        if self.revoked_ms.is_some() {
            return Err(Refusal::Revoked);
        }
        let may_trade_live = environment == Environment::Paper || self.live_allowed != 0;
        if Status::from_name(&self.status) != Some(Status::Active) || !may_trade_live {
            return Err(Refusal::Disabled);
        }
        let (names, roles) =
            (serde_json::from_str::<Vec<String>>(&self.scopes).unwrap_or_default(), roles_of(&self.roles));
        let scopes = names.iter().filter_map(|name| Scope::from_name(name)).filter(|&scope| may_hold(&roles, scope));
        Ok(Principal::Key {
            user_id: Arc::clone(user_id),
            key_id: self.id.as_str().into(),
            environment,
            scopes: scopes.collect(),
        })
    }

    fn addresses(&self) -> Option<Vec<IpNet>> {
        let texts: Vec<String> = serde_json::from_str(&self.addresses).ok()?;
        texts.iter().map(|text| text.parse().ok()).collect()
    }
}
