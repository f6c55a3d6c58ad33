//! MoldUDP64, version 1.00 (7 July 2009): numbered messages in UDP datagrams. Layouts only.
//!
//! A downstream packet is a [`Header`] and `count` blocks of a length (2 bytes, without itself) and that many bytes.

use std::mem::{align_of, offset_of, size_of};

use zerocopy::big_endian::{U16, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Name of a session: ten bytes of text, or whatever the exchange puts there (zeros in recordings of 2014).
pub type Session = [u8; 10];

/// `count` of a packet that says only that its sender is alive.
pub const COUNT_HEARTBEAT: u16 = 0;
/// `count` of a packet that ends the session.
pub const COUNT_END_OF_SESSION: u16 = 0xFFFF;
/// Most messages of one packet: 0xFFFF means something else.
pub const COUNT_MAX: u16 = COUNT_END_OF_SESSION - 1;
/// Bytes of the length before each message.
pub const BLOCK_LENGTH_BYTES: usize = 2;

/// Head of a downstream packet; the same 20 bytes, alone in a datagram, are a request for messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Header {
    /// Session.
    pub session: Session,
    /// Number of the first message; the next expected number in heartbeats and at the end of a session;
    /// the first wanted number in a request.
    pub sequence: U64,
    /// Messages in the packet, [`COUNT_HEARTBEAT`] or [`COUNT_END_OF_SESSION`]; messages wanted in a request.
    pub count: U16,
}

const _: () = {
    assert!(size_of::<Header>() == 20);
    assert!(align_of::<Header>() == 1);
    assert!(offset_of!(Header, session) == 0);
    assert!(offset_of!(Header, sequence) == 10);
    assert!(offset_of!(Header, count) == 18);
};
