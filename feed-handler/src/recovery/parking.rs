//! Packets that came before their turn, kept by number until it comes.
//!
//! Never grows: the places are taken at construction, and a packet that finds none is refused or takes the place of
//! the one farthest ahead.

use std::collections::VecDeque;

use book::Nanos;

use crate::wire::moldudp64::Packet;

/// What became of a packet that was to be parked.
pub(super) enum Parked {
    /// It is kept.
    Kept,
    /// The packet farthest ahead had to go.
    KeptInsteadOfAnother,
    /// All of it is there already.
    Repeat,
    /// Too long, or farther ahead than all others with no place left.
    Dropped,
}

/// A parked packet: the numbers it covers and the place of its bytes.
#[derive(Clone, Copy, Debug)]
struct ParkedPacket {
    first: u64,
    after: u64,
    arrived_ns: Nanos,
    place: usize,
    length: usize,
}

/// Places of equal size, and which packet stands in which, by first number. Nothing grows.
#[derive(Debug)]
pub(super) struct Parking {
    pub bytes: Box<[u8]>,
    place_bytes: usize,
    entries: VecDeque<ParkedPacket>,
    free: Vec<usize>,
}

impl Parking {
    /// `places` places of `place_bytes` bytes each, taken here.
    pub fn new(places: usize, place_bytes: usize) -> Self {
        Self {
            bytes: vec![0; places * place_bytes].into_boxed_slice(),
            place_bytes,
            entries: VecDeque::with_capacity(places),
            free: (0..places).rev().collect(),
        }
    }

    /// First number of the first packet.
    #[inline]
    pub fn first(&self) -> Option<u64> {
        self.entries.front().map(|entry| entry.first)
    }

    /// First number of the last packet.
    pub fn last(&self) -> Option<u64> {
        self.entries.back().map(|entry| entry.first)
    }

    /// When the first packet came.
    #[inline]
    pub fn first_arrived_ns(&self) -> Option<Nanos> {
        self.entries.front().map(|entry| entry.arrived_ns)
    }

    /// Whether nothing is kept.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether no place is free.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.free.is_empty()
    }

    /// Packets kept.
    #[inline]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether a packet of the same numbers is kept and says something else.
    pub fn contradicts(&self, packet: &Packet<'_>, datagram: &[u8]) -> bool {
        self.entries.iter().any(|entry| {
            let start = entry.place * self.place_bytes;
            (entry.first, entry.after) == (packet.sequence, packet.next_sequence())
                && self.bytes[start..start + entry.length] != *datagram
        })
    }

    /// Keeps a copy of `datagram`, which holds `packet`.
    pub fn insert(&mut self, arrived_ns: Nanos, packet: &Packet<'_>, datagram: &[u8]) -> Parked {
        if datagram.len() > self.place_bytes {
            return Parked::Dropped;
        }
        let (first, after) = (packet.sequence, packet.next_sequence());
        // Behind its equals, so that the one before it is the one that may cover it.
        let mut at = self.entries.partition_point(|entry| entry.first <= first);
        if at > 0 && self.entries[at - 1].after >= after {
            return Parked::Repeat;
        }
        let mut parked = Parked::Kept;
        if self.free.is_empty() {
            if at == self.entries.len() {
                return Parked::Dropped;
            }
            if let Some(farthest) = self.entries.pop_back() {
                self.free.push(farthest.place);
            }
            at = at.min(self.entries.len());
            parked = Parked::KeptInsteadOfAnother;
        }
        let Some(place) = self.free.pop() else { return Parked::Dropped };
        let start = place * self.place_bytes;
        self.bytes[start..start + datagram.len()].copy_from_slice(datagram);
        self.entries.insert(at, ParkedPacket { first, after, arrived_ns, place, length: datagram.len() });
        parked
    }

    /// Frees the first place and says where its bytes are; they stay until the next insert.
    pub fn take_first(&mut self) -> Option<std::ops::Range<usize>> {
        let entry = self.entries.pop_front()?;
        self.free.push(entry.place);
        let start = entry.place * self.place_bytes;
        Some(start..start + entry.length)
    }

    /// Frees all places.
    pub fn clear(&mut self) {
        while self.take_first().is_some() {}
    }
}
