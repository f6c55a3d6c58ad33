//! Steps of the schema, back-ups and their return, and every database that this program must not touch.

use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use api_store::migrations::{self, MigrationSet, SqlFile, UpOptions, backup};
use api_store::{Store, StoreError};

use crate::common::{NOTES, Place, SET, add_note, notes, places, run, sqlite};

const COLOUR: &str = "ALTER TABLE notes ADD COLUMN colour TEXT NOT NULL DEFAULT 'white'";

/// The next version of the service.
const NEXT: MigrationSet = MigrationSet {
    sqlite: &[SET.sqlite[0], SqlFile { version: 1002, name: "colour", sql: COLOUR }],
    postgres: &[SET.postgres[0], SqlFile { version: 1002, name: "colour", sql: COLOUR }],
};

const BROKEN_SQL: &str = "CREATE TABLE half (id BIGINT); INSERT INTO nowhere VALUES (1);";

const BROKEN: MigrationSet = MigrationSet {
    sqlite: &[SET.sqlite[0], SqlFile { version: 1002, name: "broken", sql: BROKEN_SQL }],
    postgres: &[SET.postgres[0], SqlFile { version: 1002, name: "broken", sql: BROKEN_SQL }],
};

async fn up(place: &Place, set: &MigrationSet) -> Result<migrations::Upgraded, StoreError> {
    migrations::up(&place.config, NOTES, &place.data(), set, UpOptions::default()).await
}

async fn status(place: &Place, set: &MigrationSet) -> migrations::Status {
    migrations::status(&place.config, NOTES, &place.data(), set).await.expect("a status")
}

async fn with_three_notes(place: &Place) {
    let store = place.open().await;
    for id in 1..=3 {
        store
            .database
            .write(|mut tx| async move {
                let tx = &mut *tx;
                add_note(tx, id, &format!("n{id}")).await
            })
            .await
            .expect("a note");
    }
    store.database.close(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_is_taken_once_after_a_back_up_that_was_read_back() {
    for place in places().await {
        with_three_notes(&place).await;
        assert_eq!(status(&place, &NEXT).await.pending, [1002], "{}", place.name);
        let done = up(&place, &NEXT).await.unwrap_or_else(|error| panic!("{}: {error}", place.name));
        assert_eq!(done.applied, [1002]);
        let backup = done.backup.expect("a back-up");
        assert!(backup.rows.contains(&("notes".to_owned(), 3)), "{:?}", backup.rows);
        assert_eq!(std::fs::metadata(&backup.path).expect("the back-up").mode() & 0o777, 0o600);
        let again = up(&place, &NEXT).await.expect("nothing to do");
        assert!(again.applied.is_empty() && again.backup.is_none());
        assert_eq!(status(&place, &NEXT).await.applied, [1, 1001, 1002]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_back_up_brings_back_schema_and_rows() {
    for place in places().await {
        with_three_notes(&place).await;
        let backup = up(&place, &NEXT).await.expect("a step").backup.expect("a back-up");
        let store = Store::open(&place.config, NOTES, &NEXT).await.expect("the new program");
        store
            .database
            .write(|mut tx| async move {
                let tx = &mut *tx;
                add_note(tx, 4, "after").await
            })
            .await
            .expect("a note");
        store.database.close(Duration::from_secs(5)).await;
        drop(store);
        let restored = match &place.config.postgres_url {
            None => {
                let folder = place.data();
                let lock = folder.lock(NOTES).expect("nobody runs");
                backup::restore_sqlite(&folder, NOTES, &lock, &backup.path).await
            }
            Some(url) => backup::restore_postgres(url, NOTES, &backup.path).await,
        };
        assert_eq!(restored.unwrap_or_else(|error| panic!("{}: {error}", place.name)), backup.rows);
        assert_eq!(status(&place, &SET).await.applied, [1, 1001], "{}", place.name);
        let store = place.try_open().await.expect("the old program");
        assert_eq!(
            store
                .database
                .read(|mut tx| async move {
                    let tx = &mut *tx;
                    notes(tx).await
                })
                .await
                .expect("notes"),
            [1, 2, 3]
        );
        store
            .database
            .write(|mut tx| async move {
                let tx = &mut *tx;
                add_note(tx, 4, "again").await
            })
            .await
            .expect("a note");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_back_up_is_refused() {
    for place in places().await {
        with_three_notes(&place).await;
        let backup = migrations::backup::backup(&place.config, NOTES, &place.data()).await.expect("a back-up");
        let whole = std::fs::read(&backup.path).expect("the back-up");
        for (what, bytes) in [("empty", &[][..]), ("cut", &whole[..whole.len() / 2]), ("text", b"-- PostgreSQL")] {
            std::fs::write(&backup.path, bytes).expect("our own file");
            let verified = match place.name {
                "sqlite" => backup::verify_sqlite(&backup.path).await,
                _ => backup::verify_postgres(&backup.path).await,
            };
            assert!(matches!(verified, Err(StoreError::Corrupt { .. })), "{}: {what}: {verified:?}", place.name);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn d9_store_an_older_schema_migrates_by_itself_on_sqlite_and_is_refused_on_postgresql() {
    for place in places().await {
        with_three_notes(&place).await;
        let opened = Store::open(&place.config, NOTES, &NEXT).await;
        match place.name {
            "sqlite" => {
                opened.expect("SQLite migrates by itself");
                assert_eq!(status(&place, &NEXT).await.applied, [1, 1001, 1002]);
                let backups = std::fs::read_dir(place.config.path.join("backups")).expect("back-ups").count();
                assert_eq!(backups, 1);
            }
            _ => {
                let words = opened.expect_err("an older schema").to_string();
                assert!(words.contains("bist migrate up"), "{words}");
                assert_eq!(status(&place, &NEXT).await.pending, [1002], "nothing was done");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn d9_store_a_newer_schema_is_refused_by_both() {
    for place in places().await {
        with_three_notes(&place).await;
        up(&place, &NEXT).await.expect("the new program's step");
        let error = place.try_open().await.expect_err("the old program");
        assert!(matches!(error, StoreError::SchemaNewer { version: 1002, .. }), "{}: {error:?}", place.name);
        assert!(error.to_string().contains("restore the back-up"), "{error}");
        assert!(matches!(up(&place, &SET).await, Err(StoreError::SchemaNewer { .. })));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn d9_store_a_step_that_fails_leaves_nothing_and_the_old_program_goes_on() {
    for place in places().await {
        with_three_notes(&place).await;
        let words = up(&place, &BROKEN).await.expect_err("a broken step").to_string();
        assert!(words.contains("1002"), "{}: {words}", place.name);
        assert_eq!(status(&place, &SET).await.applied, [1, 1001]);
        let store = place.try_open().await.expect("the old program");
        let half = store
            .database
            .write(|mut tx| async move {
                let tx = &mut *tx;
                run(tx, "SELECT * FROM half").await
            })
            .await;
        assert!(half.is_err(), "{}: the first statement stayed", place.name);
        assert_eq!(
            store
                .database
                .read(|mut tx| async move {
                    let tx = &mut *tx;
                    notes(tx).await
                })
                .await
                .expect("notes"),
            [1, 2, 3]
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn d9_store_a_half_applied_or_altered_step_is_refused_with_what_to_do() {
    for (tampering, expected) in [
        ("UPDATE _sqlx_migrations SET success = FALSE WHERE version = 1001", "half applied"),
        ("UPDATE _sqlx_migrations SET checksum = 'x' WHERE version = 1001", "another text"),
    ] {
        for place in places().await {
            let store = place.open().await;
            store
                .database
                .write(|mut tx| async move {
                    let tx = &mut *tx;
                    run(tx, tampering).await
                })
                .await
                .expect("a tampering");
            drop(store);
            let error = place.try_open().await.expect_err(expected);
            assert!(matches!(error, StoreError::Corrupt { .. }), "{}: {error:?}", place.name);
            let words = error.to_string();
            assert!(words.contains(expected) && words.contains("back-up"), "{words}");
            assert!(up(&place, &NEXT).await.is_err(), "no step is taken on it");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn d9_store_a_damaged_page_is_refused_with_what_to_do() {
    let place = sqlite();
    let store = place.open().await;
    for id in 0..200 {
        let text = &format!("{id}-{}", "x".repeat(200));
        store
            .database
            .write(|mut tx| async move {
                let tx = &mut *tx;
                add_note(tx, id, text).await
            })
            .await
            .expect("a note");
    }
    store.database.close(Duration::from_secs(5)).await;
    drop(store);
    let whole = std::fs::read(place.file()).expect("the database");
    // From the header over the schema to the last page; the write-ahead log is empty after an orderly end.
    for (what, at) in [("header", 0), ("schema page", 110), ("last page", whole.len() - 4_096)] {
        let mut damaged = whole.clone();
        damaged[at..at + 64].fill(0xa5);
        std::fs::write(place.file(), &damaged).expect("our own file");
        let error = place.try_open().await.expect_err(what);
        assert!(matches!(error, StoreError::Corrupt { .. }), "{what}: {error:?}");
        assert!(error.to_string().contains("restore the last back-up"), "{what}: {error}");
    }
    std::fs::write(place.file(), &whole).expect("our own file");
    place.try_open().await.expect("the undamaged one");
}

#[tokio::test(flavor = "multi_thread")]
async fn d1_store_two_starters_never_migrate_twice() {
    for place in places().await {
        if place.config.postgres_url.is_some() {
            place.up().await;
        } else {
            drop(place.open().await);
        }
        let (first, second, third) = tokio::join!(up(&place, &NEXT), up(&place, &NEXT), up(&place, &NEXT));
        let mut applied = 0;
        for done in [first, second, third] {
            applied += done.unwrap_or_else(|error| panic!("{}: {error}", place.name)).applied.len();
        }
        assert_eq!(applied, 1, "{}", place.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_cannot_take_the_versions_of_the_store() {
    const LOW: MigrationSet =
        MigrationSet { sqlite: &[SqlFile { version: 5, name: "low", sql: "SELECT 1" }], postgres: &[] };
    assert!(matches!(up(&sqlite(), &LOW).await, Err(StoreError::Fault(_))));
}
