//! When API keys were last used: noted in memory by the doors, written to the store in the background.
//!
//! | what | bound | at the bound |
//! |---|---|---|
//! | keys that are noted | [`KEYS_MAX`] | the use is counted as dropped; the key works all the same |
//! | notes of one key | one in [`EVERY_MS`] | the first of them stands |
//! | notes of one write | [`BATCH`] | the rest follow in the next |
//!
//! A crash loses the notes of the last seconds. Never holds up a request.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Keys that are noted at a time.
pub(crate) const KEYS_MAX: usize = 16_384;

/// One note of a key in so long, milliseconds.
pub(crate) const EVERY_MS: i64 = 60_000;

/// Notes of one write.
pub(crate) const BATCH: usize = 200;

/// The notes of one process.
#[derive(Default)]
pub(crate) struct KeyUses {
    notes: Mutex<HashMap<String, Note>>,
}

struct Note {
    used_ms: i64,
    written: bool,
}

impl KeyUses {
    /// Notes a use at `now_ms`; false when there is no room for it.
    pub fn note(&self, key_id: &str, now_ms: i64) -> bool {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        // A note that could not be written yet moves on with its key.
        let new = Note { used_ms: now_ms, written: false };
        if let Some(note) = notes.get_mut(key_id) {
            if now_ms - note.used_ms >= EVERY_MS {
                *note = new;
            }
            return true;
        }
        let has_room = notes.len() < KEYS_MAX;
        if has_room {
            notes.insert(key_id.to_owned(), new);
        }
        has_room
    }

    /// What is to be written, at most [`BATCH`]; forgets what was written and is too old to matter at `now_ms`.
    pub fn waiting(&self, now_ms: i64) -> Vec<(String, i64)> {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        notes.retain(|_, note| !note.written || now_ms - note.used_ms < EVERY_MS);
        let waiting = notes.iter().filter(|(_, note)| !note.written);
        waiting.take(BATCH).map(|(key_id, note)| (key_id.clone(), note.used_ms)).collect()
    }

    /// These are in the store now.
    pub fn written(&self, done: &[(String, i64)]) {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        for (key_id, used_ms) in done {
            if let Some(note) = notes.get_mut(key_id).filter(|note| note.used_ms == *used_ms) {
                note.written = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_written_once_a_minute() {
        let uses = KeyUses::default();
        for now_ms in [0, 1, 59_999] {
            assert!(uses.note("k1", now_ms));
        }
        let waiting = uses.waiting(59_999);
        assert_eq!(waiting, [("k1".to_owned(), 0)]);
        assert_eq!(uses.waiting(59_999), waiting, "until it is written it waits");
        uses.written(&waiting);
        assert!(uses.waiting(59_999).is_empty());
        uses.note("k1", 59_999);
        assert!(uses.waiting(59_999).is_empty());
        uses.note("k1", 60_000);
        assert_eq!(uses.waiting(60_000), [("k1".to_owned(), 60_000)]);
    }

    #[test]
    fn the_notes_do_not_grow_with_the_keys() {
        let uses = KeyUses::default();
        let kept = (0..KEYS_MAX + 10).filter(|key| uses.note(&key.to_string(), 0)).count();
        assert_eq!(kept, KEYS_MAX);
        let mut written = 0;
        loop {
            let waiting = uses.waiting(0);
            assert!(waiting.len() <= BATCH);
            if waiting.is_empty() {
                break;
            }
            uses.written(&waiting);
            written += waiting.len();
        }
        assert_eq!(written, KEYS_MAX);
        assert!(uses.waiting(EVERY_MS).is_empty());
        assert!(uses.note("another", EVERY_MS), "old notes have made room");
    }
}
