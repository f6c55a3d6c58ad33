//! The outbox: only what committed, in order, without holes, at least once.

use api_store::{StoreError, Tx, outbox};

use crate::common::places;

async fn append(tx: &mut Tx, n: i64) -> Result<i64, StoreError> {
    outbox::append(tx, "user.changed", &format!("u{}", n % 3), &format!("{{\"n\":{n}}}"), n).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_gets_every_committed_message_in_order_and_again_until_it_advances() {
    for place in places().await {
        let store = place.open().await;
        let db = &store.database;
        db.write(|mut tx| async move {
            let tx = &mut *tx;
            outbox::register(tx, "bus").await
        })
        .await
        .expect("a reader");
        for n in 1..=5 {
            assert_eq!(
                db.write(|mut tx| async move {
                    let tx = &mut *tx;
                    append(tx, n).await
                })
                .await
                .expect("a message"),
                n
            );
        }
        let undone = db.write(|mut tx| async move {
            let tx = &mut *tx;
            append(tx, 6).await.and(Err::<i64, _>(StoreError::NotFound))
        });
        assert!(undone.await.is_err());
        let read = async |limit| {
            db.read(|mut tx| async move {
                let tx = &mut *tx;
                outbox::read(tx, "bus", limit).await
            })
            .await
            .expect("messages")
        };
        let positions = |messages: &[outbox::Message]| messages.iter().map(|m| m.position).collect::<Vec<_>>();
        assert_eq!(positions(&read(3).await), [1, 2, 3], "{}", place.name);
        assert_eq!(positions(&read(3).await), [1, 2, 3], "not dealt with: again");
        db.write(|mut tx| async move {
            let tx = &mut *tx;
            outbox::advance(tx, "bus", 3).await
        })
        .await
        .expect("an advance");
        db.write(|mut tx| async move {
            let tx = &mut *tx;
            outbox::advance(tx, "bus", 1).await
        })
        .await
        .expect("never back");
        let rest = read(10).await;
        assert_eq!(positions(&rest), [4, 5], "the one that was undone is nowhere");
        assert_eq!((rest[0].key.as_str(), rest[0].payload.as_str()), ("u1", "{\"n\":4}"));
        let beyond = db
            .write(|mut tx| async move {
                let tx = &mut *tx;
                outbox::advance(tx, "bus", 6).await
            })
            .await;
        assert!(matches!(beyond, Err(StoreError::Refused(_))), "{beyond:?}");
        let unknown = db
            .read(|mut tx| async move {
                let tx = &mut *tx;
                outbox::read(tx, "nobody", 1).await
            })
            .await;
        assert!(matches!(unknown, Err(StoreError::NotFound)), "{unknown:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_stay_until_the_slowest_reader_has_them() {
    for place in places().await {
        let store = place.open().await;
        let db = &store.database;
        for n in 1..=4 {
            db.write(|mut tx| async move {
                let tx = &mut *tx;
                append(tx, n).await
            })
            .await
            .expect("a message");
        }
        let prune = async || {
            db.write(|mut tx| async move {
                let tx = &mut *tx;
                outbox::prune(tx).await
            })
            .await
            .expect("a pruning")
        };
        assert_eq!(prune().await, 0, "nobody is known to have read");
        for (reader, to) in [("fast", 4), ("slow", 2)] {
            db.write(|mut tx| async move {
                let tx = &mut *tx;
                outbox::register(tx, reader).await?;
                outbox::advance(tx, reader, to).await
            })
            .await
            .expect("a reader");
        }
        assert_eq!((prune().await, prune().await), (2, 0), "{}", place.name);
        let rest = db
            .read(|mut tx| async move {
                let tx = &mut *tx;
                outbox::read(tx, "slow", 10).await
            })
            .await
            .expect("messages");
        assert_eq!(rest.len(), 2);
        assert_eq!(
            db.write(|mut tx| async move {
                let tx = &mut *tx;
                append(tx, 9).await
            })
            .await
            .expect("a message"),
            5,
            "numbers go on"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn positions_have_no_holes_when_many_append_at_once() {
    for mut place in places().await {
        place.config.waiters_max = 100;
        let store = place.open().await;
        let writers = (0..40).map(|n| {
            let db = store.database.clone();
            tokio::spawn(async move {
                let answer = db.write(|mut tx| async move {
                    let tx = &mut *tx;
                    let position = append(tx, n).await?;
                    if n % 4 == 0 { Err(StoreError::NotFound) } else { Ok(position) }
                });
                answer.await.ok()
            })
        });
        let mut positions = Vec::new();
        for writer in writers.collect::<Vec<_>>() {
            positions.extend(writer.await.expect("a task"));
        }
        positions.sort_unstable();
        assert_eq!(positions, (1..=30).collect::<Vec<i64>>(), "{}", place.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_that_is_too_long_is_refused() {
    for place in places().await {
        let store = place.open().await;
        let long = &"x".repeat(outbox::PAYLOAD_BYTES_MAX + 1);
        let refused = store
            .database
            .write(|mut tx| async move {
                let tx = &mut *tx;
                outbox::append(tx, "t", "k", long, 0).await
            })
            .await;
        assert!(matches!(refused, Err(StoreError::Refused(_))), "{refused:?}");
    }
}
