//! Values encrypted at rest: they open in their place alone, keys rotate and are shredded, nothing is printed.

use api_store::{Place, Store, StoreError, Vault};
use secrecy::ExposeSecret;

use crate::common::{NOTES, places, sqlite};

const WHERE: Place<'static> = Place { table: "users", row: "u1", column: "national_id" };

async fn seal(store: &Store, owner: &str, value: &[u8]) -> Vec<u8> {
    let (vault, db) = (&store.vault, &store.database);
    db.write(|mut tx| async move {
        let tx = &mut *tx;
        vault.seal(tx, owner, WHERE, value, 1).await
    })
    .await
    .expect("a sealed value")
}

async fn open(store: &Store, owner: &str, place: Place<'_>, sealed: &[u8]) -> Result<Vec<u8>, StoreError> {
    let (vault, db) = (&store.vault, &store.database);
    let value = db
        .read(|mut tx| async move {
            let tx = &mut *tx;
            vault.open_sealed(tx, owner, place, sealed).await
        })
        .await?;
    Ok(value.expose_secret().to_vec())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_opens_in_its_place_and_nowhere_else() {
    for place in places().await {
        let store = place.open().await;
        let sealed = seal(&store, "u1", b"10000000146").await;
        assert_eq!(sealed.len(), 11 + api_store::secrets::OVERHEAD_BYTES);
        assert!(!sealed.windows(11).any(|part| part == b"10000000146"));
        assert_ne!(sealed, seal(&store, "u1", b"10000000146").await, "equal values must not look equal");
        assert_eq!(open(&store, "u1", WHERE, &sealed).await.expect("the value"), b"10000000146", "{}", place.name);
        seal(&store, "u2", b"x").await;
        for (owner, elsewhere) in [
            ("u2", WHERE),
            ("u1", Place { row: "u2", ..WHERE }),
            ("u1", Place { column: "phone", ..WHERE }),
            ("u1", Place { table: "keys", ..WHERE }),
            ("u1", Place { row: "u1n", column: "ational_id", ..WHERE }),
        ] {
            let moved = open(&store, owner, elsewhere, &sealed).await;
            assert!(matches!(moved, Err(StoreError::Corrupt { .. })), "{owner} {elsewhere:?}: {moved:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_or_a_cut_anywhere_is_noticed() {
    let place = sqlite();
    let store = place.open().await;
    let sealed = seal(&store, "u1", b"value").await;
    for at in 0..sealed.len() {
        let mut flipped = sealed.clone();
        flipped[at] ^= 1;
        for bytes in [&flipped[..], &sealed[..at]] {
            let damaged = open(&store, "u1", WHERE, bytes).await;
            assert!(matches!(damaged, Err(StoreError::Corrupt { .. })), "at {at}: {damaged:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shredded_owner_is_unreadable_for_ever() {
    for place in places().await {
        let store = place.open().await;
        let sealed = seal(&store, "u1", b"value").await;
        let (vault, db) = (&store.vault, &store.database);
        for _twice in 0..2 {
            db.write(|mut tx| async move {
                let tx = &mut *tx;
                vault.shred(tx, "u1", 9).await
            })
            .await
            .expect("a shredding");
        }
        let gone = open(&store, "u1", WHERE, &sealed).await;
        assert!(matches!(gone, Err(StoreError::Refused(_))), "{}: {gone:?}", place.name);
        let late = db
            .write(|mut tx| async move {
                let tx = &mut *tx;
                vault.seal(tx, "u1", WHERE, b"late", 10).await
            })
            .await;
        assert!(matches!(late, Err(StoreError::Refused(_))), "a late write gets no new key: {late:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rotation_wraps_every_key_anew_and_values_stay_readable() {
    for place in places().await {
        let store = place.open().await;
        let mut sealed = Vec::new();
        for n in 0..250 {
            let owner = format!("u{n}");
            sealed.push((owner.clone(), seal(&store, &owner, owner.as_bytes()).await));
        }
        let file = place.config.path.join("notes.keys");
        let before = std::fs::read_to_string(&file).expect("the key file");
        assert_eq!(store.vault.rotate(&store.database).await.expect("a rotation"), 250, "{}", place.name);
        let after = std::fs::read_to_string(&file).expect("the key file");
        assert_eq!(after.lines().count(), 1, "the old key is gone");
        assert_ne!(before, after);
        drop(store);
        let store = place.open().await;
        for (owner, sealed) in &sealed {
            assert_eq!(open(&store, owner, WHERE, sealed).await.expect("the value"), owner.as_bytes());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operators_key_file_is_read_and_never_written() {
    use std::os::unix::fs::PermissionsExt;
    for mut place in places().await {
        let file = place.folder.path().join("master");
        let (first, second) = (format!("k1 {}\n", "0a".repeat(32)), format!("k2 {}\n", "0b".repeat(32)));
        let write = |text: &str, mode| {
            std::fs::write(&file, text).expect("a key file");
            std::fs::set_permissions(&file, PermissionsExt::from_mode(mode)).expect("its mode");
        };
        place.config.master_keys_file = Some(file.clone());
        write(&first, 0o644);
        place.up().await;
        let words = place.try_open().await.expect_err("readable by others");
        assert!(words.to_string().contains("chmod 600"), "{words}");
        write(&first, 0o600);
        let store = place.open().await;
        let sealed = seal(&store, "u1", b"value").await;
        let both = format!("{first}{second}");
        write(&both, 0o600);
        assert_eq!(store.vault.rotate(&store.database).await.expect("a rotation"), 1);
        assert_eq!(std::fs::read_to_string(&file).expect("the key file"), both);
        assert_eq!(open(&store, "u1", WHERE, &sealed).await.expect("the value"), b"value", "{}", place.name);
        drop(store);
        write(&first, 0o600);
        let words = place.try_open().await.expect_err("k2 is missing").to_string();
        assert!(words.contains("k2") && words.contains("put the key file back"), "{words}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_key_file_is_not_replaced_by_a_new_one() {
    let place = sqlite();
    let store = place.open().await;
    seal(&store, "u1", b"value").await;
    drop(store);
    std::fs::remove_file(place.config.path.join("notes.keys")).expect("the key file");
    place.try_open().await.expect_err("without its keys");
    assert!(!place.config.path.join("notes.keys").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_prints_a_key() {
    let place = sqlite();
    let mut config = place.config.clone();
    config.redis_url = Some("redis://:s3cret@localhost/".to_owned().into());
    let store = Store::open(&config, NOTES, &crate::common::SET).await.expect("a store");
    let key = std::fs::read_to_string(place.config.path.join("notes.keys")).expect("the key file");
    let key = key.trim().split_once(' ').expect("id and key").1;
    let printed = format!("{store:?} {config:?} {:?}", &store.vault as &Vault);
    assert!(!printed.contains(key) && !printed.contains("s3cret"), "{printed}");
}
