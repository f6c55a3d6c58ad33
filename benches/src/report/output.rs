//! A report as a folder of files: JSON, HTML, and the histograms of every latency series.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::saved::{self, Saved};
use super::{LatencySeries, Report, hdr, html};
use crate::measure::BenchError;

/// Writes all files of `report` into `folder`, which is made if need be; those of an earlier run are replaced.
///
/// Returns their paths.
///
/// # Errors
/// A file cannot be written.
pub fn write(report: &Report, folder: &Path) -> Result<Vec<PathBuf>, BenchError> {
    let io = |path: &Path| {
        let doing = format!("writing {}", path.display());
        move |cause| BenchError::Io { doing, cause }
    };
    fs::create_dir_all(folder).map_err(io(folder))?;
    let mut files = vec![
        (folder.join(saved::FILE), Saved::from(report).json().into_bytes()),
        (folder.join("report.html"), html::page(report).into_bytes()),
    ];
    let mut names = HashSet::new();
    for series in &report.latencies {
        files.extend(
            of_series(series, &mut names)
                .map_err(io(folder))?
                .into_iter()
                .map(|(name, bytes)| (folder.join(name), bytes)),
        );
    }
    for (path, bytes) in &files {
        fs::write(path, bytes).map_err(io(path))?;
    }
    Ok(files.into_iter().map(|(path, _)| path).collect())
}

fn of_series(series: &LatencySeries, names: &mut HashSet<String>) -> std::io::Result<Vec<(String, Vec<u8>)>> {
    let name = unused(&file_name(series), names);
    let mut percentiles = Vec::new();
    hdr::write_percentiles(&mut percentiles, &series.title(), &series.corrected)?;
    let mut log = Vec::new();
    hdr::write_log(&mut log, series)?;
    let mut files = vec![(format!("{name}.hgrm"), percentiles), (format!("{name}.hlog"), log)];
    if let Some(uncorrected) = &series.uncorrected {
        let mut percentiles = Vec::new();
        let title = format!("{}, from the real send time", series.title());
        hdr::write_percentiles(&mut percentiles, &title, uncorrected)?;
        files.push((format!("{name}.uncorrected.hgrm"), percentiles));
    }
    Ok(files)
}

/// `end-to-end.20000`: letters, digits, hyphens and one dot.
fn file_name(series: &LatencySeries) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let name: String = series.name.chars().map(plain).collect();
    series.rate_per_s.map_or_else(|| name.clone(), |rate| format!("{name}.{rate}"))
}

/// Two series must not write over each other.
fn unused(name: &str, names: &mut HashSet<String>) -> String {
    let mut candidate = name.to_owned();
    for n in 2.. {
        if names.insert(candidate.clone()) {
            break;
        }
        candidate = format!("{name}-{n}");
    }
    candidate
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::BenchOptions;

    #[test]
    fn a_folder_holds_every_form_and_reads_back() {
        let report = crate::ring::run(&BenchOptions { runs: 2, ..BenchOptions::small() }).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let files = write(&report, &folder.path().join("deep/er")).unwrap();
        let names: Vec<_> = files.iter().filter_map(|path| path.file_name()?.to_str()).collect();
        assert_eq!(names, ["result.json", "report.html", "round-trip.hgrm", "round-trip.hlog"]);
        let saved = Saved::read(&folder.path().join("deep/er")).unwrap();
        assert_eq!((saved.rows.len(), &saved.environment), (report.rows.len(), &report.environment));
        assert_eq!(hdr::from_text(&saved.latencies[0].corrected.histogram).unwrap(), report.latencies[0].corrected);
        assert!(Saved::read(folder.path()).unwrap_err().to_string().contains("--out"));
    }

    #[test]
    fn names_of_files_are_plain_and_never_the_same() {
        let mut names = HashSet::new();
        let series = LatencySeries { rate_per_s: Some(5), ..LatencySeries::of_runs("A/b c", Vec::new()) };
        assert_eq!(unused(&file_name(&series), &mut names), "a-b-c.5");
        assert_eq!(unused(&file_name(&series), &mut names), "a-b-c.5-2");
    }
}
