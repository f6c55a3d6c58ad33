//! `result.json`: a report as programs and `bist bench compare` read it. The schema has a number; a change of meaning
//! gets a new one.

use std::fs;
use std::path::{Path, PathBuf};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::{Better, LatencySeries, PERCENTILES, Report, Row, hdr};
use crate::disturbance::Disturbance;
use crate::environment::Environment;

/// Number of the schema that is written, and the only one that is read.
pub const SCHEMA: u32 = 1;
/// Name of the file in a folder of results.
pub const FILE: &str = "result.json";

/// A whole report.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Saved {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The bench.
    pub name: String,
    /// What it answers.
    pub question: String,
    /// What went in.
    pub input: String,
    /// The command that makes it again.
    pub command: String,
    /// Machine and build.
    pub environment: Environment,
    /// What was verified before any figure.
    pub checked: Vec<String>,
    /// What is not measured.
    pub excluded: Vec<String>,
    /// Figures.
    pub rows: Vec<SavedRow>,
    /// Distributions of latency.
    pub latencies: Vec<SavedSeries>,
}

/// One figure.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SavedRow {
    /// What was measured.
    pub name: String,
    /// Unit of all values.
    pub unit: String,
    /// Which way is better.
    pub better: Better,
    /// One value per run.
    pub samples: Vec<f64>,
    /// Middle sample.
    pub median: Option<f64>,
    /// Smallest.
    pub min: Option<f64>,
    /// Largest.
    pub max: Option<f64>,
    /// What was promised on the median.
    pub target: Option<f64>,
    /// Whether it was reached.
    pub met: Option<bool>,
    /// What took the cores away, one value per run; not there in results of versions that did not look.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disturbed: Vec<Disturbance>,
}

/// Latency of one stage at one rate.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SavedSeries {
    /// Stage, or `end to end`.
    pub name: String,
    /// Planned messages per second.
    pub rate_per_s: Option<u64>,
    /// Those really sent.
    pub achieved_per_s: Option<f64>,
    /// From the planned send time.
    pub corrected: SavedHistogram,
    /// From the real send time.
    pub uncorrected: Option<SavedHistogram>,
    /// `corrected` run by run.
    pub runs: Vec<SavedHistogram>,
    /// What took the cores away, in the order of `runs`; not there in results of versions that did not look.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disturbed: Vec<Disturbance>,
}

/// A distribution, ns.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SavedHistogram {
    /// Values in it.
    pub count: u64,
    /// Smallest.
    pub min_ns: u64,
    /// Percentile and value.
    pub percentiles_ns: Vec<(f64, u64)>,
    /// Largest.
    pub max_ns: u64,
    /// All of it: base64 of HdrHistogram's V2-deflate form.
    pub histogram: String,
}

/// Why a result cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum UnreadableResult {
    /// The file.
    #[error("{}: {source}; give a folder made with --out, or its result.json", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Its text.
    #[error("{} is no result of `bist bench`: {reason}", path.display())]
    Text {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

impl From<&Report> for Saved {
    fn from(report: &Report) -> Self {
        Self {
            schema: SCHEMA,
            name: report.name.clone(),
            question: report.question.clone(),
            input: report.input.clone(),
            command: report.command.clone(),
            environment: report.environment.clone(),
            checked: report.checked.clone(),
            excluded: report.excluded.clone(),
            rows: report.rows.iter().map(SavedRow::from).collect(),
            latencies: report.latencies.iter().map(SavedSeries::from).collect(),
        }
    }
}

impl From<&Row> for SavedRow {
    fn from(row: &Row) -> Self {
        Self {
            name: row.name.clone(),
            unit: row.unit.to_owned(),
            better: row.better,
            samples: row.samples.clone(),
            median: row.median(),
            min: row.min(),
            max: row.max(),
            target: row.target,
            met: row.is_met(),
            disturbed: row.disturbed.clone(),
        }
    }
}

impl From<&LatencySeries> for SavedSeries {
    fn from(series: &LatencySeries) -> Self {
        Self {
            name: series.name.clone(),
            rate_per_s: series.rate_per_s,
            achieved_per_s: series.achieved_per_s,
            corrected: SavedHistogram::from(&series.corrected),
            uncorrected: series.uncorrected.as_ref().map(SavedHistogram::from),
            runs: series.runs.iter().map(SavedHistogram::from).collect(),
            disturbed: series.disturbed.clone(),
        }
    }
}

impl From<&Histogram<u64>> for SavedHistogram {
    fn from(histogram: &Histogram<u64>) -> Self {
        Self {
            count: histogram.len(),
            min_ns: histogram.min(),
            percentiles_ns: PERCENTILES.map(|at| (at, histogram.value_at_percentile(at))).to_vec(),
            max_ns: histogram.max(),
            histogram: hdr::to_text(histogram),
        }
    }
}

impl SavedSeries {
    /// Name and rate together, unique in a report.
    #[must_use]
    pub fn title(&self) -> String {
        super::title(&self.name, self.rate_per_s)
    }
}

impl Saved {
    /// The JSON text, with a line break at its end.
    #[must_use]
    pub fn json(&self) -> String {
        // OK because nothing in it has a key that is no text.
        serde_json::to_string_pretty(self).map(|text| text + "\n").unwrap_or_default()
    }

    /// Reads a result file, or the one in a folder.
    ///
    /// # Errors
    /// [`UnreadableResult`]: it is not there, is no result, or is of another schema.
    pub fn read(path: &Path) -> Result<Self, UnreadableResult> {
        let path = if path.is_dir() { path.join(FILE) } else { path.to_owned() };
        let text = fs::read_to_string(&path).map_err(|source| UnreadableResult::Io { path: path.clone(), source })?;
        let wrong = |reason| UnreadableResult::Text { path: path.clone(), reason };
        let saved: Self = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        if saved.schema != SCHEMA {
            let reason = format!("schema {} instead of {SCHEMA}; measure again with this version", saved.schema);
            return Err(wrong(reason));
        }
        Ok(saved)
    }
}
