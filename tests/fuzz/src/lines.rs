//! Two lines that lose, repeat and overtake packets, and now and then a server that sends them again, into one stream.
//!
//! The ordinary tests compile this file too, and run it over random bytes and over the seeds.

use std::collections::BTreeMap;

use feed_handler::recovery::sequencer::{Recovery, Sequenced, Sequencer, SequencerConfig, Start};
use feed_handler::wire::moldudp64::{PacketWriter, Request, Session};

const MS: u64 = 1_000_000;
const SESSION: Session = *b"TWOLINES01";
/// Bytes of the script for one packet: its messages, and its fate on each line.
const PACKET_BYTES: usize = 3;
const PACKETS_MAX: usize = 100;
/// Longer than any packet is under way: what came on any line is never given up before.
const GAP_TIMEOUT_NS: u64 = 1_000 * MS;

/// The first byte chooses the bounds and whether there is a server; then three bytes for each packet sent.
///
/// What comes out is every message once, in order, with the bytes that were sent, or is named as lost. Without a server
/// exactly those messages are lost that neither line brought; with one, none is, though it leaves every third request
/// unanswered. When there is no place to keep all that came too early, nothing is repeated or disordered all the same.
pub fn two_lines(data: &[u8]) {
    let [options, script @ ..] = data else { return };
    let places = [2, 8, 32, 2 * PACKETS_MAX * 4][usize::from(options >> 1 & 3)];
    let mut network = Network::new(script, options & 8 != 0, options & 1 != 0);
    let mut sequencer = Sequencer::new(SequencerConfig {
        start: Start::At(1),
        packets_parked_max: places,
        datagram_bytes_max: 1_400,
        gap_timeout_ns: GAP_TIMEOUT_NS,
        restart_after_ns: 10_000 * MS,
        jump_max: 1_000_000,
        packets_released_max: 1 + usize::from(options >> 4 & 3),
        recovery: network.has_server.then_some(Recovery { delay_ns: 2 * MS, interval_ns: 5 * MS, messages_max: 20 }),
        compares_lines: true,
    });
    let mut stream = Stream::default();
    let mut now_ns = 0;
    // Until nothing is under way and nothing is waited for; every turn brings one of the two closer.
    for _ in 0..20_000 {
        let deadline_ns = if sequencer.has_ready() { Some(now_ns) } else { sequencer.deadline_ns() };
        let arrival_ns = network.under_way.first_key_value().map(|(&(at_ns, _), _)| at_ns);
        match (arrival_ns, deadline_ns) {
            (Some(arrival_ns), deadline_ns) if deadline_ns.is_none_or(|deadline_ns| arrival_ns <= deadline_ns) => {
                now_ns = arrival_ns.max(now_ns);
                let (_, datagram) = network.under_way.pop_first().expect("it was there");
                let taken = sequencer.on_packet(now_ns, &datagram, &mut |outcome| stream.see(outcome, &network.sent));
                assert!(taken.is_ok(), "{taken:?}");
            }
            (_, Some(deadline_ns)) => {
                now_ns = deadline_ns.max(now_ns + 1);
                sequencer.on_idle(now_ns, &mut |outcome| stream.see(outcome, &network.sent));
            }
            (_, None) => break,
        }
        for request in stream.requests.drain(..) {
            network.answer(now_ns, &request);
        }
    }
    assert!(network.under_way.is_empty() && !sequencer.has_gap() && !sequencer.has_ready(), "waits for ever");
    assert_eq!(sequencer.next_sequence(), network.sent.len() as u64 + 1);
    let counters = sequencer.counters;
    assert_eq!((counters.messages, counters.lost), (stream.delivered.len() as u64, stream.lost.len() as u64));
    assert!(counters.parked_high_water <= places as u64);
    if network.has_server {
        assert_eq!(stream.lost, [0; 0], "the server had them all");
    } else if counters.parked_dropped == 0 && places > PACKETS_MAX {
        assert_eq!(stream.delivered, network.arrived(), "delivered is what any line brought");
    }
}

/// What was sent, and what of it is under way to us.
struct Network {
    /// Message `n` at place `n - 1`.
    sent: Vec<Vec<u8>>,
    /// Which of them a line brings.
    on_a_line: Vec<bool>,
    /// By time of arrival, and in order of sending.
    under_way: BTreeMap<(u64, u64), Vec<u8>>,
    has_server: bool,
    requests: u64,
    datagrams: u64,
}

impl Network {
    /// Line B sends every message in a packet of its own when `alone`, else the packets of line A.
    fn new(script: &[u8], alone: bool, has_server: bool) -> Self {
        let (sent, on_a_line) = (Vec::new(), Vec::new());
        let mut network = Self { sent, on_a_line, under_way: BTreeMap::new(), has_server, requests: 0, datagrams: 0 };
        let packets = script.as_chunks::<PACKET_BYTES>().0.iter().take(PACKETS_MAX);
        let mut at_ns = 0;
        for &[shape, on_a, on_b] in packets {
            at_ns += MS;
            let first = network.sent.len();
            for message in 0..=usize::from(shape & 3) {
                let number = (first + message + 1) as u64;
                let mut bytes = number.to_be_bytes().to_vec();
                bytes.resize(usize::from(shape >> 2) * message, shape);
                network.sent.push(bytes);
                network.on_a_line.push(false);
            }
            let all = first..network.sent.len();
            network.send(at_ns, on_a, all.clone());
            if alone {
                // Each with a fate of its own.
                all.for_each(|message| network.send(at_ns, on_b.rotate_left(message as u32), message..message + 1));
            } else {
                network.send(at_ns, on_b, all);
            }
        }
        // Both lines say in the end, and again, how far it went.
        let writer = PacketWriter::new(SESSION, network.sent.len() as u64 + 1, 1_400);
        network.arrive(at_ns + 40 * MS, writer.heartbeat().to_vec());
        network.arrive(at_ns + 41 * MS, writer.end_of_session().to_vec());
        network
    }

    /// `fate`: up to 31 ms under way, lost, or twice.
    fn send(&mut self, sent_ns: u64, fate: u8, messages: std::ops::Range<usize>) {
        if fate & 0xC0 == 0xC0 {
            return;
        }
        self.on_a_line[messages.clone()].fill(true);
        let datagram = self.packet(messages);
        let arrival_ns = sent_ns + u64::from(fate & 31) * MS;
        if fate & 0x40 != 0 {
            self.arrive(arrival_ns + 3 * MS, datagram.clone());
        }
        self.arrive(arrival_ns, datagram);
    }

    fn packet(&self, messages: std::ops::Range<usize>) -> Vec<u8> {
        let mut writer = PacketWriter::new(SESSION, messages.start as u64 + 1, 1_400);
        for message in messages {
            writer.push(&self.sent[message]).expect("it fits");
        }
        writer.take().expect("at least one message").to_vec()
    }

    fn arrive(&mut self, at_ns: u64, datagram: Vec<u8>) {
        self.datagrams += 1;
        self.under_way.insert((at_ns, self.datagrams), datagram);
    }

    /// The server answers two of three requests, with at most five messages.
    fn answer(&mut self, now_ns: u64, request: &Request) {
        assert_eq!(request.session, SESSION);
        let from = request.from as usize - 1;
        let to = (from + usize::from(request.count).min(5)).min(self.sent.len());
        assert!(request.count <= 20 && from < to, "asks for what was never sent: {request:?}");
        self.requests += 1;
        if !self.requests.is_multiple_of(3) {
            let datagram = self.packet(from..to);
            self.arrive(now_ns + MS, datagram);
        }
    }

    fn arrived(&self) -> Vec<u64> {
        (1..).zip(&self.on_a_line).filter(|&(_, &arrived)| arrived).map(|(number, _)| number).collect()
    }
}

/// What came out.
#[derive(Default)]
struct Stream {
    next: u64,
    delivered: Vec<u64>,
    lost: Vec<u64>,
    requests: Vec<Request>,
    ended: bool,
}

impl Stream {
    fn see(&mut self, outcome: Sequenced<'_>, sent: &[Vec<u8>]) {
        match outcome {
            Sequenced::Session { session, next, restarted } => {
                assert_eq!((session, next, restarted, self.next), (SESSION, 1, false, 0), "one session, once");
                self.next = 1;
            }
            Sequenced::Message { sequence, message } => {
                assert_eq!(sequence, self.next);
                assert_eq!(message, sent[sequence as usize - 1], "message {sequence}");
                self.delivered.push(sequence);
                self.next += 1;
            }
            Sequenced::Gap { from, to } => {
                assert!(from == self.next && from <= to && to <= sent.len() as u64, "{from}..={to} at {}", self.next);
                self.lost.extend(from..=to);
                self.next = to + 1;
            }
            Sequenced::Request(request) => self.requests.push(request),
            Sequenced::LineMismatch { sequence } => panic!("both lines said the same of {sequence}"),
            Sequenced::EndOfSession { next } => {
                assert_eq!((next, self.next), (sent.len() as u64 + 1, next));
                assert!(!std::mem::replace(&mut self.ended, true), "the end was told twice");
            }
        }
    }
}
