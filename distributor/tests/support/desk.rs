//! Who knows credentials, in a test: answers at once what it was told to, and keeps the rest for the test to answer.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use book::ring::Notifier;
use distributor::Admission;
use distributor::admission::{Question, Ticket, Verdict, VerdictReceiver, VerdictSender, verdicts};

pub struct Desk {
    known: Mutex<HashMap<String, Verdict>>,
    asked: Mutex<Vec<Question>>,
    /// Takes no question.
    pub full: AtomicBool,
    pub sender: VerdictSender,
}

impl Desk {
    pub fn new(notifier: Arc<Notifier>) -> (Arc<Self>, VerdictReceiver) {
        let (sender, receiver) = verdicts(64, notifier);
        let desk = Self { known: Mutex::default(), asked: Mutex::default(), full: AtomicBool::new(false), sender };
        (Arc::new(desk), receiver)
    }

    /// From now on `credential` gets this verdict.
    pub fn knows(&self, credential: &str, verdict: Verdict) {
        self.known.lock().unwrap().insert(credential.to_owned(), verdict);
    }

    /// How often it was asked.
    pub fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    /// The newest question's ticket, credential and where it came from.
    pub fn last(&self) -> (Ticket, String, std::net::IpAddr) {
        let asked = self.asked.lock().unwrap();
        let last = asked.last().expect("a question came");
        (last.ticket.clone(), last.credential.expose().to_owned(), last.peer)
    }

    /// Tells a verdict on a question.
    pub fn tell(&self, ticket: &Ticket, verdict: Verdict) {
        self.sender.tell(ticket, verdict).expect("a test's queue has room");
    }
}

impl Admission for Desk {
    fn ask(&self, question: Question) -> Result<(), Question> {
        if self.full.load(Ordering::Relaxed) {
            return Err(question);
        }
        if let Some(verdict) = self.known.lock().unwrap().get(question.credential.expose()) {
            self.tell(&question.ticket, verdict.clone());
        }
        self.asked.lock().unwrap().push(question);
        Ok(())
    }
}

/// A good credential of `label`.
pub fn admitted(label: &str, expires_ms: Option<i64>) -> Verdict {
    Verdict::Admitted { expires_ms, label: label.into() }
}
