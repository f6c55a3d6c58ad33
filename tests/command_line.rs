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
    let output = run(&[
        "serve",
        "--api-listen",
        &address,
        "--market-data-listen",
        free,
        "--users-listen",
        free,
        "--admin-listen",
        free,
    ]);
    let errors = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(errors.contains(&address) && errors.contains("api.listen"), "{errors}");
}

/// A pcap with one frame of ARP and none of UDP.
fn capture_without_udp() -> Vec<u8> {
    let mut file = vec![0xD4, 0xC3, 0xB2, 0xA1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0, 0, 1, 0, 0, 0];
    let mut frame = [0; 60];
    (frame[12], frame[13]) = (0x08, 0x06);
    for value in [0, 0, frame.len() as u32, frame.len() as u32] {
        file.extend(value.to_le_bytes());
    }
    file.extend(frame);
    file
}

/// What nothing can be read of ends with 3 and words, in a loop and without `--exit`, too; a good recording ends with 0.
#[test]
fn a_recording_of_which_nothing_can_be_read_ends_with_three_and_says_why() {
    let folder = tempfile::tempdir().expect("a folder");
    // ITCH 5.0: three system events.
    let mut event = vec![0, 12, b'S'];
    event.extend([0; 10]);
    event.push(b'O');
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).expect("written");
        path.to_str().expect("a path").to_owned()
    };
    let itch = write("day.itch50", &event.repeat(3));
    let arp = write("arp.pcap", &capture_without_udp());
    let free = [
        ("BIST__API__LISTEN", "127.0.0.1:0"),
        ("BIST__MARKET_DATA__LISTEN", "127.0.0.1:0"),
        ("BIST__USERS__LISTEN", "127.0.0.1:0"),
        ("BIST__ADMIN__LISTEN", "127.0.0.1:0"),
        ("BIST__BOOK__ORDERS_MAX", "1000"),
    ];
    for (arguments, code, words) in [
        (&["replay", &itch, "--format", "bistech"][..], 3, "every one of the 3 messages was refused"),
        (&["replay", &itch, "--format", "bistech", "--loop"], 3, "of another format"),
        (&["replay", &arp, "--exit"], 3, "1 frames are not UDP"),
        (&["replay", &itch, "--exit"], 0, ""),
        (&["inspect", &itch, "--format", "bistech"], 3, ""),
        (&["inspect", &arp], 3, ""),
    ] {
        let output = bist(arguments).envs(free).output().expect("the program runs");
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {errors}");
        assert!(errors.contains(words), "{arguments:?}: {errors}");
    }
}

/// Banner included: whoever reads lines of JSON reads nothing else, and quiet is quiet.
#[test]
fn the_form_of_log_lines_and_quiet_hold_for_the_banner_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("day.itch50");
    let mut event = vec![0, 12, b'S'];
    event.extend([0; 10]);
    event.push(b'O');
    std::fs::write(&path, event).expect("written");
    let file = path.to_str().expect("a path");
    let lines = |arguments: &[&str]| {
        let free =
            ["API", "MARKET_DATA", "USERS", "ADMIN"].map(|part| (format!("BIST__{part}__LISTEN"), "127.0.0.1:0"));
        let mut output = bist(arguments);
        let output = output.envs(free).env("BIST__BOOK__ORDERS_MAX", "1000");
        let output =
            output.env("BIST__STORAGE__EPHEMERAL", "false").env("BIST__STORAGE__PATH", folder.path().join("data"));
        let output = output.output().expect("it runs");
        assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(0), ""), "{arguments:?}");
        text(&output.stderr)
    };
    let json = lines(&["--log-format", "json", "replay", file, "--exit"]);
    let parsed: Vec<serde_json::Value> =
        json.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"))).collect();
    assert!(
        parsed.iter().any(|line| line["fields"]["message"] == "started" && line["fields"]["web"].is_string()),
        "{json}"
    );
    assert_eq!(lines(&["--quiet", "replay", file, "--exit"]), "");
    assert!(lines(&["replay", file, "--exit"]).contains("web page    http://127.0.0.1:"));
}

/// What a start will take, before it starts: by the source.
#[test]
fn doctor_says_the_memory_of_the_source_and_config_where_its_sizes_come_from() {
    for (source, origin) in [("sim", "default of source sim"), ("replay", "default of source replay")] {
        let with = |arguments: &[&str]| bist(arguments).env("BIST__FEED__SOURCE", source).output().expect("it runs");
        let doctor = text(&with(&["doctor"]).stdout);
        let memory = doctor.lines().find(|line| line.contains("memory  ")).expect("a line about memory");
        assert!(memory.contains(&format!("source {source} takes ")) && memory.contains(" MiB"), "{memory}");
        let printed = text(&with(&["config", "--print"]).stdout);
        let books = printed.lines().find(|line| line.starts_with("books_max")).expect("the key");
        assert!(books.ends_with(origin), "{books}");
    }
}

/// Lines of the README that name the program, without their remarks.
fn readme_lines() -> Vec<Vec<&'static str>> {
    let readme = include_str!("../README.md");
    let shells = readme.split("```sh").skip(1).filter_map(|block| block.split("```").next());
    let lines = shells.flat_map(str::lines).map(|line| line.split('#').next().unwrap_or(""));
    lines
        .map(|line| line.split_whitespace().collect())
        .filter(|words: &Vec<_>| words.first() == Some(&"bist"))
        .collect()
}

/// Every flag of a line is one, and whatever a line reads an earlier one has written.
#[test]
fn the_lines_of_the_readme_work_as_they_stand() {
    let (mut written, lines) = (Vec::new(), readme_lines());
    assert!(lines.len() > 4, "{lines:?}");
    for words in lines {
        let command = if words.get(1) == Some(&"bench") { 1..3 } else { 1..2.min(words.len()) };
        let help = text(&run(&[&words[command.clone()], &["--help"]].concat()).stdout);
        for flag in words.iter().filter(|word| word.starts_with("--")) {
            assert!(help.contains(flag), "{words:?}: there is no {flag}");
        }
        let arguments = &words[command.end..];
        let reads = match words.get(1).copied().unwrap_or_default() {
            "inspect" | "replay" => 1,
            "bench" if words[2] == "compare" => 2,
            _ => 0,
        };
        for file in &arguments[..reads] {
            assert!(written.contains(file), "{words:?}: nothing above writes {file}");
        }
        written.extend(arguments.windows(2).filter(|pair| matches!(pair[0], "--write" | "--out")).map(|pair| pair[1]));
    }
}

#[test]
fn p7_a_recording_that_is_not_there_and_a_bad_filter_are_usage() {
    let output = run(&["replay", "no-such-recording.itch50"]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    let output = bist(&["config", "--check"]).env("RUST_LOG", "loud").output().expect("the program runs");
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("RUST_LOG"), "{}", text(&output.stderr));
}
