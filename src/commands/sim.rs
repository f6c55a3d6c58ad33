//! `bist sim`: the simulated exchange alone, over UDP or into a file.

use std::ops::ControlFlow;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result, bail};
use feed_handler::sim;
use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::SimArgs;
use crate::commands::{generate, stdout};
use crate::platform::source::sim_config;
use crate::platform::threads::now_ns;
use crate::settings::Settings;

/// Sends until a signal, or writes one day or one generated stream.
pub fn run(arguments: &SimArgs, settings: &Settings) -> Result<ExitCode> {
    let config =
        sim::SimConfig { destination: arguments.destination, bind: arguments.requests, ..sim_config(&settings.sim) };
    match &arguments.write {
        Some(file) => {
            if file.exists() && !arguments.force {
                bail!("{} exists; --force overwrites it", file.display());
            }
            if arguments.generate.generate { generate::run(file, arguments) } else { write(file, &config) }
        }
        // A receiver must see a restart on the same day as a new session.
        None => send(sim::SimConfig { run: (now_ns() / 1_000_000_000 % 46_656) as u32, ..config }),
    }
}

fn send(config: sim::SimConfig) -> Result<ExitCode> {
    let destination = config.destination;
    let server = sim::Server::bind(&config, now_ns()).context("binding the exchange's socket (--requests)")?;
    eprintln!("sending MoldUDP64 to {destination}; requests are answered on {}; Ctrl-C stops", server.local_addr()?);
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop)).context("listening for SIGINT and SIGTERM")?;
    }
    server.run(&stop);
    Ok(ExitCode::SUCCESS)
}

fn write(file: &std::path::Path, config: &sim::SimConfig) -> Result<ExitCode> {
    let bar = ProgressBar::new(1_000);
    if let Ok(style) = ProgressStyle::with_template("{bar:32} {percent:>3}%  {msg}") {
        bar.set_style(style);
    }
    let written = sim::write_file(file, config, now_ns(), u64::MAX, |progress| {
        bar.set_position(u64::from(progress.day_permille));
        bar.set_message(format!("{} messages", progress.messages));
        ControlFlow::Continue(())
    })
    .with_context(|| format!("writing {}", file.display()))?;
    bar.finish_and_clear();
    stdout::print(format_args!("{}: {} messages in {} packets\n", file.display(), written.messages, written.packets))?;
    Ok(ExitCode::SUCCESS)
}
