//! Passwords: argon2id in a bounded pool of threads with low priority, so that log-ins take no time from the market.
//!
//! | what | bound | at the bound |
//! |---|---|---|
//! | hashes that wait | `hash_queue_max` | [`UsersError::busy`] at once |
//!
//! A caller that went away does not take its hash back: what is queued is done. Never keeps or logs a password.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use api_store::StoreError;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::error::{Result, UsersError};

/// Memory of one hash, KiB (OWASP Password Storage Cheat Sheet: at least 19 MiB, 2 rounds, 1 lane).
const MEMORY_KIB: u32 = 19 * 1024;
const ROUNDS: u32 = 2;
const LANES: u32 = 1;

/// Added to the niceness of the pool's threads.
const NICENESS: i32 = 10;

/// Shortest and longest password, in characters.
pub const LENGTH: std::ops::RangeInclusive<usize> = 10..=128;

/// Passwords that are tried first by everybody who guesses, and are long enough to be taken otherwise.
const COMMON: [&str; 16] = [
    "1234567890",
    "0123456789",
    "123456789a",
    "password12",
    "password123",
    "password1234",
    "qwertyuiop",
    "qwerty12345",
    "1q2w3e4r5t",
    "iloveyou12",
    "administrator",
    "sifre12345",
    "parola12345",
    "galatasaray",
    "fenerbahce",
    "besiktas1903",
];

/// Whether a new password may be taken.
///
/// # Errors
/// 400 `WEAK_PASSWORD` with the reason.
pub fn check_new(password: &SecretString, email: &str) -> Result<()> {
    let text = password.expose_secret();
    let weak = |reason| Err(UsersError::field("WEAK_PASSWORD", "password", reason));
    if !LENGTH.contains(&text.chars().count()) {
        return weak("a password has 10 to 128 characters");
    }
    let lower = text.to_lowercase();
    let mut characters = lower.chars();
    let first = characters.next();
    if COMMON.contains(&lower.as_str()) || characters.all(|one| Some(one) == first) {
        return weak("this password is among those that are guessed first");
    }
    let email = email.to_lowercase();
    let name = email.split('@').next().unwrap_or_default();
    if lower.contains(&email) || (name.chars().count() >= 4 && lower.contains(name)) {
        return weak("a password must not hold the e-mail address or its name");
    }
    Ok(())
}

enum Work {
    Hash(Place, SecretString, oneshot::Sender<Result<String>>),
    Verify(Place, SecretString, String, oneshot::Sender<Result<Verified>>),
}

/// How a password compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verified {
    /// It is another one.
    Wrong,
    /// It is it.
    Right,
    /// It is it, and its hash is weaker than today's: to be hashed anew.
    RightButOld,
}

/// A place in the queue, taken before anything is counted or read: when there is none, nobody's attempt is used up.
pub struct Place {
    _permit: OwnedSemaphorePermit,
}

/// The pool.
pub struct Passwords {
    queue: SyncSender<Work>,
    places: Arc<Semaphore>,
    /// A hash of no password, verified when there is no account, so that both take the same time.
    dummy: String,
    counts: Arc<Counts>,
}

/// What the pool counts.
#[derive(Debug, Default)]
pub struct Counts {
    pub(crate) waiting: AtomicU64,
    pub(crate) done: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) busy_us: AtomicU64,
}

impl Passwords {
    /// Starts `threads` threads, of which at most `queue_max` hashes wait.
    ///
    /// # Errors
    /// A thread cannot be started, or the system has no randomness.
    pub fn start(threads: usize, queue_max: usize) -> Result<Self> {
        let places_max = queue_max.max(1) + threads.clamp(1, 16);
        let places = Arc::new(Semaphore::new(places_max));
        let (queue, work) = sync_channel(places_max);
        let (work, counts) = (Arc::new(Mutex::new(work)), Arc::<Counts>::default());
        for _ in 0..threads.clamp(1, 16) {
            let (work, counts) = (Arc::clone(&work), Arc::clone(&counts));
            std::thread::Builder::new()
                .name("argon2".to_owned())
                .spawn(move || run(&work, &counts))
                .map_err(|error| fault(format!("a thread that hashes passwords cannot be started: {error}")))?;
        }
        let dummy = hash_now(&crate::secret::random_text("")?)?;
        Ok(Self { queue, places, dummy, counts })
    }

    /// The PHC string of `password`.
    ///
    /// # Errors
    /// 503 `BUSY` when too many wait.
    pub async fn hash(&self, password: SecretString) -> Result<String> {
        self.hash_at(self.place()?, password).await
    }

    /// A place in the queue.
    ///
    /// # Errors
    /// 503 `BUSY` when too many wait.
    pub fn place(&self) -> Result<Place> {
        Arc::clone(&self.places).try_acquire_owned().map(|permit| Place { _permit: permit }).map_err(|_| {
            self.counts.refused.fetch_add(1, Ordering::Relaxed);
            UsersError::busy()
        })
    }

    /// [`Passwords::hash`] at a place that was taken before.
    ///
    /// # Errors
    /// A fault of the threads.
    pub async fn hash_at(&self, place: Place, password: SecretString) -> Result<String> {
        let (sender, answer) = oneshot::channel();
        self.send(Work::Hash(place, password, sender))?;
        answer.await.unwrap_or_else(|_| Err(fault("the thread that hashes passwords has ended".to_owned())))
    }

    /// Whether `password` is the one of `hash`; without a hash it takes as long and is wrong.
    ///
    /// # Errors
    /// 503 `BUSY` when too many wait.
    pub async fn verify(&self, password: SecretString, hash: Option<String>) -> Result<Verified> {
        self.verify_at(self.place()?, password, hash).await
    }

    /// [`Passwords::verify`] at a place that was taken before.
    ///
    /// # Errors
    /// A fault of the threads.
    pub async fn verify_at(&self, place: Place, password: SecretString, hash: Option<String>) -> Result<Verified> {
        let (sender, answer) = oneshot::channel();
        let known = hash.is_some();
        self.send(Work::Verify(place, password, hash.unwrap_or_else(|| self.dummy.clone()), sender))?;
        let verified =
            answer.await.unwrap_or_else(|_| Err(fault("the thread that hashes passwords has ended".to_owned())))?;
        Ok(if known { verified } else { Verified::Wrong })
    }

    /// What the pool counts.
    #[must_use]
    pub fn counts(&self) -> &Arc<Counts> {
        &self.counts
    }

    fn send(&self, work: Work) -> Result<()> {
        self.counts.waiting.fetch_add(1, Ordering::Relaxed);
        self.queue.try_send(work).map_err(|error| {
            self.counts.waiting.fetch_sub(1, Ordering::Relaxed);
            self.counts.refused.fetch_add(1, Ordering::Relaxed);
            match error {
                TrySendError::Full(_) => UsersError::busy(),
                TrySendError::Disconnected(_) => fault("the threads that hash passwords have ended".to_owned()),
            }
        })
    }
}

fn run(work: &Mutex<Receiver<Work>>, counts: &Counts) {
    // OK because a pool at normal priority only takes more from others.
    let _ = rustix::process::setpriority_process(None, NICENESS);
    loop {
        let next = work.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(next) = next else { return };
        counts.waiting.fetch_sub(1, Ordering::Relaxed);
        let begin = Instant::now();
        // OK because an answer that nobody waits for any more is not missed.
        match next {
            Work::Hash(_place, password, answer) => {
                let hash = hash_now(&password);
                counts.count(begin);
                drop(answer.send(hash));
            }
            Work::Verify(_place, password, hash, answer) => {
                let verified = verify_now(&password, &hash);
                counts.count(begin);
                drop(answer.send(verified));
            }
        }
    }
}

impl Counts {
    /// One more hash, begun at `begin`: counted before its answer, so that whoever has the answer sees the count.
    fn count(&self, begin: Instant) {
        self.busy_us.fetch_add(begin.elapsed().as_micros() as u64, Ordering::Relaxed);
        self.done.fetch_add(1, Ordering::Relaxed);
    }
}

fn argon2() -> Result<Argon2<'static>> {
    let params = Params::new(MEMORY_KIB, ROUNDS, LANES, None).map_err(|error| fault(error.to_string()))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn hash_now(password: &SecretString) -> Result<String> {
    let hash: PasswordHash =
        argon2()?.hash_password(password.expose_secret().as_bytes()).map_err(|error| fault(error.to_string()))?;
    Ok(hash.to_string())
}

fn verify_now(password: &SecretString, hash: &str) -> Result<Verified> {
    let parsed = PasswordHash::new(hash).map_err(|error| fault(format!("a stored password hash: {error}")))?;
    if argon2()?.verify_password(password.expose_secret().as_bytes(), &parsed).is_err() {
        return Ok(Verified::Wrong);
    }
    let today = format!("$argon2id$v=19$m={MEMORY_KIB},t={ROUNDS},p={LANES}$");
    Ok(if hash.starts_with(&today) { Verified::Right } else { Verified::RightButOld })
}

fn fault(text: String) -> UsersError {
    UsersError::Store(StoreError::Fault(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> SecretString {
        text.to_owned().into()
    }

    #[tokio::test]
    async fn a_password_is_known_again_by_its_hash_alone() {
        let pool = Passwords::start(1, 8).unwrap();
        let hash = pool.hash(secret("correct horse battery")).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert_eq!(pool.verify(secret("correct horse battery"), Some(hash.clone())).await.unwrap(), Verified::Right);
        assert_eq!(pool.verify(secret("correct horse batterz"), Some(hash)).await.unwrap(), Verified::Wrong);
        assert_eq!(pool.verify(secret("anything"), None).await.unwrap(), Verified::Wrong);
    }

    #[tokio::test]
    async fn a_weaker_hash_is_right_and_old() {
        let weak = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(64, 1, 1, None).unwrap());
        let hash: PasswordHash = weak.hash_password(b"correct horse battery").unwrap();
        let pool = Passwords::start(1, 8).unwrap();
        let verified = pool.verify(secret("correct horse battery"), Some(hash.to_string())).await.unwrap();
        assert_eq!(verified, Verified::RightButOld);
    }

    #[tokio::test]
    async fn more_than_may_wait_are_refused_at_once() {
        let pool = Arc::new(Passwords::start(1, 2).unwrap());
        let tasks: Vec<_> = (0..40)
            .map(|_| {
                let pool = Arc::clone(&pool);
                tokio::spawn(async move { pool.verify(secret("x"), None).await })
            })
            .collect();
        let mut refused = 0;
        for task in tasks {
            match task.await.unwrap() {
                Ok(verified) => assert_eq!(verified, Verified::Wrong),
                Err(error) => {
                    assert_eq!(error.code(), "BUSY");
                    refused += 1;
                }
            }
        }
        assert!(refused >= 30, "{refused}");
        assert_eq!(pool.counts().waiting.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_short_name_does_not_make_the_whole_address_a_password() {
        assert_eq!(check_new(&secret("zey@example.com"), "Zey@example.com").unwrap_err().code(), "WEAK_PASSWORD");
        check_new(&secret("zeytin dalı 42"), "zey@example.com").unwrap();
    }

    #[test]
    fn weak_passwords_are_refused_with_the_reason() {
        for weak in ["short", "aaaaaaaaaaaa", "Password123", "my-ayse.k-secret"] {
            assert_eq!(check_new(&secret(weak), "ayse.k@example.com").unwrap_err().code(), "WEAK_PASSWORD", "{weak}");
        }
        check_new(&secret("kırmızı bisiklet 7"), "ayse.k@example.com").unwrap();
    }
}
