//! Whom to write to, oldest news first, and which publications are out to everybody they are for.
//!
//! A round over a thousand sockets takes milliseconds. It is worked off in parts, and what the ring brings meanwhile joins
//! it: who is still to come gets everything in one write, who was served goes to the end. So a message waits for half a
//! round, not for the rest of one and half of the next. Knows no sockets; takes memory only while it has never been so
//! long.

use std::collections::VecDeque;

use book::Nanos;

use crate::ids::ClientId;

/// Parts of a long round. More would find news a little sooner (a sixteenth of a round late now), but a busy book would
/// be encoded, sent and parsed more often in each round.
const PARTS: usize = 16;

/// Fewest clients of a part: what surrounds a part costs about a tenth of one write. With ten clients and 50,000 messages a
/// second the median latency was 42 µs with 4, 58 with 8 and 63 with 16 (`bist bench fanout`).
const PART_MIN: usize = 4;

/// Publications whose time is taken at once; beyond it they are not measured.
const STAMPS_MAX: usize = 1_024;

/// The clients with something to write, and the publications among it.
#[derive(Debug)]
pub struct WriteSchedule {
    /// In the order of having got something, each once.
    clients: VecDeque<ClientId>,
    /// Clients taken from the front so far.
    taken: u64,
    /// `received_ns` of a publication, and the value of `taken` at which it is out to everybody.
    stamps: VecDeque<(u64, Nanos)>,
}

impl WriteSchedule {
    /// With room for so many clients.
    #[must_use]
    pub fn new(clients: usize) -> Self {
        Self { clients: VecDeque::with_capacity(clients), taken: 0, stamps: VecDeque::with_capacity(STAMPS_MAX) }
    }

    /// Adds a client that is not in it.
    #[inline]
    pub fn push(&mut self, client: ClientId) {
        self.clients.push_back(client);
    }

    /// Takes the client that has waited longest.
    #[inline]
    pub fn next(&mut self) -> Option<ClientId> {
        let client = self.clients.pop_front()?;
        self.taken += 1;
        Some(client)
    }

    /// Nobody has anything to be written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    /// Clients that have something to be written.
    #[must_use]
    pub fn len(&self) -> usize {
        self.clients.len()
    }

    /// Clients to write to before the ring is looked at again.
    #[must_use]
    pub fn part(&self) -> usize {
        (self.clients.len() / PARTS).max(PART_MIN)
    }

    /// A publication received at `received_ns` was given to all its clients, who are in the round.
    #[inline]
    pub fn stamp(&mut self, received_ns: Nanos) {
        if self.stamps.len() < STAMPS_MAX {
            self.stamps.push_back((self.taken + self.clients.len() as u64, received_ns));
        }
    }

    /// Takes the oldest publication that is out to everybody.
    pub fn next_out(&mut self) -> Option<Nanos> {
        let taken = self.taken;
        self.stamps.pop_front_if(|(out_at, _)| *out_at <= taken).map(|(_, received_ns)| received_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publication_is_out_when_the_last_of_its_clients_was_served() {
        let mut schedule = WriteSchedule::new(4);
        schedule.push(ClientId(7));
        schedule.push(ClientId(8));
        schedule.stamp(100);
        assert_eq!((schedule.next(), schedule.next_out()), (Some(ClientId(7)), None));
        schedule.push(ClientId(7)); // the next publication is for 8, still to come, and for 7 again
        schedule.stamp(200);
        assert_eq!((schedule.next(), schedule.next_out(), schedule.next_out()), (Some(ClientId(8)), Some(100), None));
        assert_eq!((schedule.next(), schedule.next_out(), schedule.next_out()), (Some(ClientId(7)), Some(200), None));
        assert!(schedule.is_empty() && schedule.next().is_none());
    }

    #[test]
    fn a_long_schedule_has_parts_and_a_short_one_few() {
        let parts = |clients: u32| {
            let mut schedule = WriteSchedule::new(0);
            (0..clients).for_each(|client| schedule.push(ClientId(client)));
            let mut parts = 0;
            while !schedule.is_empty() {
                for _ in 0..schedule.part() {
                    schedule.next();
                }
                parts += 1;
            }
            parts
        };
        assert_eq!((parts(1), parts(4), parts(10)), (1, 1, 3));
        assert!((20..=25).contains(&parts(100)), "{}", parts(100));
        assert!((40..=70).contains(&parts(1_000)), "{}", parts(1_000));
    }

    #[test]
    fn more_publications_than_can_be_measured_are_left_out() {
        let mut schedule = WriteSchedule::new(1);
        schedule.push(ClientId(1));
        (0..5_000).for_each(|received_ns| schedule.stamp(received_ns));
        schedule.next();
        assert_eq!(std::iter::from_fn(|| schedule.next_out()).count(), STAMPS_MAX);
    }
}
