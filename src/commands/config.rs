//! `bist config`: the values in force and where they came from.

use std::process::ExitCode;

use anyhow::Result;

use crate::cli::ConfigArgs;
use crate::commands::stdout;
use crate::platform::threads::ThreadPlan;
use crate::settings::Loaded;

/// Exit code for a configuration that cannot work.
const USAGE: u8 = 2;

/// Prints every value as TOML with its source behind it, or only checks what `serve` checks before it opens anything.
pub fn run(arguments: &ConfigArgs, loaded: &Loaded) -> Result<ExitCode> {
    if arguments.check {
        if let Err(error) = ThreadPlan::new(&loaded.settings.threads) {
            eprintln!("bist: configuration: {error:#}");
            return Ok(ExitCode::from(USAGE));
        }
        stdout::print("configuration is good\n")?;
    } else {
        stdout::print(loaded.to_toml())?;
    }
    Ok(ExitCode::SUCCESS)
}
