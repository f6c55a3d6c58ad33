//! The command line as scripts use it: pipes that close, settings that cannot work, exit codes. Starts no platform that
//! stays: every command here ends by itself.

use std::process::{Command, Output, Stdio};

fn bist(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bist"));
    command.env("BIST__STORAGE__EPHEMERAL", "true");
    command.args(arguments).current_dir(env!("CARGO_TARGET_TMPDIR")).env_remove("RUST_LOG").env("RUST_BACKTRACE", "1");
    command
}

fn run(arguments: &[&str]) -> Output {
    bist(arguments).output().expect("the program runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A pipe whose reader has gone before the first byte: `| true`.
#[test]
fn a_reader_that_has_gone_ends_every_command_quietly() {
    let capture = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz/corpus/recording_framed/itch50_per_type");
    for arguments in [
        &["config", "--print"][..],
        &["config", "--check"],
        &["doctor"],
        &["doctor", "--json"],
        &["inspect", capture],
        &["man"],
        &["completions", "bash"],
    ] {
        let mut child =
            bist(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program runs");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("it ends");
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {errors}");
        assert!(!errors.contains("panicked") && !errors.contains("Broken pipe"), "{arguments:?}: {errors}");
    }
}

/// What `serve` would refuse, `config --check` refuses: exit code 2, one line, the key by name.
#[test]
fn p7_a_setting_that_cannot_work_is_refused_by_its_key_before_anything_starts() {
    for (key, value) in [
        ("BIST__RINGS__UPDATE_SLOTS", "10"),
        ("BIST__RINGS__EVENT_SLOTS", "3"),
        ("BIST__SIM__RATE", "0"),
        ("BIST__SIM__SYMBOLS", "400"),
        ("BIST__SIM__SPEED", "0"),
        ("BIST__MARKET_DATA__CONNECTIONS_MAX", "0"),
        ("BIST__MARKET_DATA__SUBSCRIPTIONS_MAX", "0"),
        ("BIST__API__LISTEN", "127.0.0.1:8083"),
        ("BIST__LOG__LEVEL", "loud"),
        ("BIST__FEED__SOURCE", "itch"),
        ("BIST__BOOK__BOOKS_MAX", "0"),
        ("BIST__THREADS__API_WORKERS", "65"),
        ("BIST__SIM__NONSENSE", "1"),
    ] {
        for command in [&["config", "--check"][..], &["serve"]] {
            let output = bist(command).env(key, value).output().expect("the program runs");
            let errors = text(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{key}={value} {command:?}: {errors}");
            let name = key.trim_start_matches("BIST__").to_lowercase().replace("__", ".");
            let last = name.rsplit('.').next().expect("a key");
            assert!(errors.contains(last) || errors.contains("feed.listen"), "{key}={value}: {errors}");
            assert!(!errors.contains("panicked"), "{key}={value}: {errors}");
        }
    }
}

#[test]
fn p7_a_core_that_does_not_exist_and_a_taken_port_are_named() {
    let cores = [("BIST__THREADS__PIN", "always"), ("BIST__THREADS__CORES", "99999")];
    for command in [&["config", "--check"][..], &["serve"]] {
        let output = bist(command).envs(cores).output().expect("the program runs");
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{command:?}: {errors}");
        assert!(errors.contains("threads.cores") && errors.contains("99999"), "{errors}");
    }
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("its address").to_string();
    let free = "127.0.0.1:0";
    let output = run(&["serve", "--api-listen", &address, "--market-data-listen", free, "--admin-listen", free]);
    let errors = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(errors.contains(&address) && errors.contains("api.listen"), "{errors}");
}

#[test]
fn p7_a_recording_that_is_not_there_and_a_bad_filter_are_usage() {
    let output = run(&["replay", "no-such-recording.itch50"]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    let output = bist(&["config", "--check"]).env("RUST_LOG", "loud").output().expect("the program runs");
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("RUST_LOG"), "{}", text(&output.stderr));
}
