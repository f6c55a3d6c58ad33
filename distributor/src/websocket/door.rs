//! What is known of the doors: which questions wait for a verdict, who was admitted, and how many connections each key or
//! user has.
//!
//! Tables without rules: who is asked about, answered and closed is decided in `admit`. Never holds a credential.

use std::collections::HashMap;
use std::sync::Arc;

use book::Nanos;

use crate::admission::{Admission, VerdictReceiver};
use crate::websocket::requests::Context;

/// An upgrade that is to be answered.
#[derive(Debug)]
pub struct Upgrade {
    /// Value of `Sec-WebSocket-Accept`.
    pub accept: String,
    /// Name the subprotocol in the answer.
    pub subprotocol: bool,
}

/// What waits for a verdict.
#[derive(Debug)]
pub enum Purpose {
    /// The answer to the upgrade.
    Handshake(Upgrade),
    /// The reply to `auth`, with the wall clock at the request.
    Request(Context, Nanos),
}

/// A question that has no verdict yet.
#[derive(Debug)]
pub struct Pending {
    /// Its number; never given out again.
    pub generation: u64,
    /// When it was asked, monotonic clock.
    pub since_ns: Nanos,
    /// Why.
    pub purpose: Purpose,
    /// Held as long as the verdict is awaited.
    pub held: Arc<()>,
}

/// A credential that was found good.
#[derive(Debug)]
pub struct Admitted {
    /// Number of the question.
    pub generation: u64,
    /// Key or user.
    pub label: Arc<str>,
    /// When the credential ends: the wall clock's milliseconds as they were told.
    pub expires_ms: Option<i64>,
    /// The same on the monotonic clock; [`Nanos::MAX`] = never.
    pub expires_ns: Nanos,
    /// Since when it cannot be checked, monotonic clock.
    pub unavailable_ns: Option<Nanos>,
    /// The client was told that the end is near.
    pub warned: bool,
    /// Held as long as the connection stands by this credential; nobody reads it, its end is what counts.
    pub _held: Arc<()>,
}

/// One connection's part.
#[derive(Debug, Default)]
pub struct Door {
    /// At most one question at a time.
    pub pending: Option<Pending>,
    /// Who it is, if that is known.
    pub admitted: Option<Admitted>,
    /// It tried: an `auth`, or a request that needs one.
    pub tried: bool,
}

/// Whom to ask, and where verdicts come.
pub struct Guard {
    /// Whom to ask.
    pub admission: Arc<dyn Admission>,
    /// Where verdicts come.
    pub verdicts: VerdictReceiver,
}

/// All connections' part.
#[derive(Default)]
pub struct Doors {
    /// `None`: credentials cannot be checked.
    pub guard: Option<Guard>,
    /// Number of the last question.
    generation: u64,
    /// Questions without a verdict.
    pub waiting: usize,
    by_label: HashMap<Arc<str>, usize>,
}

impl Doors {
    /// The next question's number.
    pub fn next_generation(&mut self) -> u64 {
        self.generation += 1;
        self.generation
    }

    /// Whether a verdict has come.
    pub fn has_verdicts(&self) -> bool {
        self.guard.as_ref().is_some_and(|guard| !guard.verdicts.is_empty())
    }

    /// Connections of a key or user.
    pub fn connections_of(&self, label: &str) -> usize {
        self.by_label.get(label).copied().unwrap_or(0)
    }

    /// One connection more.
    pub fn enter(&mut self, label: &Arc<str>) {
        *self.by_label.entry(Arc::clone(label)).or_default() += 1;
    }

    /// One connection less.
    pub fn leave(&mut self, label: &Arc<str>) {
        if let Some(count) = self.by_label.get_mut(label) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.by_label.remove(label);
            }
        }
    }

    /// A connection is over: its question needs no verdict, and its place is free.
    pub fn forget(&mut self, door: Door) {
        self.waiting = self.waiting.saturating_sub(usize::from(door.pending.is_some()));
        if let Some(admitted) = door.admitted {
            self.leave(&admitted.label);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_counted_by_label_and_a_label_without_any_is_forgotten() {
        let mut doors = Doors::default();
        let label: Arc<str> = "key 1".into();
        doors.enter(&label);
        doors.enter(&label);
        assert_eq!((doors.connections_of("key 1"), doors.connections_of("key 2")), (2, 0));
        for left in [1, 0, 0] {
            doors.leave(&label);
            assert_eq!(doors.connections_of("key 1"), left);
        }
        assert!(doors.by_label.is_empty());
    }
}
