//! `kill -9` under registrations, log-ins and key changes: what was acknowledged is there after the restart.
//!
//! Ten moments here; `BIST_KILLS=50 cargo test -p bist --test accounts_crash` for as many as the reliability plan asks for. A
//! moment is a number of acknowledgements drawn from a seed (`BIST_SEED`), so that no test waits for a clock.

mod common;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::accounts::{PASSWORD, try_ask};
use common::wait_for;
use serde_json::json;

/// Clients at once.
const CLIENTS: usize = 3;

/// What the server has acknowledged.
#[derive(Clone, Debug, Default)]
struct Acknowledged {
    email: String,
    token: Option<String>,
    key: Option<String>,
    key_is_revoked: bool,
}

/// A seeded sequence (SplitMix64): good enough to choose moments.
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// One client's life: account after account, step after step, until the server is gone.
fn live(address: SocketAddr, name: &str, stop: &AtomicBool, steps: &AtomicUsize, done: &Mutex<Vec<Acknowledged>>) {
    for round in 0.. {
        let email = format!("{name}-{round}@example.com");
        let body = json!({ "email": email, "password": PASSWORD, "full_name": "Somebody" });
        let Some((201, _)) = try_ask("POST", address, "/api/v1/auth/register", None, Some(&body)) else { return };
        steps.fetch_add(1, Ordering::SeqCst);
        let at = {
            let mut done = done.lock().expect("no panic");
            done.push(Acknowledged { email: email.clone(), ..Acknowledged::default() });
            done.len() - 1
        };
        let body = json!({ "email": email, "password": PASSWORD });
        let Some((200, tokens)) = try_ask("POST", address, "/api/v1/auth/login", None, Some(&body)) else { return };
        let token = tokens["data"]["access_token"].as_str().expect("a token").to_owned();
        steps.fetch_add(1, Ordering::SeqCst);
        done.lock().expect("no panic")[at].token = Some(token.clone());
        let body = json!({ "name": "bot", "environment": "paper", "scopes": ["market:read"] });
        let made = try_ask("POST", address, "/api/v1/users/me/keys", Some(&token), Some(&body));
        let Some((201, key)) = made else { return };
        steps.fetch_add(1, Ordering::SeqCst);
        done.lock().expect("no panic")[at].key = Some(key["data"]["key"].as_str().expect("a key").to_owned());
        if round % 2 == 1 {
            let id = key["data"]["id"].as_str().expect("an id");
            let path = format!("/api/v1/users/me/keys/{id}");
            let Some((200, _)) = try_ask("DELETE", address, &path, Some(&token), None) else { return };
            steps.fetch_add(1, Ordering::SeqCst);
            done.lock().expect("no panic")[at].key_is_revoked = true;
        }
        if stop.load(Ordering::SeqCst) {
            return;
        }
    }
}

/// What the restarted server must know of what was acknowledged.
fn check(address: SocketAddr, one: &Acknowledged) {
    let status = |path: &str, credential: &str| {
        try_ask("GET", address, path, Some(credential), None).unwrap_or_else(|| panic!("{path}: no answer")).0
    };
    if let Some(token) = &one.token {
        assert_eq!(status("/api/v1/users/me", token), 200, "{} is logged in", one.email);
    } else {
        let body = json!({ "email": one.email, "password": PASSWORD });
        let answer = try_ask("POST", address, "/api/v1/auth/login", None, Some(&body)).expect("an answer");
        assert_eq!(answer.0, 200, "{} is registered: {}", one.email, answer.1);
    }
    match (&one.key, one.key_is_revoked) {
        (Some(key), true) => assert_eq!(status("/api/v1/market-data/symbols", key), 401, "revoked stays revoked"),
        // A revocation may have been done and not been acknowledged.
        (Some(key), false) => assert!([200, 401].contains(&status("/api/v1/market-data/symbols", key))),
        (None, _) => {}
    }
}

#[test]
fn d8_users_what_was_acknowledged_is_there_after_every_kill() {
    let (kills, mut seeded) = (number("BIST_KILLS", 10), Seeded(number("BIST_SEED", 1)));
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("data");
    // One line of clients registers more than an address may.
    let limits = [("BIST__API__REQUESTS_PER_SECOND", "0"), ("BIST__USERS__REGISTRATIONS_PER_HOUR", "1000000")];
    let mut all = Vec::new();
    for kill in 0..kills {
        let mut bist = common::accounts::start_with(&path, &limits);
        let moment = 1 + seeded.below(12) as usize;
        let (stop, steps) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let done = Arc::new(Mutex::new(Vec::new()));
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let (stop, steps, done) = (Arc::clone(&stop), Arc::clone(&steps), Arc::clone(&done));
                let (address, name) = (bist.api, format!("k{kill}-c{client}"));
                std::thread::spawn(move || live(address, &name, &stop, &steps, &done))
            })
            .collect();
        wait_for("acknowledgements", Duration::from_secs(60), || {
            (steps.load(Ordering::SeqCst) >= moment).then_some(())
        });
        bist.signal("KILL");
        bist.wait(Duration::from_secs(5));
        stop.store(true, Ordering::SeqCst);
        for client in clients {
            client.join().expect("a client that only stops");
        }
        all.extend(done.lock().expect("no panic").drain(..));
        let bist = common::accounts::start_with(&path, &limits);
        // Those of this round, and some of earlier ones.
        let from = all.len().saturating_sub(3 * CLIENTS + 12);
        all[from..].iter().for_each(|one| check(bist.api, one));
    }
    assert!(all.len() >= kills as usize, "{} accounts", all.len());
    let (code, said) = common::accounts::run(&path, &["audit", "verify"]);
    assert!(code == Some(0), "{said}");
}
