//! `bist sim --generate` as a quant runs it: the file is what was asked for, and `bist inspect` finds the same in it.

mod common;

use std::path::Path;
use std::process::Output;

use common::command;
use serde_json::Value;

fn bist(arguments: &[&str]) -> Output {
    command(arguments).output().expect("the program runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn answer(file: &Path) -> Value {
    let text = std::fs::read(format!("{}.answer.json", file.display())).expect("an answer beside the file");
    serde_json::from_slice(&text).expect("JSON")
}

#[test]
fn a_generated_file_is_read_back_message_by_message() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["t.itch50", "t.itch50.zst", "t.bistech.gz"] {
        let file = folder.path().join(name);
        let path = file.to_str().expect("a plain name");
        let small = ["--messages", "30000", "--symbols", "60", "--live-orders", "2000", "--seed", "3"];
        let made = bist(&[["sim", "--write", path, "--generate"].as_slice(), &small].concat());
        assert!(made.status.success(), "{name}: {}", text(&made.stderr));
        let answer = answer(&file);
        assert!(answer["messages"].as_u64().is_some_and(|messages| (30_000..=30_002).contains(&messages)), "{name}");
        assert!(answer["full_at_message"].as_u64().is_some_and(|at| at < 7_500), "{name}");
        assert!(text(&made.stdout).contains("live orders"), "{}", text(&made.stdout));

        let read = bist(&["inspect", path]);
        let report = text(&read.stdout);
        assert!(read.status.success(), "{name}: {report}{}", text(&read.stderr));
        for (kind, count) in answer["kinds"].as_object().expect("counts by type") {
            let line = report.lines().find(|line| line.split_whitespace().next() == Some(kind));
            let line = line.unwrap_or_else(|| panic!("{name}: no line of {kind} in\n{report}"));
            let count = count.to_string();
            let digits: String = line.chars().filter(|c| c.is_ascii_digit() || c.is_whitespace()).collect();
            let found = digits.split_whitespace().any(|number| number == count);
            assert!(found, "{name}: {count} of {kind}, but: {line}");
        }
    }
}

#[test]
fn what_cannot_be_generated_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).to_str().expect("a plain name").to_owned();
    let check = |arguments: &[&str], code: i32, said: &str| {
        let output = bist(arguments);
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {errors}");
        assert!(errors.contains(said), "{arguments:?}: {errors}");
    };
    let (nameless, good) = (path("stream"), path("t.itch50"));
    check(&["sim", "--generate"], 2, "--write <FILE>");
    check(&["sim", "--write", &good, "--messages", "5"], 2, "--generate");
    check(&["sim", "--write", &good, "--generate", "--rate", "5"], 2, "cannot be used with");
    check(&["sim", "--write", &nameless, "--generate"], 1, "add --format itch50");
    check(&["sim", "--write", &good, "--generate", "--live-orders", "5000000"], 1, "or more messages");
    check(&["sim", "--write", &good, "--generate", "--symbols", "70000"], 1, "ask for 1 to 65000");
    std::fs::write(&good, "mine").expect("a file");
    check(&["sim", "--write", &good, "--generate", "--messages", "20000", "--live-orders", "100"], 1, "--force");
    assert_eq!(std::fs::read(&good).expect("a file"), b"mine");
}
