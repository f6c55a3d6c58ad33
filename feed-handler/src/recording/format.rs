//! What a file is: by its first bytes, and by its name where these say nothing.
//!
//! Reads no file: the first bytes are passed in. Never decides by the name what the bytes contradict.

use std::fmt;
use std::str::FromStr;

use super::error::OpenError;
use super::{dbn, foreign, lobster, mold, pcap, raw};
use crate::decode::protocol::Protocol;

/// Messages looked at to tell protocols apart; the first ones of a day are directories of 132 bytes at most.
const LOOK_MESSAGES: usize = 64;
/// Messages that a file of another protocol must begin with: fewer may be damage.
const FOREIGN_MESSAGES_MIN: usize = 3;

/// What a recording turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Length-prefixed messages.
    Framed(Protocol),
    /// MoldUDP64 datagrams, one after the other.
    Mold,
    /// A packet capture with MoldUDP64 in it.
    Pcap,
    /// DBN.
    Dbn,
    /// LOBSTER messages.
    Lobster,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Framed(protocol) => protocol.name(),
            Self::Mold => "mold",
            Self::Pcap => "mold-pcap",
            Self::Dbn => "dbn",
            Self::Lobster => "lobster",
        })
    }
}

/// What the user says a file is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FormatChoice {
    /// Find out.
    #[default]
    Auto,
    /// Messages of this protocol, length-prefixed or in MoldUDP64 packets, whichever the file has.
    Messages(Protocol),
    /// A capture or a file of datagrams; the protocol is found out.
    MoldPcap,
    /// DBN.
    Dbn,
    /// LOBSTER messages.
    Lobster,
}

/// The names that [`FormatChoice`] is read from.
pub const FORMAT_NAMES: [&str; 6] = ["auto", "bistech", "itch50", "dbn", "lobster", "mold-pcap"];

/// A format name that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("format {0:?} is none of auto, bistech, itch50, dbn, lobster, mold-pcap")]
pub struct BadFormat(String);

impl FromStr for FormatChoice {
    type Err = BadFormat;

    fn from_str(name: &str) -> Result<Self, BadFormat> {
        Ok(match name {
            "auto" => Self::Auto,
            "bistech" => Self::Messages(Protocol::Bistech),
            "itch50" => Self::Messages(Protocol::Itch50),
            "mold-pcap" => Self::MoldPcap,
            "dbn" => Self::Dbn,
            "lobster" => Self::Lobster,
            _ => return Err(BadFormat(name.to_owned())),
        })
    }
}

/// Finds out what a file is: by its first bytes, and by its name where these say nothing.
pub(super) fn recognise(
    head: &[u8],
    name: &str,
    choice: FormatChoice,
) -> Result<(Format, Option<Protocol>), OpenError> {
    let forced = match choice {
        FormatChoice::Messages(protocol) => Some(protocol),
        _ => None,
    };
    let lowercase = name.to_ascii_lowercase();
    let named = |part: &str| lowercase.contains(part);
    let protocol_named = if named("bistech") {
        Some(Protocol::Bistech)
    } else if named("itch50") || named("itch5") {
        Some(Protocol::Itch50)
    } else {
        None
    };
    match choice {
        FormatChoice::Dbn => return Ok((Format::Dbn, None)),
        FormatChoice::Lobster => return Ok((Format::Lobster, None)),
        _ if pcap::is_capture(head) => return Ok((Format::Pcap, forced.or(protocol_named))),
        FormatChoice::MoldPcap => return Ok((Format::Mold, protocol_named)),
        FormatChoice::Auto if dbn::is_dbn(head) => return Ok((Format::Dbn, None)),
        FormatChoice::Auto if lobster::is_lobster(head) => return Ok((Format::Lobster, None)),
        FormatChoice::Auto | FormatChoice::Messages(_) => {}
    }
    if forced.is_none()
        && let Some(name) = foreign_framed(head)
    {
        return Err(OpenError::Foreign { name });
    }
    if let Some(protocol) = framed_protocol(head).filter(|&found| forced.is_none_or(|forced| forced == found)) {
        return Ok((Format::Framed(protocol), Some(protocol)));
    }
    if let Some(protocol) = datagram_protocol(head).filter(|&found| forced.is_none_or(|forced| forced == found)) {
        return Ok((Format::Mold, Some(protocol)));
    }
    // Nothing whole is in it. What it is called may still say what is cut or damaged there.
    if named(".mold") {
        return Ok((Format::Mold, forced.or(protocol_named)));
    }
    if named(".dbn") {
        return Ok((Format::Dbn, None));
    }
    if named("_message_") && named(".csv") {
        return Ok((Format::Lobster, None));
    }
    match forced.or(protocol_named) {
        Some(protocol) => Ok((Format::Framed(protocol), Some(protocol))),
        None => Err(OpenError::Unrecognised),
    }
}

/// The protocol of a run of length-prefixed messages: the one whose lengths the first messages have.
#[must_use]
pub fn framed_protocol(head: &[u8]) -> Option<Protocol> {
    best_protocol(|protocol| {
        let length_of = |kind| protocol.length_of(kind);
        raw::walk(head, LOOK_MESSAGES, |kind, length| protocol.is_length(kind, length), length_of).0
    })
}

/// The name of a protocol that is not read, when a run of length-prefixed messages begins like it and not like ours.
fn foreign_framed(head: &[u8]) -> Option<&'static str> {
    let ours = Protocol::ALL
        .map(|protocol| raw::walk(head, LOOK_MESSAGES, |kind, length| protocol.is_length(kind, length), |_| None).0);
    foreign::name_of(raw::lengths(head).take(LOOK_MESSAGES), ours.into_iter().max().unwrap_or(0), FOREIGN_MESSAGES_MIN)
}

/// The protocol of the messages in a MoldUDP64 datagram.
#[must_use]
pub fn datagram_protocol(datagram: &[u8]) -> Option<Protocol> {
    if foreign_datagram(datagram).is_some() {
        return None;
    }
    best_protocol(|protocol| known_blocks(datagram, protocol))
}

/// The name of a protocol that is not read, when the messages of a datagram begin like it and not like ours.
pub(super) fn foreign_datagram(datagram: &[u8]) -> Option<&'static str> {
    let ours = Protocol::ALL.map(|protocol| known_blocks(datagram, protocol));
    let lengths = mold::blocks(datagram).take(LOOK_MESSAGES).filter_map(|block| Some((*block.first()?, block.len())));
    foreign::name_of(lengths, ours.into_iter().max().unwrap_or(0), 1)
}

/// Messages at the start of a datagram that have the length of their type.
fn known_blocks(datagram: &[u8], protocol: Protocol) -> usize {
    let known = |block: &&[u8]| block.first().is_some_and(|&kind| protocol.is_length(kind, block.len()));
    mold::blocks(datagram).take(LOOK_MESSAGES).take_while(known).count()
}

fn best_protocol(score: impl Fn(Protocol) -> usize) -> Option<Protocol> {
    let [bistech, itch50] = Protocol::ALL.map(score);
    match bistech.cmp(&itch50) {
        std::cmp::Ordering::Greater => Some(Protocol::Bistech),
        std::cmp::Ordering::Less => Some(Protocol::Itch50),
        std::cmp::Ordering::Equal => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_protocol_is_named_and_not_called_ours() {
        let run = |kind: u8, length: usize| {
            let mut bytes = (length as u16).to_be_bytes().to_vec();
            bytes.push(kind);
            bytes.resize(2 + length, 0);
            bytes
        };
        let file = [run(b'T', 5), run(b'S', 6), run(b'R', 20), run(b'A', 30)].concat();
        let refused = recognise(&file, "day.txt", FormatChoice::Auto).unwrap_err();
        assert_eq!(refused.to_string(), "is NASDAQ ITCH 4.1, which is not read");
        let forced = recognise(&file, "day.txt", FormatChoice::Messages(Protocol::Bistech));
        assert_eq!(forced.unwrap().0, Format::Framed(Protocol::Bistech), "what the user says wins");
        let head = [&b"SESSION001"[..], &1u64.to_be_bytes(), &3u16.to_be_bytes()].concat();
        let packet = [head.clone(), run(b'T', 5), run(b'S', 10), run(b'R', 45)].concat();
        assert_eq!((datagram_protocol(&packet), foreign_datagram(&packet)), (None, Some("JNX ITCH 1.6")));
        let packet = [head, run(b'T', 5), run(b'S', 6), run(b'A', 37)].concat();
        assert_eq!((datagram_protocol(&packet), foreign_datagram(&packet)), (Some(Protocol::Bistech), None));
    }

    #[test]
    fn the_first_messages_tell_the_protocol() {
        let run = |kind: u8, length: usize| {
            let mut bytes = (length as u16).to_be_bytes().to_vec();
            bytes.push(kind);
            bytes.resize(2 + length, 0);
            bytes
        };
        assert_eq!(framed_protocol(&[run(b'T', 5), run(b'A', 37)].concat()), Some(Protocol::Bistech));
        assert_eq!(framed_protocol(&[run(b'S', 12), run(b'A', 36)].concat()), Some(Protocol::Itch50));
        assert_eq!(framed_protocol(&[0, 0, b'P']), None, "cut");
        let mut zero = run(b'P', 44);
        zero[..2].fill(0);
        assert_eq!(framed_protocol(&zero), Some(Protocol::Itch50), "P of 50 bytes would not be whole");
        assert_eq!(framed_protocol(&[zero.clone(), zero].concat()), Some(Protocol::Itch50));
        assert_eq!(framed_protocol(b"hello, world"), None);
    }
}
