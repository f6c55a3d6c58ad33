//! What user management counts. No label holds a user, an address or an e-mail.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use api_kit::{MetricSource, Sample};

use crate::mailer;
use crate::password;

api_kit::named_enum! {
    /// How a log-in ended.
    Login {
        /// Tokens were given.
        Ok = "ok",
        /// E-mail or password is wrong, or the account is disabled.
        Failed = "failed",
        /// The password is right and the second factor is missing.
        TotpRequired = "totp_required",
        /// The second factor is wrong or was used before.
        TotpInvalid = "totp_invalid",
        /// The address is not verified.
        Unverified = "unverified",
        /// Too many attempts.
        Limited = "limited",
    }
}

/// The counters of one process.
#[derive(Debug, Default)]
pub struct UsersMetrics {
    logins: [AtomicU64; Login::ALL.len()],
    /// Accounts made.
    pub registered: AtomicU64,
    /// Refresh tokens taken.
    pub refreshed: AtomicU64,
    /// Refresh tokens that came a second time: their sessions were revoked.
    pub reused: AtomicU64,
    /// API keys made.
    pub keys_made: AtomicU64,
    /// API keys revoked.
    pub keys_revoked: AtomicU64,
    /// Uses of API keys that were not noted because too many keys were in use.
    pub key_uses_dropped: AtomicU64,
    passwords: Arc<password::Counts>,
    mails: Arc<mailer::Counts>,
}

impl UsersMetrics {
    /// Counters beside those of the pool and the mailer.
    #[must_use]
    pub fn new(passwords: Arc<password::Counts>, mails: Arc<mailer::Counts>) -> Self {
        Self { passwords, mails, ..Self::default() }
    }

    /// One more account.
    pub fn count_registered(&self) {
        self.registered.fetch_add(1, Ordering::Relaxed);
    }

    /// One more log-in.
    pub fn login(&self, how: Login) {
        self.logins[how as usize].fetch_add(1, Ordering::Relaxed);
    }
}

impl MetricSource for UsersMetrics {
    fn collect(&self, samples: &mut Vec<Sample>) {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        for (how, counter) in Login::ALL.iter().zip(&self.logins) {
            let labels = [("result", how.name())];
            samples.push(Sample::counter("bist_users_logins_total", "Log-ins by result.", &labels, read(counter)));
        }
        let (passwords, mails) = (&self.passwords, &self.mails);
        samples.extend(
            [
                ("bist_users_registered_total", "Accounts registered.", &self.registered),
                ("bist_users_refreshed_total", "Access tokens renewed.", &self.refreshed),
                (
                    "bist_users_refresh_reused_total",
                    "Refresh tokens used twice; their sessions were revoked.",
                    &self.reused,
                ),
                ("bist_users_keys_created_total", "API keys created.", &self.keys_made),
                ("bist_users_keys_revoked_total", "API keys revoked.", &self.keys_revoked),
                (
                    "bist_users_key_uses_dropped_total",
                    "Uses of API keys whose time was not noted.",
                    &self.key_uses_dropped,
                ),
                ("bist_users_hashes_total", "Passwords hashed or compared.", &passwords.done),
                ("bist_users_hashes_refused_total", "Hashes refused because the queue was full.", &passwords.refused),
                ("bist_users_hash_microseconds_total", "Time that hashes took.", &passwords.busy_us),
                ("bist_users_mails_sent_total", "Mails that the mail server took.", &mails.sent),
                ("bist_users_mails_failed_total", "Mails that the mail server refused.", &mails.failed),
                ("bist_users_mails_dropped_total", "Mails dropped because the queue was full.", &mails.dropped),
            ]
            .map(|(name, help, counter)| Sample::counter(name, help, &[], read(counter))),
        );
        let waiting = read(&passwords.waiting) as f64;
        samples.push(Sample::gauge("bist_users_hashes_waiting", "Hashes that wait for a thread.", &[], waiting));
    }
}
