//! Real servers of our own, stopped, killed and brought back: PostgreSQL and Redis by `tests/servers.sh`.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use api_store::{Cache, Claim, RateLimit, StorageConfig, Store, StoreError, Verdict};
use secrecy::SecretString;
use tempfile::TempDir;

use crate::common::{NOTES, Place, SET, add_note, eventually_async, notes, postgres_at};

struct Servers {
    folder: TempDir,
    postgres_url: String,
    redis_url: String,
}

impl Servers {
    /// `None` where the suite runs without servers.
    fn start() -> Option<Self> {
        if std::env::var_os("BIST_TEST_POSTGRES_URL").is_none() {
            println!("faults of servers are left out: BIST_TEST_POSTGRES_URL is not set (tests/servers.sh start)");
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let output = script().arg("start").arg(folder.path()).output().expect("the script");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).expect("text");
        let value = |name: &str| {
            let line =
                text.lines().find_map(|line| line.strip_prefix("export ")?.strip_prefix(name)?.strip_prefix('='));
            line.expect("an export").to_owned()
        };
        let (postgres_url, redis_url) = (value("BIST_TEST_POSTGRES_URL"), value("BIST_TEST_REDIS_URL"));
        Some(Self { folder, postgres_url, redis_url })
    }

    fn fault(&self, verb: &str, server: &str) {
        let status = script().arg(verb).arg(self.folder.path()).arg(server).status().expect("the script");
        assert!(status.success(), "{verb} {server}");
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        let _ = script().arg("stop").arg(self.folder.path()).status();
    }
}

fn script() -> Command {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/servers.sh");
    let mut command = Command::new("bash");
    command.arg(path);
    command
}

async fn opened(servers: &Servers) -> (Place, Store) {
    let mut place = postgres_at(&servers.postgres_url).await;
    place.config.deadline = Duration::from_millis(900);
    let store = place.open().await;
    (place, store)
}

async fn is_told_within_a_second(store: &Store, what: &str) {
    let db = &store.database;
    for round in 0..3 {
        let start = Instant::now();
        let callers = (0..40).map(|id| {
            let db = db.clone();
            tokio::spawn(async move {
                match id % 2 {
                    0 => db
                        .read(|mut tx| async move {
                            let tx = &mut *tx;
                            notes(tx).await
                        })
                        .await
                        .map(drop),
                    _ => {
                        db.write(|mut tx| async move {
                            let tx = &mut *tx;
                            add_note(tx, 1_000 + id, &format!("w{id}")).await
                        })
                        .await
                    }
                }
            })
        });
        for caller in callers.collect::<Vec<_>>() {
            match caller.await.expect("a task") {
                Err(error @ StoreError::Unavailable { .. }) => assert!(error.retry_after().is_some()),
                other => panic!("{what}, round {round}: {other:?}"),
            }
        }
        let took = start.elapsed();
        assert!(took < Duration::from_millis(1_500), "{what}, round {round}: {took:?}");
    }
    assert!(db.health().await.is_err(), "{what}: health");
}

async fn is_well_again(store: &Store, id: i64) {
    let db = &store.database;
    eventually_async("a write after the fault", async || {
        db.write(|mut tx| async move {
            let tx = &mut *tx;
            add_note(tx, id, &format!("n{id}")).await
        })
        .await
        .is_ok()
    })
    .await;
    let all = db
        .read(|mut tx| async move {
            let tx = &mut *tx;
            notes(tx).await
        })
        .await
        .expect("notes");
    assert_eq!(all, (1..=id).collect::<Vec<_>>(), "nothing refused was done, nothing acknowledged is lost");
    db.health().await.expect("healthy");
}

#[tokio::test(flavor = "multi_thread")]
async fn d1_store_postgresql_stopped_or_killed_is_told_within_a_second_and_comes_back() {
    let Some(servers) = Servers::start() else { return };
    let (_place, store) = opened(&servers).await;
    store
        .database
        .write(|mut tx| async move {
            let tx = &mut *tx;
            add_note(tx, 1, "n1").await
        })
        .await
        .expect("a note");
    servers.fault("freeze", "postgres");
    is_told_within_a_second(&store, "stopped").await;
    servers.fault("thaw", "postgres");
    is_well_again(&store, 2).await;
    servers.fault("kill", "postgres");
    is_told_within_a_second(&store, "killed").await;
    servers.fault("revive", "postgres");
    is_well_again(&store, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d1_store_postgresql_away_at_the_start_is_told_as_something_that_may_come() {
    let Some(servers) = Servers::start() else { return };
    let (place, store) = opened(&servers).await;
    drop(store);
    servers.fault("kill", "postgres");
    let error = place.try_open().await.expect_err("no server");
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
    servers.fault("revive", "postgres");
    Store::open(&place.config, NOTES, &SET).await.expect("it came");
}

#[tokio::test(flavor = "multi_thread")]
async fn d2_store_a_commit_without_an_answer_is_unknown_and_read_back_by_id() {
    let Some(servers) = &Servers::start() else { return };
    let (_place, store) = opened(servers).await;
    let db = &store.database;
    // The server stops between the last statement and COMMIT.
    let stopped = db.write(|mut tx| async move {
        let tx = &mut *tx;
        add_note(tx, 1, "n1").await?;
        servers.fault("freeze", "postgres");
        Ok::<_, StoreError>(())
    });
    let error = stopped.await.expect_err("no answer");
    assert!(matches!(error, StoreError::OutcomeUnknown), "{error:?}");
    assert_eq!(error.retry_after(), None, "trying again could do it twice");
    servers.fault("thaw", "postgres");
    let mut found = Vec::new();
    eventually_async("a read", async || {
        match db
            .read(|mut tx| async move {
                let tx = &mut *tx;
                notes(tx).await
            })
            .await
        {
            Ok(all) => {
                found = all;
                true
            }
            Err(_) => false,
        }
    })
    .await;
    assert!(found == [1] || found.is_empty(), "{found:?}");
    assert_eq!(db.stats().outcome_unknown, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn d2_store_a_deadlock_is_tried_again_and_both_are_done() {
    for place in crate::common::places().await {
        let store = place.open().await;
        let db = &store.database;
        for id in 1..=2 {
            db.write(|mut tx| async move {
                let tx = &mut *tx;
                add_note(tx, id, &format!("n{id}")).await
            })
            .await
            .expect("a note");
        }
        let swap = async |first: i64, second: i64| {
            db.write(|mut tx| async move {
                let tx = &mut *tx;
                for id in [first, second] {
                    let update = "UPDATE notes SET text = text || 'x' WHERE id = $1";
                    api_store::execute_on_both!(&mut *tx, c => sqlx::query(update).bind(id).execute(c))?;
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Ok::<_, StoreError>(())
            })
            .await
        };
        let (one, other) = tokio::join!(swap(1, 2), swap(2, 1));
        one.and(other).unwrap_or_else(|error| panic!("{}: {error}", place.name));
        let texts = db.read(|mut tx| async move { let tx = &mut *tx;
            api_store::on_both!(tx, c => sqlx::query_scalar::<_, String>("SELECT text FROM notes ORDER BY id").fetch_all(c))
        });
        assert_eq!(texts.await.expect("notes"), ["n1xx", "n2xx"], "{}", place.name);
    }
}

const LIMIT: RateLimit = RateLimit { name: "login", requests: 60, per: Duration::from_secs(3_600), burst: 10 };

async fn allowed(cache: &Cache, key: &str) -> u32 {
    let mut allowed = 0;
    for _ in 0..20 {
        allowed += u32::from(matches!(cache.count(&LIMIT, key).await, Verdict::Allowed { .. }));
    }
    allowed
}

#[tokio::test(flavor = "multi_thread")]
async fn d3_store_redis_killed_or_stopped_halves_the_limits_and_is_shared_again_when_back() {
    let Some(servers) = Servers::start() else { return };
    let mut config = StorageConfig::in_folder("/nowhere");
    config.redis_url = Some(SecretString::from(servers.redis_url.clone()));
    let cache = Cache::open(&config).expect("a cache");
    let second = Cache::open(&config).expect("another replica");
    let minute = Duration::from_secs(60);
    assert_eq!(allowed(&cache, "a").await, 10);
    assert_eq!(allowed(&second, "a").await, 0, "replicas share one count");
    assert_eq!(cache.claim("once", minute).await, Claim::Fresh);
    for (fault, mend, key) in [("freeze", "thaw", "b"), ("kill", "revive", "c")] {
        servers.fault(fault, "redis");
        let start = Instant::now();
        assert_eq!(allowed(&cache, key).await, 5, "{fault}");
        assert_eq!(second.claim("once", minute).await, Claim::Unknown, "{fault}: nobody is first by an outage");
        assert!(cache.remove("session").await.is_err(), "{fault}: a revocation is not called done");
        assert!(start.elapsed() < Duration::from_secs(2), "{fault}: {:?}", start.elapsed());
        assert!(cache.is_degraded());
        servers.fault(mend, "redis");
        eventually_async("a shared answer", async || {
            cache.claim(&format!("back {key}"), minute).await != Claim::Unknown
        })
        .await;
        assert!(!cache.is_degraded(), "{mend}");
        assert_eq!(allowed(&cache, &format!("{key} again")).await, 10, "{mend}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn d3_store_a_thousand_callers_open_one_connection() {
    let Some(servers) = Servers::start() else { return };
    let mut config = StorageConfig::in_folder("/nowhere");
    config.redis_url = Some(SecretString::from(servers.redis_url.clone()));
    let cache = std::sync::Arc::new(Cache::open(&config).expect("a cache"));
    let callers = (0..1_000).map(|n| {
        let cache = cache.clone();
        tokio::spawn(async move { cache.get(&n.to_string()).await })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.expect("a task");
    }
    let client = redis::Client::open(servers.redis_url.as_str()).expect("a client");
    let mut connection = client.get_multiplexed_async_connection().await.expect("a connection");
    let info: String = redis::cmd("INFO").arg("stats").query_async(&mut connection).await.expect("an answer");
    let received = info.lines().find_map(|line| line.strip_prefix("total_connections_received:"));
    // The script's own check of the start, ours here, and the cache's.
    let received: u32 = received.expect("a number").trim().parse().expect("a number");
    assert!(received <= 4, "{received} connections");
}
