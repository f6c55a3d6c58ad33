//! The fuzz targets without a fuzzer: over random bytes, over their seeds, and a million mutated packets.

use std::collections::BTreeMap;
use std::path::Path;

use book::Slot;
use feed_handler::decode::sink::Received;
use feed_handler::decode::{bistech, itch50};
use feed_handler::recovery::sequencer::{Sequencer, SequencerConfig, Start};
use feed_handler::wire::moldudp64::{BadPacket, Packet, PacketWriter};
use proptest::collection::vec;
use proptest::prelude::any;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::samples;

#[path = "../../../tests/fuzz/src/wire.rs"]
mod drive;

#[path = "../../../tests/fuzz/src/lines.rs"]
mod lines;

type Target = (&'static str, fn(&[u8]));

const TARGETS: [Target; 5] = [
    ("bistech_decode", drive::bistech_decode),
    ("itch50_decode", drive::itch50_decode),
    ("mold_packet", drive::mold_packet),
    ("sequencer", drive::sequencer),
    ("two_lines", lines::two_lines),
];

/// Samples behind one-byte lengths, as the decode targets read them.
fn framed(samples: &[Vec<u8>]) -> Vec<u8> {
    samples.iter().flat_map(|sample| [&[sample.len() as u8][..], sample].concat()).collect()
}

fn packet_of(sequence: u64, messages: &[Vec<u8>]) -> Vec<u8> {
    let mut writer = PacketWriter::new(*b"SEED000001", sequence, 1_400);
    for message in messages {
        writer.push(message).unwrap();
    }
    writer.take().unwrap().to_vec()
}

/// All seeds: target, name, bytes.
fn seeds() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let writer = PacketWriter::new(*b"SEED000001", 7, 1_400);
    vec![
        ("bistech_decode", "all_types", [vec![0], framed(&samples::bistech())].concat()),
        ("bistech_decode", "default_decimals", [vec![131], framed(&samples::bistech()[2..])].concat()),
        ("itch50_decode", "all_types", framed(&samples::itch50())),
        ("mold_packet", "messages", packet_of(1, &samples::bistech())),
        ("mold_packet", "empty_blocks", packet_of(u64::MAX - 3, &[vec![], vec![]])),
        ("mold_packet", "heartbeat", writer.heartbeat().to_vec()),
        ("mold_packet", "end", writer.end_of_session().to_vec()),
        // In order; overtaken and filled; given up; a new session; a restart; an end; next to the end of the numbers.
        ("sequencer", "in_order", vec![0, 0, 0, 3, 1, 0, 4, 0, 1, 3, 5, 0, 1, 4, 5, 0, 1]),
        ("sequencer", "overtaken", vec![2, 0, 0, 0, 1, 0, 3, 0, 1, 0, 1, 1, 1, 7, 0, 0, 9]),
        (
            "sequencer",
            "given_up",
            vec![0x70, 0, 0, 0, 1, 0, 9, 0, 1, 0, 19, 0, 1, 7, 0, 0, 20, 6, 30, 0, 1, 0, 30, 0, 1],
        ),
        ("sequencer", "sessions", vec![1, 0, 9, 0, 1, 64, 0, 3, 1, 0, 9, 0, 1, 0, 9, 0, 50, 64, 9, 0, 100]),
        ("sequencer", "restart", vec![0, 0, 0, 7, 1, 0, 8, 7, 1, 0, 0, 0, 100, 3, 1, 0, 100, 0, 1, 0, 100]),
        ("sequencer", "ends_twice", vec![0, 0, 28, 3, 0, 0, 0, 0, 9, 4, 33, 0, 11, 0, 32, 5, 0, 4, 38, 0, 0]),
        ("sequencer", "end_before_known", vec![0, 3, 38, 0, 0, 3, 0, 0, 2, 0, 1, 4, 10, 4, 0, 0, 8, 4, 38, 0, 0]),
        // On time on both lines; each loses what the other brings; both lose it; late and twice, with a server; few places.
        ("two_lines", "on_time", vec![6, 5, 0, 0, 9, 1, 1, 33, 0, 0]),
        ("two_lines", "each_loses", vec![6, 5, 0xC0, 0, 9, 1, 0xC0, 33, 0xC0, 9, 2, 0, 0xFF]),
        ("two_lines", "both_lose", vec![6, 5, 0, 0, 9, 0xC0, 0xC0, 33, 0, 0, 34, 0xC0, 0xC0]),
        ("two_lines", "with_a_server", vec![7, 5, 0xC0, 0xC0, 11, 0x4F, 31, 34, 0xC0, 0xC0, 2, 0, 0x45]),
        ("two_lines", "one_by_one", vec![14, 7, 3, 0x40, 7, 0xC0, 9, 7, 31, 0x80, 7, 0, 0xC1]),
        ("two_lines", "few_places", vec![1, 1, 31, 31, 1, 0, 0, 1, 2, 0xC0, 1, 1, 1, 1, 0xC0, 0xC0, 1, 0, 3, 1, 0, 4]),
        ("sequencer", "last_numbers", vec![5, 0, 255, 7, 1, 4, 255, 0, 1, 0, 250, 7, 1, 5, 0, 0, 0]),
    ]
}

#[test]
fn seeds_are_those_of_the_layouts_and_hold() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/corpus");
    for (target, name, bytes) in seeds() {
        let path = folder.join(target).join(name);
        if std::env::var_os("BIST_WRITE_SEEDS").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &bytes).unwrap();
        }
        assert_eq!(std::fs::read(&path).ok(), Some(bytes), "{} is out of date", path.display());
    }
    for (target, drive) in TARGETS {
        for seed in std::fs::read_dir(folder.join(target)).unwrap() {
            drive(&std::fs::read(seed.unwrap().path()).unwrap());
        }
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 2_000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_bytes_are_decoded_or_refused(data in vec(any::<u8>(), 0..600)) {
        drive::bistech_decode(&data);
        drive::itch50_decode(&data);
        drive::mold_packet(&data);
    }

    #[test]
    fn any_script_leaves_the_sequencer_in_order(data in vec(any::<u8>(), 0..400)) {
        drive::sequencer(&data);
    }

    #[test]
    fn any_fate_on_two_lines_gives_the_stream_that_was_sent(data in vec(any::<u8>(), 0..200)) {
        lines::two_lines(&data);
    }

    /// Numbers close together, so that packets really overlap and overtake.
    #[test]
    fn any_dense_script_leaves_the_sequencer_in_order(
        options in any::<u8>(),
        steps in vec((0..8_u8, 0..40_u8, 0..8_u8, 0..12_u8), 0..100),
    ) {
        let script = steps.iter().flat_map(|&(what, first, second, wait)| [what, first, second, wait]);
        drive::sequencer(&[options].into_iter().chain(script).collect::<Vec<u8>>());
    }
}

/// Changes a few bytes, or the length.
fn mutate(random: &mut ChaCha8Rng, datagram: &mut Vec<u8>) {
    for _ in 0..random.random_range(1..4) {
        let at = random.random_range(0..datagram.len());
        match random.random_range(0..8) {
            0..4 => datagram[at] ^= 1 << random.random_range(0..8),
            4 => datagram[at] = random.random(),
            5 => datagram[at] = [0x00, 0xFF, 0x7F, 0x80, b' '][random.random_range(0..5)],
            6 => {
                let from = random.random_range(0..datagram.len());
                datagram[at] = datagram[from];
            }
            _ if random.random_ratio(1, 4) => {
                datagram.truncate(at.max(1));
            }
            _ => datagram.push(random.random()),
        }
    }
}

#[test]
fn a_million_mutated_packets_are_counted_and_nothing_breaks() {
    const PACKETS: u64 = 1_000_000;
    let seed = 20_250_228;
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut bases: Vec<Vec<u8>> = samples::bistech().chunks(2).map(|some| packet_of(1, some)).collect();
    bases.extend(samples::itch50().chunks(2).map(|some| packet_of(1, some)));
    bases.push(PacketWriter::new(*b"SEED000001", 2, 64).heartbeat().to_vec());

    let mut bistech = bistech::Decoder::new(64, None);
    let mut itch50 = itch50::Decoder::new(0, 5_000);
    for message in &samples::bistech()[..2] {
        bistech.decode(message, Received::default(), &mut |_slot: Slot| {}).unwrap();
    }
    let mut sequencer =
        Sequencer::new(SequencerConfig { start: Start::Join, packets_parked_max: 16, ..SequencerConfig::default() });
    let (mut packets, mut messages, mut slots) = (0_u64, 0_u64, 0_u64);
    let mut refused: BTreeMap<&str, u64> = BTreeMap::new();
    let mut damaged: BTreeMap<&str, u64> = BTreeMap::new();
    let mut datagram = Vec::new();
    for turn in 0..PACKETS {
        datagram.clear();
        datagram.extend_from_slice(&bases[random.random_range(0..bases.len())]);
        mutate(&mut random, &mut datagram);
        let _ = sequencer.on_packet(turn * 1_000, &datagram, &mut |_outcome| {});
        let packet = match Packet::parse(&datagram) {
            Ok(packet) => packet,
            Err(bad) => {
                *damaged
                    .entry(match bad {
                        BadPacket::NoHeader { .. } => "no header",
                        BadPacket::Cut { .. } => "cut",
                        BadPacket::Extra { .. } => "extra",
                        BadPacket::SequenceOverflow { .. } => "overflow",
                    })
                    .or_default() += 1;
                continue;
            }
        };
        packets += 1;
        for (_, message) in packet.messages() {
            messages += 1;
            for outcome in [
                bistech.decode(message, Received::default(), &mut |_slot: Slot| slots += 1),
                itch50.decode(message, Received::default(), &mut |_slot: Slot| slots += 1),
            ] {
                if let Err(reason) = outcome {
                    *refused.entry(reason.reason()).or_default() += 1;
                }
            }
        }
    }
    println!("seed {seed}: {packets} packets, {messages} messages, {slots} slots, {refused:?}, {damaged:?}");
    assert_eq!(packets + damaged.values().sum::<u64>(), PACKETS, "every packet is counted once");
    assert_eq!(sequencer.counters.packets, PACKETS);
    assert_eq!(sequencer.counters.damaged, damaged.values().sum::<u64>());
    let decoded = bistech.counters.decoded - 2 + itch50.counters.decoded;
    assert_eq!(decoded + refused.values().sum::<u64>(), 2 * messages, "every message is counted once by each decoder");
    assert_eq!(bistech.counters.refused + itch50.counters.refused, refused.values().sum::<u64>());
    for reason in ["unknown_type", "short", "bad_field", "too_many_books"] {
        assert!(refused.contains_key(reason), "no message was refused as {reason}: the mutations are too tame");
    }
    for kind in ["no header", "cut", "extra"] {
        assert!(damaged.contains_key(kind), "no packet was {kind}: the mutations are too tame");
    }
}
