//! Bytes to fields and back: packets of the transport, and the layouts of messages. No socket, no clock, no slot.

pub mod layout;
pub mod moldudp64;
