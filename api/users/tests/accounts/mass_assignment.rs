//! Fields that nobody may set, in every body; answers that hold nothing that was not meant.

use serde_json::{Value, json};

use crate::common::{PASSWORD, key_body, worlds};

/// Bodies that would be taken as they are.
fn bodies() -> [(&'static str, Value); 10] {
    let list = json!({ "name": "x", "symbols": [] });
    let mut changed = list.clone();
    changed["version"] = json!(1);
    [
        ("PATCH /users/me", json!({ "full_name": "x" })),
        ("DELETE /users/me", json!({ "password": PASSWORD })),
        ("POST /users/me/keys", key_body()),
        ("PUT /users/me/preferences", json!({ "language": "tr" })),
        ("POST /watchlists", list),
        ("PUT /watchlists/{id}", changed),
        ("PUT /users/{id}/roles", json!({ "roles": ["viewer"] })),
        ("POST /users/{id}/disable", json!({ "reason": "x" })),
        ("PUT /users/{id}/live", json!({ "allowed": true })),
        ("PUT /users/{id}/kyc", json!({ "level": 0 })),
    ]
}

const UNWANTED: [&str; 17] = [
    "role",
    "is_admin",
    "balance",
    "user_id",
    "id",
    "status",
    "email",
    "email_verified",
    "kyc_level",
    "live_allowed",
    "password_hash",
    "key_hash",
    "created_at",
    "revoked_ms",
    "__proto__",
    "constructor",
    "",
];

#[tokio::test]
async fn a4_users_a_field_that_is_not_known_is_refused_by_name_in_every_body() {
    for world in worlds().await {
        let (admin, other) = (world.admin("root").await, world.user("b").await);
        let with_body = world.operations().into_iter().filter(|(_, _, has_body)| *has_body);
        for (method, path, _) in with_body {
            let asked = format!("{method} {}", path.trim_start_matches("/api/v1"));
            let (_, body) = bodies().into_iter().find(|(one, _)| *one == asked).unwrap_or_else(|| panic!("{asked}"));
            let before = world.all_rows().await;
            for field in UNWANTED {
                let mut body = body.clone();
                body[field] = json!("admin");
                let answer = world.ask(&admin.principal, &asked.replace("{id}", &other.id), Some(body)).await;
                assert_eq!(answer.said(), "400 INVALID_BODY", "{asked} {field}");
                let message = answer.body["error"]["message"].as_str().unwrap();
                assert!(message.contains(&format!("`{field}`")), "{message}");
            }
            assert_eq!(world.all_rows().await, before, "{asked}");
        }
    }
}

#[tokio::test]
async fn a4_users_no_answer_holds_a_hash_a_secret_or_a_row_that_was_not_meant() {
    for world in worlds().await {
        let (admin, somebody) = (world.admin("root").await, world.user("a").await);
        let made = world.ask(&somebody.principal, "POST /users/me/keys", Some(key_body())).await;
        let key = made.text("key");
        for asked in [
            "GET /users/me",
            "GET /users/me/export",
            "GET /users/me/sessions",
            "GET /users/me/keys",
            "GET /users/me/preferences",
            "GET /watchlists",
            "GET /users",
            &format!("GET /users/{}", somebody.id),
        ] {
            let who = if asked.starts_with("GET /users/me") || asked == "GET /watchlists" { &somebody } else { &admin };
            let text = world.ask(&who.principal, asked, None).await.body.to_string();
            assert!(text.contains("\"success\":true"), "{asked} {text}");
            for secret in ["argon2", "hash", "sealed", "_ms\"", "wrapped", &key[24..], PASSWORD] {
                assert!(!text.contains(secret), "{asked} tells {secret}");
            }
        }
    }
}
