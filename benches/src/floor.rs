//! What this machine's memory allows: the floors under which no book of many orders can be.
//!
//! A figure of one machine says little on another; the distance to its floor does. Knows no book: walks the input as a
//! decoder must and touches one cache line for each message, in a table of a line for each order that is alive. Never
//! measures more than this.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::input::Input;
use crate::measure::{BenchError, BenchOptions, ns_each, timed};
use crate::report::{Better, FLOOR, Row};
use crate::run;

/// Steps of the chain: enough for every line that a cache could keep to be left again.
const STEPS_MAX: usize = 2_000_000;
/// Lines of the smallest table.
const LINES_MIN: usize = 1_024;

/// One cache line.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line {
    next: u32,
    touched: u32,
    rest: [u64; 7],
}

const _: () = assert!(size_of::<Line>() == 64);

/// A line for each order, all of them one chain in random order (Sattolo's algorithm).
struct Table {
    lines: Vec<Line>,
}

impl Table {
    fn new(lines: usize, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut order: Vec<u32> = (0..lines as u32).collect();
        for at in (1..lines).rev() {
            order.swap(at, rng.random_range(0..at));
        }
        let mut table = vec![Line { next: 0, touched: 0, rest: [0; 7] }; lines];
        for (here, next) in order.iter().zip(order.iter().cycle().skip(1)) {
            table[*here as usize].next = *next;
        }
        Self { lines: table }
    }

    /// Walks the messages and changes a line for each, chosen at random: where it lies is known before it is needed.
    fn touch(&mut self, bytes: &[u8]) -> usize {
        let lines = self.lines.len() as u64;
        // A multiplicative congruential generator: a few cycles, no memory (Knuth, The Art of Computer Programming, 3.3.4).
        let mut state = 1u64;
        let mut messages = 0;
        for message in run::messages(bytes) {
            state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
            let at = ((state >> 32) * lines) >> 32;
            self.lines[at as usize].touched += 1;
            messages += usize::from(!message.is_empty());
        }
        messages
    }

    /// Goes along the chain: where a line lies is known only when the one before has come.
    fn follow(&self, steps: usize) -> u32 {
        (0..steps).fold(0, |at, _| self.lines[at as usize].next)
    }

    fn touched(&self) -> usize {
        self.lines.iter().map(|line| line.touched as usize).sum()
    }
}

/// The floors for an input, in its own table of lines: a line for each message, known early; and one line after the other.
///
/// # Errors
/// A line was not touched, or the chain is not one.
pub fn rows(options: &BenchOptions, input: &Input) -> Result<Vec<Row>, BenchError> {
    let lines = input.stream.live_orders.max(LINES_MIN);
    let messages = input.stream.messages;
    let mut table = Table::new(lines, options.seed);
    let mut before = 0;
    let known = options.samples("floor, lines that are known early", || {
        let (walked, spent) = timed(|| table.touch(&input.stream.bytes));
        let touched = table.touched() - before;
        before += touched;
        if (walked, touched) != (messages, messages) {
            return Err(BenchError::Wrong(format!(
                "{walked} messages walked and {touched} lines touched, {messages} each expected"
            )));
        }
        Ok(ns_each(spent, messages))
    })?;
    let laps = (STEPS_MAX / lines).max(1);
    let chained = options.samples("floor, one line after the other", || {
        let (at, spent) = timed(|| table.follow(lines * laps));
        if at != 0 {
            return Err(BenchError::Wrong(format!("the chain of {lines} lines ended at line {at}")));
        }
        Ok(ns_each(spent, lines * laps))
    })?;
    Ok(vec![
        Row::new(format!("{FLOOR}walk, and a random line of {lines}"), "ns/message", Better::Lower, known),
        Row::new(format!("{FLOOR}a line that waits for the one before"), "ns/line", Better::Lower, chained),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chain_goes_through_every_line_once() {
        for lines in [2, 3, 64, 1_000] {
            let table = Table::new(lines, 7);
            let mut at = 0;
            let mut seen = vec![false; lines];
            for _ in 0..lines {
                assert!(!std::mem::replace(&mut seen[at as usize], true), "{lines}");
                at = table.lines[at as usize].next;
            }
            assert_eq!((at, table.follow(lines)), (0, 0));
        }
    }

    #[test]
    fn every_message_touches_one_line_of_many() {
        let input = Input::new(&BenchOptions::small()).unwrap();
        let mut table = Table::new(1_024, 1);
        assert_eq!(table.touch(&input.stream.bytes), input.stream.messages);
        assert_eq!(table.touched(), input.stream.messages);
        assert!(table.lines.iter().filter(|line| line.touched > 0).count() > 1_000);
    }
}
