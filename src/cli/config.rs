//! `bist config`: the configuration in force.

use clap::Args;

/// `bist config`
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// Print every value with its source.
    #[arg(long)]
    pub print: bool,

    /// Check only: exit 0 when the configuration is good, 2 when not.
    #[arg(long, conflicts_with = "print")]
    pub check: bool,
}
