//! Rounds, medians, and the report. A contestant whose answer was wrong has a reason instead of a figure.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result};
use core_affinity::CoreId;
use serde::Serialize;

/// Cores that this program may use. Ask before [`pin`]: afterwards there is only one.
///
/// # Errors
/// The system does not say.
pub fn cores() -> Result<Vec<CoreId>> {
    core_affinity::get_core_ids().context("asking the system for its cores")
}

/// Keeps this thread on one core, the last one unless told otherwise; gives its number.
///
/// # Errors
/// There is no such core, or the system refuses.
pub fn pin(cores: &[CoreId], wanted: Option<usize>) -> Result<usize> {
    let chosen = match wanted {
        None => cores.last().copied(),
        Some(wanted) => cores.iter().copied().find(|core| core.id == wanted),
    };
    let names: Vec<usize> = cores.iter().map(|core| core.id).collect();
    let chosen = chosen.with_context(|| format!("no such core; --core can be one of {names:?}"))?;
    anyhow::ensure!(core_affinity::set_for_current(chosen), "the system does not let this thread stay on a core");
    Ok(chosen.id)
}

/// One of those that are compared.
pub struct Contestant<'a> {
    /// Name and version.
    pub name: &'static str,
    /// What it keeps or does, as far as it differs from the others.
    pub keeps: &'static str,
    /// One run: how long it took (or the figure itself), or what was wrong with its answer.
    pub run: Box<dyn FnMut() -> Result<f64, String> + 'a>,
}

/// A line of a table.
#[derive(Debug, Serialize)]
pub struct Row {
    name: &'static str,
    keeps: &'static str,
    /// Figures of all rounds, in order of time; empty when the answer was wrong.
    figures: Vec<f64>,
    /// What was wrong.
    wrong: Option<String>,
}

impl Row {
    fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.figures.clone();
        sorted.sort_by(f64::total_cmp);
        sorted
    }
}

/// One question and its answers.
#[derive(Debug, Serialize)]
pub struct Table {
    question: &'static str,
    unit: &'static str,
    rows: Vec<Row>,
}

impl Table {
    /// A table of finished rows.
    pub fn new(question: &'static str, unit: &'static str, rows: Vec<Row>) -> Self {
        Self { question, unit, rows }
    }
}

/// Everything that one run of the program found.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The stream.
    pub input: String,
    /// Its messages.
    pub messages: usize,
    /// The core.
    pub core: usize,
    /// Rounds.
    pub rounds: usize,
    /// The answers.
    pub tables: Vec<Table>,
}

impl Report {
    /// Whether every contestant's answer was right.
    pub fn agrees(&self) -> bool {
        self.tables.iter().flat_map(|table| &table.rows).all(|row| row.wrong.is_none())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for table in self.tables.iter().filter(|table| !table.rows.is_empty()) {
            writeln!(out, "\n{}, {}: median [min..max]", table.question, table.unit)?;
            for row in &table.rows {
                write!(out, "  {:<34}", row.name)?;
                match (&row.wrong, row.sorted().as_slice()) {
                    (Some(wrong), _) => writeln!(out, " no figure: {wrong}")?,
                    (None, sorted @ [least, .., most]) => {
                        writeln!(out, " {:>8.2} [{least:.2}..{most:.2}]  {}", middle(sorted), row.keeps)?;
                    }
                    (None, [only]) => writeln!(out, " {only:>8.2}  {}", row.keeps)?,
                    (None, []) => writeln!(out, " not run")?,
                }
            }
        }
        Ok(())
    }
}

fn middle(sorted: &[f64]) -> f64 {
    (sorted[(sorted.len() - 1) / 2] + sorted[sorted.len() / 2]) / 2.0
}

/// Runs everybody once per round, in turn, so that a busy minute of the machine meets all of them.
pub fn interleave(mut contestants: Vec<Contestant<'_>>, rounds: usize, wanted: &impl Fn(&str) -> bool) -> Vec<Row> {
    contestants.retain(|contestant| wanted(contestant.name));
    let mut rows: Vec<Row> = contestants
        .iter()
        .map(|Contestant { name, keeps, .. }| Row { name, keeps, figures: Vec::new(), wrong: None })
        .collect();
    for _ in 0..rounds {
        for (contestant, row) in contestants.iter_mut().zip(&mut rows).filter(|(_, row)| row.wrong.is_none()) {
            match (contestant.run)() {
                Ok(figure) => row.figures.push(figure),
                Err(wrong) => {
                    row.figures.clear();
                    row.wrong = Some(wrong);
                }
            }
        }
    }
    rows
}

/// Time per message in nanoseconds.
#[allow(clippy::cast_precision_loss)] // counts of messages
pub fn per_message(spent: Duration, messages: usize) -> f64 {
    spent.as_secs_f64() * 1e9 / messages as f64
}
