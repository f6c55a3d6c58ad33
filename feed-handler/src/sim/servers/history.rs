//! The last messages of a session, for those who lost some. Bounded twice; the oldest go first.

use std::collections::VecDeque;

/// Bytes kept: 64 MiB. With 47 bytes a message (an add and its share of the rest) that is 1.4 million.
pub(super) const HISTORY_BYTES: usize = 64 << 20;
/// Messages kept, whatever their size: 8 bytes each are 16 MiB.
pub(super) const HISTORY_MESSAGES: usize = 2 << 20;

#[derive(Clone, Copy, Debug)]
struct Entry {
    offset: u32,
    length: u16,
    /// Unused bytes before the wrap that this message made.
    skipped: u16,
}

/// A ring of messages with consecutive numbers.
#[derive(Debug)]
pub(super) struct History {
    bytes: Box<[u8]>,
    entries: VecDeque<Entry>,
    /// Number of the first entry.
    first: u64,
    head: usize,
    used: usize,
    messages_max: usize,
}

impl History {
    pub fn new(bytes: usize, messages_max: usize) -> Self {
        Self {
            bytes: vec![0; bytes].into_boxed_slice(),
            entries: VecDeque::with_capacity(messages_max),
            first: 1,
            head: 0,
            used: 0,
            messages_max,
        }
    }

    /// Forgets everything; the next message is number 1.
    pub fn clear(&mut self) {
        self.entries.clear();
        (self.first, self.head, self.used) = (1, 0, 0);
    }

    /// Keeps one message; forgets the oldest as far as it needs their room.
    pub fn push(&mut self, message: &[u8]) {
        let Ok(length) = u16::try_from(message.len()) else { return };
        let wraps = self.head + message.len() > self.bytes.len();
        let skipped = if wraps { self.bytes.len() - self.head } else { 0 };
        let needed = skipped + message.len();
        while self.entries.len() >= self.messages_max || self.used + needed > self.bytes.len() {
            let Some(oldest) = self.entries.pop_front() else { return };
            self.first += 1;
            self.used -= usize::from(oldest.length) + usize::from(oldest.skipped);
        }
        let offset = if wraps { 0 } else { self.head };
        self.bytes[offset..offset + message.len()].copy_from_slice(message);
        self.head = offset + message.len();
        self.used += needed;
        // OK because the ring has less than 4 GiB and a wrap skips less than one message.
        self.entries.push_back(Entry { offset: offset as u32, length, skipped: skipped as u16 });
    }

    /// The message with this number, if it is still there.
    pub fn get(&self, number: u64) -> Option<&[u8]> {
        let at = usize::try_from(number.checked_sub(self.first)?).ok()?;
        let entry = self.entries.get(at)?;
        let offset = entry.offset as usize;
        self.bytes.get(offset..offset + usize::from(entry.length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_messages_make_room_and_numbers_stay() {
        let mut history = History::new(100, 8);
        for number in 1..=200u64 {
            let length = 1 + (number * 7 % 30) as usize;
            history.push(&vec![number as u8; length]);
            let kept: Vec<u64> = (1..=number).filter(|&number| history.get(number).is_some()).collect();
            assert_eq!(kept.last(), Some(&number));
            assert_eq!(kept.len() as u64, number - kept[0] + 1, "no holes");
            assert!(kept.len() <= 8);
            for number in kept {
                let expected = vec![number as u8; 1 + (number * 7 % 30) as usize];
                assert_eq!(history.get(number), Some(&expected[..]));
            }
            assert_eq!(history.get(number + 1), None);
        }
        history.clear();
        assert_eq!(history.get(200), None);
        history.push(b"first");
        assert_eq!(history.get(1), Some(&b"first"[..]));
    }
}
