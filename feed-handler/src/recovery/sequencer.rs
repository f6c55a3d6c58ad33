//! Brings the packets of one partition into order: every message exactly once, in order, or named as lost.
//!
//! No socket and no clock: datagrams and time come in, [`Sequenced`]s go out. Both lines, answers to requests and
//! repeats go through the same door; whichever comes first counts. Never allocates after construction, never
//! delivers a part of a damaged packet, never waits longer than `gap_timeout_ns` for a number that does not come.
//! Never believes one packet alone that another session began, that this one is over, or that its numbers leaped.

mod belief;
mod config;

pub use config::{Recovery, SequencerConfig, Start};

use book::Nanos;

use super::evidence::{Candidates, LEAP_TRUSTED, PACKETS_TO_BELIEVE, Run};
use super::parking::{Parked, Parking};
use super::taken::Taken;
use crate::wire::moldudp64::{BadPacket, Packet, PacketKind, Request, Session};

/// Longest time between two requests.
const REQUEST_INTERVAL_NS_MAX: Nanos = 1_000_000_000;
/// A session that brought something within this time delivers: another one is then believed only by packets that
/// came within this time, too.
const DELIVERS_NS: Nanos = 1_000_000_000;

/// What the sequencer has to say, in the order in which it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sequenced<'a> {
    /// A session begins: numbering starts over, and all books with it.
    Session {
        /// Its name.
        session: Session,
        /// Number of the first message that is awaited.
        next: u64,
        /// The name is the old one, but its numbers began again.
        restarted: bool,
    },
    /// The next message.
    Message {
        /// Its number.
        sequence: u64,
        /// Its bytes; may be empty.
        message: &'a [u8],
    },
    /// These messages will not be delivered. Said once, before the message that follows them.
    Gap {
        /// First lost number.
        from: u64,
        /// Last lost number.
        to: u64,
    },
    /// These messages are missing: whoever has a socket may ask for them.
    Request(Request),
    /// A line says something else of this number than was taken of it, or will be. Said once for a packet, before what the
    /// packet brings.
    LineMismatch {
        /// The first such number of the packet.
        sequence: u64,
    },
    /// Every message of the session was delivered or named as lost. Said once.
    EndOfSession {
        /// The number that would have come next.
        next: u64,
    },
}

/// What became of a packet as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketOutcome {
    /// It brought at least one message that had not come before.
    First,
    /// All of its messages had come before, as from the other line.
    Duplicate,
    /// It has no messages: a heartbeat or an end of session.
    Heartbeat,
    /// It is of the session before, and was ignored.
    Stale,
    /// It is of another session, which is not believed yet.
    Foreign,
    /// Its number is far ahead, which is not believed yet.
    Jumped,
    /// It came too early and found no place.
    Dropped,
}

/// What was counted since the start, sessions and all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SequencerCounters {
    /// Datagrams taken, good and bad.
    pub packets: u64,
    /// Heartbeats and end-of-session packets among them.
    pub heartbeats: u64,
    /// Datagrams that are no whole packet.
    pub damaged: u64,
    /// Packets of the session before, that came late and were ignored.
    pub stale: u64,
    /// Packets of another session before it was believed.
    pub foreign: u64,
    /// Packets whose number was far ahead before that was believed.
    pub jumped: u64,
    /// Messages delivered.
    pub messages: u64,
    /// Messages that had been delivered, parked or given up before.
    pub repeats: u64,
    /// Messages whose contents were not those of the same number before.
    pub mismatches: u64,
    /// Packets parked because a number before them was missing.
    pub parked: u64,
    /// Packets that could not be parked: too long, or no place left.
    pub parked_dropped: u64,
    /// Most packets parked at one time.
    pub parked_high_water: u64,
    /// Gaps given up.
    pub gaps: u64,
    /// Messages in them.
    pub lost: u64,
    /// Requests made.
    pub requests: u64,
    /// Sessions begun.
    pub sessions: u64,
    /// Sessions among them that began again under their old name.
    pub restarts: u64,
}

/// The hole that is being waited for.
#[derive(Clone, Copy, Debug)]
struct Hole {
    /// Its first number: a hole that is filled in part is a new one.
    from: u64,
    since_ns: Nanos,
}

/// The latest request.
#[derive(Clone, Copy, Debug)]
struct Asked {
    /// Its first number: what is delivered from there on is its answer.
    from: u64,
    at_ns: Nanos,
    /// Least time until the next one.
    interval_ns: Nanos,
}

/// An end of the session that was told.
#[derive(Clone, Copy, Debug)]
struct End {
    /// The number that would have come next.
    after: u64,
    /// Packets since then, this one among them, that did not contradict it.
    packets: u8,
}

impl End {
    const fn is_believed(self) -> bool {
        self.packets >= PACKETS_TO_BELIEVE
    }
}

/// The order of one partition.
#[derive(Debug)]
pub struct Sequencer {
    config: SequencerConfig,
    session: Option<Session>,
    /// The session before this one, and when it was left: its late packets are not a new session.
    left: Option<(Session, Nanos)>,
    /// Number of the next message to deliver.
    next: u64,
    /// One above the highest number known to exist.
    horizon: u64,
    hole: Option<Hole>,
    /// Whether something arrived and was delivered since the hole was found.
    filled: bool,
    asked: Option<Asked>,
    /// Since when everything that comes is below `next`, and how well its packets go together.
    behind: Option<(Nanos, Run)>,
    end: Option<End>,
    end_told: bool,
    /// When the session last gave a sign of life.
    heard_ns: Option<Nanos>,
    /// What may be another session, or this one far ahead.
    candidates: Candidates,
    /// The packets of a candidate are being delivered: none of them opens another one.
    believing: bool,
    parking: Parking,
    /// What was taken of each number, if lines are compared.
    taken: Option<Taken>,
    /// What was counted.
    pub counters: SequencerCounters,
}

impl Sequencer {
    /// A sequencer; takes `packets_parked_max` × `datagram_bytes_max` bytes and touches them.
    #[must_use]
    pub fn new(config: SequencerConfig) -> Self {
        let config = SequencerConfig {
            packets_parked_max: config.packets_parked_max.max(1),
            packets_released_max: config.packets_released_max.max(1),
            ..config
        };
        Self {
            parking: Parking::new(config.packets_parked_max, config.datagram_bytes_max),
            candidates: Candidates::new(config.datagram_bytes_max),
            believing: false,
            taken: config.compares_lines.then(Taken::new),
            config,
            session: None,
            left: None,
            next: 0,
            horizon: 0,
            hole: None,
            filled: false,
            asked: None,
            behind: None,
            end: None,
            end_told: false,
            heard_ns: None,
            counters: SequencerCounters::default(),
        }
    }

    /// Takes one datagram from any line at `now_ns` (any clock that does not go back).
    ///
    /// Gives out at most the messages of this packet and of `packets_released_max` parked ones; when
    /// [`Sequencer::has_ready`] says so, [`Sequencer::on_idle`] gives out more.
    ///
    /// # Errors
    /// [`BadPacket`]: it was counted, nothing else changed.
    #[inline]
    pub fn on_packet(
        &mut self,
        now_ns: Nanos,
        datagram: &[u8],
        each: &mut impl FnMut(Sequenced<'_>),
    ) -> Result<PacketOutcome, BadPacket> {
        self.counters.packets += 1;
        let packet = Packet::parse(datagram).inspect_err(|_| self.counters.damaged += 1)?;
        if self.session != Some(packet.session) {
            return Ok(self.on_other_session(now_ns, &packet, datagram, each));
        }
        Ok(self.on_own_packet(now_ns, &packet, datagram, each))
    }

    /// A packet of the believed session.
    #[inline]
    fn on_own_packet(
        &mut self,
        now_ns: Nanos,
        packet: &Packet<'_>,
        datagram: &[u8],
        each: &mut impl FnMut(Sequenced<'_>),
    ) -> PacketOutcome {
        if self.taken.is_some() {
            self.compare_lines(packet, each);
        }
        let mut outcome = PacketOutcome::First;
        let is_next = packet.kind == PacketKind::Messages && packet.sequence == self.next;
        if is_next && self.parking.is_empty() && self.end.is_none() {
            // Nearly every packet: the next one, with nothing waiting behind it.
            self.behind = None;
            self.heard_ns = Some(now_ns);
            self.deliver(packet, each);
            if self.horizon == self.next {
                self.hole = None;
                return outcome;
            }
        } else {
            outcome = self.on_unusual_packet(now_ns, packet, datagram, each);
        }
        if !self.believing {
            self.settle(now_ns, each);
        }
        outcome
    }

    /// Two lines must say the same of a number: else one of them lies, and nobody knows which.
    #[inline]
    fn compare_lines(&mut self, packet: &Packet<'_>, each: &mut impl FnMut(Sequenced<'_>)) {
        if self.is_far_ahead(packet) {
            return;
        }
        let Some(taken) = &mut self.taken else { return };
        let (differing, first) = taken.compare(packet, self.next);
        if differing > 0 {
            self.counters.mismatches += differing;
            each(Sequenced::LineMismatch { sequence: first });
        }
    }

    /// To be called when nothing came in, and at [`Sequencer::deadline_ns`]: delivers what is ready, asks for what
    /// is missing, gives up what did not come.
    pub fn on_idle(&mut self, now_ns: Nanos, each: &mut impl FnMut(Sequenced<'_>)) {
        if self.session.is_some() {
            self.settle(now_ns, each);
        }
    }

    /// Everything below `next` is known from elsewhere (a snapshot): it is neither awaited nor lost. Without effect
    /// before the first packet, and for a number that is not ahead.
    pub fn skip_to(&mut self, now_ns: Nanos, next: u64, each: &mut impl FnMut(Sequenced<'_>)) {
        if self.session.is_some() && next > self.next {
            self.reopen(next);
            self.next = next;
            self.horizon = self.horizon.max(next);
            self.settle(now_ns, each);
        }
    }

    /// Number of the next message to deliver.
    #[must_use]
    pub const fn next_sequence(&self) -> u64 {
        self.next
    }

    /// The session, once a packet of one came.
    #[must_use]
    pub const fn session(&self) -> Option<Session> {
        self.session
    }

    /// When a message or a heartbeat of the session last came that was neither old nor far ahead; `None` before the
    /// first. Nothing else is a sign of life: neither another session nor an end.
    #[inline]
    #[must_use]
    pub const fn heard_ns(&self) -> Option<Nanos> {
        self.heard_ns
    }

    /// Whether this datagram would be a sign of life, without taking it.
    #[cold]
    #[must_use]
    pub fn would_hear(&self, datagram: &[u8]) -> bool {
        Packet::parse(datagram).is_ok_and(|packet| match self.session {
            None => packet.kind != PacketKind::EndOfSession,
            Some(session) => session == packet.session && self.is_alive(&packet) && !self.is_far_ahead(&packet),
        })
    }

    /// Whether the packet says that the session goes on.
    fn is_alive(&self, packet: &Packet<'_>) -> bool {
        match packet.kind {
            PacketKind::Messages => packet.next_sequence() > self.next,
            PacketKind::Heartbeat => packet.sequence >= self.next,
            PacketKind::EndOfSession => false,
        }
    }

    /// Whether the packet is so far ahead of all that is known that others must bear it out.
    fn is_far_ahead(&self, packet: &Packet<'_>) -> bool {
        packet.sequence > self.horizon.saturating_add(LEAP_TRUSTED)
    }

    /// Whether parked packets can be delivered without waiting.
    #[must_use]
    pub fn has_ready(&self) -> bool {
        self.parking.first().is_some_and(|first| first <= self.next)
    }

    /// Whether a number is missing before one that is known to exist.
    #[must_use]
    pub fn has_gap(&self) -> bool {
        self.next < self.horizon
    }

    /// When [`Sequencer::on_idle`] has something to do if no packet comes; `None`: never.
    #[must_use]
    pub fn deadline_ns(&self) -> Option<Nanos> {
        let hole = self.hole?;
        let give_up_ns = hole.since_ns.saturating_add(self.config.gap_timeout_ns);
        let Some(recovery) = self.config.recovery else { return Some(give_up_ns) };
        Some(give_up_ns.min(self.request_ns(hole, recovery)))
    }

    /// Delivers the messages of a packet that are not older than `next`; the packet must not begin after it.
    #[inline]
    fn deliver(&mut self, packet: &Packet<'_>, each: &mut impl FnMut(Sequenced<'_>)) {
        for (sequence, message) in packet.messages() {
            if sequence < self.next {
                self.counters.repeats += 1;
                continue;
            }
            self.counters.messages += 1;
            each(Sequenced::Message { sequence, message });
        }
        self.next = self.next.max(packet.next_sequence());
        self.horizon = self.horizon.max(self.next);
    }

    /// A heartbeat, an end, a repeat, a packet that comes too early, or one that fills a gap.
    #[cold]
    fn on_unusual_packet(
        &mut self,
        now_ns: Nanos,
        packet: &Packet<'_>,
        datagram: &[u8],
        each: &mut impl FnMut(Sequenced<'_>),
    ) -> PacketOutcome {
        if self.is_far_ahead(packet) {
            return self.on_jump(now_ns, packet, datagram, each);
        }
        if self.is_alive(packet) {
            self.heard_ns = Some(now_ns);
        }
        let after = packet.next_sequence();
        if after < self.next {
            self.on_packet_behind(now_ns, packet, each);
        } else {
            self.behind = None;
        }
        if packet.kind != PacketKind::Messages {
            self.counters.heartbeats += 1;
        }
        self.weigh_end(packet);
        self.horizon = self.horizon.max(after);
        if packet.sequence <= self.next {
            self.filled |= after > self.next;
            self.deliver_late(packet, each)
        } else if packet.count > 0 {
            self.park(now_ns, packet, datagram, each)
        } else {
            PacketOutcome::Heartbeat
        }
    }

    /// A packet of which everything came before. When nothing else comes for long, the exchange has started over.
    fn on_packet_behind(&mut self, now_ns: Nanos, packet: &Packet<'_>, each: &mut impl FnMut(Sequenced<'_>)) {
        let (since_ns, run) = self.behind.get_or_insert((now_ns, Run::default()));
        run.add(now_ns, packet);
        if now_ns.saturating_sub(*since_ns) >= self.config.restart_after_ns && run.is_believed() {
            self.leave(each);
            self.counters.restarts += 1;
            let next = self.first_number(packet.sequence);
            self.begin(packet.session, next, true, each);
        }
    }

    /// Takes what the packet says of the end: an end is one when nothing contradicts it.
    fn weigh_end(&mut self, packet: &Packet<'_>) {
        let after = packet.next_sequence();
        if packet.kind == PacketKind::EndOfSession && after >= self.horizon {
            // An end before a number that exists is not the end.
            let packets = self.end.filter(|end| end.after == after).map_or(0, |end| end.packets);
            self.end = Some(End { after, packets: packets.saturating_add(1) });
            self.end_told &= packets > 0;
        } else if packet.kind == PacketKind::Heartbeat && self.end.is_some_and(|end| after >= end.after) {
            // Who still gives signs of life has not ended.
            self.end = None;
            self.end_told = false;
        } else {
            self.reopen(after);
            // What was known before says nothing.
            if after >= self.next
                && let Some(end) = &mut self.end
            {
                end.packets = end.packets.saturating_add(1);
            }
        }
    }

    /// Delivers a packet of which some or all may have come before.
    fn deliver_late(&mut self, packet: &Packet<'_>, each: &mut impl FnMut(Sequenced<'_>)) -> PacketOutcome {
        let is_new = packet.next_sequence() > self.next;
        self.deliver(packet, each);
        match packet.kind {
            PacketKind::Messages if is_new => PacketOutcome::First,
            PacketKind::Messages => PacketOutcome::Duplicate,
            PacketKind::Heartbeat | PacketKind::EndOfSession => PacketOutcome::Heartbeat,
        }
    }

    /// Numbers up to `after` exist: a session that ended before them goes on.
    fn reopen(&mut self, after: u64) {
        if self.end.is_some_and(|end| after > end.after) {
            self.end = None;
            self.end_told = false;
        }
    }

    /// Keeps a packet that comes too early.
    fn park(
        &mut self,
        now_ns: Nanos,
        packet: &Packet<'_>,
        datagram: &[u8],
        each: &mut impl FnMut(Sequenced<'_>),
    ) -> PacketOutcome {
        if self.parking.is_full() && self.config.recovery.is_none() && !self.believing {
            self.release(1, each);
            if !self.has_ready() && packet.sequence > self.next {
                // The packet at hand may be what comes next behind the hole.
                let after_hole = self.parking.first().map_or(packet.sequence, |first| first.min(packet.sequence));
                self.give_up(after_hole, each);
                self.release(1, each);
            }
            if packet.sequence <= self.next {
                return self.deliver_late(packet, each);
            }
        }
        let outcome = match self.parking.insert(now_ns, packet, datagram) {
            Parked::Kept => {
                self.counters.parked += 1;
                PacketOutcome::First
            }
            Parked::KeptInsteadOfAnother => {
                self.counters.parked += 1;
                self.counters.parked_dropped += 1;
                PacketOutcome::First
            }
            Parked::Repeat => {
                self.counters.repeats += u64::from(packet.count);
                PacketOutcome::Duplicate
            }
            Parked::Dropped => {
                self.counters.parked_dropped += 1;
                PacketOutcome::Dropped
            }
        };
        self.counters.parked_high_water = self.counters.parked_high_water.max(self.parking.len() as u64);
        outcome
    }

    /// Delivers what is ready and deals with the holes in front of what is not.
    fn settle(&mut self, now_ns: Nanos, each: &mut impl FnMut(Sequenced<'_>)) {
        let mut packets_left = self.config.packets_released_max;
        loop {
            packets_left -= self.release(packets_left, each);
            if self.has_ready() {
                // The bound of one call was reached; the rest comes with the next one.
                return;
            }
            if !self.has_gap() {
                self.hole = None;
                return self.tell_end(each);
            }
            let hole = self.find_hole(now_ns);
            if now_ns.saturating_sub(hole.since_ns) < self.config.gap_timeout_ns {
                return self.request(now_ns, hole, each);
            }
            self.give_up(self.after_hole(), each);
        }
    }

    /// The hole at `next` and since when it is waited for.
    fn find_hole(&mut self, now_ns: Nanos) -> Hole {
        if let Some(hole) = self.hole
            && hole.from == self.next
        {
            return hole;
        }
        // A hole behind another one was known before its turn came. Its time runs from then on: else many holes
        // would be waited for one after the other, and the feed fall behind. But while a recovery, which asks for
        // one hole after the other, brings things back, each has its own time.
        let recovering = self.config.recovery.is_some() && self.filled;
        let since_ns = self.parking.first_arrived_ns().filter(|_| !recovering).unwrap_or(now_ns);
        self.filled = false;
        *self.hole.insert(Hole { from: self.next, since_ns })
    }

    /// Asks for the hole if it is time.
    fn request(&mut self, now_ns: Nanos, hole: Hole, each: &mut impl FnMut(Sequenced<'_>)) {
        if let Some(recovery) = self.config.recovery
            && now_ns >= self.request_ns(hole, recovery)
            && let Some(session) = self.session
        {
            let unanswered = self.asked.filter(|asked| asked.from >= self.next);
            let interval_ns = unanswered.map_or(recovery.interval_ns, |asked| {
                asked.interval_ns.saturating_mul(2).min(recovery.interval_ns.max(REQUEST_INTERVAL_NS_MAX))
            });
            self.asked = Some(Asked { from: self.next, at_ns: now_ns, interval_ns });
            self.counters.requests += 1;
            let missing = self.after_hole() - self.next;
            let count = u16::try_from(missing).unwrap_or(u16::MAX).min(recovery.messages_max);
            each(Sequenced::Request(Request { session, from: self.next, count }));
        }
    }

    /// Earliest time of the next request.
    fn request_ns(&self, hole: Hole, recovery: Recovery) -> Nanos {
        let after_delay_ns = hole.since_ns.saturating_add(recovery.delay_ns);
        let after_request_ns = self.asked.map_or(0, |asked| {
            let answered = asked.from < self.next;
            asked.at_ns.saturating_add(if answered { recovery.interval_ns } else { asked.interval_ns })
        });
        after_delay_ns.max(after_request_ns)
    }

    /// The number that exists right after the hole at `next`.
    fn after_hole(&self) -> u64 {
        self.parking.first().unwrap_or(self.horizon)
    }

    /// Names the hole from `next` to the number before `after_hole` as lost and goes on behind it.
    fn give_up(&mut self, after_hole: u64, each: &mut impl FnMut(Sequenced<'_>)) {
        debug_assert!(self.next < after_hole);
        self.lose(self.next, after_hole - 1, each);
        self.next = after_hole;
        // What is given up was not answered.
        if let Some(asked) = &mut self.asked {
            asked.from = after_hole;
        }
        self.hole = None;
        self.filled = false;
    }

    fn lose(&mut self, from: u64, to: u64, each: &mut impl FnMut(Sequenced<'_>)) {
        self.counters.gaps += 1;
        self.counters.lost = self.counters.lost.saturating_add(to - from + 1);
        each(Sequenced::Gap { from, to });
    }

    /// Delivers up to `packets_max` parked packets from `next` on, and returns how many.
    fn release(&mut self, packets_max: usize, each: &mut impl FnMut(Sequenced<'_>)) -> usize {
        let mut released = 0;
        while released < packets_max && self.has_ready() {
            let Some(place) = self.parking.take_first() else { break };
            // The places move out for the call, so that the packet does not borrow all of `self`.
            let bytes = std::mem::take(&mut self.parking.bytes);
            match Packet::parse(&bytes[place]) {
                Ok(packet) => self.deliver(&packet, each),
                Err(_) => debug_assert!(false, "a parked packet was whole when it was parked"),
            }
            self.parking.bytes = bytes;
            released += 1;
        }
        released
    }

    fn tell_end(&mut self, each: &mut impl FnMut(Sequenced<'_>)) {
        if self.end.is_some_and(|end| end.is_believed() && end.after <= self.next) && !self.end_told {
            self.end_told = true;
            each(Sequenced::EndOfSession { next: self.next });
        }
    }

    /// Whether the session is over: its end was told, and nothing revoked it.
    #[inline]
    #[must_use]
    pub const fn is_ended(&self) -> bool {
        self.end_told
    }

    /// The number that a session other than the first begins with, of which `first` is there.
    const fn first_number(&self, first: u64) -> u64 {
        match self.config.start {
            Start::Join => first,
            Start::At(_) => 1,
        }
    }

    fn begin(&mut self, session: Session, next: u64, restarted: bool, each: &mut impl FnMut(Sequenced<'_>)) {
        self.next = next;
        self.session = Some(session);
        self.horizon = next;
        self.hole = None;
        // The least time between two requests holds over sessions: many of them must not make a storm.
        if let Some(asked) = &mut self.asked {
            asked.from = 0;
        }
        self.behind = None;
        self.end = None;
        self.end_told = false;
        self.parking.clear();
        if let Some(taken) = &mut self.taken {
            taken.clear();
        }
        self.counters.sessions += 1;
        each(Sequenced::Session { session, next, restarted });
    }
}
