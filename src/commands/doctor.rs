//! `bist doctor`: can the platform run here? Looks, never changes anything.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use book::market::OrderKey;
use serde::Serialize;
use socket2::{Domain, Socket, Type};

use crate::cli::DoctorArgs;
use crate::commands::stdout;
use crate::platform::threads::{ThreadPlan, now_ns};
use crate::settings::Settings;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    /// Nothing to do.
    Good,
    /// It runs, but not at its best.
    Warn,
    /// It will not start.
    Bad,
}

/// One check.
#[derive(Debug, Serialize)]
struct Finding {
    what: &'static str,
    verdict: Verdict,
    seen: String,
    /// What to do about it; empty when good.
    advice: String,
}

impl Finding {
    fn good(what: &'static str, seen: impl Into<String>) -> Self {
        Self { what, verdict: Verdict::Good, seen: seen.into(), advice: String::new() }
    }

    fn warn(what: &'static str, seen: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { what, verdict: Verdict::Warn, seen: seen.into(), advice: advice.into() }
    }

    fn bad(what: &'static str, seen: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { what, verdict: Verdict::Bad, seen: seen.into(), advice: advice.into() }
    }
}

/// Runs every check; exit code 3 when one is bad.
pub fn run(arguments: &DoctorArgs, settings: &Settings) -> Result<ExitCode> {
    let findings = [
        cores(settings),
        governor(),
        memory(settings),
        open_files(settings),
        locked_memory(),
        receive_buffer(settings),
        port("port of REST and page", settings.api.listen, "api.listen"),
        port("port of WebSocket", settings.market_data.listen, "market_data.listen"),
        accounts(settings),
        port("port of metrics", settings.admin.listen, "admin.listen"),
        multicast(),
        loopback(),
        clock(),
    ];
    if arguments.json {
        stdout::print(format_args!("{}\n", serde_json::to_string_pretty(&findings)?))?;
    } else {
        findings.iter().try_for_each(print)?;
    }
    let bad = findings.iter().filter(|finding| finding.verdict == Verdict::Bad).count();
    if !arguments.json {
        let warnings = findings.iter().filter(|finding| finding.verdict == Verdict::Warn).count();
        let count = findings.len();
        stdout::print(format_args!("\n{count} checks, {warnings} warnings, {bad} that stop the platform\n"))?;
    }
    Ok(if bad > 0 { ExitCode::from(3) } else { ExitCode::SUCCESS })
}

fn print(finding: &Finding) -> Result<()> {
    let mark = match finding.verdict {
        Verdict::Good => "ok  ",
        Verdict::Warn => "warn",
        Verdict::Bad => "BAD ",
    };
    stdout::print(format_args!("{mark}  {:<24} {}\n", finding.what, finding.seen))?;
    if finding.advice.is_empty() {
        return Ok(());
    }
    stdout::print(format_args!("      {:<24} → {}\n", "", finding.advice))
}

fn cores(settings: &Settings) -> Finding {
    let count = core_affinity::get_core_ids().map_or(0, |cores| cores.len());
    let plan = match ThreadPlan::new(&settings.threads) {
        Ok(plan) => plan.describe(),
        Err(error) => return Finding::bad("cores", format!("{error}"), "correct threads.cores"),
    };
    let seen = format!("{count}; hot threads: {plan}");
    if count >= 4 {
        return Finding::good("cores", seen);
    }
    let advice = "fine for a laptop; for lowest latency use 4 or more cores, so that hot threads own theirs, or \
                  threads.layout single with threads.wait spin, which needs one";
    Finding::warn("cores", seen, advice)
}

fn governor() -> Finding {
    let path = "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor";
    match std::fs::read_to_string(path) {
        Ok(text) if text.trim() == "performance" => Finding::good("frequency governor", "performance"),
        Ok(text) => Finding::warn(
            "frequency governor",
            text.trim(),
            "for steady latency: cpupower frequency-set -g performance",
        ),
        Err(_) => Finding::good("frequency governor", "not shown by this machine (usual in virtual machines)"),
    }
}

fn memory(settings: &Settings) -> Finding {
    // Any key: an upper bound holds for each of them.
    let books = settings.book.limits(OrderKey::BookSideId).memory().total();
    let rings = (settings.rings.event_slots + 2 * settings.rings.update_slots) * 64;
    let need_mib = (books + rings) >> 20;
    let source = settings.feed.source.name();
    let need =
        format!("source {source} takes {need_mib} MiB at its start: books {}, rings {}", books >> 20, rings >> 20);
    let info = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let available = info.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = available.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<usize>().ok());
    let Some(kib) = kib else { return Finding::good("memory", need) };
    let seen = format!("{} MiB available; {need}", kib >> 10);
    if kib >> 10 > need_mib + 256 {
        Finding::good("memory", seen)
    } else {
        Finding::bad("memory", seen, "lower book.orders_max, or give the machine more memory")
    }
}

fn open_files(settings: &Settings) -> Finding {
    let need = settings.market_data.connections_max as u64 + 256;
    match rlimit::Resource::NOFILE.get() {
        Ok((soft, hard)) => {
            let seen = format!("{soft} now, {hard} at most");
            if hard < need {
                let advice = format!(
                    "market_data.connections_max asks for {need}: raise the limit (ulimit -n, LimitNOFILE=) or lower it"
                );
                return Finding::warn("open files", seen, advice);
            }
            Finding::good("open files", seen)
        }
        Err(error) => Finding::warn("open files", error.to_string(), "check `ulimit -n`"),
    }
}

fn locked_memory() -> Finding {
    match rlimit::Resource::MEMLOCK.get() {
        Ok((soft, _)) if soft == rlimit::INFINITY => Finding::good("locked memory", "unlimited"),
        Ok((soft, _)) => Finding::good("locked memory", format!("{} KiB (not needed by default)", soft >> 10)),
        Err(error) => Finding::warn("locked memory", error.to_string(), "check `ulimit -l`"),
    }
}

fn receive_buffer(settings: &Settings) -> Finding {
    let want = settings.feed.receive_buffer_bytes;
    let got = Socket::new(Domain::IPV4, Type::DGRAM, None)
        .and_then(|socket| socket.set_recv_buffer_size(want).and_then(|()| socket.recv_buffer_size()));
    match got {
        // Linux answers twice what was granted: its own bookkeeping is counted in.
        Ok(got) if got / 2 >= want => Finding::good("socket receive buffer", format!("{want} bytes")),
        Ok(got) => Finding::warn(
            "socket receive buffer",
            format!("{} of {want} bytes", got / 2),
            format!("bursts may be lost: sysctl -w net.core.rmem_max={want}"),
        ),
        Err(error) => Finding::bad("socket receive buffer", error.to_string(), "UDP sockets must be allowed here"),
    }
}

fn port(what: &'static str, address: SocketAddr, key: &'static str) -> Finding {
    match TcpListener::bind(address) {
        Ok(_) => Finding::good(what, address.to_string()),
        Err(error) => {
            Finding::bad(what, format!("{address}: {error}"), format!("stop what uses it, or set {key} (BIST__…)"))
        }
    }
}

fn accounts(settings: &Settings) -> Finding {
    match &settings.users.url {
        Some(url) => Finding::good("accounts", format!("in another process, {url}")),
        None => port("port of accounts", settings.users.listen, "users.listen"),
    }
}

fn multicast() -> Finding {
    let group = Ipv4Addr::new(233, 252, 0, 1);
    let probe = || -> std::io::Result<bool> {
        let receiver = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        receiver.join_multicast_v4(&group, &Ipv4Addr::LOCALHOST)?;
        receiver.set_read_timeout(Some(Duration::from_millis(300)))?;
        let sender = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
        sender.set_multicast_if_v4(&Ipv4Addr::LOCALHOST)?;
        sender.set_multicast_loop_v4(true)?;
        let port = receiver.local_addr()?.port();
        sender.send_to(b"bist", &SocketAddr::from((group, port)).into())?;
        Ok(receiver.recv(&mut [0; 8]).is_ok_and(|length| length == 4))
    };
    let advice =
        "only needed for a multicast line: ip link set lo multicast on; ip route add 233.252.0.0/16 dev <interface>";
    match probe() {
        Ok(true) => Finding::good("multicast", "a packet to 233.252.0.1 came back over loopback"),
        Ok(false) => Finding::warn("multicast", "joined, but no packet came back over loopback", advice),
        Err(error) => Finding::warn("multicast", error.to_string(), advice),
    }
}

fn loopback() -> Finding {
    let probe = || -> std::io::Result<Duration> {
        let receiver = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        receiver.set_read_timeout(Some(Duration::from_millis(500)))?;
        let sender = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let to = receiver.local_addr()?;
        let mut best = Duration::MAX;
        for _ in 0..200 {
            let start = Instant::now();
            sender.send_to(b"bist", to)?;
            receiver.recv(&mut [0; 8])?;
            best = best.min(start.elapsed());
        }
        Ok(best)
    };
    match probe() {
        Ok(best) => Finding::good("UDP over loopback", format!("{} ns at best, send to receive", best.as_nanos())),
        Err(error) => Finding::bad("UDP over loopback", error.to_string(), "the simulated exchange needs it"),
    }
}

fn clock() -> Finding {
    const BATCHES: usize = 50;
    const READS: u32 = 2_000;
    let mut last = now_ns();
    let mut back = 0;
    // The best batch is the clock's own cost; the others were interrupted.
    let mut best = Duration::MAX;
    for _ in 0..BATCHES {
        let start = Instant::now();
        for _ in 0..READS {
            let now = now_ns();
            back += u32::from(now < last);
            last = now;
        }
        best = best.min(start.elapsed());
    }
    let cost_ns = best.as_nanos() / u128::from(READS);
    let source = std::fs::read_to_string("/sys/devices/system/clocksource/clocksource0/current_clocksource");
    let source = source.map_or_else(|_| "unknown source".to_owned(), |text| text.trim().to_owned());
    let seen = format!("{source}, {cost_ns} ns a read");
    if back > 0 {
        return Finding::warn(
            "clock",
            format!("{seen}, went back {back} times"),
            "let the time service slew, not step",
        );
    }
    if cost_ns > 200 {
        return Finding::warn("clock", seen, "reading the clock is a system call here: use clocksource tsc");
    }
    Finding::good("clock", seen)
}
