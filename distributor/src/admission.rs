//! Doors of the public socket: a credential goes out to whoever knows credentials, a verdict comes back.
//!
//! Shapes and the queue of verdicts only. Never checks a credential, never prints one, never waits: a question is handed
//! over or refused at once, and the fan-out thread takes verdicts between two looks at its sockets.

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Weak};

use book::ring::Notifier;
use crossbeam_queue::ArrayQueue;
use secrecy::{ExposeSecret, SecretString};

use crate::ids::ClientId;

/// Longest credential in bytes; a longer one is refused unread.
pub const CREDENTIAL_BYTES_MAX: usize = 4_096;

/// An access token or an API key as it came: wiped when dropped, never printed.
#[derive(Clone)]
pub struct Credential(SecretString);

impl Credential {
    /// `None`: of no form that a credential has (1..=4096 bytes of visible ASCII).
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let is_one = (1..=CREDENTIAL_BYTES_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        is_one.then(|| Self(SecretString::from(text)))
    }

    /// The secret itself, for whoever checks it.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// The same, still a secret.
    #[must_use]
    pub fn into_secret(self) -> SecretString {
        self.0
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential(…)")
    }
}

/// For requests that are compared as a whole; nobody decides by it who may pass.
impl PartialEq for Credential {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for Credential {}

/// Where a verdict belongs: one question of one connection. A connection's place is given out again after it has gone, its
/// `generation` never.
#[derive(Clone, Debug)]
pub struct Ticket {
    pub(crate) client: ClientId,
    pub(crate) generation: u64,
    pub(crate) held: Weak<()>,
}

impl Ticket {
    /// Whether the connection still waits for this verdict, or stands by it. Once false it stays so: whoever watches the
    /// credential may forget it.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.held.strong_count() > 0
    }
}

/// A credential to be checked, and watched as long as its [`Ticket`] is held.
#[derive(Debug)]
pub struct Question {
    /// Whose.
    pub ticket: Ticket,
    /// What was shown.
    pub credential: Credential,
    /// Where it was shown from: the other end, or who the gateway's passage names.
    pub peer: IpAddr,
}

/// What is known of a credential. The first one answers the question; later ones tell of changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is good.
    Admitted {
        /// When it ends, Unix milliseconds; `None` = it does not.
        expires_ms: Option<i64>,
        /// Name of the key or user, by which connections are counted; no secret.
        label: Arc<str>,
    },
    /// It is not good: nobody is told why.
    Refused,
    /// It is good, and may not read market data.
    NotEntitled,
    /// It cannot be checked now.
    Unavailable,
    /// It was good and is no more.
    Revoked,
}

/// Who knows credentials.
///
/// Called on the fan-out thread: never blocks; refuses when it is full.
pub trait Admission: Send + Sync {
    /// Takes a question, to be answered through [`VerdictSender::tell`].
    ///
    /// # Errors
    /// There is no room: the question comes back, and the client is told to try again.
    fn ask(&self, question: Question) -> Result<(), Question>;
}

/// A verdict on its way.
pub(crate) struct Told {
    pub client: ClientId,
    pub generation: u64,
    pub verdict: Verdict,
}

/// The end that tells verdicts: cheap to clone, usable from any thread.
#[derive(Clone)]
pub struct VerdictSender {
    queue: Arc<ArrayQueue<Told>>,
    notifier: Arc<Notifier>,
}

/// The fan-out thread's end.
pub struct VerdictReceiver {
    queue: Arc<ArrayQueue<Told>>,
}

/// Both ends of a queue of `verdicts_max` verdicts. `notifier` is that of the fan-out thread, which may sleep when one comes.
#[must_use]
pub fn verdicts(verdicts_max: usize, notifier: Arc<Notifier>) -> (VerdictSender, VerdictReceiver) {
    let queue = Arc::new(ArrayQueue::new(verdicts_max.max(1)));
    (VerdictSender { queue: Arc::clone(&queue), notifier }, VerdictReceiver { queue })
}

impl VerdictSender {
    /// Tells a verdict and wakes the fan-out thread. Never blocks.
    ///
    /// # Errors
    /// The queue is full: the verdict comes back, to be told again a moment later. Nothing was told.
    pub fn tell(&self, ticket: &Ticket, verdict: Verdict) -> Result<(), Verdict> {
        let told = Told { client: ticket.client, generation: ticket.generation, verdict };
        self.queue.push(told).map_err(|told| told.verdict)?;
        self.notifier.notify();
        Ok(())
    }
}

impl VerdictReceiver {
    pub(crate) fn next(&self) -> Option<Told> {
        if self.queue.is_empty() { None } else { self.queue.pop() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_has_a_form_and_is_never_printed() {
        let long = "a".repeat(CREDENTIAL_BYTES_MAX + 1);
        assert!(["", "a b", "a\n", "ğ", &long].iter().all(|text| Credential::new(text).is_none()));
        let credential = Credential::new(&long[1..]).expect("just as long as allowed");
        assert_eq!(credential.expose().len(), CREDENTIAL_BYTES_MAX);
        let ticket = Ticket { client: ClientId(1), generation: 2, held: Weak::new() };
        let question = Question { ticket, credential, peer: IpAddr::from([127, 0, 0, 1]) };
        assert!(!format!("{question:?}").contains("aa"), "{question:?}");
    }

    #[test]
    fn a_full_queue_gives_the_verdict_back() {
        let (sender, receiver) = verdicts(1, Notifier::new());
        let held = Arc::new(());
        let ticket = Ticket { client: ClientId(1), generation: 2, held: Arc::downgrade(&held) };
        assert!(ticket.is_held());
        assert_eq!(sender.tell(&ticket, Verdict::Refused), Ok(()));
        assert_eq!(sender.tell(&ticket, Verdict::Revoked), Err(Verdict::Revoked));
        assert_eq!(receiver.next().map(|told| (told.generation, told.verdict)), Some((2, Verdict::Refused)));
        assert!(receiver.is_empty() && receiver.next().is_none());
        assert_eq!(sender.tell(&ticket, Verdict::Revoked), Ok(()));
        drop(held);
        assert!(!ticket.is_held());
    }
}
