//! Threads of the fast path: names, cores, how they wait, how they end. Knows nothing of what they do.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use book::Now;
use book::ring::Notifier;

use crate::settings::{self, Layout, Pin, Wait};

/// Our clock: Unix nanoseconds. The vDSO answers it without a system call.
pub fn now_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}

/// Nanoseconds of a clock that never goes back, from the first call on.
fn monotonic_ns() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_nanos() as u64
}

/// Both clocks, each read once: the time of one turn.
pub fn clocks() -> Now {
    Now { monotonic_ns: monotonic_ns(), wall_ns: now_ns() }
}

/// How an idle thread waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idle {
    /// Look again at once.
    Spin,
    /// Let others run, then look again.
    Yield,
    /// Sleep until woken.
    Park,
}

/// How the idle threads of a process wait, decided once at start. A measurement lets them rest before each run: the kernel
/// takes the core of a real-time thread that never sleeps.
#[derive(Clone, Debug)]
pub struct IdlePolicy {
    idle: Idle,
    resting: Arc<AtomicBool>,
}

/// How often a resting thread looks whether it may go on.
const REST_STEP: Duration = Duration::from_millis(1);

impl IdlePolicy {
    /// Waits as `idle` says.
    pub fn new(idle: Idle) -> Self {
        Self { idle, resting: Arc::default() }
    }

    /// Lets every idle thread and the calling one sleep for so long.
    pub fn rest(&self, duration: Duration) {
        self.resting.store(true, Ordering::Release);
        thread::sleep(duration);
        self.resting.store(false, Ordering::Release);
    }

    /// Waits once; `park` sleeps until there may be work.
    #[inline]
    pub fn wait(&self, park: impl FnOnce()) {
        match self.idle {
            Idle::Park => park(),
            _ if self.resting.load(Ordering::Acquire) => thread::sleep(REST_STEP),
            Idle::Spin => std::hint::spin_loop(),
            Idle::Yield => thread::yield_now(),
        }
    }
}

/// Cores that this process may use, as they were before any of its threads was pinned: the system answers for the calling
/// thread alone, and a bench pins that one before it starts the server. `main` asks first.
pub fn allowed_cores() -> &'static [core_affinity::CoreId] {
    static ALLOWED: OnceLock<Vec<core_affinity::CoreId>> = OnceLock::new();
    ALLOWED.get_or_init(|| core_affinity::get_core_ids().unwrap_or_default())
}

/// Where and how the hot threads run.
#[derive(Clone, Debug)]
pub struct ThreadPlan {
    /// How they wait.
    pub idle: Idle,
    /// Which thread does what.
    pub layout: Layout,
    cores: Vec<core_affinity::CoreId>,
}

impl ThreadPlan {
    /// What the settings mean on this machine.
    ///
    /// # Errors
    /// A configured core that this process may not use.
    pub fn new(settings: &settings::Threads) -> Result<Self> {
        let available = allowed_cores();
        let pinned = match settings.pin {
            Pin::Always => true,
            Pin::Never => false,
            Pin::Auto => available.len() >= 4,
        };
        let cores = if !pinned {
            Vec::new()
        } else if settings.cores.is_empty() {
            // The last cores: interrupts and other work gather on the first ones.
            available.iter().rev().copied().collect()
        } else {
            let find = |&core: &usize| {
                available.iter().find(|id| id.id == core).copied().with_context(|| {
                    format!(
                        "threads.cores names core {core}, which this process may not use (`bist doctor` lists them)"
                    )
                })
            };
            settings.cores.iter().map(find).collect::<Result<_>>()?
        };
        let idle = match settings.wait {
            Wait::Spin => Idle::Spin,
            Wait::Yield => Idle::Yield,
            Wait::Park => Idle::Park,
            Wait::Auto if pinned && available.len() >= 4 => Idle::Spin,
            Wait::Auto => Idle::Park,
        };
        Ok(Self { idle, layout: settings.layout, cores })
    }

    /// The core of the n-th hot thread; more threads than cores share.
    pub fn core(&self, thread: usize) -> Option<core_affinity::CoreId> {
        (!self.cores.is_empty()).then(|| self.cores[thread % self.cores.len()])
    }

    /// What wakes a hot thread: a notifier that costs nothing where that thread never parks.
    pub fn notifier(&self) -> Arc<Notifier> {
        if self.idle == Idle::Park { Notifier::new() } else { Notifier::silent() }
    }

    /// One line for the log.
    pub fn describe(&self) -> String {
        let idle = match self.idle {
            Idle::Spin => "spin",
            Idle::Yield => "yield",
            Idle::Park => "park",
        };
        let (layout, threads) = match self.layout {
            Layout::Split => ("split", 3),
            Layout::Single => ("single", 1),
        };
        if self.cores.is_empty() {
            return format!("{layout}, not pinned, {idle} when idle");
        }
        let cores: Vec<String> = self.cores.iter().take(threads).map(|core| core.id.to_string()).collect();
        format!("{layout}, pinned to cores {}, {idle} when idle", cores.join(", "))
    }
}

/// Why the main thread woke up.
#[derive(Debug)]
pub enum Event {
    /// SIGINT or SIGTERM.
    Signal(i32),
    /// A thread ended by itself.
    Ended {
        /// Its name.
        thread: &'static str,
        /// What went wrong, if anything.
        failure: Option<String>,
    },
}

/// The running threads of this process, by name.
pub struct Threads {
    plan: ThreadPlan,
    events: Sender<Event>,
    running: Vec<(&'static str, JoinHandle<()>)>,
}

impl Threads {
    /// None yet; each will report its end to `events`.
    pub fn new(plan: ThreadPlan, events: Sender<Event>) -> Self {
        Self { plan, events, running: Vec::new() }
    }

    /// Where and how they run.
    pub fn plan(&self) -> &ThreadPlan {
        &self.plan
    }

    /// Where they report their end.
    pub fn events(&self) -> &Sender<Event> {
        &self.events
    }

    /// Starts one; `hot` is its place among the hot threads, which have cores of their own.
    ///
    /// # Errors
    /// The system has no room for another thread.
    pub fn start(
        &mut self,
        name: &'static str,
        hot: Option<usize>,
        body: impl FnOnce() -> Result<()> + Send + 'static,
    ) -> Result<()> {
        let core = hot.and_then(|thread| self.plan.core(thread));
        self.running.push((name, spawn(name, core, self.events.clone(), body)?));
        Ok(())
    }

    /// Waits until `deadline` for the end of the threads of a name, which were asked before. True when none is left and
    /// none had panicked.
    pub fn join(&mut self, name: &'static str, deadline: Instant) -> bool {
        let mut clean = true;
        for (_, thread) in self.running.extract_if(.., |(running, _)| *running == name) {
            thread.thread().unpark();
            while !thread.is_finished() && Instant::now() < deadline {
                thread::sleep(Duration::from_millis(1));
            }
            if thread.is_finished() {
                clean &= thread.join().is_ok();
            } else {
                tracing::error!(thread = name, "did not end in time");
                clean = false;
            }
        }
        clean
    }
}

/// Starts a thread that reports its end, panics included, to `events`.
///
/// # Errors
/// The system has no room for another thread.
fn spawn(
    name: &'static str,
    core: Option<core_affinity::CoreId>,
    events: Sender<Event>,
    body: impl FnOnce() -> Result<()> + Send + 'static,
) -> Result<JoinHandle<()>> {
    let run = move || {
        if let Some(core) = core.filter(|&core| !core_affinity::set_for_current(core)) {
            tracing::warn!(thread = name, core = core.id, "could not pin this thread; it runs unpinned");
        }
        let failure = match std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)) {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(format!("{error:#}")),
            Err(panic) => Some(format!("panicked: {}", message(&*panic))),
        };
        // OK because without a listener the program is ending anyway.
        let _ = events.send(Event::Ended { thread: name, failure });
    };
    thread::Builder::new().name(name.to_owned()).spawn(run).with_context(|| format!("starting the {name} thread"))
}

fn message(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn a_panic_is_reported_by_name() {
        let (sender, receiver) = mpsc::channel();
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        let thread = spawn("test", None, sender, || panic!("on purpose")).unwrap();
        thread.join().unwrap();
        std::panic::set_hook(hook);
        let Event::Ended { thread, failure } = receiver.recv().unwrap() else { panic!("not an end") };
        assert_eq!((thread, failure.as_deref()), ("test", Some("panicked: on purpose")));
    }

    #[test]
    fn pinning_can_be_forbidden_and_an_unknown_core_is_refused() {
        let plan = ThreadPlan::new(&settings::Threads { pin: Pin::Never, ..settings::Threads::default() }).unwrap();
        assert_eq!((plan.core(0), plan.idle), (None, Idle::Park));
        let error = ThreadPlan::new(&settings::Threads {
            pin: Pin::Always,
            cores: vec![99_999],
            ..settings::Threads::default()
        });
        assert!(error.err().unwrap().to_string().contains("99999"));
    }
}
