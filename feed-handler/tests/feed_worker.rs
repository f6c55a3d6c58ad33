//! The feed thread's turn over real loopback sockets and real files: what goes in, what stands in the event ring.

mod common;

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::num::NonZeroU32;
use std::time::Duration;

use book::ring::{self, Consumer, Notifier};
use book::slot::{action, system};
use book::{Now, Slot, View};
use feed_handler::decode::bistech;
use feed_handler::feed::{FeedWorker, Finished, LiveOptions, ReplayOptions};
use feed_handler::net::udp::{Line, UdpOptions, UdpSource};
use feed_handler::recording::RecordingOptions;
use feed_handler::recording::pacing::Speed;
use feed_handler::recovery::sequencer::{Recovery, SequencerConfig, Start};
use feed_handler::wire::layout::bistech_2112::{AddOrder, OrderBookDirectory, OrderBookFlush, Seconds};
use feed_handler::wire::layout::{Message, alpha};
use feed_handler::wire::moldudp64::{PacketWriter, Request};
use zerocopy::{Immutable, IntoBytes};

const SECOND: u64 = 1_000_000_000;
const START: u64 = 1_740_000_000 * SECOND;
/// Enough for the largest packet and the parked ones of `SequencerConfig` below, and little else.
const RING_SLOTS: usize = 14_000;

fn bytes(message: impl Message + IntoBytes + Immutable) -> Vec<u8> {
    message.as_bytes().to_vec()
}

fn seconds() -> Vec<u8> {
    bytes(Seconds { second: 1_740_000_000.into(), ..Seconds::default() })
}

fn directory() -> Vec<u8> {
    bytes(OrderBookDirectory {
        book_id: 7.into(),
        symbol: alpha("GARAN.E"),
        price_decimals: 3.into(),
        ..OrderBookDirectory::default()
    })
}

fn add(order: u64) -> Vec<u8> {
    bytes(AddOrder {
        order_id: order.into(),
        book_id: 7.into(),
        side: b'B',
        quantity: 10.into(),
        price: 101_250.into(),
        ..AddOrder::default()
    })
}

/// An exchange of one partition: numbered packets to one or two lines.
struct Exchange {
    socket: UdpSocket,
    writer: PacketWriter,
    lines: Vec<SocketAddr>,
}

impl Exchange {
    fn packet(&mut self, messages: &[Vec<u8>]) -> Vec<u8> {
        for message in messages {
            self.writer.push(message).unwrap();
        }
        self.writer.take().unwrap().to_vec()
    }

    fn send(&mut self, messages: &[Vec<u8>]) {
        let packet = self.packet(messages);
        self.send_raw(0, &packet);
    }

    fn send_raw(&self, line: usize, packet: &[u8]) {
        self.socket.send_to(packet, self.lines[line]).unwrap();
    }
}

/// A worker, the far end of its ring, and the clock that the test moves.
struct Bench {
    worker: FeedWorker,
    ring: Consumer,
    now_ns: u64,
}

impl Bench {
    fn live(options: LiveOptions, request_server: Option<SocketAddrV4>) -> (Self, Exchange) {
        let line = Line { address: SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0), interface: Ipv4Addr::UNSPECIFIED };
        let udp = UdpSource::open(&UdpOptions {
            lines: vec![line; 2],
            receive_buffer_bytes: 1 << 20,
            request_server,
            sources: Vec::new(),
        });
        let udp = udp.unwrap();
        let exchange = Exchange {
            socket: UdpSocket::bind("127.0.0.1:0").unwrap(),
            writer: PacketWriter::new(*b"SESSION001", 1, 1_400),
            lines: udp.addresses(),
        };
        let (producer, ring) = ring::ring("events", RING_SLOTS, Notifier::new());
        let worker = FeedWorker::live(udp, bistech::Decoder::new(16, None), producer, 40, options).unwrap();
        (Self { worker, ring, now_ns: START }, exchange)
    }

    fn replay(options: ReplayOptions) -> Self {
        let (producer, ring) = ring::ring("events", 256, Notifier::new());
        Self { worker: FeedWorker::replay(options, producer, 40).unwrap(), ring, now_ns: START }
    }

    /// Turns until `wanted` slots stand in the ring (waiting for the socket, not for a time), and takes them.
    #[track_caller]
    fn take(&mut self, wanted: usize) -> Vec<Slot> {
        for _ in 0..5_000 {
            if self.worker.do_work(self.now_ns) == 0 && self.ring.waiting() < wanted {
                self.worker.wait(Duration::from_millis(1));
            }
            if self.ring.waiting() >= wanted {
                break;
            }
        }
        let mut slots = Vec::new();
        self.ring.drain(usize::MAX, |slot| slots.push(*slot));
        assert_eq!(slots.len(), wanted, "{slots:?}");
        slots
    }

    /// Turns until nothing is left to do, taking all slots on the way.
    fn finish(&mut self) -> Vec<Slot> {
        let mut slots = Vec::new();
        while self.worker.finished().is_none() {
            self.worker.do_work(self.now_ns);
            self.ring.drain(usize::MAX, |slot| slots.push(*slot));
        }
        slots
    }
}

/// `session 40`, `gap 3..=4`, `time`, `add 5`, ...: the slots in words.
fn words(slots: &[Slot]) -> Vec<String> {
    let word = |slot: &Slot| match slot.view() {
        View::Order(order) if order.action == action::CLEAR => format!("clear {}", order.book_id),
        View::Order(order) => format!("add {}", order.order_id),
        View::System(record) => match record.code {
            system::SESSION => format!("session {}", record.epoch),
            system::GAP => format!("gap {}..={}", record.from, record.to),
            system::TIME => "time".to_owned(),
            system::STALE => format!("stale {}", record.from / SECOND),
            system::ALIVE => "alive".to_owned(),
            system::JOINED_MIDWAY => format!("midway from {}", record.from),
            system::REFUSED if record.book_id != 0 => format!("refused {}, of book {}", record.from, record.book_id),
            system::REFUSED => format!("refused {}", record.from),
            system::LINE_MISMATCH => format!("lines differ at {}", record.from),
            code => format!("system {code}"),
        },
        View::Symbol(_) => "symbol".to_owned(),
        _ => "definition".to_owned(),
    };
    slots.iter().map(word).collect()
}

fn options() -> LiveOptions {
    let sequencer = SequencerConfig {
        start: Start::At(1),
        packets_parked_max: 8,
        packets_released_max: 4,
        ..SequencerConfig::default()
    };
    LiveOptions { sequencer, stale_ns: 5 * SECOND, stop_at_end: false, channel_id: 3, ..LiveOptions::default() }
}

const DEFINED: [&str; 6] = ["session 40", "time", "symbol", "definition", "definition", "definition"];

#[test]
fn packets_become_slots_in_order_whichever_line_is_first() {
    let (mut bench, mut exchange) = Bench::live(options(), None);
    exchange.send(&[seconds(), directory()]);
    assert_eq!(words(&bench.take(6)), DEFINED);
    let first = exchange.packet(&[add(1)]);
    let second = exchange.packet(&[add(2), add(3)]);
    exchange.send_raw(1, &second);
    exchange.send_raw(0, &first);
    exchange.send_raw(0, &second);
    exchange.send_raw(1, &first);
    let slots = bench.take(3);
    assert_eq!(words(&slots), ["add 1", "add 2", "add 3"]);
    let View::Order(order) = slots[2].view() else { unreachable!() };
    assert_eq!((order.sequence, order.channel_id, order.received_ns), (5, 3, START));
    assert_eq!((order.exchange_ns, order.price), (START, 101_250_000_000));
    bench.take(0);
    let metrics = bench.worker.metrics();
    assert_eq!((metrics.decoded(), metrics.refused(), metrics.gaps()), (5, 0, 0));
}

#[test]
fn a_gap_is_said_in_time_and_costs_no_more_than_what_is_lost() {
    let (mut bench, mut exchange) = Bench::live(options(), None);
    exchange.send(&[seconds(), directory()]);
    bench.take(6);
    let _lost = exchange.packet(&[add(1), add(2)]);
    exchange.send(&[add(3), seconds(), add(4)]);
    bench.take(0);
    bench.now_ns += SECOND;
    // The add behind the gap stands in the last second that is known.
    let slots = bench.take(4);
    assert_eq!(words(&slots), ["gap 3..=4", "add 3", "time", "add 4"]);
    let View::Order(order) = slots[1].view() else { unreachable!() };
    assert_eq!(order.exchange_ns, START);
    let metrics = bench.worker.metrics();
    assert_eq!((metrics.gaps(), metrics.refused()), (1, 0));
}

#[test]
fn a_new_session_is_a_new_epoch_and_forgets_everything() {
    let (mut bench, mut exchange) = Bench::live(options(), None);
    exchange.send(&[seconds(), directory(), add(1)]);
    bench.take(7);
    exchange.writer = PacketWriter::new(*b"SESSION002", 1, 1_400);
    exchange.send(&[seconds(), add(1)]);
    exchange.send(&[directory()]);
    bench.take(0);
    assert_eq!(bench.worker.epoch(), 40, "two packets are not believed");
    exchange.send(&[add(2)]);
    // The first add names a book that this session has not announced.
    assert_eq!(
        words(&bench.take(8)),
        ["session 41", "time", "refused 2, of book 7", "symbol", "definition", "definition", "definition", "add 2"]
    );
    assert_eq!(bench.worker.epoch(), 41);
}

#[test]
fn silence_is_said_once_and_its_end_before_what_ends_it() {
    let (mut bench, mut exchange) = Bench::live(options(), None);
    assert_eq!(words(&bench.take(1)), ["session 40"]);
    bench.now_ns += 4 * SECOND;
    bench.take(0);
    bench.now_ns += 2 * SECOND;
    assert_eq!(words(&bench.take(1)), ["stale 6"]);
    assert!(bench.worker.metrics().is_stale());
    bench.now_ns += 100 * SECOND;
    bench.take(0);
    exchange.send(&[seconds()]);
    assert_eq!(words(&bench.take(2)), ["alive", "time"]);
    assert!(!bench.worker.metrics().is_stale());
    // A heartbeat is no silence; after the end of the session silence is as it should be.
    bench.now_ns += 4 * SECOND;
    exchange.send_raw(0, &exchange.writer.heartbeat());
    bench.take(0);
    bench.now_ns += 4 * SECOND;
    for _ in 0..3 {
        exchange.send_raw(0, &exchange.writer.end_of_session());
    }
    bench.take(0);
    bench.now_ns += 100 * SECOND;
    bench.take(0);
    assert!(bench.worker.finished().is_none(), "waits for the next session");
}

#[test]
fn f10_garbage_strangers_and_an_early_end_are_no_life() {
    let (mut bench, mut exchange) = Bench::live(options(), None);
    exchange.send(&[seconds(), directory()]);
    bench.take(6);
    let stranger = PacketWriter::new(*b"STRANGER01", 9, 1_400);
    let mut stale = 0;
    // Each second one of them comes, more often than the feed may be silent.
    for at in 0..12 {
        bench.now_ns += SECOND;
        match at % 3 {
            0 => exchange.send_raw(0, b"?"),
            1 => exchange.send_raw(0, &stranger.heartbeat()),
            _ if at < 6 => exchange.send_raw(0, &exchange.writer.end_of_session()),
            _ => {}
        }
        for _ in 0..20 {
            bench.worker.do_work(bench.now_ns);
            bench.worker.wait(Duration::from_millis(1));
        }
        let mut slots = Vec::new();
        bench.ring.drain(usize::MAX, |slot| slots.push(*slot));
        stale += words(&slots).iter().filter(|word| word.starts_with("stale")).count();
        assert!(!words(&slots).contains(&"alive".to_owned()));
    }
    assert_eq!((stale, bench.worker.metrics().is_stale()), (1, true));
    assert_eq!(bench.worker.metrics().received_ns(), START, "the age grows");
    exchange.send(&[add(1)]);
    assert_eq!(words(&bench.take(2)), ["alive", "add 1"]);
}

#[test]
fn f7_one_foreign_datagram_and_a_forged_number_leave_the_books_alone() {
    let (mut bench, mut exchange) = Bench::live(options(), None);
    exchange.send(&[seconds(), directory(), add(1)]);
    bench.take(7);
    let mut stranger = PacketWriter::new(*b"STRANGER01", 1, 1_400);
    stranger.push(&seconds()).unwrap();
    let stray = stranger.take().unwrap().to_vec();
    exchange.send_raw(0, &stray);
    exchange.send_raw(0, &PacketWriter::new(*b"SESSION001", 1 << 63, 1_400).heartbeat());
    exchange.send_raw(0, &PacketWriter::new(*b"OLDSESSION", 77, 1_400).end_of_session());
    exchange.send(&[add(2)]);
    assert_eq!(words(&bench.take(1)), ["add 2"]);
    bench.now_ns += SECOND;
    bench.take(0);
    assert_eq!((bench.worker.epoch(), bench.worker.metrics().gaps()), (40, 0));
    assert_eq!(line_packets(&bench, "a", "foreign") + line_packets(&bench, "a", "jumped"), 3);
}

/// A flush takes the mark of a late start away, but the orders behind it cannot be read for want of the directory.
#[test]
fn a_book_whose_directory_was_missed_is_named_with_every_message_that_it_costs() {
    let mut options = options();
    options.sequencer.start = Start::Join;
    let (mut bench, mut exchange) = Bench::live(options, None);
    exchange.writer = PacketWriter::new(*b"SESSION001", 500, 1_400);
    let flush = bytes(OrderBookFlush { book_id: 7.into(), ..OrderBookFlush::default() });
    exchange.send(&[seconds(), flush, add(1), add(2)]);
    let expected =
        ["session 40", "midway from 500", "time", "clear 7", "refused 502, of book 7", "refused 503, of book 7"];
    assert_eq!(words(&bench.take(6)), expected);
    exchange.send(&[directory(), add(3)]);
    assert_eq!(words(&bench.take(5))[4], "add 3");
}

#[test]
fn f6_lines_that_contradict_each_other_are_said_counted_under_their_line_and_forgotten_with_the_session() {
    let (mut bench, mut exchange) = Bench::live(options(), None);
    exchange.send(&[seconds(), directory()]);
    bench.take(6);
    let (first, other) = (exchange.packet(&[add(1)]), {
        let mut writer = PacketWriter::new(*b"SESSION001", 3, 1_400);
        writer.push(&add(2)).unwrap();
        writer.take().unwrap().to_vec()
    });
    exchange.send_raw(0, &first);
    assert_eq!(words(&bench.take(1)), ["add 1"]);
    exchange.send_raw(1, &first);
    bench.take(0);
    exchange.send_raw(1, &other);
    assert_eq!(words(&bench.take(1)), ["lines differ at 3"]);
    let metrics = bench.worker.metrics();
    assert_eq!((metrics.line_mismatches(), metrics.decoded()), (1, 3));
    let on = |line| counter(&bench, "bist_feed_line_mismatch_total", &[("source", "itch"), ("line", line)]);
    assert_eq!((on("a"), on("b")), (0, 1));
    exchange.writer = PacketWriter::new(*b"SESSION002", 1, 1_400);
    (0..3).for_each(|_| exchange.send(&[seconds()]));
    bench.take(4);
    assert_eq!(metrics.line_mismatches(), 0, "a new session has contradicted nothing yet");
}

#[test]
fn a_session_without_its_beginning_says_so_after_its_start() {
    let mut options = options();
    options.sequencer.start = Start::Join;
    let (mut bench, mut exchange) = Bench::live(options, None);
    exchange.writer = PacketWriter::new(*b"SESSION001", 500, 1_400);
    exchange.send(&[seconds()]);
    assert_eq!(words(&bench.take(3)), ["session 40", "midway from 500", "time"]);
    assert_eq!(bench.worker.metrics().joined_midway(), 500);
    exchange.writer = PacketWriter::new(*b"SESSION002", 1, 1_400);
    for _ in 0..3 {
        exchange.send(&[seconds()]);
    }
    assert_eq!(words(&bench.take(4)), ["session 41", "time", "time", "time"]);
    assert_eq!((bench.worker.metrics().joined_midway(), bench.worker.metrics().sessions()), (0, 2));
}

#[test]
fn timers_run_on_the_monotonic_clock_and_slots_carry_the_other() {
    let (mut bench, mut exchange) = Bench::live(options(), None);
    exchange.send(&[seconds(), directory()]);
    bench.take(6);
    // The wall clock jumps an hour ahead, then two back; nothing is stale and nothing alive by that.
    for wall_ns in [START + 3_600 * SECOND, START - 3_600 * SECOND] {
        bench.worker.do_work_at(Now { monotonic_ns: START + SECOND, wall_ns });
        assert_eq!(bench.ring.waiting(), 0);
    }
    bench.worker.do_work_at(Now { monotonic_ns: START + 6 * SECOND, wall_ns: START - 3_600 * SECOND });
    let mut slots = Vec::new();
    bench.ring.drain(usize::MAX, |slot| slots.push(*slot));
    assert_eq!(words(&slots), ["stale 6"]);
    let View::System(stale) = slots[0].view() else { unreachable!() };
    assert_eq!(stale.received_ns, START - 3_600 * SECOND);
}

#[test]
fn the_date_of_itch50_is_read_again_at_each_session() {
    const DAY: u64 = 86_400 * SECOND;
    let line = Line { address: SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0), interface: Ipv4Addr::UNSPECIFIED };
    let udp = UdpOptions { lines: vec![line], receive_buffer_bytes: 0, request_server: None, sources: Vec::new() };
    let udp = UdpSource::open(&udp).unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let lines = udp.addresses();
    let (producer, ring) = ring::ring("events", RING_SLOTS, Notifier::new());
    let options = LiveOptions { midnight_of: Some(|now_ns| now_ns / DAY * DAY), ..options() };
    // Opened the day before the first session.
    let decoder = feed_handler::decode::itch50::Decoder::new(START / DAY * DAY - DAY, 16);
    let worker = FeedWorker::live(udp, decoder, producer, 40, options).unwrap();
    let (mut bench, mut exchange) = (
        Bench { worker, ring, now_ns: START },
        Exchange { socket, writer: PacketWriter::new(*b"DAY0000001", 1, 1_400), lines },
    );
    let trade = || {
        let mut event = vec![0; feed_handler::decode::itch50::length_of(b'S').unwrap()];
        // System event `O`, 14:30 after midnight.
        (event[0], event[11]) = (b'S', b'O');
        event[5..11].copy_from_slice(&(52_200 * SECOND).to_be_bytes()[2..]);
        event
    };
    exchange.send(&[trade()]);
    let day_1 = bench.take(2)[1].exchange_ns();
    bench.now_ns += DAY;
    exchange.writer = PacketWriter::new(*b"DAY0000002", 1, 1_400);
    for _ in 0..3 {
        exchange.send(&[trade()]);
    }
    let day_2 = bench.take(4)[1].exchange_ns();
    assert_eq!((day_1, day_2), (START / DAY * DAY + 52_200 * SECOND, START / DAY * DAY + DAY + 52_200 * SECOND));
}

#[test]
fn the_end_of_the_session_ends_the_feed_where_that_is_asked_for() {
    let (mut bench, mut exchange) = Bench::live(LiveOptions { stop_at_end: true, ..options() }, None);
    exchange.send(&[seconds()]);
    for _ in 0..3 {
        exchange.send_raw(1, &exchange.writer.end_of_session());
    }
    assert_eq!(words(&bench.finish()), ["session 40", "time"]);
    assert!(matches!(bench.worker.finished(), Some(Finished::EndOfSession)));
    exchange.send(&[seconds()]);
    assert_eq!(bench.worker.do_work(bench.now_ns), 0, "finished is finished");
}

#[test]
fn lost_messages_are_asked_for_and_the_answer_closes_the_gap() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let SocketAddr::V4(address) = server.local_addr().unwrap() else { unreachable!() };
    let mut options = options();
    options.sequencer.recovery = Some(Recovery { delay_ns: 0, interval_ns: SECOND, messages_max: 100 });
    let (mut bench, mut exchange) = Bench::live(options, Some(address));
    exchange.send(&[seconds(), directory()]);
    bench.take(6);
    let lost = exchange.packet(&[add(1), add(2)]);
    exchange.send(&[add(3)]);
    bench.take(0);
    let mut buffer = [0; 64];
    server.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let (length, from) = server.recv_from(&mut buffer).unwrap();
    let request = Request::decode(&buffer[..length]).unwrap();
    assert_eq!((&request.session, request.from, request.count), (b"SESSION001", 3, 2));
    server.send_to(&lost, from).unwrap();
    assert_eq!(words(&bench.take(3)), ["add 1", "add 2", "add 3"]);
    assert_eq!(bench.worker.metrics().gaps(), 0);
}

#[test]
fn a_full_ring_stops_the_reading_and_nothing_is_lost() {
    let (mut bench, mut exchange) = Bench::live(options(), None);
    exchange.send(&[seconds(), directory()]);
    let mut expected: Vec<String> = DEFINED.map(str::to_owned).to_vec();
    let mut seen = Vec::new();
    let mut order = 0;
    // More slots than the ring holds, in bursts that the socket holds.
    for _ in 0..40 {
        for _ in 0..20 {
            let messages: Vec<_> = (0..25).map(|at| add(order + at)).collect();
            exchange.send(&messages);
            expected.extend((order..order + 25).map(|at| format!("add {at}")));
            order += 25;
        }
        // The reader sleeps until the worker says that it cannot go on, or has taken all.
        while bench.worker.do_work(bench.now_ns) > 0 {}
        if bench.ring.waiting() > RING_SLOTS / 2 || expected.len() - seen.len() == bench.ring.waiting() {
            bench.ring.drain(usize::MAX, |slot| seen.push(*slot));
            while bench.worker.do_work(bench.now_ns) > 0 {
                bench.ring.drain(usize::MAX, |slot| seen.push(*slot));
            }
        }
    }
    let rest = expected.len() - seen.len() - bench.ring.waiting();
    assert_eq!(rest, 0, "everything was read");
    bench.ring.drain(usize::MAX, |slot| seen.push(*slot));
    assert!(words(&seen) == expected);
}

#[test]
fn a_ring_without_room_for_one_packet_is_counted_once_and_read_on_later() {
    let (mut bench, mut exchange) = Bench::live(options(), None);
    exchange.send(&[seconds(), directory()]);
    bench.take(6);
    let mut sent = 0;
    // Nobody reads the ring: the worker takes packets while one more of the largest kind would fit, then stops.
    for _ in 0..200 {
        let messages: Vec<_> = (0..25).map(|at| add(sent + at)).collect();
        exchange.send(&messages);
        sent += 25;
        while bench.worker.do_work(bench.now_ns) > 0 {}
        if bench.worker.metrics().ring_full() > 0 {
            break;
        }
    }
    assert_eq!(bench.worker.metrics().ring_full(), 1, "after {sent}");
    let taken = bench.ring.waiting();
    assert!(taken < RING_SLOTS);
    for _ in 0..10 {
        assert_eq!(bench.worker.do_work(bench.now_ns), 0);
        bench.worker.wait(Duration::from_micros(1));
    }
    assert_eq!(bench.worker.metrics().ring_full(), 1, "one stop is one stop");
    let mut slots = Vec::new();
    bench.ring.drain(usize::MAX, |slot| slots.push(*slot));
    exchange.send(&[add(sent)]);
    slots.extend(bench.take(sent as usize + 1 - taken));
    assert_eq!(words(&slots), (0..=sent).map(|order| format!("add {order}")).collect::<Vec<_>>());
}

#[test]
fn a_ring_that_cannot_hold_a_packet_is_refused_at_the_start() {
    let line = Line { address: SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0), interface: Ipv4Addr::UNSPECIFIED };
    let udp = UdpOptions { lines: vec![line], receive_buffer_bytes: 0, request_server: None, sources: Vec::new() };
    let (producer, _ring) = ring::ring("events", 100, Notifier::new());
    let decoder = bistech::Decoder::new(1, None);
    let refused = FeedWorker::live(UdpSource::open(&udp).unwrap(), decoder, producer, 1, options()).err().unwrap();
    assert_eq!(refused.free, 100);
    assert!(refused.needed > 9_355);
}

#[test]
fn damaged_packets_are_counted_and_change_nothing() {
    let (mut bench, mut exchange) = Bench::live(options(), None);
    exchange.send_raw(0, b"hello");
    let mut cut = exchange.packet(&[seconds(), directory()]);
    let whole = cut.clone();
    cut.pop();
    exchange.send_raw(0, &cut);
    exchange.send_raw(1, &whole);
    assert_eq!(words(&bench.take(6)), DEFINED);
    let mut samples = Vec::new();
    book::metrics::MetricSource::collect(&*bench.worker.metrics(), &mut samples);
    let damaged = samples.iter().find(|sample| sample.name == "bist_feed_damaged_packets_total").unwrap();
    assert_eq!(damaged.value, book::metrics::Value::Counter(2));
}

/// Packets of a line with an outcome, as scraped.
fn line_packets(bench: &Bench, line: &str, outcome: &str) -> u64 {
    counter(bench, "bist_feed_line_packets_total", &[("source", "itch"), ("line", line), ("outcome", outcome)])
}

/// The counter of this name with these labels.
fn counter(bench: &Bench, name: &str, labels: &[(&str, &str)]) -> u64 {
    let mut samples = Vec::new();
    book::metrics::MetricSource::collect(&*bench.worker.metrics(), &mut samples);
    let labels: Vec<_> = labels.iter().map(|&(key, text)| (key, text.to_owned())).collect();
    let found = samples.iter().filter(|sample| sample.name == name && sample.labels == labels);
    match found.map(|sample| &sample.value).collect::<Vec<_>>()[..] {
        [&book::metrics::Value::Counter(count)] => count,
        ref other => panic!("{name} {labels:?}: {other:?}"),
    }
}

const OUTCOMES: [&str; 6] = ["first", "duplicate", "heartbeat", "stale", "dropped", "damaged"];

#[test]
fn each_line_is_counted_by_what_its_packets_brought() {
    let (mut bench, mut exchange) = Bench::live(options(), None);
    let (heartbeat, damaged) = (exchange.writer.heartbeat(), b"hello".to_vec());
    let [p1, p2, p3, p4, p5, p6, p7] = [
        vec![seconds(), directory()],
        vec![add(2)],
        vec![add(3)],
        vec![add(4)],
        vec![add(5)],
        vec![add(6)],
        vec![add(7), add(8)],
    ]
    .map(|messages| exchange.packet(&messages));
    let (a, b) = (0, 1);
    // A loses p3 and p6, B loses p4; p7 comes before p6.
    let sent = [
        (a, &p1),
        (b, &p1),
        (b, &p2),
        (a, &p2),
        (b, &p3),
        (a, &p4),
        (a, &p5),
        (b, &p5),
        (a, &p7),
        (b, &p6),
        (b, &p7),
        (a, &heartbeat.to_vec()),
        (b, &damaged),
    ];
    let mut slots = Vec::new();
    for (count, (line, packet)) in sent.into_iter().enumerate() {
        exchange.send_raw(line, packet);
        // One after the other, so that which line is first is the test's choice.
        for _ in 0..5_000 {
            bench.worker.do_work(bench.now_ns);
            let counted: u64 =
                ["a", "b"].iter().flat_map(|line| OUTCOMES.map(|outcome| line_packets(&bench, line, outcome))).sum();
            if counted == count as u64 + 1 {
                break;
            }
            bench.worker.wait(Duration::from_millis(1));
        }
        bench.ring.drain(usize::MAX, |slot| slots.push(*slot));
    }
    let adds: Vec<_> = (2..=8).map(|order| format!("add {order}")).collect();
    assert_eq!(words(&slots)[DEFINED.len()..], adds, "both lines together lose nothing");
    assert_eq!(OUTCOMES.map(|outcome| line_packets(&bench, "a", outcome)), [4, 1, 1, 0, 0, 0]);
    assert_eq!(OUTCOMES.map(|outcome| line_packets(&bench, "b", outcome)), [3, 3, 0, 0, 0, 1]);
    assert_eq!(bench.worker.metrics().gaps(), 0);
}

#[test]
fn answers_to_requests_are_counted_under_a_line_of_their_own() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let SocketAddr::V4(address) = server.local_addr().unwrap() else { unreachable!() };
    let (bench, _exchange) = Bench::live(options(), Some(address));
    assert_eq!(line_packets(&bench, "answers", "first"), 0);
}

#[test]
fn the_worker_finishes_when_nobody_reads_the_ring() {
    let (bench, _exchange) = Bench::live(options(), None);
    let Bench { mut worker, ring, now_ns } = bench;
    worker.do_work(now_ns);
    drop(ring);
    worker.do_work(now_ns);
    assert!(matches!(worker.finished(), Some(Finished::ReaderGone)));
}

/// Three messages at 0, 1 and 3 seconds.
fn recording(folder: &tempfile::TempDir, cut: usize) -> std::path::PathBuf {
    let mut file = Vec::new();
    let mut message = |bytes: Vec<u8>| {
        file.extend((bytes.len() as u16).to_be_bytes());
        file.extend(bytes);
    };
    message(seconds());
    message(directory());
    message(add(1));
    for (second, order) in [(1_740_000_001, 2), (1_740_000_003, 3)] {
        message(bytes(Seconds { second: second.into(), ..Seconds::default() }));
        message(add(order));
    }
    file.truncate(file.len() - cut);
    let path = folder.path().join("day.bistech");
    std::fs::write(&path, file).unwrap();
    path
}

#[test]
fn a_replay_keeps_the_recorded_pace() {
    let folder = tempfile::tempdir().unwrap();
    let mut bench = Bench::replay(ReplayOptions::new(recording(&folder, 0)));
    assert_eq!(words(&bench.take(7)), [&DEFINED[..], &["add 1"]].concat());
    bench.now_ns += SECOND - 1;
    bench.take(0);
    bench.now_ns += 1;
    assert_eq!(words(&bench.take(2)), ["time", "add 2"]);
    bench.now_ns += 2 * SECOND;
    assert_eq!(words(&bench.take(2)), ["time", "add 3"]);
    assert!(bench.finish().is_empty());
    assert!(matches!(bench.worker.finished(), Some(Finished::EndOfRecording(None))));
    let (read, total) = bench.worker.recording().unwrap().progress();
    assert_eq!(read, total);
}

#[test]
fn a_replay_says_which_message_it_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = recording(&folder, 0);
    let mut file = std::fs::read(&path).unwrap();
    let cut = add(4)[..20].to_vec();
    file.extend((cut.len() as u16).to_be_bytes());
    file.extend(cut);
    std::fs::write(&path, file).unwrap();
    let mut bench = Bench::replay(ReplayOptions { speed: Speed::FlatOut, ..ReplayOptions::new(path) });
    let slots = words(&bench.finish());
    assert_eq!(slots.last().unwrap(), "refused 8");
    let metrics = bench.worker.metrics();
    assert_eq!((metrics.refused(), metrics.refused_message()), (1, 8));
}

#[test]
fn laps_are_sessions_and_the_last_error_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let options =
        ReplayOptions { speed: Speed::FlatOut, laps: NonZeroU32::new(2), ..ReplayOptions::new(recording(&folder, 1)) };
    let mut bench = Bench::replay(options);
    let slots = words(&bench.finish());
    assert_eq!(slots.len(), 2 * (6 + 1 + 2 + 1));
    assert_eq!((&slots[0][..], &slots[10][..]), ("session 40", "session 41"));
    let Some(Finished::EndOfRecording(Some(error))) = bench.worker.finished() else { panic!("the cut was not told") };
    assert_eq!(error.reason(), "truncated");
}

#[test]
fn a_replay_waits_for_room_in_the_ring() {
    let Some(path) = common::data("bist-itch/GARAN.E_20220921_first6002.bistech2112.gz") else { return };
    let options =
        ReplayOptions { speed: Speed::FlatOut, recording: RecordingOptions::default(), ..ReplayOptions::new(path) };
    let mut bench = Bench::replay(options);
    let mut slots = 0;
    while bench.worker.finished().is_none() {
        bench.worker.do_work(bench.now_ns);
        slots += bench.ring.drain(usize::MAX, |_| {});
    }
    slots += bench.ring.drain(usize::MAX, |_| {});
    assert_eq!(slots as u64, bench.worker.recording().unwrap().counts().slots + 1, "and the session");
    assert!(bench.worker.metrics().ring_full() > 0);
    assert_eq!(bench.worker.metrics().decoded(), 6_176);
}
