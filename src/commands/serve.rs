//! `bist serve` and `bist replay`: start the platform, say where it is, wait for its end.

use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::platform::progress::Progress;
use crate::platform::roles::{Role, Running};
use crate::platform::threads::Event;
use crate::settings::{LogFormat, Settings};

/// Exit code of a start that the command line, the configuration or this machine does not allow.
const USAGE: u8 = 2;
/// Exit code of a replay of which nothing could be read: `bist inspect` has the same for a file with findings.
const FINDINGS: u8 = 3;

/// `quiet` leaves the banner out; where lines are JSON it is one of them.
///
/// Runs until a signal, until a thread fails, until the recording ends (with `exit_at_end`), or until it turns out that
/// nothing of the recording can be read.
pub fn run(settings: &Settings, role: Role, exit_at_end: bool, quiet: bool) -> Result<ExitCode> {
    let (sender, events) = mpsc::channel();
    let mut signals = Signals::new([SIGINT, SIGTERM]).context("listening for SIGINT and SIGTERM")?;
    let for_signals = sender.clone();
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        for signal in signals.forever() {
            if for_signals.send(Event::Signal(signal)).is_err() {
                return;
            }
        }
    })?;

    let platform = match Running::start(role, settings, &sender) {
        Ok(platform) => platform,
        // What a start needs and does not get is what the operator asked for: a port, a file, a core.
        Err(error) => {
            eprintln!("bist: {error:#}");
            return Ok(ExitCode::from(USAGE));
        }
    };
    match settings.log.format {
        LogFormat::Json => platform.log_start(),
        LogFormat::Text if quiet => {}
        LogFormat::Text => eprintln!("{}", platform.banner()),
    }
    let bar = platform.progress().map(|progress| (bar(&progress), progress));
    let ended = wait(&events, &platform, bar.as_ref(), exit_at_end);
    if let Some((bar, _)) = &bar {
        bar.finish_and_clear();
    }
    let clean = platform.stop();
    match ended {
        End::Asked if clean => Ok(ExitCode::SUCCESS),
        End::Asked => Ok(ExitCode::FAILURE),
        End::Failed => Ok(ExitCode::FAILURE),
        End::NothingRead(words) => {
            let file = settings.replay.file.as_deref().unwrap_or(Path::new("")).display();
            eprintln!("bist: {file}: nothing could be read: {words}; `bist inspect` lists what is in it");
            Ok(ExitCode::from(FINDINGS))
        }
    }
}

enum End {
    Asked,
    Failed,
    NothingRead(String),
}

fn wait(
    events: &mpsc::Receiver<Event>,
    platform: &Running,
    bar: Option<&(ProgressBar, Progress)>,
    exit_at_end: bool,
) -> End {
    let mut day_log = platform.day_log();
    loop {
        day_log.look(Instant::now());
        let event = match events.recv_timeout(Duration::from_millis(200)) {
            Ok(event) => event,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                platform.look_after();
                if let Some((bar, progress)) = bar {
                    bar.set_position(progress.position());
                }
                continue;
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => return End::Failed,
        };
        match event {
            Event::Signal(signal) => {
                tracing::info!(signal, "stopping");
                return End::Asked;
            }
            Event::Ended { thread, failure: Some(failure) } => {
                tracing::error!(thread, failure, "a thread failed; stopping everything");
                return End::Failed;
            }
            Event::Ended { thread: "feed", failure: None } => {
                if let Some((bar, _)) = bar {
                    bar.finish_and_clear();
                }
                if let Some(words) = bar.and_then(|(_, progress)| progress.nothing_read()) {
                    return End::NothingRead(words.to_owned());
                }
                if exit_at_end {
                    platform.settle(Duration::from_secs(10));
                    return End::Asked;
                }
                tracing::info!("the feed ended; its last state is still served (Ctrl-C stops)");
            }
            Event::Ended { thread, failure: None } => {
                tracing::error!(thread, "a thread ended that should not; stopping everything");
                return End::Failed;
            }
        }
    }
}

/// Hidden by indicatif itself where standard error is no terminal.
fn bar(progress: &Progress) -> ProgressBar {
    let bar = ProgressBar::new(progress.total());
    if let Ok(style) = ProgressStyle::with_template("{bar:32} {percent:>3}% of {total_bytes}, {elapsed}, {eta} left") {
        bar.set_style(style);
    }
    bar
}
