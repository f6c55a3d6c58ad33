//! Stores to test on, each its own: a folder, and a fresh database when a server is given. Waits for states, never for
//! durations.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use api_store::{MigrationSet, ServiceName, SqlFile, StorageConfig, Store, StoreError, Tx, execute_on_both, on_both};
use secrecy::SecretString;
use tempfile::TempDir;

pub const NOTES: ServiceName = ServiceName::new("notes");

const NOTES_SQL: &str = "CREATE TABLE notes (id BIGINT PRIMARY KEY, text TEXT NOT NULL UNIQUE CHECK (text <> ''))";

/// The tables of the service under test.
pub const SET: MigrationSet = MigrationSet {
    sqlite: &[SqlFile { version: 1001, name: "notes", sql: NOTES_SQL }],
    postgres: &[SqlFile { version: 1001, name: "notes", sql: NOTES_SQL }],
};

/// A place for stores, gone at the end.
pub struct Place {
    pub name: &'static str,
    pub config: StorageConfig,
    pub folder: TempDir,
}

/// SQLite, and PostgreSQL when there is one.
pub async fn places() -> Vec<Place> {
    let mut places = vec![sqlite()];
    places.extend(postgres().await);
    places
}

pub fn sqlite() -> Place {
    let folder = tempfile::tempdir().expect("a folder");
    let mut config = StorageConfig::in_folder(folder.path().join("data"));
    // The machine of a test is busy with other tests; what is tested with a deadline sets its own.
    config.deadline = Duration::from_secs(20);
    Place { name: "sqlite", config, folder }
}

pub async fn postgres() -> Option<Place> {
    let Ok(url) = std::env::var("BIST_TEST_POSTGRES_URL") else {
        println!("PostgreSQL is left out: BIST_TEST_POSTGRES_URL is not set (tests/servers.sh start)");
        return None;
    };
    Some(postgres_at(&url).await)
}

/// A fresh database on a server, with the schema made.
pub async fn postgres_at(url: &str) -> Place {
    use sqlx::Connection;
    let name = format!("t{}", uuid::Uuid::new_v4().simple());
    let mut admin = sqlx::PgConnection::connect(url).await.expect("the test server");
    let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"));
    sqlx::query(create).execute(&mut admin).await.expect("a fresh database");
    let mut place = sqlite();
    let (server, _) = url.rsplit_once('/').expect("a database in the URL");
    place.name = "postgres";
    place.config.postgres_url = Some(SecretString::from(format!("{server}/{name}")));
    place
}

impl Place {
    pub fn data(&self) -> api_store::DataFolder {
        api_store::DataFolder::open(&self.config.path).expect("the data folder")
    }

    /// Opens the store; on PostgreSQL after the operator's command.
    pub async fn open(&self) -> Store {
        self.up().await;
        self.try_open().await.unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }

    pub async fn try_open(&self) -> Result<Store, StoreError> {
        Store::open(&self.config, NOTES, &SET).await
    }

    /// What an operator does before the first start on PostgreSQL.
    pub async fn up(&self) {
        if self.config.postgres_url.is_some() {
            let options = api_store::migrations::UpOptions { without_backup: false };
            api_store::migrations::up(&self.config, NOTES, &self.data(), &SET, options).await.expect("migrations");
        }
    }

    pub fn file(&self) -> PathBuf {
        self.config.path.join("notes.sqlite")
    }
}

pub async fn add_note(tx: &mut Tx, id: i64, text: &str) -> Result<(), StoreError> {
    execute_on_both!(tx, c => sqlx::query("INSERT INTO notes (id, text) VALUES ($1, $2)").bind(id).bind(text).execute(c))
        .map(drop)
}

pub async fn notes(tx: &mut Tx) -> Result<Vec<i64>, StoreError> {
    on_both!(tx, c => sqlx::query_scalar("SELECT id FROM notes ORDER BY id").fetch_all(c))
}

/// Runs a statement that only a test says.
pub async fn run(tx: &mut Tx, statement: &'static str) -> Result<(), StoreError> {
    execute_on_both!(tx, c => sqlx::raw_sql(statement).execute(c)).map(drop)
}

/// This test program again, as another process that runs the one test named, which sees `variable`.
pub fn child(test: &str, variable: &str, value: &std::ffi::OsStr) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]).env(variable, value);
    command
}

/// The number in a child's line `acknowledged 17`, before which the test harness writes the test's name.
pub fn acknowledged(line: &str) -> Option<i64> {
    line.rsplit_once("acknowledged ")?.1.parse().ok()
}

/// Waits until something asynchronous holds.
pub async fn eventually_async(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !holds().await {
        assert!(Instant::now() < end, "{what} did not come to hold");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
