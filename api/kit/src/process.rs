//! The process as the kernel sees it, from `/proc/self`. Where there is no `/proc`, nothing is told.

use std::fs;

/// A moment's look at this process.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Process {
    /// User and system time, seconds.
    pub(crate) cpu_seconds: f64,
    /// When it began, Unix seconds; `None` where the kernel does not tell.
    pub(crate) start_seconds: Option<f64>,
    /// Resident memory, bytes.
    pub(crate) resident_bytes: u64,
    /// Open file descriptors.
    pub(crate) open_fds: u64,
    /// The soft limit on them; `None` = unlimited or not known.
    pub(crate) max_fds: Option<u64>,
    /// Threads.
    pub(crate) threads: u64,
}

/// `/proc` counts processor time in hundredths of a second on every Linux (`USER_HZ`), whatever the kernel's own tick.
const TICKS_PER_SECOND: f64 = 100.0;

impl Process {
    /// This process now; `None` where `/proc` is missing or not as expected.
    pub(crate) fn read() -> Option<Self> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        let status = fs::read_to_string("/proc/self/status").ok()?;
        let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
        Some(Self {
            cpu_seconds: cpu_ticks(&stat)? as f64 / TICKS_PER_SECOND,
            start_seconds: fs::read_to_string("/proc/stat").ok().and_then(|system| start_seconds(&stat, &system)),
            resident_bytes: field(&status, "VmRSS:")? * 1024,
            // One descriptor is the one that lists them.
            open_fds: (fs::read_dir("/proc/self/fd").ok()?.count() as u64).saturating_sub(1),
            max_fds: field(&limits, "Max open files"),
            threads: field(&status, "Threads:")?,
        })
    }
}

/// `utime` and `stime`: fields 14 and 15, counted behind the name, which may hold spaces and brackets.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// `starttime` (field 22, ticks since the machine's start) and the machine's start in `/proc/stat`.
fn start_seconds(stat: &str, system: &str) -> Option<f64> {
    let ticks: u64 = stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(19)?.parse().ok()?;
    Some(field(system, "btime ")? as f64 + ticks as f64 / TICKS_PER_SECOND)
}

/// The first number of the line that starts with `name`.
fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name))?.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strange_process_name_changes_nothing() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 3 0 100 1000 200 18446744073709551615";
        assert_eq!(cpu_ticks(stat), Some(300));
        assert_eq!(start_seconds(stat, "cpu 1 2\nbtime 1700000000\n"), Some(1_700_000_001.0));
        assert_eq!(field("VmRSS:\t  1234 kB\n", "VmRSS:"), Some(1234));
        assert_eq!(field("Max open files            unlimited  unlimited  files\n", "Max open files"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_is_alive() {
        let process = Process::read().unwrap();
        let now_s = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
        assert!(process.start_seconds.is_some_and(|start| start > now_s - 86_400.0 && start < now_s + 5.0));
        assert!(process.resident_bytes > 100_000 && process.open_fds > 2 && process.threads > 0);
    }
}
