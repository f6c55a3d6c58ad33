//! The sequencer: small scenes written out, and a lossy network against the reference answer.

use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use feed_handler::recovery::sequencer::{Recovery, Sequenced, Sequencer, SequencerConfig, SequencerCounters, Start};
use feed_handler::wire::moldudp64::{PacketWriter, PushError, Request, Session};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

pub const MS: u64 = 1_000_000;
pub const RECOVERY: Recovery = Recovery { delay_ns: 2 * MS, interval_ns: 10 * MS, messages_max: 100 };

/// A sequencer and everything that it said, as one line: `s1` session from 1, `3` message 3, `-4..6` lost,
/// `?4+3` request of three from 4, `.7` end at 7.
pub struct Scene {
    pub sequencer: Sequencer,
    said: Vec<String>,
}

impl Scene {
    pub fn new(config: SequencerConfig) -> Self {
        Self { sequencer: Sequencer::new(config), said: Vec::new() }
    }

    fn say(said: &mut Vec<String>, outcome: Sequenced<'_>) {
        said.push(match outcome {
            Sequenced::Session { next, restarted: false, .. } => format!("s{next}"),
            Sequenced::Session { next, restarted: true, .. } => format!("r{next}"),
            Sequenced::Message { sequence, message } => {
                assert_eq!(message, sequence.to_be_bytes(), "the bytes of another message");
                sequence.to_string()
            }
            Sequenced::Gap { from, to } => format!("-{from}..{to}"),
            Sequenced::Request(Request { from, count, .. }) => format!("?{from}+{count}"),
            Sequenced::LineMismatch { sequence } => format!("!{sequence}"),
            Sequenced::EndOfSession { next } => format!(".{next}"),
        });
    }

    pub fn datagram(&mut self, at_ms: u64, datagram: &[u8]) -> &mut Self {
        let said = &mut self.said;
        let _ = self.sequencer.on_packet(at_ms * MS, datagram, &mut |outcome| Self::say(said, outcome));
        self
    }

    /// A packet of session `A` with `count` messages from `first` on.
    pub fn packet(&mut self, at_ms: u64, first: u64, count: u64) -> &mut Self {
        self.datagram(at_ms, &packet(b'A', first, count))
    }

    /// The end of session `A`, three times.
    fn ends(&mut self, at_ms: u64, next: u64) -> &mut Self {
        (0..3).fold(self, |scene, _| scene.datagram(at_ms, &end(b'A', next)))
    }

    pub fn idle(&mut self, at_ms: u64) -> &mut Self {
        let said = &mut self.said;
        self.sequencer.on_idle(at_ms * MS, &mut |outcome| Self::say(said, outcome));
        self
    }

    #[track_caller]
    pub fn said(&mut self, expected: &str) -> &mut Self {
        assert_eq!(self.said.join(" "), expected);
        self.said.clear();
        self
    }
}

fn session(name: u8) -> Session {
    [name; 10]
}

pub fn packet(name: u8, first: u64, count: u64) -> Vec<u8> {
    let mut writer = PacketWriter::new(session(name), first, 1_400);
    for sequence in first..first + count {
        writer.push(&sequence.to_be_bytes()).unwrap();
    }
    writer.take().unwrap().to_vec()
}

pub fn heartbeat(name: u8, next: u64) -> [u8; 20] {
    PacketWriter::new(session(name), next, 1_400).heartbeat()
}

pub fn end(name: u8, next: u64) -> [u8; 20] {
    PacketWriter::new(session(name), next, 1_400).end_of_session()
}

#[test]
fn packets_in_order_pass_through() {
    let mut scene = Scene::new(SequencerConfig::default());
    scene.packet(0, 1, 2).packet(1, 3, 1).datagram(2, &heartbeat(b'A', 4)).said("s1 1 2 3");
    assert_eq!(scene.sequencer.next_sequence(), 4);
    assert_eq!(scene.sequencer.deadline_ns(), None);
}

#[test]
fn repeats_and_packets_partly_old_give_each_message_once() {
    let mut scene = Scene::new(SequencerConfig::default());
    scene.packet(0, 1, 3).packet(1, 1, 3).packet(2, 2, 4).said("s1 1 2 3 4 5");
    assert_eq!(scene.sequencer.counters.repeats, 5);
}

#[test]
fn packets_that_overtake_wait_for_the_others() {
    let mut scene = Scene::new(SequencerConfig::default());
    scene.packet(0, 1, 1).packet(1, 5, 2).packet(2, 4, 1).packet(2, 5, 2).packet(2, 5, 1).said("s1 1");
    scene.packet(3, 2, 2).said("2 3 4 5 6");
    let counters = scene.sequencer.counters;
    assert_eq!((counters.parked, counters.parked_high_water, counters.repeats), (2, 2, 3));
    assert_eq!((counters.gaps, counters.lost), (0, 0));
}

#[test]
fn a_gap_is_given_up_once_and_the_rest_goes_on() {
    let mut scene = Scene::new(SequencerConfig::default());
    scene.packet(0, 1, 1).packet(10, 4, 2).packet(20, 8, 1).idle(209).said("s1 1");
    assert_eq!(scene.sequencer.deadline_ns(), Some(210 * MS));
    scene.idle(210).said("-2..3 4 5");
    scene.idle(219).said("").idle(220).said("-6..7 8").idle(999).said("");
    let counters = scene.sequencer.counters;
    assert_eq!((counters.gaps, counters.lost, counters.messages), (2, 4, 4));
    scene.packet(1_000, 2, 2).said("");
    assert_eq!(scene.sequencer.counters.repeats, 2, "too late: they were named as lost");
}

#[test]
fn a_heartbeat_shows_a_loss_at_the_end() {
    let mut scene = Scene::new(SequencerConfig::default());
    scene.packet(0, 1, 1).datagram(5, &heartbeat(b'A', 4)).idle(204).said("s1 1").idle(205).said("-2..3");
    scene.packet(206, 4, 1).said("4");
}

#[test]
fn many_gaps_are_waited_for_together() {
    let mut scene = Scene::new(SequencerConfig::default());
    scene.packet(0, 1, 1);
    for hole in 1..=5 {
        scene.packet(hole, 1 + 2 * hole, 1);
    }
    scene.idle(205).said("s1 1 -2..2 3 -4..4 5 -6..6 7 -8..8 9 -10..10 11");
}

#[test]
fn a_gap_that_is_filled_in_part_gets_its_time_anew_while_it_is_asked_for() {
    let mut scene = Scene::new(SequencerConfig::default());
    scene.packet(0, 1, 1).packet(0, 10, 1).packet(150, 2, 3).idle(199).said("s1 1 2 3 4");
    scene.idle(200).said("-5..9 10");
    let recovery = Some(Recovery { delay_ns: 1_000 * MS, ..RECOVERY });
    let mut scene = Scene::new(SequencerConfig { recovery, ..SequencerConfig::default() });
    scene.packet(0, 1, 1).packet(0, 10, 1).packet(150, 2, 3).idle(349).said("s1 1 2 3 4");
    scene.idle(350).said("-5..9 10");
}

#[test]
fn missing_messages_are_asked_for_at_most_once_per_interval() {
    let mut scene = Scene::new(SequencerConfig { recovery: Some(RECOVERY), ..SequencerConfig::default() });
    scene.packet(0, 1, 1).packet(0, 300, 1).idle(1).said("s1 1");
    assert_eq!(scene.sequencer.deadline_ns(), Some(2 * MS));
    scene.idle(2).said("?2+100").idle(3).idle(11).said("").idle(12).said("?2+100");
    scene.packet(13, 2, 90).idle(21).said(&(2..92).map(|n| n.to_string()).collect::<Vec<_>>().join(" "));
    scene.idle(22).said("?92+100");
    assert_eq!(scene.sequencer.counters.requests, 3);
}

#[test]
fn a_short_gap_is_asked_for_in_its_length() {
    let mut scene = Scene::new(SequencerConfig { recovery: Some(RECOVERY), ..SequencerConfig::default() });
    scene.packet(0, 1, 1).packet(0, 5, 1).idle(5).said("s1 1 ?2+3");
    scene.packet(6, 2, 3).said("2 3 4 5");
}

#[test]
fn a_session_may_be_joined_in_the_middle_or_wanted_from_its_start() {
    Scene::new(SequencerConfig { start: Start::Join, ..SequencerConfig::default() })
        .packet(0, 700, 2)
        .said("s700 700 701");
    Scene::new(SequencerConfig::default()).packet(0, 4, 1).idle(200).said("s1 -1..3 4");
    Scene::new(SequencerConfig { start: Start::At(3), ..SequencerConfig::default() }).packet(0, 1, 4).said("s3 3 4");
    Scene::new(SequencerConfig::default()).packet(0, 0, 3).said("s1 1 2");
}

#[test]
fn a_new_session_begins_at_one_and_late_packets_of_the_old_one_are_ignored() {
    let mut scene = Scene::new(SequencerConfig { start: Start::At(5), ..SequencerConfig::default() });
    scene
        .packet(0, 5, 1)
        .packet(1, 9, 1)
        .datagram(2, &packet(b'B', 1, 2))
        .datagram(2, &packet(b'B', 3, 1))
        .said("s5 5");
    scene.datagram(2, &packet(b'B', 4, 1)).said("-6..9 s1 1 2 3 4");
    scene.packet(3, 6, 1).datagram(4, &packet(b'B', 5, 1)).said("5");
    let counters = scene.sequencer.counters;
    assert_eq!((counters.sessions, counters.stale, counters.lost), (2, 1, 4));
    scene.packet(5_002, 1, 1).packet(5_003, 2, 1).said("").packet(5_004, 3, 1).said("s1 1 2 3");
    assert_eq!(scene.sequencer.session(), Some(session(b'A')));
}

#[test]
fn a_session_whose_numbers_begin_again_is_noticed() {
    let mut scene = Scene::new(SequencerConfig::default());
    scene.packet(0, 1, 9).said("s1 1 2 3 4 5 6 7 8 9");
    scene.packet(1_000, 1, 1).datagram(3_000, &heartbeat(b'A', 2)).packet(5_999, 2, 1).said("");
    scene.packet(6_000, 3, 1).said("r1");
    scene.idle(6_200).said("-1..2 3");
    assert_eq!((scene.sequencer.counters.restarts, scene.sequencer.counters.sessions), (1, 2));
}

#[test]
fn a_lagging_line_is_no_restart() {
    let mut scene = Scene::new(SequencerConfig::default());
    scene.packet(0, 1, 9).said("s1 1 2 3 4 5 6 7 8 9");
    for second in 1..20 {
        scene.packet(second * 1_000, 1, 1).datagram(second * 1_000 + 500, &heartbeat(b'A', 10));
    }
    scene.said("");
}

#[test]
fn the_end_is_told_once_and_after_everything_else() {
    let mut scene = Scene::new(SequencerConfig::default());
    scene.packet(0, 1, 1).datagram(1, &end(b'A', 4)).datagram(2, &end(b'A', 4)).said("s1 1");
    scene.packet(3, 2, 1).said("2").idle(203).said("-3..3 .4").datagram(204, &end(b'A', 4)).idle(500).said("");
    let mut scene = Scene::new(SequencerConfig::default());
    scene.packet(0, 1, 1).datagram(1, &end(b'A', 2)).datagram(2, &end(b'A', 2)).said("s1 1");
    scene.datagram(3, &end(b'A', 2)).said(".2").datagram(4, &end(b'A', 2)).idle(9).said("");
}

#[test]
fn a_session_that_goes_on_behind_its_end_ends_again() {
    let mut scene = Scene::new(SequencerConfig::default());
    scene.packet(0, 1, 1).datagram(1, &end(b'A', 3)).packet(2, 2, 3).ends(3, 5).said("s1 1 2 3 4 .5");
    scene.packet(4, 5, 1).ends(5, 6).said("5 .6");
    // A slower line's word of an earlier end is not the end.
    scene.packet(6, 6, 4).ends(7, 6).said("6 7 8 9").ends(8, 10).said(".10");
}

#[test]
fn a_damaged_packet_changes_nothing() {
    let mut scene = Scene::new(SequencerConfig::default());
    let mut torn = packet(b'A', 1, 3);
    torn.pop();
    scene.datagram(0, &torn).datagram(0, b"").said("");
    scene.packet(1, 1, 3).said("s1 1 2 3");
    assert_eq!((scene.sequencer.counters.damaged, scene.sequencer.counters.packets), (2, 3));
}

#[test]
fn without_recovery_a_full_parking_gives_up_at_once() {
    let config = SequencerConfig { packets_parked_max: 2, ..SequencerConfig::default() };
    let mut scene = Scene::new(config);
    scene.packet(0, 1, 1).packet(1, 5, 1).packet(2, 7, 1).said("s1 1").packet(3, 9, 1).said("-2..4 5");
    // Full again (7 and 9); the packet at hand comes right behind the hole and is not lost with it.
    scene.packet(4, 6, 1).said("6 7").packet(5, 11, 1).packet(6, 13, 1).said("-8..8 9");
    assert_eq!(scene.sequencer.counters.parked_dropped, 0);
}

#[test]
fn without_recovery_a_packet_before_the_parked_ones_ends_the_hole() {
    let config = SequencerConfig { packets_parked_max: 2, ..SequencerConfig::default() };
    let mut scene = Scene::new(config);
    scene.packet(0, 1, 1).packet(1, 7, 1).packet(2, 9, 1).packet(3, 4, 2).said("s1 1 -2..3 4 5");
    scene.idle(201).said("-6..6 7").idle(202).said("-8..8 9");
}

#[test]
fn with_recovery_a_full_parking_drops_the_packet_farthest_ahead() {
    let config = SequencerConfig { packets_parked_max: 2, recovery: Some(RECOVERY), ..SequencerConfig::default() };
    let mut scene = Scene::new(config);
    scene.packet(0, 1, 1).packet(0, 5, 1).packet(0, 7, 1).packet(0, 9, 1).packet(0, 3, 1).said("s1 1");
    assert_eq!(scene.sequencer.counters.parked_dropped, 2, "9 found no place, 7 lost its own");
    scene.packet(1, 2, 1).packet(1, 4, 1).said("2 3 4 5").idle(3).said("?6+4");
    scene.packet(4, 6, 4).said("6 7 8 9");
}

#[test]
fn a_packet_too_long_to_park_is_asked_for_again() {
    let config = SequencerConfig { datagram_bytes_max: 64, recovery: Some(RECOVERY), ..SequencerConfig::default() };
    let mut scene = Scene::new(config);
    scene.packet(0, 1, 1).packet(0, 3, 100).said("s1 1").idle(2).said("?2+100");
    assert_eq!(scene.sequencer.counters.parked_dropped, 1);
}

#[test]
fn one_call_delivers_a_bounded_number_of_parked_packets() {
    let config = SequencerConfig { packets_released_max: 2, ..SequencerConfig::default() };
    let mut scene = Scene::new(config);
    scene.packet(0, 1, 1);
    for first in 3..9 {
        scene.packet(1, first, 1);
    }
    scene.packet(2, 2, 1).said("s1 1 2 3 4");
    assert!(scene.sequencer.has_ready());
    // A packet that comes meanwhile keeps its turn.
    scene.packet(3, 9, 1).said("5 6").idle(3).said("7 8").idle(3).said("9").idle(3).said("");
    assert!(!scene.sequencer.has_ready());
    assert_eq!(scene.sequencer.counters.gaps, 0);
}

#[test]
fn what_a_snapshot_covers_is_neither_awaited_nor_lost() {
    let mut scene = Scene::new(SequencerConfig::default());
    scene.packet(0, 5, 3).packet(1, 9, 1).said("s1");
    let said = &mut scene.said;
    scene.sequencer.skip_to(2 * MS, 6, &mut |outcome| Scene::say(said, outcome));
    scene.said("6 7").packet(3, 8, 1).said("8 9");
    assert_eq!(scene.sequencer.counters.lost, 0);
}

#[test]
fn numbers_next_to_the_end_of_64_bits_do_not_run_over() {
    let last = u64::MAX - 1;
    let mut scene = Scene::new(SequencerConfig::default());
    scene.datagram(0, &end(b'A', u64::MAX)).packet(1, last, 1).datagram(1, &end(b'A', u64::MAX)).said("s1");
    scene.idle(200).said(&format!("-1..{} {last} .{}", last - 1, u64::MAX));
    assert_eq!((scene.sequencer.counters.lost, scene.sequencer.next_sequence()), (u64::MAX - 2, u64::MAX));
    scene.datagram(201, &heartbeat(b'A', u64::MAX)).packet(202, last, 1).idle(900).said("");
    let mut over = packet(b'A', 1, 2);
    over[10..18].copy_from_slice(&last.to_be_bytes());
    scene.datagram(203, &over).said("");
    assert_eq!(scene.sequencer.counters.damaged, 1);
}

/// What the network does to one line, in chances out of 1,000.
#[derive(Clone, Copy)]
struct Line {
    loss: u32,
    duplicate: u32,
    truncate: u32,
    /// Each datagram takes 0 to this long: those that take longer are overtaken.
    delay_ns_max: u64,
}

struct Run {
    seed: u64,
    lines: Vec<Line>,
    config: SequencerConfig,
    messages: u64,
    /// Chance out of 1,000 that a request or its answer is lost; only with recovery.
    answer_loss: u32,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Arrival {
    /// Negative, so that the heap gives the earliest first.
    before: std::cmp::Reverse<(u64, u64)>,
    datagram: Vec<u8>,
}

struct Ran {
    counters: SequencerCounters,
    /// Numbers named as lost.
    lost: BTreeSet<u64>,
    /// Numbers of which no whole copy ever arrived.
    never_arrived: BTreeSet<u64>,
    request_times: Vec<u64>,
}

/// Runs one session through the network and checks what must always hold: each number exactly once, in order, or
/// named as lost exactly once; the right bytes; the end.
#[allow(clippy::too_many_lines)] // one simulation, read from top to bottom
fn run(run: &Run) -> Ran {
    let seed = run.seed;
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut sent: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
    let mut network = BinaryHeap::new();
    let mut ticket = 0;
    let mut arrive = |network: &mut BinaryHeap<Arrival>, at_ns: u64, datagram: Vec<u8>| {
        ticket += 1;
        network.push(Arrival { before: std::cmp::Reverse((at_ns, ticket)), datagram });
    };

    // The exchange: packets of 1 to 9 messages, 0 to 1 ms apart, heartbeats between, an end at the end.
    let mut writer = PacketWriter::new(session(b'A'), 1, 1_400);
    let mut now_ns = 0;
    let mut sends: Vec<(u64, Vec<u8>)> = Vec::new();
    while writer.next_sequence() <= run.messages {
        for _ in 0..random.random_range(1..10) {
            let message: Vec<u8> = (0..random.random_range(0..60)).map(|_| random.random()).collect();
            match writer.push(&message) {
                Ok(number) => drop(sent.insert(number, message)),
                Err(error) => assert_eq!(error, PushError::Full),
            }
        }
        now_ns += random.random_range(0..MS);
        sends.push((now_ns, writer.take().unwrap().to_vec()));
        if random.random_ratio(1, 20) {
            sends.push((now_ns, writer.heartbeat().to_vec()));
        }
    }
    let next = writer.next_sequence();
    for repeat in 1..=5 {
        sends.push((now_ns + repeat * 20 * MS, writer.end_of_session().to_vec()));
    }

    let mut arrived = BTreeSet::new();
    for line in &run.lines {
        for (at_ns, datagram) in &sends {
            let is_end = datagram[18..20] == [0xFF; 2];
            for _copy in 0..if random.random_ratio(line.duplicate, 1_000) { 2 } else { 1 } {
                if !is_end && random.random_ratio(line.loss, 1_000) {
                    continue;
                }
                let mut datagram = datagram.clone();
                if !is_end && random.random_ratio(line.truncate, 1_000) {
                    datagram.truncate(random.random_range(0..datagram.len()));
                } else {
                    let parsed = feed_handler::wire::moldudp64::Packet::parse(&datagram).unwrap();
                    arrived.extend(parsed.messages().map(|(number, _)| number));
                }
                arrive(&mut network, at_ns + random.random_range(0..=line.delay_ns_max), datagram);
            }
        }
    }

    let mut sequencer = Sequencer::new(run.config);
    let mut expected = 1;
    let mut lost = BTreeSet::new();
    let mut ended = 0;
    let mut request_times = Vec::new();
    let mut now_ns = 0;
    let mut idle_turns_after_end = 0;
    while idle_turns_after_end < 6_000 {
        let mut requests = Vec::new();
        let mut each = |outcome: Sequenced<'_>| match outcome {
            Sequenced::Session { next, restarted, .. } => assert_eq!((next, restarted, expected), (1, false, 1)),
            Sequenced::Message { sequence, message } => {
                assert_eq!(sequence, expected, "seed {seed}");
                assert_eq!(message, sent[&sequence], "seed {seed}, message {sequence}");
                assert_eq!(ended, 0, "seed {seed}: a message after the end");
                expected += 1;
            }
            Sequenced::Gap { from, to } => {
                assert!(from == expected && to >= from, "seed {seed}: gap {from}..{to} at {expected}");
                lost.extend(from..=to);
                expected = to + 1;
            }
            Sequenced::Request(request) => {
                assert_eq!(request.from, expected, "seed {seed}");
                requests.push(request);
            }
            Sequenced::LineMismatch { sequence } => panic!("seed {seed}: both lines said the same of {sequence}"),
            Sequenced::EndOfSession { next: end } => {
                assert_eq!((end, expected), (next, next), "seed {seed}");
                ended += 1;
            }
        };
        let turn_ns = now_ns;
        let due = network.peek().is_some_and(|arrival| arrival.before.0.0 <= now_ns);
        if due && let Some(arrival) = network.pop() {
            let _ = sequencer.on_packet(now_ns, &arrival.datagram, &mut each);
        } else {
            sequencer.on_idle(now_ns, &mut each);
            now_ns += 200_000;
            idle_turns_after_end += u32::from(network.is_empty());
        }
        // The request server: whole messages into one datagram, by way of a network as bad as the others.
        for request in requests {
            request_times.push(turn_ns);
            if random.random_ratio(run.answer_loss, 1_000) {
                continue;
            }
            let mut answer = PacketWriter::new(session(b'A'), request.from, 1_440);
            let wanted = sent.range(request.from..request.from + u64::from(request.count));
            for (_, message) in
                wanted.map_while(|(number, message)| answer.push(message).ok().map(|_| (number, message)))
            {
                let _ = message;
            }
            if let Some(datagram) = answer.take() {
                arrive(&mut network, now_ns + random.random_range(0..3 * MS), datagram.to_vec());
            }
        }
    }
    assert_eq!(expected, next, "seed {seed}: every number is accounted for");
    assert_eq!(ended, 1, "seed {seed}");
    let counters = sequencer.counters;
    assert_eq!(counters.messages + counters.lost, next - 1, "seed {seed}");
    assert_eq!(counters.lost, lost.len() as u64, "seed {seed}");
    let never_arrived = sent.keys().copied().filter(|number| !arrived.contains(number)).collect();
    Ran { counters, lost, never_arrived, request_times }
}

const BAD: Line = Line { loss: 100, duplicate: 50, truncate: 30, delay_ns_max: 5 * MS };

#[test]
fn a_bad_line_loses_exactly_what_never_arrived() {
    for seed in 0..20 {
        let ran =
            run(&Run { seed, lines: vec![BAD], config: SequencerConfig::default(), messages: 3_000, answer_loss: 0 });
        assert_eq!(ran.lost, ran.never_arrived, "seed {seed}");
        assert!(ran.counters.damaged > 0 && ran.counters.repeats > 0 && ran.counters.gaps > 0, "seed {seed}");
    }
}

#[test]
fn two_bad_lines_lose_only_what_both_lost() {
    for seed in 100..120 {
        let lines = vec![BAD, Line { delay_ns_max: 8 * MS, ..BAD }];
        let ran = run(&Run { seed, lines, config: SequencerConfig::default(), messages: 3_000, answer_loss: 0 });
        assert_eq!(ran.lost, ran.never_arrived, "seed {seed}");
    }
}

#[test]
fn requests_bring_back_what_was_lost() {
    for seed in 200..220 {
        let recovery = Recovery { delay_ns: MS, interval_ns: 4 * MS, messages_max: 50 };
        let config =
            SequencerConfig { recovery: Some(recovery), gap_timeout_ns: 1_000 * MS, ..SequencerConfig::default() };
        let ran = run(&Run { seed, lines: vec![BAD], config, messages: 3_000, answer_loss: 200 });
        assert!(ran.lost.is_empty(), "seed {seed}: {:?}", ran.lost);
        assert!(ran.counters.requests > 0, "seed {seed}");
        let too_soon = ran.request_times.windows(2).find(|pair| pair[1] - pair[0] < 4 * MS);
        assert_eq!(too_soon, None, "seed {seed}");
    }
}

#[test]
fn with_hardly_a_place_to_park_every_number_is_still_accounted_for() {
    for seed in 300..330 {
        let recovery = (seed % 2 == 0).then_some(Recovery { delay_ns: 0, interval_ns: MS, messages_max: 9 });
        let config = SequencerConfig {
            packets_parked_max: 3,
            packets_released_max: 1,
            datagram_bytes_max: 300,
            gap_timeout_ns: 20 * MS,
            recovery,
            ..SequencerConfig::default()
        };
        run(&Run { seed, lines: vec![BAD, BAD], config, messages: 2_000, answer_loss: 500 });
    }
}
