//! Disks that are full or fail: a clear error, no acknowledgement, and everything acknowledged before is there.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use api_store::{StorageConfig, Store, StoreError};

use crate::common::{NOTES, SET, add_note, child, notes, sqlite};

async fn fill(store: &Store) -> (Vec<i64>, StoreError) {
    let (mut acknowledged, text) = (Vec::new(), &"x".repeat(20_000));
    for id in 1.. {
        match store
            .database
            .write(|mut tx| async move {
                let tx = &mut *tx;
                add_note(tx, id, &format!("{id}{text}")).await
            })
            .await
        {
            Ok(()) => acknowledged.push(id),
            Err(error) => return (acknowledged, error),
        }
        assert!(id < 5_000, "the disk never filled");
    }
    unreachable!("the loop has no end")
}

fn config(path: &Path) -> StorageConfig {
    let mut config = StorageConfig::in_folder(path.join("data"));
    config.deadline = Duration::from_secs(20);
    config
}

#[tokio::test(flavor = "multi_thread")]
async fn d8_store_a_full_disk_is_said_and_loses_nothing_and_writing_goes_on_when_there_is_room() {
    let folder = tempfile::tempdir().expect("a folder");
    let mount = |args: &[&str]| Command::new("mount").args(args).arg(folder.path()).status();
    if !mount(&["-t", "tmpfs", "-o", "size=3m", "tmpfs"]).is_ok_and(|status| status.success()) {
        println!("the full disk is left out: mounting a tmpfs is not allowed here (root only)");
        return;
    }
    let outcome = tokio::spawn({
        let path = folder.path().to_owned();
        async move { full_disk(&path).await }
    })
    .await;
    let _ = Command::new("umount").arg(folder.path()).status();
    outcome.expect("the test on the small disk");
}

async fn full_disk(path: &Path) {
    let store = Store::open(&config(path), NOTES, &SET).await.expect("room for an empty database");
    let ballast = path.join("ballast");
    std::fs::write(&ballast, vec![1; 1 << 20]).expect("room for the ballast");
    let (acknowledged, error) = fill(&store).await;
    assert!(matches!(error, StoreError::Full { .. }), "{error:?}");
    assert!(error.to_string().contains("free space"), "{error}");
    let read = async |store: &Store| {
        store
            .database
            .read(|mut tx| async move {
                let tx = &mut *tx;
                notes(tx).await
            })
            .await
            .expect("notes")
    };
    assert_eq!(read(&store).await, acknowledged, "reading goes on");
    std::fs::remove_file(&ballast).expect("the ballast");
    let next = acknowledged.len() as i64 + 1;
    store
        .database
        .write(|mut tx| async move {
            let tx = &mut *tx;
            add_note(tx, next, "room again").await
        })
        .await
        .expect("room again");
    store.database.close(Duration::from_secs(5)).await;
    drop(store);
    let store = Store::open(&config(path), NOTES, &SET).await.expect("it opens again");
    assert_eq!(read(&store).await, (1..=next).collect::<Vec<_>>());
    store.database.close(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d8_store_after_a_failed_write_nothing_is_acknowledged_until_a_restart() {
    let place = sqlite();
    drop(place.open().await);
    let output = child("disk::writes_on_a_failing_disk", "BIST_TEST_DISK", place.folder.path().as_os_str())
        .output()
        .expect("a child");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let acknowledged = text.lines().find_map(crate::common::acknowledged);
    let acknowledged = acknowledged.unwrap_or_else(|| panic!("{text}"));
    let store = place.open().await;
    let all = store
        .database
        .read(|mut tx| async move {
            let tx = &mut *tx;
            notes(tx).await
        })
        .await
        .expect("notes");
    assert_eq!(all, (1..=acknowledged).collect::<Vec<_>>());
    store
        .database
        .write(|mut tx| async move {
            let tx = &mut *tx;
            add_note(tx, acknowledged + 1, "well again").await
        })
        .await
        .expect("after a restart");
}

/// The child of the test above: its files may not grow beyond 1 MiB, so that `write` fails with EFBIG.
#[tokio::test(flavor = "multi_thread")]
async fn writes_on_a_failing_disk() {
    let Some(path) = std::env::var_os("BIST_TEST_DISK") else { return };
    let noticed = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(signal_hook::consts::SIGXFSZ, noticed)
        .expect("a handler: the default ends the process");
    let store = Store::open(&config(Path::new(&path)), NOTES, &SET).await.expect("the store");
    rlimit::setrlimit(rlimit::Resource::FSIZE, 1 << 20, 1 << 20).expect("a limit");
    let (acknowledged, error) = fill(&store).await;
    assert!(matches!(error, StoreError::Disk(_)), "{error:?}");
    // A small one would fit; but what the kernel did with the failed one is not known.
    let small = store
        .database
        .write(|mut tx| async move {
            let tx = &mut *tx;
            add_note(tx, -1, "small").await
        })
        .await;
    assert!(matches!(small, Err(StoreError::Disk(_))), "{small:?}");
    assert!(matches!(store.database.health().await, Err(StoreError::Disk(_))));
    println!("acknowledged {}", acknowledged.len());
}
