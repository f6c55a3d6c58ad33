//! Wire layouts, one module per protocol version: structs and constants, no behaviour.
//!
//! Every struct has alignment 1, big-endian integers and the fields in wire order, so a message is read by
//! borrowing its bytes and written by filling a struct. Size and offsets are proved at compile time below each
//! struct. A new version of a protocol is a new module beside the old one.

pub mod bistech_2112;
pub mod itch_5_0;
pub mod moldudp64;

/// A message whose type byte and least length are known.
///
/// `Default` gives the type byte and zeros everywhere else, so an encoder states only what it means.
pub trait Message: Default {
    /// Type byte, the first of the message.
    const KIND: u8;
    /// Bytes of this version; a longer message is read by its head.
    const LENGTH: usize;
}

/// `text` cut or padded right with spaces to `N` bytes, as alphanumeric fields are.
///
/// Characters outside ISO 8859-1 become `?`.
#[must_use]
pub fn alpha<const N: usize>(text: &str) -> [u8; N] {
    let mut field = [b' '; N];
    for (byte, character) in field.iter_mut().zip(text.chars()) {
        *byte = u8::try_from(u32::from(character)).unwrap_or(b'?');
    }
    field
}

/// `field` without the spaces and zeros that pad it on the right.
#[must_use]
pub fn unpadded(field: &[u8]) -> &[u8] {
    let used = field.iter().rposition(|byte| !matches!(byte, b' ' | 0)).map_or(0, |last| last + 1);
    &field[..used]
}

/// Proves size, alignment and every offset of a message struct, and implements [`Message`] for it.
macro_rules! message {
    ($name:ident, $kind:literal, $length:literal, { $($field:ident : $offset:literal),* $(,)? }) => {
        const _: () = {
            assert!(::std::mem::size_of::<$name>() == $length);
            assert!(::std::mem::align_of::<$name>() == 1);
            assert!(::std::mem::offset_of!($name, kind) == 0);
            $(assert!(::std::mem::offset_of!($name, $field) == $offset);)*
        };

        impl $crate::wire::layout::Message for $name {
            const KIND: u8 = $kind;
            const LENGTH: usize = $length;
        }

        impl Default for $name {
            fn default() -> Self {
                let mut message: Self = ::zerocopy::FromZeros::new_zeroed();
                message.kind = $kind;
                message
            }
        }
    };
}
use message;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_padded_cut_and_unpadded() {
        assert_eq!(&alpha::<8>("GARAN.E"), b"GARAN.E ");
        assert_eq!(&alpha::<3>("GARAN"), b"GAR");
        assert_eq!(alpha::<2>("Çş"), [0xC7, b'?'], "Ç is in ISO 8859-1, ş is not");
        assert_eq!(unpadded(b"P_ARA \0 "), b"P_ARA");
        assert_eq!(unpadded(b"   "), b"");
    }
}
