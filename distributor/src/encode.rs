//! From a book to the bytes of a frame. Appends to a buffer and does nothing else: what is sent, and to whom, is decided
//! elsewhere.

#![cfg_attr(not(test), deny(clippy::disallowed_types, clippy::disallowed_methods, clippy::disallowed_macros))]

pub mod json;
pub mod server_frame;

use book::Nanos;

/// The time and epoch a frame is stamped with.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Our clock now.
    pub now_ns: Nanos,
    /// Epoch in force.
    pub epoch: u64,
}
