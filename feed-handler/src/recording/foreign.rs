//! Protocols that are met in files and captures and not read here: told by the lengths of their messages, and named.
//!
//! For words only. Nothing is decoded, and what is ours by its lengths is never called foreign.

/// A protocol that is not read.
struct Foreign {
    name: &'static str,
    /// Type and length of the messages that tell it. All of these begin with the seconds (`T`) of their family.
    lengths: &'static [(u8, usize)],
}

static ALL: [Foreign; 2] = [
    // NASDAQ TotalView-ITCH 4.1, sections 4.1 to 4.6.
    Foreign {
        name: "NASDAQ ITCH 4.1",
        lengths: &[
            (b'T', 5),
            (b'S', 6),
            (b'R', 20),
            (b'H', 19),
            (b'Y', 14),
            (b'L', 20),
            (b'A', 30),
            (b'F', 34),
            (b'E', 25),
            (b'C', 30),
            (b'X', 17),
            (b'D', 13),
            (b'U', 29),
            (b'P', 38),
            (b'B', 13),
        ],
    },
    // Japannext PTS ITCH 1.6.
    Foreign {
        name: "JNX ITCH 1.6",
        lengths: &[
            (b'T', 5),
            (b'S', 10),
            (b'L', 17),
            (b'R', 45),
            (b'H', 14),
            (b'Y', 14),
            (b'A', 30),
            (b'E', 25),
            (b'D', 13),
            (b'U', 29),
        ],
    },
];

/// The foreign protocol that fits more of the first messages (type and length, in order) than the `ours` that one of
/// ours fits, and at least `least` of them: bytes that may be damaged need more than one.
pub fn name_of(messages: impl Iterator<Item = (u8, usize)> + Clone, ours: usize, least: usize) -> Option<&'static str> {
    let fits = |foreign: &Foreign| messages.clone().take_while(|message| foreign.lengths.contains(message)).count();
    let (fit, foreign) = ALL.iter().map(|foreign| (fits(foreign), foreign)).rev().max_by_key(|&(fit, _)| fit)?;
    (fit > ours && fit >= least).then_some(foreign.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_protocol_is_named_only_when_it_fits_better_than_ours() {
        let nasdaq = [(b'T', 5), (b'S', 6), (b'R', 20), (b'A', 30)];
        assert_eq!(name_of(nasdaq.into_iter(), 2, 3), Some("NASDAQ ITCH 4.1"));
        assert_eq!(name_of([(b'T', 5), (b'S', 10), (b'R', 45)].into_iter(), 1, 1), Some("JNX ITCH 1.6"));
        assert_eq!(name_of([(b'T', 5)].into_iter(), 1, 1), None, "the seconds are ours, too");
        assert_eq!(name_of([(b'A', 30)].into_iter(), 0, 3), None, "one length may be damage");
        assert_eq!(name_of([(b'z', 5)].into_iter(), 0, 1), None);
    }
}
