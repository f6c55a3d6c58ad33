//! The wire bytes of a simulated day are those of `tests/golden/wire_bytes.txt`: who moves code changes no byte for clients.
//!
//! One seed, one thread, virtual time: production feed, books and fan-out, and real WebSocket clients on every channel.
//! The golden file has a line per client: name, frames, bytes, SHA-1 of every byte that it was sent.
//!
//! Write the golden file anew (`BIST_WIRE_BYTES=write cargo test -p bist --test wire_bytes`) only in a commit that means
//! to change what clients get (a member, a text, an order of frames, a marking) or that changes the simulated exchange or
//! the script of this file, and say in its message which lines changed and why. Never in a commit that moves code.
//!
//! When a run agrees it leaves its frames under `target/tmp/wire_bytes/agreed`, when not under `differing` beside it: run it
//! before the change, then after, and the first frame that differs is printed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use sha1::{Digest, Sha1};
use world::client::Client;
use world::clock;
use world::exchange::Datagrams;
use world::imports::{Clock, Compression, SimConfig};
use world::line::Line;
use world::platform::Platform;
use world::{MS, SECOND};

mod world;

/// Monday 2026-11-23 10:00:00 in Istanbul.
const START_NS: u64 = 1_795_417_200_000_000_000;
const EPOCH: u64 = 7;
const STEP_NS: u64 = 50 * MS;
/// The definitions have come, so that symbols can be named.
const LISTED_NS: u64 = 2 * SECOND;
/// Everybody but `silent` says something this often, so that no ping depends on when an answer is read.
const SIGN_OF_LIFE_NS: u64 = 15 * SECOND;
/// The line is silent from then on, longer than a feed may be before it is stale.
const HOLD_FROM_NS: u64 = 100 * SECOND;
const HOLD_NS: u64 = 6 * SECOND;
/// A packet is lost then, late in continuous trading: until the next session some books are wrong, and marked.
const LOSE_FROM_NS: u64 = 225 * SECOND;
/// How much of the second day is seen: the new epoch and an auction.
const SECOND_DAY_NS: u64 = 10 * SECOND;

/// A day of four minutes (opening to 5.1 s, continuous to 245 s, closing to 250 s) with every phase.
fn exchange() -> SimConfig {
    let compression = Compression { speed: 120, auction_speed: 240, halt_divisor: 2 };
    SimConfig {
        seed: 42,
        rate: 150,
        clock: Clock::Compressed(compression),
        symbols_max: 6,
        days: 2,
        ..SimConfig::default()
    }
}

/// Channels that have symbols.
const CHANNELS: [&str; 13] = [
    "book",
    "mbp-1",
    "mbp-10",
    "mbo",
    "trades",
    "ohlcv-1s",
    "ohlcv-1m",
    "ohlcv-1h",
    "ohlcv-1d",
    "definition",
    "status",
    "statistics",
    "imbalance",
];

/// Clients of one request each, made before the exchange's first message: name, target, parameters.
const FROM_THE_START: [(&str, &str, &str); 19] = [
    ("book", "", r#""channel":"book","symbol":["*"]"#),
    ("book-conflated", "", r#""channel":"book","symbol":["*"],"conflate_ms":400"#),
    ("mbp-1", "", r#""channel":"mbp-1","symbol":["*"]"#),
    ("mbp-10", "", r#""channel":"mbp-10","symbol":["*"]"#),
    ("mbp-10-conflated", "", r#""channel":"mbp-10","symbol":["*"],"conflate_ms":1000"#),
    ("mbo", "", r#""channel":"mbo","symbol":["*"]"#),
    ("trades", "", r#""channel":"trades","symbol":["*"]"#),
    ("trades-without-snapshot", "", r#""channel":"trades","symbol":["*"],"snapshot":false,"slow_reader":"disconnect""#),
    ("ohlcv-1s", "", r#""channel":"ohlcv-1s","symbol":["*"]"#),
    ("ohlcv-1m", "", r#""channel":"ohlcv-1m","symbol":["*"]"#),
    ("ohlcv-1h", "", r#""channel":"ohlcv-1h","symbol":["*"]"#),
    ("ohlcv-1d", "", r#""channel":"ohlcv-1d","symbol":["*"]"#),
    ("definition", "", r#""channel":"definition","symbol":["*"]"#),
    ("status", "", r#""channel":"status","symbol":["*"]"#),
    ("statistics", "", r#""channel":"statistics","symbol":["*"]"#),
    ("statistics-rfc3339-conflated", "?ts=rfc3339", r#""channel":"statistics","symbol":["*"],"conflate_ms":2000"#),
    ("imbalance", "", r#""channel":"imbalance","symbol":["*"]"#),
    ("heartbeat", "", r#""channel":"heartbeat","interval_s":2"#),
    ("system", "", r#""channel":"system""#),
];

/// Clients of several requests, made later.
const LATER: [&str; 5] = ["several", "several-rfc3339", "snapshots", "requests", "silent"];

/// Texts that must have been sent to somebody, lest a golden file be written of a day in which nothing happens.
const COVERED: [&str; 30] = [
    r#""type":"snapshot""#,
    r#""type":"update""#,
    r#""type":"epoch","epoch":8"#,
    r#""phase":"opening_collection""#,
    r#""phase":"continuous""#,
    r#""phase":"volatility_auction""#,
    r#""phase":"closing_collection""#,
    r#""phase":"trade_at_close""#,
    r#""phase":"closed""#,
    r#""state":"stale""#,
    r#""state":"alive""#,
    r#""state":"end_of_messages""#,
    r#""type":"gap","sub_id":null"#,
    r#""maybe_bad":true"#,
    r#""action":"A""#,
    r#""action":"C""#,
    r#""action":"F""#,
    r#""action":"R""#,
    r#""conditions":["cross"]"#,
    r#""closed":true"#,
    r#""closed":false"#,
    r#""auction":{"price":"#,
    r#""auction":null"#,
    r#""type":"heartbeat""#,
    r#""method":"get_snapshot""#,
    r#""method":"list_subscriptions""#,
    r#""method":"unsubscribe""#,
    r#""code":"SYMBOL_NOT_FOUND""#,
    r#""type":"server_shutdown""#,
    "no answer to pings",
];

/// One simulated day and its clients.
struct Day {
    exchange: Datagrams,
    line: Line,
    platform: Platform,
    clients: Vec<Client>,
    /// Requests that are due: virtual time since the start, client, request. The earliest is last.
    script: Vec<(u64, &'static str, String)>,
}

impl Day {
    fn new() -> Self {
        clock::set(START_NS);
        let exchange = Datagrams::new(&self::exchange(), START_NS);
        let prices = exchange.base_prices();
        let symbols: Vec<String> = prices.iter().map(|(ticker, _)| ticker.clone()).collect();
        let mut platform = Platform::start(prices, EPOCH);
        let mut clients = Vec::new();
        for (name, target, parameters) in FROM_THE_START {
            let mut client = platform.connect(name, &format!("/ws/v2{target}"));
            platform.ask(&mut client, &subscribe(parameters));
            clients.push(client);
        }
        for name in LATER {
            let target = if name.contains("rfc3339") { "/ws/v2?ts=rfc3339" } else { "/ws/v2" };
            clients.push(platform.connect(name, target));
        }
        let mut script = script(&symbols);
        script.sort_by_key(|(at_ns, ..)| *at_ns); // stable: requests of one instant stay as written
        script.reverse();
        Self { exchange, line: Line::default(), platform, clients, script }
    }

    /// Everything up to the opening of the second day.
    fn run(mut self) -> Vec<Client> {
        let mut second_day_ns = None;
        while second_day_ns.is_none_or(|since_ns| clock::now_ns() < since_ns + SECOND_DAY_NS) {
            clock::advance(STEP_NS);
            self.step();
            if self.exchange.sessions() == 2 {
                second_day_ns.get_or_insert(clock::now_ns());
            }
        }
        assert_eq!(self.line.lost, 1, "a packet was lost on its way");
        assert!(self.exchange.halts() > 0, "a day with a volatility halt");
        assert!(self.script.is_empty(), "requests after the end: {:?}", self.script);
        self.platform.shutdown(&mut self.clients);
        self.clients
    }

    fn step(&mut self) {
        let now_ns = clock::now_ns();
        let since_ns = now_ns - START_NS;
        if since_ns == HOLD_FROM_NS {
            self.line.hold_until(now_ns + HOLD_NS);
        }
        if since_ns == LOSE_FROM_NS {
            self.line.lose(1);
        }
        let datagrams = self.line.carry(self.exchange.take_due(now_ns), now_ns);
        self.platform.deliver(&datagrams);
        self.platform.turn();
        while let Some((_, name, request)) = self.script.pop_if(|(at_ns, ..)| *at_ns <= since_ns) {
            let client = self.clients.iter_mut().find(|client| client.name == name).expect("a client of that name");
            self.platform.ask(client, &request);
        }
        if since_ns.is_multiple_of(SIGN_OF_LIFE_NS) {
            for client in self.clients.iter_mut().filter(|client| client.name != "silent") {
                self.platform.ask(client, r#"{"method":"ping"}"#);
            }
        }
        self.platform.drain(&mut self.clients);
    }
}

fn subscribe(parameters: &str) -> String {
    format!(r#"{{"method":"subscribe","params":{{{parameters}}},"req_id":1}}"#)
}

/// What the clients of [`LATER`] ask, and when.
fn script(symbols: &[String]) -> Vec<(u64, &'static str, String)> {
    let mut script = Vec::new();
    let two = format!(r#"["{}","{}.E"]"#, symbols[0], symbols[3]);
    for (n, channel) in CHANNELS.iter().enumerate() {
        let at_ns = LISTED_NS + n as u64 * 200 * MS;
        for name in ["several", "several-rfc3339"] {
            script.push((at_ns, name, subscribe(&format!(r#""channel":"{channel}","symbol":{two}"#))));
        }
    }
    for round in 0..11 {
        for (n, channel) in CHANNELS.iter().enumerate() {
            let at_ns = (5 + 24 * round + n as u64) * SECOND;
            let request = format!(
                r#"{{"method":"get_snapshot","params":{{"channel":"{channel}","symbol":{two}}},"req_id":{round}}}"#
            );
            script.push((at_ns, "snapshots", request));
        }
    }
    for (n, request) in requests(symbols).into_iter().enumerate() {
        script.push((LISTED_NS + (20 + n as u64 * 2) * SECOND, "requests", request));
    }
    script
}

/// Requests of every kind, right ones and refused ones, two seconds apart.
fn requests(symbols: &[String]) -> Vec<String> {
    let (a, b) = (&symbols[0], &symbols[1]);
    let of = |method: &str, params: &str| format!(r#"{{"method":"{method}","params":{{{params}}},"req_id":77}}"#);
    vec![
        of("subscribe", &format!(r#""channel":"book","symbol":["{a}","NOTHERE","{b}"],"depth":3,"unknown":1"#)),
        of("subscribe", &format!(r#""channel":"book","symbol":"{a}","depth":1"#)),
        of("subscribe", &format!(r#""channel":"mbo","symbol":["{a}"],"conflate_ms":500,"snapshot":false"#)),
        of("subscribe", r#""channel":"book","symbol":["*"],"depth":100,"snapshot":false"#),
        of("subscribe", r#""channel":"book","symbol":["*"],"depth":101"#),
        of("subscribe", &format!(r#""channel":"trades","symbol":["{a}"],"from":{{"epoch":7,"seq":1}}"#)),
        of("subscribe", &format!(r#""channel":"ohlcv-1s","symbol":["{b}"],"snapshot":false"#)),
        of("subscribe", r#""channel":"nothing","symbol":["*"]"#),
        of("subscribe", r#""channel":"trades""#),
        of("subscribe", r#""channel":"heartbeat","interval_s":1"#),
        of("subscribe", r#""channel":"heartbeat","interval_s":1"#),
        of("list_subscriptions", ""),
        of("get_snapshot", &format!(r#""channel":"book","symbol":["{a}"],"depth":5"#)),
        of("get_snapshot", r#""channel":"statistics","symbol":["*"]"#),
        of("unsubscribe", &format!(r#""channel":"book","symbol":["{a}"]"#)),
        of("unsubscribe", r#""channel":"book","symbol":["*"]"#),
        of("unsubscribe", r#""sub_id":9999"#),
        of("unsubscribe", &format!(r#""channel":"mbo","symbol":["{a}"]"#)),
        of("auth", r#""token":"secret""#),
        of("dance", ""),
        "{not json".to_owned(),
        of("subscribe", &format!(r#""channel":"mbo","symbol":["{a}","{b}"],"slow_reader":"skip""#)),
        of("subscribe", &format!(r#""channel":"book","symbol":["{b}"],"depth":100,"slow_reader":"warn""#)),
        of("list_subscriptions", ""),
    ]
}

/// A line of the golden file for each client.
fn summary(clients: &[Client]) -> String {
    let mut text =
        "# client, frames, bytes, SHA-1 of the bytes; when to write this anew: head of tests/wire_bytes.rs\n"
            .to_owned();
    for client in clients {
        let hash = Sha1::digest(client.bytes()).iter().fold(String::new(), |mut hash, byte| {
            let _ = write!(hash, "{byte:02x}"); // OK because writing to a String cannot fail
            hash
        });
        let _ = writeln!(text, "{} {} {} {hash}", client.name, client.frames_count(), client.bytes().len());
    }
    text
}

/// Each client's frames in a file of its own, one a line.
fn save(clients: &[Client], golden: &str, folder: &Path) {
    let _ = fs::remove_dir_all(folder); // OK because it may not be there
    fs::create_dir_all(folder).expect("a folder under target");
    for client in clients {
        let mut text = String::new();
        client.lines().for_each(|line| text.extend([line.as_str(), "\n"]));
        fs::write(folder.join(client.name), text).expect("a file under target");
    }
    // Last, so that a folder with this file is whole.
    fs::write(folder.join("golden.txt"), golden).expect("a file under target");
}

/// What differs, and where a person sees it.
fn difference(clients: &[Client], golden: &str, now: &str, folder: &Path) -> String {
    let (agreed, differing) = (folder.join("agreed"), folder.join("differing"));
    save(clients, now, &differing);
    let parse = |text: &str| -> BTreeMap<String, String> {
        let lines = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(' '));
        lines.map(|(name, rest)| (name.to_owned(), rest.to_owned())).collect()
    };
    let (old, new) = (parse(golden), parse(now));
    let comparable = fs::read_to_string(agreed.join("golden.txt")).is_ok_and(|text| text == golden);
    let mut text = String::new();
    for name in old.keys().chain(new.keys().filter(|name| !old.contains_key(*name))) {
        let (old, new) = (old.get(name), new.get(name));
        if old == new {
            continue;
        }
        let nobody = "no such client".to_owned();
        let (old, new) = (old.unwrap_or(&nobody), new.unwrap_or(&nobody));
        let _ = writeln!(text, "{name}: golden {old}, now {new}");
        if comparable {
            text += &first_difference(&agreed.join(name), &differing.join(name));
        }
    }
    let _ = writeln!(text, "Frames of this run: {}.", differing.display());
    let _ = if comparable {
        writeln!(text, "Frames of the run that agreed: {}.", agreed.display())
    } else {
        writeln!(text, "For the frames before: run this test once where it agrees, they go to {}.", agreed.display())
    };
    text
}

/// The first frame in which two streams part.
fn first_difference(agreed: &Path, differing: &Path) -> String {
    let read = |path: &Path| fs::read_to_string(path).unwrap_or_default();
    let (agreed, differing) = (read(agreed), read(differing));
    let (mut old, mut new) = (agreed.lines(), differing.lines());
    let mut frame = 0;
    loop {
        let (a, b) = (old.next(), new.next());
        if a != b {
            let (a, b) = (a.unwrap_or("(nothing)"), b.unwrap_or("(nothing)"));
            return format!("  line {}\n    golden {a}\n    now    {b}\n", frame + 1);
        }
        if a.is_none() {
            return "  the frames read alike; their heads differ\n".to_owned();
        }
        frame += 1;
    }
}

fn golden_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/wire_bytes.txt")
}

#[test]
fn a_simulated_day_has_the_golden_bytes_on_every_channel() {
    let clients = Day::new().run();
    let now = summary(&clients);
    let everything: Vec<String> = clients.iter().flat_map(Client::lines).collect();
    for text in COVERED {
        assert!(everything.iter().any(|line| line.contains(text)), "nobody was sent {text}");
    }
    for channel in CHANNELS {
        let of_channel = format!(r#"{{"channel":"{channel}","#);
        let count = everything.iter().filter(|line| line.starts_with(&of_channel)).count();
        assert!(count > 10, "{count} frames of {channel}");
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("wire_bytes");
    if std::env::var("BIST_WIRE_BYTES").is_ok_and(|value| value == "write") {
        fs::write(golden_path(), &now).expect("the golden file can be written");
    }
    let golden = fs::read_to_string(golden_path()).unwrap_or_default();
    if now != golden {
        panic!(
            "the bytes that clients are sent differ from {}:\n{}Meant so? BIST_WIRE_BYTES=write writes the golden file \
             anew; the head of tests/wire_bytes.rs says when that is right.",
            golden_path().display(),
            difference(&clients, &golden, &now, &folder),
        );
    }
    let agreed = folder.join("agreed");
    if fs::read_to_string(agreed.join("golden.txt")).is_ok_and(|text| text == golden) {
        return;
    }
    save(&clients, &golden, &agreed);
}
