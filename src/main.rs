//! `bist`: the command line, the configuration, and the composition root. Holds no logic of its own.

mod cli;
mod commands;
mod platform;
mod settings;

use std::io::IsTerminal;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use tracing_subscriber::EnvFilter;

use crate::cli::{Cli, Command};
use crate::platform::roles::Role;
use crate::settings::{Loaded, LogFormat};

/// Exit code for a wrong command line or configuration.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    platform::threads::allowed_cores();
    let cli = Cli::parse();
    let loaded = match load(&cli) {
        Ok(loaded) => loaded,
        Err(error) => {
            eprintln!("bist: {error:#}");
            return ExitCode::from(USAGE);
        }
    };
    if let Err(error) = start_log(&cli, &loaded) {
        eprintln!("bist: {error:#}");
        return ExitCode::from(USAGE);
    }
    run(cli, &loaded).unwrap_or_else(|error| {
        eprintln!("bist: {error:#}");
        ExitCode::FAILURE
    })
}

fn load(cli: &Cli) -> Result<Loaded> {
    let mut flags = match &cli.command {
        Some(Command::Serve(serve)) => serve.overrides(),
        Some(Command::Replay(replay)) => replay.overrides(),
        // A generated stream is no simulated market: its numbers have other bounds.
        Some(Command::Sim(sim)) if !sim.generate.generate => sim.sim.overrides(),
        _ => Vec::new(),
    };
    flags.extend(cli.log_format.map(|format| {
        let name = if format == LogFormat::Json { "json" } else { "text" };
        ("log.format", name.to_owned())
    }));
    let files = if cli.config.is_empty() { settings::default_files() } else { cli.config.clone() };
    settings::load(&files, &flags)
}

/// Log lines go to standard error: standard output belongs to results.
fn start_log(cli: &Cli, loaded: &Loaded) -> Result<()> {
    let level = match (cli.quiet, cli.verbose) {
        (true, _) => "warn",
        (_, 0) => &loaded.settings.log.level,
        (_, 1) => "debug",
        _ => "trace",
    };
    let filter = match std::env::var("RUST_LOG") {
        Ok(filter) if !filter.is_empty() => {
            settings::check::log_level(&filter, "RUST_LOG")?;
            EnvFilter::new(filter)
        }
        _ => EnvFilter::new(level),
    };
    // Colour is for people at a terminal who did not refuse it (https://no-color.org).
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colour).with_writer(std::io::stderr);
    match loaded.settings.log.format {
        LogFormat::Text => builder.with_target(false).init(),
        LogFormat::Json => builder.json().init(),
    }
    Ok(())
}

fn run(cli: Cli, loaded: &Loaded) -> Result<ExitCode> {
    match cli.command.unwrap_or_else(|| Command::Serve(cli::Serve::default())) {
        Command::Serve(arguments) => {
            commands::serve::run(&loaded.settings, Role::of(&arguments.target), false, cli.quiet)
        }
        Command::Replay(arguments) => commands::serve::run(&loaded.settings, Role::All, arguments.exit, cli.quiet),
        Command::Sim(arguments) => commands::sim::run(&arguments, &loaded.settings),
        Command::Inspect(arguments) => commands::inspect::run(&arguments),
        Command::Bench(arguments) => commands::bench::run(&arguments),
        Command::Config(arguments) => commands::config::run(&arguments, loaded),
        Command::Doctor(arguments) => commands::doctor::run(&arguments, &loaded.settings),
        Command::User(arguments) => commands::user::run(&arguments, &loaded.settings),
        Command::Key(arguments) => commands::user::keys(&arguments, &loaded.settings),
        Command::Migrate(arguments) => commands::migrate::run(&arguments, &loaded.settings),
        Command::Audit(arguments) => commands::migrate::audit(&arguments, &loaded.settings),
        Command::Completions { shell } => commands::texts::completions(shell),
        Command::Man { out } => commands::texts::man(out.as_deref()),
    }
}
