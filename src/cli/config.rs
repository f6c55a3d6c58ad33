//! `bist config`: the configuration in force.

use clap::Args;

/// `bist config`
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// Print every value with its source.
    #[arg(long)]
    pub print: bool,

    /// Check only: exit code 0 for a valid configuration, 2 for an invalid one.
    #[arg(long, conflicts_with = "print")]
    pub check: bool,
}
