//! The simulated exchange's files, and its packets and answers over a socket: what they hold is what the exchange said.

#[path = "simulator/days.rs"]
mod days;

use std::net::UdpSocket;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use book::Nanos;
use book::metrics::MetricSource;
use days::{SECOND_NS, START_NS, short_day};
use feed_handler::recording::input::Input;
use feed_handler::recording::pcap::Capture;
use feed_handler::recording::raw::Framed;
use feed_handler::sim::{Clock, Compression, Exchange, Output, Server, SimConfig, write_file};
use feed_handler::wire::layout::moldudp64::Session;
use feed_handler::wire::moldudp64::{Packet, PacketKind, Request};

/// Every message as it was given.
#[derive(Default)]
struct Kept(Vec<Vec<u8>>);

impl Output for Kept {
    fn session_begins(&mut self, _session: Session) {}
    fn session_ends(&mut self) {}
    fn message(&mut self, _exchange_ns: Nanos, message: &[u8]) {
        self.0.push(message.to_vec());
    }
}

#[test]
fn a_written_file_holds_the_exchange_s_messages() {
    let config = SimConfig { rate: 100, symbols_max: 5, ..short_day() };
    let mut kept = Kept::default();
    Exchange::new(&config, START_NS).expect("a good configuration").advance(u64::MAX, &mut kept);
    let folder = tempfile::tempdir().expect("a scratch folder");
    let go_on = |_: &_| ControlFlow::Continue(());
    for name in ["day.itch", "day.bistech.gz"] {
        let path = folder.path().join(name);
        let progress = write_file(&path, &config, START_NS, 0, go_on).expect("a written file");
        assert_eq!((progress.messages, progress.sessions), (kept.0.len() as u64, 1), "{name}");
        let mut framed = Framed::new(Input::open(&path).expect("a file"), |_| None);
        for message in &kept.0 {
            assert_eq!(framed.next_message().expect("a whole file"), Some(&message[..]), "{name}");
        }
        assert_eq!(framed.next_message().expect("a whole file"), None);
    }
    for name in ["day.pcap", "day.pcap.gz"] {
        let path = folder.path().join(name);
        let written = write_file(&path, &config, START_NS, 0, go_on).expect("a written file");
        let mut capture = Capture::new(Input::open(&path).expect("a file")).expect("a capture");
        let (mut next, mut packets, mut last_ns, mut ends) = (1, 0, 0, 0);
        while let Some(datagram) = capture.next_datagram().expect("a whole file") {
            let packet = Packet::parse(datagram.payload).expect("a whole packet");
            assert!(datagram.captured_ns >= last_ns && datagram.payload.len() <= 1_400);
            last_ns = datagram.captured_ns;
            assert_eq!((packet.session, packet.sequence), (*b"S261123000", next));
            ends += u32::from(packet.kind == PacketKind::EndOfSession);
            for (number, message) in packet.messages() {
                assert_eq!(message, &kept.0[number as usize - 1][..]);
            }
            next = packet.next_sequence();
            packets += 1;
        }
        assert_eq!((next - 1, packets, ends), (kept.0.len() as u64, written.packets, 3), "{name}");
    }
    let path = folder.path().join("day.csv");
    assert!(write_file(&path, &config, START_NS, 0, go_on).is_err(), "unknown format");
    let path = folder.path().join("short.itch");
    let progress = write_file(&path, &config, START_NS, 1_000, go_on).expect("a written file");
    assert_eq!(progress.messages, 1_000);
    assert!(
        folder
            .path()
            .read_dir()
            .expect("a folder")
            .all(|file| { file.expect("a name").path().extension().is_some_and(|extension| extension != "part") })
    );
}

#[test]
fn a_server_sends_answers_and_stops() {
    let receiver = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    receiver.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    let config = SimConfig {
        destination: receiver.local_addr().expect("an address"),
        // The opening auction in 120 ms: faster than that, a receiver that is kept from its core for a moment finds its
        // socket's buffer overrun.
        clock: Clock::Compressed(Compression { auction_speed: 10_000, ..Compression::default() }),
        symbols_max: 4,
        ..SimConfig::default()
    };
    let mut kept = Kept::default();
    let mut exchange = Exchange::new(&config, START_NS).expect("a good configuration");
    let until_ns = exchange.schedule().continuous_ns + 60 * SECOND_NS;
    exchange.advance(until_ns, &mut kept);

    let server = Server::bind(&config, START_NS).expect("a server");
    let requests = server.local_addr().expect("an address");
    let metrics = server.metrics();
    let running = server.spawn().expect("a thread");
    let mut next = 1;
    let mut datagram = [0; 2_048];
    let session = loop {
        let (length, from) = receiver.recv_from(&mut datagram).expect("a packet in time");
        assert_eq!(from, requests);
        let packet = Packet::parse(&datagram[..length]).expect("a whole packet");
        assert_eq!(packet.sequence, next, "nothing is lost on a quiet loopback");
        for (number, message) in packet.messages() {
            assert_eq!(message, &kept.0[number as usize - 1][..], "message {number}");
        }
        next = packet.next_sequence();
        if next > 3_000 {
            break packet.session;
        }
    };

    let asking = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    asking.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    for refused in [
        Request { session: *b"OTHER     ", from: 1, count: 1 },
        Request { session, from: u64::MAX, count: 5 },
        Request { session, from: 0, count: 5 },
    ] {
        asking.send_to(&refused.encode(), requests).expect("sent");
    }
    asking.send_to(b"short", requests).expect("sent");
    asking.send_to(&[0; 100], requests).expect("sent");
    asking.send_to(&Request { session, from: 2_001, count: 500 }.encode(), requests).expect("sent");
    let (length, _) = asking.recv_from(&mut datagram).expect("an answer to the last request only");
    let packet = Packet::parse(&datagram[..length]).expect("a whole packet");
    assert_eq!((packet.session, packet.sequence), (session, 2_001));
    assert!(packet.count >= 10 && length <= 1_440);
    for (number, message) in packet.messages() {
        assert_eq!(message, &kept.0[number as usize - 1][..]);
    }

    assert!(Server::bind(&SimConfig::default(), START_NS).is_err(), "a destination without a port");
    let stopping = Instant::now();
    running.stop();
    assert!(stopping.elapsed() < Duration::from_millis(100), "{:?}", stopping.elapsed());
    let mut samples = Vec::new();
    metrics.collect(&mut samples);
    let value = |name: &str| {
        samples
            .iter()
            .find(|sample| sample.name == name)
            .map(|sample| format!("{:?}", sample.value))
            .unwrap_or_default()
    };
    assert_eq!(value("bist_sim_requests_total"), "Counter(6)");
    assert_eq!(value("bist_sim_requests_refused_total"), "Counter(5)");
    assert!(metrics.messages() >= 3_000);
}
