//! `bist sim --generate`: a stream for measurements, into a file.

use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use benches::answer::Answer;
use benches::file::write_file;
use benches::generate::{Format, Plan};
use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::SimArgs;
use crate::commands::stdout;
use crate::settings::Protocol;

/// Writes the stream and prints what came out.
pub fn run(file: &Path, arguments: &SimArgs) -> Result<ExitCode> {
    let plan = plan(file, arguments)?;
    plan.check().context("this stream cannot be generated (--messages, --symbols, --live-orders)")?;
    let bar = bar(plan.messages as u64);
    let answer = write_file(file, plan, |messages| bar.set_position(messages))
        .with_context(|| format!("writing {}", file.display()))?;
    bar.finish_and_clear();
    stdout::print(format_args!("{}: {answer}\nits answer: {}\n", file.display(), Answer::path(file).display()))?;
    Ok(ExitCode::SUCCESS)
}

/// The preset's numbers or the defaults, and over them what the flags say.
fn plan(file: &Path, arguments: &SimArgs) -> Result<Plan> {
    let flags = &arguments.generate;
    let base = match flags.preset {
        None => Plan {
            format: flags.format.map_or_else(|| format_named(file), |format| Ok(of(format)))?,
            seed: 1,
            messages: 2_000_000,
            symbols: 500,
            live_orders: 100_000,
        },
        Some(preset) => preset.plan(),
    };
    Ok(Plan {
        format: flags.format.map_or(base.format, of),
        seed: arguments.sim.seed.unwrap_or(base.seed),
        messages: flags.messages.unwrap_or(base.messages),
        symbols: arguments.sim.symbols.unwrap_or(base.symbols),
        live_orders: flags.live_orders.unwrap_or(base.live_orders),
    })
}

fn of(protocol: Protocol) -> Format {
    match protocol {
        Protocol::Bistech => Format::Bistech,
        Protocol::Itch50 => Format::Itch50,
    }
}

fn format_named(file: &Path) -> Result<Format> {
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let stem = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(name);
    match stem.rsplit_once('.').map(|(_, ending)| ending) {
        Some("itch50") => Ok(Format::Itch50),
        Some("bistech") => Ok(Format::Bistech),
        _ => bail!(
            "the name {name} does not tell the format: end it in .itch50 or .bistech (with .gz or .zst behind it to \
             compress), or add --format itch50 or --format bistech"
        ),
    }
}

fn bar(messages: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(messages);
    if let Ok(style) = ProgressStyle::with_template("{bar:32} {percent:>3}% of {len} messages, {eta} left") {
        bar.set_style(style);
    }
    bar
}
