//! Services to test on, each over its own store: a folder, and a fresh database when a server is given. Time stands until a
//! test turns it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use api_kit::access::AccessTable;
use api_kit::error::shape_errors;
use api_kit::principal::{Environment, Principal, Role, Scope};
use api_store::{StorageConfig, Store, execute_on_both, on_both};
use api_users::caller::Caller;
use api_users::clock::Clock;
use api_users::error::UsersError;
use api_users::mailer::Mailer;
use api_users::operate::{self, Account};
use api_users::schema::{MIGRATIONS, SERVICE};
use api_users::tokens::{Tokens, keys};
use api_users::{Users, UsersConfig, access, routes};
use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, header};
use axum::middleware::from_fn;
use http_body_util::BodyExt;
use secrecy::SecretString;
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

/// When the clock starts: 2026-11-30T00:00:00Z.
pub const START_MS: i64 = 1_796_000_000_000;

/// The password of everybody.
pub const PASSWORD: &str = "kırmızı bisiklet 7";

/// One service, gone at the end.
pub struct World {
    pub name: &'static str,
    pub users: Arc<Users>,
    pub clock: Clock,
    pub store: Arc<Store>,
    pub spec: OpenApi,
    pub table: AccessTable,
    routes: Router,
    _folder: TempDir,
}

/// A user of a test, logged in.
#[derive(Clone)]
pub struct Somebody {
    pub id: String,
    pub email: String,
    pub session: String,
    pub principal: Principal,
}

/// What was answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
    pub headers: axum::http::HeaderMap,
}

impl Answer {
    /// `status code` of an error, `status` of a success.
    pub fn said(&self) -> String {
        match self.body["error"]["code"].as_str() {
            Some(code) => format!("{} {code}", self.status),
            None => self.status.to_string(),
        }
    }

    pub fn data(&self) -> &Value {
        assert!(self.status < 300, "{self:?}");
        &self.body["data"]
    }

    pub fn text(&self, field: &str) -> String {
        self.data()[field].as_str().unwrap_or_else(|| panic!("{field} of {self:?}")).to_owned()
    }
}

/// SQLite, and PostgreSQL when there is one.
pub async fn worlds() -> Vec<World> {
    let mut worlds = vec![World::open("sqlite", None).await];
    match std::env::var("BIST_TEST_POSTGRES_URL") {
        Ok(url) => worlds.push(World::open("postgres", Some(fresh_database(&url).await)).await),
        Err(_) => println!("PostgreSQL is left out: BIST_TEST_POSTGRES_URL is not set (tests/servers.sh start)"),
    }
    worlds
}

async fn fresh_database(url: &str) -> SecretString {
    use sqlx::Connection;
    let name = format!("t{}", uuid::Uuid::new_v4().simple());
    let mut admin = sqlx::PgConnection::connect(url).await.expect("the test server");
    let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"));
    sqlx::query(create).execute(&mut admin).await.expect("a fresh database");
    let (server, _) = url.rsplit_once('/').expect("a database in the URL");
    SecretString::from(format!("{server}/{name}"))
}

impl World {
    async fn open(name: &'static str, postgres_url: Option<SecretString>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut config = StorageConfig::in_folder(folder.path().join("data"));
        // The machine of a test is busy with other tests.
        config.deadline = Duration::from_secs(20);
        config.postgres_url = postgres_url;
        if config.postgres_url.is_some() {
            let data = api_store::DataFolder::open(&config.path).expect("the data folder");
            let options = api_store::migrations::UpOptions { without_backup: true };
            api_store::migrations::up(&config, SERVICE, &data, &MIGRATIONS, options).await.expect("migrations");
        }
        let store = Arc::new(Store::open(&config, SERVICE, &MIGRATIONS).await.expect("a store"));
        let clock = Clock::manual(START_MS);
        let opened = Users::open(UsersConfig::default(), Arc::clone(&store), Mailer::to_the_log(), clock.clone()).await;
        let users = opened.expect("the service");
        let (routes, spec) = routes_of(&users);
        let table = AccessTable::new(access::ACCESS.iter().copied());
        Self { name, users, clock, store, spec, table, routes, _folder: folder }
    }

    /// A user with the role trader.
    pub async fn user(&self, name: &str) -> Somebody {
        self.add(name, false).await
    }

    /// A user with the roles trader and admin.
    pub async fn admin(&self, name: &str) -> Somebody {
        self.add(name, true).await
    }

    async fn add(&self, name: &str, is_admin: bool) -> Somebody {
        let email = format!("{name}@example.com");
        let account = Account {
            email: email.clone(),
            full_name: name.to_owned(),
            password: PASSWORD.to_owned().into(),
            is_admin,
        };
        let id = operate::add(&self.users, account).await.expect("a user");
        let session = self.session(&id).await;
        let roles = if is_admin { vec![Role::Trader, Role::Admin] } else { vec![Role::Trader] };
        let principal = person(&id, &session, roles);
        Somebody { id, email, session, principal }
    }

    /// A session of a user, as a log-in makes it.
    pub async fn session(&self, user_id: &str) -> String {
        let id = &uuid::Uuid::now_v7().to_string();
        let now_ms = self.clock.now_ms();
        let insert = self.store.database.write(|mut tx| async move {
            execute_on_both!(&mut *tx, c => sqlx::query(
                "INSERT INTO sessions (id, user_id, created_ms, last_used_ms, expires_ms, address, user_agent) \
                 VALUES ($1, $2, $3, $3, $4, '192.0.2.7', 'a test')"
            ).bind(id).bind(user_id).bind(now_ms).bind(now_ms + 30 * 86_400_000).execute(c))
        });
        insert.await.expect("a session");
        id.clone()
    }

    /// An access token of a session.
    pub async fn token(&self, user_id: &str, session: &str) -> String {
        let now_ms = self.clock.now_ms();
        let vault = &self.store.vault;
        let times = (30 * 86_400_000, 3_600_000, 960_000);
        let keys =
            self.store.database.write(|mut tx| async move { keys::current(&mut tx, vault, now_ms, times).await });
        let tokens = Tokens::new("bist", "bist", 900, &keys.await.expect("keys")).expect("tokens");
        tokens.access(user_id, session, vec!["trader".to_owned()], now_ms).expect("a token")
    }

    /// Asks `method path` below `/api/v1`.
    pub async fn ask(&self, who: &Principal, request: &str, body: Option<Value>) -> Answer {
        let (method, path) = request.split_once(' ').expect("a method and a path");
        let mut request = Request::builder().method(method).uri(format!("/api/v1{path}"));
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let mut request = request.body(body).expect("a request");
        request.extensions_mut().insert(who.clone());
        self.send(request).await
    }

    pub async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.routes.clone().oneshot(request).await.expect("an answer");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let bytes = response.into_body().collect().await.expect("a body").to_bytes();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Answer { status, body, headers }
    }

    /// Rows of a table.
    pub async fn rows(&self, count: &'static str) -> i64 {
        let read = self
            .store
            .database
            .read(|mut tx| async move { on_both!(&mut *tx, c => sqlx::query_scalar(count).fetch_one(c)) });
        read.await.expect("a number")
    }

    /// Rows of everything that a user has.
    pub async fn all_rows(&self) -> Vec<i64> {
        let mut rows = Vec::new();
        for count in [
            "SELECT count(*) FROM users",
            "SELECT count(*) FROM sessions",
            "SELECT count(*) FROM api_keys",
            "SELECT count(*) FROM preferences",
            "SELECT count(*) FROM watchlists",
            "SELECT count(*) FROM audit",
            "SELECT count(*) FROM signing_keys",
        ] {
            rows.push(self.rows(count).await);
        }
        rows
    }

    /// Runs a statement that only a test says.
    pub async fn run(&self, statement: &'static str) {
        let write = self
            .store
            .database
            .write(|mut tx| async move { execute_on_both!(&mut *tx, c => sqlx::query(statement).execute(c)) });
        write.await.unwrap_or_else(|error| panic!("{}: {statement}: {error}", self.name));
    }

    /// Actions of the audit log, oldest first, whose subject is `subject`.
    pub async fn actions(&self, subject: &str) -> Vec<String> {
        let read = self.store.database.read(|mut tx| async move {
            on_both!(&mut *tx, c => sqlx::query_scalar("SELECT action FROM audit WHERE subject = $1 ORDER BY seq")
                .bind(subject).fetch_all(c))
        });
        read.await.expect("audit rows")
    }

    /// Everything in the audit log, as one text.
    pub async fn audit_text(&self) -> String {
        let mut lines = Vec::new();
        api_store::audit::export(&self.store.database, &mut lines).await.expect("an export");
        String::from_utf8(lines).expect("text")
    }

    /// Every documented operation: method, path as the router writes it, whether it has a body.
    pub fn operations(&self) -> Vec<(Method, String, bool)> {
        let mut operations = Vec::new();
        for (path, item) in &self.spec.paths.paths {
            for (method, operation) in [
                (Method::GET, &item.get),
                (Method::POST, &item.post),
                (Method::PUT, &item.put),
                (Method::PATCH, &item.patch),
                (Method::DELETE, &item.delete),
            ] {
                if let Some(operation) = operation {
                    operations.push((method, path.clone(), operation.request_body.is_some()));
                }
            }
        }
        operations
    }
}

fn routes_of(users: &Arc<Users>) -> (Router, OpenApi) {
    let documented = OpenApiRouter::default()
        .merge(routes::me::documented(Arc::clone(users)))
        .merge(routes::watchlists::documented(Arc::clone(users)))
        .merge(routes::admin::documented(Arc::clone(users)));
    let (routes, spec) = OpenApiRouter::default().nest("/api/v1", documented).split_for_parts();
    (routes.layer(from_fn(shape_errors)), spec)
}

/// A person, as a door makes it of a token.
pub fn person(user_id: &str, session: &str, roles: impl IntoIterator<Item = Role>) -> Principal {
    Principal::User { user_id: user_id.into(), session_id: session.into(), roles: roles.into_iter().collect() }
}

/// A program, as a door makes it of a key.
pub fn program(user_id: &str) -> Principal {
    let scopes: BTreeSet<Scope> = Scope::ALL.iter().copied().collect();
    Principal::Key { user_id: user_id.into(), key_id: "k".into(), environment: Environment::Paper, scopes }
}

/// Where requests of tests come from.
pub fn caller() -> Caller {
    Caller::new([192, 0, 2, 7].into(), "a test")
}

/// A body that makes a key.
pub fn key_body() -> Value {
    json!({ "name": "bot", "environment": "paper", "scopes": ["market:read"] })
}

/// Names of the fields of an object, sorted.
pub fn fields(object: &Value) -> Vec<&str> {
    let mut names: Vec<&str> = object.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    names
}

/// The code of a refusal.
pub fn code<T>(answer: Result<T, UsersError>) -> &'static str {
    answer.err().map_or("", |error| error.code())
}
