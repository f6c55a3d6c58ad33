//! A plain run of messages, each with its length before it (u16, big-endian): NASDAQ's sample files and ours.
//!
//! Knows no message but its length. A length of 0 with nothing behind it is the end that NASDAQ's BinaryFILE writes.
//! Some third-party files write every length as 0; there it comes from the type.

use super::error::{ReadError, end_of};
use super::input::Input;

/// Length of the prefix.
const PREFIX: usize = 2;

/// Messages with lengths before them.
pub struct Framed {
    input: Input,
    /// Bytes of the message given out last; used up by the next call, because it was lent until then.
    lent: usize,
    /// Length by type, for files whose prefixes are 0.
    length_of: fn(u8) -> Option<usize>,
    zero_prefix: bool,
}

impl Framed {
    /// Reads from `input`; `length_of` knows the lengths by type for files whose prefixes are all 0, which the first
    /// prefix tells.
    #[must_use]
    pub fn new(mut input: Input, length_of: fn(u8) -> Option<usize>) -> Self {
        let zero_prefix = input.peek(PREFIX).starts_with(&[0, 0]);
        Self { input, lent: 0, length_of, zero_prefix }
    }

    /// The next message without its prefix; `None` at the end.
    ///
    /// # Errors
    /// The file ends inside a message, or a length is 0 and the type is unknown.
    pub fn next_message(&mut self) -> Result<Option<&[u8]>, ReadError> {
        self.input.consume(std::mem::take(&mut self.lent));
        let head = self.input.peek(PREFIX + 1);
        if head.len() < PREFIX {
            return end_of(&mut self.input, "a length").map(|()| None);
        }
        let mut length = usize::from(u16::from_be_bytes([head[0], head[1]]));
        if self.zero_prefix && length == 0 {
            let Some(&kind) = head.get(PREFIX) else {
                return end_of(&mut self.input, "a message").map(|()| None);
            };
            let Some(known) = (self.length_of)(kind) else {
                let offset = self.input.offset();
                return Err(ReadError::Damaged { offset, what: "a length of 0 before a message of unknown type" });
            };
            length = known;
        } else if length == 0 && head.len() == PREFIX {
            // The closing block of a BinaryFILE session. A file of which 0 is every length has none.
            self.input.consume(PREFIX);
            return end_of(&mut self.input, "a message").map(|()| None);
        }
        if self.input.peek(PREFIX + length).len() < PREFIX + length {
            return end_of(&mut self.input, "a message").map(|()| None);
        }
        self.lent = PREFIX + length;
        Ok(Some(&self.input.peek(0)[PREFIX..PREFIX + length]))
    }

    /// The stream below.
    #[must_use]
    pub fn input(&self) -> &Input {
        &self.input
    }
}

/// How many messages at the start of `bytes` have a length that `is_length` accepts for their type, and whether
/// the walk met one that has not. Prefixes of 0 take `length_of`.
#[must_use]
pub fn walk(
    bytes: &[u8],
    messages_max: usize,
    is_length: impl Fn(u8, usize) -> bool,
    length_of: impl Fn(u8) -> Option<usize>,
) -> (usize, bool) {
    let mut rest = bytes;
    let mut messages = 0;
    while messages < messages_max && rest.len() > PREFIX {
        let kind = rest[PREFIX];
        let length = match usize::from(u16::from_be_bytes([rest[0], rest[1]])) {
            0 => length_of(kind),
            stated if is_length(kind, stated) => Some(stated),
            _ => None,
        };
        let Some(length) = length else { return (messages, true) };
        let Some(after) = rest.get(PREFIX + length..) else { break };
        rest = after;
        messages += 1;
    }
    (messages, false)
}

/// Type and stated length of the messages at the start of `bytes`, up to the first one without a length or an end.
pub fn lengths(bytes: &[u8]) -> impl Iterator<Item = (u8, usize)> + Clone {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (prefix, after) = rest.split_first_chunk::<PREFIX>()?;
        let length = usize::from(u16::from_be_bytes(*prefix));
        let kind = *after.get(..length)?.first()?;
        rest = &after[length..];
        Some((kind, length))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(bytes: &[u8]) -> Framed {
        Framed::new(Input::from_bytes(bytes.to_vec()).unwrap(), |kind| (kind == b'x').then_some(3))
    }

    #[test]
    fn messages_come_one_by_one_and_may_be_empty() {
        let mut file = framed(&[0, 1, b'a', 0, 0, 0, 2, b'b', b'c']);
        assert_eq!(file.next_message().unwrap(), Some(&b"a"[..]));
        assert_eq!(file.next_message().unwrap(), Some(&b""[..]));
        assert_eq!(file.next_message().unwrap(), Some(&b"bc"[..]));
        assert_eq!(file.next_message().unwrap(), None);
    }

    #[test]
    fn a_closing_block_without_bytes_is_the_end_and_no_message() {
        let mut file = framed(&[0, 1, b'a', 0, 0]);
        assert_eq!(file.next_message().unwrap(), Some(&b"a"[..]));
        assert_eq!(file.next_message().unwrap(), None);
        assert_eq!(file.next_message().unwrap(), None);
    }

    #[test]
    fn a_file_of_zero_lengths_goes_by_type() {
        let mut file = framed(&[0, 0, b'x', 1, 2, 0, 0, b'x', 3, 4, 0, 0, b'y']);
        assert_eq!(file.next_message().unwrap(), Some(&[b'x', 1, 2][..]));
        assert_eq!(file.next_message().unwrap(), Some(&[b'x', 3, 4][..]));
        assert!(matches!(file.next_message(), Err(ReadError::Damaged { offset: 10, .. })));
    }

    #[test]
    fn a_cut_is_told_with_the_offset_of_the_unfinished_message() {
        for cut in 4..8 {
            let mut file = framed(&[0, 1, b'a', 0, 3, 1, 2, 3][..cut]);
            assert!(file.next_message().unwrap().is_some());
            assert!(matches!(file.next_message(), Err(ReadError::Truncated { offset: 3, .. })), "cut at {cut}");
        }
    }
}
