//! The data folder as an operator meets it: numbers that only grow, one process at a time, errors that say what to do.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;
use std::time::Duration;

mod common;

const SIMULATOR: [&str; 3] = ["serve", "--source", "sim"];

fn kept_in(folder: &Path) -> [(&'static str, String); 2] {
    [("BIST__STORAGE__EPHEMERAL", "false".to_owned()), ("BIST__STORAGE__PATH", folder.display().to_string())]
}

fn start(folder: &Path) -> common::Bist {
    let environment = kept_in(folder);
    common::Bist::start_with(&SIMULATOR, &environment.each_ref().map(|(name, value)| (*name, value.as_str())))
}

/// Starts a process that is expected to refuse.
fn refused(folder: &Path) -> Output {
    let keys = ["BIST__API__LISTEN", "BIST__MARKET_DATA__LISTEN", "BIST__USERS__LISTEN", "BIST__ADMIN__LISTEN"];
    let free = keys.map(|key| (key, "127.0.0.1:0"));
    common::command(&SIMULATOR).envs(kept_in(folder)).envs(free).output().expect("the program starts")
}

fn epoch(bist: &common::Bist) -> u64 {
    common::wait_for("a session", Duration::from_secs(10), || {
        bist.connect().frame().expect("an open socket")["epoch"].as_u64().filter(|&epoch| epoch > 0)
    })
}

#[test]
fn an_epoch_grows_over_restarts_within_a_second_and_over_kills() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("made/by/it");
    let mut last = 0;
    for signal in ["KILL", "TERM", "KILL"] {
        let mut bist = start(&path);
        let now = epoch(&bist);
        assert!(now > last, "{now} after {last}");
        last = now;
        bist.signal(signal);
        bist.wait(Duration::from_secs(5));
    }
    let mode = std::fs::metadata(&path).expect("a folder").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

/// What a clock that was put back looks like: the file has a higher number than the clock.
#[test]
fn an_epoch_does_not_fall_with_the_clock() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700)).expect("our own folder");
    std::fs::write(folder.path().join("epoch"), "9000000000\n").expect("our own file");
    assert!(epoch(&start(folder.path())) > 9_000_000_000);
}

#[test]
fn p6_folder_a_second_process_on_one_data_folder_refuses_and_names_the_first() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("data");
    let first = start(&path);
    let second = refused(&path);
    let words = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(2), "{words}");
    for part in [&first.pid().to_string(), "storage.path", &*path.to_string_lossy()] {
        assert!(words.contains(part), "{part} is not in: {words}");
    }
}

#[test]
fn a_folder_that_others_can_open_or_a_damaged_number_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let set = |mode| std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(mode)).expect("ours");
    set(0o755);
    let open = refused(folder.path());
    let words = String::from_utf8_lossy(&open.stderr).into_owned();
    assert!(open.status.code() == Some(2) && words.contains("chmod 700"), "{words}");
    set(0o700);
    std::fs::write(folder.path().join("epoch"), "seven\n").expect("our own file");
    let damaged = refused(folder.path());
    let words = String::from_utf8_lossy(&damaged.stderr).into_owned();
    assert!(damaged.status.code() == Some(2) && words.contains("write a number into it"), "{words}");
}
