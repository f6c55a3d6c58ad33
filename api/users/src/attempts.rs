//! How often a password or a code may be tried, counted before it is looked at, so that tries at once do not slip through.
//!
//! | counted | bound | at the bound |
//! |---|---|---|
//! | tries of an address, on whatever account | ten times `attempts_max` in `attempts_per` | 429 |
//! | tries on an account from all addresses it does not know | `attempts_max` in `attempts_per`, then fewer a day | 429 |
//! | tries on an account from one address it knows | the same, apart; a log-in gives them all back | 429 |
//! | codes of the second factor, in the same two pools | 5 in 5 minutes | 429 |
//!
//! Guesses from elsewhere therefore never lock a person out who comes from where he was before. The wait grows: a try comes
//! back after `attempts_per / attempts_max` first, and after most of an hour under a long attack. It is told and never
//! slept. An account that is not there is counted like one that is.

use std::time::Duration;

use api_store::{RateLimit, Verdict};
use data_encoding::HEXLOWER;

use crate::caller::Caller;
use crate::config::{CODES_MAX, UsersConfig};
use crate::error::{Result, UsersError};
use crate::secret;
use crate::service::Users;

/// Time of [`CODES_MAX`].
const CODES_PER: Duration = Duration::from_secs(5 * 60);

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Mails that one address can be sent for the asking, in an hour.
const MAILS_MAX: u32 = 5;

/// What a try is counted in: those on an account from one address that it knows, or from all others together.
#[derive(Clone, Debug)]
pub(crate) struct Pool(String);

impl Pool {
    /// The pool of a try on the account of `email`, which was last logged in to from there at `known_ms`.
    pub fn new(email: &str, caller: &Caller, known_ms: Option<i64>) -> Self {
        // No address and no e-mail stands in a cache that others may read.
        let text = match known_ms {
            // Each log-in begins a pool of its own.
            Some(known_ms) => format!("{email} {} {known_ms}", caller.network()),
            None => email.to_owned(),
        };
        Self(HEXLOWER.encode(&secret::hash(&text)))
    }
}

fn limit(name: &'static str, requests: u32, per: Duration) -> RateLimit {
    RateLimit { name, requests, per, burst: requests }
}

fn of_address(config: &UsersConfig) -> RateLimit {
    limit("users.login_address", config.attempts_max.saturating_mul(10), config.attempts_per)
}

fn of_account(config: &UsersConfig) -> RateLimit {
    limit("users.login", config.attempts_max, config.attempts_per)
}

/// Counts what goes on when half of the first bound is used up: the wait grows.
fn of_account_and_day(config: &UsersConfig) -> RateLimit {
    limit("users.login_day", config.attempts_max.saturating_mul(3), DAY)
}

impl Users {
    /// Counts a try of an address. To be asked first: it costs no question to the database.
    pub(crate) async fn count_address(&self, caller: &Caller) -> Result<()> {
        self.count(&of_address(&self.config), &caller.network()).await.map(drop)
    }

    /// Counts a try on an account.
    pub(crate) async fn count_account(&self, pool: &Pool) -> Result<()> {
        let remaining = self.count(&of_account(&self.config), &pool.0).await?;
        if remaining < self.config.attempts_max / 2 {
            self.count(&of_account_and_day(&self.config), &pool.0).await?;
        }
        Ok(())
    }

    /// Counts a code of the second factor.
    pub(crate) async fn count_code(&self, pool: &Pool) -> Result<()> {
        self.count(&limit("users.totp", CODES_MAX, CODES_PER), &pool.0).await.map(drop)
    }

    /// Counts a registration, or something as costly, of an address.
    pub(crate) async fn count_registration(&self, caller: &Caller) -> Result<()> {
        let limit = limit("users.register", self.config.registrations_per_hour, HOUR);
        self.count(&limit, &caller.network()).await.map(drop)
    }

    /// Whether one more mail may go to `email`, whoever asks for it.
    pub(crate) async fn may_mail(&self, email: &str) -> bool {
        let key = HEXLOWER.encode(&secret::hash(email));
        self.count(&limit("users.mail", MAILS_MAX, HOUR), &key).await.is_ok()
    }

    async fn count(&self, limit: &RateLimit, key: &str) -> Result<u32> {
        match self.store.cache.count(limit, key).await {
            Verdict::Allowed { remaining } => Ok(remaining),
            Verdict::Refused { retry_after } => {
                let seconds = retry_after.as_millis().div_ceil(1_000) as u64;
                Err(UsersError::too_many(format!("too many attempts; try again in {} s", seconds.max(1)), seconds))
            }
        }
    }
}
