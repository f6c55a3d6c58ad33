//! What a gateway remembers of credentials that the users service was asked about. Pure: time is passed in.
//!
//! | what | bound | at the bound |
//! |---|---|---|
//! | good credentials | [`GOOD_MAX`] | all are forgotten and asked again |
//! | bad credentials, apart so that guesses drive out no good one | [`BAD_MAX`] | the same |
//! | age of an answer | [`LIFE`] | it is asked again |
//! | age of an answer while the service is away | [`STALE_MAX`] | nobody passes |
//!
//! Never remembers a credential: a hash finds the answer.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use api_kit::auth::{Identity, Refusal};
use aws_lc_rs::digest::{Context, SHA256};

/// Good answers that are remembered.
const GOOD_MAX: usize = 65_536;
/// Bad answers that are remembered.
const BAD_MAX: usize = 16_384;
/// How long an answer is believed without asking again.
const LIFE: Duration = Duration::from_secs(2);
/// How long it is believed when asking does not help: what is revoked anywhere is refused everywhere within it.
const STALE_MAX: Duration = Duration::from_secs(5);

/// What the service said.
pub(super) type Answer = Result<Identity, Refusal>;

/// By what an answer is found: SHA-256 of the caller's address, which a key's own list may speak of, and the credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Handle([u8; 32]);

impl Handle {
    pub fn of(credential: &str, from: IpAddr) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(from.to_canonical().to_string().as_bytes());
        context.update(b" ");
        context.update(credential.as_bytes());
        let mut hash = [0; 32];
        hash.copy_from_slice(context.finish().as_ref());
        Self(hash)
    }
}

/// When something is looked up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    pub monotonic: Instant,
    /// Unix milliseconds, which the end of a credential is told in.
    pub wall_ms: i64,
}

/// The answers.
#[derive(Debug, Default)]
pub(super) struct KnownCredentials(Mutex<Maps>);

#[derive(Debug, Default)]
struct Maps {
    good: HashMap<Handle, Entry>,
    bad: HashMap<Handle, Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    asked_at: Instant,
    answer: Answer,
}

impl Entry {
    fn stands(&self, life: Duration, now: Now) -> bool {
        let has_ended = |identity: &Identity| identity.expires_ms.is_some_and(|end| end <= now.wall_ms);
        now.monotonic.saturating_duration_since(self.asked_at) < life && !self.answer.as_ref().is_ok_and(has_ended)
    }
}

impl KnownCredentials {
    /// The answer, when it needs no asking.
    pub fn fresh(&self, handle: &Handle, now: Now) -> Option<Answer> {
        self.within(handle, LIFE, now)
    }

    /// The answer, when asking did not help.
    pub fn stale(&self, handle: &Handle, now: Now) -> Option<Answer> {
        self.within(handle, STALE_MAX, now)
    }

    fn within(&self, handle: &Handle, life: Duration, now: Now) -> Option<Answer> {
        let maps = self.lock();
        let entry = maps.good.get(handle).or_else(|| maps.bad.get(handle))?;
        entry.stands(life, now).then(|| entry.answer.clone())
    }

    /// Remembers the answer to a question that was asked at `asked_at`; a later question has the last word.
    pub fn put(&self, handle: Handle, answer: &Answer, asked_at: Instant) {
        let mut maps = self.lock();
        let is_later = |entry: &Entry| entry.asked_at > asked_at;
        if maps.good.get(&handle).is_some_and(is_later) || maps.bad.get(&handle).is_some_and(is_later) {
            return;
        }
        maps.good.remove(&handle);
        maps.bad.remove(&handle);
        let (map, max) = if answer.is_ok() { (&mut maps.good, GOOD_MAX) } else { (&mut maps.bad, BAD_MAX) };
        if map.len() >= max {
            map.clear();
        }
        map.insert(handle, Entry { asked_at, answer: answer.clone() });
    }

    fn lock(&self) -> MutexGuard<'_, Maps> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api_kit::principal::Principal;

    fn home() -> IpAddr {
        IpAddr::from([192, 0, 2, 1])
    }

    fn somebody(expires_ms: Option<i64>) -> Answer {
        let (user_id, session_id) = ("u".into(), "s".into());
        Ok(Identity { principal: Principal::User { user_id, session_id, roles: Default::default() }, expires_ms })
    }

    fn at(start: Instant, ms: u64) -> Now {
        Now { monotonic: start + Duration::from_millis(ms), wall_ms: ms as i64 }
    }

    #[test]
    fn an_answer_is_believed_for_two_seconds_and_for_five_when_nobody_can_be_asked() {
        let (known, start, handle) = (KnownCredentials::default(), Instant::now(), Handle::of("t", home()));
        for answer in [somebody(None), Err(Refusal::Unknown)] {
            known.put(handle, &answer, start);
            assert_eq!(known.fresh(&handle, at(start, 1_999)), Some(answer.clone()));
            assert_eq!(known.fresh(&handle, at(start, 2_000)), None);
            assert_eq!(known.stale(&handle, at(start, 4_999)), Some(answer));
            assert_eq!(known.stale(&handle, at(start, 5_000)), None);
        }
    }

    #[test]
    fn a_credential_that_has_ended_is_not_believed() {
        let (known, start, handle) = (KnownCredentials::default(), Instant::now(), Handle::of("t", home()));
        known.put(handle, &somebody(Some(1_000)), start);
        assert!(known.fresh(&handle, at(start, 999)).is_some());
        assert_eq!((known.fresh(&handle, at(start, 1_000)), known.stale(&handle, at(start, 1_000))), (None, None));
    }

    #[test]
    fn the_later_question_has_the_last_word() {
        let (known, start, handle) = (KnownCredentials::default(), Instant::now(), Handle::of("t", home()));
        let later = at(start, 10);
        known.put(handle, &Err(Refusal::Unknown), later.monotonic);
        known.put(handle, &somebody(None), start);
        assert_eq!(known.fresh(&handle, later), Some(Err(Refusal::Unknown)));
    }

    #[test]
    fn another_address_is_another_question() {
        let other = IpAddr::from([192, 0, 2, 2]);
        assert_ne!(Handle::of("t", home()), Handle::of("t", other));
        assert_eq!(Handle::of("t", home()), Handle::of("t", "::ffff:192.0.2.1".parse().unwrap()));
    }

    #[test]
    fn guesses_drive_out_no_good_answer_and_fill_no_memory() {
        let (known, start, good) = (KnownCredentials::default(), Instant::now(), Handle::of("good", home()));
        known.put(good, &somebody(None), start);
        for guess in 0..BAD_MAX + 10 {
            known.put(Handle::of(&guess.to_string(), home()), &Err(Refusal::Unknown), start);
        }
        assert!(known.fresh(&good, at(start, 0)).is_some());
        assert_eq!(known.lock().bad.len(), 10);
    }
}
