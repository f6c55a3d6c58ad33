//! MoldUDP64 datagrams simply one after the other in a file, as a capture tool that keeps payloads only writes them.
//!
//! Looks at the framing of a datagram only to find its end. A datagram cut by the end of the file is given out with
//! the whole messages it has (and its count made to match), then the cut is told.

use super::error::{ReadError, end_of};
use super::input::Input;

/// Session 10, sequence 8, count 2.
const HEADER: usize = 20;
/// Most bytes of a UDP payload over IPv4: 65,535 − 20 − 8.
const DATAGRAM_MAX: usize = 65_507;
const END_OF_SESSION: u16 = 0xFFFF;

/// Concatenated datagrams.
pub struct MoldFile {
    input: Input,
    lent: usize,
    /// The whole messages of a datagram that the file's end cuts.
    cut: Vec<u8>,
    cut_given: bool,
}

impl MoldFile {
    /// Reads from `input`.
    #[must_use]
    pub fn new(input: Input) -> Self {
        Self { input, lent: 0, cut: Vec::new(), cut_given: false }
    }

    /// The next datagram, heartbeats and ends of session included; `None` at the end.
    ///
    /// # Errors
    /// The file ends inside a datagram, or one would be longer than any datagram.
    pub fn next_datagram(&mut self) -> Result<Option<&[u8]>, ReadError> {
        self.input.consume(std::mem::take(&mut self.lent));
        if self.cut_given {
            return end_of(&mut self.input, "a datagram").map(|()| None);
        }
        let bytes = self.input.peek(DATAGRAM_MAX);
        if bytes.len() < HEADER {
            return end_of(&mut self.input, "the head of a datagram").map(|()| None);
        }
        let (length, messages, announced) = walk(bytes);
        if messages == announced {
            self.lent = length;
            return Ok(Some(&self.input.peek(0)[..length]));
        }
        if bytes.len() >= DATAGRAM_MAX {
            let offset = self.input.offset();
            return Err(ReadError::Damaged { offset, what: "a datagram longer than any can be" });
        }
        self.cut_given = true;
        self.cut.extend_from_slice(&bytes[..length]);
        self.cut[18..HEADER].copy_from_slice(&messages.to_be_bytes());
        Ok(Some(&self.cut))
    }

    /// The stream below.
    #[must_use]
    pub fn input(&self) -> &Input {
        &self.input
    }
}

/// Length of the datagram at the start of `bytes` (at least a head), its whole messages, and how many it announces.
fn walk(bytes: &[u8]) -> (usize, u16, u16) {
    let announced = match u16::from_be_bytes([bytes[18], bytes[19]]) {
        END_OF_SESSION => return (HEADER, 0, 0),
        count => count,
    };
    let mut at = HEADER;
    for messages in 0..announced {
        let Some(prefix) = bytes.get(at..at + 2) else { return (at, messages, announced) };
        let after = at + 2 + usize::from(u16::from_be_bytes([prefix[0], prefix[1]]));
        if after > bytes.len() {
            return (at, messages, announced);
        }
        at = after;
    }
    (at, announced, announced)
}

/// The blocks of the datagram at the start of `bytes`, if these begin with a plausible one: for telling formats
/// apart. Stops quietly where `bytes` end.
pub fn blocks(bytes: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    let announced = match bytes.get(18..HEADER) {
        Some(&[high, low]) if [high, low] != [0xFF; 2] => u16::from_be_bytes([high, low]),
        _ => 0,
    };
    let mut rest = bytes.get(HEADER..).unwrap_or_default();
    (0..announced).map_while(move |_| {
        let (prefix, after) = rest.split_first_chunk::<2>()?;
        let length = usize::from(u16::from_be_bytes(*prefix));
        let (block, after) = after.split_at_checked(length)?;
        rest = after;
        Some(block)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn datagram(sequence: u64, messages: &[&[u8]]) -> Vec<u8> {
        let mut bytes = b"SESSION001".to_vec();
        bytes.extend(sequence.to_be_bytes());
        bytes.extend((messages.len() as u16).to_be_bytes());
        for message in messages {
            bytes.extend((message.len() as u16).to_be_bytes());
            bytes.extend(*message);
        }
        bytes
    }

    #[test]
    fn datagrams_follow_each_other_and_a_cut_one_keeps_its_whole_messages() {
        let mut bytes = datagram(1, &[b"one", b""]);
        bytes.extend(datagram(3, &[]));
        let last = bytes.len() as u64;
        bytes.extend(datagram(3, &[b"three", b"four"]));
        bytes.pop();
        let mut file = MoldFile::new(Input::from_bytes(bytes).unwrap());
        assert_eq!(blocks(file.next_datagram().unwrap().unwrap()).collect::<Vec<_>>(), [&b"one"[..], b""]);
        assert_eq!(file.next_datagram().unwrap().unwrap().len(), HEADER);
        assert_eq!(file.next_datagram().unwrap().unwrap(), datagram(3, &[b"three"]));
        assert!(matches!(file.next_datagram(), Err(ReadError::Truncated { offset, .. }) if offset == last));
    }
}
