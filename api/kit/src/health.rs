//! Is the process alive, has it started, should it be asked? Each answer with its reasons.
//!
//! A check looks at counters and flags only; it never waits, and never asks another process. Readiness speaks of
//! data, liveness of the process: a silent exchange is no reason to restart.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Map, Value, json};

/// What a check found, with one sentence of evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Up(String),
    /// It works, but not as it should: readiness stays, the reason is told.
    Degraded(String),
    /// It does not work: not ready (or not alive, for a liveness check).
    Down(String),
}

impl Verdict {
    /// The sentence.
    #[must_use]
    pub fn reason(&self) -> &str {
        let (Self::Up(reason) | Self::Degraded(reason) | Self::Down(reason)) = self;
        reason
    }

    fn status(&self) -> &'static str {
        match self {
            Self::Up(_) => "UP",
            Self::Degraded(_) => "DEGRADED",
            Self::Down(_) => "DOWN",
        }
    }
}

type Check = Box<dyn Fn() -> Verdict + Send + Sync>;

/// The checks of this process. The composition root builds it, adds its own, and hands it in.
pub struct Health {
    readiness: Vec<(&'static str, Check)>,
    liveness: Vec<(&'static str, Check)>,
    started: AtomicBool,
    stopping: AtomicBool,
}

impl Health {
    /// No checks: always alive and ready.
    #[must_use]
    pub fn new() -> Self {
        Self {
            readiness: Vec::new(),
            liveness: Vec::new(),
            started: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
        }
    }

    /// Adds a check that decides whether this process should be asked.
    pub fn add_readiness(&mut self, name: &'static str, check: impl Fn() -> Verdict + Send + Sync + 'static) {
        self.readiness.push((name, Box::new(check)));
    }

    /// Adds a check that decides whether this process must be started anew.
    pub fn add_liveness(&mut self, name: &'static str, check: impl Fn() -> Verdict + Send + Sync + 'static) {
        self.liveness.push((name, Box::new(check)));
    }

    /// From now on not ready, so that a load balancer sends nothing new; still alive.
    pub fn begin_shutdown(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// Whether the process should be asked.
    #[must_use]
    pub fn readiness(&self) -> Report {
        let mut report = Report::run(&self.readiness);
        if self.stopping.load(Ordering::Acquire) {
            report.findings.push(("shutdown", Verdict::Down("shutting down".to_owned())));
        } else if report.is_up() {
            self.started.store(true, Ordering::Release);
        }
        report
    }

    /// Whether the process works at all.
    #[must_use]
    pub fn liveness(&self) -> Report {
        Report::run(&self.liveness)
    }

    /// Whether it has been ready once.
    #[must_use]
    pub fn startup(&self) -> Report {
        if self.started.load(Ordering::Acquire) || self.readiness().is_up() {
            return Report { findings: vec![("startup", Verdict::Up("has been ready".to_owned()))] };
        }
        let mut report = Report::run(&self.readiness);
        report.findings.push(("startup", Verdict::Down("has not been ready yet".to_owned())));
        report
    }

    /// Everything together.
    #[must_use]
    pub fn all(&self) -> Report {
        let mut report = self.readiness();
        report.findings.extend(self.liveness().findings);
        report
    }
}

impl Default for Health {
    fn default() -> Self {
        Self::new()
    }
}

/// What the checks found at one moment.
#[derive(Clone, Debug)]
pub struct Report {
    /// Name and verdict, in the order the checks were added.
    pub findings: Vec<(&'static str, Verdict)>,
}

impl Report {
    fn run(checks: &[(&'static str, Check)]) -> Self {
        Self { findings: checks.iter().map(|(name, check)| (*name, check())).collect() }
    }

    /// Nothing is down.
    #[must_use]
    pub fn is_up(&self) -> bool {
        !self.findings.iter().any(|(_, verdict)| matches!(verdict, Verdict::Down(_)))
    }

    /// HTTP status: 200 or 503.
    #[must_use]
    pub fn status(&self) -> u16 {
        if self.is_up() { 200 } else { 503 }
    }

    /// Sentences of what is down or degraded.
    pub fn reasons(&self) -> impl Iterator<Item = String> {
        self.findings
            .iter()
            .filter(|(_, verdict)| !matches!(verdict, Verdict::Up(_)))
            .map(|(name, verdict)| format!("{name}: {}", verdict.reason()))
    }

    /// Plain text in the manner of Kubernetes: `ok`, or every check on a line of its own.
    #[must_use]
    pub fn text(&self, page: &str, verbose: bool) -> String {
        if self.is_up() && !verbose {
            let reasons: Vec<String> = self.reasons().collect();
            return if reasons.is_empty() {
                "ok\n".to_owned()
            } else {
                format!("ok, degraded: {}\n", reasons.join("; "))
            };
        }
        let mut text = String::new();
        for (name, verdict) in &self.findings {
            let (mark, word) = match verdict {
                Verdict::Up(_) => ('+', "ok"),
                Verdict::Degraded(_) => ('~', "degraded"),
                Verdict::Down(_) => ('-', "failed"),
            };
            text.push_str(&format!("[{mark}]{name} {word}: {}\n", verdict.reason()));
        }
        text.push_str(&format!("{page} check {}\n", if self.is_up() { "passed" } else { "failed" }));
        text
    }

    /// The shape of Spring Boot's health endpoint, with `reasons` of ours. A degraded process is `UP`, as dashboards
    /// know only that word; its components and `reasons` say more.
    #[must_use]
    pub fn actuator(&self) -> Value {
        let components: Map<String, Value> = self
            .findings
            .iter()
            .map(|(name, verdict)| {
                let body = json!({ "status": verdict.status(), "details": { "reason": verdict.reason() } });
                ((*name).to_owned(), body)
            })
            .collect();
        let reasons: Vec<String> = self.reasons().collect();
        json!({
            "status": if self.is_up() { "UP" } else { "DOWN" },
            "degraded": self.is_up() && !reasons.is_empty(),
            "reasons": reasons,
            "components": components,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn degraded_is_ready_and_says_so() {
        let mut health = Health::new();
        health.add_readiness("books", || Verdict::Degraded("3 of 4".to_owned()));
        let report = health.readiness();
        assert_eq!(report.status(), 200);
        assert_eq!(report.text("readyz", false), "ok, degraded: books: 3 of 4\n");
        assert_eq!(report.text("readyz", true), "[~]books degraded: 3 of 4\nreadyz check passed\n");
        assert_eq!(report.actuator()["degraded"], true);
        assert_eq!(report.actuator()["status"], "UP");
    }

    #[test]
    fn started_stays_started_and_stopping_is_not_ready() {
        let up = Arc::new(AtomicBool::new(false));
        let mut health = Health::new();
        let seen = Arc::clone(&up);
        health.add_readiness("feed", move || {
            if seen.load(Ordering::Relaxed) { Verdict::Up(String::new()) } else { Verdict::Down("silent".to_owned()) }
        });
        assert_eq!(health.startup().status(), 503);
        up.store(true, Ordering::Relaxed);
        assert_eq!(health.startup().status(), 200);
        up.store(false, Ordering::Relaxed);
        assert_eq!((health.startup().status(), health.readiness().status()), (200, 503));
        up.store(true, Ordering::Relaxed);
        health.begin_shutdown();
        assert_eq!((health.readiness().status(), health.liveness().status()), (503, 200));
    }
}
