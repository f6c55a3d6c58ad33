//! A writer killed at a seeded moment: everything that it had acknowledged is there, and nothing is half there.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;
use std::time::Duration;

use api_store::{Store, StoreError, audit, outbox};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::json;

use crate::common::{NOTES, Place, SET, add_note, child, notes, places};

/// Kills; `BIST_TEST_KILLS` asks for more.
const KILLS: u64 = 10;

#[tokio::test(flavor = "multi_thread")]
async fn d2_store_what_was_acknowledged_survives_kill_9_at_any_moment() {
    let kills = std::env::var("BIST_TEST_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(KILLS);
    for place in places().await {
        drop(place.open().await);
        let mut acknowledged = 0;
        for seed in 0..kills {
            acknowledged = kill_once(&place, seed, acknowledged).await;
        }
        assert!(acknowledged > 0, "{}: no writer got to write", place.name);
        println!("{}: {kills} kills, {acknowledged} notes acknowledged, none lost", place.name);
    }
}

/// Starts a writer, kills it, checks what it left. Returns the last number acknowledged.
async fn kill_once(place: &Place, seed: u64, before: i64) -> i64 {
    println!("{}: seed {seed}", place.name);
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let (after_acknowledgements, then) = (random.random_range(0..60), random.random_range(0..4_000));
    let mut writer = child("crash::writes_until_killed", "BIST_TEST_WRITER", place.config.path.as_os_str());
    if let Some(url) = &place.config.postgres_url {
        writer.env("BIST_TEST_WRITER_URL", secrecy::ExposeSecret::expose_secret(url));
    }
    let mut writer = writer.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("a writer");
    let mut last = before;
    let mut lines = BufReader::new(writer.stdout.take().expect("its output")).lines();
    for _ in 0..after_acknowledgements {
        match acknowledged(&mut lines) {
            Some(id) => last = id,
            None => panic!("the writer ended by itself"),
        }
    }
    // Somewhere inside the next transactions.
    tokio::time::sleep(Duration::from_micros(then)).await;
    writer.kill().expect("our child");
    writer.wait().expect("our child");
    while let Some(id) = acknowledged(&mut lines) {
        last = id;
    }
    check(place, last).await;
    last
}

fn acknowledged(lines: &mut impl Iterator<Item = std::io::Result<String>>) -> Option<i64> {
    lines.find_map(|line| crate::common::acknowledged(&line.ok()?))
}

async fn check(place: &Place, acknowledged: i64) {
    let store = place.open().await;
    let db = &store.database;
    let all = db
        .read(|mut tx| async move {
            let tx = &mut *tx;
            notes(tx).await
        })
        .await
        .expect("notes");
    let last = all.last().copied().unwrap_or(0);
    assert_eq!(all, (1..=last).collect::<Vec<i64>>(), "{}: a hole", place.name);
    assert!(last >= acknowledged, "{}: {acknowledged} was acknowledged, {last} is the last", place.name);
    // What was not acknowledged may have been committed; then all of it was.
    let verified = audit::verify(db).await.expect("a verification");
    assert_eq!((verified.rows, verified.fault), (last, None), "{}", place.name);
    let messages = db
        .read(|mut tx| async move {
            let tx = &mut *tx;
            outbox::read(tx, "bus", 1_000).await
        })
        .await;
    let messages = messages.map_or(0, |messages| messages.last().map_or(0, |message| message.position));
    assert!(last > 1_000 || messages == last, "{}: {messages} messages, {last} notes", place.name);
    db.close(Duration::from_secs(5)).await;
}

/// The writer of the test above: a note, its audit row and its message in one transaction, then the acknowledgement.
#[tokio::test(flavor = "multi_thread")]
async fn writes_until_killed() {
    let Some(path) = std::env::var_os("BIST_TEST_WRITER") else { return };
    let mut config = api_store::StorageConfig::in_folder(path);
    config.deadline = Duration::from_secs(20);
    config.postgres_url = std::env::var("BIST_TEST_WRITER_URL").ok().map(Into::into);
    let store = Store::open(&config, NOTES, &SET).await.expect("the store");
    let db = &store.database;
    db.write(|mut tx| async move {
        let tx = &mut *tx;
        outbox::register(tx, "bus").await
    })
    .await
    .expect("a reader");
    let last = db
        .read(|mut tx| async move {
            let tx = &mut *tx;
            notes(tx).await
        })
        .await
        .expect("notes")
        .last()
        .copied()
        .unwrap_or(0);
    for id in last + 1.. {
        let details = &json!({ "id": id });
        let write = db.write(|mut tx| async move {
            let tx = &mut *tx;
            add_note(tx, id, &format!("n{id}")).await?;
            let entry = audit::Entry { actor: "w", action: "note.add", subject: "n", details, at_ms: id };
            audit::append(tx, entry).await?;
            outbox::append(tx, "note", "n", "{}", id).await?;
            Ok::<_, StoreError>(())
        });
        write.await.expect("a write");
        let mut out = std::io::stdout().lock();
        writeln!(out, "acknowledged {id}").and_then(|()| out.flush()).expect("the parent listens");
    }
}
