//! The wire half: messages of both protocols, packets, and their order.
//!
//! The ordinary tests compile this file too, and run it over random bytes and over the seeds.

use book::slot::{View, flags};
use book::{Slot, slot::rtype};
use feed_handler::decode::sink::{Received, Refused};
use feed_handler::decode::{bistech, itch50};
use feed_handler::recovery::sequencer::{Recovery, Sequenced, Sequencer, SequencerConfig, Start};
use feed_handler::wire::moldudp64::{Packet, PacketKind, PacketWriter, PushError, Request};

/// Messages behind one-byte lengths (no message of either protocol is longer); the last may be cut.
fn each_message(mut data: &[u8], mut each: impl FnMut(&[u8])) {
    while let [length, rest @ ..] = data {
        let (message, rest) = rest.split_at(usize::from(*length).min(rest.len()));
        each(message);
        data = rest;
    }
}

/// Nothing of a refused message reached the sink; an accepted one gave a whole group.
fn check_group(outcome: Result<(), Refused>, slots: &[Slot]) {
    if outcome.is_err() {
        assert!(slots.is_empty(), "a refused message left {slots:?}");
        return;
    }
    assert!(slots.len() <= 4);
    for (at, slot) in slots.iter().enumerate() {
        let last = match slot.view() {
            View::Unknown(rtype) => panic!("unknown kind {rtype:#04x}"),
            View::Execution(_) | View::Replace(_) | View::Trade(_) => slots.len() == 1,
            View::Order(event) => event.flags & flags::LAST != 0,
            _ => slot.as_bytes()[2] & flags::LAST != 0,
        };
        assert_eq!(last, at + 1 == slots.len(), "LAST in {slots:?}");
        assert!((rtype::ORDER..=rtype::RANK).contains(&slot.rtype) || slot.rtype >= rtype::SYMBOL);
    }
}

/// The first byte chooses the default decimals; then messages.
pub fn bistech_decode(data: &[u8]) {
    let [options, data @ ..] = data else { return };
    let mut decoder = bistech::Decoder::new(4, options.checked_sub(128));
    let (mut decoded, mut refused) = (0, 0);
    each_message(data, |message| {
        let mut slots = Vec::new();
        let outcome = decoder.decode(message, Received::default(), &mut |slot: Slot| slots.push(slot));
        decoded += u64::from(outcome.is_ok());
        refused += u64::from(outcome.is_err());
        assert!(outcome.is_err() || !slots.is_empty(), "every message of this protocol becomes something");
        check_group(outcome, &slots);
    });
    assert_eq!((decoder.counters.decoded, decoder.counters.refused), (decoded, refused));
    assert!(decoder.books() <= 4);
}

/// Messages.
pub fn itch50_decode(data: &[u8]) {
    let mut decoder = itch50::Decoder::new(u64::MAX - 1, 1_000);
    each_message(data, |message| {
        let mut slots = Vec::new();
        let outcome = decoder.decode(message, Received::default(), &mut |slot: Slot| slots.push(slot));
        if outcome.is_ok() {
            let need = itch50::length_of(message[0]).expect("an accepted type has a length");
            assert!(message.len() >= need);
        }
        check_group(outcome, &slots);
    });
}

/// One datagram. What is a packet is written again to the same bytes.
pub fn mold_packet(data: &[u8]) {
    if let Some(request) = Request::decode(data) {
        assert_eq!(request.encode(), data);
    }
    let Ok(packet) = Packet::parse(data) else { return };
    assert_eq!(packet.messages().len(), usize::from(packet.count));
    assert_eq!(packet.messages().count(), usize::from(packet.count));
    assert_eq!(packet.next_sequence() - packet.sequence, u64::from(packet.count));
    let mut writer = PacketWriter::new(packet.session, packet.sequence, data.len());
    for (sequence, message) in packet.messages() {
        match writer.push(message) {
            Ok(number) => assert_eq!(number, sequence),
            // The writer keeps the last number for the end of the session.
            Err(error) => {
                assert_eq!((error, sequence), (PushError::NoNumbers, u64::MAX));
                return;
            }
        }
    }
    match packet.kind {
        PacketKind::Messages => assert_eq!(writer.take(), Some(data)),
        PacketKind::Heartbeat => assert_eq!(writer.heartbeat(), data),
        PacketKind::EndOfSession => assert_eq!(writer.end_of_session(), data),
    }
}

/// A script: the first byte chooses the configuration, then four bytes per step: what, two arguments, and how many
/// milliseconds go by before.
pub fn sequencer(data: &[u8]) {
    const MS: u64 = 1_000_000;
    let [options, data @ ..] = data else { return };
    let recovery = Recovery { delay_ns: MS, interval_ns: 3 * MS, messages_max: 7 };
    let mut sequencer = Sequencer::new(SequencerConfig {
        start: if options & 1 == 0 { Start::At(1) } else { Start::Join },
        packets_parked_max: 1 + usize::from(options >> 4 & 3),
        packets_released_max: 1 + usize::from(options >> 6),
        datagram_bytes_max: 64,
        gap_timeout_ns: 20 * MS,
        restart_after_ns: 200 * MS,
        jump_max: 1_000_000,
        recovery: (options & 2 != 0).then_some(recovery),
        compares_lines: options & 8 != 0,
    });
    // Two regions of numbers, one of them next to the end of 64 bits.
    let base = if options & 4 == 0 { 1 } else { u64::MAX - 300 };
    let mut watch = Watch::default();
    let mut now_ns = 0;
    for step in data.chunks_exact(4) {
        let &[what, first, second, wait] = step else { continue };
        now_ns += u64::from(wait) * MS;
        let session = [b'A' + (what >> 6); 10];
        let number = base.saturating_add(u64::from(first));
        let mut writer = PacketWriter::new(session, number, 1_400);
        match what & 7 {
            0..=2 => {
                for _ in 0..=second & 7 {
                    let _ = writer.push(&writer.next_sequence().to_be_bytes());
                }
                if let Some(datagram) = writer.take() {
                    let outcome = sequencer.on_packet(now_ns, datagram, &mut |outcome| watch.see(now_ns, outcome));
                    assert!(outcome.is_ok(), "{outcome:?}");
                }
            }
            3 => {
                // Who still gives signs of life has not ended, and may end again at the same number.
                if sequencer.session() == Some(session) && watch.ended.is_some_and(|end| number >= end) {
                    watch.ended = None;
                }
                let _ = sequencer.on_packet(now_ns, &writer.heartbeat(), &mut |outcome| watch.see(now_ns, outcome));
            }
            4 => drop(sequencer.on_packet(now_ns, &writer.end_of_session(), &mut |outcome| watch.see(now_ns, outcome))),
            5 => {
                let before = sequencer.counters;
                let torn = sequencer.on_packet(now_ns, step, &mut |outcome| panic!("of four bytes: {outcome:?}"));
                assert!(torn.is_err());
                assert_eq!(sequencer.counters.damaged, before.damaged + 1);
            }
            6 => {
                let next = sequencer.next_sequence();
                if sequencer.session().is_some() && number > next {
                    watch.expected = Some(number);
                }
                sequencer.skip_to(now_ns, number, &mut |outcome| watch.see(now_ns, outcome));
            }
            _ => sequencer.on_idle(now_ns, &mut |outcome| watch.see(now_ns, outcome)),
        }
        assert_eq!(watch.expected, sequencer.session().map(|_| sequencer.next_sequence()));
    }
    // Whatever is missing is given up in the end, in a bounded number of turns.
    for _ in 0..100 {
        now_ns += 20 * MS;
        sequencer.on_idle(now_ns, &mut |outcome| watch.see(now_ns, outcome));
    }
    assert!(!sequencer.has_gap() && !sequencer.has_ready());
    let counters = sequencer.counters;
    assert_eq!((counters.messages, counters.lost, counters.gaps), (watch.messages, watch.lost, watch.gaps));
    assert!(counters.parked_high_water <= 4);
}

/// Sees that every number comes once, in order, or is named as lost once.
#[derive(Default)]
struct Watch {
    expected: Option<u64>,
    messages: u64,
    lost: u64,
    gaps: u64,
    /// The end that was told last; a session may go on behind it and end again at a higher number.
    ended: Option<u64>,
    requested_ns: Option<u64>,
}

impl Watch {
    fn see(&mut self, now_ns: u64, outcome: Sequenced<'_>) {
        match outcome {
            Sequenced::Session { next, .. } => {
                self.expected = Some(next);
                self.ended = None;
            }
            Sequenced::Message { sequence, message } => {
                assert_eq!(Some(sequence), self.expected);
                assert_eq!(message, sequence.to_be_bytes());
                self.expected = Some(sequence + 1);
                self.messages += 1;
            }
            Sequenced::Gap { from, to } => {
                assert_eq!(Some(from), self.expected);
                assert!(to >= from);
                // A session that is left behind names its gap right before the next one begins.
                self.expected = Some(to + 1);
                self.lost = self.lost.saturating_add(to - from + 1);
                self.gaps += 1;
            }
            Sequenced::Request(Request { from, count, .. }) => {
                assert_eq!(Some(from), self.expected);
                assert!(count > 0);
                assert!(self.requested_ns.is_none_or(|before_ns| now_ns - before_ns >= 3_000_000), "asked too soon");
                self.requested_ns = Some(now_ns);
            }
            // A script may say what it likes of a number.
            Sequenced::LineMismatch { .. } => {}
            Sequenced::EndOfSession { next } => {
                assert_eq!(Some(next), self.expected);
                assert_ne!(self.ended, Some(next), "the end was told twice");
                self.ended = Some(next);
            }
        }
    }
}
