//! Recordings of every format: any file is read to its end or to an error that says where, and everything before it was
//! given out and counted.

use std::io::Write;

use book::Slot;
use feed_handler::decode::protocol::Protocol;
use feed_handler::decode::{bistech, itch50};
use feed_handler::recording::ReadError;
use feed_handler::recording::dbn::DbnFile;
use feed_handler::recording::input::Input;
use feed_handler::recording::mold::MoldFile;
use feed_handler::recording::pcap::{Capture, is_capture};
use feed_handler::recording::raw::Framed;
use feed_handler::recording::{Format, FormatChoice, Recording, RecordingOptions, Step};

/// One step and its slots.
type Given = (Step, Vec<Slot>);

fn options(format: FormatChoice) -> RecordingOptions {
    // A small table of books: opening takes no megabytes.
    RecordingOptions { format, books_max: 64, ..RecordingOptions::default() }
}

/// What came out of a file.
struct Outcome {
    format: Format,
    given: Vec<Given>,
    error: Option<ReadError>,
}

/// Reads all of it; `None` when it cannot be opened.
///
/// What was counted is what was given out, and after an error comes the end.
fn read(bytes: &[u8], name: &str, options: &RecordingOptions) -> Option<Outcome> {
    let mut recording = Recording::from_bytes(bytes.to_vec(), name, options).ok()?;
    let mut given: Vec<Given> = Vec::new();
    let error = loop {
        let mut slots = Vec::new();
        match recording.next(&mut |slot| slots.push(slot)) {
            Ok(Step::End) => break None,
            Ok(step) => given.push((step, slots)),
            Err(error) => break Some(error),
        }
    };
    assert!(matches!(recording.next(&mut |_| {}), Ok(Step::End)), "after an error comes the end");
    check_counts(&recording, &given);
    let (read, total) = recording.progress();
    assert!(read <= total && total == bytes.len() as u64);
    Some(Outcome { format: recording.format(), given, error })
}

fn check_counts(recording: &Recording, given: &[Given]) {
    let counts = recording.counts();
    let (mut messages, mut refused, mut slots, mut gaps, mut sessions) = (0, 0, 0, 0, 0);
    for (step, made) in given {
        match step {
            Step::Message(taken) => {
                messages += u64::from(taken.position > 0);
                refused += u64::from(taken.refused.is_some());
                slots += made.len() as u64;
                assert_eq!(taken.slots as usize, made.len());
            }
            Step::Gap { from, to } => {
                gaps += 1;
                assert!(from <= to && made.len() == 1);
            }
            Step::Session | Step::PartitionSession => sessions += 1,
            Step::End => unreachable!("ends the reading"),
        }
    }
    assert_eq!((counts.messages, counts.slots), (messages, slots));
    assert_eq!((counts.refused_total(), counts.gaps, counts.sessions), (refused, gaps, sessions));
    assert_eq!(counts.by_kind.iter().sum::<u64>(), messages);
}

/// A file that is cut gives what the whole one gives, except for its last piece.
fn check_cut(bytes: &[u8], name: &str, options: &RecordingOptions, whole: &Outcome) {
    let cut = bytes.iter().fold(0_usize, |sum, &byte| sum * 31 % 65_521 + usize::from(byte)) % bytes.len().max(1);
    let Some(part) = read(&bytes[..cut], name, options) else { return };
    if part.format != whole.format {
        return; // OK because so little is left that it is taken for something else
    }
    let (part, whole) = (part.given, &whole.given);
    // Where it is cut, the last piece may look whole and be more or less than the real one.
    let sure = part.len().saturating_sub(1);
    assert!(part[..sure] == whole[..sure.min(whole.len())], "cut at {cut}: {part:?}, not cut: {whole:?}");
}

fn input(bytes: &[u8]) -> Input {
    Input::from_bytes(bytes.to_vec()).expect("bytes in memory")
}

fn is_packed(bytes: &[u8]) -> bool {
    let is_skippable = bytes.get(1..4) == Some(&[0x2A, 0x4D, 0x18][..]);
    bytes.starts_with(&[0x1F, 0x8B]) || bytes.starts_with(&[0x28, 0xB5, 0x2F, 0xFD]) || is_skippable
}

/// The first byte chooses the protocol; the rest is a file of messages with their lengths before them.
///
/// Messages and their prefixes are all bytes up to the end or the offset of the error.
pub fn framed(data: &[u8]) {
    let [choice, bytes @ ..] = data else { return };
    let protocol = if choice & 1 == 0 { Protocol::Bistech } else { Protocol::Itch50 };
    let decimals = (choice & 2 != 0).then_some(3);
    let options = RecordingOptions { default_decimals: decimals, ..options(FormatChoice::Messages(protocol)) };
    if let Some(whole) = read(bytes, "fuzz", &options)
        && matches!(whole.format, Format::Framed(_))
        && !is_packed(bytes)
    {
        check_cut(bytes, "fuzz", &options, &whole);
    }
    if is_packed(bytes) {
        return;
    }
    let mut file = Framed::new(input(bytes), [bistech::length_of, itch50::length_of][usize::from(choice & 1)]);
    let mut at = 0;
    let error = loop {
        match file.next_message() {
            Ok(Some(message)) => {
                assert_eq!(message, &bytes[at + 2..at + 2 + message.len()]);
                at += 2 + message.len();
            }
            Ok(None) => break None,
            Err(error) => break Some(error),
        }
    };
    // A block of length 0 at the very end closes the file and is no message.
    if error.is_none() && bytes[at..] == [0, 0] {
        at += 2;
    }
    assert_eq!(error.map_or(bytes.len() as u64, |error| error.offset()), at as u64);
}

/// A capture, or datagrams one after the other; once with a stream for each destination and once all in one.
///
/// Datagrams without a capture around them are all bytes up to the end or the error; a captured one is part of the file.
pub fn capture(data: &[u8]) {
    for merged in [false, true] {
        read(data, "fuzz", &RecordingOptions { merged, ..options(FormatChoice::MoldPcap) });
    }
    if is_packed(data) {
        return;
    }
    if is_capture(data) {
        let Ok(mut capture) = Capture::new(input(data)) else { return };
        let mut payload_bytes = 0;
        let error = loop {
            match capture.next_datagram() {
                Ok(Some(datagram)) => payload_bytes += datagram.payload.len(),
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        assert!(payload_bytes <= data.len() && error.is_none_or(|error| error.offset() <= data.len() as u64));
        return;
    }
    let mut file = MoldFile::new(input(data));
    let mut at = 0;
    while let Ok(Some(datagram)) = file.next_datagram() {
        let length = datagram.len();
        // The count of a datagram that the end of the file cuts is made to match.
        assert!(datagram[..18] == data[at..at + 18] && datagram[20..] == data[at + 20..at + length]);
        at += length;
    }
}

/// A DBN file: every record and the head are all bytes up to the end or the error.
pub fn dbn(data: &[u8]) {
    let options = options(FormatChoice::Dbn);
    let Some(whole) = read(data, "fuzz.dbn", &options) else { return };
    if is_packed(data) {
        return;
    }
    check_cut(data, "fuzz.dbn", &options, &whole);
    let Ok(mut file) = DbnFile::new(input(data)) else { return };
    let mut at = file.input().offset();
    while let Ok(Some(record)) = file.next(&mut |_: Slot| {}) {
        let length = file.input().offset() - at;
        assert!(if record.synthetic { length == 0 } else { length == u64::from(data[at as usize]) * 4 });
        at += length;
    }
    assert_eq!(whole.error.map_or(data.len() as u64, |error| error.offset()), at);
}

/// A LOBSTER file.
pub fn lobster(data: &[u8]) {
    let (name, options) = ("AAPL_2012-06-21_34200000_57600000_message_10.csv", options(FormatChoice::Lobster));
    let Some(whole) = read(data, name, &options) else { return };
    if is_packed(data) {
        return;
    }
    check_cut(data, name, &options, &whole);
    let lines = data.iter().filter(|&&byte| byte == b'\n').count() + 1;
    // The definition made of the name comes first.
    assert!(whole.given.len() <= 1 + lines, "more rows than lines");
}

/// A file of which nothing is known, not even whether it is packed.
///
/// Packed (again) by gzip or zstd it gives the same.
pub fn unknown(data: &[u8]) {
    let options = options(FormatChoice::Auto);
    let plain = read(data, "fuzz", &options);
    let given = |read: Option<Outcome>| read.map(|outcome| (outcome.format, outcome.given));
    if is_packed(data) {
        return;
    }
    let packed = if data.len() & 1 == 0 {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
        encoder.write_all(data).and_then(|()| encoder.finish()).expect("gzip into memory")
    } else {
        zstd::encode_all(data, 1).expect("zstd into memory")
    };
    assert_eq!(given(read(&packed, "fuzz", &options)), given(plain));
}
