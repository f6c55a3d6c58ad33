//! Forgets what has no more use: links that have ended, sessions long over, tokens long used, addresses long unused. In
//! small steps, so that nobody waits for the database meanwhile. Never touches accounts or the audit log.

use std::sync::Arc;
use std::time::Duration;

use api_store::{StoreError, Tx};

use crate::error::Result;
use crate::service::{Users, ms};
use crate::{known, one_time, sessions};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Sessions are kept so long after their end, for their person to look at what was.
pub const SESSIONS_KEPT: Duration = DAY.saturating_mul(30);

/// An address from which nobody logged in for so long is no longer known.
pub const ADDRESSES_KEPT: Duration = DAY.saturating_mul(90);

/// How often it is done.
const PERIOD: Duration = Duration::from_secs(60 * 60);

/// Steps at one time; what is left is for the next.
const STEPS_MAX: u32 = 1_000;

/// What was forgotten, rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Links.
    pub links: u64,
    /// Sessions.
    pub sessions: u64,
    /// Refresh tokens of sessions that go on.
    pub refresh_tokens: u64,
    /// Known addresses.
    pub addresses: u64,
}

/// One kind of rows.
#[derive(Clone, Copy)]
enum Kind {
    Links,
    Sessions,
    RefreshTokens,
    Addresses,
}

impl Users {
    /// Forgets, once.
    ///
    /// # Errors
    /// 503; what was forgotten before stays forgotten.
    pub async fn prune(&self) -> Result<Pruned> {
        Ok(Pruned {
            links: self.prune_all(Kind::Links).await?,
            sessions: self.prune_all(Kind::Sessions).await?,
            refresh_tokens: self.prune_all(Kind::RefreshTokens).await?,
            addresses: self.prune_all(Kind::Addresses).await?,
        })
    }

    /// Forgets every hour. Ends never: to be spawned, and dropped with the service.
    pub async fn keep_pruned(self: Arc<Self>) {
        loop {
            tokio::time::sleep(PERIOD).await;
            match self.prune().await {
                Ok(pruned) => tracing::debug!(?pruned, "what has ended was forgotten"),
                Err(error) => tracing::warn!(%error, "what has ended could not be forgotten; it is tried in an hour"),
            }
        }
    }

    async fn prune_all(&self, kind: Kind) -> Result<u64> {
        let now_ms = self.clock.now_ms();
        let mut pruned = 0;
        for _ in 0..STEPS_MAX {
            let step = self.store.database.write(|mut tx| async move {
                let tx = &mut *tx;
                self.step(tx, kind, now_ms).await
            });
            let step = step.await?;
            pruned += step;
            if step == 0 {
                break;
            }
        }
        Ok(pruned)
    }

    async fn step(&self, tx: &mut Tx, kind: Kind, now_ms: i64) -> std::result::Result<u64, StoreError> {
        match kind {
            Kind::Links => one_time::prune(tx, now_ms).await,
            Kind::Sessions => sessions::prune(tx, now_ms - ms(SESSIONS_KEPT)).await,
            // One that comes after that is refused as unknown: its session ends by its own time.
            Kind::RefreshTokens => sessions::prune_tokens(tx, now_ms - ms(self.config.session_life)).await,
            Kind::Addresses => known::prune(tx, now_ms - ms(ADDRESSES_KEPT)).await,
        }
    }
}
