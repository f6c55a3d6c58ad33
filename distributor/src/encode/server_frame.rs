//! Heading the frames that the server sends (RFC 6455): a head before a payload that stands already.
//!
//! Appends to the shared bytes; knows no payload and no client.

use std::ops::Range;

/// Opcodes.
pub mod opcode {
    /// Goes on with a fragmented message.
    pub const CONTINUATION: u8 = 0;
    /// Text.
    pub const TEXT: u8 = 1;
    /// Binary.
    pub const BINARY: u8 = 2;
    /// Close.
    pub const CLOSE: u8 = 8;
    /// Ping.
    pub const PING: u8 = 9;
    /// Pong.
    pub const PONG: u8 = 10;
}

/// Bytes kept free for the head of a frame whose length is not known yet: right for 126..=65,535 bytes.
pub const HEAD_BYTES: usize = 4;

/// Begins a frame at the end of `out`; append its payload, then call [`finish`] with the returned place.
#[inline]
#[must_use]
pub fn begin(out: &mut Vec<u8>) -> usize {
    let at = out.len();
    out.extend_from_slice(&[0; HEAD_BYTES]);
    at
}

/// Heads the frame begun at `at` (server frames have no mask) and returns where it stands.
///
/// Frames stand without a hole between them: a payload of another size class is moved by a few bytes.
#[inline]
pub fn finish(out: &mut Vec<u8>, at: usize, opcode: u8) -> Range<usize> {
    let length = out.len() - at - HEAD_BYTES;
    let first = 0x80 | opcode;
    if let 126..=65_535 = length {
        let [high, low] = (length as u16).to_be_bytes();
        out[at..at + HEAD_BYTES].copy_from_slice(&[first, 126, high, low]);
    } else if length < 126 {
        out.copy_within(at + HEAD_BYTES.., at + 2);
        out.truncate(out.len() - 2);
        out[at..at + 2].copy_from_slice(&[first, length as u8]);
    } else {
        out.extend_from_slice(&[0; 6]);
        out.copy_within(at + HEAD_BYTES..at + HEAD_BYTES + length, at + 10);
        out[at] = first;
        out[at + 1] = 127;
        out[at + 2..at + 10].copy_from_slice(&(length as u64).to_be_bytes());
    }
    at..out.len()
}

/// Bytes of the server frame at the start of `bytes`, head and payload; `None` when its head is not whole.
#[must_use]
pub fn server_frame_bytes(bytes: &[u8]) -> Option<usize> {
    match *bytes.get(1)? {
        126 => Some(4 + usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
        127 => usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?.checked_add(10),
        length => Some(2 + usize::from(length & 0x7F)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_frames_stand_without_holes() {
        let mut out = Vec::new();
        let mut end = 0;
        for length in [0, 1, 125, 126, 127, 65_535, 65_536, 70_000] {
            let at = begin(&mut out);
            out.extend((0..length).map(|n| n as u8));
            let range = finish(&mut out, at, opcode::TEXT);
            assert_eq!(range.start, end);
            assert_eq!(range.end, out.len());
            assert_eq!(server_frame_bytes(&out[range.clone()]), Some(range.len()));
            let payload = &out[range.end - length..];
            assert!(payload.iter().enumerate().all(|(n, &byte)| byte == n as u8), "payload of {length}");
            end = range.end;
        }
    }
}
