//! What the sequencer believes of a line: strangers, forged numbers, early ends, damage, and the true changes among them.

use feed_handler::recovery::sequencer::{PacketOutcome, Recovery, Sequenced, Sequencer, SequencerConfig, Start};
use feed_handler::wire::moldudp64::PacketWriter;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::sequencing::{MS, RECOVERY, Scene, end, heartbeat, packet};

fn scene() -> Scene {
    Scene::new(SequencerConfig::default())
}

fn numbers(numbers: std::ops::RangeInclusive<u64>) -> String {
    numbers.map(|number| number.to_string()).collect::<Vec<_>>().join(" ")
}

#[test]
fn f7_a_stray_packet_of_another_session_changes_nothing() {
    let mut scene = scene();
    scene.packet(0, 1, 6).datagram(1, &packet(b'Z', 1, 1)).packet(2, 7, 1).packet(3, 8, 1).said("s1 1 2 3 4 5 6 7 8");
    assert_eq!((scene.sequencer.counters.foreign, scene.sequencer.counters.sessions), (1, 1));
    // Three of them, but over more than a second of a session that delivers.
    for (second, first) in [(0, 2), (1, 3), (2, 4), (3, 5)] {
        let at_ms = 600 + second * 600;
        scene.datagram(at_ms, &packet(b'Z', first, 1)).packet(at_ms, 9 + second, 1);
    }
    scene.said("9 10 11 12");
}

#[test]
fn f7_late_ends_of_an_old_session_never_bring_it_back() {
    let mut scene = scene();
    scene.packet(0, 1, 3);
    for number in 1..=3 {
        scene.datagram(10, &packet(b'B', number, 1));
    }
    scene.said("s1 1 2 3 s1 1 2 3");
    for at in 0..50 {
        scene.datagram(200 + at * 200, &end(b'A', 4)).datagram(201 + at * 200, &packet(b'B', 4 + at, 1));
    }
    scene.said(&numbers(4..=53));
}

#[test]
fn f7_a_new_session_is_believed_with_its_third_packet_and_nothing_of_it_is_lost() {
    let mut scene = scene();
    // Strangers between its packets do not keep it from being believed.
    scene.packet(0, 1, 3).datagram(1, &heartbeat(b'B', 1)).datagram(2, &packet(b'Y', 70, 1)).said("s1 1 2 3");
    scene.datagram(3, &packet(b'B', 2, 2)).datagram(3, &packet(b'X', 9, 1)).datagram(4, &packet(b'Z', 7, 1));
    scene.said("").datagram(5, &packet(b'B', 1, 1)).said("s1 1 2 3").datagram(6, &packet(b'B', 4, 1)).said("4");
    // Heartbeats alone say no more than a memory of them would.
    for at in 0..9 {
        scene.datagram(10_000 + at * 1_000, &heartbeat(b'C', 1));
    }
    scene.said("").datagram(20_000, &packet(b'C', 1, 1)).said("s1 1");
}

#[test]
fn f7_disorder_within_64_packets_never_mixes_two_sessions() {
    for seed in 0..100 {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut sent: Vec<(u64, u8, Vec<u8>)> = Vec::new();
        for (name, start) in [(b'A', 0), (b'B', 300)] {
            for number in 1..=300 {
                let mut writer = PacketWriter::new([name; 10], number, 1_400);
                writer.push(&[&[name][..], &number.to_be_bytes()].concat()).unwrap();
                sent.push((start + number, name, writer.take().unwrap().to_vec()));
            }
        }
        sent.shuffle(&mut random);
        sent.sort_by_cached_key(|&(at, ..)| at + random.random_range(0..64));
        let config = SequencerConfig { gap_timeout_ns: 1_000 * MS, ..SequencerConfig::default() };
        let mut sequencer = Sequencer::new(config);
        let (mut sessions, mut next, mut lost) = (0, 1, 0);
        let mut now_ns = 0;
        for (_, _, datagram) in sent {
            now_ns += MS;
            let _ = sequencer.on_packet(now_ns, &datagram, &mut |sequenced| match sequenced {
                Sequenced::Session { .. } => (sessions, next) = (sessions + 1, 1),
                Sequenced::Message { sequence, message } => {
                    assert_eq!((message[0], sequence), (b"AB"[sessions - 1], next), "seed {seed}");
                    assert_eq!(message[1..], sequence.to_be_bytes(), "seed {seed}");
                    next += 1;
                }
                Sequenced::Gap { from, to } => {
                    assert_eq!((sessions, from), (1, next), "seed {seed}: only the old session ends early");
                    (next, lost) = (to + 1, lost + to + 1 - from);
                }
                Sequenced::LineMismatch { sequence } => panic!("seed {seed}: {sequence} was said twice, and alike"),
                Sequenced::Request(_) | Sequenced::EndOfSession { .. } => {}
            });
        }
        assert_eq!((sessions, next), (2, 301), "seed {seed}: the new session is whole");
        assert!(lost < 128, "seed {seed}: {lost}");
    }
}

#[test]
fn duplicates_and_whole_replays_of_the_session_change_nothing() {
    let mut scene = scene();
    for round in 0..4 {
        for number in 1..=50 {
            scene.packet(round * 100 + number, number, 1).packet(round * 100 + number, number, 1);
        }
    }
    scene.said(&format!("s1 {}", numbers(1..=50)));
    assert_eq!(scene.sequencer.counters.repeats, 350);
}

#[test]
fn f8_a_cut_or_torn_packet_is_no_evidence_of_anything() {
    let whole = packet(b'A', 4, 3);
    let mut scene = scene();
    scene.packet(0, 1, 3).said("s1 1 2 3");
    for cut in 0..whole.len() {
        scene.datagram(1, &whole[..cut]).said("");
    }
    for length in [0, 1, 7, 9, u16::MAX] {
        let mut torn = whole.clone();
        torn[20..22].copy_from_slice(&length.to_be_bytes());
        scene.datagram(1, &torn).said("");
    }
    for count in [1_u16, 2, 4, 5, 1_000, u16::MAX - 1] {
        let mut torn = whole.clone();
        torn[18..20].copy_from_slice(&count.to_be_bytes());
        scene.datagram(1, &torn).said("");
    }
    let counters = scene.sequencer.counters;
    assert_eq!(counters.damaged, whole.len() as u64 + 5 + 6);
    assert_eq!((counters.foreign, counters.jumped, counters.messages), (0, 0, 3));
    assert_eq!(scene.sequencer.heard_ns(), Some(0), "damage is no sign of life");
    scene.datagram(2, &whole).said("4 5 6");
}

#[test]
fn f8_a_flipped_bit_of_name_or_high_number_costs_its_packet_and_no_more() {
    let whole = packet(b'A', 4, 3);
    // The ten bytes of the name, and the number down to what a lost burst could leave open.
    for bit in (0..10 * 8).chain(10 * 8..16 * 8 + 5) {
        let mut scene = scene();
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 0x80 >> (bit % 8);
        scene.packet(0, 1, 3).datagram(1, &flipped).said("s1 1 2 3");
        scene.datagram(2, &whole).packet(3, 7, 2).said("4 5 6 7 8").idle(9_000).said("");
        let counters = scene.sequencer.counters;
        assert_eq!((counters.foreign + counters.jumped, counters.gaps), (1, 0), "bit {bit}");
    }
}

#[test]
fn f10_a_forged_number_costs_nothing() {
    let mut scene = Scene::new(SequencerConfig { recovery: Some(RECOVERY), ..SequencerConfig::default() });
    scene.packet(0, 1, 3).said("s1 1 2 3");
    for at in 0..100 {
        // Nearly every time it says another one; now and then the same three times, while the session goes on.
        scene.datagram(10 * at, &heartbeat(b'A', (1 << 63) + at / 3)).idle(10 * at + 5);
        scene.packet(10 * at + 6, 4 + at, 1);
    }
    scene.said(&numbers(4..=103));
    let counters = scene.sequencer.counters;
    assert_eq!((counters.jumped, counters.requests, counters.gaps, counters.sessions), (100, 0, 0, 1));
    assert_eq!(scene.sequencer.deadline_ns(), None);
}

#[test]
fn f10_numbers_that_leap_are_a_gap_once_three_packets_bear_it_out() {
    let mut scene = scene();
    scene.packet(0, 1, 1).packet(1, 500_000, 1).packet(2, 500_001, 1).idle(900).said("s1 1");
    scene.packet(901, 500_002, 1).said("").idle(1_101).said("-2..499999 500000 500001 500002");
    assert_eq!((scene.sequencer.counters.jumped, scene.sequencer.counters.sessions), (3, 1));
}

#[test]
fn f10_numbers_beyond_the_bound_are_a_new_beginning() {
    let mut scene = Scene::new(SequencerConfig { jump_max: 10_000, ..SequencerConfig::default() });
    scene.packet(0, 1, 1).packet(1, 50_000, 1).packet(2, 50_001, 1).said("s1 1");
    scene.packet(3, 50_002, 1).said("r50000 50000 50001 50002").packet(4, 50_003, 1).idle(900).said("50003");
    assert_eq!(scene.sequencer.counters.gaps, 0);
}

#[test]
fn f10_numbers_close_to_the_end_of_64_bits_are_believed_like_any_other() {
    let mut scene = scene();
    let high = u64::MAX - 9;
    scene.packet(0, 1, 1).packet(1, high, 1).packet(2, high + 1, 1).said("s1 1");
    scene.packet(3, high + 2, 1).said(&format!("r{high} {high} {} {}", high + 1, high + 2));
    scene.datagram(4, &heartbeat(b'A', u64::MAX)).idle(999).said(&format!("-{}..{}", high + 3, u64::MAX - 1));
}

#[test]
fn f10_an_end_is_believed_when_nothing_contradicts_it() {
    let mut scene = scene();
    scene.packet(0, 1, 1).datagram(1, &end(b'A', 2)).packet(2, 2, 1).datagram(3, &end(b'A', 3)).said("s1 1 2");
    // Who still gives signs of life has not ended.
    scene.datagram(4, &end(b'A', 3)).datagram(5, &heartbeat(b'A', 3)).datagram(6, &end(b'A', 3)).said("");
    assert!(!scene.sequencer.is_ended());
    scene.datagram(7, &end(b'A', 3)).datagram(8, &end(b'A', 3)).said(".3");
    assert!(scene.sequencer.is_ended());
    scene.packet(9, 3, 1).said("3");
    assert!(!scene.sequencer.is_ended(), "a message revokes it");
}

#[test]
fn f10_only_messages_and_heartbeats_of_the_session_are_life() {
    let mut scene = scene();
    scene.packet(1, 1, 2);
    for datagram in [
        b"garbage".to_vec(),
        packet(b'Z', 1, 1),
        heartbeat(b'Z', 1).to_vec(),
        end(b'A', 3).to_vec(),
        heartbeat(b'A', 2).to_vec(),
        packet(b'A', 1, 2),
        heartbeat(b'A', 1 << 63).to_vec(),
    ] {
        assert!(!scene.sequencer.would_hear(&datagram));
        scene.datagram(5, &datagram);
        assert_eq!(scene.sequencer.heard_ns(), Some(MS));
    }
    assert!(scene.sequencer.would_hear(&heartbeat(b'A', 3)));
    scene.datagram(6, &heartbeat(b'A', 3));
    assert_eq!(scene.sequencer.heard_ns(), Some(6 * MS));
    scene.packet(7, 3, 1);
    assert_eq!(scene.sequencer.heard_ns(), Some(7 * MS));
}

/// Ends that go together may bear out a leap of numbers; who only tells of an end is not alive.
#[test]
fn f10_ends_that_bear_out_a_leap_are_no_life() {
    let mut scene = scene();
    scene.packet(1, 1, 2);
    for number in [5_000, 5_000, 5_100, 5_100] {
        scene.datagram(50, &end(b'A', number));
    }
    scene.idle(300).said("s1 1 2 -3..5099");
    assert_eq!(scene.sequencer.heard_ns(), Some(MS));
    scene.packet(400, 5_100, 1);
    assert_eq!(scene.sequencer.heard_ns(), Some(400 * MS));
}

#[test]
fn requests_without_an_answer_back_off_and_an_answer_resets() {
    let recovery = Some(Recovery { delay_ns: 0, interval_ns: 5 * MS, messages_max: 9 });
    let config = SequencerConfig { recovery, gap_timeout_ns: 100_000 * MS, ..SequencerConfig::default() };
    let mut sequencer = Sequencer::new(config);
    let asked_at = |sequencer: &mut Sequencer, from_ms: u64, to_ms: u64| {
        let mut at = Vec::new();
        for now_ms in from_ms..to_ms {
            sequencer.on_idle(now_ms * MS, &mut |sequenced| {
                at.extend(matches!(sequenced, Sequenced::Request(_)).then_some(now_ms));
            });
        }
        at
    };
    let mut requests = 0;
    let mut count = |sequenced: Sequenced<'_>| requests += u64::from(matches!(sequenced, Sequenced::Request(_)));
    let _ = sequencer.on_packet(0, &packet(b'A', 1, 1), &mut count);
    let _ = sequencer.on_packet(0, &packet(b'A', 30, 1), &mut count);
    assert_eq!(requests, 1);
    let expected = [5, 15, 35, 75, 155, 315, 635, 1_275, 2_275, 3_275, 4_275];
    assert_eq!(asked_at(&mut sequencer, 1, 5_000), expected);
    let answer = sequencer.on_packet(5_000 * MS, &packet(b'A', 2, 9), &mut |_| {});
    assert_eq!(answer, Ok(PacketOutcome::First));
    assert_eq!(asked_at(&mut sequencer, 5_001, 5_050), [5_005, 5_015, 5_035]);
}

#[test]
fn a_session_that_is_joined_midway_begins_with_what_came() {
    let config = SequencerConfig { start: Start::Join, ..SequencerConfig::default() };
    let mut scene = Scene::new(config);
    scene.packet(0, 700_000_000, 2).said("s700000000 700000000 700000001");
    // With a server everything from the beginning is asked for, however much it is.
    let mut scene = Scene::new(SequencerConfig { recovery: Some(RECOVERY), ..SequencerConfig::default() });
    scene.packet(0, 700_000_000, 2).idle(2).said("s1 ?1+100").packet(3, 1, 2).said("1 2");
}

/// A packet of session `name` whose messages have other bytes than those of [`packet`].
fn lie(name: u8, first: u64, count: u64) -> Vec<u8> {
    let mut lie = packet(name, first, count);
    let last = lie.len() - 1;
    lie[last] ^= 1;
    lie
}

fn two_lines() -> Scene {
    Scene::new(SequencerConfig { compares_lines: true, ..SequencerConfig::default() })
}

#[test]
fn f6_lines_that_say_the_same_are_no_contradiction_and_other_bytes_of_a_number_are() {
    let mut scene = two_lines();
    for number in 1..=50 {
        scene.packet(number, number, 1).packet(number, number, 1);
    }
    scene.said(&format!("s1 {}", numbers(1..=50)));
    // The copy that came first counts, and is not taken back.
    scene
        .datagram(60, &lie(b'A', 50, 1))
        .packet(61, 51, 2)
        .said("!50 51 52")
        .datagram(62, &lie(b'A', 51, 2))
        .said("!52");
    assert_eq!((scene.sequencer.counters.mismatches, scene.sequencer.counters.repeats), (2, 53));
}

#[test]
fn f6_a_contradiction_is_said_before_what_it_spoils_is_delivered() {
    let mut scene = two_lines();
    // Parked behind a hole, and contradicted while it waits.
    scene.packet(0, 1, 1).packet(1, 3, 1).datagram(2, &lie(b'A', 3, 1)).said("s1 1 !3").packet(3, 2, 1).said("2 3");
    // The same of packets that wait until their session is believed.
    scene
        .packet(4, 4, 1)
        .datagram(5, &packet(b'B', 1, 1))
        .datagram(5, &lie(b'B', 1, 1))
        .datagram(6, &packet(b'B', 2, 1));
    scene.said("4 s1 !1 1 2");
}

#[test]
fn f6_contents_are_not_compared_across_sessions_far_numbers_or_with_one_line() {
    let mut scene = two_lines();
    scene.packet(0, 1, 2).datagram(1, &lie(b'A', 900_000, 1)).packet(2, 3, 1).said("s1 1 2 3");
    for number in 1..=3 {
        let taken = scene.sequencer.on_packet((10 + number) * MS, &lie(b'B', number, 1), &mut |_| {});
        assert!(taken.is_ok());
    }
    assert_eq!((scene.sequencer.counters.sessions, scene.sequencer.counters.mismatches), (2, 0));
    let mut scene = self::scene();
    scene.packet(0, 1, 2).datagram(1, &lie(b'A', 1, 2)).said("s1 1 2");
    assert_eq!((scene.sequencer.counters.mismatches, scene.sequencer.counters.repeats), (0, 2));
}
