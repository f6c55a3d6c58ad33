//! The doors of the public socket, slow side: a desk asks the authenticator about credentials that connections show, and
//! again every two seconds as long as a connection stands by one.
//!
//! Every question and every news of a credential is told to whoever asked. Keeps credentials in memory as secrets; never
//! logs one, never decides who may pass.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use book::metrics::{MetricSource, Sample};
use secrecy::SecretString;
use tokio::sync::mpsc;

use crate::auth::Authenticator;

mod desk;

pub use desk::{AT_ONCE_MAX, AdmissionDesk};

/// Questions that wait; beyond, [`AdmissionIntake::offer`] gives back.
pub const WAITING_MAX: usize = 1_024;

/// What is known of a credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is good.
    Admitted {
        /// When it ends, Unix milliseconds; `None` = it does not.
        expires_ms: Option<i64>,
        /// Name of the key or user, no secret.
        label: Arc<str>,
    },
    /// It is not good.
    Refused,
    /// It is good, and may not read market data.
    NotEntitled,
    /// It cannot be checked now.
    Unavailable,
    /// It was good and is no more.
    Revoked,
}

/// A connection that shows a credential.
pub trait Asker: Send + Sync + 'static {
    /// Takes a verdict. Never blocks.
    ///
    /// # Errors
    /// There is no room: the verdict comes back, and is told again a moment later.
    fn tell(&self, verdict: Verdict) -> Result<(), Verdict>;

    /// Whether it still waits for a verdict, or stands by the credential. Once false it stays so.
    fn is_there(&self) -> bool;
}

/// A credential to be checked, and watched as long as its asker is there.
pub struct Question {
    /// What was shown.
    pub credential: SecretString,
    /// Where it was shown from.
    pub peer: IpAddr,
    /// Who showed it.
    pub asker: Arc<dyn Asker>,
}

/// The asking side: cheap to clone, usable from any thread.
#[derive(Clone)]
pub struct AdmissionIntake {
    sender: mpsc::Sender<Question>,
}

impl AdmissionIntake {
    /// Hands a question over. Never blocks.
    ///
    /// # Errors
    /// The question comes back when [`WAITING_MAX`] are waiting or the runtime has stopped.
    pub fn offer(&self, question: Question) -> Result<(), Question> {
        self.sender.try_send(question).map_err(mpsc::error::TrySendError::into_inner)
    }
}

/// What the desk counts.
#[derive(Debug, Default)]
pub struct AdmissionMetrics {
    watched: AtomicU64,
    untold: AtomicU64,
    asked_again: AtomicU64,
}

impl MetricSource for AdmissionMetrics {
    fn collect(&self, samples: &mut Vec<Sample>) {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        samples.push(Sample::gauge(
            "bist_ws_admission_watched",
            "Distinct credentials that open sockets stand by.",
            &[],
            of(&self.watched) as f64,
        ));
        samples.push(Sample::gauge(
            "bist_ws_admission_untold",
            "Verdicts that wait for room towards the fan-out.",
            &[],
            of(&self.untold) as f64,
        ));
        samples.push(Sample::counter(
            "bist_ws_admission_asked_again_total",
            "Repeated questions about credentials of open sockets.",
            &[],
            of(&self.asked_again),
        ));
    }
}

/// Both sides. `counted` is asked about what is shown, `quiet` again about what was found good: the same knowledge, but
/// only the former counts its answers.
#[must_use]
pub fn admission(counted: Arc<dyn Authenticator>, quiet: Arc<dyn Authenticator>) -> (AdmissionIntake, AdmissionDesk) {
    let (sender, questions) = mpsc::channel(WAITING_MAX);
    (AdmissionIntake { sender }, AdmissionDesk::new(questions, counted, quiet))
}
