//! What a configuration must keep to before anything is opened: `config --check` and `serve` ask the same questions.
//!
//! Looks at values alone: opens no port, reads no file. Each refusal names the key and says what it takes.

use std::net::SocketAddr;
use std::ops::RangeInclusive;

use anyhow::{Result, ensure};

use super::{Settings, SourceKind};

/// Slots of the event ring: one packet, with the parked ones that it releases, takes up to 13,391.
const EVENT_SLOTS: RangeInclusive<usize> = 16_384..=(1 << 28);
/// Slots of a reader's ring: the smallest that any snapshot fits into, up to 16 GiB.
const UPDATE_SLOTS: RangeInclusive<usize> = 1_024..=(1 << 28);

/// Levels of log lines, from none to all.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Checks every section.
///
/// # Errors
/// The first value that cannot work, by its key.
pub fn check(settings: &Settings) -> Result<()> {
    within("rings.event_slots", settings.rings.event_slots, &EVENT_SLOTS)?;
    within("rings.update_slots", settings.rings.update_slots, &UPDATE_SLOTS)?;
    within("market_data.connections_max", settings.market_data.connections_max, &(1..=1_000_000))?;
    let per_principal = settings.market_data.connections_per_principal_max;
    within("market_data.connections_per_principal_max", per_principal, &(1..=1_000_000))?;
    within("market_data.subscriptions_max", settings.market_data.subscriptions_max, &(1..=1_000_000))?;
    within("market_data.queue_bytes_max", settings.market_data.queue_bytes_max, &(4_096..=(1 << 30)))?;
    within("threads.api_workers", settings.threads.api_workers, &(0..=64))?;
    within("users.hash_threads", settings.users.hash_threads, &(1..=16))?;
    within("users.hash_queue_max", settings.users.hash_queue_max, &(1..=1_000))?;
    within("users.registrations_per_hour", settings.users.registrations_per_hour as usize, &(1..=1_000_000))?;
    within("upstream.open_ms", settings.upstream.open_ms as usize, &(100..=3_600_000))?;
    if let Some(url) = &settings.users.url {
        ensure!(is_base_url(url), "users.url = {url}: it takes http://HOST:PORT without a path, a user or a query");
    }
    log_level(&settings.log.level, "log.level")?;
    origins(&settings.api.cors_origins)?;
    simulator(settings)?;
    line(settings)?;
    ports(settings)
}

fn within(key: &str, value: usize, range: &RangeInclusive<usize>) -> Result<()> {
    ensure!(range.contains(&value), "{key} = {value}: it takes {} to {}", range.start(), range.end());
    Ok(())
}

/// `http://HOST:PORT` and nothing else. The client that goes there reads it again, and more exactly.
fn is_base_url(url: &str) -> bool {
    let authority = url.strip_prefix("http://").map(|rest| rest.strip_suffix('/').unwrap_or(rest));
    authority.and_then(|authority| authority.rsplit_once(':')).is_some_and(|(host, port)| {
        let is_host = !host.is_empty() && !host.contains(['@', '/', '?', '#', ' ']);
        is_host && port.parse::<u16>().is_ok_and(|port| port != 0)
    })
}

/// Most origins that may be named.
const ORIGINS_MAX: usize = 64;

/// An origin is what a browser sends: scheme, host, port if it is not the scheme's own, and nothing behind it.
fn origins(origins: &[String]) -> Result<()> {
    ensure!(origins.len() <= ORIGINS_MAX, "api.cors_origins: it takes at most {ORIGINS_MAX} origins");
    for origin in origins {
        let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://")).unwrap_or("");
        let is_host = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.:[]".contains(&byte);
        ensure!(
            !host.is_empty() && host.bytes().all(is_host),
            "api.cors_origins: {origin} is no origin; it takes https://example.com or http://host:port, in lower case and \
             with nothing behind it"
        );
    }
    Ok(())
}

fn simulator(settings: &Settings) -> Result<()> {
    let sim = &settings.sim;
    within("sim.rate", sim.rate as usize, &(1..=1_000_000))?;
    within("sim.speed", sim.speed as usize, &(1..=100_000))?;
    within("sim.symbols", sim.symbols, &(1..=50))
}

fn line(settings: &Settings) -> Result<()> {
    let feed = &settings.feed;
    ensure!(feed.listen.is_ipv4(), "feed.listen = {}: it takes an IPv4 address", feed.listen);
    ensure!(feed.stale_ms > 0, "feed.stale_ms = 0: it takes at least 1");
    if feed.source == SourceKind::Itch {
        ensure!(
            feed.listen.port() != 0 || !feed.lines.is_empty(),
            "feed.listen = {}: a real line needs a port (--listen ADDR:PORT)",
            feed.listen
        );
    }
    ensure!(feed.lines.len() <= 7, "feed.lines: it takes at most 7 lines");
    for line in &feed.lines {
        ensure!(line.address.port() != 0, "feed.lines: {} needs a port", line.address);
    }
    if let Some(server) = feed.request_server {
        ensure!(server.is_ipv4() && server.port() != 0, "feed.request_server = {server}: it takes IPv4 ADDR:PORT");
    }
    Ok(())
}

/// No two servers of this process on one address.
fn ports(settings: &Settings) -> Result<()> {
    let servers = [
        ("api.listen", settings.api.listen),
        ("market_data.listen", settings.market_data.listen),
        ("admin.listen", settings.admin.listen),
        ("users.listen", settings.users.listen),
    ];
    for (at, (key, address)) in servers.iter().enumerate() {
        for (other, taken) in &servers[..at] {
            ensure!(!meet(*address, *taken), "{key} = {address}: {other} has this port already ({taken})");
        }
    }
    Ok(())
}

/// Whether both cannot be listened on; port 0 is any free one.
fn meet(a: SocketAddr, b: SocketAddr) -> bool {
    a.port() != 0 && a.port() == b.port() && (a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified())
}

/// A filter of log lines: a level, or `target=level`, several with commas. `tracing_subscriber` takes an unknown word for
/// a target and then shows nothing at all.
///
/// # Errors
/// A word that is no level.
pub fn log_level(filter: &str, key: &str) -> Result<()> {
    for directive in filter.split(',').map(str::trim) {
        let level = directive.rsplit_once('=').map_or(directive, |(_, level)| level);
        ensure!(
            LEVELS.iter().any(|known| level.eq_ignore_ascii_case(known)),
            "{key} = {filter}: {level} is no level; it takes error, warn, info, debug, trace or off, or TARGET=LEVEL"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_good() {
        check(&Settings::default()).unwrap();
    }

    #[test]
    fn a_service_elsewhere_is_a_host_and_a_port() {
        let with = |url: &str| {
            let mut settings = Settings::default();
            settings.users.url = Some(url.to_owned());
            check(&settings)
        };
        with("http://users.example:8081").unwrap();
        for bad in ["users.example:8081", "https://users.example:8081", "http://users.example:8081/api"] {
            let error = with(bad).unwrap_err().to_string();
            assert!(error.starts_with("users.url = "), "{error}");
        }
    }

    #[test]
    fn a_filter_is_levels_and_targets_with_levels() {
        for good in ["info", "WARN", "off", "info,distributor=debug", "feed_handler=trace, warn"] {
            log_level(good, "log.level").unwrap();
        }
        for bad in ["loud", "", "info,loud", "distributor=loud", "debug info"] {
            let error = log_level(bad, "log.level").unwrap_err().to_string();
            assert!(error.starts_with("log.level = "), "{error}");
        }
    }

    #[test]
    fn an_origin_is_a_scheme_and_a_host() {
        let check = |origin: &str| origins(&[origin.to_owned()]);
        for good in ["https://example.com", "http://localhost:5173", "http://[::1]:80"] {
            check(good).unwrap();
        }
        for bad in ["*", "", "example.com", "https://", "https://example.com/", "https://Example.com", "https://a b"] {
            assert!(check(bad).unwrap_err().to_string().starts_with("api.cors_origins: "), "{bad}");
        }
        assert!(origins(&vec!["https://a".to_owned(); ORIGINS_MAX + 1]).is_err());
    }

    #[test]
    fn addresses_meet_on_one_port_only() {
        let at = |text: &str| text.parse().unwrap();
        assert!(meet(at("127.0.0.1:80"), at("127.0.0.1:80")));
        assert!(meet(at("0.0.0.0:80"), at("127.0.0.1:80")));
        assert!(!meet(at("127.0.0.1:80"), at("127.0.0.2:80")));
        assert!(!meet(at("127.0.0.1:0"), at("127.0.0.1:0")));
    }
}
