//! `bist config`: the values in force and where they came from.

use std::process::ExitCode;

use anyhow::Result;

use crate::cli::ConfigArgs;
use crate::settings::{Loaded, OPTIONAL};

/// Prints every value as TOML with its source behind it, or only checks (loading it was the check).
pub fn run(arguments: &ConfigArgs, loaded: &Loaded) -> Result<ExitCode> {
    if arguments.check {
        println!("configuration is good");
        return Ok(ExitCode::SUCCESS);
    }
    println!("# values in force; later layers win: default < file < environment < flag");
    let mut section = "";
    for (key, (value, origin)) in &loaded.origins {
        let (of, name) = key.split_once('.').unwrap_or(("", key));
        if of != section {
            println!("\n[{of}]");
            section = of;
        }
        println!("{:<44} # {origin}", format!("{name} = {}", toml_text(value)));
    }
    let unset: Vec<&str> = OPTIONAL.into_iter().filter(|key| !loaded.origins.contains_key(*key)).collect();
    if !unset.is_empty() {
        println!("\n# not set: {}", unset.join(", "));
    }
    Ok(ExitCode::SUCCESS)
}

/// Numbers, booleans and lists as they are, everything else quoted.
fn toml_text(value: &str) -> String {
    let plain = value.parse::<i64>().is_ok() || matches!(value, "true" | "false") || value.starts_with('[');
    if plain { value.to_owned() } else { format!("{value:?}") }
}
