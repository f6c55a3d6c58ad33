//! Rate limits and short-lived values, in the process with time that the test turns, and on a real Redis.

use std::time::Duration;

use api_store::cache::ShortLived;
use api_store::cache::local::{ENTRIES_MAX, LocalStore};
use api_store::cache::redis::RedisStore;
use api_store::{Cache, Claim, RateLimit, StorageConfig, StoreError, Verdict};
use secrecy::SecretString;

const LIMIT: RateLimit = RateLimit { name: "login", requests: 60, per: Duration::from_secs(60), burst: 5 };

fn redis() -> Option<RedisStore> {
    let Ok(url) = std::env::var("BIST_TEST_REDIS_URL") else {
        println!("Redis is left out: BIST_TEST_REDIS_URL is not set (tests/servers.sh start)");
        return None;
    };
    Some(RedisStore::new(&SecretString::from(url)).expect("a URL"))
}

/// The same on both: whatever does not need time to pass.
async fn behaves(store: &impl ShortLived) {
    let key = &uuid::Uuid::new_v4().to_string();
    let minute = Duration::from_secs(60);
    let get = async || store.get(key).await.expect("an answer");
    assert_eq!(get().await, None);
    store.put(key, b"one", minute).await.expect("put");
    store.put(key, b"\xff\x00", minute).await.expect("put");
    assert_eq!(get().await.as_deref(), Some(&b"\xff\x00"[..]));
    assert_eq!(store.take(key).await.expect("an answer").as_deref(), Some(&b"\xff\x00"[..]));
    assert_eq!((store.take(key).await.expect("an answer"), get().await), (None, None));
    assert_eq!(store.claim(key, minute).await.expect("an answer"), Claim::Fresh);
    assert_eq!(store.claim(key, minute).await.expect("an answer"), Claim::Taken);
    store.remove(key).await.expect("removed");
    store.remove(key).await.expect("removing nothing is no error");
    assert_eq!(store.claim(key, minute).await.expect("an answer"), Claim::Fresh);
    for remaining in (0..5).rev() {
        assert_eq!(store.count(&LIMIT, key).await.expect("a verdict"), Verdict::Allowed { remaining });
    }
    let Verdict::Refused { retry_after } = store.count(&LIMIT, key).await.expect("a verdict") else {
        panic!("the sixth at once is over the burst")
    };
    assert!(retry_after <= Duration::from_secs(1) && !retry_after.is_zero(), "{retry_after:?}");
    let other = RateLimit { name: "other", ..LIMIT };
    assert_eq!(store.count(&other, key).await.expect("a verdict"), Verdict::Allowed { remaining: 4 });
}

#[tokio::test(start_paused = true)]
async fn the_local_place_behaves() {
    behaves(&LocalStore::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_behaves_alike() {
    if let Some(store) = redis() {
        behaves(&store).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_lets_go_of_values_and_fills_buckets_by_itself() {
    let Some(store) = redis() else { return };
    let key = uuid::Uuid::new_v4().to_string();
    let quick = RateLimit { name: "quick", requests: 100, per: Duration::from_secs(1), burst: 1 };
    store.put(&key, b"x", Duration::from_millis(30)).await.expect("put");
    assert_eq!(store.count(&quick, &key).await.expect("a verdict"), Verdict::Allowed { remaining: 0 });
    crate::common::eventually_async("the end of a value", async || store.get(&key).await.expect("an answer").is_none())
        .await;
    crate::common::eventually_async("a full bucket", async || {
        store.count(&quick, &key).await.expect("a verdict") == Verdict::Allowed { remaining: 0 }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn values_end_and_buckets_fill_by_the_monotonic_clock() {
    let store = LocalStore::default();
    store.put("k", b"v", Duration::from_secs(10)).await.expect("put");
    tokio::time::advance(Duration::from_secs(9)).await;
    assert!(store.get("k").await.expect("an answer").is_some());
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(store.get("k").await.expect("an answer"), None);
    assert_eq!(store.claim("k", Duration::from_secs(1)).await.expect("an answer"), Claim::Fresh, "it ended");
    let mut allowed = 0;
    for _second in 0..120 {
        for _try in 0..3 {
            allowed += u32::from(matches!(store.count(&LIMIT, "k").await, Ok(Verdict::Allowed { .. })));
        }
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    // The burst, then one a second.
    assert_eq!(allowed, 5 + 119);
}

#[tokio::test(start_paused = true)]
async fn a_full_process_refuses_what_it_cannot_count_and_recovers() {
    let store = LocalStore::default();
    for n in 0..ENTRIES_MAX {
        store.count(&LIMIT, &n.to_string()).await.expect("room");
        store.put(&n.to_string(), b"", Duration::from_secs(1)).await.expect("room");
    }
    assert!(matches!(store.count(&LIMIT, "one more").await, Err(StoreError::Full { .. })));
    assert!(matches!(store.put("one more", b"", Duration::from_secs(1)).await, Err(StoreError::Full { .. })));
    assert!(matches!(store.count(&LIMIT, "7").await, Ok(Verdict::Allowed { .. })), "whoever is in stays in");
    tokio::time::advance(Duration::from_secs(3)).await;
    assert!(matches!(store.count(&LIMIT, "one more").await, Ok(Verdict::Allowed { .. })));
    store.put("one more", b"", Duration::from_secs(1)).await.expect("room");
}

#[tokio::test(flavor = "multi_thread")]
async fn d3_store_without_redis_limits_are_halved_and_no_door_opens() {
    // A port that nobody listens on: bound, then let go.
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
    let mut config = StorageConfig::in_folder("/nowhere");
    config.redis_url = Some(SecretString::from(format!("redis://127.0.0.1:{port}/")));
    let cache = Cache::open(&config).expect("opening needs no server");
    assert!(!cache.is_degraded());
    let mut allowed = 0;
    for _ in 0..10 {
        allowed += u32::from(matches!(cache.count(&LIMIT, "k").await, Verdict::Allowed { .. }));
    }
    assert_eq!(allowed, LIMIT.burst / 2);
    assert!(cache.is_degraded());
    assert_eq!(cache.claim("k", Duration::from_secs(1)).await, Claim::Unknown);
    assert_eq!(cache.get("k").await, None);
    for answer in
        [cache.put("k", b"v", Duration::from_secs(1)).await, cache.remove("k").await, cache.take("k").await.map(drop)]
    {
        assert!(matches!(answer, Err(StoreError::Unavailable { .. })), "{answer:?}");
    }
}

#[test]
fn an_address_of_sentinel_or_nonsense_is_refused_without_its_password() {
    for url in ["redis-sentinel://:s3cret@a:1,b:2/main", "nonsense s3cret", "http://:s3cret@a/"] {
        let words = RedisStore::new(&SecretString::from(url.to_owned())).expect_err(url).to_string();
        assert!(words.contains("storage.redis_url") && !words.contains("s3cret"), "{words}");
    }
}
