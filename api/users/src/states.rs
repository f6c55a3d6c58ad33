//! What doors remember of sessions and keys, so that a request costs no question to the database.
//!
//! | what | bound | at the bound |
//! |---|---|---|
//! | entries | [`ENTRIES_MAX`] | old ones are forgotten; when all are new, all of them |
//! | age of an entry | `state_life` (2 s) | it is read again |
//! | age of an entry while the store is away | [`STALE_MS_MAX`] | nobody passes |
//!
//! What this process changes it forgets at once; what another process changes is seen within `state_life`. Never remembers
//! a secret: a key is found by its hash.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use api_kit::auth::Refusal;
use api_kit::principal::Principal;
use ipnet::IpNet;

use crate::key_uses::KeyUses;

/// Sessions and keys that are remembered.
pub(crate) const ENTRIES_MAX: usize = 65_536;

/// Oldest entry that is still believed when the store cannot be asked, milliseconds: what is revoked anywhere is refused
/// everywhere within it.
pub(crate) const STALE_MS_MAX: i64 = 5_000;

/// What is remembered of one session or key.
#[derive(Clone, Debug)]
pub(crate) struct State {
    /// Whose it is; changes of the user forget it.
    pub user_id: Arc<str>,
    /// Who it is, or why nobody.
    pub verdict: Result<Principal, Refusal>,
    /// When the session or key ends, Unix milliseconds; `None` = a key without an end.
    pub expires_ms: Option<i64>,
    /// Addresses that a key may be used from; empty = all.
    pub addresses: Arc<[IpNet]>,
}

/// By what a door finds an entry.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Handle {
    /// A session's id.
    Session(String),
    /// A key's hash.
    Key(Vec<u8>),
}

/// The memory of one process.
pub(crate) struct States {
    life_ms: i64,
    entries: Mutex<Entries>,
    /// When keys were used.
    pub uses: KeyUses,
}

#[derive(Default)]
struct Entries {
    by_handle: HashMap<Handle, (i64, Arc<State>)>,
    /// Grows with every change here: what was read before a change must not be remembered after it.
    version: u64,
}

impl States {
    pub fn new(life: Duration) -> Self {
        Self { life_ms: life.as_millis() as i64, entries: Mutex::default(), uses: KeyUses::default() }
    }

    /// What is remembered at `now_ms`, or the version to hand to [`States::put`] after reading.
    pub fn get(&self, handle: &Handle, now_ms: i64) -> Result<Arc<State>, u64> {
        let entries = self.lock();
        match entries.by_handle.get(handle) {
            Some((read_ms, state)) if now_ms - read_ms < self.life_ms => Ok(Arc::clone(state)),
            _ => Err(entries.version),
        }
    }

    /// What is remembered, when the store cannot be asked: the entry may be older, but not too old.
    pub fn stale(&self, handle: &Handle, now_ms: i64) -> Option<Arc<State>> {
        let entries = self.lock();
        let (read_ms, state) = entries.by_handle.get(handle)?;
        (now_ms - read_ms < STALE_MS_MAX).then(|| Arc::clone(state))
    }

    /// Remembers what was read at `read_ms`, unless something was changed here since `version`.
    pub fn put(&self, handle: Handle, state: Arc<State>, read_ms: i64, version: u64) {
        let mut entries = self.lock();
        if entries.version != version {
            return;
        }
        if entries.by_handle.len() >= ENTRIES_MAX {
            // Random credentials fill the memory: those that are good and in use keep their place.
            entries.by_handle.retain(|_, (at_ms, _)| read_ms - *at_ms < STALE_MS_MAX);
        }
        if entries.by_handle.len() >= ENTRIES_MAX {
            entries.by_handle.clear();
        }
        entries.by_handle.insert(handle, (read_ms, state));
    }

    /// Forgets everything of a user: after a change of sessions, keys, roles, status. To be called after the commit.
    pub fn forget_user(&self, user_id: &str) {
        let mut entries = self.lock();
        entries.version += 1;
        entries.by_handle.retain(|_, (_, state)| &*state.user_id != user_id);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(user_id: &str) -> Arc<State> {
        let verdict = Err(Refusal::Revoked);
        Arc::new(State { user_id: user_id.into(), verdict, expires_ms: None, addresses: Arc::new([]) })
    }

    #[test]
    fn an_entry_lives_for_its_time_and_until_its_user_changes() {
        let states = States::new(Duration::from_secs(2));
        let handle = Handle::Session("s1".into());
        let version = states.get(&handle, 0).unwrap_err();
        states.put(handle.clone(), state("u1"), 0, version);
        assert!(states.get(&handle, 1_999).is_ok());
        assert!(states.get(&handle, 2_000).is_err());
        assert!(states.stale(&handle, 4_999).is_some() && states.stale(&handle, 5_000).is_none());
        states.forget_user("u2");
        assert!(states.get(&handle, 0).is_ok());
        states.forget_user("u1");
        assert!(states.get(&handle, 0).is_err());
    }

    #[test]
    fn the_memory_does_not_grow_and_what_is_in_use_keeps_its_place() {
        let states = States::new(Duration::from_secs(2));
        let put = |handle: Handle, now_ms| {
            if let Err(version) = states.get(&handle, now_ms) {
                states.put(handle, state("u1"), now_ms, version);
            }
        };
        let random = |at: usize| Handle::Key(at.to_be_bytes().to_vec());
        (0..ENTRIES_MAX - 1).for_each(|at| put(random(at), 0));
        put(Handle::Session("good".into()), STALE_MS_MAX);
        put(random(ENTRIES_MAX), STALE_MS_MAX);
        assert!(states.get(&Handle::Session("good".into()), STALE_MS_MAX).is_ok());
        assert_eq!(states.lock().by_handle.len(), 2);
        (0..3 * ENTRIES_MAX).for_each(|at| put(random(at), STALE_MS_MAX));
        assert!(states.lock().by_handle.len() <= ENTRIES_MAX);
    }

    #[test]
    fn what_was_read_before_a_change_is_not_remembered_after_it() {
        let states = States::new(Duration::from_secs(2));
        let handle = Handle::Key(vec![1]);
        let version = states.get(&handle, 0).unwrap_err();
        states.forget_user("u1");
        states.put(handle.clone(), state("u1"), 0, version);
        assert!(states.get(&handle, 0).is_err());
    }
}
