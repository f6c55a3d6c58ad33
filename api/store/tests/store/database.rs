//! Transactions: what they promise, and their answers when something is in the way.

use std::sync::Arc;
use std::time::{Duration, Instant};

use api_store::{StoreError, on_both};

use crate::common::{add_note, notes, places, run, sqlite};

#[tokio::test(flavor = "multi_thread")]
async fn what_returned_ok_is_there_and_the_rest_is_not() {
    for place in places().await {
        let store = place.open().await;
        let db = &store.database;
        db.write(|mut tx| async move {
            let tx = &mut *tx;
            add_note(tx, 1, "kept").await
        })
        .await
        .expect("a note");
        let undone = db.write(|mut tx| async move {
            let tx = &mut *tx;
            add_note(tx, 2, "undone").await?;
            Err::<(), _>(StoreError::Refused("by the caller".to_owned()))
        });
        assert!(matches!(undone.await, Err(StoreError::Refused(_))), "{}", place.name);
        assert_eq!(
            db.read(|mut tx| async move {
                let tx = &mut *tx;
                notes(tx).await
            })
            .await
            .expect("notes"),
            [1],
            "{}",
            place.name
        );
        let stats = db.stats();
        assert!(stats.acquired >= 3 && stats.waiting == 0, "{stats:?}");
    }
}

/// A handler of a server needs its future to be `Send`, with whatever it borrows.
#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_runs_in_a_spawned_task_and_borrows_from_it() {
    for place in places().await {
        let store = place.open().await;
        let db = store.database.clone();
        let task = tokio::spawn(async move {
            let (id, text) = (7, &String::from("borrowed"));
            db.write(|mut tx| async move {
                let tx = &mut *tx;
                add_note(tx, id, text).await
            })
            .await?;
            db.read(|mut tx| async move {
                let tx = &mut *tx;
                on_both!(tx, c => sqlx::query_scalar::<_, String>("SELECT text FROM notes WHERE id = $1")
                    .bind(id).fetch_one(c))
            })
            .await
        });
        assert_eq!(task.await.expect("the task").expect("the note"), "borrowed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_say_which_kind_they_are_and_no_value() {
    for place in places().await {
        let store = place.open().await;
        let db = &store.database;
        db.write(|mut tx| async move {
            let tx = &mut *tx;
            add_note(tx, 1, "secret-value").await
        })
        .await
        .expect("a note");
        let taken = db
            .write(|mut tx| async move {
                let tx = &mut *tx;
                add_note(tx, 2, "secret-value").await
            })
            .await
            .expect_err("unique");
        let StoreError::Conflict { constraint } = &taken else { panic!("{}: {taken:?}", place.name) };
        assert!(constraint.contains("notes"), "{constraint}");
        assert!(!format!("{taken:?} {taken}").contains("secret-value"), "{taken:?}");
        let empty = db
            .write(|mut tx| async move {
                let tx = &mut *tx;
                add_note(tx, 3, "").await
            })
            .await
            .expect_err("a check");
        assert!(matches!(empty, StoreError::Refused(_)), "{}: {empty:?}", place.name);
        let none = db.read(|mut tx| async move { let tx = &mut *tx;
            on_both!(tx, c => sqlx::query_scalar::<_, i64>("SELECT id FROM notes WHERE id = $1").bind(9_i64).fetch_one(c))
        });
        assert!(matches!(none.await, Err(StoreError::NotFound)), "{}", place.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_cannot_write() {
    for place in places().await {
        let store = place.open().await;
        let error = store
            .database
            .read(|mut tx| async move {
                let tx = &mut *tx;
                add_note(tx, 1, "x").await
            })
            .await
            .expect_err("read only");
        let after = store
            .database
            .write(|mut tx| async move {
                let tx = &mut *tx;
                add_note(tx, 1, "x").await
            })
            .await;
        after.unwrap_or_else(|after| panic!("{}: {error:?} spoiled writing: {after:?}", place.name));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_writers_at_once_all_get_their_turn() {
    for mut place in places().await {
        place.config.waiters_max = 200;
        let store = place.open().await;
        let writers = (0..100).map(|id| {
            let db = store.database.clone();
            tokio::spawn(async move {
                db.write(|mut tx| async move {
                    let tx = &mut *tx;
                    add_note(tx, id, &format!("n{id}")).await
                })
                .await
            })
        });
        for writer in writers.collect::<Vec<_>>() {
            writer.await.expect("a task").unwrap_or_else(|error| panic!("{}: {error}", place.name));
        }
        let all = store
            .database
            .read(|mut tx| async move {
                let tx = &mut *tx;
                notes(tx).await
            })
            .await
            .expect("notes");
        assert_eq!(all, (0..100).collect::<Vec<i64>>(), "{}", place.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn d1_store_whoever_waits_too_long_or_is_one_too_many_is_told_within_a_second() {
    for mut place in places().await {
        place.config.deadline = Duration::from_millis(900);
        place.config.connections_max = 1;
        place.config.waiters_max = 2;
        let store = place.open().await;
        let db = store.database.clone();
        let (started, start) = tokio::sync::oneshot::channel();
        let holder = tokio::spawn({
            let db = db.clone();
            let started = Arc::new(std::sync::Mutex::new(Some(started)));
            async move {
                let started = &started;
                db.write(|mut tx| async move {
                    let tx = &mut *tx;
                    run(tx, "SELECT 1").await?;
                    let started = started.lock().expect("the sender").take();
                    started.map(|started| started.send(()));
                    std::future::pending::<Result<(), StoreError>>().await
                })
                .await
            }
        });
        start.await.expect("the holder writes");
        let begin = Instant::now();
        let waiters = (0..6).map(|id| {
            let db = db.clone();
            tokio::spawn(async move {
                db.write(|mut tx| async move {
                    let tx = &mut *tx;
                    add_note(tx, id, &format!("n{id}")).await
                })
                .await
            })
        });
        let mut unavailable = 0;
        for waiter in waiters.collect::<Vec<_>>() {
            match waiter.await.expect("a task") {
                Err(StoreError::Unavailable { retry_after, .. }) => {
                    assert!(!retry_after.is_zero());
                    unavailable += 1;
                }
                // The holder's own deadline ends a little earlier than theirs.
                Ok(()) => {}
                other => panic!("{}: {other:?}", place.name),
            }
        }
        assert!(unavailable >= 4, "{}: only {unavailable} were told", place.name);
        assert!(begin.elapsed() < Duration::from_millis(2_000), "{}: {:?}", place.name, begin.elapsed());
        assert!(db.stats().refused >= 4, "{:?}", db.stats());
        assert!(matches!(holder.await.expect("a task"), Err(StoreError::Unavailable { .. })));
        // Whoever was given up holds nothing: the next one writes.
        crate::common::eventually_async("a free connection", async || {
            db.write(|mut tx| async move {
                let tx = &mut *tx;
                add_note(tx, 100, "after").await
            })
            .await
            .is_ok()
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_is_opened_so_that_an_acknowledged_write_survives_a_power_cut() {
    let place = sqlite();
    let store = place.open().await;
    let pragmas = store.database.write(|mut tx| async move {
        let tx = &mut *tx;
        let mut found = Vec::new();
        for pragma in ["PRAGMA journal_mode", "PRAGMA synchronous", "PRAGMA foreign_keys", "PRAGMA secure_delete"] {
            let api_store::Tx::Sqlite(held) = &mut *tx else { panic!("SQLite") };
            use sqlx::Row;
            let row = sqlx::query(pragma).fetch_one(held.connection()).await?;
            found.push(row.try_get::<String, _>(0).or_else(|_| row.try_get::<i64, _>(0).map(|n| n.to_string()))?);
        }
        Ok::<_, StoreError>(found)
    });
    assert_eq!(pragmas.await.expect("pragmas"), ["wal", "2", "1", "1"]);
    use std::os::unix::fs::MetadataExt;
    for entry in std::fs::read_dir(&place.config.path).expect("the folder") {
        let entry = entry.expect("an entry");
        let metadata = entry.metadata().expect("its metadata");
        if metadata.is_file() {
            assert_eq!(metadata.mode() & 0o777, 0o600, "{}", entry.path().display());
        }
    }
}
