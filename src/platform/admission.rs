//! The doors between both runtimes: questions of the fan-out thread go to the slow path, verdicts come back.
//!
//! Carries over and decides nothing. The slow path starts after the market-data port is open: until then there is no room.

use std::sync::{Arc, OnceLock};

use book::ring::Notifier;
use distributor::admission::{Question, Ticket, Verdict, VerdictReceiver, VerdictSender, verdicts};

/// Verdicts on their way to a fan-out thread; beyond, the slow path waits and tries again.
const VERDICTS_MAX: usize = 4_096;

/// Where the fan-out asks.
pub struct Admissions {
    intake: OnceLock<api::admission::AdmissionIntake>,
    sender: VerdictSender,
}

impl Admissions {
    /// For a fan-out thread that `notifier` wakes, with the end that it reads.
    pub fn new(notifier: Arc<Notifier>) -> (Arc<Self>, VerdictReceiver) {
        let (sender, receiver) = verdicts(VERDICTS_MAX, notifier);
        (Arc::new(Self { intake: OnceLock::new(), sender }), receiver)
    }

    /// The slow path answers from now on.
    pub fn open(&self, intake: api::admission::AdmissionIntake) {
        // OK because it is set once, right after it is made.
        let _ = self.intake.set(intake);
    }
}

impl distributor::Admission for Admissions {
    fn ask(&self, question: Question) -> Result<(), Question> {
        let Some(intake) = self.intake.get() else { return Err(question) };
        let Question { ticket, credential, peer } = question;
        let asker = Arc::new(Connection { ticket: ticket.clone(), sender: self.sender.clone() });
        let asked = api::admission::Question { credential: credential.clone().into_secret(), peer, asker };
        intake.offer(asked).map_err(|_| Question { ticket, credential, peer })
    }
}

/// One question of one connection.
struct Connection {
    ticket: Ticket,
    sender: VerdictSender,
}

impl api::admission::Asker for Connection {
    fn tell(&self, verdict: api::admission::Verdict) -> Result<(), api::admission::Verdict> {
        self.sender.tell(&self.ticket, there(verdict.clone())).map_err(|_| verdict)
    }

    fn is_there(&self) -> bool {
        self.ticket.is_held()
    }
}

fn there(verdict: api::admission::Verdict) -> Verdict {
    use api::admission::Verdict as Said;
    match verdict {
        Said::Admitted { expires_ms, label } => Verdict::Admitted { expires_ms, label },
        Said::Refused => Verdict::Refused,
        Said::NotEntitled => Verdict::NotEntitled,
        Said::Unavailable => Verdict::Unavailable,
        Said::Revoked => Verdict::Revoked,
    }
}

/// What the gateway of this process is known by at the market-data port: drawn once at start, and told to nobody. `None`
/// when the system has no randomness; then nobody's word on a client's address is believed.
pub fn forwarder() -> Option<String> {
    use secrecy::ExposeSecret;
    static FORWARDER: OnceLock<Option<String>> = OnceLock::new();
    let draw = || api::users::secret::random_text("").ok().map(|text| text.expose_secret().to_owned());
    FORWARDER.get_or_init(draw).clone()
}

#[cfg(test)]
mod tests {
    use distributor::handshake::Failure;

    /// The public socket cannot know the slow path's errors, and says the same.
    #[test]
    fn a_bad_credential_gets_one_answer_at_every_door() {
        for (refusal, ours) in
            [(api::Refusal::Unknown, Failure::UNAUTHENTICATED), (api::Refusal::Unavailable, Failure::UNAVAILABLE)]
        {
            let rest = refusal.error();
            assert_eq!(
                (rest.status.as_u16(), rest.code, rest.message.as_str()),
                (ours.status, ours.code, ours.message)
            );
        }
    }
}
