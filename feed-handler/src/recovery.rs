//! Order out of what the lines bring: no socket and no clock, bytes and time are passed in.

#![cfg_attr(not(test), deny(clippy::disallowed_types, clippy::disallowed_methods, clippy::disallowed_macros))]

mod evidence;
mod parking;
pub mod sequencer;
mod taken;

pub(crate) use evidence::PACKETS_KEPT;
