//! Control characters, markup and texts that look like others, in every name.

use serde_json::{Value, json};

use crate::common::{key_body, worlds};

/// Texts that would steer a terminal, a log, a header or a reader's eye.
const STEERING: [&str; 10] = [
    "a\r\nSet-Cookie: x=1",
    "a\nlevel=ERROR forged",
    "a\u{1b}[2J\u{1b}[31m",
    "a\0b",
    "a\u{7f}",
    "a\u{85}b",
    "a\u{202e}txt.exe",
    "a\u{200b}b",
    "a\u{2028}b",
    "\u{feff}a",
];

/// Markup and formulas: texts like any other, escaped by whoever shows them.
const MARKUP: [&str; 6] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "=HYPERLINK(\"http://x\")",
    "{\"a\":1}",
    "javascript:alert(1)",
    "Ayşe “Çelik” 日本",
];

fn named(text: &str) -> Vec<(&'static str, &'static str, Value)> {
    let mut key = key_body();
    key["name"] = json!(text);
    vec![
        ("PATCH /users/me", "full_name", json!({ "full_name": text })),
        ("POST /users/me/keys", "name", key),
        ("POST /watchlists", "name", json!({ "name": text, "symbols": [] })),
    ]
}

#[tokio::test]
async fn a9_users_texts_that_steer_are_refused_in_every_name() {
    for world in worlds().await {
        let (admin, other) = (world.admin("root").await, world.user("b").await);
        let before = world.all_rows().await;
        for text in STEERING {
            for (asked, field, body) in named(text) {
                let answer = world.ask(&admin.principal, asked, Some(body)).await;
                assert_eq!(answer.said(), "400 INVALID_NAME", "{asked} {text:?}");
                assert_eq!(answer.body["error"]["details"]["field"], field);
                assert!(!answer.body.to_string().contains("forged"), "what was sent is not said again");
            }
            let reason = Some(json!({ "reason": text }));
            let answer = world.ask(&admin.principal, &format!("POST /users/{}/disable", other.id), reason).await;
            assert_eq!(answer.said(), "400 INVALID_REASON", "{text:?}");
        }
        assert_eq!(world.all_rows().await, before);
    }
}

#[tokio::test]
async fn a9_users_markup_is_text_and_no_answer_is_a_page() {
    for world in worlds().await {
        let somebody = world.user("a").await;
        for text in MARKUP {
            for (asked, field, body) in named(text) {
                let answer = world.ask(&somebody.principal, asked, Some(body)).await;
                assert_eq!(answer.text(field), text, "{asked}");
                assert_eq!(answer.headers["content-type"], "application/json");
            }
        }
        for asked in ["GET /users/me", "GET /users/me/keys", "GET /watchlists", "GET /users/me/export"] {
            let answer = world.ask(&somebody.principal, asked, None).await;
            assert_eq!(answer.headers["content-type"], "application/json", "{asked}");
        }
        let listed = world.ask(&somebody.principal, "GET /watchlists", None).await;
        let names: Vec<_> =
            listed.data()["items"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
        assert_eq!(names, MARKUP);
        let audit = world.audit_text().await;
        assert!(!audit.contains("script") && !audit.contains("onerror"), "no name stands in the log");
    }
}
