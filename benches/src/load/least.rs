//! The least of many counts that only grow, asked for far more often than it changes.
//!
//! Looks at each count about twice for every value of the least, not at all of them for every question.

/// What is known of the counts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Least {
    /// Counts before this one are above `least`.
    at: usize,
    /// No count is below.
    least: u64,
}

impl Least {
    /// The least of `count` numbers, 0 of none. None of them may have become smaller since the last question.
    #[inline]
    pub fn of(&mut self, count: usize, number: impl Fn(usize) -> u64) -> u64 {
        while self.at < count && number(self.at) > self.least {
            self.at += 1;
        }
        if self.at == count {
            let least = (0..count).map(|at| (number(at), at)).min();
            (self.least, self.at) = least.unwrap_or((0, 0));
        }
        self.least
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_least_whatever_grows() {
        let mut counts = [0_u64; 7];
        let mut least = Least::default();
        let mut state = 1_u64;
        for _ in 0..10_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            counts[(state >> 33) as usize % 7] += state >> 60;
            assert_eq!(least.of(7, |at| counts[at]), *counts.iter().min().unwrap());
        }
        assert_eq!(Least::default().of(0, |_| 1), 0);
    }
}
