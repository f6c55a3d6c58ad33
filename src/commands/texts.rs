//! `bist completions` and `bist man`: texts made from the command line itself, so that they cannot disagree with it.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::CommandFactory;

use crate::cli::Cli;
use crate::commands::stdout;

/// A completion script on standard output.
pub fn completions(shell: clap_complete::Shell) -> Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "bist", &mut script);
    stdout::print_bytes(&script)?;
    Ok(ExitCode::SUCCESS)
}

/// The manual page on standard output, or one page per command in a folder.
pub fn man(folder: Option<&Path>) -> Result<ExitCode> {
    if let Some(folder) = folder {
        std::fs::create_dir_all(folder).with_context(|| format!("making the folder {}", folder.display()))?;
        clap_mangen::generate_to(Cli::command(), folder)
            .with_context(|| format!("writing pages into {}", folder.display()))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(Cli::command()).render(&mut page)?;
    stdout::print_bytes(&page)?;
    Ok(ExitCode::SUCCESS)
}
