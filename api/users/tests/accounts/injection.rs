//! Statements in every text: they are texts.

use axum::body::Body;
use axum::http::{Request, header};
use serde_json::{Value, json};

use crate::common::{key_body, worlds};

/// What tries to leave a literal, to end a statement, to wait, to read the schema.
const CORPUS: [&str; 16] = [
    "' OR '1'='1",
    "'; DROP TABLE users; --",
    "\"; DELETE FROM api_keys; --",
    "admin'/*",
    "') UNION SELECT password_hash FROM users --",
    "1; UPDATE users SET roles = '[\"admin\"]'",
    "' AND (SELECT pg_sleep(30)) IS NOT NULL --",
    "'||(SELECT sqlite_version())||'",
    "$1",
    "${1}",
    "?1",
    ":id",
    "\\'; SELECT 1; --",
    "%27%20OR%201=1",
    "%",
    "{{7*7}}",
];

/// Every body, with `TEXT` where a text goes.
fn bodies() -> Vec<(&'static str, Value)> {
    let key = |field: &str, value: Value| {
        let mut body = key_body();
        body[field] = value;
        ("POST /users/me/keys", body)
    };
    vec![
        ("PATCH /users/me", json!({ "full_name": "TEXT" })),
        ("PATCH /users/me", json!({ "phone": "TEXT" })),
        ("PATCH /users/me", json!({ "tckn": "TEXT" })),
        ("DELETE /users/me", json!({ "password": "TEXT", "totp": "TEXT", "recovery_code": "TEXT" })),
        key("name", json!("TEXT")),
        key("environment", json!("TEXT")),
        key("scopes", json!(["TEXT"])),
        key("addresses", json!(["TEXT"])),
        key("expires_at", json!("TEXT")),
        ("PUT /users/me/preferences", json!({ "language": "TEXT" })),
        ("PUT /users/me/preferences", json!({ "theme": "TEXT" })),
        ("PUT /users/me/preferences", json!({ "data": { "TEXT": "TEXT" } })),
        ("POST /watchlists", json!({ "name": "TEXT", "symbols": [] })),
        ("POST /watchlists", json!({ "name": "x", "symbols": ["TEXT"] })),
        ("PUT /users/OTHER/roles", json!({ "roles": ["TEXT"] })),
        ("POST /users/OTHER/disable", json!({ "reason": "TEXT" })),
    ]
}

/// `body` with `text` wherever `TEXT` stands.
fn filled(body: &Value, text: &str) -> Value {
    match body {
        Value::String(_) => json!(body.as_str().unwrap().replace("TEXT", text)),
        Value::Array(items) => items.iter().map(|item| filled(item, text)).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| (name.replace("TEXT", text), filled(value, text))).collect()
        }
        other => other.clone(),
    }
}

fn check(asked: &str, text: &str, status: u16, answer: &str) {
    assert!(status < 500, "{asked} {text}: {status} {answer}");
    let lower = answer.to_lowercase();
    for word in ["sqlite", "postgres", "sqlstate", "syntax error", "unrecognized token", "near \""] {
        // A text that was taken is given back as it is.
        let given_back = text.to_lowercase().contains(word);
        assert!(given_back || !lower.contains(word), "{asked} {text}: {answer}");
    }
}

#[tokio::test]
async fn a8_users_statements_in_a_body_are_texts() {
    for world in worlds().await {
        let (admin, other) = (world.admin("root").await, world.user("b").await);
        let mut taken = 0;
        for text in CORPUS {
            for (asked, body) in bodies() {
                let asked = asked.replace("OTHER", &other.id);
                let users = world.rows("SELECT count(*) FROM users").await;
                let answer = world.ask(&admin.principal, &asked, Some(filled(&body, text))).await;
                check(&asked, text, answer.status, &answer.body.to_string());
                assert_eq!(world.rows("SELECT count(*) FROM users").await, users);
                if answer.status < 300 {
                    taken += 1;
                    let data = answer.data();
                    for field in ["full_name", "name"] {
                        let was_text = body[field].as_str().is_some_and(|given| given == "TEXT");
                        assert!(!was_text || data[field] == text, "{asked}: {data}");
                    }
                    if let Some(id) = data["id"].as_str().filter(|_| asked.contains("keys")) {
                        world.ask(&admin.principal, &format!("DELETE /users/me/keys/{id}"), None).await.data();
                    }
                }
            }
        }
        assert!(taken >= CORPUS.len() * 3, "names, data and reasons may be any text: {taken}");
        assert_eq!(world.rows("SELECT count(*) FROM users").await, 2);
        let roles = world.ask(&admin.principal, &format!("GET /users/{}", other.id), None).await;
        assert_eq!(roles.data()["roles"], json!(["trader"]));
    }
}

#[tokio::test]
async fn a8_users_statements_in_a_path_or_query_are_texts() {
    for world in worlds().await {
        let admin = world.admin("root").await;
        let before = world.all_rows().await;
        for text in CORPUS {
            let encoded: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
            for asked in [
                "DELETE /users/me/sessions/TEXT",
                "DELETE /users/me/keys/TEXT",
                "DELETE /watchlists/TEXT",
                "GET /users/TEXT",
                "POST /users/TEXT/enable",
                "GET /users?email=TEXT",
                "GET /users?cursor=TEXT",
                "GET /users?limit=TEXT",
                "GET /users?TEXT=1",
            ] {
                let answer = world.ask(&admin.principal, &asked.replace("TEXT", &encoded), None).await;
                check(asked, text, answer.status, &answer.body.to_string());
                let is_search = asked == "GET /users?email=TEXT";
                assert_eq!(answer.status < 300, is_search, "{asked} {text} {answer:?}");
                if is_search {
                    assert_eq!(answer.data()["items"], json!([]), "{text}");
                }
            }
        }
        assert_eq!(world.all_rows().await, before);
    }
}

#[tokio::test]
async fn a8_users_statements_in_a_credential_are_texts() {
    use api_kit::auth::Authenticator;
    for world in worlds().await {
        world.admin("root").await;
        let before = world.all_rows().await;
        for text in CORPUS {
            for credential in [text.to_owned(), format!("bist_paper_{text}"), format!("bist_live_aaaaaaaaaaaa_{text}")]
            {
                assert!(world.users.authenticate(&credential, [192, 0, 2, 1].into()).await.is_err(), "{credential}");
            }
        }
        assert_eq!(world.all_rows().await, before);
    }
}

#[tokio::test]
async fn bodies_that_are_no_json_are_refused() {
    for world in worlds().await {
        let somebody = world.user("a").await;
        let send = async |kind: &str, body: Vec<u8>| {
            let request = Request::post("/api/v1/watchlists").header(header::CONTENT_TYPE, kind).body(Body::from(body));
            let mut request = request.unwrap();
            request.extensions_mut().insert(somebody.principal.clone());
            world.send(request).await.said()
        };
        let deep = format!("{{\"name\":\"x\",\"symbols\":{}{}}}", "[".repeat(5_000), "]".repeat(5_000));
        for bad in ["", "null", "[]", "{", "{\"name\":\"x\",\"name\":\"y\",\"symbols\":[]}", "\u{feff}{}", &deep] {
            assert_eq!(send("application/json", bad.into()).await, "400 INVALID_BODY", "{bad:.60}");
        }
        assert_eq!(send("application/json", b"{\"name\":\"\xff\",\"symbols\":[]}".to_vec()).await, "400 INVALID_BODY");
        assert_eq!(send("application/json", vec![b' '; 20_000]).await, "413 PAYLOAD_TOO_LARGE");
        assert_eq!(send("text/plain", b"{}".to_vec()).await, "415 UNSUPPORTED_MEDIA_TYPE");
        let good = send("application/json; charset=utf-8", b"{\"name\":\"x\",\"symbols\":[]}".to_vec()).await;
        assert_eq!(good, "201");
    }
}

#[test]
fn a8_users_no_statement_is_put_together_from_texts() {
    let mut folders = vec![std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            files += 1;
            // sqlx takes only constants but for what this word vouches for.
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(!text.contains("AssertSqlSafe") && !text.contains("raw_sql"), "{}", path.display());
        }
    }
    assert!(files > 20);
}
