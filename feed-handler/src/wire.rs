//! Bytes to fields and back: packets of the transport, and the layouts of messages. No socket, no clock, no slot.

#![cfg_attr(not(test), deny(clippy::disallowed_types, clippy::disallowed_methods, clippy::disallowed_macros))]

pub mod layout;
pub mod moldudp64;
