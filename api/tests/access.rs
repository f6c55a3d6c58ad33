//! Row A3 of the reliability plan: every operation of the description against every kind of caller. The expectations come
//! from the access rows; the operations come from the description, so that a route without a row fails here.

mod common;

use std::collections::BTreeSet;
use std::net::SocketAddr;

use api::store::StorageConfig;
use api::users::mailer::Mailer;
use api::users::{UsersConfig, operate};
use api::{AccountsConfig, Assembly, Health, Parts, Server};
use api_clients::market_data;
use api_kit::access::{Access, AccessTable, Row};
use api_kit::principal::Scope;
use common::{BUILD, config, fed, market};
use serde_json::{Value, json};

const PASSWORD: &str = "correct horse battery";

/// A server with accounts in a folder of its own.
struct Platform {
    server: Server,
    _folder: tempfile::TempDir,
}

impl Platform {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let storage = StorageConfig::in_folder(folder.path().join("data"));
        let users = UsersConfig { registrations_per_hour: 1_000, ..UsersConfig::default() };
        let accounts = AccountsConfig { users, storage: Some(storage), mailer: Mailer::to_the_log() };
        let parts = Parts {
            view: fed(&market()).view,
            health: Health::new(),
            metrics: Vec::new(),
            build: BUILD,
            feed: api::FeedOrigin { source: "sim", simulated: true },
            limits: Vec::new(),
            accounts,
        };
        Self { server: Server::start(Assembly::new(config(), parts)).unwrap(), _folder: folder }
    }

    fn address(&self) -> SocketAddr {
        self.server.local_addr()
    }

    fn add(&self, email: &str, is_admin: bool) -> String {
        let users = self.server.accounts().users().unwrap();
        let account = operate::Account {
            email: email.into(),
            full_name: "Somebody".into(),
            password: PASSWORD.to_owned().into(),
            is_admin,
        };
        self.server.block_on(operate::add(&users, account)).unwrap()
    }

    fn token(&self, email: &str) -> String {
        let body = json!({ "email": email, "password": PASSWORD });
        let (status, answer) = self.ask("POST", "/api/v1/auth/login", None, Some(&body));
        assert_eq!(status, 200, "{answer}");
        answer["data"]["access_token"].as_str().unwrap().to_owned()
    }

    fn key(&self, token: &str, scopes: &[&str]) -> (String, String) {
        let body = json!({ "name": scopes.join(" "), "environment": "paper", "scopes": scopes });
        let (status, answer) = self.ask("POST", "/api/v1/users/me/keys", Some(token), Some(&body));
        assert_eq!(status, 201, "{answer}");
        let text = |name: &str| answer["data"][name].as_str().unwrap().to_owned();
        (text("key"), text("id"))
    }

    fn ask(&self, method: &str, path: &str, credential: Option<&str>, body: Option<&Value>) -> (u16, Value) {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let mut request = ureq::http::Request::builder().method(method).uri(format!("http://{}{path}", self.address()));
        if let Some(credential) = credential {
            request = request.header("authorization", format!("Bearer {credential}"));
        }
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let text = body.map(Value::to_string).unwrap_or_default();
        let mut answer = agent.run(request.body(text).unwrap()).unwrap();
        let status = answer.status().as_u16();
        let text = answer.body_mut().read_to_string().unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }
}

fn table() -> AccessTable {
    let limits = Row::new("GET", "/api/v1/limits", Access::Anyone);
    let rows = [market_data::rest::ACCESS, api_gateway::routes::ACCESS, api::users::access::ACCESS].concat();
    AccessTable::new(rows.into_iter().chain([limits]))
}

/// Method and path of every operation that has a door, as the router writes them.
fn operations(document: &Value) -> Vec<(String, String)> {
    let paths = document["paths"].as_object().unwrap();
    let doors = paths.iter().filter(|(path, _)| path.starts_with("/api/v1/") || path.starts_with("/ws/"));
    doors
        .flat_map(|(path, item)| {
            item.as_object()
                .unwrap()
                .keys()
                .map(move |method| (method.to_uppercase(), path.replace("{path}", "{*path}")))
        })
        .collect()
}

#[test]
fn a3_doors_every_described_operation_has_a_row_and_every_row_an_operation() {
    let platform = Platform::start();
    let (_, document) = platform.ask("GET", "/openapi.json", None, None);
    let described: BTreeSet<_> = operations(&document).into_iter().collect();
    let table = table();
    let rows: BTreeSet<_> = table.rows().map(|(method, path, _)| (method.to_owned(), path.to_owned())).collect();
    assert_eq!(described, rows, "left: described, right: rows of the access table");
}

/// What a door must answer to a caller; `None` = anything but 401 and 403.
fn expected(access: Access, caller: &Caller) -> Option<u16> {
    use Kind::{Admin, Disabled, Garbage, Key, KeyWithoutScope, Nobody, Revoked, Trader};
    match (access, caller.kind) {
        (Access::Open, _) => None,
        (_, Disabled | Revoked | Garbage) => Some(401),
        (Access::Anyone, _) | (Access::Public(_), Nobody | Trader | Admin | Key) => None,
        (Access::Public(_) | Access::Scope(_), KeyWithoutScope) => Some(403),
        (_, Nobody) => Some(401),
        (Access::Known | Access::Person | Access::Scope(_), Trader | Admin) | (Access::Known, _) => None,
        (Access::Scope(_), Key) => None,
        (Access::Role(_), Admin) => None,
        (Access::Role(_) | Access::Person, _) => Some(403),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Nobody,
    Trader,
    Admin,
    Key,
    KeyWithoutScope,
    Disabled,
    Revoked,
    Garbage,
}

struct Caller {
    kind: Kind,
    credential: Option<String>,
}

fn callers(platform: &Platform) -> Vec<Caller> {
    for (email, is_admin) in [("trader@example.com", false), ("admin@example.com", true), ("gone@example.com", false)] {
        platform.add(email, is_admin);
    }
    let [trader, admin, gone] =
        ["trader@example.com", "admin@example.com", "gone@example.com"].map(|email| platform.token(email));
    let key = platform.key(&trader, &[Scope::MarketRead.name()]).0;
    let other = platform.key(&trader, &[Scope::OrdersRead.name()]).0;
    let (revoked, id) = platform.key(&trader, &[Scope::MarketRead.name()]);
    assert_eq!(platform.ask("DELETE", &format!("/api/v1/users/me/keys/{id}"), Some(&trader), None).0, 200);
    let users = platform.server.accounts().users().unwrap();
    platform.server.block_on(operate::disable(&users, "gone@example.com", "gone")).unwrap();
    let caller = |kind, credential: Option<String>| Caller { kind, credential };
    vec![
        caller(Kind::Nobody, None),
        caller(Kind::Trader, Some(trader)),
        caller(Kind::Admin, Some(admin)),
        caller(Kind::Key, Some(key)),
        caller(Kind::KeyWithoutScope, Some(other)),
        caller(Kind::Disabled, Some(gone)),
        caller(Kind::Revoked, Some(revoked)),
        caller(Kind::Garbage, Some("bist_paper_aaaaaaaaaaaa_garbage".to_owned())),
    ]
}

/// Operations that end what other rows of the matrix need: asked with a body that they refuse before they act.
fn is_spared(method: &str, path: &str) -> bool {
    (method == "POST" && path == "/api/v1/auth/logout-all") || path.starts_with("/ws/")
}

#[test]
fn a3_doors_every_operation_answers_every_kind_of_caller_as_its_row_says() {
    let platform = Platform::start();
    let (_, document) = platform.ask("GET", "/openapi.json", None, None);
    let table = table();
    let callers = callers(&platform);
    for (method, path) in operations(&document) {
        let access = table.get(&method, &path).unwrap_or_else(|| panic!("{method} {path} has no row"));
        let target = path.replace("{id}", "0196a0b0-0000-7000-8000-00000000dead").replace("{symbol}", "GARAN");
        for caller in callers.iter().filter(|_| !is_spared(&method, &path)) {
            // A body that no operation takes: what passes the door is refused behind it.
            let body = (method != "GET").then(|| json!({ "no_such_field": 1 }));
            let (status, answer) = platform.ask(&method, &target, caller.credential.as_deref(), body.as_ref());
            let is_right = match expected(access, caller) {
                Some(expected) => status == expected,
                // The right password of a log-in is not known here: its own 401 is no door's.
                None => status != 403 && (status != 401 || answer["error"]["code"] != "UNAUTHENTICATED"),
            };
            assert!(is_right, "{method} {path} {access:?} {:?}: {status} {answer}", caller.kind);
            assert_ne!(status, 500, "{method} {path}: {answer}");
        }
    }
}

#[test]
fn a3_doors_what_is_another_users_is_not_there() {
    let platform = Platform::start();
    let (mine, others) = ("mine@example.com", "others@example.com");
    platform.add(mine, false);
    platform.add(others, false);
    let (mine, others) = (platform.token(mine), platform.token(others));
    let (_, key) = platform.key(&others, &["market:read"]);
    let list = json!({ "name": "BIST 30", "symbols": ["GARAN"] });
    let (_, made) = platform.ask("POST", "/api/v1/watchlists", Some(&others), Some(&list));
    let list_id = made["data"]["id"].as_str().unwrap_or_else(|| panic!("{made}"));
    let (_, sessions) = platform.ask("GET", "/api/v1/users/me/sessions", Some(&others), None);
    let session = sessions["data"]["items"][0]["id"].as_str().unwrap_or_else(|| panic!("{sessions}"));
    let change = json!({ "name": "mine now", "symbols": [], "version": 1 });
    for (method, path, body) in [
        ("DELETE", format!("/api/v1/users/me/keys/{key}"), None),
        ("DELETE", format!("/api/v1/users/me/sessions/{session}"), None),
        ("PUT", format!("/api/v1/watchlists/{list_id}"), Some(&change)),
        ("DELETE", format!("/api/v1/watchlists/{list_id}"), None),
    ] {
        let (status, answer) = platform.ask(method, &path, Some(&mine), body);
        assert_eq!((status, &answer["error"]["code"]), (404, &json!("NOT_FOUND")), "{method} {path}");
    }
    let (_, lists) = platform.ask("GET", "/api/v1/watchlists", Some(&others), None);
    assert_eq!(lists["data"]["items"][0]["name"], "BIST 30");
    assert_eq!(platform.ask("GET", "/api/v1/users/me", Some(&others), None).0, 200, "its session still stands");
}

#[test]
fn a11_no_answer_sets_a_cookie_or_lets_a_foreign_page_read_it_and_none_can_be_framed() {
    let platform = Platform::start();
    platform.add("mine@example.com", false);
    let token = platform.token("mine@example.com");
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    for path in
        ["/", "/api/v1/users/me", "/api/v1/market-data/symbols", "/api/v1/auth/jwks.json", "/openapi.json", "/no"]
    {
        let answer = agent
            .get(format!("http://{}{path}", platform.address()))
            .header("authorization", format!("Bearer {token}"))
            .header("origin", "https://app.example.evil")
            .header("cookie", "session=1")
            .call()
            .unwrap();
        let headers = answer.headers();
        let absent = ["set-cookie", "access-control-allow-origin", "access-control-allow-credentials"];
        assert!(absent.iter().all(|name| !headers.contains_key(*name)), "{path}: {headers:?}");
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("frame-ancestors 'none'") && policy.contains("form-action 'none'"), "{path}: {policy}");
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(headers["cross-origin-resource-policy"], "same-origin", "{path}");
    }
    // A form of a foreign page cannot be JSON: what it can send is refused before it is read.
    let form = agent
        .post(format!("http://{}/api/v1/auth/login", platform.address()))
        .header("content-type", "text/plain")
        .send(r#"{"email":"mine@example.com","password":"correct horse battery"}"#)
        .unwrap();
    assert_eq!(form.status().as_u16(), 415);
}
