//! From credentials to those who may go on: questions to whoever knows them, verdicts, ends and revocations.
//!
//! Asks and never checks; waits for nobody: a connection whose verdict is awaited holds up no other. What was said of a
//! question whose connection has gone, or that shows another credential by now, is dropped by its number.

use std::sync::Arc;

use book::Nanos;

use crate::admission::{Credential, Question, Ticket, Told, Verdict};
use crate::ids::ClientId;
use crate::metrics::{DoorResult, Refused};
use crate::websocket::door::{Admitted, Pending, Purpose, Upgrade};
use crate::websocket::frame::close;
use crate::websocket::handshake::{self, Failure};
use crate::websocket::replies::{AdmittedUntil, AuthExpiring, Nothing, System, Time};
use crate::websocket::requests::{Body, Context, Refusal};
use crate::websocket::session::ConnectionState;
use crate::websocket::shard::Shard;

/// Verdicts taken between two looks at the sockets; the rest waits for the next.
const VERDICTS_MAX: usize = 64;

/// How long an awaited verdict puts off an end that is due. Whoever asks again and again gains no more than that.
const PATIENCE_NS: u64 = 3_000_000_000;

/// Bytes that a connection may have here before it was admitted, where that is required.
pub(super) const STRANGER_BYTES_MAX: usize = 16 * 1024;

impl Shard {
    /// The upgrade of a connection that shows a credential: its answer waits for the verdict.
    pub(super) fn ask_for_upgrade(&mut self, client: ClientId, upgrade: Upgrade, credential: Credential) {
        let now_ns = self.now_ns;
        match self.ask(client, credential, Purpose::Handshake(upgrade)) {
            Ok(()) => {
                if let Some(session) = self.clients.get_mut(client) {
                    session.state = ConnectionState::Asking;
                    session.state_ns = now_ns;
                }
            }
            Err(failure) => self.refuse_upgrade(client, &failure),
        }
    }

    /// Answers an upgrade with an error, after which the connection ends.
    pub(super) fn refuse_upgrade(&mut self, client: ClientId, failure: &Failure) {
        self.metrics.count(Refused::Handshake);
        let begin = self.egress.shared.len();
        handshake::write_failure(&mut self.egress.shared, failure, self.wall_ns);
        self.egress.push(client, begin..self.egress.shared.len());
        self.end(client);
    }

    /// Hands a question over.
    fn ask(&mut self, client: ClientId, credential: Credential, purpose: Purpose) -> Result<(), Failure> {
        let Some(session) = self.clients.get_mut(client) else { return Ok(()) };
        let generation = self.doors.next_generation();
        let Some(guard) = &self.doors.guard else {
            self.metrics.count_door(DoorResult::Unavailable);
            return Err(Failure::UNAVAILABLE);
        };
        let held = Arc::new(());
        let ticket = Ticket { client, generation, held: Arc::downgrade(&held) };
        let question = Question { ticket, credential, peer: session.origin };
        if self.doors.waiting >= self.config.questions_max || guard.admission.ask(question).is_err() {
            self.metrics.count_door(DoorResult::Full);
            return Err(Failure::BUSY);
        }
        session.door.pending = Some(Pending { generation, since_ns: self.now_ns, purpose, held });
        self.doors.waiting += 1;
        Ok(())
    }

    /// Whether a connection may do nothing yet but say who it is.
    pub(super) fn is_stranger(&self, client: ClientId) -> bool {
        self.config.auth_required && self.clients.get(client).is_none_or(|session| session.door.admitted.is_none())
    }

    /// A request that needs somebody known: refused when nobody is. True: it may go on.
    pub(super) fn may_ask(&mut self, client: ClientId, body: &Body, context: &Context, time_in_ns: Nanos) -> bool {
        if matches!(body, Body::Auth(_) | Body::Ping) || !self.is_stranger(client) {
            return true;
        }
        if let Some(session) = self.clients.get_mut(client) {
            session.door.tried = true;
        }
        let message = "this server wants to know who you are: send the method auth with a token or key first";
        self.refuse(client, context, time_in_ns, &Refusal::new("AUTH_REQUIRED", message), None);
        false
    }

    pub(super) fn on_auth(
        &mut self,
        client: ClientId,
        shown: Option<Credential>,
        mut context: Context,
        time_in_ns: Nanos,
    ) {
        let is_open = !self.config.auth_required;
        if is_open && (self.doors.guard.is_none() || shown.is_none()) {
            context.warnings.push("this socket is public: no login is needed".to_owned());
            return self.reply(client, &context, time_in_ns, &Nothing {});
        }
        let Some(session) = self.clients.get_mut(client) else { return };
        session.door.tried = true;
        let is_asked = session.door.pending.is_some();
        let refusal = match shown {
            None => Refusal::new("PARAMETER_INVALID", "token is missing: send params {\"token\":\"…\"}"),
            Some(_) if is_asked => {
                Refusal::new("BUSY", "a credential of this connection is being checked: wait for its reply")
            }
            Some(credential) => {
                let purpose = Purpose::Request(context.clone(), time_in_ns);
                match self.ask(client, credential, purpose) {
                    Ok(()) => return,
                    Err(failure) => failure.into(),
                }
            }
        };
        self.refuse(client, &context, time_in_ns, &refusal, None);
    }

    /// Takes what was told meanwhile. Returns how many verdicts there were.
    pub(super) fn take_verdicts(&mut self) -> usize {
        let mut taken = 0;
        while taken < VERDICTS_MAX {
            let Some(told) = self.doors.guard.as_ref().and_then(|guard| guard.verdicts.next()) else { break };
            taken += 1;
            self.on_verdict(told);
        }
        self.metrics.admission_waiting.set(self.doors.waiting as u64);
        taken
    }

    fn on_verdict(&mut self, Told { client, generation, verdict }: Told) {
        let Some(session) = self.clients.get(client) else { return };
        let door = &session.door;
        if door.pending.as_ref().is_some_and(|pending| pending.generation == generation) {
            self.on_answer(client, verdict);
        } else if door.admitted.as_ref().is_some_and(|admitted| admitted.generation == generation) {
            self.on_change(client, verdict);
        }
    }

    fn take_pending(&mut self, client: ClientId) -> Option<Pending> {
        let pending = self.clients.get_mut(client)?.door.pending.take()?;
        self.doors.waiting = self.doors.waiting.saturating_sub(1);
        Some(pending)
    }

    /// The first verdict on a question.
    fn on_answer(&mut self, client: ClientId, verdict: Verdict) {
        let Some(Pending { generation, purpose, held, .. }) = self.take_pending(client) else { return };
        let failure = match verdict {
            Verdict::Admitted { expires_ms, label } => {
                let admitted = self.admitted(generation, label, expires_ms, held);
                return self.on_admitted(client, admitted, purpose);
            }
            Verdict::Refused | Verdict::Revoked => (DoorResult::Refused, Failure::UNAUTHENTICATED),
            Verdict::NotEntitled => (DoorResult::NotEntitled, Failure::SCOPE_MISSING),
            Verdict::Unavailable => (DoorResult::Unavailable, Failure::UNAVAILABLE),
        };
        self.on_failure(client, purpose, failure);
    }

    fn on_failure(&mut self, client: ClientId, purpose: Purpose, (result, failure): (DoorResult, Failure)) {
        self.metrics.count_door(result);
        match purpose {
            Purpose::Handshake(_) => self.refuse_upgrade(client, &failure),
            Purpose::Request(context, time_in_ns) => {
                self.refuse(client, &context, time_in_ns, &failure.into(), None);
            }
        }
    }

    fn admitted(&self, generation: u64, label: Arc<str>, expires_ms: Option<i64>, held: Arc<()>) -> Admitted {
        let expires_ns = self.end_of(expires_ms);
        Admitted { generation, label, expires_ms, expires_ns, unavailable_ns: None, warned: false, _held: held }
    }

    /// The monotonic clock's time of an end that was told by the wall clock.
    fn end_of(&self, expires_ms: Option<i64>) -> Nanos {
        expires_ms.map_or(Nanos::MAX, |expires_ms| {
            let wall_ns = u64::try_from(expires_ms).unwrap_or(0).saturating_mul(1_000_000);
            self.now_ns.saturating_add(wall_ns.saturating_sub(self.wall_ns))
        })
    }

    fn on_admitted(&mut self, client: ClientId, admitted: Admitted, purpose: Purpose) {
        let expires_ms = admitted.expires_ms;
        if !self.enter(client, admitted) {
            return self.on_too_many(client, purpose);
        }
        self.metrics.count_door(DoorResult::Admitted);
        match purpose {
            Purpose::Handshake(upgrade) => {
                self.open(client, &upgrade);
                self.on_frames(client); // what came behind the head
            }
            Purpose::Request(context, time_in_ns) => {
                let expires_at = expires_ms.map(|expires_ms| self.time_of(client, expires_ms));
                self.reply(client, &context, time_in_ns, &AdmittedUntil { expires_at });
            }
        }
    }

    fn time_of(&self, client: ClientId, unix_ms: i64) -> Time {
        let ns = u64::try_from(unix_ms).unwrap_or(0).saturating_mul(1_000_000);
        Time { ns, ..self.time_for(client) }
    }

    /// The connection is this key's or user's from now on. False: that one has as many as allowed, and nothing changed.
    fn enter(&mut self, client: ClientId, admitted: Admitted) -> bool {
        let Some(session) = self.clients.get_mut(client) else { return true };
        let before = session.door.admitted.as_ref().map(|before| Arc::clone(&before.label));
        if before.as_ref() != Some(&admitted.label) {
            if self.doors.connections_of(&admitted.label) >= self.config.connections_per_principal_max {
                return false;
            }
            self.doors.enter(&admitted.label);
            if let Some(before) = before {
                self.doors.leave(&before);
            }
        }
        session.door.admitted = Some(admitted);
        true
    }

    fn on_too_many(&mut self, client: ClientId, purpose: Purpose) {
        self.metrics.count_door(DoorResult::Limit);
        self.metrics.count(Refused::Connections);
        let reason = "this key or user has as many connections as allowed: close one first";
        match purpose {
            Purpose::Handshake(upgrade) => self.write_upgrade(client, &upgrade),
            Purpose::Request(context, time_in_ns) => {
                self.refuse(client, &context, time_in_ns, &Refusal::new("CONNECTION_LIMIT", reason), None);
            }
        }
        self.close(client, close::CONNECTION_LIMIT, reason);
    }

    /// News of a credential that a connection stands by.
    fn on_change(&mut self, client: ClientId, verdict: Verdict) {
        let now_ns = self.now_ns;
        let end_ns = if let Verdict::Admitted { expires_ms, .. } = verdict { self.end_of(expires_ms) } else { 0 };
        let Some(admitted) = self.clients.get_mut(client).and_then(|session| session.door.admitted.as_mut()) else {
            return;
        };
        match verdict {
            Verdict::Admitted { expires_ms, .. } => {
                admitted.warned &= admitted.expires_ms == expires_ms;
                (admitted.expires_ms, admitted.expires_ns, admitted.unavailable_ns) = (expires_ms, end_ns, None);
            }
            Verdict::Unavailable => {
                admitted.unavailable_ns.get_or_insert(now_ns);
                self.metrics.count_door(DoorResult::Unavailable);
            }
            Verdict::Refused | Verdict::Revoked => {
                self.metrics.count_door(DoorResult::Revoked);
                self.close(client, close::UNAUTHENTICATED, "the credential was revoked");
            }
            Verdict::NotEntitled => {
                self.metrics.count_door(DoorResult::NotEntitled);
                self.close(client, close::NOT_ENTITLED, "the credential may not read market data any more");
            }
        }
    }

    /// A verdict that did not come in time.
    pub(super) fn give_up_late(&mut self, client: ClientId) {
        let (now_ns, verdict_ns) = (self.now_ns, self.config.verdict_ns);
        let is_late = |pending: &Pending| now_ns.saturating_sub(pending.since_ns) >= verdict_ns;
        let late = self.clients.get(client).and_then(|session| session.door.pending.as_ref()).is_some_and(is_late);
        if late && let Some(pending) = self.take_pending(client) {
            self.on_failure(client, pending.purpose, (DoorResult::Late, Failure::BUSY));
        }
    }

    /// Ends that are due. False: the connection is closed.
    pub(super) fn on_tick_of_door(&mut self, client: ClientId) -> bool {
        self.give_up_late(client);
        let Some(session) = self.clients.get(client) else { return false };
        let is_asked = session.door.pending.is_some();
        match &session.door.admitted {
            Some(admitted) => {
                let (end_ns, unavailable_ns) = (admitted.expires_ns, admitted.unavailable_ns);
                self.on_tick_of_admitted(client, self.is_due(end_ns, is_asked), unavailable_ns)
            }
            None if self.config.auth_required => {
                let end_ns = session.state_ns.saturating_add(self.config.auth_ns);
                let tried = session.door.tried;
                if !self.is_due(end_ns, is_asked) {
                    return true;
                }
                self.metrics.count_door(DoorResult::Missing);
                let (code, reason) = match tried {
                    true => (close::UNAUTHENTICATED, "no valid credential in 10 s"),
                    false => (close::NO_AUTH, "no auth in 10 s"),
                };
                self.close(client, code, reason);
                false
            }
            None => true,
        }
    }

    fn is_due(&self, end_ns: Nanos, is_asked: bool) -> bool {
        let end_ns = if is_asked { end_ns.saturating_add(PATIENCE_NS) } else { end_ns };
        self.now_ns >= end_ns
    }

    fn on_tick_of_admitted(&mut self, client: ClientId, is_over: bool, unavailable_ns: Option<Nanos>) -> bool {
        if is_over {
            self.metrics.count_door(DoorResult::Expired);
            self.close(client, close::UNAUTHENTICATED, "the credential came to its end: connect with a new one");
            return false;
        }
        let is_gone =
            unavailable_ns.is_some_and(|since| self.now_ns.saturating_sub(since) >= self.config.unavailable_ns);
        if is_gone && self.config.auth_required {
            self.close(client, close::TRY_LATER, "credentials cannot be checked now");
            return false;
        }
        self.tell_of_end(client);
        true
    }

    /// Says once that the credential ends soon.
    fn tell_of_end(&mut self, client: ClientId) {
        let (now_ns, notice_ns) = (self.now_ns, self.config.expiry_notice_ns);
        let Some(admitted) = self.clients.get_mut(client).and_then(|session| session.door.admitted.as_mut()) else {
            return;
        };
        if admitted.warned || admitted.expires_ns.saturating_sub(now_ns) > notice_ns {
            return;
        }
        admitted.warned = true;
        let Some(expires_ms) = admitted.expires_ms else { return };
        let message = "send the method auth with a new token before then: the connection is closed with 4401 otherwise";
        let body = AuthExpiring { expires_at: self.time_of(client, expires_ms), message };
        self.say(client, &System::new("auth_expiring", body, self.time_for(client)));
    }

    /// The connection is over.
    pub(super) fn leave_door(&mut self, client: ClientId) {
        if let Some(session) = self.clients.get_mut(client) {
            self.doors.forget(std::mem::take(&mut session.door));
        }
    }
}
