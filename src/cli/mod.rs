//! The command line, a file per command: what can be asked, with help that teaches. Never does anything itself.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

use crate::settings::LogFormat;

mod bench;
mod config;
mod doctor;
mod inspect;
mod migrate;
mod replay;
mod serve;
mod sim;
mod user;

pub use self::bench::{
    Bench, BenchArgs, BenchBook, BenchCommon, BenchCompare, BenchFanout, BenchFormat, BenchLoad, BenchPipeline,
    BenchStream, BenchWait,
};
pub use self::config::ConfigArgs;
pub use self::doctor::DoctorArgs;
pub use self::inspect::Inspect;
pub use self::migrate::{AuditAction, AuditArgs, MigrateAction, MigrateArgs};
pub use self::replay::ReplayArgs;
pub use self::serve::Serve;
pub use self::sim::{Preset, SimArgs};
pub use self::user::{KeyAction, KeyArgs, PasswordArgs, UserAction, UserArgs};

/// Market-data plant and trading platform for Borsa Istanbul.
///
/// `bist` without a command starts the whole platform with built-in defaults and a live simulated market. Open
/// http://localhost:8080.
#[derive(Debug, Parser)]
#[command(name = "bist", version, propagate_version = true, disable_help_subcommand = true)]
#[command(after_help = "Exit codes: 0 ok, 1 failure, 2 usage or configuration, 3 a check failed.\n\
    Configuration: defaults < --config FILE < BIST__SECTION__KEY < flags; `bist config --print` shows all of it.")]
pub struct Cli {
    /// Command to run; `serve` when omitted.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// Configuration file (TOML), repeatable; later files win. Without it, `bist.toml` in the working folder is read.
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Vec<PathBuf>,

    /// Format of log lines.
    #[arg(long, global = true, value_enum)]
    pub log_format: Option<LogFormat>,

    /// More log lines (-v debug, -vv trace).
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,

    /// Warnings and errors only.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the platform: feed, books, WebSocket, REST and web page in one process.
    #[command(after_help = "Examples:\n  bist serve                                   a live simulated market\n  \
        bist serve --rate 20000 --seed 7             a busier one, the same every time\n  \
        bist serve --source itch --listen 0.0.0.0:21001 --group 233.252.0.1\n                                               \
        a real MoldUDP64 multicast line\n  bist serve --target users                    accounts alone, on port 8081\n\nThen open http://localhost:8080, or connect to ws://localhost:8083/ws/v2\n\
        (docs/protocols/websocket.md).")]
    Serve(Serve),

    /// Run the platform on a recorded file instead of a live line.
    #[command(after_help = "Examples:\n  bist replay morning.pcap.gz                  at the recorded pace\n  \
        bist replay morning.pcap.gz --speed 20       twenty times as fast\n  \
        bist replay day.itch50.gz --speed max        as fast as possible\n\nFormats: BISTECH ITCH and ITCH 5.0 with \
        length prefixes, MoldUDP64 in pcap or pcapng,\nDBN, LOBSTER; gzip and zstd are recognised.")]
    Replay(ReplayArgs),

    /// Run the simulated exchange alone: it sends BISTECH ITCH in MoldUDP64, or writes a file.
    #[command(after_help = "Examples:\n  bist sim --destination 127.0.0.1:21001       to a platform started with\n  \
        bist serve --source itch --listen 127.0.0.1:21001\n  bist sim --destination 233.252.0.1:21001     to a multicast group on \
        loopback, read by\n                                               bist serve --source itch --listen 0.0.0.0:21001 \
        --group 233.252.0.1 --interface 127.0.0.1\n  bist sim --write day.bistech.gz --seed 7     a whole trading \
        day into a file\n  bist sim --write a.itch50 --generate --preset a\n                                               \
        a stream for measurements, and its expected answer\n  bist sim --write t.bistech.zst --generate --messages 5000000 \
        --symbols 100 --live-orders 50000")]
    Sim(SimArgs),

    /// Summarise a recorded file: messages by type, instruments, gaps, errors; or follow one book, event by event.
    #[command(
        after_help = "Examples:\n  bist inspect day.itch50.gz\n  bist inspect day.bistech.gz --book GARAN --levels \
        10 --csv garan.csv\n\nThe CSV has one row per event applied to that symbol:\n\
        seq,ts_event,bid_px_00,bid_sz_00,bid_ct_00,ask_px_00,ask_sz_00,ask_ct_00,bid_px_01,…"
    )]
    Inspect(Inspect),

    /// Measure this machine: decoding, books, rings, frames; or compare two results.
    ///
    /// Every bench prints its question, its input and the machine. It checks its answer first: with a wrong answer it
    /// prints no figure and exits with code 1.
    #[command(after_help = "Examples:\n  bist bench decode                            the quickest first \
        figure\n  bist bench book --out before                 writes JSON and an HTML report\n  bist bench compare before \
        after            changes beyond the spread\n\ndocs/benchmarking.md explains how to read a report.")]
    Bench(BenchArgs),

    /// Show or check the configuration.
    Config(ConfigArgs),

    /// Check this machine: cores, limits, ports, multicast, clock. Every finding names its remedy.
    Doctor(DoctorArgs),

    /// Make and manage accounts, also beside a running platform.
    #[command(
        after_help = "Examples:\n  bist user add ayse@example.com --name \"Ayşe Yılmaz\" --admin\n  bist user list\n  \
        bist user disable bot@example.com --reason \"lost laptop\"\n\nThe page registers people, too: http://localhost:8080."
    )]
    User(UserArgs),

    /// Make, list and revoke API keys for programs.
    #[command(
        after_help = "Examples:\n  bist key create ayse@example.com --name bot --scope market:read > key\n  bist key list \
        ayse@example.com\n  curl -H \"Authorization: Bearer $(cat key)\" http://localhost:8080/api/v1/limits"
    )]
    Key(KeyArgs),

    /// Look at, migrate, back up, restore or copy the databases of the services.
    #[command(
        after_help = "Examples:\n  bist migrate status\n  bist migrate backup\n  bist migrate restore FILE              stop the \
        platform first\n  BIST__STORAGE__POSTGRES_URL=postgres://… bist migrate copy\n\ndocs/storage.md says what is kept where."
    )]
    Migrate(MigrateArgs),

    /// Verify or export the audit log.
    #[command(after_help = "Examples:\n  bist audit verify\n  bist audit export > audit.jsonl")]
    Audit(AuditArgs),

    /// Print a completion script for a shell.
    #[command(after_help = "Example:\n  bist completions bash > /etc/bash_completion.d/bist")]
    Completions {
        /// The shell.
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },

    /// Print the manual page, or write one page per command into a folder.
    #[command(after_help = "Example:\n  bist man | man -l -")]
    Man {
        /// Folder for one page per command.
        #[arg(long, value_name = "FOLDER")]
        out: Option<PathBuf>,
    },
}

fn put(flags: &mut Vec<(&'static str, String)>, key: &'static str, value: Option<&impl ToString>) {
    flags.extend(value.map(|value| (key, value.to_string())));
}

fn name(value: impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_help_and_no_command_means_serve() {
        for command in Cli::command().get_subcommands() {
            assert!(command.get_about().is_some(), "{}", command.get_name());
        }
        assert!(Cli::parse_from(["bist"]).command.is_none());
    }
}
