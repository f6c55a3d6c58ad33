//! The program as a newcomer runs it: started for real, asked over its ports, stopped by signals.

mod common;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use common::{Bist, Socket, command, get, shared_data, wait_for};
use serde_json::{Value, json};

/// A client's book, made only of what docs/protocols/websocket.md says.
#[derive(Default)]
struct ClientBook {
    bids: BTreeMap<i64, (String, String)>,
    asks: BTreeMap<i64, (String, String)>,
    seq: u64,
}

impl ClientBook {
    fn apply(&mut self, frame: &Value, depth: usize) {
        let number = |key: &str| frame[key].as_u64().unwrap_or_else(|| panic!("{key}: {frame}"));
        if frame["type"] == "snapshot" {
            *self = Self::default();
        } else {
            assert_eq!(number("prev_seq"), self.seq, "a hole in the chain: {frame}");
        }
        self.seq = number("seq");
        for (side, key) in [(&mut self.bids, "bids"), (&mut self.asks, "asks")] {
            for level in frame[key].as_array().expect("levels") {
                let (price, quantity) = (level[0].as_str().expect("a price"), level[1].as_str().expect("a quantity"));
                let units: i64 = price.replace('.', "").parse().expect("digits");
                if quantity == "0" {
                    side.remove(&units);
                } else {
                    side.insert(units, (price.to_owned(), quantity.to_owned()));
                }
            }
        }
        while self.bids.len() > depth {
            self.bids.pop_first();
        }
        while self.asks.len() > depth {
            self.asks.pop_last();
        }
        assert_eq!(u64::from(self.checksum()), number("checksum"), "{frame}");
    }

    fn checksum(&self) -> u32 {
        let text = |level: &(String, String)| {
            let strip = |text: &str| text.replace('.', "").trim_start_matches('0').to_owned();
            strip(&level.0) + &strip(&level.1)
        };
        let asks = self.asks.values().take(10).map(text);
        let bids = self.bids.values().rev().take(10).map(text);
        crc32fast_hash(&asks.chain(bids).collect::<String>())
    }
}

/// CRC-32 (zlib) by the bit, so that nothing of ours is used to check ours.
fn crc32fast_hash(text: &str) -> u32 {
    !text.bytes().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg()))
    })
}

#[test]
fn live_books_within_five_seconds_and_a_clean_stop_within_two() {
    live_books_and_a_clean_stop("split");
}

#[test]
fn one_thread_for_all_stages_does_the_same() {
    live_books_and_a_clean_stop("single");
}

/// The first frame, `/actuator/info` and the limits agree on what is shown.
fn says_what_it_is(bist: &Bist, socket: &mut Socket) {
    let hello = socket.frame().expect("an open socket");
    let said = ["type", "source", "simulated", "subscriptions_max"].map(|name| hello[name].clone());
    assert_eq!(said, [json!("hello"), json!("sim"), json!(true), json!(16_384)], "{hello}");
    assert_eq!(bist.get("/actuator/info")["feed"], json!({"source": "sim", "simulated": true}));
    let limits = bist.get("/api/v1/limits");
    let limits = limits["data"]["items"].as_array().expect("limits");
    let of_socket = limits.iter().find(|limit| limit["name"] == "ws_subscriptions").expect("the socket's limit");
    assert_eq!(of_socket["value"], hello["subscriptions_max"]);
    // Those that docs/protocols/websocket.md lists.
    for (name, value) in [
        ("ws_connections", 10_000),
        ("ws_request_symbols", 1_000),
        ("ws_head", 8 << 10),
        ("ws_head_time", 10_000),
        ("ws_message", 64 << 10),
        ("ws_requests_per_second", 10),
        ("ws_requests_waiting", 100),
        ("ws_depth", 100),
        ("ws_conflate", 60_000),
        ("ws_queue", 1 << 20),
        ("ws_queue_max", 8 << 20),
        ("ws_ping", 20_000),
        ("ws_silence", 60_000),
    ] {
        let limit = limits.iter().find(|limit| limit["name"] == name).unwrap_or_else(|| panic!("no {name}"));
        assert_eq!(limit["value"], value, "{limit}");
    }
}

fn live_books_and_a_clean_stop(layout: &str) {
    let start = Instant::now();
    let mut bist = Bist::start(&["serve", "--rate", "5000", "--seed", "7", "--no-halts", "--layout", layout]);
    let quotes = wait_for("fifty quoted shares", Duration::from_secs(5), || {
        let page = bist.get("/api/v1/market-data/symbols?limit=100");
        let symbols = page["data"]["items"].as_array()?.len();
        let book = bist.get("/api/v1/market-data/orderbook/GARAN?depth=10");
        let two_sided = !book["data"]["bids"].as_array()?.is_empty() && !book["data"]["asks"].as_array()?.is_empty();
        (symbols == 50 && two_sided).then_some(symbols)
    });
    assert_eq!(quotes, 50);
    assert!(start.elapsed() < Duration::from_secs(6), "live books took {:?}", start.elapsed());

    let mut socket = bist.connect();
    says_what_it_is(&bist, &mut socket);
    socket.send(
        &json!({"method": "subscribe", "params": {"channel": "book", "symbol": ["*"], "depth": 10}, "req_id": 1}),
    );
    let mut books: BTreeMap<String, ClientBook> = BTreeMap::new();
    let mut updates = 0;
    while updates < 20_000 {
        let frame = socket.frame().expect("an open socket");
        match (frame["channel"].as_str(), frame["method"].as_str()) {
            (Some("book"), _) => {
                updates += usize::from(frame["type"] == "update");
                let symbol = frame["symbol"].as_str().expect("a symbol").to_owned();
                books.entry(symbol).or_default().apply(&frame, 10);
            }
            (Some("system"), _) => assert_ne!(frame["type"], "gap", "{frame}"),
            (_, Some("subscribe")) => assert_eq!(frame["success"], true, "{frame}"),
            _ => {}
        }
    }
    assert_eq!(books.len(), 50);

    let metrics = get(bist.admin, "/actuator/prometheus");
    for name in
        ["market_ticks_processed_total", "bist_feed_messages_total", "bist_ring_occupancy_ratio", "bist_build_info"]
    {
        assert!(metrics.lines().any(|line| line.starts_with(name)), "{name} is not among the metrics");
    }
    assert!(metrics.contains("\nbist_feed_stale{source=\"sim\"} 0"), "an invented market is labelled so");
    assert!(!metrics.contains("source=\"itch\""), "and nowhere as a line");
    let value = |name: &str| -> f64 {
        let lines = metrics.lines().filter(|line| line.starts_with(name) && !line.starts_with('#'));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    };
    assert!(value("bist_book_anomalies_total").abs() < 0.5, "the simulated exchange is correct, so are we");
    assert!(value("bist_feed_gaps_total").abs() < 0.5);
    // The market-data port answers the same, away from the thread that serves its WebSocket.
    assert_eq!(get(bist.market_data, "/livez"), "ok\n");
    let scrape = get(bist.market_data, "/metrics?verbose");
    assert!(scrape.contains("\nbist_ws_refused_total{reason=\"slow_path\"} 0\n"), "{scrape}");
    assert!(get(bist.market_data, "/api/v1/market-data/quotes/GARAN").contains("\"bid\""));
    // Counted behind the hand-over, which may be answered first.
    wait_for("the three hand-overs to be counted", Duration::from_secs(2), || {
        let metrics = get(bist.admin, "/actuator/prometheus");
        metrics.contains("\nbist_ws_handed_over_total 3\n").then_some(())
    });
    let latency: Value = serde_json::from_str(&get(bist.admin, "/actuator/latency")).expect("JSON");
    let stages = latency["stages"].as_array().expect("stages");
    let names: Vec<&str> = stages.iter().filter_map(|stage| stage["stage"].as_str()).collect();
    assert_eq!(names, ["decode", "book", "enqueue", "encode", "write"]);
    for stage in stages {
        let values = ["p50_ns", "p90_ns", "p99_ns", "p99_9_ns", "max_ns"].map(|name| stage[name].as_u64());
        assert!(values.iter().all(Option::is_some) && values.is_sorted(), "{stage}");
    }

    let begin = Instant::now();
    bist.signal("TERM");
    let status = bist.wait(Duration::from_secs(3));
    assert!(begin.elapsed() < Duration::from_secs(2), "stopping took {:?}", begin.elapsed());
    assert_eq!(status.code(), Some(0));
}

#[test]
fn sigint_stops_too() {
    let mut bist = Bist::start(&["serve", "--symbols", "3"]);
    bist.signal("INT");
    assert_eq!(bist.wait(Duration::from_secs(2)).code(), Some(0));
}

#[test]
fn the_default_is_quiet() {
    quiet("split");
}

#[test]
fn one_thread_for_all_stages_is_quiet_too() {
    quiet("single");
}

fn quiet(layout: &str) {
    let bist = Bist::start(&["serve", "--rate", "1", "--layout", layout]);
    // After the opening auction; what is left is a market that hardly moves.
    wait_for("continuous trading", Duration::from_secs(10), || {
        let quote = bist.get("/api/v1/market-data/quotes/GARAN");
        (quote["data"]["phase"] == "continuous").then_some(())
    });
    let cpu = |pid: u32| -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("a process");
        let fields: Vec<&str> = text.rsplit(") ").next().expect("fields").split(' ').collect();
        fields[11].parse::<u64>().expect("ticks") + fields[12].parse::<u64>().expect("ticks")
    };
    let before = cpu(bist.pid());
    std::thread::sleep(Duration::from_secs(4)); // OK because the question is what happens in a stretch of time
    let ticks = cpu(bist.pid()) - before;
    // 100 ticks a second: 20 in 4 s are 5 % of a core.
    assert!(ticks <= 20, "{ticks} hundredths of a second of CPU in 4 s");
}

#[test]
fn a_real_morning_is_replayed_to_its_real_last_book() {
    let Some(data) = shared_data() else { return };
    let file = data.join("bist-itch/GARAN.E_20220921_first6002.bistech2112.pcap.gz");
    let bist = Bist::start(&["replay", file.to_str().expect("a path"), "--speed", "max"]);
    let mut text = String::new();
    let csv =
        std::fs::File::open(data.join("bist-itch/GARAN.E_20220921_first6002.final_book.csv.gz")).expect("the oracle");
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(csv), &mut text).expect("text");
    // Levels of the oracle: its orders in priority order, summed by price.
    let mut levels: BTreeMap<&str, Vec<(String, u64, u64)>> = BTreeMap::new();
    for row in text.lines().skip(1) {
        let fields: Vec<&str> = row.split(',').collect();
        let (side, price, quantity) = (fields[0], fields[3], fields[4].parse::<u64>().expect("a quantity"));
        let side = levels.entry(side).or_default();
        match side.last_mut() {
            Some(level) if level.0 == price => {
                level.1 += quantity;
                level.2 += 1;
            }
            _ => side.push((price.to_owned(), quantity, 1)),
        }
    }
    let shown = |book: &Value, side: &str| -> Option<Vec<(String, u64, u64)>> {
        let levels = book["data"][side].as_array()?.iter().map(|level| {
            let text = |key: &str| level[key].as_str().map(str::to_owned);
            Some((text("price")?, text("quantity")?.parse().ok()?, level["orders"].as_u64()?))
        });
        levels.collect()
    };
    wait_for("the last book of the morning", Duration::from_secs(20), || {
        let book = bist.get("/api/v1/market-data/orderbook/GARAN?depth=100");
        let same = |side: &str, key: &str| {
            let want: Vec<_> = levels[key].iter().take(100).cloned().collect();
            shown(&book, side).is_some_and(|shown| shown.len() == want.len() && agree(&shown, &want))
        };
        (same("bids", "B") && same("asks", "S")).then_some(())
    });
}

#[test]
fn more_symbols_than_the_books_may_be_are_said_by_health_with_the_key_to_raise() {
    let Some(data) = shared_data() else { return };
    let file = data.join("../cases/more-stocks-than-books-max/c82_1500stocks_20240315.itch50");
    let arguments = ["replay", file.to_str().expect("a path"), "--speed", "max"];
    let bist = Bist::start_with(&arguments, &[("BIST__BOOK__BOOKS_MAX", "1024")]);
    wait_for("a degraded health that names the key", Duration::from_secs(20), || {
        let health = bist.get("/actuator/health");
        let reasons: Vec<&str> = health["reasons"].as_array()?.iter().filter_map(Value::as_str).collect();
        ["bounds: book.books_max", "books: 1024 of 1024 books in sync, 0 of them may be wrong; there are more: "]
            .iter()
            .all(|begin| reasons.iter().any(|reason| reason.starts_with(begin)))
            .then_some(())
    });
    let ready = get(bist.admin, "/readyz?verbose");
    assert!(get(bist.admin, "/readyz").starts_with("ok, degraded: "), "what fits is shown: {ready}");
    assert!(!ready.contains("all 1024 books in sync"), "{ready}");

    // A recording may be a whole day: all of them are there where nobody asks for less.
    let bist = Bist::start(&arguments);
    wait_for("every share of the recording", Duration::from_secs(20), || {
        get(bist.admin, "/readyz?verbose").contains("all 1500 books in sync").then_some(())
    });
    assert_eq!(bist.get("/actuator/health")["status"], "UP");
}

/// A directory message of ITCH 5.0 that names TEST, as MoldUDP64 sends it first.
fn directory_packet() -> Vec<u8> {
    let mut packet = b"SESSION001".to_vec();
    packet.extend(1u64.to_be_bytes());
    packet.extend([0, 1, 0, 39]);
    packet.extend(b"R\0\x07\0\0\x1d\x77\xf2\x18\x6a\0TEST    QN\0\0\0dNCZ PN 1N\0\0\0\0N");
    packet
}

/// Lines A and B of the configuration: what comes on the second alone is shown.
#[test]
fn every_line_of_the_configuration_is_read() {
    let sockets = [(); 2].map(|()| std::net::UdpSocket::bind("127.0.0.1:0").expect("a free port"));
    let ports = sockets.map(|socket| socket.local_addr().expect("its address").port());
    let folder = tempfile::tempdir().expect("a folder");
    let lines = ports.map(|port| format!("{{ address = \"127.0.0.1:{port}\" }}")).join(", ");
    let config =
        format!("[feed]\nsource = \"itch\"\nprotocol = \"itch50\"\nlines = [{lines}]\n[book]\norders_max = 1000\n");
    let path = folder.path().join("lines.toml");
    std::fs::write(&path, config).expect("written");
    let bist = Bist::start(&["serve", "--config", path.to_str().expect("a path")]);
    let sender = std::net::UdpSocket::bind("127.0.0.1:0").expect("a free port");
    wait_for("the share that line B names", Duration::from_secs(10), || {
        sender.send_to(&directory_packet(), ("127.0.0.1", ports[1])).expect("sent");
        let page = bist.get("/api/v1/market-data/symbols");
        (page["data"]["items"].as_array()?.first()?["symbol"] == "TEST").then_some(())
    });
}

/// Local addresses of the sockets of a process, from a table of its network (`udp`, `tcp`): `0100007F:1F90` is 127.0.0.1:8080.
#[cfg(target_os = "linux")]
fn local_addresses(pid: u32, table: &str) -> Vec<String> {
    let files = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("open files").flatten();
    let links: Vec<String> = files
        .filter_map(|file| std::fs::read_link(file.path()).ok())
        .filter_map(|link| Some(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    let rows = std::fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default();
    let rows = rows.lines().skip(1).map(|row| row.split_whitespace().collect::<Vec<_>>());
    rows.filter(|row| row.get(9).is_some_and(|inode| links.iter().any(|link| link == inode)))
        .map(|row| row[1].to_owned())
        .collect()
}

/// What nobody configured is not open to the network.
#[cfg(target_os = "linux")]
#[test]
fn the_default_opens_sockets_on_this_machine_only() {
    let bist = Bist::start(&["serve", "--symbols", "1"]);
    for table in ["udp", "tcp"] {
        let addresses = local_addresses(bist.pid(), table);
        assert!(!addresses.is_empty(), "{table}");
        assert!(addresses.iter().all(|address| address.starts_with("0100007F:")), "{table}: {addresses:?}");
    }
    for table in ["udp6", "tcp6"] {
        assert_eq!(local_addresses(bist.pid(), table), [] as [String; 0], "{table}");
    }
}

/// Equal levels; the oracle writes prices as thousandths.
fn agree(shown: &[(String, u64, u64)], want: &[(String, u64, u64)]) -> bool {
    shown.iter().zip(want).all(|(a, b)| (a.0.replace('.', ""), a.1, a.2) == (b.0.clone(), b.1, b.2))
}

#[test]
fn a_taken_port_is_named_with_the_key_that_changes_it() {
    let bist = Bist::start(&["serve", "--symbols", "1"]);
    let output = command(&["serve"])
        .env("BIST__API__LISTEN", bist.api.to_string())
        .env("BIST__MARKET_DATA__LISTEN", "127.0.0.1:0")
        .env("BIST__USERS__LISTEN", "127.0.0.1:0")
        .env("BIST__ADMIN__LISTEN", "127.0.0.1:0")
        .output()
        .expect("an answer");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains(&bist.api.port().to_string()) && text.contains("api.listen"), "{text}");
}

#[test]
fn wrong_usage_and_configuration_exit_with_two() {
    let code = |arguments: &[&str], environment: &[(&str, &str)]| {
        let output = command(arguments).envs(environment.iter().copied()).output().expect("an answer");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert_eq!(code(&["serve", "--no-such-flag"], &[]).0, Some(2));
    let (status, text) = code(&["config", "--check"], &[("BIST__SIM__RAT", "1")]);
    assert_eq!(status, Some(2), "{text}");
    assert!(text.contains("rat"), "{text}");
    assert_eq!(code(&["config", "--check"], &[]).0, Some(0));
}

#[test]
fn help_manual_and_completions_are_there() {
    for command_name in ["serve", "replay", "sim", "inspect", "config", "doctor", "completions", "man"] {
        let output = command(&[command_name, "--help"]).output().expect("help");
        assert!(output.status.success() && output.stdout.len() > 200, "{command_name}");
    }
    let page = command(&["man"]).output().expect("a page");
    assert!(String::from_utf8_lossy(&page.stdout).contains(".TH bist"));
    for shell in ["bash", "zsh", "fish"] {
        assert!(command(&["completions", shell]).output().expect("a script").stdout.len() > 1_000);
    }
}
