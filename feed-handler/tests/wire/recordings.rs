//! Real recordings, counted: every message is decoded, and the counts are those of the files' own descriptions.

use book::slot::View;
use book::{Price, Slot};
use feed_handler::decode::sink::{Received, Refused};
use feed_handler::decode::{bistech, itch50};
use feed_handler::wire::moldudp64::{BadPacket, Packet, PacketKind};

use crate::data::{count_by_type, framed, read, udp_payloads};

/// How many slots came out, by kind.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    adds: u64,
    cancels: u64,
    executions: u64,
    replaces: u64,
    trades: u64,
    ranks: u64,
    definitions: u64,
    other: u64,
}

impl Seen {
    fn push(&mut self, slot: &Slot) {
        match slot.view() {
            View::Order(event) if event.action == book::slot::action::ADD => self.adds += 1,
            View::Order(_) => self.cancels += 1,
            View::Execution(_) => self.executions += 1,
            View::Replace(_) => self.replaces += 1,
            View::Trade(_) => self.trades += 1,
            View::Rank(_) => self.ranks += 1,
            View::Contract(_) => self.definitions += 1,
            View::Unknown(rtype) => panic!("unknown kind {rtype:#04x}"),
            _ => self.other += 1,
        }
    }
}

fn decode_bistech(messages: &[&[u8]]) -> Seen {
    let mut decoder = bistech::Decoder::new(64, None);
    let mut seen = Seen::default();
    for (at, message) in messages.iter().enumerate() {
        let outcome = decoder.decode(message, Received::default(), &mut |slot: Slot| seen.push(&slot));
        assert_eq!(outcome, Ok(()), "message {at}");
    }
    assert_eq!((decoder.counters.decoded, decoder.counters.refused), (messages.len() as u64, 0));
    seen
}

fn decode_itch50(messages: &[&[u8]]) -> Seen {
    let mut decoder = itch50::Decoder::new(0, 65_535);
    let mut seen = Seen::default();
    for (at, message) in messages.iter().enumerate() {
        let outcome = decoder.decode(message, Received::default(), &mut |slot: Slot| seen.push(&slot));
        assert_eq!(outcome, Ok(()), "message {at}");
    }
    assert_eq!((decoder.counters.decoded, decoder.counters.refused), (messages.len() as u64, 0));
    seen
}

#[test]
fn the_first_directory_of_the_exchange_2014() {
    let Some(bytes) = read("bist-itch/bist_20140917_moldudp64_v1.2_directory.mold") else { return };
    // Two whole datagrams end at 1881; the third is cut in its last block. A datagram ends where its blocks do.
    let first_end = (20..=1_881).find(|&end| Packet::parse(&bytes[..end]).is_ok()).unwrap();
    let datagrams = [&bytes[..first_end], &bytes[first_end..1_881], &bytes[1_881..]];
    let first = Packet::parse(datagrams[0]).unwrap();
    let second = Packet::parse(datagrams[1]).unwrap();
    assert_eq!((first.session, first.sequence, first.count), ([0; 10], 1, 15));
    assert_eq!((second.session, second.sequence, second.count), ([0; 10], 16, 13));
    let cut = Packet::parse(datagrams[2]).unwrap_err();
    assert_eq!(cut, BadPacket::Cut { block: 13, count: 13 });

    // The twelve whole blocks before the cut are walked here by hand: a damaged packet delivers nothing.
    let whole_blocks = framed(&datagrams[2][20..datagrams[2].len() - 22], |_kind| None);
    let messages: Vec<&[u8]> =
        first.messages().chain(second.messages()).map(|(_, message)| message).chain(whole_blocks).collect();
    let counts = count_by_type(messages.iter().copied());
    assert_eq!(counts, [('L', 18), ('R', 19), ('S', 1), ('T', 2)]);

    let mut decoder = bistech::Decoder::new(32, None);
    let mut slots = Vec::new();
    for message in &messages {
        decoder.decode(message, Received::default(), &mut |slot: Slot| slots.push(slot)).unwrap();
    }
    assert_eq!((decoder.counters.decoded, decoder.books()), (40, 19));
    assert_eq!(slots.len(), 2 + 1 + 4 * 19 + 18);
    // Message 4: R of ACSEL, book 2,207,822, three decimals; message 5: its ticks of 0.05 from 26.45 to 32.35.
    let View::Symbol(symbol) = slots[3].view() else { panic!("{:?}", slots[3]) };
    assert_eq!((book::slot::text(&symbol.symbol), symbol.book_id), ("ACSEL", 2_207_822));
    assert_eq!(symbol.exchange_ns, 1_410_928_422_541_826_838);
    let View::TickBand(band) = slots[7].view() else { panic!("{:?}", slots[7]) };
    assert_eq!([band.tick, band.from, band.to].map(|nanos| Price(nanos).to_string()), ["0.05", "26.45", "32.35"]);
    // Message 27: a right issue whose ticks have no upper end.
    let View::TickBand(band) =
        slots.iter().filter(|slot| matches!(slot.view(), View::TickBand(_))).nth(11).unwrap().view()
    else {
        panic!()
    };
    assert_eq!((band.book_id, band.tick, band.from, band.to), (6_481_742, 10_000_000, 0, Price::NONE.0));

    // A block cut in the middle is refused by the decoder too.
    let torn = &datagrams[2][datagrams[2].len() - 20..];
    let refused = decoder.decode(torn, Received::default(), &mut |_slot: Slot| panic!("nothing"));
    assert_eq!(refused, Err(Refused::Short { kind: b'L', got: 20, need: 25 }));
}

#[test]
fn garan_21_september_2022() {
    let Some(bytes) = read("bist-itch/GARAN.E_20220921_first6002.bistech2112.gz") else { return };
    let messages = framed(&bytes, bistech::length_of);
    let counts = [('A', 3_995), ('D', 617), ('E', 1_382), ('L', 1), ('O', 8), ('R', 1), ('S', 2), ('T', 169), ('V', 1)];
    assert_eq!(count_by_type(messages.iter().copied()), counts);
    let seen = decode_bistech(&messages);
    assert_eq!((seen.adds, seen.cancels, seen.executions), (3_995, 617, 1_382));
    assert_eq!(seen.ranks, 1, "the one order that came back and kept its priority");
    assert_eq!((seen.definitions, seen.trades, seen.replaces), (1, 0, 0));
}

#[test]
fn garan_as_packets_holds_the_same_messages() {
    let (Some(framed_bytes), Some(capture)) = (
        read("bist-itch/GARAN.E_20220921_first6002.bistech2112.gz"),
        read("bist-itch/GARAN.E_20220921_first6002.bistech2112.pcap.gz"),
    ) else {
        return;
    };
    let datagrams = udp_payloads(&capture);
    assert_eq!(datagrams.len(), 3_207);
    let packets: Vec<Packet<'_>> = datagrams.iter().map(|datagram| Packet::parse(datagram).unwrap()).collect();
    let mut next = 1;
    let mut messages = Vec::new();
    for packet in &packets {
        assert_eq!((&packet.session, packet.sequence), (b"GARAN00001", next));
        next = packet.next_sequence();
        messages.extend(packet.messages().map(|(_, message)| message));
    }
    assert_eq!(packets[3_205].kind, PacketKind::Heartbeat);
    assert_eq!(packets[3_206].kind, PacketKind::EndOfSession);
    assert_eq!(next, 6_177);
    assert_eq!(messages, framed(&framed_bytes, bistech::length_of));
}

#[test]
fn goog_in_both_formats() {
    if let Some(bytes) = read("reencoded/GOOG_20120621.bistech2112.gz") {
        let messages = framed(&bytes, bistech::length_of);
        let counts = [
            ('A', 76_097),
            ('D', 70_018),
            ('E', 7_811),
            ('L', 1),
            ('O', 1),
            ('P', 3_913),
            ('R', 1),
            ('S', 2),
            ('T', 16_101),
            ('V', 1),
        ];
        assert_eq!(count_by_type(messages.iter().copied()), counts);
        let seen = decode_bistech(&messages);
        assert_eq!((seen.adds, seen.cancels, seen.executions, seen.trades), (76_097, 70_018, 7_811, 3_913));
        assert_eq!(seen.ranks, 880, "every partial cancel is a delete and an add with the old ranking time");
    }
    if let Some(bytes) = read("reencoded/GOOG_20120621.itch50.gz") {
        let messages = framed(&bytes, itch50::length_of);
        let counts =
            [('A', 75_217), ('D', 69_138), ('E', 7_811), ('H', 1), ('P', 3_913), ('R', 1), ('S', 6), ('X', 880)];
        assert_eq!(count_by_type(messages.iter().copied()), counts);
        let seen = decode_itch50(&messages);
        assert_eq!((seen.adds, seen.cancels, seen.executions, seen.trades), (75_217, 70_018, 7_811, 3_913));
        assert_eq!((seen.definitions, seen.other), (1, 3 + 1 + 2), "three more parts of a definition, H, S of O and C");
    }
}

/// Decodes a file of the folder `itch50` and compares the counts by type.
#[track_caller]
fn check_itch50(name: &str, counts: &[(char, u64)]) {
    let Some(bytes) = read(&format!("itch50/{name}")) else { return };
    let messages = framed(&bytes, itch50::length_of);
    assert_eq!(count_by_type(messages.iter().copied()), counts, "{name}");
    let seen = decode_itch50(&messages);
    let count =
        |kinds: &str| counts.iter().filter(|(kind, _)| kinds.contains(*kind)).map(|(_, count)| count).sum::<u64>();
    assert_eq!((seen.adds, seen.cancels), (count("AF"), count("DX")), "{name}");
    let empty_crosses =
        messages.iter().filter(|message| message[0] == b'Q' && message[11..19] == [0; 8]).count() as u64;
    let trades = count("PQ") - empty_crosses;
    assert_eq!((seen.executions, seen.replaces, seen.trades), (count("EC"), count("U"), trades), "{name}");
    assert_eq!((seen.definitions, seen.ranks), (count("R"), 0), "{name}");
}

#[test]
fn nasdaq_recordings() {
    check_itch50(
        "nasdaq_20191230_0930_1000msgs.itch50",
        &[
            ('A', 367),
            ('C', 1),
            ('D', 167),
            ('E', 28),
            ('F', 193),
            ('I', 4),
            ('P', 4),
            ('Q', 4),
            ('S', 1),
            ('U', 225),
            ('X', 6),
        ],
    );
    check_itch50("nasdaq_20191230_0400_500msgs_ADU.itch50", &[('A', 495), ('D', 4), ('U', 1)]);
    check_itch50(
        "nasdaq_20191230_10_per_type.itch50",
        &[('A', 10), ('C', 10), ('D', 10), ('E', 10), ('U', 10), ('X', 10)],
    );
    check_itch50("nasdaq_start_of_day_1000msgs.itch50", &[('H', 3), ('R', 993), ('S', 1), ('Y', 3)]);
}

#[test]
fn a_recording_whose_lengths_are_zero_is_walked_by_type() {
    check_itch50(
        "simulated_ritch_zero_length_prefix.itch50.gz",
        &[
            ('A', 4_997),
            ('D', 1_745),
            ('E', 198),
            ('F', 3),
            ('H', 3),
            ('P', 5_000),
            ('R', 3),
            ('S', 6),
            ('U', 12),
            ('X', 45),
        ],
    );
}

#[test]
fn captured_packets_parse_to_the_last_byte() {
    let live = "moldudp64-pcap/Nasdaq.Equities.TotalView.Itch.v5.0";
    let Some(capture) = read(&format!("{live}/Multiple.Packets.pcap")) else { return };
    let datagrams = udp_payloads(&capture);
    let packets: Vec<Packet<'_>> = datagrams.iter().map(|datagram| Packet::parse(datagram).unwrap()).collect();
    let heads: Vec<_> = packets.iter().map(|packet| (packet.sequence, packet.count)).collect();
    assert_eq!(heads, [(14_764_496, 1), (19_009_117, 38)]);
    assert!(packets.iter().all(|packet| &packet.session == b"000010059B"));
    let messages: Vec<&[u8]> = packets[1].messages().map(|(_, message)| message).collect();
    assert_eq!(count_by_type(messages.iter().copied()), [('A', 36), ('F', 2)]);
    decode_itch50(&messages);
}

#[test]
fn captured_packets_of_every_type_decode() {
    let live = "moldudp64-pcap/Nasdaq.Equities.TotalView.Itch.v5.0";
    let files = [
        ("AddOrderNoMpidAttributionMessage", 'A', 1),
        ("MarketParticipantPositionMessage", 'L', 1),
        ("NetOrderImbalanceIndicatorMessage", 'I', 1),
        ("OrderDeleteMessage", 'D', 1),
        ("OrderExecutedMessage", 'E', 1),
        ("OrderReplaceMessage", 'U', 1),
        ("StockTradingActionMessage", 'H', 1),
    ];
    let anew = [
        ("AddOrderNoMPID", 'A', 5),
        ("AddOrderWithMPID", 'F', 5),
        ("CrossTrade", 'Q', 5),
        ("LULDAuctionCollar", 'J', 5),
        ("MarketParticipantPosition", 'L', 5),
        ("NetOrderImbalanceIndicator", 'I', 5),
        ("NonCrossTrade", 'P', 5),
        ("OrderCancel", 'X', 5),
        ("OrderDelete", 'D', 5),
        ("OrderExecuted", 'E', 5),
        ("OrderExecutedWithPrice", 'C', 5),
        ("OrderReplace", 'U', 5),
        ("RegSHORestriction", 'Y', 5),
        ("StockTradingAction", 'H', 5),
        ("SystemEvent", 'S', 1),
    ];
    let paths = files.map(|(name, kind, count)| (format!("{live}/{name}.pcap"), kind, count)).into_iter();
    let paths = paths.chain(anew.map(|(name, kind, count)| (format!("{live}.20230822/{name}.pcap"), kind, count)));
    for (path, kind, count) in paths {
        let Some(capture) = read(&path) else { return };
        let datagrams = udp_payloads(&capture);
        let messages: Vec<&[u8]> = datagrams
            .iter()
            .flat_map(|datagram| Packet::parse(datagram).unwrap().messages())
            .map(|(_, message)| message)
            .collect();
        assert_eq!(count_by_type(messages.iter().copied()), [(kind, count)], "{path}");
        decode_itch50(&messages);
    }
}
