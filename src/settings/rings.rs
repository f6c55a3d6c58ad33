//! `[rings]`: rings between the threads. Allocates none.

use serde::{Deserialize, Serialize};

/// `[rings]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rings {
    /// Slots (64 bytes) between the feed and the book thread.
    pub event_slots: usize,
    /// Slots (64 bytes) between the book thread and each reader.
    pub update_slots: usize,
}

impl Default for Rings {
    fn default() -> Self {
        Self { event_slots: 1 << 16, update_slots: 1 << 16 }
    }
}
