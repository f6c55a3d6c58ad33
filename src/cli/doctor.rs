//! `bist doctor`: whether the platform can run here.

use clap::Args;

/// `bist doctor`
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// One JSON object instead of text.
    #[arg(long)]
    pub json: bool,
}
