//! Records about the whole feed that found no room in a reader's ring, in the order in which they are to be told.
//!
//! Never grows: of each kind the newest is kept, and whether the feed is alive is one kind.

use crate::slot::{Slot, system};

/// Kinds of records that can wait: every code but the clock's, with stale and alive as one.
const KINDS: usize = 8;

/// What waits, the oldest first.
#[derive(Default)]
pub(super) struct Pending {
    records: [Option<(u8, Slot)>; KINDS],
    count: usize,
}

impl Pending {
    /// Whether nothing waits.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Forgets all of them.
    pub fn clear(&mut self) {
        self.count = 0;
    }

    /// Adds a record of this code behind all others, in place of an older one of its kind.
    #[cold]
    pub fn add(&mut self, record: Slot, code: u8) {
        let kind = if code == system::ALIVE { system::STALE } else { code };
        let have = self.waiting().position(|(one, _)| one == kind);
        // More kinds than there are places cannot wait; were there one, the oldest would give way.
        if let Some(at) = have.or((self.count == KINDS).then_some(0)) {
            self.remove(at);
        }
        self.records[self.count] = Some((kind, record));
        self.count += 1;
    }

    /// The oldest.
    pub fn first(&self) -> Option<Slot> {
        self.waiting().next().map(|(_, record)| record)
    }

    /// Takes the oldest out.
    pub fn remove_first(&mut self) {
        if !self.is_empty() {
            self.remove(0);
        }
    }

    fn waiting(&self) -> impl Iterator<Item = (u8, Slot)> + '_ {
        self.records[..self.count].iter().copied().flatten()
    }

    fn remove(&mut self, at: usize) {
        self.records.copy_within(at + 1..self.count, at);
        self.count -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slot::{System, View};

    fn add(pending: &mut Pending, code: u8, from: u64) {
        pending.add(System::new(code, 0, 0, from, from, 7).into(), code);
    }

    fn told(pending: &mut Pending) -> Vec<(u8, u64)> {
        let mut told = Vec::new();
        while let Some(record) = pending.first() {
            let View::System(system) = record.view() else { panic!("not a system record") };
            told.push((system.code, system.from));
            pending.remove_first();
        }
        told
    }

    #[test]
    fn of_each_kind_the_newest_is_told_in_the_order_of_what_happened() {
        let mut pending = Pending::default();
        let codes = [system::SESSION, system::GAP, system::STALE, system::REFUSED, system::ALIVE, system::GAP];
        codes.into_iter().zip(1..).for_each(|(code, from)| add(&mut pending, code, from));
        let expected = [(system::SESSION, 1), (system::REFUSED, 4), (system::ALIVE, 5), (system::GAP, 6)];
        assert_eq!(told(&mut pending), expected);
        assert!(pending.is_empty() && pending.first().is_none());
    }

    #[test]
    fn every_code_but_the_clocks_finds_a_place() {
        let mut pending = Pending::default();
        let codes = (system::SESSION..=system::LINE_MISMATCH).filter(|&code| code != system::TIME);
        codes.clone().for_each(|code| add(&mut pending, code, code.into()));
        let expected: Vec<_> =
            codes.filter(|&code| code != system::STALE).map(|code| (code, u64::from(code))).collect();
        assert_eq!(told(&mut pending), expected);
        add(&mut pending, system::GAP, 1);
        pending.clear();
        assert!(pending.is_empty());
    }
}
