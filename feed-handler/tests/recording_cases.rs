//! Recordings as others write them: padding, skippable frames, closing blocks, old packet blocks, several lines in one
//! capture, other protocols. Small inputs of public reports with their right values, and made ones of the same kind.

mod common;

use std::io::{Read as _, Write as _};
use std::path::Path;

use book::market::{Limits, Market};
use common::{bytes, case};
use etherparse::PacketBuilder;
use feed_handler::inspect::{BookQuery, Report, inspect, inspect_again};
use feed_handler::recording::{OpenError, Recording, RecordingOptions, Step};
use feed_handler::wire::moldudp64::PacketWriter;

/// The report, and the best levels of the last row: `bid price x quantity (orders)`, `ask …`; empty without rows.
fn last_row(path: &Path, symbol: &str, levels: usize) -> (Report, String) {
    let query = BookQuery { symbol: symbol.to_owned(), levels };
    let mut csv = Vec::new();
    let report = inspect(path, &RecordingOptions::default(), Some(&query), &mut csv, &mut |_, _| {}).unwrap();
    let row = levels_of(&csv);
    (report, row)
}

fn levels_of(csv: &[u8]) -> String {
    let csv = String::from_utf8(csv.to_vec()).unwrap();
    let Some(row) = csv.lines().skip(1).last() else { return String::new() };
    let fields: Vec<&str> = row.split(',').skip(2).collect();
    let sides = fields.chunks(3).zip(["bid", "ask"].into_iter().cycle());
    let levels = sides.filter(|(level, _)| !level[0].is_empty());
    levels
        .map(|(level, side)| format!("{side} {} x {} ({})", level[0], level[1], level[2]))
        .collect::<Vec<_>>()
        .join(", ")
}

fn written(name: &str, bytes: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    (folder, path)
}

const WHOLE: &str = "bid 10.0000 x 60 (1), ask 10.1000 x 70 (1)";

#[test]
fn padding_behind_a_gzip_stream_is_nothing_and_other_bytes_are_a_remark() {
    let Some(path) = case("gzip-padding-after-the-end", ".gz") else { return };
    let (padded, row) = last_row(&path, "TEST", 1);
    assert!(!padded.has_findings() && !row.is_empty(), "{padded}");
    assert!(!padded.to_string().contains("remark"), "{padded}");

    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(&std::fs::read(&path).unwrap()[..]).read_to_end(&mut plain).unwrap();
    let gzip = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let (first, second) = plain.split_at(plain.len() / 2);
    for (behind, remark) in [(&b""[..], 0), (&[0; 70_000][..], 0), (b"\nbye\n", 5), (b"\x1F", 1), (b"\0\x1Fx", 2)] {
        let (_folder, path) = written("made.itch50.gz", &[&gzip(first)[..], &gzip(second), behind].concat());
        let (report, made) = last_row(&path, "TEST", 1);
        assert!(!report.has_findings() && made == row, "{behind:?}: {report}");
        assert_eq!(report.counts.trailing_bytes, remark, "{report}");
        assert_eq!(report.to_string().contains("remark"), remark > 0);
    }
}

#[test]
fn a_skippable_frame_before_a_zstd_frame_is_skipped() {
    let Some(path) = case("zstd-skippable-frame-first", ".zst") else { return };
    let (report, row) = last_row(&path, "TEST", 1);
    assert!(!report.has_findings() && !row.is_empty(), "{report}");
    assert_eq!((report.format.to_string(), report.counts.messages), ("itch50".to_owned(), 7), "{report}");
    // As pzstd writes them: one before each frame, of any of the sixteen magic numbers.
    let packed = std::fs::read(&path).unwrap();
    let frame = zstd::encode_all(&bytes_of_zstd(&packed)[..], 1).unwrap();
    for low in 0x50..=0x5F {
        let skippable = [low, 0x2A, 0x4D, 0x18, 3, 0, 0, 0, 1, 2, 3];
        let (_folder, path) = written("made.zst", &[&skippable[..], &frame, &skippable].concat());
        assert_eq!(last_row(&path, "TEST", 1).1, row, "magic {low:#x}");
    }
}

fn bytes_of_zstd(packed: &[u8]) -> Vec<u8> {
    zstd::decode_all(packed).unwrap()
}

#[test]
fn the_closing_block_of_a_binary_file_is_its_end() {
    let Some(path) = case("binaryfile-end-of-session", ".itch50") else { return };
    let (report, _) = last_row(&path, "TEST", 1);
    assert_eq!((report.counts.messages, report.counts.refused_total()), (6, 0), "{report}");
    assert!(!report.has_findings(), "{report}");
}

#[test]
fn a_lobster_cross_is_a_trade_that_names_no_order() {
    use book::slot::conditions;
    let Some(path) = case("lobster-cross-trade", ".csv") else { return };
    let mut recording = Recording::open(&path, &RecordingOptions::default()).unwrap();
    let mut slots = Vec::new();
    while recording.next(&mut |slot: book::Slot| slots.push(slot)).unwrap() != feed_handler::recording::Step::End {}
    assert_eq!((recording.counts().messages, recording.counts().refused_total()), (5, 0));
    let crosses: Vec<_> = slots
        .iter()
        .filter_map(|slot| match slot.view() {
            book::View::Trade(trade) if trade.conditions & conditions::CROSS != 0 => Some(*trade),
            _ => None,
        })
        .collect();
    assert_eq!(crosses.len(), 1);
    assert_eq!((crosses[0].quantity, crosses[0].order_id), (5_000, 0));
    assert_eq!(book::Price(crosses[0].price).to_string(), "100.50");
    assert!(!last_row(&path, "TEST", 1).0.has_findings());
}

#[test]
fn packets_in_superseded_blocks_are_read() {
    let Some(path) = case("pcapng-packet-block", ".pcapng") else { return };
    let (report, row) = last_row(&path, "TEST", 1);
    assert_eq!((report.counts.packets, report.has_findings()), (2, false), "{report}");
    assert_eq!(row, "bid 10.0000 x 110 (2), ask 10.1000 x 70 (1)");
}

/// A nanosecond capture of UDP payloads: destination address and port, payload, in their order.
fn capture(frames: &[([u8; 4], u16, Vec<u8>)]) -> Vec<u8> {
    let mut file = vec![0x4D, 0x3C, 0xB2, 0xA1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0, 0, 1, 0, 0, 0];
    for (at, (address, port, payload)) in frames.iter().enumerate() {
        let mut frame = Vec::new();
        let builder = PacketBuilder::ethernet2([1; 6], [2; 6]).ipv4([10, 0, 0, 1], *address, 16).udp(5_000, *port);
        builder.write(&mut frame, payload).unwrap();
        for value in [1_700_000_000, at as u32 * 100_000, frame.len() as u32, frame.len() as u32] {
            file.extend(value.to_le_bytes());
        }
        file.extend(frame);
    }
    file
}

/// UDP payloads of a little-endian capture of plain Ethernet frames.
fn payloads(file: &[u8]) -> Vec<([u8; 4], u16, Vec<u8>)> {
    let (mut frames, mut at) = (Vec::new(), 24);
    while at < file.len() {
        let length = u32::from_le_bytes(file[at + 8..at + 12].try_into().unwrap()) as usize;
        let frame = &file[at + 16..at + 16 + length];
        let port = u16::from_be_bytes(frame[36..38].try_into().unwrap());
        frames.push((frame[30..34].try_into().unwrap(), port, frame[42..].to_vec()));
        at += 16 + length;
    }
    frames
}

#[test]
fn lines_and_answers_of_one_session_are_one_stream() {
    for (ending, repeats) in [("c36_ab.pcap", 8), ("c36_ab_loss.pcap", 7)] {
        let Some(path) = case("ab-lines-in-one-capture", ending) else { return };
        let (report, row) = last_row(&path, "TEST", 1);
        assert_eq!(row, WHOLE, "{ending}");
        let counts = &report.counts;
        assert_eq!((counts.messages, counts.repeats, counts.gaps), (8, repeats, 0), "{ending}: {report}");
        assert!(!report.has_findings() && report.anomalies.is_empty(), "{ending}: {report}");
    }
    // The same with line A alone and the answer of a request server, sent to the host that asked, 300 microseconds late.
    let Some(path) = case("ab-lines-in-one-capture", "c36_ab.pcap") else { return };
    let all = payloads(&std::fs::read(&path).unwrap());
    let line_a: Vec<_> = all.iter().filter(|(address, ..)| *address == all[0].0).cloned().collect();
    assert_eq!(line_a.len(), 3);
    let answer = ([10, 0, 0, 9], 40_000, line_a[1].2.clone());
    let (_folder, path) = written("made.pcap", &capture(&[line_a[0].clone(), line_a[2].clone(), answer]));
    let (report, row) = last_row(&path, "TEST", 1);
    assert_eq!((row.as_str(), report.counts.gaps, report.has_findings()), (WHOLE, 0, false), "{report}");
}

#[test]
fn a_new_session_of_a_partition_leaves_the_books_of_the_others() {
    let Some(path) = case("two-partitions-one-session-ends", ".pcap") else { return };
    let (report, row) = last_row(&path, "TEST", 1);
    assert_eq!(row, "bid 10.0000 x 110 (2), ask 10.1000 x 70 (1)", "{report}");
    assert!(report.anomalies.is_empty(), "{report}");
    assert_eq!(last_row(&path, "OTHER", 1).1, "bid 5.0000 x 6 (1)");
    assert_eq!((report.counts.sessions, report.counts.streams.len()), (1, 2), "{report}");
}

#[test]
fn another_protocol_is_named() {
    let Some(path) = case("unknown-protocol-is-called-damaged-or-bistech", ".txt") else { return };
    let refused = Recording::open(&path, &RecordingOptions::default()).err().unwrap();
    assert!(matches!(refused, OpenError::Foreign { name: "NASDAQ ITCH 4.1" }), "{refused}");
}

/// One MoldUDP64 packet with messages of these types and lengths.
fn packet(messages: &[(u8, usize)]) -> Vec<u8> {
    let mut writer = PacketWriter::new(*b"SESSION001", 1, 1_400);
    for &(kind, length) in messages {
        let mut message = vec![0; length];
        message[0] = kind;
        writer.push(&message).unwrap();
    }
    writer.take().unwrap().to_vec()
}

#[test]
fn whole_packets_of_another_protocol_are_not_damaged() {
    for (messages, words) in [
        (&[(b'T', 5), (b'S', 10), (b'R', 45)][..], "its 2 packets are JNX ITCH 1.6, which is not read"),
        (&[(b'z', 99)][..], "its 2 packets are of another protocol: the first message has type 'z' and 99 bytes"),
    ] {
        let frame = ([233, 252, 0, 1], 21_001, packet(messages));
        let (_folder, path) = written("made.pcap", &capture(&[frame.clone(), frame]));
        let report = inspect(&path, &RecordingOptions::default(), None, &mut std::io::sink(), &mut |_, _| {}).unwrap();
        assert_eq!((report.counts.damaged_packets, report.counts.foreign_packets), (0, 2), "{report}");
        assert!(report.has_findings() && report.to_string().contains(words), "{report}");
    }
}

#[test]
fn a_file_of_which_nothing_can_be_read_has_a_finding_in_words() {
    let mut frame = Vec::new();
    PacketBuilder::ethernet2([1; 6], [2; 6]).ipv4([1; 4], [2; 4], 16).tcp(1, 2, 3, 4).write(&mut frame, b"x").unwrap();
    let mut file = capture(&[]);
    for value in [0, 0, frame.len() as u32, frame.len() as u32] {
        file.extend(value.to_le_bytes());
    }
    file.extend(frame);
    let (_folder, path) = written("made.pcap", &file);
    let report = inspect(&path, &RecordingOptions::default(), None, &mut std::io::sink(), &mut |_, _| {}).unwrap();
    assert!(report.has_findings() && report.to_string().contains("1 frames are not UDP"), "{report}");

    let Some(path) = case("binaryfile-end-of-session", ".itch50") else { return };
    let options = RecordingOptions { format: "bistech".parse().unwrap(), ..RecordingOptions::default() };
    let report = inspect(&path, &options, None, &mut std::io::sink(), &mut |_, _| {}).unwrap();
    let words = report.nothing_read.as_deref().unwrap_or_default();
    assert!(words.contains("every one of the 6 messages was refused"), "{report}");
}

#[test]
fn books_are_as_large_as_they_need_whatever_the_file_weighs() {
    let Some(path) = case("orders-bounded-by-compressed-size", ".gz") else { return };
    let (report, row) = last_row(&path, "TEST", 1);
    assert_eq!(row, "bid 10.0000 x 1200000 (12000)");
    assert!(report.anomalies.is_empty() && report.bounds.is_empty() && !report.has_findings(), "{report}");

    // Ten times as many need a second reading, and every row stands once.
    let many = many_orders(&bytes(&path), 120_000);
    let query = BookQuery { symbol: "TEST".to_owned(), levels: 1 };
    let (mut csv, mut opened) = (Vec::new(), 0);
    let mut open = || {
        opened += 1;
        Recording::from_bytes(many.clone(), "many.itch50", &RecordingOptions::default())
    };
    let report = inspect_again(&mut open, Some(&query), &mut csv, &mut |_, _| {}).unwrap();
    assert_eq!((opened, levels_of(&csv).as_str()), (2, "bid 10.0000 x 12000000 (120000)"), "{report}");
    assert_eq!((csv.split(|&byte| byte == b'\n').count(), report.rows), (120_002, 120_000));
    assert!(!report.has_findings(), "{report}");
}

#[test]
fn a_broken_trade_leaves_the_figures_of_its_day() {
    let Some(path) = case("broken-trade-stays-in-volume", ".itch50") else { return };
    let mut recording = Recording::open(&path, &RecordingOptions::default()).unwrap();
    let mut market = Market::new(Limits {
        books_max: 16,
        orders_max: 100,
        levels_max: 100,
        key: recording.order_key(),
        ..Limits::default()
    });
    let (mut slots, mut days) = (Vec::new(), Vec::new());
    loop {
        let step = recording.next(&mut |slot| slots.push(slot)).unwrap();
        slots.drain(..).for_each(|slot| market.apply(&slot, &mut ()));
        match step {
            Step::End => break,
            Step::Message(message) if matches!(message.kind, b'B' | b'Q' | b'P' | b'C' | b'E') => {
                let day = *market.books()[0].statistics();
                days.push((char::from(message.kind), day.volume, day.trades, day.open.to_string()));
            }
            _ => {}
        }
    }
    // The trade of match 11, the first of the day, is taken out: 100 at 10.05.
    let (before, after) = (&days[days.len() - 2], &days[days.len() - 1]);
    assert_eq!((before.1, before.2, before.3.as_str()), (650, 4, "10.05"), "{days:?}");
    assert_eq!((after.0, after.1, after.2, after.3.as_str()), ('B', 550, 3, "10.00"), "{days:?}");
    assert_eq!(market.anomalies().total(), 0);
}

/// A file like `one`, whose adds are the first of it, with `adds` of them.
fn many_orders(one: &[u8], adds: u64) -> Vec<u8> {
    let (mut head, mut add, mut at) = (Vec::new(), None, 0);
    while at < one.len() && add.is_none() {
        let end = at + 2 + usize::from(u16::from_be_bytes(one[at..at + 2].try_into().unwrap()));
        match one[at + 2] {
            b'A' => add = Some(one[at..end].to_vec()),
            _ => head.extend_from_slice(&one[at..end]),
        }
        at = end;
    }
    let mut add = add.expect("an add");
    for reference in 1..=adds {
        add[2 + 11..2 + 19].copy_from_slice(&reference.to_be_bytes());
        head.extend_from_slice(&add);
    }
    head
}

/// Decimals are not known of these files: prices have all nine.
fn nine(row: &str) -> String {
    row.replace(".000000000", "")
}

/// The last record of a file of orders, changed and appended.
fn appended(path: &Path, change: impl FnOnce(&mut [u8])) -> Vec<u8> {
    let mut file = bytes(path);
    let mut record = file[file.len() - 56..].to_vec();
    change(&mut record);
    file.extend(record);
    file
}

#[test]
fn each_publisher_of_an_instrument_has_its_own_book() {
    let Some(path) = case("dbn-several-publishers", ".dbn") else { return };
    let (report, row) = last_row(&path, "GOOG", 2);
    assert_eq!(nine(&row), "bid 100 x 5 (1), ask 102 x 5 (1)", "{report}");
    assert!(report.anomalies.is_empty() && !report.has_findings(), "{report}");
    assert_eq!(nine(&last_row(&path, "GOOG@82", 2).1), "ask 103 x 4 (1)");
    // A clear of the second one leaves the orders of the first.
    let file = appended(&path, |record| {
        record[2..4].copy_from_slice(&82u16.to_le_bytes());
        (record[38], record[39]) = (b'R', b'N');
    });
    let (_folder, path) = written("made.mbo.dbn", &file);
    assert_eq!(nine(&last_row(&path, "GOOG", 2).1), "bid 100 x 5 (1), ask 102 x 5 (1)");
    assert_eq!(last_row(&path, "GOOG@82", 2).1, "");
}

#[test]
fn a_best_price_replaces_its_side() {
    let Some(path) = case("dbn-top-of-book-flag", ".dbn") else { return };
    let (report, row) = last_row(&path, "GOOG", 3);
    assert_eq!(nine(&row), "bid 101 x 8 (1)", "{report}");
    assert!(report.anomalies.is_empty() && !report.has_findings(), "{report}");
}

#[test]
fn a_modify_of_an_order_that_nobody_added_is_its_add() {
    let Some(path) = case("dbn-modify-of-unknown-order", ".dbn") else { return };
    let (report, row) = last_row(&path, "ESH4", 2);
    assert_eq!(nine(&row), "bid 100 x 5 (1), ask 101 x 6 (1), bid 99 x 1 (1)", "{report}");
    assert!(report.anomalies.is_empty() && !report.has_findings(), "{report}");
}

#[test]
fn a_continuous_contract_is_one_book_that_is_emptied_when_it_rolls() {
    let Some(path) = case("dbn-continuous-symbol", ".dbn") else { return };
    let (report, row) = last_row(&path, "ES.c.0", 2);
    assert_eq!(nine(&row), "bid 200 x 5 (1)", "{report}");
    assert_eq!(report.instruments.len(), 1, "{report}");
    // The same without the clear at the end of the first contract's time: its order is gone all the same.
    let mut file = bytes(&path);
    let clear = file.len() - 2 * 56;
    file.drain(clear..clear + 56);
    let (_folder, path) = written("made.mbo.dbn", &file);
    assert_eq!(nine(&last_row(&path, "ES.c.0", 2).1), "bid 200 x 5 (1)");
}
