//! What an operator does to a store, and what operators see of it.

use std::sync::Arc;
use std::time::Duration;

use api_kit::health::{Health, Verdict};
use api_kit::{MetricSource, Sample};
use api_store::migrations::UpOptions;
use api_store::operate::Operator;
use api_store::{MigrationSet, SqlFile, Store, StoreError, Tx, audit, execute_on_both, on_both, outbox};
use serde_json::json;

use crate::common::{NOTES, Place, SET, add_note, places, postgres, sqlite};

/// A service with every kind of column, and tables that refer to each other.
const MIXED: MigrationSet = MigrationSet {
    sqlite: &[
        SET.sqlite[0],
        SqlFile {
            version: 1002,
            name: "mixed",
            sql: "CREATE TABLE a_child (id TEXT PRIMARY KEY, note INTEGER NOT NULL REFERENCES notes (id), raw BLOB, \
                  yes INTEGER NOT NULL, rate REAL, more TEXT) STRICT",
        },
    ],
    postgres: &[
        SET.postgres[0],
        SqlFile {
            version: 1002,
            name: "mixed",
            sql: "CREATE TABLE a_child (id UUID PRIMARY KEY, note BIGINT NOT NULL REFERENCES notes (id), raw BYTEA, \
                  yes BOOLEAN NOT NULL, rate DOUBLE PRECISION, more JSONB)",
        },
    ],
};

const ROWS: i64 = 1_203;

async fn fill(store: &Store) {
    let details = &json!({ "from": "test" });
    store
        .database
        .write(|mut tx| async move {
            let tx = &mut *tx;
            for id in 1..=ROWS {
                add_note(tx, id, &format!("not {id}: ğüşıöç \u{1F4C8}")).await?;
                let key = uuid::Uuid::new_v4().to_string();
                let raw = (id % 3 != 0).then(|| vec![id as u8, 0, 255]);
                let rate = (id % 5 != 0).then_some(0.1 * id as f64);
                let more = (id % 7 != 0).then(|| format!("{{\"b\": {id}, \"a\":[null, true]}}"));
                let Tx::Sqlite(held) = &mut *tx else { panic!("the source is SQLite") };
                sqlx::query("INSERT INTO a_child (id, note, raw, yes, rate, more) VALUES ($1, $2, $3, $4, $5, $6)")
                    .bind(key)
                    .bind(id)
                    .bind(raw)
                    .bind(id % 2)
                    .bind(rate)
                    .bind(more)
                    .execute(held.connection())
                    .await?;
            }
            for at_ms in 1..=20 {
                let entry = audit::Entry { actor: "u1", action: "note.add", subject: "n", details, at_ms };
                audit::append(tx, entry).await?;
                outbox::append(tx, "notes", "n", "{}", at_ms).await?;
            }
            Ok::<_, StoreError>(())
        })
        .await
        .expect("rows");
    store.database.close(Duration::from_secs(5)).await;
}

async fn mixed_source(place: &Place) -> Place {
    let mut source = sqlite();
    source.config.path.clone_from(&place.config.path);
    let store = Store::open(&source.config, NOTES, &MIXED).await.expect("the source");
    fill(&store).await;
    source
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_has_every_row_and_the_service_goes_on_with_it() {
    let Some(place) = postgres().await else { return };
    let _source = mixed_source(&place).await;
    let operator = Operator::new(&place.config, NOTES, &MIXED).expect("the folder");
    let copied = operator.copy().await.expect("a copy");
    let rows = |name: &str| copied.iter().find(|table| table.table == name).map(|table| table.rows);
    let expected = [("notes", ROWS), ("a_child", ROWS), ("audit", 20), ("audit_head", 1), ("outbox", 20)];
    for (table, count) in expected {
        assert_eq!(rows(table), Some(count as u64), "{table}: {copied:?}");
    }
    assert_eq!(operator.audit_verify().await.expect("a verification").fault, None);
    let store = Store::open(&place.config, NOTES, &MIXED).await.expect("the service on the server");
    let details = &json!({});
    let (seq, position, yes) = store
        .database
        .write(|mut tx| async move {
            let tx = &mut *tx;
            let entry = audit::Entry { actor: "u1", action: "note.add", subject: "n", details, at_ms: 21 };
            let seq = audit::append(tx, entry).await?;
            let position = outbox::append(tx, "notes", "n", "{}", 21).await?;
            let yes: i64 = on_both!(tx, c => sqlx::query_scalar(
                "SELECT count(*) FROM a_child WHERE yes"
            ).fetch_one(c))?;
            Ok::<_, StoreError>((seq, position, yes))
        })
        .await
        .expect("a write after the copy");
    assert_eq!((seq, position, yes), (21, 21, (ROWS + 1) / 2));
    let deleted = store.database.write(|mut tx| async move {
        let tx = &mut *tx;
        execute_on_both!(tx, c => sqlx::query("DELETE FROM audit").execute(c))
    });
    assert!(deleted.await.is_err(), "the audit log is append-only after a copy, too");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_goes_into_an_empty_schema_alone_and_only_while_the_service_is_stopped() {
    let Some(place) = postgres().await else { return };
    let source = mixed_source(&place).await;
    let operator = Operator::new(&place.config, NOTES, &MIXED).expect("the folder");
    let running = Store::open(&source.config, NOTES, &MIXED).await.expect("the service");
    assert!(matches!(operator.copy().await, Err(StoreError::Locked { .. })));
    drop(running);
    operator.copy().await.expect("a copy");
    let again = operator.copy().await.expect_err("a schema with tables");
    assert!(again.to_string().contains("has tables already"), "{again}");
    let alone = sqlite();
    let operator = Operator::new(&alone.config, NOTES, &MIXED).expect("the folder");
    let nowhere = operator.copy().await.expect_err("no server");
    assert!(nowhere.to_string().contains("storage.postgres_url"), "{nowhere}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_fails_leaves_nothing_and_may_be_tried_again() {
    let Some(place) = postgres().await else { return };
    let source = mixed_source(&place).await;
    let store = Store::open(&source.config, NOTES, &MIXED).await.expect("the service");
    let set = |text: &'static str| {
        store.database.write(move |mut tx| async move {
            let tx = &mut *tx;
            execute_on_both!(tx, c => sqlx::query("UPDATE a_child SET more = $1 WHERE note = 1100").bind(text).execute(c))
        })
    };
    // No JSON: SQLite keeps it, the server refuses it.
    set("no JSON").await.expect("a change");
    let operator = Operator::new(&place.config, NOTES, &MIXED).expect("the folder");
    store.database.close(Duration::from_secs(5)).await;
    drop(store);
    let refused = operator.copy().await.expect_err("a value that does not fit");
    assert!(matches!(refused, StoreError::Refused(_)), "{refused:?}");
    let store = Store::open(&source.config, NOTES, &MIXED).await.expect("the service");
    store
        .database
        .write(|mut tx| async move {
            let tx = &mut *tx;
            execute_on_both!(tx, c => sqlx::query("UPDATE a_child SET more = '{}' WHERE note = 1100").execute(c))
        })
        .await
        .expect("a change");
    store.database.close(Duration::from_secs(5)).await;
    drop(store);
    operator.copy().await.expect("the second try");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_migrates_backs_up_and_restores_while_the_service_is_stopped() {
    for place in places().await {
        let operator = Operator::new(&place.config, NOTES, &SET).expect("the folder");
        assert!(!operator.status().await.expect("a status").pending.is_empty(), "{}", place.name);
        operator.up(UpOptions::default()).await.expect("migrations");
        assert!(operator.status().await.expect("a status").pending.is_empty(), "{}", place.name);
        let store = place.open().await;
        let note = |id| {
            store.database.write(move |mut tx| async move {
                let tx = &mut *tx;
                add_note(tx, id, &format!("n{id}")).await
            })
        };
        note(1).await.expect("a note");
        let backup = operator.backup().await.expect("a back-up beside the running service");
        note(2).await.expect("a note");
        assert!(matches!(operator.restore(&backup.path).await, Err(StoreError::Locked { .. })), "{}", place.name);
        assert!(matches!(operator.up(UpOptions::default()).await, Err(StoreError::Locked { .. })), "{}", place.name);
        store.database.close(Duration::from_secs(5)).await;
        drop(store);
        let rows = operator.restore(&backup.path).await.expect("a restoration");
        assert!(rows.contains(&("notes".to_owned(), 1)), "{}: {rows:?}", place.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a14_store_an_operator_verifies_and_exports_the_log() {
    for place in places().await {
        let store = place.open().await;
        let details = &json!({});
        store
            .database
            .write(|mut tx| async move {
                let tx = &mut *tx;
                let entry = audit::Entry { actor: "u1", action: "user.login", subject: "u1", details, at_ms: 1 };
                audit::append(tx, entry).await
            })
            .await
            .expect("a row");
        let operator = Operator::new(&place.config, NOTES, &SET).expect("the folder");
        let verified = operator.audit_verify().await.expect("a verification beside the running service");
        assert_eq!((verified.rows, verified.fault), (1, None), "{}", place.name);
        let mut out = Vec::new();
        assert_eq!(operator.audit_export(&mut out).await.expect("an export"), 1);
        let row: serde_json::Value = serde_json::from_slice(&out).expect("one JSON line");
        assert_eq!((&row["seq"], &row["hash"]), (&json!(1), &json!(verified.head)), "{}", place.name);
    }
}

fn value(store: &Store, name: &str) -> String {
    let mut samples: Vec<Sample> = Vec::new();
    store.collect(&mut samples);
    let sample = samples.iter().find(|sample| sample.name == name).unwrap_or_else(|| panic!("no {name}"));
    assert_eq!(sample.labels, [("service", "notes".to_owned())]);
    format!("{:?}", sample.value)
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_and_the_health_check_say_how_the_store_is() {
    let place = sqlite();
    let store = Arc::new(place.open().await);
    assert_eq!(value(&store, "bist_store_refused_total"), "Counter(0)");
    store.database.health().await.expect("an answer");
    assert_ne!(value(&store, "bist_store_connections_acquired_total"), "Counter(0)");
    let mut health = Health::new();
    store.add_check(&mut health, "store_notes");
    assert!(health.readiness().is_up());
    assert!(matches!(store.verdict(), Verdict::Up(_)));
    store.database.close(Duration::from_secs(5)).await;
    store.database.health().await.expect_err("no connection any more");
    assert!(matches!(store.verdict(), Verdict::Degraded(_)));
    assert!(health.readiness().is_up(), "what needs no store still answers");
    assert_eq!(value(&store, "bist_store_away"), "Gauge(1.0)");
}
