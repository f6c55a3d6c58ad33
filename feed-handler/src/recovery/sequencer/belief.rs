//! When another session, or a leap of the session's own numbers, is believed: enough packets go together, or no packet can
//! come any more (decision 0008).
//!
//! Weighs and delivers what was kept; asks nobody, and never believes one packet alone.

use book::Nanos;

use super::{DELIVERS_NS, PacketOutcome, Sequenced, Sequencer, Start};
use crate::wire::moldudp64::Packet;

impl Sequencer {
    /// A packet of another session than the current one: the first session is believed at once, every other one when
    /// its packets go together.
    #[cold]
    pub(super) fn on_other_session(
        &mut self,
        now_ns: Nanos,
        packet: &Packet<'_>,
        datagram: &[u8],
        each: &mut impl FnMut(Sequenced<'_>),
    ) -> PacketOutcome {
        let Some(old) = self.session else {
            let first = match self.config.start {
                Start::Join => packet.sequence,
                Start::At(first) => first,
            };
            self.begin(packet.session, first, false, each);
            self.horizon = self.horizon.max(packet.sequence);
            return self.on_own_packet(now_ns, packet, datagram, each);
        };
        if let Some((left, at_ns)) = self.left
            && left == packet.session
            && now_ns.saturating_sub(at_ns) < self.config.restart_after_ns
        {
            // The slower line still tells the old session.
            self.counters.stale += 1;
            return PacketOutcome::Stale;
        }
        self.counters.foreign += 1;
        let delivers = self.heard_ns.is_some_and(|heard_ns| now_ns.saturating_sub(heard_ns) < DELIVERS_NS);
        let within_ns = if delivers { DELIVERS_NS } else { Nanos::MAX };
        let at = self.candidates.note(now_ns, packet, datagram, within_ns);
        if !self.candidates.run(at).is_believed() {
            return PacketOutcome::Foreign;
        }
        self.leave(each);
        self.left = Some((old, now_ns));
        let first = self.candidates.first(at);
        let next = self.first_number(first);
        self.begin(packet.session, next, false, each);
        self.horizon = self.horizon.max(self.candidates.run(at).first());
        self.deliver_candidate(now_ns, at, (packet, datagram), each)
    }

    /// A packet of the session that is far ahead: others must bear it out. Up to `jump_max` what is between is then
    /// missing; farther, the numbers began anew.
    #[cold]
    pub(super) fn on_jump(
        &mut self,
        now_ns: Nanos,
        packet: &Packet<'_>,
        datagram: &[u8],
        each: &mut impl FnMut(Sequenced<'_>),
    ) -> PacketOutcome {
        self.counters.jumped += 1;
        if self.believing {
            return PacketOutcome::Jumped;
        }
        let at = self.candidates.note_jump(now_ns, packet, datagram, self.next);
        let (run, first) = (self.candidates.run(at), self.candidates.run(at).first());
        if first.saturating_sub(self.horizon) <= self.config.jump_max {
            if !run.is_long() {
                return PacketOutcome::Jumped;
            }
            self.reopen(run.next());
            self.horizon = self.horizon.max(run.next());
        } else {
            if !run.is_believed() {
                return PacketOutcome::Jumped;
            }
            self.leave(each);
            self.counters.restarts += 1;
            self.begin(packet.session, first, true, each);
        }
        self.deliver_candidate(now_ns, at, (packet, datagram), each)
    }

    /// Takes what is still weighed when no packet can come any more, as at the end of a recording: what nothing
    /// contradicted is believed. Returns whether there was something; [`Sequencer::on_idle`] then has more to give.
    #[cold]
    pub fn conclude(&mut self, now_ns: Nanos, each: &mut impl FnMut(Sequenced<'_>)) -> bool {
        let Some(own) = self.session else { return false };
        let Some(at) = self.candidates.unrefuted(own, self.next, self.heard_ns) else { return false };
        let (Some(session), first) = (self.candidates.session(at), self.candidates.first(at)) else { return false };
        if session != own {
            self.leave(each);
            let next = self.first_number(first);
            self.begin(session, next, false, each);
        }
        // Leaps between the kept packets are holes like any other.
        self.horizon = self.candidates.kept(at).last().unwrap_or(first).max(self.horizon);
        self.take_kept(now_ns, at, each);
        self.candidates.clear();
        true
    }

    /// Takes the packets that were kept of candidate `at`, in the order of their numbers.
    fn take_kept(&mut self, now_ns: Nanos, at: usize, each: &mut impl FnMut(Sequenced<'_>)) {
        if let Some(sequence) = self.candidates.contradicted(at).filter(|_| self.config.compares_lines) {
            self.counters.mismatches += 1;
            each(Sequenced::LineMismatch { sequence });
        }
        self.believing = true;
        while let Some(place) = self.candidates.kept(at).take_first() {
            // The places move out for the call, so that the packet does not borrow all of `self`.
            let bytes = std::mem::take(&mut self.candidates.kept(at).bytes);
            if let Ok(packet) = Packet::parse(&bytes[place.clone()]) {
                self.on_own_packet(now_ns, &packet, &bytes[place], each);
            }
            self.candidates.kept(at).bytes = bytes;
        }
        self.believing = false;
    }

    /// Takes the packets that were kept until now, in the order of their numbers.
    fn deliver_candidate(
        &mut self,
        now_ns: Nanos,
        at: usize,
        (packet, datagram): (&Packet<'_>, &[u8]),
        each: &mut impl FnMut(Sequenced<'_>),
    ) -> PacketOutcome {
        self.take_kept(now_ns, at, each);
        self.believing = true;
        if self.candidates.is_in_hand(at) {
            self.on_own_packet(now_ns, packet, datagram, each);
        }
        self.believing = false;
        self.candidates.clear();
        self.settle(now_ns, each);
        PacketOutcome::First
    }

    /// Names all that is missing of a session that is over as lost, parked packets included: what they would
    /// change begins anew anyway.
    pub(super) fn leave(&mut self, each: &mut impl FnMut(Sequenced<'_>)) {
        if self.has_gap() {
            self.lose(self.next, self.horizon - 1, each);
        }
    }
}
