//! How fast does any WebSocket server send, and how old are its messages when they come?
//!
//! The clients of the other measurements, pointed at a server that we did not start: ours or a peer. What the server
//! sends is its own, so there is nothing to compare it with: messages and bytes are counted, RFC 6455 is held to, and
//! latency is told where a message carries a time, or where this program sends the feed itself.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hdrhistogram::Histogram;

use crate::disturbance::{Disturbance, Watch};
use crate::environment::Environment;
use crate::fanout::loops::{Length, SystemUnderTest, open_loop};
use crate::fanout::peer::{Peer, PeerSystem};
use crate::load::client::{Clients, Target};
use crate::load::{limits, now_ns};
use crate::measure::{self, BenchError, Pin};
use crate::pipeline::failed;
use crate::report::{Better, LatencySeries, Report, Row, histogram};

/// What to measure.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// `ws://host:port/path`.
    pub url: String,
    /// What each client sends first; empty = nothing.
    pub subscribe: String,
    /// Clients.
    pub clients: usize,
    /// Member of a message that holds its time, `ts_out`; with a feed the time that this program put in is used instead.
    pub time_field: Option<String>,
    /// Nanoseconds of one unit of that time; 0 = by its size.
    pub time_unit_ns: u64,
    /// `tcp://host:port` that takes lines of JSON, which the server is to pass on.
    pub feed: Option<String>,
    /// Messages per second into the feed.
    pub rate: u64,
    /// Warm-up of each run, ms.
    pub warm_up_ms: u64,
    /// Measured time of each run, ms.
    pub measured_ms: u64,
    /// Other machines than this one may be loaded.
    pub allow_remote: bool,
}

/// One run.
struct Run {
    frames_per_s: f64,
    bytes_per_s: f64,
    latency: Histogram<u64>,
    disturbance: Disturbance,
}

/// Measures; the server must run already.
///
/// # Errors
/// The server cannot be reached, closes, breaks RFC 6455 or sends nothing.
pub fn run(bench: &measure::BenchOptions, options: &LoadOptions) -> Result<Report, BenchError> {
    let pin = Pin::choose(bench.core)?;
    let environment = Environment::read(&bench.build, &pin);
    pin.measured_thread();
    let mut runs = Vec::new();
    for n in 0..bench.runs.max(1) {
        (bench.tell)(&format!("run {} of {}", n + 1, bench.runs.max(1)));
        runs.push(one(options).map_err(failed)?);
    }
    let of = |pick: fn(&Run) -> f64| runs.iter().map(pick).collect();
    let disturbed: Vec<Disturbance> = runs.iter().map(|run| run.disturbance).collect();
    let rows = vec![
        Row::new("messages, all clients", "messages/s", Better::Higher, of(|run| run.frames_per_s))
            .with_disturbed(disturbed.clone()),
        Row::new("bytes, all clients", "bytes/s", Better::Higher, of(|run| run.bytes_per_s)),
    ];
    let mut latencies = Vec::new();
    if runs.iter().any(|run| !run.latency.is_empty()) {
        let name = if options.feed.is_some() { "feed to client" } else { "age at the client" };
        let mut series = LatencySeries::of_runs(name, runs.into_iter().map(|run| run.latency).collect());
        series.rate_per_s = options.feed.is_some().then_some(options.rate);
        series.disturbed = disturbed;
        latencies.push(series);
    }
    let (checked, excluded) = if options.feed.is_some() {
        ("every line of the feed reached every client once and in order", "the network between machines")
    } else {
        (
            "frames are whole and keep to RFC 6455; what they say is not known here",
            "the content: losses and wrong data of the server go unseen",
        )
    };
    Ok(Report {
        name: "load".to_owned(),
        question: "How fast does this WebSocket server send, and how old are its messages when they come?".to_owned(),
        input: format!("{}, {} clients, subscribed by {}", options.url, options.clients, options.subscribe),
        command: bench.command.clone(),
        environment,
        checked: vec![checked.to_owned()],
        excluded: vec![excluded.to_owned()],
        rows,
        latencies,
    })
}

fn one(options: &LoadOptions) -> Result<Run> {
    limits::make_room(options.clients)?;
    let watch = Watch::begin(&[]);
    let run = match &options.feed {
        Some(feed) => fed(feed, options)?,
        None => watched(options)?,
    };
    Ok(Run { disturbance: watch.end(), ..run })
}

/// A run in which this program sends the messages.
fn fed(feed: &str, options: &LoadOptions) -> Result<Run> {
    let peer = Peer {
        url: options.url.clone(),
        feed: feed.to_owned(),
        subscribe: options.subscribe.clone(),
        allow_remote: options.allow_remote,
    };
    let mut system = Box::new(PeerSystem::start(&peer, options.clients)?);
    let length = Length { warm_up_ms: options.warm_up_ms, measured_ms: options.measured_ms };
    let found = open_loop(system.as_mut(), options.rate, length)?;
    let (latency, _) = system.latencies();
    system.finish()?;
    let (frames_per_s, bytes_per_s) = (found.frames_per_s, found.bytes_per_s);
    Ok(Run { frames_per_s, bytes_per_s, latency, disturbance: Disturbance::default() })
}

/// A run in which the server sends what it has to say.
fn watched(options: &LoadOptions) -> Result<Run> {
    let target = Target::parse(&options.url, options.allow_remote)?;
    let mut clients = Clients::connect(&target, options.clients)?;
    if !options.subscribe.is_empty() {
        for client in 0..options.clients {
            clients.send(client, &options.subscribe)?;
        }
    }
    let needle = options.time_field.as_ref().map(|field| format!("\"{field}\":"));
    let mut latency = histogram();
    let begin = Instant::now();
    let end = Duration::from_millis(options.warm_up_ms + options.measured_ms.max(1));
    let mut from: Option<(Instant, u64, u64)> = None;
    while begin.elapsed() < end {
        let measured = from.is_some();
        clients.turn(Duration::ZERO, now_ns, &mut |arrived| {
            let sent_ns = needle.as_ref().and_then(|needle| time(arrived.payload, needle, options.time_unit_ns));
            if let Some(sent_ns) = sent_ns.filter(|_| measured) {
                latency.saturating_record(arrived.received_ns.saturating_sub(sent_ns));
            }
        })?;
        if !measured && begin.elapsed() >= Duration::from_millis(options.warm_up_ms) {
            from = Some((Instant::now(), clients.frames, clients.bytes));
        }
    }
    let (since, frames, bytes) = from.context("no time was left after the warm-up")?;
    ensure!(clients.frames > frames, "{} sent nothing; --subscribe says what clients ask for", options.url);
    let seconds = since.elapsed().as_secs_f64();
    Ok(Run {
        frames_per_s: (clients.frames - frames) as f64 / seconds,
        bytes_per_s: (clients.bytes - bytes) as f64 / seconds,
        latency,
        disturbance: Disturbance::default(),
    })
}

/// The time behind `needle`, in Unix ns; `unit_ns` 0 takes seconds, milli-, micro- or nanoseconds by their size.
fn time(payload: &[u8], needle: &str, unit_ns: u64) -> Option<u64> {
    let at = payload.windows(needle.len()).position(|window| window == needle.as_bytes())? + needle.len();
    let digits = payload[at..].iter().skip_while(|byte| matches!(byte, b'"' | b' ')).take_while(|b| b.is_ascii_digit());
    let value = digits.fold(0_u64, |value, digit| value.wrapping_mul(10).wrapping_add(u64::from(digit - b'0')));
    let unit_ns = match (unit_ns, value) {
        (0, 0) => return None,
        (0, ..100_000_000_000) => 1_000_000_000,
        (0, ..100_000_000_000_000) => 1_000_000,
        (0, ..100_000_000_000_000_000) => 1_000,
        (0, _) => 1,
        (unit_ns, _) => unit_ns,
    };
    value.checked_mul(unit_ns)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};

    #[test]
    fn times_are_read_in_every_unit() {
        for (text, expected) in [
            (r#"{"t":1795417200}"#, 1_795_417_200_000_000_000),
            (r#"{"t": "1795417200123"}"#, 1_795_417_200_123_000_000),
            (r#"{"t":1795417200123456}"#, 1_795_417_200_123_456_000),
            (r#"{"t":"1795417200123456789"}"#, 1_795_417_200_123_456_789),
        ] {
            assert_eq!(time(text.as_bytes(), "\"t\":", 0), Some(expected), "{text}");
        }
        assert_eq!(time(br#"{"t":5}"#, "\"t\":", 1_000), Some(5_000));
        assert_eq!(time(br#"{"u":5}"#, "\"t\":", 0), None);
    }

    /// A peer as the targets describe them: lines in over TCP, each to the WebSocket client.
    #[test]
    fn a_server_that_is_not_ours_is_measured_from_its_feed_to_its_client() {
        let feed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let sockets = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let (feed_at, url) = (feed.local_addr().unwrap(), format!("ws://{}/", sockets.local_addr().unwrap()));
        let relay = std::thread::spawn(move || {
            let mut socket = tungstenite::accept(sockets.accept().unwrap().0).unwrap();
            assert_eq!(socket.read().unwrap().into_text().unwrap(), "hello");
            for line in BufReader::new(feed.accept().unwrap().0).lines() {
                if socket.send(tungstenite::Message::text(line.unwrap_or_default())).is_err() {
                    break;
                }
            }
        });
        let options = LoadOptions {
            url,
            subscribe: "hello".to_owned(),
            clients: 1,
            time_field: None,
            time_unit_ns: 0,
            feed: Some(format!("tcp://{feed_at}")),
            rate: 500,
            warm_up_ms: 20,
            measured_ms: 200,
            allow_remote: false,
        };
        let bench = measure::BenchOptions { runs: 1, ..measure::BenchOptions::small() };
        let report = run(&bench, &options).unwrap();
        assert!(report.rows[0].samples[0] > 0.0);
        assert!(report.latencies[0].corrected.len() > 10);
        relay.join().unwrap();
    }
}
