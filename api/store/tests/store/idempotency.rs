//! The same key twice: one effect, one answer.

use api_store::idempotency::{self, Answer, Begun};
use api_store::{Store, StoreError};

use crate::common::{add_note, places};

async fn begin(store: &Store, key: &str, body: &[u8]) -> Begun {
    store
        .database
        .write(|mut tx| async move {
            let tx = &mut *tx;
            idempotency::begin(tx, "u1 POST /x", key, body, 5).await
        })
        .await
        .expect("a key")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_answer_is_given_again_and_another_body_is_a_conflict() {
    for place in places().await {
        let store = place.open().await;
        let answer = &Answer { status: 201, body: b"{\"id\":1}".to_vec() };
        assert_eq!(begin(&store, "k", b"body").await, Begun::First, "{}", place.name);
        assert_eq!(begin(&store, "k", b"body").await, Begun::InFlight);
        assert_eq!(begin(&store, "k", b"other").await, Begun::OtherBody);
        let finish = async || {
            store
                .database
                .write(|mut tx| async move {
                    let tx = &mut *tx;
                    idempotency::finish(tx, "u1 POST /x", "k", answer, 6).await
                })
                .await
        };
        finish().await.expect("the answer");
        assert_eq!(begin(&store, "k", b"body").await, Begun::Done(answer.clone()), "{}", place.name);
        assert_eq!(begin(&store, "k", b"other").await, Begun::OtherBody);
        assert!(matches!(finish().await, Err(StoreError::NotFound)), "an answer is never replaced");
        let elsewhere = store
            .database
            .write(|mut tx| async move {
                let tx = &mut *tx;
                idempotency::begin(tx, "u2", "k", b"other", 5).await
            })
            .await;
        assert_eq!(elsewhere.expect("a key"), Begun::First, "another user's keys are others");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_in_flight_survives_a_restart_and_is_released_only_by_its_owner() {
    for place in places().await {
        let store = place.open().await;
        assert_eq!(begin(&store, "k", b"body").await, Begun::First);
        drop(store);
        let store = place.open().await;
        assert_eq!(begin(&store, "k", b"body").await, Begun::InFlight, "{}", place.name);
        let db = &store.database;
        let pruned = db
            .write(|mut tx| async move {
                let tx = &mut *tx;
                idempotency::prune(tx, i64::MAX).await
            })
            .await;
        assert_eq!(pruned.expect("a pruning"), 0, "age releases nothing");
        let open = db
            .read(|mut tx| async move {
                let tx = &mut *tx;
                idempotency::in_flight(tx, i64::MAX).await
            })
            .await
            .expect("keys");
        assert_eq!(open, [("u1 POST /x".to_owned(), "k".to_owned())]);
        db.write(|mut tx| async move {
            let tx = &mut *tx;
            idempotency::release(tx, "u1 POST /x", "k").await
        })
        .await
        .expect("a release");
        assert_eq!(begin(&store, "k", b"body").await, Begun::First);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_requests_with_one_key_have_one_effect() {
    for mut place in places().await {
        place.config.waiters_max = 100;
        let store = place.open().await;
        let request = |n: i64| {
            let db = store.database.clone();
            tokio::spawn(async move {
                db.write(|mut tx| async move {
                    let tx = &mut *tx;
                    let begun = idempotency::begin(tx, "s", "k", b"body", 1).await?;
                    if begun == Begun::First {
                        add_note(tx, n, &format!("n{n}")).await?;
                        let answer = Answer { status: 201, body: n.to_string().into_bytes() };
                        idempotency::finish(tx, "s", "k", &answer, 2).await?;
                        return Ok(n.to_string().into_bytes());
                    }
                    match begun {
                        Begun::Done(answer) => Ok(answer.body),
                        other => Err(StoreError::Refused(format!("{other:?}"))),
                    }
                })
                .await
            })
        };
        let mut answers = Vec::new();
        for task in (0..50).map(request).collect::<Vec<_>>() {
            answers.push(task.await.expect("a task").unwrap_or_else(|error| panic!("{}: {error}", place.name)));
        }
        let notes = store
            .database
            .read(|mut tx| async move {
                let tx = &mut *tx;
                crate::common::notes(tx).await
            })
            .await
            .expect("notes");
        assert_eq!(notes.len(), 1, "{}", place.name);
        assert!(answers.iter().all(|answer| *answer == notes[0].to_string().into_bytes()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn finished_keys_are_forgotten_after_their_time() {
    for place in places().await {
        let store = place.open().await;
        begin(&store, "k", b"body").await;
        let answer = &Answer { status: 200, body: Vec::new() };
        let db = &store.database;
        db.write(|mut tx| async move {
            let tx = &mut *tx;
            idempotency::finish(tx, "u1 POST /x", "k", answer, 6).await
        })
        .await
        .expect("the answer");
        for (before_ms, gone) in [(6, 0), (7, 1)] {
            let pruned = db
                .write(|mut tx| async move {
                    let tx = &mut *tx;
                    idempotency::prune(tx, before_ms).await
                })
                .await;
            assert_eq!(pruned.expect("a pruning"), gone, "{}", place.name);
        }
        let refused = db
            .write(|mut tx| async move {
                let tx = &mut *tx;
                idempotency::begin(tx, "s", "", b"", 1).await
            })
            .await;
        assert!(matches!(refused, Err(StoreError::Refused(_))));
    }
}
