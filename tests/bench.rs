//! `bist bench` as its users run it: every bench in small mode, its files, and the exit codes of `compare`.

use std::path::Path;
use std::process::Output;

use serde_json::Value;

mod common;

fn bench(arguments: &[&str]) -> Output {
    common::command(&[&["bench"], arguments].concat()).output().expect("the program starts")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn result(folder: &Path) -> Value {
    let json = std::fs::read_to_string(folder.join("result.json")).expect("result.json");
    serde_json::from_str(&json).expect("JSON")
}

#[test]
fn every_bench_answers_in_small_mode_and_writes_its_files() {
    let scratch = tempfile::tempdir().expect("a folder");
    for (name, latency) in [
        ("decode", None),
        ("book", None),
        ("ring", Some("round-trip")),
        ("encode", None),
        ("replay", None),
        ("pipeline", None),
        ("fanout", None),
    ] {
        let folder = scratch.path().join(name);
        let output = bench(&[name, "--small", "--runs", "2", "--out", &folder.to_string_lossy()]);
        let shown = text(&output);
        assert_eq!(output.status.code(), Some(0), "{name}: {shown}");
        for part in ["input", "machine", "checked", "excluded", "median"] {
            assert!(shown.contains(part), "{name} does not show {part}: {shown}");
        }
        let result = result(&folder);
        assert_eq!((&result["schema"], &result["name"]), (&Value::from(1), &Value::from(name)));
        let rows = result["rows"].as_array().expect("rows");
        assert!(rows.iter().all(|row| row["samples"].as_array().is_some_and(|samples| samples.len() == 2)), "{name}");
        assert!(result["checked"].as_array().is_some_and(|checked| !checked.is_empty()), "{name}");
        let page = std::fs::read_to_string(folder.join("report.html")).expect("report.html");
        assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"), "{name}");
        for ending in latency.iter().flat_map(|series| [format!("{series}.hgrm"), format!("{series}.hlog")]) {
            assert!(folder.join(&ending).is_file(), "{name} wrote no {ending}");
        }
    }
}

/// The bench pins itself first; the server that it starts then must still find the other cores.
#[test]
fn a_measured_server_starts_beside_a_thread_that_is_pinned() {
    let cores = core_affinity::get_core_ids().expect("cores");
    for core in cores.iter().take(2) {
        for name in ["pipeline", "fanout"] {
            let output = bench(&[name, "--small", "--runs", "1", "--core", &core.id.to_string()]);
            assert_eq!(output.status.code(), Some(0), "{name} on core {}: {}", core.id, text(&output));
        }
    }
}

#[test]
fn compare_finds_a_regression_and_refuses_what_it_cannot_compare() {
    let scratch = tempfile::tempdir().expect("a folder");
    let path = |name: &str| scratch.path().join(name).to_string_lossy().into_owned();
    let (good, bad, other) = (path("good"), path("bad"), path("other"));
    assert!(bench(&["decode", "--small", "--out", &good]).status.success());
    let same = bench(&["compare", &good, &good]);
    assert_eq!(same.status.code(), Some(0), "{}", text(&same));

    let a_hundred_times = |row: &str| {
        let mut doctored = result(Path::new(&good));
        let mut rows = doctored["rows"].as_array_mut().expect("rows").iter_mut();
        let row = rows.find(|one| one["name"] == row).expect("a row of that name");
        for sample in row["samples"].as_array_mut().expect("samples") {
            *sample = Value::from(sample.as_f64().expect("a number") * 100.0);
        }
        doctored
    };
    std::fs::write(&bad, a_hundred_times("floor: walk").to_string()).expect("written");
    let machine = bench(&["compare", &good, &bad]);
    assert_eq!(machine.status.code(), Some(0), "{}", text(&machine));
    assert!(text(&machine).contains("warning: floor: walk differs by +9900.0 %"), "{}", text(&machine));

    let mut doctored = a_hundred_times("decode");
    std::fs::write(&bad, doctored.to_string()).expect("written");
    let worse = bench(&["compare", &good, &bad]);
    assert_eq!(worse.status.code(), Some(3), "{}", text(&worse));
    assert!(text(&worse).contains("worse, beyond 5 %"), "{}", text(&worse));
    assert_eq!(bench(&["compare", &bad, &good]).status.code(), Some(0), "better is no regression");
    assert_eq!(bench(&["compare", &good, &bad, "--tolerance", "100000000"]).status.code(), Some(0));

    doctored["name"] = Value::from("book");
    std::fs::write(&other, doctored.to_string()).expect("written");
    for (second, says) in [(other.as_str(), "different benches"), (path("nothing").as_str(), "--out")] {
        let refused = bench(&["compare", &good, second]);
        assert_eq!(refused.status.code(), Some(2), "{}", text(&refused));
        assert!(text(&refused).contains(says), "{}", text(&refused));
    }
}

#[test]
fn an_input_that_cannot_be_used_says_what_can() {
    let scratch = tempfile::tempdir().expect("a folder");
    let file = scratch.path().join("day.itch50");
    std::fs::write(&file, b"hello, world").expect("written");
    let output = bench(&["book", "--small", &file.to_string_lossy()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("bist bench replay"), "{}", text(&output));
    let usage = bench(&["decode", "--core", "99999", "--small"]);
    assert!(!usage.status.success() && text(&usage).contains("--core none"), "{}", text(&usage));
    assert_eq!(bench(&["decode", "--runs", "0"]).status.code(), Some(2));
    assert_eq!(bench(&["book", "--preset", "a", "--small"]).status.code(), Some(2), "a preset is not small");
    let impossible = bench(&["replay", "--small", "--live-orders", "1000000"]);
    assert_eq!(impossible.status.code(), Some(1));
    assert!(text(&impossible).contains("1000000 live orders"), "{}", text(&impossible));
    assert!(text(&impossible).contains("--live-orders"), "{}", text(&impossible));
    // A number of messages alone brings a number of orders that it reaches.
    for name in ["decode", "book", "replay"] {
        let short = bench(&[name, "--runs", "1", "--warm-up", "0", "--messages", "30000"]);
        assert_eq!(short.status.code(), Some(0), "{name}: {}", text(&short));
    }
    let levels = bench(&["book", "--small", "--runs", "1", "--levels-only"]);
    assert_eq!(levels.status.code(), Some(0), "{}", text(&levels));
    assert!(text(&levels).contains("decode and level totals"), "{}", text(&levels));
}

/// More clients than the system lets a process have open files: said before anything is started, with what to do.
#[cfg(unix)]
#[test]
fn too_many_clients_for_the_systems_limit_are_refused_with_what_to_do() {
    let program = common::command(&["bench", "fanout", "--small", "--clients", "1000"]);
    let words: Vec<_> = std::iter::once(program.get_program()).chain(program.get_args()).collect();
    let limited = std::process::Command::new("sh")
        .args(["-c", "ulimit -n 256 && exec \"$@\"", "sh"])
        .args(words)
        .output()
        .expect("a shell starts");
    assert_eq!(limited.status.code(), Some(1));
    let shown = text(&limited);
    assert!(shown.contains("2064 open files") && shown.contains("ulimit -n") && shown.contains("--clients"), "{shown}");
}

#[test]
fn a_server_that_is_not_ours_needs_its_feed_and_must_be_there() {
    let url = ["fanout", "--small", "--url", "ws://127.0.0.1:1/"];
    assert_eq!(bench(&url).status.code(), Some(2), "no --feed");
    let output = bench(&[&url[..], &["--feed", "tcp://127.0.0.1:1"]].concat());
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("does the server run"), "{}", text(&output));
}

/// Real recordings, where this checkout has them: every bench that takes a file takes them.
#[test]
fn recordings_are_measured_too() {
    let Some(data) = common::shared_data() else { return };
    let day = data.join("bist-itch/GARAN.E_20220921_first6002.bistech2112.gz").to_string_lossy().into_owned();
    for name in ["decode", "book", "encode", "replay"] {
        let output = bench(&[name, "--small", "--runs", "1", &day]);
        assert_eq!(output.status.code(), Some(0), "{name}: {}", text(&output));
    }
    let capture = data.join("bist-itch/GARAN.E_20220921_first6002.bistech2112.pcap.gz").to_string_lossy().into_owned();
    let output = bench(&["replay", "--small", "--runs", "1", &capture]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
}
