//! Every recorded file is recognised and counted as its README says.

mod common;

use std::path::Path;

use common::{count_file, data, kinds};
use feed_handler::inspect::{self, BookQuery};
use feed_handler::recording::ReadError;
use feed_handler::recording::{FormatChoice, Recording, RecordingOptions, Step};

#[track_caller]
fn check(name: &str, format: &str, expected_kinds: &str) {
    let Some(path) = data(name) else { return };
    let recording =
        Recording::open(&path, &RecordingOptions::default()).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(recording.format().to_string(), format, "{name}");
    let (counts, error) = common::count(recording);
    assert!(error.is_none(), "{name}: {error:?}");
    assert_eq!(kinds(&counts), expected_kinds, "{name}");
    assert!(counts.refused.is_empty(), "{name}: {:?}", counts.refused_first);
}

#[test]
fn itch50_files() {
    check(
        "itch50/nasdaq_20191230_0930_1000msgs.itch50",
        "itch50",
        "A 367, U 225, F 193, D 167, E 28, X 6, I 4, P 4, Q 4, C 1, S 1",
    );
    check("itch50/nasdaq_20191230_0400_500msgs_ADU.itch50", "itch50", "A 495, D 4, U 1");
    check("itch50/nasdaq_20191230_10_per_type.itch50", "itch50", "A 10, C 10, D 10, E 10, U 10, X 10");
    check("itch50/nasdaq_start_of_day_1000msgs.itch50", "itch50", "R 993, H 3, Y 3, S 1");
    check(
        "itch50/simulated_ritch_zero_length_prefix.itch50.gz",
        "itch50",
        "P 5000, A 4997, D 1745, E 198, X 45, U 12, S 6, F 3, H 3, R 3",
    );
    check("reencoded/GOOG_20120621.itch50.gz", "itch50", "A 75217, D 69138, E 7811, P 3913, X 880, S 6, H 1, R 1");
}

#[test]
fn itch50_times_are_those_of_the_day_in_the_name() {
    let Some(path) = data("itch50/nasdaq_20191230_0930_1000msgs.itch50") else { return };
    let (counts, _) = count_file(&path);
    // 30 Dec 2019 09:30 in New York is 14:30 UTC.
    let start = 1_577_716_200_000_000_000;
    let (first, last) = counts.exchange_span_ns.unwrap();
    assert!(first >= start && first < start + 1_000, "{first}");
    assert_eq!((last - start + 500) / 1_000, 2_365);
}

#[test]
fn bistech_files() {
    let garan = "A 3995, E 1382, D 617, T 169, O 8, S 2, L 1, R 1, V 1";
    check("bist-itch/GARAN.E_20220921_first6002.bistech2112.gz", "bistech", garan);
    check("bist-itch/GARAN.E_20220921_first6002.bistech2112.pcap.gz", "mold-pcap", garan);
    check(
        "reencoded/GOOG_20120621.bistech2112.gz",
        "bistech",
        "A 76097, D 70018, T 16101, E 7811, P 3913, S 2, L 1, O 1, R 1, V 1",
    );
}

#[test]
fn the_garan_capture_has_the_packets_of_its_readme() {
    let Some(path) = data("bist-itch/GARAN.E_20220921_first6002.bistech2112.pcap.gz") else { return };
    let (counts, _) = count_file(&path);
    assert_eq!((counts.packets, counts.heartbeats, counts.ends_of_session), (3_207, 1, 1));
    assert_eq!((counts.gaps, counts.repeats, counts.damaged_packets, counts.sessions), (0, 0, 0, 0));
    assert_eq!(counts.streams, [(Some("233.252.0.1:21001".parse().unwrap()), *b"GARAN00001")]);
    let none = RecordingOptions { ports: vec![1], ..RecordingOptions::default() };
    let (counts, _) = common::count(Recording::open(&path, &none).unwrap());
    assert_eq!((counts.messages, counts.other_ports), (0, 3_207));
}

#[test]
fn the_first_feed_of_the_exchange_is_read_up_to_its_cut() {
    let Some(path) = data("bist-itch/bist_20140917_moldudp64_v1.2_directory.mold") else { return };
    let (counts, error) = count_file(&path);
    assert_eq!(kinds(&counts), "R 19, L 18, T 2, S 1");
    assert!(matches!(error, Some(ReadError::Truncated { offset: 1_881, .. })), "{error:?}");
    assert!(counts.refused.is_empty(), "{:?}", counts.refused_first);
    assert_eq!(counts.exchange_span_ns.unwrap().1 / 1_000_000_000, 1_410_928_422);
}

#[test]
fn dbn_files() {
    check("cme-mbo/esh4-glbx-mdp3-20231224.mbo.dbn.zst", "dbn", "A 8725");
    check("cme-mbo/glbx_20240508_000000_2s.mbo.dbn.zst", "dbn", "A 13678, C 80, M 27, F 5, T 5, R 1");
}

#[test]
fn lobster_files() {
    check(
        "lobster/GOOG_2012-06-21_34200000_57600000_message_10.csv.gz",
        "lobster",
        "1 71258, 3 64961, 4 7765, 5 3913, 2 19",
    );
    check(
        "lobster/AAPL_2012-06-21_34200000_57600000_message_1.csv.gz",
        "lobster",
        "1 54818, 3 28437, 4 23658, 5 11332, 2 252",
    );
    check(
        "lobster/AAPL_2012-06-21_34200000_57600000_message_10.first999.csv.gz",
        "lobster",
        "1 471, 3 369, 4 98, 5 61",
    );
    check(
        "lobster/AAPL_2012-06-21_34200000_37800000_message_50.csv.gz",
        "lobster",
        "1 44256, 3 41004, 4 4067, 5 2201, 2 469",
    );
}

#[test]
fn live_captures_of_moldudp64() {
    let Some(folder) = data("moldudp64-pcap/Nasdaq.Equities.TotalView.Itch.v5.0") else { return };
    for (name, expected) in [
        ("AddOrderNoMpidAttributionMessage", "A 1"),
        ("MarketParticipantPositionMessage", "L 1"),
        ("NetOrderImbalanceIndicatorMessage", "I 1"),
        ("OrderDeleteMessage", "D 1"),
        ("OrderExecutedMessage", "E 1"),
        ("OrderReplaceMessage", "U 1"),
        ("StockTradingActionMessage", "H 1"),
        ("Multiple.Packets", "A 36, F 2, D 1"),
    ] {
        let (counts, error) = count_file(&folder.join(format!("{name}.pcap")));
        assert!(error.is_none(), "{name}: {error:?}");
        assert_eq!(kinds(&counts), expected, "{name}");
        assert_eq!(counts.streams[0].1, *b"000010059B", "{name}");
        assert_eq!(counts.damaged_packets, 0, "{name}");
    }
    let (counts, _) = count_file(&folder.join("Multiple.Packets.pcap"));
    assert_eq!((counts.gaps_first, counts.lost), (vec![(14_764_497, 19_009_116)], 4_244_620));
}

#[test]
fn made_up_captures_without_numbers_lose_nothing() {
    let Some(folder) = data("moldudp64-pcap/Nasdaq.Equities.TotalView.Itch.v5.0.20230822") else { return };
    let mut seen = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let (counts, error) = count_file(&path);
        assert!(error.is_none() && counts.refused.is_empty(), "{}: {error:?}", path.display());
        seen.push(kinds(&counts));
    }
    seen.sort();
    let expected = "A 5|C 5|D 5|E 5|F 5|H 5|I 5|J 5|L 5|P 5|Q 5|S 1|U 5|X 5|Y 5";
    assert_eq!(seen.join("|"), expected);
}

#[test]
fn captures_of_something_else_are_read_and_have_no_messages() {
    let Some(folder) = data("moldudp64-pcap/Nasdaq.Nsm.Ouch.v5.0") else { return };
    for entry in std::fs::read_dir(folder).unwrap() {
        let mut recording = Recording::open(&entry.unwrap().path(), &RecordingOptions::default()).unwrap();
        while recording.next(&mut |_| {}).unwrap() != Step::End {}
        assert_eq!((recording.counts().messages, recording.skipped().not_udp), (0, 1));
    }
}

#[test]
fn what_the_user_says_wins_over_what_it_looks_like() {
    let Some(path) = data("bist-itch/GARAN.E_20220921_first6002.bistech2112.gz") else { return };
    let open = |name: &str| {
        let format: FormatChoice = name.parse().unwrap();
        Recording::open(&path, &RecordingOptions { format, ..RecordingOptions::default() })
    };
    assert_eq!(open("bistech").unwrap().format().to_string(), "bistech");
    let (counts, _) = common::count(open("itch50").unwrap());
    assert!(counts.refused_total() > 0, "read as what it is not");
    assert!(open("dbn").is_err());
    assert!("algolab".parse::<FormatChoice>().is_err());
}

/// The row of a book after message `sequence` of a shared case, and the report; `None` where there are no cases.
fn row_of_case(name: &str, symbol: &str, sequence: u64) -> Option<(String, inspect::Report)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/cases").join(name);
    if !path.exists() {
        return None;
    }
    let query = BookQuery { symbol: symbol.to_owned(), levels: 7 };
    let mut rows = Vec::new();
    let report =
        inspect::inspect(&path, &RecordingOptions::default(), Some(&query), &mut rows, &mut |_, _| {}).unwrap();
    let rows = String::from_utf8(rows).unwrap();
    Some((rows.lines().find(|row| row.starts_with(&format!("{sequence},")))?.to_owned(), report))
}

#[test]
fn f7_a_stray_session_in_a_capture_costs_nothing() {
    let Some((row, report)) = row_of_case("stray-session/c44_stray.pcap", "TEST", 9) else { return };
    assert_eq!(row.split(',').skip(2).take(6).collect::<Vec<_>>(), ["10.0000", "60", "1", "10.1000", "70", "1"]);
    assert_eq!((report.counts.gaps, report.counts.sessions, report.has_findings()), (0, 0, false));
}

#[test]
fn a_hole_costs_what_it_swallowed_and_not_the_rest_of_its_second() {
    let Some((row, report)) = row_of_case("hole-costs-the-rest-of-the-second/c80_hole.bistech.pcap", "GARAN.E", 14)
    else {
        return;
    };
    let counts = &report.counts;
    assert_eq!((&counts.gaps_first[..], counts.refused_total()), (&[(6, 6)][..], 0));
    let fields: Vec<_> = row.split(',').skip(2).collect();
    let bids: Vec<_> = fields.chunks(6).map(|level| format!("{} x {}", level[0], level[1])).collect();
    assert_eq!(bids, ["10.00 x 10", "9.97 x 3", "9.96 x 4", "9.95 x 5", "9.94 x 6", "9.93 x 7", "9.92 x 8"]);
    assert_eq!(fields[3..5], ["10.10", "7"]);
}
