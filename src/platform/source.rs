//! Where ticks come from: opens the simulated exchange, a line or a recording, by the settings.
//!
//! Never reads a packet or a message: that is the feed thread's work.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use book::Price;
use book::market::OrderKey;
use book::ring::Producer;
use feed_handler::decode::protocol::Protocol;
use feed_handler::decode::{bistech, itch50};
use feed_handler::feed::{FeedWorker, LiveOptions, ReplayOptions};
use feed_handler::net::udp::{Line, UdpOptions, UdpSource};
use feed_handler::recording::{Recording, RecordingOptions};
use feed_handler::recovery::sequencer::{self, Recovery, Start};
use feed_handler::sim;

use super::threads::now_ns;
use crate::settings::{self, Protocol as LineProtocol, Settings, SimClock, SourceKind};

/// The source's name where the market is an invention.
const SIM: &str = "sim";

/// A source that is open but does not run yet.
pub struct Source {
    /// The feed's thread of work.
    pub feed: FeedWorker,
    /// The simulated exchange behind it, with source `sim`.
    pub sim: Option<sim::Server>,
    /// What names an order on this feed.
    pub key: OrderKey,
    /// One line for the person who started it.
    pub describe: String,
    /// Base prices of the day, by symbol.
    pub references: Vec<(String, Price)>,
}

/// What a market is, as clients, pages and logs are told it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// `sim`, `itch` or `replay`: the setting's own word.
    pub source: &'static str,
    /// The market is an invention of ours.
    pub simulated: bool,
}

impl Origin {
    /// A line for the person who starts it.
    pub fn describe(self) -> &'static str {
        match self.source {
            _ if self.simulated => "SIMULATED: real names, invented prices and orders",
            "replay" => "RECORDED: not live",
            _ => "as the line has it",
        }
    }
}

/// What the market of these settings is.
pub const fn origin(settings: &Settings) -> Origin {
    match settings.feed.source {
        SourceKind::Sim => Origin { source: SIM, simulated: true },
        SourceKind::Itch => Origin { source: "itch", simulated: false },
        SourceKind::Replay => Origin { source: "replay", simulated: false },
    }
}

/// Opens what `feed.source` names, its first session numbered `first_epoch`; nothing is read or sent before its thread starts.
///
/// # Errors
/// A port that is taken, a file that cannot be read, a setting that does not fit: each names what to change.
pub fn open(settings: &Settings, producer: Producer, first_epoch: u64) -> Result<Source> {
    match settings.feed.source {
        SourceKind::Sim => open_sim(settings, producer, first_epoch),
        SourceKind::Itch => open_line(settings, producer, first_epoch),
        SourceKind::Replay => open_replay(settings, producer, first_epoch),
    }
}

fn open_sim(settings: &Settings, producer: Producer, first_epoch: u64) -> Result<Source> {
    // The exchange's request socket must be known before the feed is opened, and the feed's line before the exchange
    // can send: the line's port is found first, the exchange bound second, the line opened third.
    let line = free_line(settings)?;
    let config = sim::SimConfig { destination: SocketAddr::V4(line), ..sim_config(&settings.sim) };
    let server = sim::Server::bind(&config, now_ns()).context("starting the simulated exchange ([sim])")?;
    let SocketAddr::V4(requests) = server.local_addr()? else { bail!("the simulated exchange has no IPv4 address") };
    let udp = open_udp(settings, &[own_line(line)], Some(requests))?;
    let decoder = bistech::Decoder::new(settings.book.books_max, None);
    let options = LiveOptions { source: SIM, ..live_options(settings, true) };
    let feed = FeedWorker::live(udp, decoder, producer, first_epoch, options)?;
    let sim = &settings.sim;
    let describe = format!(
        "simulated exchange, {} shares, {} messages/s, seed {} (BISTECH ITCH over UDP {line})",
        sim.symbols, sim.rate, sim.seed
    );
    Ok(Source { feed, references: server.base_prices(), sim: Some(server), key: OrderKey::BookSideId, describe })
}

/// Epoch of a measured line: its clients end with it.
const OWN_LINE_EPOCH: u64 = 1;

/// A line of BISTECH ITCH that begins after us, on a free port: what a measurement sends to. Also says where it is.
///
/// # Errors
/// A socket cannot be had.
pub fn open_own_line(settings: &Settings, producer: Producer) -> Result<(Source, SocketAddr)> {
    let line = free_line(settings)?;
    let udp = open_udp(settings, &[own_line(line)], None)?;
    let decoder = bistech::Decoder::new(settings.book.books_max, None);
    let feed = FeedWorker::live(udp, decoder, producer, OWN_LINE_EPOCH, live_options(settings, true))?;
    let describe = format!("BISTECH ITCH in MoldUDP64 on {line}");
    let source = Source { feed, sim: None, key: OrderKey::BookSideId, describe, references: Vec::new() };
    Ok((source, SocketAddr::V4(line)))
}

/// A free loopback port, unless one was configured.
fn free_line(settings: &Settings) -> Result<SocketAddrV4> {
    let SocketAddr::V4(line) = settings.feed.listen else { bail!("feed.listen must be an IPv4 address") };
    if line.port() != 0 {
        return Ok(line);
    }
    let probe = std::net::UdpSocket::bind(line).context("finding a free UDP port for the simulated line")?;
    match probe.local_addr()? {
        SocketAddr::V4(address) => Ok(address),
        SocketAddr::V6(_) => bail!("the simulated line has no IPv4 address"),
    }
}

/// The simulated exchange as the settings want it.
pub fn sim_config(settings: &settings::Sim) -> sim::SimConfig {
    let clock = match settings.clock {
        SimClock::Real => sim::Clock::Real,
        SimClock::Compressed => {
            sim::Clock::Compressed(sim::Compression { speed: settings.speed, ..sim::Compression::default() })
        }
    };
    sim::SimConfig {
        seed: settings.seed,
        rate: settings.rate,
        clock,
        symbols_max: settings.symbols,
        halts: settings.halts,
        ..sim::SimConfig::default()
    }
}

fn open_line(settings: &Settings, producer: Producer, first_epoch: u64) -> Result<Source> {
    let line = &settings.feed;
    let lines = lines(line)?;
    let requests = match line.request_server {
        Some(SocketAddr::V4(address)) => Some(address),
        Some(SocketAddr::V6(_)) => bail!("feed.request_server must be an IPv4 address"),
        None => None,
    };
    let udp = open_udp(settings, &lines, requests)?;
    // Who can ask for it has the session from its beginning, however late it starts.
    let options = live_options(settings, requests.is_some());
    let (feed, key, protocol) = match line.protocol {
        LineProtocol::Bistech => {
            let decoder = bistech::Decoder::new(settings.book.books_max, None);
            let feed = FeedWorker::live(udp, decoder, producer, first_epoch, options)?;
            (feed, OrderKey::BookSideId, "BISTECH ITCH")
        }
        LineProtocol::Itch50 => {
            let decoder = itch50::Decoder::new(new_york_midnight_ns(now_ns()), settings.book.books_max);
            let options = LiveOptions { midnight_of: Some(new_york_midnight_ns), ..options };
            let feed = FeedWorker::live(udp, decoder, producer, first_epoch, options)?;
            (feed, OrderKey::Id, "NASDAQ ITCH 5.0")
        }
    };
    let describe = format!("{protocol} in MoldUDP64 on {}", show_lines(&lines));
    Ok(Source { feed, sim: None, key, describe, references: references(settings)? })
}

/// A line of this machine, which joins no group.
fn own_line(address: SocketAddrV4) -> Line {
    Line { address, interface: Ipv4Addr::UNSPECIFIED }
}

/// The lines of `feed.lines`, or the one of `feed.listen`.
fn lines(feed: &settings::Feed) -> Result<Vec<Line>> {
    let line = |address: SocketAddrV4, group: Option<Ipv4Addr>, interface| Line {
        address: SocketAddrV4::new(group.unwrap_or(*address.ip()), address.port()),
        interface,
    };
    if feed.lines.is_empty() {
        let SocketAddr::V4(listen) = feed.listen else { bail!("feed.listen must be an IPv4 address") };
        if listen.port() == 0 {
            bail!("feed.listen needs a port for a real line (--listen ADDR:PORT)");
        }
        return Ok(vec![line(listen, feed.group, feed.interface)]);
    }
    if let Some(bad) = feed.lines.iter().find(|line| line.address.port() == 0) {
        bail!("feed.lines: {} needs a port", bad.address);
    }
    let interface = |one: &settings::FeedLine| one.interface.unwrap_or(feed.interface);
    Ok(feed.lines.iter().map(|one| line(one.address, one.group, interface(one))).collect())
}

fn open_udp(settings: &Settings, lines: &[Line], requests: Option<SocketAddrV4>) -> Result<UdpSource> {
    let options = UdpOptions {
        lines: lines.to_vec(),
        receive_buffer_bytes: settings.feed.receive_buffer_bytes,
        request_server: requests,
        sources: settings.feed.sources.clone(),
    };
    UdpSource::open(&options).context("opening the line (feed.listen, feed.group, feed.interface; `bist doctor` looks)")
}

fn live_options(settings: &Settings, from_the_start: bool) -> LiveOptions {
    let config = sequencer::SequencerConfig::default();
    LiveOptions {
        sequencer: sequencer::SequencerConfig {
            jump_max: settings.feed.jump_max,
            // The simulated exchange begins after us; a real line has usually begun long before.
            start: if from_the_start { Start::At(1) } else { Start::Join },
            gap_timeout_ns: settings.feed.gap_timeout_ms * 1_000_000,
            recovery: Some(Recovery { delay_ns: 1_000_000, interval_ns: 5_000_000, messages_max: 1_000 }),
            ..config
        },
        stale_ns: settings.feed.stale_ms * 1_000_000,
        clock: Some(now_ns),
        ..LiveOptions::default()
    }
}

fn open_replay(settings: &Settings, producer: Producer, first_epoch: u64) -> Result<Source> {
    let replay = &settings.replay;
    let path = replay.file.clone().context("source replay needs a recording: `bist replay FILE`, or replay.file")?;
    let options = ReplayOptions {
        recording: RecordingOptions { format: replay.format.parse()?, ..RecordingOptions::default() },
        speed: replay.speed.parse()?,
        gap_max_ns: replay.gap_max_ms.saturating_mul(1_000_000),
        laps: if replay.repeat { None } else { std::num::NonZeroU32::new(1) },
        ..ReplayOptions::new(path.clone())
    };
    let feed =
        FeedWorker::replay(options, producer, first_epoch).map_err(|error| anyhow!("{} {error}", show(&path)))?;
    let key = match feed.recording().and_then(Recording::protocol) {
        Some(Protocol::Itch50) => OrderKey::Id,
        _ => OrderKey::BookSideId,
    };
    let describe = format!("recording {} at speed {}", show(&path), replay.speed);
    Ok(Source { feed, sim: None, key, describe, references: references(settings)? })
}

/// The base prices of the day from `feed.references`, a CSV file `symbol,price` without a head line.
fn references(settings: &Settings) -> Result<Vec<(String, Price)>> {
    let Some(path) = &settings.feed.references else { return Ok(Vec::new()) };
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .from_path(path)
        .with_context(|| format!("reading {} (feed.references)", show(path)))?;
    let mut prices = Vec::new();
    for (at, row) in reader.records().enumerate() {
        let row = row.with_context(|| format!("{} line {}", show(path), at + 1))?;
        let (Some(symbol), Some(price)) = (row.get(0), row.get(1).and_then(parse_price)) else {
            bail!("{} line {}: expected symbol,price such as GARAN,143.20", show(path), at + 1);
        };
        prices.push((symbol.trim().to_owned(), price));
    }
    Ok(prices)
}

/// A base price, which has no sign.
fn parse_price(text: &str) -> Option<Price> {
    Some(text.trim()).filter(|text| !text.starts_with('-'))?.parse().ok()
}

fn show_lines(lines: &[Line]) -> String {
    lines.iter().map(|line| line.address.to_string()).collect::<Vec<_>>().join(", ")
}

fn show(path: &Path) -> String {
    path.display().to_string()
}

/// Midnight in New York before `now_ns`: what the timestamps of ITCH 5.0 count from.
fn new_york_midnight_ns(now_ns: u64) -> u64 {
    let moment = jiff::Timestamp::from_nanosecond(i128::from(now_ns)).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let midnight = moment.in_tz("America/New_York").and_then(|zoned| zoned.start_of_day());
    midnight.map_or(0, |zoned| zoned.timestamp().as_nanosecond().max(0) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_is_read_without_a_float() {
        assert_eq!(parse_price("143.20"), Price::from_decimal(14_320, 2));
        assert_eq!(parse_price(" 7 "), Price::from_decimal(7, 0));
        for bad in ["", ".5", "-1", "-0", "1,5", "1.0000000001", "99999999999999999999"] {
            assert_eq!(parse_price(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn midnight_in_new_york_knows_summer_time() {
        // 2026-07-01 12:00 UTC is 08:00 EDT; 2026-01-05 03:00 UTC is still the 4th in New York.
        assert_eq!(new_york_midnight_ns(1_782_907_200_000_000_000), 1_782_878_400_000_000_000);
        assert_eq!(new_york_midnight_ns(1_767_582_000_000_000_000), 1_767_502_800_000_000_000);
    }
}
