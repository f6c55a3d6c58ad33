//! The desk: one task that holds all questions and all credentials that somebody stands by, so that nothing is locked.
//!
//! What finds no room at a teller is told again a moment later, in order, and new questions wait meanwhile. Never logs a
//! credential.

use std::collections::{HashMap, VecDeque};
use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, timeout};

use super::{AdmissionMetrics, Asker, Question, Verdict};
use crate::auth::{Authenticator, Identity, Refusal};
use crate::principal::{Principal, Scope};

/// Questions asked of the authenticator at once, new ones and repeated ones together.
pub const AT_ONCE_MAX: usize = 64;

/// Of these, repeated ones: a slow round leaves room for who is at the door.
const AGAIN_AT_ONCE_MAX: usize = 48;

/// Between two rounds over all watched credentials.
const ROUND_PERIOD: Duration = Duration::from_secs(2);

/// The authenticator promises a second. Beyond, the credential counts as one that cannot be checked.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(1_500);

/// The log is told at most this often that credentials cannot be checked.
const COMPLAINT_PERIOD: Duration = Duration::from_secs(10);

/// Verdicts that found no room are told again this often.
const TELL_AGAIN_PERIOD: Duration = Duration::from_millis(10);

/// A credential and where it comes from: keys may list addresses, so that both together are one question.
#[derive(Clone)]
struct Shown {
    credential: Arc<SecretString>,
    peer: IpAddr,
}

impl PartialEq for Shown {
    fn eq(&self, other: &Self) -> bool {
        self.peer == other.peer && self.credential.expose_secret() == other.credential.expose_secret()
    }
}

impl Eq for Shown {}

impl Hash for Shown {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.credential.expose_secret().hash(state);
        self.peer.hash(state);
    }
}

/// What the authenticator said.
struct Answer {
    shown: Shown,
    /// `None`: a repeated question.
    asker: Option<Arc<dyn Asker>>,
    verdict: Verdict,
}

/// A credential that somebody stands by, and what they know of it.
struct Watched {
    askers: Vec<Arc<dyn Asker>>,
    label: Arc<str>,
    expires_ms: Option<i64>,
    is_available: bool,
}

/// The answering side, to be run on the runtime.
pub struct AdmissionDesk {
    questions: mpsc::Receiver<Question>,
    /// Asked first, and counted.
    counted: Arc<dyn Authenticator>,
    /// Asked again.
    quiet: Arc<dyn Authenticator>,
    first: JoinSet<Answer>,
    again: JoinSet<Answer>,
    watched: HashMap<Shown, Watched>,
    /// Of this round, still to be asked.
    round: Vec<Shown>,
    untold: VecDeque<(Arc<dyn Asker>, Verdict)>,
    /// When the log was told that credentials cannot be checked.
    complained: Option<Instant>,
    metrics: Arc<AdmissionMetrics>,
}

impl AdmissionDesk {
    pub(super) fn new(
        questions: mpsc::Receiver<Question>,
        counted: Arc<dyn Authenticator>,
        quiet: Arc<dyn Authenticator>,
    ) -> Self {
        Self {
            questions,
            counted,
            quiet,
            first: JoinSet::new(),
            again: JoinSet::new(),
            watched: HashMap::new(),
            round: Vec::new(),
            untold: VecDeque::new(),
            complained: None,
            metrics: Arc::default(),
        }
    }

    /// What it counts.
    #[must_use]
    pub fn metrics(&self) -> Arc<AdmissionMetrics> {
        Arc::clone(&self.metrics)
    }

    /// Answers until no asking side is left.
    pub async fn run(mut self) {
        let (mut rounds, mut tell_again) = (every(ROUND_PERIOD), every(TELL_AGAIN_PERIOD));
        loop {
            self.ask_again();
            tokio::select! {
                biased;
                Some(answer) = self.first.join_next() => self.on_answer(answer),
                Some(answer) = self.again.join_next() => self.on_answer(answer),
                _ = rounds.tick() => self.begin_round(),
                _ = tell_again.tick(), if !self.untold.is_empty() => self.tell_untold(),
                question = self.questions.recv(), if self.may_take() => match question {
                    Some(question) => self.on_question(question),
                    None => return,
                },
            }
            self.metrics.watched.store(self.watched.len() as u64, Ordering::Relaxed);
            self.metrics.untold.store(self.untold.len() as u64, Ordering::Relaxed);
        }
    }

    /// New questions wait while verdicts do.
    fn may_take(&self) -> bool {
        self.first.len() + self.again.len() < AT_ONCE_MAX && self.untold.is_empty()
    }

    fn on_question(&mut self, Question { credential, peer, asker }: Question) {
        if asker.is_there() {
            let shown = Shown { credential: Arc::new(credential), peer };
            self.first.spawn(ask(Arc::clone(&self.counted), shown, Some(asker)));
        }
    }

    /// Every credential that somebody still stands by is asked about once, however many connections it has.
    fn begin_round(&mut self) {
        self.watched.retain(|_, watched| {
            watched.askers.retain(|asker| asker.is_there());
            !watched.askers.is_empty()
        });
        if self.round.is_empty() {
            self.round = self.watched.keys().cloned().collect();
        }
    }

    fn ask_again(&mut self) {
        while self.again.len() < AGAIN_AT_ONCE_MAX && self.first.len() + self.again.len() < AT_ONCE_MAX {
            let Some(shown) = self.round.pop() else { return };
            if self.watched.contains_key(&shown) {
                self.metrics.asked_again.fetch_add(1, Ordering::Relaxed);
                self.again.spawn(ask(Arc::clone(&self.quiet), shown, None));
            }
        }
    }

    fn on_answer(&mut self, answer: Result<Answer, JoinError>) {
        match answer {
            Ok(Answer { shown, asker: Some(asker), verdict }) => self.on_first(shown, asker, verdict),
            Ok(Answer { shown, asker: None, verdict }) => self.on_again(&shown, verdict),
            // Nobody is told, and the door stays shut: it gives its question up by itself.
            Err(error) => tracing::error!(%error, "a credential could not be checked"),
        }
    }

    fn on_first(&mut self, shown: Shown, asker: Arc<dyn Asker>, verdict: Verdict) {
        self.note_availability(&verdict);
        if !asker.is_there() {
            return;
        }
        if let Verdict::Admitted { expires_ms, label } = &verdict {
            self.on_again(&shown, verdict.clone()); // others with the same credential may have waited for it
            let watched = self.watched.entry(shown).or_insert_with(|| Watched {
                askers: Vec::new(),
                label: Arc::clone(label),
                expires_ms: *expires_ms,
                is_available: true,
            });
            watched.askers.push(Arc::clone(&asker));
        }
        self.tell(asker, verdict);
    }

    /// Tells what has changed.
    fn on_again(&mut self, shown: &Shown, verdict: Verdict) {
        self.note_availability(&verdict);
        let Some(watched) = self.watched.get_mut(shown) else { return };
        let verdict = if verdict == Verdict::Refused { Verdict::Revoked } else { verdict };
        let news = match &verdict {
            Verdict::Admitted { expires_ms, .. } => {
                let is_news = !watched.is_available || watched.expires_ms != *expires_ms;
                (watched.is_available, watched.expires_ms) = (true, *expires_ms);
                is_news
            }
            Verdict::Unavailable => std::mem::replace(&mut watched.is_available, false),
            _ => true,
        };
        if !news {
            return;
        }
        let askers = watched.askers.clone();
        if matches!(verdict, Verdict::Revoked | Verdict::NotEntitled) {
            tracing::info!(principal = %watched.label, sockets = askers.len(), "a credential is not good any more: its sockets are closed");
            self.watched.remove(shown);
        }
        for asker in askers {
            self.tell(asker, verdict.clone());
        }
    }

    /// In order: what comes after something that found no room waits behind it.
    fn tell(&mut self, asker: Arc<dyn Asker>, verdict: Verdict) {
        self.untold.push_back((asker, verdict));
        if self.untold.len() == 1 {
            self.tell_untold();
        }
    }

    fn tell_untold(&mut self) {
        while let Some((asker, verdict)) = self.untold.pop_front() {
            if !asker.is_there() {
                continue;
            }
            if let Err(verdict) = asker.tell(verdict) {
                return self.untold.push_front((asker, verdict));
            }
        }
    }

    /// Tells the log now and then, however many questions there are.
    fn note_availability(&mut self, verdict: &Verdict) {
        let is_said = self.complained.is_some_and(|when| when.elapsed() < COMPLAINT_PERIOD);
        if *verdict == Verdict::Unavailable && !is_said {
            self.complained = Some(Instant::now());
            tracing::warn!(
                "credentials cannot be checked now: who shows one does not get in; see the health of the store"
            );
        }
    }
}

fn every(period: Duration) -> Interval {
    let mut interval = interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

async fn ask(authenticator: Arc<dyn Authenticator>, shown: Shown, asker: Option<Arc<dyn Asker>>) -> Answer {
    let asked = authenticator.authenticate(shown.credential.expose_secret(), shown.peer);
    let verdict = verdict_of(timeout(ANSWER_TIMEOUT, asked).await.unwrap_or(Err(Refusal::Unavailable)));
    Answer { shown, asker, verdict }
}

fn verdict_of(answer: Result<Identity, Refusal>) -> Verdict {
    let Identity { principal, expires_ms } = match answer {
        Ok(identity) => identity,
        Err(Refusal::Unavailable) => return Verdict::Unavailable,
        Err(_) => return Verdict::Refused,
    };
    let label = match principal {
        Principal::Anonymous => return Verdict::Refused,
        Principal::User { user_id, .. } => format!("user {user_id}"),
        Principal::Key { scopes, .. } if !scopes.contains(&Scope::MarketRead) => return Verdict::NotEntitled,
        Principal::Key { key_id, .. } => format!("key {key_id}"),
    };
    Verdict::Admitted { expires_ms, label: label.into() }
}
