//! Where the recorded data is, and how tests say that it is not there.

#![allow(dead_code, missing_docs)] // each test binary uses its own part

use std::io::Write as _;
use std::path::{Path, PathBuf};

use feed_handler::recording::ReadError;
use feed_handler::recording::{Recording, RecordingCounts, RecordingOptions, Step};

/// A file of the shared data; `None` (and a line that says so) where there is no such data on this machine.
pub fn data(name: &str) -> Option<PathBuf> {
    let root = std::env::var_os("BIST_SHARED_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"), PathBuf::from);
    let path = root.join(name);
    if path.exists() {
        return Some(path);
    }
    if root.exists() {
        panic!("{} is missing from the shared data", path.display());
    }
    // Past the test runner's capture: who sees green should also see what did not run.
    let _ =
        writeln!(std::io::stderr(), "skipped: there is no recorded data at {} (set BIST_SHARED_DATA)", root.display());
    None
}

/// The only file with this ending in a folder of the shared cases; `None` (and a line that says so) where there are no
/// such cases on this machine.
pub fn case(folder: &str, ending: &str) -> Option<PathBuf> {
    let root = std::env::var_os("BIST_SHARED_CASES")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/cases"), PathBuf::from);
    if !root.exists() {
        let _ =
            writeln!(std::io::stderr(), "skipped: there are no cases at {} (set BIST_SHARED_CASES)", root.display());
        return None;
    }
    let entries = std::fs::read_dir(root.join(folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let mut found = entries.map(|entry| entry.unwrap().path());
    Some(found.find(|path| path.to_string_lossy().ends_with(ending)).unwrap_or_else(|| panic!("{folder}: no {ending}")))
}

/// The file's bytes, decompressed.
pub fn bytes(path: &Path) -> Vec<u8> {
    use std::io::Read;
    let raw = std::fs::read(path).unwrap();
    if !raw.starts_with(&[0x1F, 0x8B]) {
        return raw;
    }
    let mut bytes = Vec::new();
    flate2::read::MultiGzDecoder::new(&raw[..]).read_to_end(&mut bytes).unwrap();
    bytes
}

/// Reads a recording to its end.
pub fn count(mut recording: Recording) -> (RecordingCounts, Option<ReadError>) {
    loop {
        match recording.next(&mut |_| {}) {
            Ok(Step::End) => return (recording.counts().clone(), None),
            Ok(_) => {}
            Err(error) => return (recording.counts().clone(), Some(error)),
        }
    }
}

/// Opens with the defaults and reads to the end.
#[track_caller]
pub fn count_file(path: &Path) -> (RecordingCounts, Option<ReadError>) {
    match Recording::open(path, &RecordingOptions::default()) {
        Ok(recording) => count(recording),
        Err(error) => panic!("{}: {error}", path.display()),
    }
}

/// `A 3, D 1`: what a README says of the types, as the counters have it.
pub fn kinds(counts: &RecordingCounts) -> String {
    let mut kinds: Vec<(u64, u8)> =
        counts.by_kind.iter().enumerate().filter(|&(_, &n)| n > 0).map(|(kind, &n)| (n, kind as u8)).collect();
    kinds.sort_by_key(|&(n, kind)| (std::cmp::Reverse(n), kind));
    kinds.iter().map(|&(n, kind)| format!("{} {n}", char::from(kind))).collect::<Vec<_>>().join(", ")
}
