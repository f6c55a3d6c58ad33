//! The two ends that all decoders share: a message as a typed borrow, a record with its head filled.

use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

use super::sink::Refused;
use crate::wire::layout::Message;

/// The message as a typed borrow of its first `M::LENGTH` bytes; the type byte is the caller's to check.
///
/// # Errors
/// [`Refused::Short`] when it has fewer bytes (`message` must not be empty).
#[inline]
pub(crate) fn view<M>(message: &[u8]) -> Result<&M, Refused>
where
    M: Message + FromBytes + KnownLayout + Immutable + Unaligned,
{
    match M::ref_from_prefix(message) {
        Ok((typed, _newer_tail)) => Ok(typed),
        Err(_) => Err(Refused::Short { kind: M::KIND, got: message.len(), need: M::LENGTH }),
    }
}

/// A slot from a record of [`book::slot`]: `record!(stamp, side, Name, rtype, flags, { field: value, ... })`.
macro_rules! record {
    ($stamp:expr, $side:expr, $name:ident, $rtype:expr, $flags:expr, { $($field:ident : $value:expr),* $(,)? }) => {
        ::book::Slot::from(::book::slot::$name {
            length: 16,
            rtype: $rtype,
            flags: $flags,
            side: $side as u8,
            book_id: $stamp.book_id.0,
            exchange_ns: $stamp.exchange_ns,
            seq: 0,
            received_ns: $stamp.received_ns,
            $($field: $value,)*
        })
    };
}
pub(crate) use record;
