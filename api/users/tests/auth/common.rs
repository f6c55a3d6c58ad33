//! A service of each test's own on each database, asked through its router. Time is turned, never waited for.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use api_kit::MetricSource;
use api_kit::error::shape_errors;
use api_kit::principal::Peer;
use api_store::{StorageConfig, Store, Tx, execute_on_both, on_both};
use api_users::clock::Clock;
use api_users::mailer::Mailer;
use api_users::schema::{MIGRATIONS, SERVICE};
use api_users::{Users, UsersConfig, routes};
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode, header};
use axum::middleware::{from_fn, from_fn_with_state};
use http_body_util::BodyExt;
use secrecy::SecretString;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tower::ServiceExt;
use utoipa::openapi::OpenApi;

use crate::door;
use crate::mails::{self, Mail};

/// Where a test's time begins.
pub const NOW_MS: i64 = 1_796_000_000_000;

/// A password that may be taken.
pub const PASSWORD: &str = "kırmızı bisiklet 7";

/// The address that a test's person comes from.
pub const HOME: &str = "192.0.2.10";

/// One service.
pub struct World {
    pub place: &'static str,
    pub users: Arc<Users>,
    pub clock: Clock,
    pub mails: Option<mpsc::UnboundedReceiver<Mail>>,
    pub spec: OpenApi,
    router: Router,
    _folder: TempDir,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Answer {
    /// `data` of a success.
    pub fn data(&self, status: u16) -> &Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        assert_eq!(self.body["success"], true, "{}", self.body);
        &self.body["data"]
    }

    /// Status and code of a refusal.
    pub fn refusal(&self) -> (u16, &str) {
        assert_eq!(self.body["success"], false, "{}", self.body);
        (self.status.as_u16(), self.body["error"]["code"].as_str().expect("a code"))
    }

    pub fn retry_after_s(&self) -> u64 {
        self.headers[header::RETRY_AFTER].to_str().expect("text").parse().expect("seconds")
    }
}

/// Tokens of a session.
#[derive(Clone, Debug)]
pub struct Tokens {
    pub access: String,
    pub refresh: String,
}

impl Tokens {
    pub fn of(answer: &Answer) -> Self {
        let text = |name: &str| answer.data(200)[name].as_str().expect(name).to_owned();
        Self { access: text("access_token"), refresh: text("refresh_token") }
    }
}

/// A service on each database, in development.
pub async fn worlds() -> Vec<World> {
    worlds_with(|_| {}).await
}

pub async fn worlds_with(change: impl Fn(&mut UsersConfig)) -> Vec<World> {
    let mut config = UsersConfig { hash_queue_max: 64, registrations_per_hour: 1_000, ..UsersConfig::default() };
    change(&mut config);
    let mut worlds = vec![world("sqlite", None, &config).await];
    match std::env::var("BIST_TEST_POSTGRES_URL") {
        Ok(url) => worlds.push(world("postgres", Some(fresh_database(&url).await), &config).await),
        Err(_) => println!("PostgreSQL is left out: BIST_TEST_POSTGRES_URL is not set (tests/servers.sh start)"),
    }
    worlds
}

/// The same with a mailer.
pub async fn worlds_with_mails(change: impl Fn(&mut UsersConfig)) -> Vec<World> {
    worlds_with(|config| {
        config.development = false;
        change(config);
    })
    .await
}

async fn world(place: &'static str, postgres_url: Option<SecretString>, config: &UsersConfig) -> World {
    let folder = tempfile::tempdir().expect("a folder");
    let mut storage = StorageConfig::in_folder(folder.path().join("data"));
    // The machine of a test is busy with other tests.
    storage.deadline = Duration::from_secs(20);
    storage.postgres_url = postgres_url;
    if storage.postgres_url.is_some() {
        let data = api_store::DataFolder::open(&storage.path).expect("the folder");
        let options = api_store::migrations::UpOptions { without_backup: true };
        api_store::migrations::up(&storage, SERVICE, &data, &MIGRATIONS, options).await.expect("migrations");
    }
    let store = Arc::new(Store::open(&storage, SERVICE, &MIGRATIONS).await.expect("the store"));
    let (mailer, mails) = if config.development {
        (Mailer::to_the_log(), None)
    } else {
        let (url, mails) = mails::server().await;
        let (mailer, run) = Mailer::smtp(&url.into(), "BIST <no-reply@example.com>").expect("a mailer");
        tokio::spawn(run);
        (mailer, Some(mails))
    };
    let clock = Clock::manual(NOW_MS);
    let users = Users::open(config.clone(), store, mailer, clock.clone()).await.expect("the service");
    let (router, spec) = routes::auth::documented(Arc::clone(&users)).split_for_parts();
    let router = router.layer(from_fn_with_state(Arc::clone(&users), door::stand)).layer(from_fn(shape_errors));
    World { place, users, clock, mails, spec, router, _folder: folder }
}

async fn fresh_database(url: &str) -> SecretString {
    use sqlx::Connection;
    let name = format!("t{}", uuid::Uuid::new_v4().simple());
    let mut admin = sqlx::PgConnection::connect(url).await.expect("the test server");
    let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"));
    sqlx::query(create).execute(&mut admin).await.expect("a fresh database");
    let (server, _) = url.rsplit_once('/').expect("a database in the URL");
    format!("{server}/{name}").into()
}

/// A request to send.
pub struct Ask<'a> {
    pub path: &'a str,
    pub body: Option<Value>,
    pub from: &'a str,
    pub bearer: Option<&'a str>,
}

impl World {
    pub async fn send(&self, ask: Ask<'_>) -> Answer {
        let method = if ask.path == "/auth/options" || ask.path == "/auth/jwks.json" { "GET" } else { "POST" };
        let mut request = Request::builder().method(method).uri(ask.path).header(header::USER_AGENT, "test/1");
        if let Some(token) = ask.bearer {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = match ask.body {
            Some(body) => request.header(header::CONTENT_TYPE, "application/json").body(Body::from(body.to_string())),
            None => request.body(Body::empty()),
        };
        self.send_raw(request.expect("a request"), ask.from).await
    }

    pub async fn send_raw(&self, mut request: Request<Body>, from: &str) -> Answer {
        let address: IpAddr = from.parse().expect("an address");
        request.extensions_mut().insert(Peer(address));
        let response = self.router.clone().oneshot(request).await.expect("an answer");
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("a body").to_bytes();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Answer { status: parts.status, headers: parts.headers, body }
    }

    /// A request of nobody from home.
    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Ask { path, body: Some(body), from: HOME, bearer: None }).await
    }

    /// A request of a logged-in person from home.
    pub async fn post_as(&self, tokens: &Tokens, path: &str, body: Value) -> Answer {
        self.send(Ask { path, body: Some(body), from: HOME, bearer: Some(&tokens.access) }).await
    }

    pub async fn register(&self, email: &str) -> String {
        let body = json!({ "email": email, "password": PASSWORD, "full_name": "Ayşe Kaya" });
        let answer = self.post("/auth/register", body).await;
        answer.data(201)["id"].as_str().expect("an id").to_owned()
    }

    pub async fn try_login(&self, email: &str, password: &str, from: &str) -> Answer {
        let body = Some(json!({ "email": email, "password": password }));
        self.send(Ask { path: "/auth/login", body, from, bearer: None }).await
    }

    pub async fn login(&self, email: &str) -> Tokens {
        Tokens::of(&self.try_login(email, PASSWORD, HOME).await)
    }

    pub async fn refresh(&self, token: &str) -> Answer {
        self.post("/auth/refresh", json!({ "refresh_token": token })).await
    }

    /// Whether an access token opens a door.
    pub async fn is_admitted(&self, tokens: &Tokens) -> bool {
        door::identify(&self.users, &tokens.access).await.is_ok()
    }

    /// Lets time pass for the service and for its limits.
    pub async fn pass(&self, time: Duration) {
        self.clock.advance_ms(time.as_millis() as i64);
        tokio::time::pause();
        tokio::time::advance(time).await;
        tokio::time::resume();
    }

    /// Runs a statement about one user.
    pub async fn run(&self, statement: &'static str, user_id: &str) -> u64 {
        let run = self.users.store().database.write(|mut tx| async move {
            let tx = &mut *tx;
            execute_on_both!(tx, c => sqlx::query(statement).bind(user_id).execute(c))
        });
        run.await.expect("a statement")
    }

    /// A number that a query about one user gives.
    pub async fn number(&self, query: &'static str, user_id: &str) -> i64 {
        let read = self.users.store().database.read(|mut tx| async move {
            let tx = &mut *tx;
            on_both!(tx, c => sqlx::query_scalar(query).bind(user_id).fetch_one(c))
        });
        read.await.expect("a number")
    }

    pub async fn text(&self, query: &'static str, user_id: &str) -> String {
        let read = self.users.store().database.read(|mut tx| async move {
            let tx = &mut *tx;
            on_both!(tx, c => sqlx::query_scalar(query).bind(user_id).fetch_one(c))
        });
        read.await.expect("a text")
    }

    /// Actions of the audit log, oldest first, of which the chain is whole.
    pub async fn actions(&self) -> Vec<String> {
        let database = &self.users.store().database;
        let verified = api_store::audit::verify(database).await.expect("the audit log");
        assert_eq!(verified.fault, None, "{}", self.place);
        self.audit_rows().await.into_iter().map(|row| row.action).collect()
    }

    pub async fn audit_rows(&self) -> Vec<api_store::audit::Row> {
        let read = self.users.store().database.read(|mut tx| async move {
            let tx: &mut Tx = &mut tx;
            api_store::audit::rows(tx, 0).await
        });
        read.await.expect("rows")
    }

    /// A counter of the service.
    pub fn counter(&self, name: &str) -> u64 {
        let mut samples = Vec::new();
        self.users.metrics().collect(&mut samples);
        let of_name = samples.iter().filter(|sample| sample.name == name);
        of_name.map(|sample| if let book::metrics::Value::Counter(count) = sample.value { count } else { 0 }).sum()
    }

    pub async fn mail(&mut self) -> Mail {
        mails::next(self.mails.as_mut().expect("a mail server")).await
    }
}
