//! What may be another session, or a leap of numbers, until enough packets bear it out.
//!
//! Decides nothing about the session in force and delivers nothing: keeps a few packets of each candidate, and says how
//! well they go together. Never grows; a new candidate takes the place of the one that was silent longest.

use book::Nanos;

use super::parking::{Parked, Parking};
use crate::wire::layout::moldudp64::Session;
use crate::wire::moldudp64::{Packet, PacketKind};

/// Packets that go together before what they say is believed.
pub(super) const PACKETS_TO_BELIEVE: u8 = 3;
/// Candidates weighed at one time: a stray session does not keep a true one from being believed.
const CANDIDATES: usize = 4;
/// Packets kept of each candidate, those with the lowest numbers.
pub(crate) const PACKETS_KEPT: usize = 8;

/// Most numbers between two packets that go on from one to the other: what is lost or overtaken between them.
pub(super) const LEAP_TRUSTED: u64 = 1_024;

/// Packets whose numbers go on from one to the next.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Run {
    first: u64,
    next: u64,
    packets: u8,
    /// At least one of them was no repeat of those before it.
    went_on: bool,
    since_ns: Nanos,
}

impl Run {
    /// Takes the next packet. One that neither goes on nor repeats begins a new run.
    pub fn add(&mut self, now_ns: Nanos, packet: &Packet<'_>) {
        let after = packet.next_sequence();
        let is_near = packet.sequence <= self.next.saturating_add(LEAP_TRUSTED)
            && after >= self.first.saturating_sub(LEAP_TRUSTED);
        if self.packets == 0 || !is_near {
            *self = Self { first: packet.sequence, next: after, packets: 1, went_on: false, since_ns: now_ns };
            return;
        }
        self.went_on |= after > self.next || packet.sequence < self.first;
        self.first = self.first.min(packet.sequence);
        self.next = self.next.max(after);
        self.packets = self.packets.saturating_add(1);
    }

    /// First number of the run.
    pub const fn first(&self) -> u64 {
        self.first
    }

    /// The number after its last one.
    pub const fn next(&self) -> u64 {
        self.next
    }

    /// Enough packets, be they repeats.
    pub const fn is_long(&self) -> bool {
        self.packets >= PACKETS_TO_BELIEVE
    }

    /// Enough packets, and not all of them repeats: what repeats itself may be a memory of something old.
    pub const fn is_believed(&self) -> bool {
        self.is_long() && self.went_on
    }
}

/// One session that may be the true one, or the session in force far ahead.
#[derive(Debug)]
struct Candidate {
    session: Option<Session>,
    run: Run,
    last_ns: Nanos,
    /// Number that the session in force awaited when the run began.
    awaited: u64,
    kept: Parking,
    /// The latest packet is not among those kept.
    in_hand: bool,
    /// First number of a packet that came twice and said two things.
    contradicted: Option<u64>,
}

impl Candidate {
    /// What came so far says nothing any more.
    fn begin_anew(&mut self) {
        self.run = Run::default();
        self.contradicted = None;
        self.kept.clear();
    }
}

/// All that is weighed.
#[derive(Debug)]
pub(super) struct Candidates([Candidate; CANDIDATES]);

impl Candidates {
    /// Takes the places of all packets that can be kept, of `datagram_bytes_max` bytes each.
    pub fn new(datagram_bytes_max: usize) -> Self {
        Self(std::array::from_fn(|_| Candidate {
            session: None,
            run: Run::default(),
            last_ns: 0,
            awaited: 0,
            kept: Parking::new(PACKETS_KEPT, datagram_bytes_max),
            in_hand: false,
            contradicted: None,
        }))
    }

    /// Takes a packet of another session; a run that is older than `within_ns` begins again. Returns the candidate.
    pub fn note(&mut self, now_ns: Nanos, packet: &Packet<'_>, datagram: &[u8], within_ns: Nanos) -> usize {
        let at = self.find(packet);
        if now_ns.saturating_sub(self.0[at].run.since_ns) > within_ns {
            self.0[at].begin_anew();
        }
        self.keep(at, now_ns, packet, datagram);
        at
    }

    /// Takes a packet of the session in force, which awaits the number `awaited`, and is far behind the packet. A run
    /// in which the session went on without it begins again. Returns the candidate.
    pub fn note_jump(&mut self, now_ns: Nanos, packet: &Packet<'_>, datagram: &[u8], awaited: u64) -> usize {
        let at = self.find(packet);
        let candidate = &mut self.0[at];
        if candidate.awaited != awaited {
            candidate.begin_anew();
            candidate.awaited = awaited;
        }
        self.keep(at, now_ns, packet, datagram);
        at
    }

    /// How well the packets of candidate `at` go together.
    pub fn run(&self, at: usize) -> Run {
        self.0[at].run
    }

    /// The packets of candidate `at`.
    pub fn kept(&mut self, at: usize) -> &mut Parking {
        &mut self.0[at].kept
    }

    /// First number of which two packets of candidate `at` say different things.
    pub fn contradicted(&self, at: usize) -> Option<u64> {
        self.0[at].contradicted
    }

    /// Whether the latest packet of candidate `at` is not among those kept.
    pub fn is_in_hand(&self, at: usize) -> bool {
        self.0[at].in_hand
    }

    /// First number of candidate `at`, those before its run among them.
    pub fn first(&self, at: usize) -> u64 {
        let run = self.0[at].run.first;
        self.0[at].kept.first().map_or(run, |kept| kept.min(run))
    }

    /// The candidate with packets that nothing contradicts at the end of all packets: far-ahead numbers of the session
    /// in force, which still awaits `awaited`, or a session that began after `heard_ns`, when the one in force was last
    /// heard.
    pub fn unrefuted(&self, session: Session, awaited: u64, heard_ns: Option<Nanos>) -> Option<usize> {
        self.0.iter().position(|candidate| {
            let Some(arrived_ns) = candidate.kept.first_arrived_ns() else { return false };
            if candidate.session == Some(session) {
                candidate.awaited == awaited
            } else {
                candidate.session.is_some() && heard_ns.is_none_or(|heard_ns| arrived_ns > heard_ns)
            }
        })
    }

    /// The session of candidate `at`.
    pub fn session(&self, at: usize) -> Option<Session> {
        self.0[at].session
    }

    /// Forgets all candidates.
    pub fn clear(&mut self) {
        for candidate in &mut self.0 {
            candidate.session = None;
            candidate.last_ns = 0;
            candidate.begin_anew();
        }
    }

    /// The candidate of the packet's session, or the place of the one that was silent longest.
    fn find(&mut self, packet: &Packet<'_>) -> usize {
        if let Some(at) = self.0.iter().position(|candidate| candidate.session == Some(packet.session)) {
            return at;
        }
        let at = (0..CANDIDATES).min_by_key(|&at| self.0[at].last_ns).unwrap_or(0);
        let candidate = &mut self.0[at];
        candidate.session = Some(packet.session);
        candidate.begin_anew();
        candidate.awaited = 0;
        at
    }

    fn keep(&mut self, at: usize, now_ns: Nanos, packet: &Packet<'_>, datagram: &[u8]) {
        let candidate = &mut self.0[at];
        candidate.last_ns = now_ns;
        candidate.run.add(now_ns, packet);
        if candidate.kept.contradicts(packet, datagram) {
            candidate.contradicted = candidate.contradicted.or(Some(packet.sequence));
        }
        // A packet that finds no place is missing when the candidate is believed, and is asked for like any other.
        candidate.in_hand = packet.kind != PacketKind::Messages
            || matches!(candidate.kept.insert(now_ns, packet, datagram), Parked::Dropped);
    }
}
