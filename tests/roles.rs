//! The users service as a process of its own, and everything else in front of it: the real program twice, on ports and a
//! folder of their own, with one of the two killed and stopped.

mod common;

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use common::accounts::{ask, log_in, post, register, run, text, try_ask};
use common::{Bist, get, wait_for};
use serde_json::json;

/// How long the breaker of these tests stays open.
const OPEN_MS: &str = "500";

fn users_at(folder: &Path, users: Option<SocketAddr>) -> Bist {
    let path = folder.display().to_string();
    let environment = [
        ("BIST__STORAGE__EPHEMERAL", "false"),
        ("BIST__STORAGE__PATH", path.as_str()),
        ("BIST__API__TRUSTED_PROXIES", "127.0.0.1"),
        // Through a gateway others can reach it, and there is no mail server here.
        ("BIST__AUTH__DEVELOPMENT", "true"),
    ];
    Bist::start_users(users, &environment)
}

fn gateway_to(users: SocketAddr) -> Bist {
    let arguments = ["serve", "--source", "sim", "--symbols", "2"];
    let environment = [("BIST__UPSTREAM__OPEN_MS", OPEN_MS), ("BIST__API__TRUSTED_PROXIES", "127.0.0.1")];
    Bist::start_without_users(&arguments, users, &environment)
}

/// Both, and somebody who has an account: access token and key.
struct World {
    users: Bist,
    gateway: Bist,
    token: String,
    key: String,
    folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let users = users_at(&folder.path().join("data"), None);
        let gateway = gateway_to(users.users);
        let (status, made) = register(gateway.api, "ayse@example.com");
        assert_eq!(status, 201, "{made}");
        let (status, tokens) = log_in(gateway.api, "ayse@example.com");
        assert_eq!(status, 200, "{tokens}");
        let token = text(&tokens, "/data/access_token").to_owned();
        let wanted = json!({ "name": "bot", "environment": "paper", "scopes": ["market:read"] });
        let (status, made) = post(gateway.api, "users/me/keys", Some(&token), wanted);
        assert_eq!(status, 201, "{made}");
        let key = text(&made, "/data/key").to_owned();
        Self { users, gateway, token, key, folder }
    }

    fn symbols(&self, credential: Option<&str>) -> u16 {
        ask("GET", self.gateway.api, "/api/v1/market-data/symbols", credential, None).0
    }

    /// The same of a client whom a proxy in front of the gateway names.
    fn symbols_from(&self, client: &str, credential: &str) -> u16 {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let request = agent.get(format!("http://{}/api/v1/market-data/symbols", self.gateway.api));
        let request = request.header("authorization", format!("Bearer {credential}"));
        request.header("x-forwarded-for", client).call().expect("an answer").status().as_u16()
    }

    /// Whether the gateway's metrics say that its breaker is in this state.
    fn breaker_is(&self, state: &str) -> bool {
        let line = format!("bist_circuit_breaker_state{{name=\"users\",state=\"{state}\"}} 1");
        get(self.gateway.admin, "/metrics").contains(&line)
    }

    /// The head and body of `GET path` at the gateway, with the time that it took.
    fn timed(&self, path: &str) -> (u16, Option<String>, String, Duration) {
        let begin = Instant::now();
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let mut answer = agent.get(format!("http://{}{path}", self.gateway.api)).call().expect("an answer");
        let retry_after = answer.headers().get("retry-after").map(|value| value.to_str().expect("text").to_owned());
        let body = answer.body_mut().read_to_string().expect("a body");
        (answer.status().as_u16(), retry_after, body, begin.elapsed())
    }
}

#[test]
fn accounts_in_a_process_of_their_own_are_reached_through_the_gateway() {
    let world = World::new();
    let (token, key) = (world.token.as_str(), world.key.as_str());
    assert_eq!((world.symbols(None), world.symbols(Some(token)), world.symbols(Some(key))), (200, 200, 200));
    assert_eq!(world.symbols(Some("bist_paper_no")), 401);
    let (_, limits) = ask("GET", world.gateway.api, "/api/v1/limits", Some(key), None);
    assert_eq!(limits["data"]["caller"]["kind"], "key", "the gateway knows the key by its id");

    // Both ports of accounts say the same of a credential.
    for address in [world.gateway.api, world.users.users] {
        let (status, said) = ask("GET", address, "/api/v1/auth/introspect", Some(key), None);
        assert_eq!(
            (status, &said["data"]["kind"], &said["data"]["environment"]),
            (200, &json!("key"), &json!("paper"))
        );
        let (status, said) = ask("GET", address, "/api/v1/auth/introspect", Some(token), None);
        assert_eq!((status, &said["data"]["roles"]), (200, &json!(["trader"])), "{said}");
        assert_eq!(ask("GET", address, "/api/v1/auth/introspect", None, None).0, 401);
    }

    // A key that lists addresses is held to the client's, not to the gateway's.
    let elsewhere =
        json!({ "name": "far", "environment": "paper", "scopes": ["market:read"], "addresses": ["192.0.2.0/24"] });
    let (status, made) = post(world.gateway.api, "users/me/keys", Some(token), elsewhere);
    assert_eq!(status, 201, "{made}");
    let far = text(&made, "/data/key");
    assert_eq!((world.symbols(Some(far)), world.symbols_from("192.0.2.9", far)), (401, 200));
    assert_eq!(world.symbols_from("198.51.100.9", far), 401);

    // The public socket asks the same service.
    let mut socket = world.gateway.connect();
    socket.send(&json!({ "method": "auth", "params": { "token": key } }));
    let reply = std::iter::from_fn(|| socket.frame()).find(|frame| frame.get("method").is_some()).expect("a reply");
    assert_eq!(reply["success"], true, "{reply}");

    // What is withdrawn is refused at the gateway within five seconds, and its sockets are closed.
    let (_, keys) = ask("GET", world.gateway.api, "/api/v1/users/me/keys", Some(token), None);
    let id = text(&keys, "/data/items/0/id");
    assert_eq!(ask("DELETE", world.gateway.api, &format!("/api/v1/users/me/keys/{id}"), Some(token), None).0, 200);
    let begin = Instant::now();
    wait_for("the key to be refused", Duration::from_secs(5), || (world.symbols(Some(key)) == 401).then_some(()));
    while socket.frame().is_some() {
        assert!(begin.elapsed() < Duration::from_secs(8), "the socket stays open");
    }
}

#[test]
fn the_role_answers_on_one_port_and_stops_when_asked() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("data");
    let mut users = users_at(&path, None);
    assert!(get(users.users, "/readyz").starts_with("ok"));
    assert!(get(users.users, "/metrics").contains("bist_users_open 1"));
    let spec: serde_json::Value = serde_json::from_str(&get(users.users, "/openapi.json")).expect("JSON");
    let paths = spec["paths"].as_object().expect("paths");
    assert!(paths.contains_key("/api/v1/auth/login") && !paths.contains_key("/api/v1/market-data/symbols"));
    for closed in [users.api, users.market_data, users.admin] {
        assert!(TcpStream::connect(closed).is_err(), "{closed} is not opened");
    }
    // Market data may have the folder beside it; a second users service may not.
    let all = ["serve", "--target", "users", "--users-listen", "127.0.0.1:0"];
    let (code, said) = run(&path, &all);
    assert!(code == Some(2) && said.contains(&users.pid().to_string()), "{code:?} {said}");
    users.signal("TERM");
    assert_eq!(users.wait(Duration::from_secs(5)).code(), Some(0));

    let settings = [
        ("BIST__STORAGE__EPHEMERAL", "true", "storage.ephemeral"),
        ("BIST__USERS__URL", "http://127.0.0.1:1", "users.url"),
        ("BIST__USERS__URL", "127.0.0.1:1", "users.url = 127.0.0.1:1"),
    ];
    for (key, value, named) in settings {
        let mut command = common::command(&all);
        command.env("BIST__STORAGE__EPHEMERAL", "false").env("BIST__STORAGE__PATH", &path).env(key, value);
        let output = command.output().expect("the program starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains(named), "{said}");
    }
}

#[test]
fn a_users_service_that_is_killed_leaves_the_market_alone_and_is_used_again_when_it_is_back() {
    let mut world = World::new();
    world.users.signal("KILL");
    world.users.wait(Duration::from_secs(5));
    let (status, retry_after, body, took) = world.timed("/api/v1/auth/options");
    assert_eq!(status, 503, "{body}");
    assert!(body.contains("UPSTREAM_UNAVAILABLE") && took < Duration::from_secs(1), "{took:?} {body}");
    assert!(retry_after.is_some(), "it says when to ask again");
    wait_for("the breaker to open", Duration::from_secs(10), || {
        let (status, ..) = world.timed("/api/v1/auth/options");
        assert_eq!(status, 503);
        world.breaker_is("open").then_some(())
    });
    assert_eq!(world.symbols(None), 200);
    let ready = get(world.gateway.admin, "/readyz");
    assert!(ready.contains("degraded") && ready.contains("users"), "{ready}");
    // Nobody passes whom nobody vouches for; that is no 401, because the credential may be good.
    let refused = ask("GET", world.gateway.api, "/api/v1/market-data/symbols", Some("bist_paper_new"), None);
    assert_eq!((refused.0, text(&refused.1, "/error/code")), (503, "STORE_UNAVAILABLE"));

    let address = world.users.users;
    world.users = users_at(&world.folder.path().join("data"), Some(address));
    wait_for("accounts to be back", Duration::from_secs(20), || {
        let me = ask("GET", world.gateway.api, "/api/v1/users/me", Some(&world.token), None);
        (me.0 == 200).then_some(())
    });
    wait_for("the breaker to close", Duration::from_secs(20), || {
        log_in(world.gateway.api, "nobody@example.com");
        world.breaker_is("closed").then_some(())
    });
    assert_eq!(world.symbols(Some(&world.key)), 200);
}

#[test]
fn a_users_service_that_is_stopped_costs_a_stated_time_and_no_more_calls_than_allowed() {
    let world = World::new();
    world.users.signal("STOP");
    let address = world.gateway.api;
    let asking: Vec<_> = (0..20)
        .map(|_| {
            std::thread::spawn(move || {
                let begin = Instant::now();
                let answer = try_ask("GET", address, "/api/v1/auth/options", None, None).expect("an answer");
                (answer.0, begin.elapsed())
            })
        })
        .collect();
    // Meanwhile the market is there.
    assert_eq!(world.symbols(None), 200);
    for one in asking {
        let (status, took) = one.join().expect("a thread");
        assert!([503, 504].contains(&status) && took < Duration::from_secs(6), "{status} after {took:?}");
    }
    assert!(world.breaker_is("open") || world.breaker_is("half_open"));
    world.users.signal("CONT");
    wait_for("accounts to be back", Duration::from_secs(20), || {
        (ask("GET", address, "/api/v1/users/me", Some(&world.token), None).0 == 200).then_some(())
    });
}
