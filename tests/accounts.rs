//! Accounts as a newcomer meets them: the real program on an empty folder, asked over its ports with a client that is not
//! ours.

mod common;

use std::path::Path;
use std::time::{Duration, Instant};

use common::accounts::{PASSWORD, ask, log_in, post, register, run, start, start_with, text};
use common::{Bist, wait_for};
use serde_json::json;

#[test]
fn a_newcomer_registers_makes_a_key_calls_and_takes_it_away() {
    let folder = tempfile::tempdir().expect("a folder");
    let bist = start(&folder.path().join("data"));
    let (status, made) = register(bist.api, "ayse@example.com");
    assert_eq!((status, &made["data"]["email"]), (201, &json!("ayse@example.com")), "{made}");
    // The port of the service itself answers as the gateway does.
    let (status, tokens) = log_in(bist.users, "ayse@example.com");
    assert_eq!((status, &tokens["data"]["expires_in"]), (200, &json!(900)), "{tokens}");
    let token = text(&tokens, "/data/access_token");
    let (status, me) = ask("GET", bist.api, "/api/v1/users/me", Some(token), None);
    assert_eq!((status, text(&me, "/data/full_name")), (200, "Ayşe Yılmaz"));

    let wanted = json!({ "name": "bot", "environment": "paper", "scopes": ["market:read"] });
    let (status, made) = post(bist.api, "users/me/keys", Some(token), wanted);
    assert_eq!(status, 201, "{made}");
    let (key, id) = (text(&made, "/data/key"), text(&made, "/data/id"));
    let call = |credential| ask("GET", bist.api, "/api/v1/market-data/symbols", credential, None).0;
    assert_eq!((call(Some(key)), call(None), call(Some("bist_paper_no"))), (200, 200, 401));
    let (_, limits) = ask("GET", bist.api, "/api/v1/limits", Some(key), None);
    assert_eq!(limits["data"]["caller"], json!({ "kind": "key", "id": id }));
    // A key does not manage accounts.
    let (status, refused) = ask("GET", bist.api, "/api/v1/users/me/keys", Some(key), None);
    assert_eq!((status, text(&refused, "/error/code")), (403, "KEY_NOT_ALLOWED"));

    let (status, _) = ask("DELETE", bist.api, &format!("/api/v1/users/me/keys/{id}"), Some(token), None);
    assert_eq!(status, 200);
    let begin = Instant::now();
    wait_for("the key to be refused", Duration::from_secs(5), || (call(Some(key)) == 401).then_some(()));
    assert!(begin.elapsed() < Duration::from_secs(5));
}

#[test]
fn what_was_acknowledged_is_there_after_a_kill() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("data");
    let mut bist = start(&path);
    assert_eq!(register(bist.api, "ayse@example.com").0, 201);
    let (_, tokens) = log_in(bist.api, "ayse@example.com");
    bist.signal("KILL");
    bist.wait(Duration::from_secs(5));
    let bist = start(&path);
    // The token of before the kill is still good: signing key and session are on the disk.
    let token = text(&tokens, "/data/access_token");
    assert_eq!(ask("GET", bist.api, "/api/v1/users/me", Some(token), None).0, 200);
    assert_eq!(log_in(bist.api, "ayse@example.com").0, 200);
    let refreshed =
        post(bist.api, "auth/refresh", None, json!({ "refresh_token": text(&tokens, "/data/refresh_token") }));
    assert_eq!(refreshed.0, 200, "{}", refreshed.1);
}

#[test]
fn market_data_can_be_closed_to_strangers() {
    let folder = tempfile::tempdir().expect("a folder");
    let bist = start_with(&folder.path().join("data"), &[("BIST__AUTH__REQUIRED", "true")]);
    let symbols = |credential| ask("GET", bist.api, "/api/v1/market-data/symbols", credential, None).0;
    assert_eq!(symbols(None), 401);
    assert_eq!(register(bist.api, "ayse@example.com").0, 201);
    let (_, tokens) = log_in(bist.api, "ayse@example.com");
    assert_eq!(symbols(Some(text(&tokens, "/data/access_token"))), 200);
}

#[test]
fn without_a_folder_there_are_no_accounts_and_a_reason() {
    let bist = Bist::start(&["serve", "--source", "sim", "--symbols", "1"]);
    let (status, refused) = register(bist.api, "ayse@example.com");
    assert_eq!((status, text(&refused, "/error/code")), (503, "ACCOUNTS_OFF"));
    assert!(text(&refused, "/error/message").contains("storage.path"));
}

#[test]
fn an_operator_looks_at_the_schema_backs_up_and_verifies_the_audit_log() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("data");
    let (code, said) = run(&path, &["migrate", "status"]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("to come"), "{said}");
    let (code, said) = run(&path, &["migrate", "up"]);
    assert_eq!(code, Some(0), "{said}");
    let bist = start(&path);
    assert_eq!(register(bist.api, "ayse@example.com").0, 201);
    assert_eq!(run(&path, &["migrate", "status"]).0, Some(0));
    let (code, said) = run(&path, &["migrate", "backup"]);
    assert!(code == Some(0) && said.contains("read back"), "{said}");
    let (code, said) = run(&path, &["audit", "verify"]);
    assert!(code == Some(0) && said.contains("whole"), "{said}");
    let (code, said) = run(&path, &["audit", "export"]);
    assert!(code == Some(0) && said.contains("user.register") && !said.contains("ayse@"), "{said}");
    // A restoration under a running service is refused, and names it.
    let (code, said) = run(&path, &["migrate", "restore", "nothing.sqlite"]);
    assert!(code == Some(1) && said.contains(&bist.pid().to_string()), "{said}");
}

#[test]
fn wrong_settings_of_accounts_are_usage_errors() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("data");
    let (code, said) = run(
        &path,
        &[
            "serve",
            "--api-listen",
            "0.0.0.0:0",
            "--market-data-listen",
            "127.0.0.1:0",
            "--users-listen",
            "127.0.0.1:0",
            "--admin-listen",
            "127.0.0.1:0",
        ],
    );
    assert!(code == Some(2) && said.contains("users.smtp_url_file") && said.contains("auth.development"), "{said}");
}

/// The same with a password on standard input.
fn run_with_password(folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let file = folder.with_extension("password");
    std::fs::write(&file, format!("{PASSWORD}\n")).expect("our own file");
    let path = file.display().to_string();
    run(folder, &[arguments, &["--password-file", &path]].concat())
}

#[test]
fn an_operator_makes_accounts_and_keys_before_and_beside_the_platform() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("data");
    let (code, said) = run_with_password(&path, &["user", "add", "ops@example.com", "--name", "Ops", "--admin"]);
    assert_eq!(code, Some(0), "{said}");
    let bist = start(&path);
    let (_, tokens) = log_in(bist.api, "ops@example.com");
    let token = text(&tokens, "/data/access_token");
    let (status, people) = ask("GET", bist.api, "/api/v1/users", Some(token), None);
    assert_eq!((status, people["data"]["items"].as_array().map(Vec::len)), (200, Some(1)), "{people}");

    // Beside the running platform.
    let (code, said) = run_with_password(&path, &["user", "add", "bot@example.com", "--name", "Bot"]);
    assert_eq!(code, Some(0), "{said}");
    let (code, key) = run(&path, &["key", "create", "bot@example.com", "--name", "bot", "--scope", "market:read"]);
    let key = key.lines().find(|line| line.starts_with("bist_paper_")).unwrap_or_else(|| panic!("{code:?} {key}"));
    let call = || ask("GET", bist.api, "/api/v1/market-data/symbols", Some(key), None).0;
    assert_eq!(call(), 200);
    let (code, said) = run(&path, &["user", "disable", "bot@example.com", "--reason", "lost laptop"]);
    assert_eq!(code, Some(0), "{said}");
    // What another process changed is seen within seconds.
    wait_for("the key to be refused", Duration::from_secs(5), || (call() == 401).then_some(()));
    let (code, said) = run(&path, &["user", "roles", "ops@example.com", "viewer"]);
    assert!(code == Some(1) && said.contains("administrator"), "the last one stays: {said}");
}

#[test]
fn two_hundred_log_ins_at_once_are_bounded_and_the_market_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let bist = start_with(&folder.path().join("data"), &[("BIST__API__REQUESTS_PER_SECOND", "0")]);
    assert_eq!(register(bist.api, "ayse@example.com").0, 201);
    let address = bist.api;
    let begin = Instant::now();
    let clients: Vec<_> = (0..200).map(|_| std::thread::spawn(move || log_in_heads(address))).collect();
    // Quotes are answered while the log-ins wait for their turn.
    let mut slowest = Duration::ZERO;
    for _ in 0..20 {
        let asked = Instant::now();
        assert_eq!(ask("GET", address, "/api/v1/market-data/symbols", None, None).0, 200);
        slowest = slowest.max(asked.elapsed());
    }
    let answers: Vec<(u16, bool)> = clients.into_iter().map(|client| client.join().expect("a client")).collect();
    let count = |status| answers.iter().filter(|(one, _)| *one == status).count();
    assert!(count(200) >= 1, "{answers:?}");
    assert_eq!(count(200) + count(429) + count(503), 200, "{answers:?}");
    assert!(answers.iter().all(|(status, retry_after)| *status == 200 || *retry_after), "{answers:?}");
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
    assert!(slowest < Duration::from_secs(2), "a quote took {slowest:?}");
    println!(
        "200 log-ins: {} ok, {} 429, {} 503 in {:?}; slowest quote {slowest:?}",
        count(200),
        count(429),
        count(503),
        begin.elapsed()
    );
}

/// The status of a log-in, and whether it says when to come back.
fn log_in_heads(address: std::net::SocketAddr) -> (u16, bool) {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let body = json!({ "email": "ayse@example.com", "password": PASSWORD }).to_string();
    let request = agent.post(format!("http://{address}/api/v1/auth/login")).header("content-type", "application/json");
    let answer = request.send(body).expect("an answer");
    (answer.status().as_u16(), answer.headers().contains_key("retry-after"))
}

#[test]
fn a12_users_no_secret_stands_in_logs_metrics_errors_or_the_command_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, log) = (folder.path().join("data"), folder.path().join("log"));
    let marked = "mark-of-a-password-71";
    let log_path = log.display().to_string();
    let bist = start_with(&path, &[(common::LOG_FILE, log_path.as_str()), ("RUST_LOG", "trace")]);
    let body = json!({ "email": "ayse@example.com", "password": marked, "full_name": "Ayşe" });
    assert_eq!(post(bist.api, "auth/register", None, body).0, 201);
    let credentials = json!({ "email": "ayse@example.com", "password": marked });
    let (_, tokens) = post(bist.api, "auth/login", None, credentials);
    let (access, refresh) = (text(&tokens, "/data/access_token"), text(&tokens, "/data/refresh_token"));
    let wanted = json!({ "name": "bot", "environment": "paper", "scopes": ["market:read"] });
    let (_, made) = post(bist.api, "users/me/keys", Some(access), wanted);
    let key = text(&made, "/data/key");
    assert_eq!(ask("GET", bist.api, "/api/v1/market-data/symbols", Some(key), None).0, 200);
    // What is refused, and with what words.
    let mut said = String::new();
    for body in [
        json!({ "email": "ayse@example.com", "password": format!("{marked}-wrong") }),
        json!({ "email": "ayse@example.com", "password": 71, marked: marked }),
        json!({ "email": marked, "password": [marked] }),
    ] {
        said += &post(bist.api, "auth/login", None, body).1.to_string();
    }
    said += &post(bist.api, "auth/refresh", None, json!({ "refresh_token": "bist_rt_none" })).1.to_string();
    said += &common::get(bist.admin, "/metrics");
    said += &std::fs::read_to_string(format!("/proc/{}/cmdline", bist.pid())).expect("our own process");
    said += &std::fs::read_to_string(&log).expect("our own file");
    assert!(said.contains("bist_users_logins_total"), "the metrics are among what is looked through");
    // The name of an unknown field is told, since the caller wrote it; a value never is.
    let told = said.replace(&format!("unknown field `{marked}`"), "");
    for secret in [marked, access, refresh, key] {
        assert!(!told.contains(secret), "{secret} is told: {}", &told[told.find(secret).unwrap_or(0)..][..200]);
    }
}
