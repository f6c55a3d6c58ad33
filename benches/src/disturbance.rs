//! What took cores away from a run: the host of a virtual machine, and other threads of this one.
//!
//! Reads the kernel's counters before and after a run. Leaves no run out: a marked one stays in every figure, and the
//! figure without it stands beside.

use std::fmt;
use std::fs;

/// One tick of `/proc/stat`, ns: the kernel shows time in hundredths of a second, whatever its own clock.
const TICK_NS: u64 = 10_000_000;
/// Waiting for other threads from which on a run is marked. Less than that is every wake of a thread, and moves no
/// percentile below 99.9 of half a second.
const OTHERS_MIN_NS: u64 = 500_000;
/// Column of `steal` behind the name of a core in `/proc/stat`.
const STEAL: usize = 7;

/// Time that a run did not have its cores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Disturbance {
    /// Taken by the host from the cores of the run, ns, in steps of 10 ms: less than that goes unseen.
    pub host_ns: u64,
    /// How long threads of this process were ready and another thread had their core, ns, all threads together.
    pub others_ns: u64,
}

impl Disturbance {
    /// Whether a figure of the run says something about the machine instead of the program.
    #[must_use]
    pub const fn is_marked(self) -> bool {
        self.host_ns > 0 || self.others_ns >= OTHERS_MIN_NS
    }
}

impl fmt::Display for Disturbance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (host, others) = (self.host_ns as f64 / 1e6, self.others_ns as f64 / 1e6);
        write!(f, "the host took {host:.0} ms, other threads {others:.1} ms")
    }
}

/// Counters at the beginning of a run.
#[derive(Clone, Debug)]
pub struct Watch {
    cores: Vec<usize>,
    stolen_ns: u64,
    waited: Vec<(String, u64)>,
}

impl Watch {
    /// Begins; `cores` are those of the run, none for all of the machine. Threads that start later are not seen.
    #[must_use]
    pub fn begin(cores: &[usize]) -> Self {
        Self { cores: cores.to_vec(), stolen_ns: stolen_ns(&stat(), cores), waited: waited() }
    }

    /// What happened since.
    #[must_use]
    pub fn end(&self) -> Disturbance {
        let now = waited();
        let before = |thread: &str| self.waited.iter().find(|(name, _)| name == thread).map(|(_, ns)| *ns);
        let others = now.iter().filter_map(|(thread, ns)| Some(ns.saturating_sub(before(thread)?))).sum();
        let host_ns = stolen_ns(&stat(), &self.cores).saturating_sub(self.stolen_ns);
        Disturbance { host_ns, others_ns: others }
    }
}

fn stat() -> String {
    fs::read_to_string("/proc/stat").unwrap_or_default()
}

/// Steal time of some cores, or of all, since the machine started; 0 where it is not told.
fn stolen_ns(stat: &str, cores: &[usize]) -> u64 {
    let of = |line: &str| -> Option<u64> {
        let mut columns = line.split_ascii_whitespace();
        let core: usize = columns.next()?.strip_prefix("cpu")?.parse().ok()?;
        let ticks: u64 = columns.nth(STEAL)?.parse().ok()?;
        (cores.is_empty() || cores.contains(&core)).then_some(ticks * TICK_NS)
    };
    stat.lines().filter_map(of).sum()
}

/// Every thread of this process and how long it has waited for a core, ns; none where the kernel does not tell.
fn waited() -> Vec<(String, u64)> {
    let Ok(threads) = fs::read_dir("/proc/self/task") else { return Vec::new() };
    let of = |path: std::path::PathBuf| {
        let line = fs::read_to_string(path.join("schedstat")).ok()?;
        let waited_ns = line.split_ascii_whitespace().nth(1)?.parse().ok()?;
        Some((path.file_name()?.to_str()?.to_owned(), waited_ns))
    };
    threads.filter_map(|entry| of(entry.ok()?.path())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "cpu  9 9 9 9 9 9 9 50 0 0\ncpu0 1 2 3 4 5 6 7 20 9 9\ncpu1 1 2 3 4 5 6 7 30 9 9\nintr 5\n";

    #[test]
    fn steal_is_that_of_the_cores_of_the_run() {
        assert_eq!(stolen_ns(STAT, &[1]), 300_000_000);
        assert_eq!(stolen_ns(STAT, &[]), 500_000_000, "all of them, and the line of their sum not again");
        assert_eq!(stolen_ns("", &[0]), 0);
    }

    #[test]
    fn a_run_is_marked_by_the_host_or_by_other_threads() {
        let of = |host_ns, others_ns| Disturbance { host_ns, others_ns };
        assert!(!of(0, OTHERS_MIN_NS - 1).is_marked());
        assert!(of(TICK_NS, 0).is_marked() && of(0, OTHERS_MIN_NS).is_marked());
        assert_eq!(of(40_000_000, 260_000).to_string(), "the host took 40 ms, other threads 0.3 ms");
    }

    /// Many threads on few cores wait for each other: the kernel's own count must show it.
    #[test]
    fn threads_that_share_a_core_are_seen_to_wait() {
        let cores = core_affinity::get_core_ids().map_or(1, |cores| cores.len());
        let watch = std::sync::Barrier::new(4 * cores + 1);
        let seen = std::thread::scope(|scope| {
            for _ in 0..4 * cores {
                scope.spawn(|| {
                    watch.wait();
                    let begin = std::time::Instant::now();
                    while begin.elapsed().as_millis() < 60 {
                        std::hint::spin_loop();
                    }
                    watch.wait();
                });
            }
            let begun = Watch::begin(&[]);
            watch.wait();
            std::thread::sleep(std::time::Duration::from_millis(50));
            let seen = begun.end();
            watch.wait();
            seen
        });
        let told = fs::metadata("/proc/thread-self/schedstat").is_ok();
        assert!(!told || seen.others_ns >= OTHERS_MIN_NS, "{seen:?}");
    }
}
