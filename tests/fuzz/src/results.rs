//! Results of `bist bench`, as `bist bench compare` reads them.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use benches::compare::compare;
use benches::environment::NOT_KNOWN;
use benches::report::saved::{SCHEMA, Saved};
use flate2::Compression;
use flate2::write::ZlibEncoder;

/// A result of any text, or one whose histogram is any bytes: it is refused with words, or it is as good as itself.
pub fn results(data: &[u8]) {
    let Some((&kind, data)) = data.split_first() else { return };
    let text = match kind % 3 {
        0 => {
            let Ok(text) = std::str::from_utf8(data) else { return };
            text.to_owned()
        }
        1 => with_histogram(&STANDARD.encode(packed(data))),
        _ => with_histogram(&STANDARD.encode(data)),
    };
    let Ok(saved) = serde_json::from_str::<Saved>(&text) else { return };
    let again: Saved = serde_json::from_str(&saved.json()).expect("what is written can be read");
    assert_eq!(again.json(), saved.json());
    match compare(&saved, &again, 5.0) {
        Ok(comparison) => {
            assert!(!comparison.has_regressed(), "{}", comparison.text());
            assert!(comparison.text().starts_with(&saved.name));
        }
        Err(refused) => assert!(!refused.to_string().is_empty()),
    }
}

/// As a histogram is packed.
fn packed(plain: &[u8]) -> Vec<u8> {
    let mut packed = ZlibEncoder::new(vec![0; 8], Compression::fast());
    // OK because nothing fails that writes into memory.
    let _ = packed.write_all(plain);
    packed.finish().unwrap_or_default()
}

/// A whole result of one series with this histogram.
fn with_histogram(histogram: &str) -> String {
    let histogram = serde_json::json!({
        "count": 1, "min_ns": 1, "percentiles_ns": [[50.0, 1]], "max_ns": 1, "histogram": histogram
    });
    let series = |name: &str, runs: usize| {
        serde_json::json!({
            "name": name, "rate_per_s": 1_000, "achieved_per_s": 1_000.0, "corrected": histogram, "uncorrected": null,
            "runs": vec![&histogram; runs]
        })
    };
    serde_json::json!({
        "schema": SCHEMA, "name": "pipeline", "question": "", "input": "", "command": "",
        "environment": environment(), "checked": [], "excluded": [], "rows": [],
        "latencies": [series("one", 1), series("two", 2)]
    })
    .to_string()
}

/// A machine of which nothing is known.
fn environment() -> serde_json::Map<String, serde_json::Value> {
    let fields = [
        "cpu",
        "cores",
        "pinned",
        "governor",
        "turbo",
        "isolated",
        "numa",
        "kernel",
        "mitigations",
        "huge_pages",
        "memory",
        "allocator",
        "compiler",
        "version",
        "commit",
        "container",
        "load",
        "date",
    ];
    fields.map(|field| (field.to_owned(), NOT_KNOWN.into())).into_iter().collect()
}
