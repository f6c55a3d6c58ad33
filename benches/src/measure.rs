//! How every bench is run: what was asked, on which core, how often, by which clock.
//!
//! Knows no bench. A check that fails is an error, so that no figure follows it.

use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::generate::Format;

/// A core with less than this share of other work counts as free, in percent.
const FREE_BUSY_MAX_PERCENT: u64 = 20;
/// How long other work is watched before a core is chosen.
const WATCH: Duration = Duration::from_millis(200);

/// Why there is no figure.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The answer was wrong: a figure for it would mean nothing.
    #[error("the answer is wrong, so there is no figure: {0}")]
    Wrong(String),
    /// The input cannot be used for this bench; says what can.
    #[error("{0}")]
    Input(String),
    /// A core that this process may not use.
    #[error("core {wanted} is not one that this process may use ({allowed}); --core none runs unpinned")]
    Core {
        /// Asked for.
        wanted: usize,
        /// The allowed ones.
        allowed: String,
    },
    /// A file or the system.
    #[error("{doing}: {cause}")]
    Io {
        /// What was being done.
        doing: String,
        /// What the system said. Not named `source`: whoever prints a whole chain would print it twice.
        cause: std::io::Error,
    },
}

/// What the program knows of itself.
#[derive(Clone, Copy, Debug)]
pub struct Build {
    /// Version of `bist`.
    pub version: &'static str,
    /// Commit, `-dirty` behind it when files differed.
    pub commit: &'static str,
    /// Compiler.
    pub compiler: &'static str,
    /// `release` or `debug`.
    pub profile: &'static str,
}

impl Default for Build {
    fn default() -> Self {
        let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
        Self { version: env!("CARGO_PKG_VERSION"), commit: "not known", compiler: "rustc", profile }
    }
}

/// What the user asked of a bench.
#[derive(Clone, Debug)]
pub struct BenchOptions {
    /// Measured runs, 1 or more.
    pub runs: usize,
    /// Runs before them that are thrown away.
    pub warm_up: usize,
    /// Where the measured thread runs.
    pub core: Core,
    /// Seconds instead of minutes: a small input, a few runs. Figures of it say nothing about speed.
    pub small: bool,
    /// Format of a generated stream.
    pub format: Format,
    /// Messages of a generated stream.
    pub messages: usize,
    /// Symbols of a generated stream.
    pub symbols: usize,
    /// Resting orders that a generated stream grows to.
    pub live_orders: usize,
    /// Seed of a generated stream.
    pub seed: u64,
    /// `book` only: levels with totals and counts, without queues of orders.
    pub levels_only: bool,
    /// A recording instead of a generated stream.
    pub file: Option<PathBuf>,
    /// The command line, for the report.
    pub command: String,
    /// The program.
    pub build: Build,
    /// Told what is being done, for people who wait.
    pub tell: fn(&str),
}

impl Default for BenchOptions {
    fn default() -> Self {
        Self {
            runs: 5,
            warm_up: 1,
            core: Core::Free,
            small: false,
            format: Format::Itch50,
            messages: 4_000_000,
            symbols: 500,
            live_orders: 400_000,
            seed: 1,
            levels_only: false,
            file: None,
            command: String::new(),
            build: Build::default(),
            tell: |_| {},
        }
    }
}

impl BenchOptions {
    /// A size that runs in a second without optimisation.
    #[must_use]
    pub fn small() -> Self {
        let core = Core::Unpinned;
        Self {
            small: true,
            runs: 3,
            warm_up: 1,
            core,
            messages: 20_000,
            symbols: 40,
            live_orders: 3_000,
            ..Self::default()
        }
    }

    /// Takes one sample per run from `run`, after the warm-up. `name` is told to whoever waits.
    ///
    /// # Errors
    /// The first one of `run`.
    pub fn samples(
        &self,
        name: &str,
        mut run: impl FnMut() -> Result<f64, BenchError>,
    ) -> Result<Vec<f64>, BenchError> {
        for n in 0..self.warm_up {
            (self.tell)(&format!("{name}: warm-up {} of {}", n + 1, self.warm_up));
            run()?;
        }
        (0..self.runs.max(1))
            .map(|n| {
                (self.tell)(&format!("{name}: run {} of {}", n + 1, self.runs.max(1)));
                run()
            })
            .collect()
    }
}

/// Where to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Core {
    /// The least busy core, if one is free.
    Free,
    /// This one.
    Number(usize),
    /// Wherever the scheduler likes.
    Unpinned,
}

/// The cores of this process and the one that was chosen.
#[derive(Clone, Debug)]
pub struct Pin {
    /// Cores that this process may use, by number.
    pub allowed: Vec<usize>,
    /// The core of the measured thread.
    pub core: Option<usize>,
    /// A core for a second thread, if there is another one.
    pub partner: Option<usize>,
    says: String,
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.says)
    }
}

impl Pin {
    /// Chooses; does not pin yet.
    ///
    /// # Errors
    /// A core by number that this process may not use.
    pub fn choose(core: Core) -> Result<Self, BenchError> {
        let ids = core_affinity::get_core_ids().unwrap_or_default();
        let allowed: Vec<usize> = ids.iter().map(|id| id.id).collect();
        let (core, says) = match core {
            Core::Unpinned => (None, "not pinned (--core none)".to_owned()),
            Core::Number(wanted) if allowed.contains(&wanted) => (Some(wanted), format!("core {wanted} (--core)")),
            Core::Number(wanted) => {
                let allowed: Vec<String> = allowed.iter().map(ToString::to_string).collect();
                return Err(BenchError::Core { wanted, allowed: allowed.join(", ") });
            }
            Core::Free => free(&allowed),
        };
        let partner = core.and_then(|core| allowed.iter().rev().copied().find(|&other| other != core));
        Ok(Self { allowed, core, partner, says })
    }

    /// Pins this thread to the chosen core.
    pub fn measured_thread(&self) {
        pin(self.core);
    }

    /// Pins this thread to the other core.
    pub fn partner_thread(&self) {
        pin(self.partner);
    }
}

fn pin(core: Option<usize>) {
    if let Some(id) = core {
        // OK because a core that went away since only costs steadiness, and the spread shows it.
        core_affinity::set_for_current(core_affinity::CoreId { id });
    }
}

/// The least busy core, if little else runs on it.
fn free(allowed: &[usize]) -> (Option<usize>, String) {
    if let [only] = allowed {
        return (Some(*only), format!("core {only}, the only one allowed"));
    }
    let before = busy_and_all();
    std::thread::sleep(WATCH);
    let after = busy_and_all();
    let share = |core: usize| {
        let (busy, all) = (before.get(core)?, after.get(core)?);
        Some((all.0 - busy.0) * 100 / (all.1 - busy.1).max(1))
    };
    let idlest = allowed.iter().filter_map(|&core| Some((share(core)?, std::cmp::Reverse(core)))).min();
    match idlest {
        Some((percent, std::cmp::Reverse(core))) if percent <= FREE_BUSY_MAX_PERCENT => {
            (Some(core), format!("core {core} ({percent} % busy before)"))
        }
        Some((percent, _)) => (None, format!("not pinned: no core was free (the idlest was {percent} % busy)")),
        None => (None, "not pinned: how busy cores are is not known".to_owned()),
    }
}

/// Busy and all ticks of every core since the machine started.
fn busy_and_all() -> Vec<(u64, u64)> {
    let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let cores = stat.lines().filter(|line| line.starts_with("cpu") && !line.starts_with("cpu "));
    cores
        .map(|line| {
            let ticks: Vec<u64> = line.split(' ').skip(1).filter_map(|tick| tick.parse().ok()).collect();
            let (all, idle): (u64, u64) = (ticks.iter().sum(), ticks.iter().skip(3).take(2).sum());
            (all - idle, all)
        })
        .collect()
}

/// Runs `work` and says how long it took.
pub fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let found = work();
    (found, start.elapsed())
}

/// Nanoseconds for each of `count` things.
#[must_use]
pub fn ns_each(spent: Duration, count: usize) -> f64 {
    spent.as_nanos() as f64 / count.max(1) as f64
}

/// Millions per second.
#[must_use]
pub fn millions_per_s(spent: Duration, count: usize) -> f64 {
    count as f64 / spent.as_secs_f64().max(1e-9) / 1e6
}

/// Resident memory of this process in bytes; `None` where `/proc` is not there.
///
/// Memory that was freed and is kept by the allocator is given back first: what is built next would grow into it unseen.
#[must_use]
pub fn resident_bytes() -> Option<u64> {
    give_back();
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    Some(pages * page_bytes())
}

#[cfg(target_env = "gnu")]
fn give_back() {
    // SAFETY: `malloc_trim` takes no pointer and may be called by any thread at any time.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Other allocators have no such call, or give back by themselves.
#[cfg(not(target_env = "gnu"))]
fn give_back() {}

/// Bytes of a page, from what the kernel says of the program's first mapping; 4 KiB where it does not.
fn page_bytes() -> u64 {
    let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap_or_default();
    let line = smaps.lines().find(|line| line.starts_with("KernelPageSize:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kib.unwrap_or(4) * 1_024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warm_up_runs_are_thrown_away() {
        let options = BenchOptions { runs: 3, warm_up: 2, ..BenchOptions::small() };
        let mut n = 0.0;
        let samples = options.samples("test", || {
            n += 1.0;
            Ok(n)
        });
        assert_eq!(samples.unwrap(), [3.0, 4.0, 5.0]);
    }

    #[test]
    fn a_core_that_is_not_there_is_refused_with_those_that_are() {
        let error = Pin::choose(Core::Number(99_999)).unwrap_err().to_string();
        assert!(error.contains("99999") && error.contains("--core none"), "{error}");
        assert_eq!(Pin::choose(Core::Unpinned).unwrap().core, None);
        let free = Pin::choose(Core::Free).unwrap();
        assert!(free.core.is_none_or(|core| free.allowed.contains(&core)));
    }

    /// Other tests give memory back meanwhile: only what this one holds is certain.
    #[test]
    fn resident_memory_has_what_is_touched() {
        let touched = std::hint::black_box(vec![1u8; 64 << 20]);
        assert!(resident_bytes().is_none_or(|resident| resident >= touched.len() as u64));
    }
}
