//! What every request of accounts needs, opened once. Knows no HTTP; each subject adds its own methods in its own file.

use std::sync::Arc;
use std::time::Duration;

use api_store::{Store, audit};
use serde_json::Value;

use crate::clock::Clock;
use crate::config::UsersConfig;
use crate::error::{Result, UsersError};
use crate::mailer::Mailer;
use crate::metrics::UsersMetrics;
use crate::password::Passwords;
use crate::states::States;
use crate::tokens::Tokens;
use crate::tokens::keys::{self, SigningKey};

/// The next signing key is there so long before it signs, that every process has read it.
const KEY_MARGIN: Duration = Duration::from_secs(60 * 60);

/// Who acts when nobody is known, in the audit log.
pub(crate) const ANONYMOUS: &str = "anonymous";

/// `time` in milliseconds.
pub(crate) fn ms(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// How often the keys are looked at.
const KEY_PERIOD: Duration = Duration::from_secs(5 * 60);

/// The service.
pub struct Users {
    pub(crate) store: Arc<Store>,
    pub(crate) passwords: Passwords,
    pub(crate) tokens: Tokens,
    pub(crate) mailer: Mailer,
    pub(crate) clock: Clock,
    pub(crate) config: UsersConfig,
    pub(crate) metrics: Arc<UsersMetrics>,
    pub(crate) states: States,
}

impl Users {
    /// The service over its store.
    ///
    /// # Errors
    /// The store is away, a key is damaged, a thread cannot be started.
    pub async fn open(config: UsersConfig, store: Arc<Store>, mailer: Mailer, clock: Clock) -> Result<Arc<Self>> {
        let passwords = Passwords::start(config.hash_threads, config.hash_queue_max)?;
        let keys = signing_keys(&store, &config, clock.now_ms()).await?;
        let life_s = config.access_life.as_secs().min(15 * 60) as i64;
        let tokens = Tokens::new(&config.issuer, &config.audience, life_s, &keys)?;
        let metrics = Arc::new(UsersMetrics::new(Arc::clone(passwords.counts()), Arc::clone(mailer.counts())));
        let states = States::new(config.state_life);
        Ok(Arc::new(Self { store, passwords, tokens, mailer, clock, config, metrics, states }))
    }

    /// What it counts.
    #[must_use]
    pub fn metrics(&self) -> Arc<UsersMetrics> {
        Arc::clone(&self.metrics)
    }

    /// Its store, for health and metrics.
    #[must_use]
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// Its numbers.
    #[must_use]
    pub fn config(&self) -> &UsersConfig {
        &self.config
    }

    /// Whether mails leave this process.
    #[must_use]
    pub const fn sends_mails(&self) -> bool {
        self.mailer.sends()
    }

    /// The public keys of access tokens (RFC 7517).
    #[must_use]
    pub fn jwks(&self) -> Arc<Value> {
        self.tokens.jwks()
    }

    /// Keeps the signing keys new. Ends never: to be spawned, and dropped with the service.
    pub async fn rotate_keys(self: Arc<Self>) {
        loop {
            tokio::time::sleep(KEY_PERIOD).await;
            let done = signing_keys(&self.store, &self.config, self.clock.now_ms()).await;
            if let Err(error) = done.and_then(|keys| self.tokens.replace_keys(&keys)) {
                tracing::warn!(%error, "the signing keys could not be looked at; the ones in use go on");
            }
        }
    }

    /// An audit row of this moment: who did what to whom. `details` hold nothing personal.
    pub(crate) async fn audit(
        &self,
        tx: &mut api_store::Tx,
        (actor, action, subject): (&str, &str, &str),
        details: &Value,
    ) -> Result<()> {
        let entry = audit::Entry { actor, action, subject, details, at_ms: self.clock.now_ms() };
        audit::append(tx, entry).await.map(drop).map_err(UsersError::from)
    }
}

async fn signing_keys(store: &Store, config: &UsersConfig, now_ms: i64) -> Result<Vec<SigningKey>> {
    let times = (ms(config.signing_key_life), ms(KEY_MARGIN), ms(config.access_life) + 60_000);
    store.database.write(|mut tx| async move { keys::current(&mut tx, &store.vault, now_ms, times).await }).await
}
