//! Every number of user management. Reads no file and no environment: the program does, and hands the values in.

use std::time::Duration;

use api_kit::limits::Limit;

use crate::bounds;

/// Sessions of one account that stand at once; beyond, the one unused for longest ends.
pub const SESSIONS_MAX: u32 = 100;

/// Codes of a second factor that may be tried in 5 minutes.
pub const CODES_MAX: u32 = 5;

/// How accounts are kept.
#[derive(Clone, Debug)]
pub struct UsersConfig {
    /// `iss` of access tokens.
    pub issuer: String,
    /// `aud` of access tokens.
    pub audience: String,
    /// Life of an access token, at most 15 minutes.
    pub access_life: Duration,
    /// Life of a session without use.
    pub session_life: Duration,
    /// A signing key signs this long, then a new one does; it verifies for one access life more.
    pub signing_key_life: Duration,
    /// Life of the link that verifies an e-mail address.
    pub verify_life: Duration,
    /// Life of the link that resets a password.
    pub reset_life: Duration,
    /// Where links in mails lead, without a slash at its end.
    pub page_url: String,
    /// Development: no mailer; whoever registers is usable at once, and links stand in the log.
    pub development: bool,
    /// Threads that hash passwords.
    pub hash_threads: usize,
    /// Hashes that may wait; beyond, 503 with `Retry-After`.
    pub hash_queue_max: usize,
    /// Failed log-ins of one account from addresses it was never logged in from, before it must wait.
    pub attempts_max: u32,
    /// Over this long.
    pub attempts_per: Duration,
    /// Registrations of one address in an hour.
    pub registrations_per_hour: u32,
    /// How long state of a session, user or key may be remembered before it is read again.
    pub state_life: Duration,
}

impl Default for UsersConfig {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        Self {
            issuer: "bist".to_owned(),
            audience: "bist".to_owned(),
            access_life: Duration::from_secs(15 * 60),
            session_life: 30 * DAY,
            signing_key_life: 30 * DAY,
            verify_life: DAY,
            reset_life: Duration::from_secs(60 * 60),
            page_url: "http://localhost:8080".to_owned(),
            development: true,
            hash_threads: 1,
            hash_queue_max: 16,
            attempts_max: 10,
            attempts_per: Duration::from_secs(15 * 60),
            registrations_per_hour: 20,
            state_life: Duration::from_secs(2),
        }
    }
}

impl UsersConfig {
    /// The limits as they stand.
    #[must_use]
    pub fn limits(&self) -> Vec<Limit> {
        let attempts = self.attempts_max as usize;
        let mut limits = vec![
            Limit::of(
                "users.body_bytes_max",
                crate::bounds::BODY_BYTES_MAX,
                "bytes",
                "413 PAYLOAD_TOO_LARGE, of paths of accounts",
            ),
            Limit::of(
                "users.login_attempts",
                attempts,
                "failed log-ins",
                "429 TOO_MANY_ATTEMPTS, by account and address",
            ),
            Limit::of_time("users.login_attempts_per", self.attempts_per, "the attempts come back over this time"),
            Limit::of(
                "users.login_attempts_of_an_address",
                attempts.saturating_mul(10),
                "log-ins",
                "429 TOO_MANY_ATTEMPTS, whatever the account, over the same time",
            ),
            Limit::of("users.totp_attempts", CODES_MAX as usize, "codes", "429 TOO_MANY_ATTEMPTS, over 5 minutes"),
            Limit::of("users.sessions", SESSIONS_MAX as usize, "sessions", "the oldest one ends"),
            Limit::of(
                "users.registrations_per_hour",
                self.registrations_per_hour as usize,
                "accounts",
                "429, by address",
            ),
            Limit::of("users.hash_queue", self.hash_queue_max, "log-ins", "503 BUSY with Retry-After"),
            Limit::of_time("users.access_token", self.access_life, "an access token ends"),
            Limit::of_time("users.session", self.session_life, "a session ends that is not used"),
        ];
        limits.extend(bounds::limits());
        limits
    }
}
