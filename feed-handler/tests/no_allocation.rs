//! The live path takes no memory after construction: from the socket through sequencer and decoder into the ring,
//! with repeats, a gap, a parked packet, a request, a new session and silence on the way.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};

use book::ring::{self, Notifier};
use feed_handler::decode::bistech;
use feed_handler::feed::{FeedWorker, LiveOptions};
use feed_handler::net::udp::{Line, UdpOptions, UdpSource};
use feed_handler::recovery::sequencer::{Recovery, SequencerConfig};
use feed_handler::wire::layout::bistech_2112::{
    AddOrder, EquilibriumPrice, OrderBookDirectory, OrderDelete, OrderExecuted, Seconds,
};
use feed_handler::wire::layout::{Message, alpha};
use feed_handler::wire::moldudp64::PacketWriter;
use zerocopy::{Immutable, IntoBytes};

/// How often `work` took memory, or gave back or moved what was taken before.
fn taken(work: impl FnOnce()) -> u64 {
    let info = allocation_counter::measure(work);
    info.count_total + info.count_current.unsigned_abs()
}

fn bytes(message: impl Message + IntoBytes + Immutable) -> Vec<u8> {
    message.as_bytes().to_vec()
}

/// A second, a directory and one message of every frequent kind for each of `orders`.
fn messages(orders: std::ops::Range<u64>) -> Vec<Vec<u8>> {
    let book_id = 7.into();
    let mut all = vec![
        bytes(Seconds { second: 1_740_000_000.into(), ..Seconds::default() }),
        bytes(OrderBookDirectory {
            book_id,
            symbol: alpha("GARAN.E"),
            price_decimals: 3.into(),
            ..OrderBookDirectory::default()
        }),
        bytes(EquilibriumPrice { book_id, ..EquilibriumPrice::default() }),
    ];
    for order in orders {
        if order % 50 == 0 {
            all.push(vec![b'?'; 8]);
            all.push(bytes(Seconds { second: 1_740_000_000.into(), ..Seconds::default() }));
        }
        let order_id = order.into();
        all.push(bytes(AddOrder {
            order_id,
            book_id,
            side: b'B',
            quantity: 10.into(),
            ranking_ns: 5.into(),
            ..AddOrder::default()
        }));
        all.push(bytes(OrderExecuted { order_id, book_id, side: b'B', quantity: 1.into(), ..Default::default() }));
        all.push(bytes(OrderDelete { order_id, book_id, side: b'B', ..OrderDelete::default() }));
    }
    all
}

fn packets(session: &[u8; 10]) -> Vec<Vec<u8>> {
    let mut writer = PacketWriter::new(*session, 1, 1_400);
    let mut packets = Vec::new();
    for message in messages(0..400) {
        if writer.push(&message).is_err() {
            packets.push(writer.take().unwrap().to_vec());
            writer.push(&message).unwrap();
        }
    }
    packets.push(writer.take().unwrap().to_vec());
    packets
}

#[test]
fn the_live_path_takes_no_memory() {
    let old = vec![1u8; 10];
    assert_eq!(
        (taken(|| drop(std::hint::black_box(vec![1u8; 10]))), taken(|| drop(old))),
        (1, 1),
        "the counter counts"
    );

    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let SocketAddr::V4(request_server) = server.local_addr().unwrap() else { unreachable!() };
    let line = Line { address: SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0), interface: Ipv4Addr::UNSPECIFIED };
    let options = UdpOptions {
        lines: vec![line; 2],
        receive_buffer_bytes: 4 << 20,
        request_server: Some(request_server),
        sources: Vec::new(),
    };
    let udp = UdpSource::open(&options).unwrap();
    let lines = udp.addresses();
    let recovery = Some(Recovery { delay_ns: 0, interval_ns: 1_000, messages_max: 100 });
    let sequencer = SequencerConfig { recovery, ..SequencerConfig::default() };
    let live = LiveOptions { sequencer, ..LiveOptions::default() };
    let (producer, mut ring) = ring::ring("events", 65_536, Notifier::new());
    let mut worker = FeedWorker::live(udp, bistech::Decoder::new(1_024, None), producer, 1, live).unwrap();

    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut slots = 0;
    for session in [b"SESSION001", b"SESSION002"] {
        for (at, packet) in packets(session).iter().enumerate() {
            // Packet 5 is lost on both lines; one of ten comes twice; garbage now and then.
            if at != 5 {
                socket.send_to(packet, lines[at % 2]).unwrap();
            }
            if at % 10 == 0 {
                socket.send_to(packet, lines[1 - at % 2]).unwrap();
                socket.send_to(b"garbage", lines[0]).unwrap();
            }
        }
        let mut now_ns = 1_740_000_000_000_000_000;
        // Time goes on by 10 ms a turn: requests go out, the gap is given up, silence begins.
        slots += (0..1_000)
            .map(|_| {
                now_ns += 10_000_000;
                let mut handled = 0;
                let taken = taken(|| {
                    worker.do_work(now_ns);
                    handled = ring.drain(usize::MAX, |_| {});
                });
                assert_eq!(taken, 0, "in the turn at {now_ns}");
                handled
            })
            .sum::<usize>();
    }
    let metrics = worker.metrics();
    assert!(metrics.gaps() == 2 && metrics.refused() > 0 && metrics.is_stale(), "all of it happened");
    assert!(metrics.decoded() > 2_000 && slots as u64 > metrics.decoded());
}
