//! Latency distributions in HdrHistogram's two forms: percentile text for its plotter, and interval logs.
//!
//! ".hgrm" names both forms elsewhere (HdrHistogram issue 170); ours is the percentile text and says so in its head.

use std::io::{self, Read as _, Write};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::ZlibDecoder;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};

use super::LatencySeries;

/// Lines per halved distance to 100 %: the plotter's own default.
const TICKS_PER_HALF_DISTANCE: u32 = 5;

/// Percentile text: value, percentile, count so far, 1/(1-percentile).
///
/// # Errors
/// Those of `out`.
pub fn write_percentiles(out: &mut impl Write, title: &str, histogram: &Histogram<u64>) -> io::Result<()> {
    writeln!(out, "# {title}")?;
    writeln!(out, "# Percentile text for the HdrHistogram plotter (not an interval log). Values in ns.")?;
    writeln!(out, "{:>12} {:>14} {:>10} {:>14}\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)")?;
    let mut count = 0;
    for step in histogram.iter_quantiles(TICKS_PER_HALF_DISTANCE) {
        count += step.count_since_last_iteration();
        let quantile = step.quantile_iterated_to();
        write!(out, "{:>12}.000 {quantile:.12} {count:>10}", step.value_iterated_to())?;
        if quantile < 1.0 {
            writeln!(out, " {:>14.2}", 1.0 / (1.0 - quantile))?;
        } else {
            writeln!(out)?;
        }
    }
    writeln!(out, "#[Mean    = {:>12.3}, StdDeviation   = {:>12.3}]", histogram.mean(), histogram.stdev())?;
    writeln!(out, "#[Max     = {:>8}.000, Total count    = {:>12}]", histogram.max(), histogram.len())?;
    writeln!(out, "#[Buckets = {:>12}, SubBuckets     = {:>12}]", histogram.buckets(), histogram.distinct_values())
}

/// Interval log, V2-deflate: one interval per run and a tag for the uncorrected curve.
///
/// # Errors
/// Those of `out`.
pub fn write_log(out: &mut impl Write, series: &LatencySeries) -> io::Result<()> {
    let mut serializer = V2DeflateSerializer::new();
    let mut log = IntervalLogWriterBuilder::new()
        .add_comment(&format!("{}: interval log, V2-deflate, values in ns, maxima in ms", series.title()))
        .add_comment("One interval per run, numbered by second; Tag=uncorrected counts from the real send time.")
        .with_base_time(SystemTime::UNIX_EPOCH)
        .with_max_value_divisor(1e6)
        .begin_log_with(out, &mut serializer)?;
    let failed = |error: &dyn std::fmt::Display| io::Error::other(error.to_string());
    let second = Duration::from_secs(1);
    let runs = if series.runs.is_empty() { std::slice::from_ref(&series.corrected) } else { &series.runs };
    for (n, run) in runs.iter().enumerate() {
        log.write_histogram(run, second * n as u32, second, None).map_err(|error| failed(&error))?;
    }
    if let Some(uncorrected) = &series.uncorrected {
        let tag = Tag::new("uncorrected");
        log.write_histogram(uncorrected, Duration::ZERO, second, tag).map_err(|error| failed(&error))?;
    }
    Ok(())
}

/// A histogram as text: base64 of V2-deflate, as in an interval log.
#[must_use]
pub fn to_text(histogram: &Histogram<u64>) -> String {
    let mut bytes = Vec::new();
    // OK because the only failures are counts above i64::MAX and those of a writer that cannot fail.
    let _ = V2DeflateSerializer::new().serialize(histogram, &mut bytes);
    STANDARD.encode(bytes)
}

/// The histogram of such a text.
///
/// # Errors
/// What is wrong with the text.
pub fn from_text(text: &str) -> Result<Histogram<u64>, String> {
    let bytes = STANDARD.decode(text).map_err(|error| error.to_string())?;
    let plain = inflated(&bytes)?;
    check(&plain)?;
    Deserializer::new().deserialize(&mut plain.as_slice()).map_err(|error| error.to_string())
}

/// The V2 form of V2-deflate bytes: a cookie, the length of what follows, and that (HdrHistogram's encoding of its
/// interval logs). No more is unpacked than any of ours can be.
fn inflated(bytes: &[u8]) -> Result<Vec<u8>, String> {
    /// A little more than nine bytes for each count of [`histogram`](super::histogram).
    const PLAIN_BYTES_MAX: u64 = 1 << 20;
    const HEAD_BYTES: usize = 8;
    let packed = bytes.get(HEAD_BYTES..).ok_or("it is too short")?;
    let mut plain = Vec::new();
    let read = ZlibDecoder::new(packed).take(PLAIN_BYTES_MAX + 1).read_to_end(&mut plain);
    read.map_err(|error| error.to_string())?;
    if plain.len() as u64 > PLAIN_BYTES_MAX { Err("it is too long".to_owned()) } else { Ok(plain) }
}

/// Refuses a range that would take more memory than those of ours, because it is allocated from what the head says, and
/// counts that the reader's sums run over with.
fn check(plain: &[u8]) -> Result<(), String> {
    /// A count has a byte for each seven of its bits, all but its last with the high bit. So many bytes are 2^48, and all
    /// counts together less than 2^64.
    const COUNT_BYTES_MAX: usize = 7;
    const HEAD_BYTES: usize = 40;
    let number = |at: usize| plain.get(at..at + 8)?.try_into().ok().map(u64::from_be_bytes);
    let digits = plain.get(12..16).and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes);
    let (Some(digits), Some(low), Some(high)) = (digits, number(16), number(24)) else {
        return Err("it is too short".to_owned());
    };
    let ours = super::histogram();
    if digits > u32::from(ours.sigfig()) || low != ours.low() || high > ours.high() {
        return Err(format!("values of {low} to {high} with {digits} digits are none of ours"));
    }
    let counts = plain.get(HEAD_BYTES..).unwrap_or_default();
    if counts.split(|byte| byte & 0x80 == 0).any(|run| run.len() >= COUNT_BYTES_MAX) {
        return Err("it has counts that nobody counts to".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::histogram;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    fn some() -> Histogram<u64> {
        let mut some = histogram();
        (1..=1_000).for_each(|n| some.record(n * 100).unwrap());
        some
    }

    #[test]
    fn the_plotter_gets_ascending_lines_up_to_all() {
        let mut out = Vec::new();
        write_percentiles(&mut out, "x", &some()).unwrap();
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<Vec<f64>> = text
            .lines()
            .filter(|line| !line.starts_with('#') && !line.contains("Value") && !line.is_empty())
            .map(|line| line.split_whitespace().map(|cell| cell.parse().unwrap()).collect())
            .collect();
        assert!(lines.is_sorted_by(|one, next| one[0] <= next[0] && one[1] <= next[1] && one[2] <= next[2]));
        assert_eq!(lines.last().unwrap()[1..], [1.0, 1_000.0]);
        assert!(text.starts_with("# x\n# Percentile text"));
    }

    #[test]
    fn the_log_and_the_text_give_the_histogram_back() {
        let series = LatencySeries { uncorrected: Some(some()), ..LatencySeries::of_runs("x", vec![some(), some()]) };
        let mut out = Vec::new();
        write_log(&mut out, &series).unwrap();
        let entries: Vec<_> = IntervalLogIterator::new(&out).map(Result::unwrap).collect();
        let intervals = entries.iter().filter_map(|entry| match entry {
            LogEntry::Interval(interval) => Some(from_text(interval.encoded_histogram()).unwrap()),
            _ => None,
        });
        assert_eq!(intervals.collect::<Vec<_>>(), vec![some(); 3]);
        assert_eq!(from_text(&to_text(&some())).unwrap(), some());
        assert!(from_text("no base64!").is_err() && from_text("AAAA").is_err());
    }

    #[test]
    fn a_text_that_claims_much_memory_is_refused() {
        let wide = Histogram::<u64>::new_with_bounds(1, u64::MAX / 4, 3).unwrap();
        let fine = Histogram::<u64>::new_with_bounds(1, 1_000_000, 5).unwrap();
        for other in [wide, fine] {
            assert!(from_text(&to_text(&other)).unwrap_err().contains("none of ours"));
        }
        let mut packed = flate2::write::ZlibEncoder::new(vec![0; 8], flate2::Compression::fast());
        std::io::copy(&mut std::io::repeat(0).take(100 << 20), &mut packed).unwrap();
        let text = STANDARD.encode(packed.finish().unwrap());
        assert_eq!(from_text(&text).unwrap_err(), "it is too long");
    }

    /// The smallest of all numbers, as a run of zeros: the library negates it.
    #[test]
    fn a_count_that_runs_over_is_refused() {
        let mut plain = inflated(&STANDARD.decode(to_text(&some())).unwrap()).unwrap();
        plain.truncate(40);
        plain[4..8].copy_from_slice(&9_u32.to_be_bytes());
        plain.extend([0xFF; 9]);
        let mut packed = flate2::write::ZlibEncoder::new(vec![0; 8], flate2::Compression::fast());
        packed.write_all(&plain).unwrap();
        assert!(from_text(&STANDARD.encode(packed.finish().unwrap())).unwrap_err().contains("nobody"));
    }
}
