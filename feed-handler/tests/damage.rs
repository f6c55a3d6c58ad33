//! Recordings that are cut or have wrong bytes: everything before the damage, a count, an error with its offset, and
//! never a panic. Every byte of the small files; the large ones at their last 4 KiB and a seeded sample of places.

mod common;

use std::path::PathBuf;

use book::Slot;
use book::market::{Limits, Market};
use common::{bytes, data};
use feed_handler::recording::ReadError;
use feed_handler::recording::{Format, FormatChoice, Recording, RecordingOptions, Step};
use feed_handler::wire::moldudp64::PacketWriter;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Files up to this size are cut at every byte.
const SMALL_BYTES: usize = 20_000;
const SAMPLE: usize = 1_000;
const SEED: u64 = 20_220_921;

/// Every recorded file of a folder.
fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let Some(folder) = data(folder) else { return Vec::new() };
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().ends_with(ending))
        .collect();
    files.sort();
    files
}

fn options() -> RecordingOptions {
    // A small table of books, so that opening a file thousands of times takes no gigabytes.
    RecordingOptions { books_max: 1_024, ..RecordingOptions::default() }
}

/// What came out of a recording that may be damaged.
#[derive(Debug, Default)]
struct Outcome {
    opened: bool,
    messages: u64,
    slots: u64,
    error: Option<ReadError>,
    /// Only the format that it was taken for tells what to expect.
    format: Option<Format>,
}

fn read(bytes: &[u8], name: &str, sink: &mut impl FnMut(Slot)) -> Outcome {
    let Ok(mut recording) = Recording::from_bytes(bytes.to_vec(), name, &options()) else { return Outcome::default() };
    let mut slots = 0;
    let error = loop {
        let step = recording.next(&mut |slot| {
            slots += 1;
            sink(slot);
        });
        match step {
            Ok(Step::End) => break None,
            Ok(_) => {}
            Err(error) => break Some(error),
        }
    };
    assert!(matches!(recording.next(&mut |_| {}), Ok(Step::End)), "after an error comes the end");
    let messages = recording.counts().messages;
    Outcome { opened: true, messages, slots, error, format: Some(recording.format()) }
}

/// Where to cut a file of `length` bytes.
fn cuts(length: usize, sample: usize) -> Vec<usize> {
    if length <= SMALL_BYTES {
        return (0..length).collect();
    }
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    let mut cuts: Vec<usize> = (0..sample).map(|_| random.random_range(0..length)).collect();
    cuts.extend(length - 4_096..length);
    cuts.sort_unstable();
    cuts.dedup();
    cuts
}

/// Cuts `bytes` everywhere; the messages that come out never get fewer as more of the file is there, and a cut file
/// never gives one that the whole file does not give.
#[track_caller]
fn cut_everywhere(bytes: &[u8], name: &str, sample: usize) {
    println!("{name}: {} bytes, seed {SEED}", bytes.len());
    let whole = read(bytes, name, &mut |_| {});
    assert!(whole.opened, "{name}");
    let mut before = 0;
    for cut in cuts(bytes.len(), sample) {
        let outcome = read(&bytes[..cut], name, &mut |_| {});
        if outcome.format != whole.format {
            // So little is left that it is taken for nothing, or for what its name says.
            assert!(outcome.messages == 0 || cut < 200, "{name} cut at {cut}: {outcome:?}");
            continue;
        }
        assert!(outcome.messages >= before && outcome.messages <= whole.messages, "{name} cut at {cut}: {outcome:?}");
        if outcome.messages < whole.messages && outcome.error.is_none() {
            // Only a cut between two pieces can look like an end; lines have two such places, around their end.
            let goes_on = (1..=2).any(|more| {
                let next = read(&bytes[..cut + more], name, &mut |_| {});
                next.error.is_some() || next.messages > outcome.messages
            });
            assert!(goes_on, "{name} cut at {cut}: {outcome:?}");
        }
        if let Some(error) = outcome.error {
            assert!(matches!(error, ReadError::Truncated { .. }), "{name} cut at {cut}: {error}");
        }
        before = outcome.messages;
    }
}

/// Ends of the messages of a length-prefixed file.
fn boundaries(bytes: &[u8]) -> Vec<usize> {
    let mut ends = vec![0];
    let mut at = 0;
    while at + 2 <= bytes.len() {
        at += 2 + usize::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]));
        ends.push(at);
    }
    ends
}

#[test]
fn a_cut_framed_file_gives_every_whole_message_and_the_offset_of_the_cut_one() {
    for path in files("itch50", ".itch50") {
        let (name, bytes) = (path.to_string_lossy().into_owned(), bytes(&path));
        let ends = boundaries(&bytes);
        for cut in cuts(bytes.len(), SAMPLE) {
            let outcome = read(&bytes[..cut], &name, &mut |_| {});
            assert_eq!(outcome.opened, cut > 0, "{name} cut at {cut}: an empty file is no recording");
            let whole = ends.partition_point(|&end| end <= cut) - 1;
            assert_eq!(outcome.messages, whole as u64, "{name} cut at {cut}");
            match outcome.error {
                None => assert_eq!(ends[whole], cut, "{name} cut at {cut}"),
                Some(error) => {
                    assert!(ends[whole] < cut, "{name} cut at {cut}: {error}");
                    assert_eq!(error.offset(), ends[whole] as u64, "{name} cut at {cut}: {error}");
                }
            }
        }
    }
}

#[test]
fn other_formats_are_cut_everywhere() {
    for (folder, ending) in [
        ("bist-itch", ".mold"),
        ("bist-itch", ".pcap.gz"),
        ("moldudp64-pcap/Nasdaq.Equities.TotalView.Itch.v5.0", ".pcap"),
        ("moldudp64-pcap/Nasdaq.Equities.TotalView.Itch.v5.0.20230822", ".pcap"),
        ("moldudp64-pcap/Nasdaq.Nsm.Ouch.v5.0", ".pcap"),
        ("lobster", "message_10.first999.csv.gz"),
    ] {
        for path in files(folder, ending) {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            // The smaller sample for the file whose whole length is read again and again.
            let sample = if ending == ".pcap.gz" { 100 } else { SAMPLE };
            let mut bytes = bytes(&path);
            if ending == ".pcap.gz" {
                bytes.truncate(60_000);
            }
            cut_everywhere(&bytes, &name, sample);
        }
    }
}

#[test]
fn dbn_files_are_cut_everywhere() {
    for path in files("cme-mbo", ".zst") {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let mut bytes = zstd::decode_all(std::fs::File::open(&path).unwrap()).unwrap();
        bytes.truncate(198 + 8 + 56 * 200 + 20);
        cut_everywhere(&bytes, &name, SAMPLE);
    }
}

#[test]
fn cut_compressed_files_give_what_could_be_decompressed() {
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    for path in ["bist-itch", "itch50", "lobster", "cme-mbo"]
        .into_iter()
        .flat_map(|folder| files(folder, ".gz").into_iter().chain(files(folder, ".zst")).collect::<Vec<_>>())
    {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.contains("orderbook") || name.ends_with("book.csv.gz") || name.ends_with("first6002.csv.gz") {
            continue;
        }
        let packed = std::fs::read(&path).unwrap();
        let whole = read(&packed, &name, &mut |_| {});
        assert!(whole.error.is_none() && whole.messages > 0, "{name}: {whole:?}");
        let length = packed.len();
        for cut in (0..12).chain((0..12).map(|_| random.random_range(0..length))).chain(length - 12..length) {
            let outcome = read(&packed[..cut], &name, &mut |_| {});
            assert!(outcome.messages <= whole.messages, "{name} cut at {cut}");
            assert!(!outcome.opened || outcome.error.is_some(), "{name} cut at {cut}: {outcome:?}");
            if cut > length / 2 {
                assert!(outcome.messages > whole.messages / 10, "{name} cut at {cut} of {length}: {outcome:?}");
            }
        }
    }
}

#[test]
fn wrong_bytes_never_panic_reader_or_book() {
    println!("seed {SEED}");
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    let mut names = files("itch50", ".itch50");
    names.extend(files("bist-itch", ".mold"));
    names.extend(files("bist-itch", "2112.gz"));
    names.extend(files("bist-itch", ".pcap.gz"));
    names.extend(files("moldudp64-pcap/Nasdaq.Equities.TotalView.Itch.v5.0", ".pcap"));
    names.extend(files("lobster", "message_10.first999.csv.gz"));
    names.extend(files("cme-mbo", ".zst"));
    for path in names {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let mut whole = bytes(&path);
        if name.ends_with(".zst") {
            whole = zstd::decode_all(&whole[..]).unwrap();
        }
        whole.truncate(40_000);
        let key = Recording::from_bytes(whole.clone(), &name, &options()).unwrap().order_key();
        for _ in 0..40 {
            let mut bytes = whole.clone();
            for _ in 0..random.random_range(1..20) {
                let at = random.random_range(0..bytes.len());
                bytes[at] = random.random();
            }
            let limits = Limits {
                books_max: 64,
                orders_max: 2_000,
                levels_max: 1_000,
                ladder_slots: 500,
                trades_max: 4_096,
                queues: true,
                look_ahead_orders_min: 0,
                key,
                seed: 1,
            };
            let mut market = Market::new(limits);
            read(&bytes, &name, &mut |slot| market.apply(&slot, &mut ()));
            market.check_invariants();
        }
    }
}

#[test]
fn wrong_bytes_in_metadata_never_panic() {
    println!("seed {SEED}");
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    for path in files("cme-mbo", ".zst") {
        let mut whole = zstd::decode_all(std::fs::File::open(&path).unwrap()).unwrap();
        whole.truncate(2_000);
        for _ in 0..3_000 {
            let mut bytes = whole.clone();
            for _ in 0..random.random_range(1..6) {
                bytes[random.random_range(4..220)] = random.random();
            }
            read(&bytes, "damaged.dbn", &mut |_| {});
        }
    }
}

#[test]
fn noise_of_every_kind_is_refused_or_counted() {
    println!("seed {SEED}");
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    let heads: [&[u8]; 8] = [
        b"",
        &[0xD4, 0xC3, 0xB2, 0xA1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0],
        &[0x0A, 0x0D, 0x0D, 0x0A, 28, 0, 0, 0, 0x4D, 0x3C, 0x2B, 0x1A],
        b"DBN\x01\xc6\0\0\0",
        b"34200.1,1,1,1,1,1\n",
        &[0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3],
        &[0x28, 0xB5, 0x2F, 0xFD],
        &[0, 5, b'T', 0, 0, 0, 0],
    ];
    for round in 0..400 {
        let mut bytes = heads[round % heads.len()].to_vec();
        let length = random.random_range(0..3_000);
        bytes.extend((0..length).map(|_| random.random::<u8>()));
        for name in ["noise", "noise.itch50", "noise.bistech", "noise.mold", "noise_message_1.csv", "noise.dbn"] {
            let outcome = read(&bytes, name, &mut |_| {});
            assert!(outcome.slots <= 4 * (outcome.messages + 2), "{outcome:?}");
        }
    }
}

#[test]
fn numbers_and_sessions_that_nothing_bears_out_are_neither_gaps_nor_sessions() {
    let mut bytes = Vec::new();
    for session in [b"SESSION001", b"SESSION002", b"SESSION003"] {
        for number in [1, u64::MAX - 5] {
            let mut writer = PacketWriter::new(*session, number, 1_400);
            writer.push(&[b'T', 0, 0, 0, 1]).unwrap();
            bytes.extend_from_slice(writer.take().unwrap());
        }
    }
    let options = RecordingOptions { format: FormatChoice::MoldPcap, ..options() };
    let mut recording = Recording::from_bytes(bytes, "gaps.bistech.mold", &options).unwrap();
    while !matches!(recording.next(&mut |_| {}), Ok(Step::End)) {}
    let counts = recording.counts();
    // One packet of each leap and two of each session, which do not go together: only the first one is believed.
    assert_eq!((counts.messages, counts.gaps, counts.lost, counts.sessions), (1, 0, 0, 0));
}
