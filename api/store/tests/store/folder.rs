//! The data folder: who may read it, one process for a service, epochs that only grow.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use api_store::{DataFolder, EpochFile, ServiceName, StoreError};

use crate::common::{child, sqlite};

const USERS: ServiceName = ServiceName::new("users");

#[test]
fn only_the_owner_reads_what_is_made() {
    let place = sqlite();
    let folder = place.data();
    folder.write_durable("a", b"1").expect("a file");
    folder.touch(&folder.path().join("b")).expect("a file");
    let mode = |path: &Path| std::fs::metadata(path).expect("it is there").mode() & 0o777;
    assert_eq!(mode(folder.path()), 0o700);
    for name in ["a", "b"] {
        assert_eq!(mode(&folder.path().join(name)), 0o600, "{name}");
    }
}

#[test]
fn a_folder_that_others_can_open_is_refused_with_the_command_that_mends_it() {
    let place = sqlite();
    let path = place.data().path().to_owned();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).expect("our own folder");
    let words = DataFolder::open(&path).expect_err("too wide").to_string();
    assert!(words.contains(&format!("chmod 700 {}", path.display())), "{words}");
}

#[test]
fn the_default_folder_follows_systemd_then_xdg_then_home() {
    let path = |set: &[(&str, &str)]| {
        let set: Vec<_> = set.iter().map(|(name, value)| (name.to_string(), OsString::from(value))).collect();
        DataFolder::default_path(|name| set.iter().find(|(set, _)| set == name).map(|(_, value)| value.clone()))
    };
    let all = [("STATE_DIRECTORY", "/var/lib/bist:/x"), ("XDG_DATA_HOME", "/d"), ("HOME", "/h")];
    assert_eq!(path(&all), Some(PathBuf::from("/var/lib/bist")));
    assert_eq!(path(&all[1..]), Some(PathBuf::from("/d/bist")));
    assert_eq!(path(&all[2..]), Some(PathBuf::from("/h/.local/share/bist")));
    assert_eq!(path(&[("XDG_DATA_HOME", "relative"), ("HOME", "/h")]), Some(PathBuf::from("/h/.local/share/bist")));
    assert_eq!(path(&[]), None);
}

#[test]
fn p6_folder_a_second_process_of_a_service_is_refused_and_names_the_first() {
    let place = sqlite();
    let folder = place.data();
    let mut first = child("folder::holds_the_lock", "BIST_TEST_LOCK", folder.path().as_os_str())
        .stdout(Stdio::piped())
        .stdin(Stdio::piped())
        .spawn()
        .expect("a child");
    let mut lines = BufReader::new(first.stdout.take().expect("its output")).lines();
    assert!(lines.any(|line| line.expect("a line").contains("locked")));
    match folder.lock(USERS).expect_err("the child has it") {
        StoreError::Locked { service, pid, since_s, .. } => {
            assert_eq!((service, pid), ("users", first.id()));
            assert!(since_s > 1_700_000_000);
        }
        other => panic!("{other}"),
    }
    // Another service shares the folder.
    folder.lock(ServiceName::new("orders")).expect("its own lock");
    first.kill().expect("our child");
    first.wait().expect("our child");
    folder.lock(USERS).expect("a killed process holds nothing");
}

/// The first process of the test above.
#[test]
fn holds_the_lock() {
    let Some(path) = std::env::var_os("BIST_TEST_LOCK") else { return };
    let _lock = DataFolder::open(path).expect("the folder").lock(USERS).expect("the lock");
    println!("locked");
    // Until it is killed, or its parent is gone.
    let _ = std::io::stdin().read_line(&mut String::new());
}

#[test]
fn an_epoch_never_repeats_and_never_falls() {
    let place = sqlite();
    let folder = place.data();
    let next = |now_s| EpochFile::new(&folder).next(now_s).expect("an epoch");
    assert_eq!(next(1_000), 1_000);
    assert_eq!(next(1_000), 1_001, "a restart within a second");
    assert_eq!(next(10), 1_002, "a wall clock that was put back");
    assert_eq!(next(5_000), 5_000);
}

#[test]
fn epochs_taken_at_once_are_all_different() {
    let place = sqlite();
    let folder = place.data();
    let take = || (0..25).map(|_| EpochFile::new(&folder).next(7).expect("an epoch")).collect::<Vec<_>>();
    let mut all: Vec<u64> = std::thread::scope(|scope| {
        let takers: Vec<_> = (0..4).map(|_| scope.spawn(take)).collect();
        takers.into_iter().flat_map(|taker| taker.join().expect("a taker")).collect()
    });
    all.sort_unstable();
    assert_eq!(all, (7..107).collect::<Vec<_>>());
}

#[test]
fn a_damaged_epoch_file_is_refused_with_what_to_do() {
    let place = sqlite();
    let folder = place.data();
    for damage in ["", "x", "-1", "18446744073709551615"] {
        std::fs::write(folder.path().join("epoch"), damage).expect("our own file");
        let words = EpochFile::new(&folder).next(1).expect_err(damage).to_string();
        assert!(words.contains("write a number into it"), "{words}");
    }
}
