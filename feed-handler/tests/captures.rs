//! Captures made of the real one: two lines of one partition, two partitions, losses, repeats, other traffic.

mod common;

use book::slot::system;
use book::{Slot, View};
use common::{bytes, data};
use etherparse::PacketBuilder;
use feed_handler::decode::protocol::Protocol;
use feed_handler::recording::{Format, Recording, RecordingCounts, RecordingOptions, Step};

const GARAN: &str = "bist-itch/GARAN.E_20220921_first6002.bistech2112.pcap.gz";

/// A frame to be captured: time, destination port, payload.
type Frame = (u64, u16, Vec<u8>);

/// The frames of the real capture.
fn real() -> Option<Vec<Frame>> {
    let file = bytes(&data(GARAN)?);
    let number = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
    let (mut frames, mut at) = (Vec::new(), 24);
    while at < file.len() {
        let time_ns = u64::from(number(at)) * 1_000_000_000 + u64::from(number(at + 4));
        let length = number(at + 8) as usize;
        frames.push((time_ns, 21_001, file[at + 16 + 42..at + 16 + length].to_vec()));
        at += 16 + length;
    }
    Some(frames)
}

/// A nanosecond capture of the frames, each with a VLAN tag, written in the order of time.
fn capture(mut frames: Vec<Frame>) -> Vec<u8> {
    frames.sort_by_key(|&(time_ns, ..)| time_ns);
    let mut file = vec![0x4D, 0x3C, 0xB2, 0xA1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0, 0, 1, 0, 0, 0];
    for (time_ns, port, payload) in frames {
        let mut frame = Vec::new();
        PacketBuilder::ethernet2([1; 6], [2; 6])
            .single_vlan(etherparse::VlanId::try_new(141).unwrap())
            .ipv4([10, 0, 0, 1], [233, 252, 0, 1], 16)
            .udp(5_000, port)
            .write(&mut frame, &payload)
            .unwrap();
        for value in [(time_ns / 1_000_000_000) as u32, (time_ns % 1_000_000_000) as u32] {
            file.extend(value.to_le_bytes());
        }
        file.extend((frame.len() as u32).to_le_bytes());
        file.extend((frame.len() as u32).to_le_bytes());
        file.extend(frame);
    }
    file
}

fn read(file: Vec<u8>, options: &RecordingOptions) -> (Vec<Slot>, Vec<Step>, RecordingCounts) {
    let mut recording = Recording::from_bytes(file, "made.pcap", options).unwrap();
    assert_eq!((recording.format(), recording.protocol()), (Format::Pcap, Some(Protocol::Bistech)));
    let (mut slots, mut marks) = (Vec::new(), Vec::new());
    loop {
        match recording.next(&mut |slot| slots.push(slot)).unwrap() {
            Step::End => return (slots, marks, recording.counts().clone()),
            Step::Message(_) => {}
            mark => marks.push(mark),
        }
    }
}

/// What stands in the slots without our own clock and the transport's number.
fn said(slots: &[Slot]) -> Vec<Vec<u8>> {
    slots.iter().map(|slot| [&slot.as_bytes()[..16], &slot.as_bytes()[32..36]].concat()).collect()
}

fn sequence(payload: &[u8]) -> u64 {
    u64::from_be_bytes(payload[10..18].try_into().unwrap())
}

#[test]
fn two_lossy_lines_of_one_partition_make_one_whole_stream() {
    let Some(frames) = real() else { return };
    let whole = read(capture(frames.clone()), &RecordingOptions::default());
    // Both have the first packet, or one would start later. Each loses what the other one has; line B is 50 µs late and sometimes 3 ms.
    let line_a = frames.iter().enumerate().filter(|(at, _)| *at == 0 || at % 5 != 0).map(|(_, frame)| frame.clone());
    let line_b = frames.iter().enumerate().filter(|(at, _)| at % 7 != 1 || at % 5 == 0).map(|(at, frame)| {
        let late_ns = if at % 11 == 0 { 3_000_000 } else { 50_000 };
        (frame.0 + late_ns, 21_002, frame.2.clone())
    });
    let both: Vec<Frame> = line_a.chain(line_b).collect();
    let merged = read(capture(both.clone()), &RecordingOptions { merged: true, ..RecordingOptions::default() });
    assert_eq!((merged.2.gaps, &merged.1[..]), (0, &[][..]));
    assert!(merged.2.repeats > 1_000);
    assert_eq!(said(&merged.0), said(&whole.0));

    // One line alone has gaps, and says which; those of line B are its own.
    for (port, missing_every) in [(21_001, 5), (21_002, 7)] {
        let one = read(capture(both.clone()), &RecordingOptions { ports: vec![port], ..RecordingOptions::default() });
        assert!(one.2.gaps > 100, "every {missing_every}th packet is missing");
        assert_eq!(one.1.len() as u64, one.2.gaps);
        assert_eq!(one.2.lost + one.2.messages, whole.2.messages, "lost or read, nothing else");
        let told =
            one.0.iter().filter(|slot| matches!(slot.view(), View::System(record) if record.code == system::GAP));
        assert_eq!(told.count() as u64, one.2.gaps);
    }
}

#[test]
fn partitions_have_their_own_numbers_and_seconds() {
    let Some(frames) = real() else { return };
    let whole = read(capture(frames.clone()), &RecordingOptions::default());
    // The second partition is the first one two and a half seconds later, under another session.
    let second = frames.iter().map(|(time_ns, _, payload)| {
        let mut payload = payload.clone();
        payload[..10].copy_from_slice(b"GARAN00002");
        (time_ns + 2_500_000_000, 21_003, payload)
    });
    let (slots, marks, counts) =
        read(capture(frames.iter().cloned().chain(second).collect()), &RecordingOptions::default());
    assert_eq!((counts.messages, counts.gaps, marks), (2 * whole.2.messages, 0, Vec::new()));
    assert_eq!(counts.streams.len(), 2);
    // Which partition a slot is of stands in the channel of order events.
    for channel in [0, 1] {
        let orders = |slots: &[Slot], channel| {
            let mine =
                slots.iter().filter(|slot| matches!(slot.view(), View::Order(order) if order.channel_id == channel));
            mine.map(|slot| slot.as_bytes()[8..32].to_vec()).collect::<Vec<_>>()
        };
        assert!(orders(&slots, channel) == orders(&whole.0, 0), "partition {channel}");
    }
}

#[test]
fn a_session_that_follows_another_is_told_and_knows_nothing_of_it() {
    let Some(frames) = real() else { return };
    let end = frames[frames.len() - 1].0;
    let next = frames.iter().map(|(time_ns, port, payload)| {
        let mut payload = payload.clone();
        payload[..10].copy_from_slice(b"GARAN00002");
        (time_ns + (end - frames[0].0) + 1_000_000_000, *port, payload)
    });
    let (slots, marks, counts) =
        read(capture(frames.iter().cloned().chain(next).collect()), &RecordingOptions::default());
    assert_eq!((marks, counts.sessions, counts.gaps), (vec![Step::Session], 1, 0));
    assert!(said(&slots[..slots.len() / 2]) == said(&slots[slots.len() / 2..]));
}

#[test]
fn the_tail_of_a_capture_is_given_up_at_its_end_not_lost_silently() {
    let Some(mut frames) = real() else { return };
    let whole = read(capture(frames.clone()), &RecordingOptions::default());
    // The packet before the last messages is missing, and nothing follows that would time it out.
    let last = frames.iter().rposition(|(_, _, payload)| payload[18..20] != [0, 0] && payload[18..20] != [0xFF, 0xFF]);
    let lost = last.unwrap() - 1;
    let from = sequence(&frames[lost].2);
    let to = sequence(&frames[lost + 1].2) - 1;
    frames.truncate(lost + 2);
    frames.remove(lost);
    let (_, marks, counts) = read(capture(frames), &RecordingOptions::default());
    assert_eq!(marks, [Step::Gap { from, to }]);
    assert_eq!(counts.messages + counts.lost, whole.2.messages);
}
