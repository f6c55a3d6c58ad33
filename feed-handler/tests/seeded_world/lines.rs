//! What happens to datagrams between the exchange and the platform: loss, repeats, disorder, delay, damage, silence.
//!
//! Deterministic by the generator that is passed in; knows of a packet no more than its bytes.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::MS;

/// What one line does.
#[derive(Clone, Debug, Default)]
pub struct LineFaults {
    /// In a thousand.
    pub loss: u32,
    pub repeat: u32,
    pub damage: u32,
    /// Most time that a datagram takes longer than the one before it.
    pub disorder_ns: u64,
    pub delay_ns: u64,
}

/// When it arrives, its place among those that arrive together, its line, its bytes.
type Arrival = (u64, u64, u8, Vec<u8>);

/// Datagrams on their way, by the time they arrive.
#[derive(Default)]
pub struct Lines {
    on_the_way: BinaryHeap<Reverse<Arrival>>,
    sent: u64,
}

impl Lines {
    /// Sends a datagram on `line`, which does its worst.
    pub fn send(&mut self, random: &mut ChaCha8Rng, now_ns: u64, line: u8, faults: &LineFaults, datagram: &[u8]) {
        if chance(random, faults.loss) {
            return;
        }
        let copies = if chance(random, faults.repeat) { 2 } else { 1 };
        for _ in 0..copies {
            let disorder_ns = random.random_range(0..=faults.disorder_ns);
            let mut bytes = datagram.to_vec();
            if chance(random, faults.damage) {
                damage(random, &mut bytes);
            }
            self.put(now_ns + faults.delay_ns + disorder_ns, line, bytes);
        }
    }

    /// Has a datagram arrive at `at_ns`, whatever the line does.
    pub fn put(&mut self, at_ns: u64, line: u8, datagram: Vec<u8>) {
        self.sent += 1;
        self.on_the_way.push(Reverse((at_ns, self.sent, line, datagram)));
    }

    /// The next datagram that has arrived by `now_ns`.
    pub fn arrive(&mut self, now_ns: u64) -> Option<(u8, Vec<u8>)> {
        let Reverse((at_ns, ..)) = self.on_the_way.peek()?;
        if *at_ns > now_ns {
            return None;
        }
        self.on_the_way.pop().map(|Reverse((_, _, line, datagram))| (line, datagram))
    }

    /// Datagrams that are there and were not taken.
    pub fn waiting(&self, now_ns: u64) -> usize {
        self.on_the_way.iter().filter(|Reverse((at_ns, ..))| *at_ns <= now_ns).count()
    }

    /// Forgets what a socket's buffer could not keep, or nobody listened to.
    pub fn drop_arrived(&mut self, now_ns: u64) {
        while self.arrive(now_ns).is_some() {}
    }
}

/// So many times in a thousand.
pub fn chance(random: &mut ChaCha8Rng, in_a_thousand: u32) -> bool {
    in_a_thousand > 0 && random.random_range(0..1_000) < in_a_thousand
}

/// Damage that a receiver can see: a cut, or bits of the session's name or of the number's high bytes. What changes a
/// message and leaves its packet whole is kept out by the checksum of UDP.
fn damage(random: &mut ChaCha8Rng, bytes: &mut Vec<u8>) {
    if random.random() {
        bytes.truncate(random.random_range(0..bytes.len()));
    } else {
        let bit = random.random_range(0..16 * 8);
        bytes[bit / 8] ^= 0x80 >> (bit % 8);
    }
}

/// Time between two looks at the world.
pub fn step_ns(random: &mut ChaCha8Rng) -> u64 {
    random.random_range(1..=20) * MS
}
