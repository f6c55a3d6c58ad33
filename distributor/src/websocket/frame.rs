//! Frames of RFC 6455 that clients send, and the codes of closing; the server's own are headed in `encode/server_frame`.
//!
//! A state machine without a socket. Never allocates for a frame that is not a fragment; never panics, whatever the
//! bytes: what breaks the protocol comes back as the close code to send.

#![cfg_attr(not(test), deny(clippy::disallowed_types, clippy::disallowed_methods, clippy::disallowed_macros))]

use std::ops::Range;

pub use crate::encode::server_frame::{begin, finish, opcode, server_frame_bytes};

/// Codes of a close frame: RFC 6455 section 7.4.1 and ours of 4000..=4999.
pub mod close {
    /// Normal.
    pub const NORMAL: u16 = 1000;
    /// Going away.
    pub const AWAY: u16 = 1001;
    /// Protocol error.
    pub const PROTOCOL: u16 = 1002;
    /// A kind of data that is not accepted.
    pub const UNSUPPORTED: u16 = 1003;
    /// Text that is not UTF-8.
    pub const NOT_UTF8: u16 = 1007;
    /// Against a rule no other code names.
    pub const POLICY: u16 = 1008;
    /// Message too big.
    pub const TOO_BIG: u16 = 1009;
    /// A fault of the server.
    pub const INTERNAL: u16 = 1011;
    /// Restart: come back as told.
    pub const RESTART: u16 = 1012;
    /// Come back later: what is needed is not there now.
    pub const TRY_LATER: u16 = 1013;
    /// Malformed requests.
    pub const MALFORMED: u16 = 4400;
    /// The credential is missing, bad, at its end or revoked.
    pub const UNAUTHENTICATED: u16 = 4401;
    /// The credential is good and may not do this.
    pub const NOT_ENTITLED: u16 = 4403;
    /// No `auth` in time.
    pub const NO_AUTH: u16 = 4408;
    /// Too many connections.
    pub const CONNECTION_LIMIT: u16 = 4409;
    /// Too many requests.
    pub const RATE: u16 = 4429;
    /// The client does not read fast enough.
    pub const SLOW_READER: u16 = 4490;
}

/// Longest message of a client, in bytes, all fragments together.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// Longest payload of a control frame (RFC 6455 section 5.5).
pub const CONTROL_BYTES_MAX: usize = 125;

/// Longest head of a client's frame: 2 + 8 bytes of length + 4 of mask.
pub const CLIENT_HEAD_BYTES_MAX: usize = 14;

/// Why the connection must be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Close code.
    pub code: u16,
    /// For people and counters.
    pub reason: &'static str,
}

const fn violation(code: u16, reason: &'static str) -> Violation {
    Violation { code, reason }
}

/// One frame at the beginning of a buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Head {
    last: bool,
    opcode: u8,
    /// Where the payload stands in the buffer.
    payload: Range<usize>,
    mask: [u8; 4],
}

/// `None`: more bytes are needed. The length is refused before its bytes come.
fn head(buffer: &[u8]) -> Result<Option<Head>, Violation> {
    let [first, second, rest @ ..] = buffer else { return Ok(None) };
    let (last, opcode) = (first & 0x80 != 0, first & 0x0F);
    if first & 0x70 != 0 {
        return Err(violation(close::PROTOCOL, "reserved bit set"));
    }
    if !matches!(opcode, 0..=2 | 8..=10) {
        return Err(violation(close::PROTOCOL, "unknown opcode"));
    }
    if second & 0x80 == 0 {
        return Err(violation(close::PROTOCOL, "frame without mask"));
    }
    let short = usize::from(second & 0x7F);
    let control = opcode >= opcode::CLOSE;
    if control && (!last || short > CONTROL_BYTES_MAX) {
        return Err(violation(close::PROTOCOL, "control frame in fragments or above 125 bytes"));
    }
    let (length, length_bytes) = match (short, rest) {
        (126, [a, b, ..]) => {
            let length = u16::from_be_bytes([*a, *b]);
            if length < 126 {
                return Err(violation(close::PROTOCOL, "length not in its shortest form"));
            }
            (usize::from(length), 2)
        }
        (127, [a, b, c, d, e, f, g, h, ..]) => {
            let length = u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]);
            if length < 65_536 || length >> 63 != 0 {
                return Err(violation(close::PROTOCOL, "length not in its shortest form"));
            }
            return Err(violation(close::TOO_BIG, "message above 64 KiB")); // OK because 65,536 + head never fits below
        }
        (126 | 127, _) => return Ok(None),
        (short, _) => (short, 0),
    };
    let Some(mask) = rest.get(length_bytes..length_bytes + 4) else { return Ok(None) };
    let start = 2 + length_bytes + 4;
    let mask = [mask[0], mask[1], mask[2], mask[3]];
    Ok(Some(Head { last, opcode, payload: start..start + length, mask }))
}

/// What a client said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// A whole text message.
    Text(&'a str),
    /// Answer with a pong of the same payload.
    Ping(&'a [u8]),
    /// An answer to a ping.
    Pong,
    /// The client closes; `None` without a code.
    Close(Option<u16>),
}

/// Puts a client's fragments together. One per connection.
#[derive(Debug, Default)]
pub struct Decoder {
    /// Payload of the fragmented message so far, at most [`MESSAGE_BYTES_MAX`].
    fragments: Vec<u8>,
    fragmented: bool,
}

impl Decoder {
    /// Bytes of a message that is not whole.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        if self.fragmented { self.fragments.len() } else { 0 }
    }

    /// Reads one frame at the start of `buffer`, which is unmasked in place.
    ///
    /// Returns the bytes used (0: more are needed) and the message, if the frame ended one.
    ///
    /// # Errors
    /// The close code that RFC 6455 asks for; the connection must not be read further.
    pub fn read<'a>(&'a mut self, buffer: &'a mut [u8]) -> Result<(usize, Option<Message<'a>>), Violation> {
        let Some(head) = head(buffer)? else { return Ok((0, None)) };
        if !matches!(head.opcode, opcode::CONTINUATION) && head.opcode < opcode::CLOSE && self.fragmented {
            return Err(violation(close::PROTOCOL, "new message inside a fragmented one"));
        }
        if head.opcode == opcode::CONTINUATION && !self.fragmented {
            return Err(violation(close::PROTOCOL, "continuation of nothing"));
        }
        if head.opcode == opcode::BINARY {
            return Err(violation(close::UNSUPPORTED, "binary message"));
        }
        if head.opcode == opcode::CONTINUATION && self.fragments.len() + head.payload.len() > MESSAGE_BYTES_MAX {
            return Err(violation(close::TOO_BIG, "message above 64 KiB"));
        }
        let used = head.payload.end;
        let Some(payload) = buffer.get_mut(head.payload.clone()) else { return Ok((0, None)) };
        for (byte, mask) in payload.iter_mut().zip(head.mask.iter().cycle()) {
            *byte ^= mask;
        }
        let message = match head.opcode {
            opcode::PING => Some(Message::Ping(payload)),
            opcode::PONG => Some(Message::Pong),
            opcode::CLOSE => Some(Message::Close(close_code(payload)?)),
            opcode::TEXT if head.last => Some(Message::Text(utf8(payload)?)),
            _ => {
                if head.opcode == opcode::TEXT {
                    self.fragments.clear();
                }
                self.fragments.extend_from_slice(payload);
                self.fragmented = !head.last;
                if head.last { Some(Message::Text(utf8(&self.fragments)?)) } else { None }
            }
        };
        Ok((used, message))
    }
}

fn utf8(bytes: &[u8]) -> Result<&str, Violation> {
    std::str::from_utf8(bytes).map_err(|_| violation(close::NOT_UTF8, "text is not UTF-8"))
}

/// RFC 6455 sections 5.5.1 and 7.4: no code, or two bytes of an allowed code and UTF-8.
fn close_code(payload: &[u8]) -> Result<Option<u16>, Violation> {
    match payload {
        [] => Ok(None),
        [_] => Err(violation(close::PROTOCOL, "close code of one byte")),
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
                return Err(violation(close::PROTOCOL, "close code not allowed"));
            }
            utf8(reason)?;
            Ok(Some(code))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client's frame with a mask that is not zero.
    fn client(first: u8, payload: &[u8]) -> Vec<u8> {
        let mask = [0x5A, 0x01, 0xFF, 0x80];
        let mut frame = vec![first];
        match payload.len() {
            length @ 0..126 => frame.push(0x80 | length as u8),
            length @ 126..65_536 => {
                frame.push(0x80 | 126);
                frame.extend_from_slice(&(length as u16).to_be_bytes());
            }
            length => {
                frame.push(0x80 | 127);
                frame.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        frame.extend_from_slice(&mask);
        frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        frame
    }

    #[track_caller]
    fn refused(bytes: &[u8], code: u16) {
        let mut decoder = Decoder::default();
        let mut buffer = bytes.to_vec();
        let mut at = 0;
        loop {
            match decoder.read(&mut buffer[at..]) {
                Ok((0, _)) => panic!("accepted {bytes:02X?}"),
                Ok((used, _)) => at += used,
                Err(violation) => return assert_eq!(violation.code, code, "{}", violation.reason),
            }
        }
    }

    #[test]
    fn a_message_comes_whole_or_in_fragments_with_a_ping_between() {
        let mut bytes = client(0x81, b"one");
        bytes.extend(client(0x01, "ş".as_bytes().get(..1).unwrap()));
        bytes.extend(client(0x89, b"p"));
        bytes.extend(client(0x80, "ş".as_bytes().get(1..).unwrap()));
        let mut decoder = Decoder::default();
        let mut seen = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            let (used, message) = decoder.read(&mut bytes[at..]).unwrap();
            seen.push(format!("{message:?}"));
            at += used;
        }
        assert_eq!(seen, ["Some(Text(\"one\"))", "None", "Some(Ping([112]))", "Some(Text(\"ş\"))"]);
    }

    #[test]
    fn half_a_frame_waits_at_every_byte() {
        for payload in [vec![b'x'; 5], vec![b'x'; 300]] {
            let whole = client(0x81, &payload);
            for cut in 0..whole.len() {
                let mut buffer = whole[..cut].to_vec();
                assert_eq!(Decoder::default().read(&mut buffer), Ok((0, None)));
                assert_eq!(buffer, whole[..cut], "untouched");
            }
        }
    }

    #[test]
    fn what_rfc_6455_forbids_is_refused_with_its_code() {
        for bit in [0x40, 0x20, 0x10] {
            refused(&client(0x81 | bit, b""), close::PROTOCOL);
        }
        for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
            refused(&client(0x80 | opcode, b""), close::PROTOCOL);
        }
        refused(&[0x81, 0x01, b'x'], close::PROTOCOL); // no mask
        refused(&client(0x89, &[0; 126]), close::PROTOCOL); // oversized control frame
        refused(&client(0x09, b""), close::PROTOCOL); // control frame in fragments
        refused(&client(0x80, b"x"), close::PROTOCOL); // continuation of nothing
        refused(&[client(0x01, b"x"), client(0x81, b"y")].concat(), close::PROTOCOL);
        refused(&[0x81, 0xFE, 0, 125, 0, 0, 0, 0], close::PROTOCOL); // 125 in the long form
        refused(&[0x81, 0xFF, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF], close::PROTOCOL); // 65,535 in the longest form
        refused(&[0x81, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0], close::PROTOCOL); // the sign bit
        refused(&[0x81, 0xFF, 0, 0, 0, 0, 0, 1, 0, 0], close::TOO_BIG);
        let part = client(0x01, &[b'x'; 40_000]);
        refused(&[part, client(0x00, &[b'x'; 40_000])].concat(), close::TOO_BIG);
        refused(&client(0x82, b"x"), close::UNSUPPORTED);
        refused(&client(0x81, &[0xC3, 0x28]), close::NOT_UTF8);
        refused(&[client(0x01, &[0xED]), client(0x80, &[0xA0, 0x80])].concat(), close::NOT_UTF8); // a surrogate
    }

    #[test]
    fn close_codes_are_checked() {
        for code in [0_u16, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
            refused(&client(0x88, &code.to_be_bytes()), close::PROTOCOL);
        }
        refused(&client(0x88, &[3]), close::PROTOCOL);
        refused(&client(0x88, &[3, 0xE8, 0xFF]), close::NOT_UTF8);
        for code in [1000_u16, 1001, 1003, 1007, 1011, 3000, 4999] {
            let mut bytes = client(0x88, &code.to_be_bytes());
            assert_eq!(Decoder::default().read(&mut bytes).unwrap().1, Some(Message::Close(Some(code))));
        }
        assert_eq!(Decoder::default().read(&mut client(0x88, b"")).unwrap().1, Some(Message::Close(None)));
    }
}
