//! `bist config`: the values in force and where they came from.

use std::process::ExitCode;

use anyhow::Result;

use crate::cli::ConfigArgs;
use crate::settings::Loaded;

/// Prints every value as TOML with its source behind it, or only checks (loading it was the check).
pub fn run(arguments: &ConfigArgs, loaded: &Loaded) -> Result<ExitCode> {
    if arguments.check {
        println!("configuration is good");
    } else {
        print!("{}", loaded.to_toml());
    }
    Ok(ExitCode::SUCCESS)
}
