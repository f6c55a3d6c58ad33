//! Accounts of the real program on a real PostgreSQL and Redis that are away at the start, killed, stopped and brought back.
//!
//! Runs where `BIST_TEST_POSTGRES_URL` is set (`eval "$(tests/servers.sh start)"`), on servers of its own; says so otherwise.

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use common::accounts::{PASSWORD, ask, log_in, register, run, text, try_ask};
use common::{Bist, wait_for};
use serde_json::json;

/// A PostgreSQL and a Redis of one test.
struct Servers {
    folder: tempfile::TempDir,
    postgres_url: String,
    redis_url: String,
}

impl Servers {
    fn start() -> Option<Self> {
        if std::env::var_os("BIST_TEST_POSTGRES_URL").is_none() {
            eprintln!("skipped: no servers of storage (eval \"$(tests/servers.sh start)\")");
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let output = script().arg("start").arg(folder.path()).output().expect("the script");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let said = String::from_utf8(output.stdout).expect("text");
        let value = |name: &str| {
            let mut lines = said.lines();
            let found = lines.find_map(|line| line.strip_prefix("export ")?.strip_prefix(name)?.strip_prefix('='));
            found.expect("an export").to_owned()
        };
        let (postgres_url, redis_url) = (value("BIST_TEST_POSTGRES_URL"), value("BIST_TEST_REDIS_URL"));
        Some(Self { folder, postgres_url, redis_url })
    }

    fn fault(&self, verb: &str, server: &str) {
        let status = script().arg(verb).arg(self.folder.path()).arg(server).status().expect("the script");
        assert!(status.success(), "{verb} {server}");
    }

    /// The program's environment: secrets from the environment, as an operator has them.
    fn environment<'e>(&'e self, folder: &'e str) -> Vec<(&'e str, &'e str)> {
        vec![
            ("BIST__STORAGE__EPHEMERAL", "false"),
            ("BIST__STORAGE__PATH", folder),
            ("BIST__STORAGE__POSTGRES_URL", &self.postgres_url),
            ("BIST__STORAGE__REDIS_URL", &self.redis_url),
        ]
    }

    fn bist(&self, folder: &Path) -> Bist {
        let folder = folder.display().to_string();
        Bist::start_with(&["serve", "--source", "sim", "--symbols", "2"], &self.environment(&folder))
    }

    fn migrate(&self, folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
        let path = folder.display().to_string();
        let output = common::command(arguments).envs(self.environment(&path)).output().expect("the program starts");
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&said).into_owned())
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        let _ = script().arg("stop").arg(self.folder.path()).status();
    }
}

fn script() -> Command {
    let mut command = Command::new("bash");
    command.arg(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/servers.sh"));
    command
}

/// Accounts say that they are away, at once and with the time to come back; the market does not mind.
fn is_away(bist: &Bist, what: &str) {
    let asked = Instant::now();
    let (status, refused) = log_in(bist.api, "ayse@example.com");
    assert_eq!((status, text(&refused, "/error/code")), (503, "STORE_UNAVAILABLE"), "{what}: {refused}");
    assert!(asked.elapsed() < Duration::from_millis(2_500), "{what}: {:?}", asked.elapsed());
    assert_eq!(ask("GET", bist.api, "/api/v1/market-data/symbols", None, None).0, 200, "{what}");
    wait_for("health to say it", Duration::from_secs(10), || {
        common::get(bist.api, "/readyz").contains("degraded: accounts").then_some(())
    });
}

fn comes_back(bist: &Bist, what: &str) {
    wait_for(what, Duration::from_secs(30), || (log_in(bist.api, "ayse@example.com").0 == 200).then_some(()));
}

#[test]
fn d1_users_postgres_away_at_the_start_killed_and_stopped() {
    let Some(servers) = Servers::start() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("data");
    // An empty schema is not migrated by a start: the command that does it is named.
    let (code, said) = servers.migrate(
        &path,
        &[
            "serve",
            "--api-listen",
            "127.0.0.1:0",
            "--market-data-listen",
            "127.0.0.1:0",
            "--users-listen",
            "127.0.0.1:0",
            "--admin-listen",
            "127.0.0.1:0",
        ],
    );
    assert!(code == Some(2) && said.contains("bist migrate up"), "{code:?} {said}");
    let (code, said) = servers.migrate(&path, &["migrate", "up", "--without-backup"]);
    assert_eq!(code, Some(0), "{said}");

    servers.fault("kill", "postgres");
    let bist = servers.bist(&path);
    is_away(&bist, "away at the start");
    servers.fault("revive", "postgres");
    wait_for("accounts", Duration::from_secs(30), || (register(bist.api, "ayse@example.com").0 == 201).then_some(()));
    comes_back(&bist, "the first log-in");
    let (_, tokens) = log_in(bist.api, "ayse@example.com");
    let token = text(&tokens, "/data/access_token").to_owned();

    for verb in ["kill", "freeze"] {
        servers.fault(verb, "postgres");
        is_away(&bist, verb);
        // A token that was checked long ago passes no more; nobody passes without being known.
        wait_for("the token not to pass unseen", Duration::from_secs(10), || {
            (ask("GET", bist.api, "/api/v1/users/me", Some(&token), None).0 == 503).then_some(())
        });
        servers.fault(if verb == "kill" { "revive" } else { "thaw" }, "postgres");
        comes_back(&bist, verb);
        wait_for("the token to pass", Duration::from_secs(10), || {
            (ask("GET", bist.api, "/api/v1/users/me", Some(&token), None).0 == 200).then_some(())
        });
    }
    let (code, said) = servers.migrate(&path, &["audit", "verify"]);
    assert!(code == Some(0) && said.contains("whole"), "{said}");
}

#[test]
fn d3_users_redis_away_makes_limits_stricter_and_opens_no_door() {
    let Some(servers) = Servers::start() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("data");
    assert_eq!(servers.migrate(&path, &["migrate", "up", "--without-backup"]).0, Some(0));
    let bist = servers.bist(&path);
    assert_eq!(register(bist.api, "ayse@example.com").0, 201);
    servers.fault("kill", "redis");
    // A person still logs in; a guesser meets a limit, and sooner than with Redis.
    assert_eq!(log_in(bist.api, "ayse@example.com").0, 200);
    let guess = json!({ "email": "veli@example.com", "password": format!("{PASSWORD}!") });
    // A database that a machine under load did not answer in time says 503, ask again: the guesser does.
    let one_guess = || try_ask("POST", bist.api, "/api/v1/auth/login", None, Some(&guess)).expect("an answer").0;
    let statuses: Vec<u16> = (0..10)
        .map(|_| wait_for("a decision", Duration::from_secs(20), || Some(one_guess()).filter(|&status| status != 503)))
        .collect();
    let let_in = statuses.iter().filter(|&&status| status == 401).count();
    assert!((1..=5).contains(&let_in) && statuses.iter().all(|status| [401, 429].contains(status)), "{statuses:?}");
    assert!(common::get(bist.api, "/readyz").contains("Redis"), "health says it");
    servers.fault("revive", "redis");
    wait_for("health", Duration::from_secs(20), || (!common::get(bist.api, "/readyz").contains("Redis")).then_some(()));
}

#[test]
fn accounts_move_from_sqlite_to_postgres_and_go_on() {
    let Some(servers) = Servers::start() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("data");
    let mut bist = common::accounts::start(&path);
    assert_eq!(register(bist.api, "ayse@example.com").0, 201);
    let (_, tokens) = log_in(bist.api, "ayse@example.com");
    // Under the running service nothing is copied.
    let (code, said) = servers.migrate(&path, &["migrate", "copy"]);
    assert!(code == Some(1) && said.contains(&bist.pid().to_string()), "{said}");
    bist.signal("TERM");
    assert!(bist.wait(Duration::from_secs(5)).success());
    let (code, said) = servers.migrate(&path, &["migrate", "copy"]);
    assert!(code == Some(0) && said.contains("checksums agree"), "{said}");
    let bist = servers.bist(&path);
    comes_back(&bist, "a log-in after the move");
    // The session and its signing key moved, too.
    let token = text(&tokens, "/data/access_token");
    assert_eq!(ask("GET", bist.api, "/api/v1/users/me", Some(token), None).0, 200);
    assert_eq!(servers.migrate(&path, &["audit", "verify"]).0, Some(0));
}

#[test]
fn d9_users_a_newer_schema_and_a_damaged_page_are_refused_with_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("data");
    assert_eq!(run(&path, &["migrate", "up"]).0, Some(0));
    let file = path.join("users.sqlite");
    let bytes = std::fs::read(&file).expect("the database");
    let start = || {
        let free = ["--api-listen", "--market-data-listen", "--users-listen", "--admin-listen"];
        let flags: Vec<&str> = free.iter().flat_map(|flag| [*flag, "127.0.0.1:0"]).collect();
        run(&path, &[&["serve"], flags.as_slice()].concat())
    };
    let mut damaged = bytes.clone();
    damaged[4_096..6_000].fill(0xa5);
    std::fs::write(&file, &damaged).expect("our own file");
    let (code, said) = start();
    assert!(code == Some(2) && said.contains("accounts") && said.contains("restore"), "{code:?} {said}");
    std::fs::write(&file, &bytes).expect("our own file");
    let mut schema = Command::new("sqlite3");
    schema.arg(&file).arg("UPDATE _sqlx_migrations SET version = 9999 WHERE version = 1000");
    if schema.status().is_ok_and(|status| status.success()) {
        let (code, said) = start();
        assert!(code == Some(2) && said.contains("newer"), "{code:?} {said}");
    } else {
        eprintln!("skipped: a newer schema (there is no sqlite3 here); tests of api-store show it");
    }
}
