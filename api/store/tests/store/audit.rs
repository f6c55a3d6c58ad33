//! The audit chain: it grows, it refuses changes, and what was changed behind its back is named.

use api_store::audit::{self, Entry, Fault};
use api_store::{Lent, Store, StoreError};
use serde_json::json;

use crate::common::{places, run};

async fn fill(store: &Store, rows: i64) {
    for at_ms in 0..rows {
        let details = &json!({ "n": at_ms, "text": "çğ\"\n" });
        let append = |mut tx: Lent| async move {
            let entry = Entry { actor: "u-1", action: "key.create", subject: "k-1", details, at_ms };
            audit::append(&mut tx, entry).await
        };
        assert_eq!(store.database.write(append).await.expect("a row"), at_ms + 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a14_store_an_untouched_chain_verifies_and_is_exported_whole() {
    for place in places().await {
        let store = place.open().await;
        let empty = audit::verify(&store.database).await.expect("a verification");
        assert_eq!((empty.rows, empty.fault), (0, None), "{}", place.name);
        fill(&store, 12).await;
        let verified = audit::verify(&store.database).await.expect("a verification");
        assert_eq!((verified.rows, verified.fault), (12, None), "{}", place.name);
        let head = store
            .database
            .read(|mut tx| async move {
                let tx = &mut *tx;
                audit::head(tx).await
            })
            .await
            .expect("the head");
        assert_eq!(head, (12, verified.head));
        let mut lines = Vec::new();
        assert_eq!(audit::export(&store.database, &mut lines).await.expect("an export"), 12);
        let lines = String::from_utf8(lines).expect("text");
        let last: serde_json::Value = serde_json::from_str(lines.lines().last().expect("a line")).expect("JSON");
        assert_eq!((lines.lines().count(), &last["seq"], &last["hash"]), (12, &json!(12), &json!(head.1)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a14_store_the_database_itself_refuses_to_change_or_delete_a_row() {
    for place in places().await {
        let store = place.open().await;
        fill(&store, 3).await;
        for statement in [
            "UPDATE audit SET action = 'nothing' WHERE seq = 2",
            "DELETE FROM audit WHERE seq = 3",
            "DELETE FROM audit_head",
            "UPDATE audit_head SET seq = 1",
        ] {
            let error = store
                .database
                .write(|mut tx| async move {
                    let tx = &mut *tx;
                    run(tx, statement).await
                })
                .await
                .expect_err(statement);
            assert!(error.to_string().contains("append-only"), "{}: {statement}: {error:?}", place.name);
        }
        assert_eq!(audit::verify(&store.database).await.expect("a verification").fault, None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a14_store_the_first_row_that_was_changed_deleted_or_reordered_is_named() {
    let swap = "UPDATE audit SET seq = -1 WHERE seq = 4; UPDATE audit SET seq = 4 WHERE seq = 7; \
                UPDATE audit SET seq = 7 WHERE seq = -1;";
    for (tampering, expected) in [
        ("UPDATE audit SET actor = 'u-2' WHERE seq = 5;", Fault::Changed { seq: 5 }),
        ("UPDATE audit SET at_ms = at_ms + 1 WHERE seq = 1;", Fault::Changed { seq: 1 }),
        ("UPDATE audit SET details = '{}' WHERE seq >= 9;", Fault::Changed { seq: 9 }),
        ("DELETE FROM audit WHERE seq = 3 OR seq = 8;", Fault::Deleted { seq: 3 }),
        ("DELETE FROM audit WHERE seq = 10;", Fault::Deleted { seq: 10 }),
        ("DELETE FROM audit;", Fault::Deleted { seq: 1 }),
        (swap, Fault::Reordered { seq: 4 }),
    ] {
        for place in places().await {
            let store = place.open().await;
            fill(&store, 10).await;
            let off = match place.name {
                "sqlite" => "DROP TRIGGER audit_is_not_changed; DROP TRIGGER audit_is_not_deleted;",
                _ => "ALTER TABLE audit DISABLE TRIGGER USER;",
            };
            let tamper = |mut tx: Lent| async move {
                run(&mut tx, off).await?;
                run(&mut tx, tampering).await
            };
            store.database.write(tamper).await.unwrap_or_else(|error| panic!("{}: {error}", place.name));
            let verified = audit::verify(&store.database).await.expect("a verification");
            assert_eq!(verified.fault, Some(expected), "{}: {tampering}", place.name);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_is_undone_leaves_no_row_and_no_hole() {
    for place in places().await {
        let store = place.open().await;
        fill(&store, 1).await;
        let details = json!({});
        let entry = Entry { actor: "u", action: "a", subject: "s", details: &details, at_ms: 1 };
        let undone = store.database.write(|mut tx| async move {
            let tx = &mut *tx;
            audit::append(tx, entry).await?;
            Err::<(), _>(StoreError::NotFound)
        });
        assert!(undone.await.is_err());
        let next = store
            .database
            .write(|mut tx| async move {
                let tx = &mut *tx;
                audit::append(tx, entry).await
            })
            .await;
        assert_eq!(next.expect("a row"), 2, "{}", place.name);
        assert_eq!(audit::verify(&store.database).await.expect("a verification").fault, None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_appended_at_once_form_one_chain() {
    for mut place in places().await {
        place.config.waiters_max = 100;
        let store = place.open().await;
        let writers = (0..40).map(|at_ms| {
            let db = store.database.clone();
            tokio::spawn(async move {
                let details = json!({});
                let entry = Entry { actor: "u", action: "a", subject: "s", details: &details, at_ms };
                db.write(|mut tx| async move {
                    let tx = &mut *tx;
                    audit::append(tx, entry).await
                })
                .await
            })
        });
        for writer in writers.collect::<Vec<_>>() {
            writer.await.expect("a task").unwrap_or_else(|error| panic!("{}: {error}", place.name));
        }
        let verified = audit::verify(&store.database).await.expect("a verification");
        assert_eq!((verified.rows, verified.fault), (40, None), "{}", place.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_is_too_long_is_refused() {
    for place in places().await {
        let store = place.open().await;
        let (long, details) = ("x".repeat(audit::NAME_BYTES_MAX + 1), json!({}));
        let entry = Entry { actor: &long, action: "a", subject: "s", details: &details, at_ms: 0 };
        let refused = store
            .database
            .write(|mut tx| async move {
                let tx = &mut *tx;
                audit::append(tx, entry).await
            })
            .await;
        assert!(matches!(refused, Err(StoreError::Refused(_))), "{refused:?}");
    }
}
