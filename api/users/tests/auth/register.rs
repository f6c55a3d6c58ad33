//! Registration and the verification of addresses.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use crate::common::{Ask, HOME, NOW_MS, PASSWORD, Tokens, World, worlds, worlds_with, worlds_with_mails};

fn body(email: &str, password: &str, full_name: &str) -> Value {
    json!({ "email": email, "password": password, "full_name": full_name })
}

#[tokio::test]
async fn in_development_an_account_is_usable_at_once_and_an_address_has_one() {
    for world in worlds().await {
        let answer = world.post("/auth/register", body("  Ayse@Example.com ", PASSWORD, " Ayşe Kaya ")).await;
        let data = answer.data(201);
        assert_eq!((&data["email"], &data["verified"]), (&json!("ayse@example.com"), &json!(true)));
        let id = data["id"].as_str().expect("an id").to_owned();
        assert_eq!(world.text("SELECT full_name FROM users WHERE id = $1", &id).await, "Ayşe Kaya");
        assert_eq!(world.text("SELECT roles FROM users WHERE id = $1", &id).await, r#"["trader"]"#);
        let hash = world.text("SELECT password_hash FROM users WHERE id = $1", &id).await;
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        let again = world.post("/auth/register", body("AYSE@example.com", PASSWORD, "Another")).await;
        assert_eq!(again.refusal(), (409, "EMAIL_TAKEN"));
        world.login("ayse@example.com").await;
        assert_eq!(world.actions().await, ["user.register", "user.login"]);
        assert_eq!(world.counter("bist_users_registered_total"), 1);
    }
}

#[tokio::test]
async fn what_is_not_taken_is_refused_by_field() {
    for world in worlds().await {
        let long = "a".repeat(129);
        for (body, code, field) in [
            (body("ayse", PASSWORD, "Ayşe"), "INVALID_EMAIL", "email"),
            (body("a\0@example.com", PASSWORD, "Ayşe"), "INVALID_EMAIL", "email"),
            (body("ayse@example.com", PASSWORD, ""), "INVALID_NAME", "full_name"),
            (body("ayse@example.com", PASSWORD, "a\u{1b}[2J"), "INVALID_NAME", "full_name"),
            (body("ayse@example.com", "short", "Ayşe"), "WEAK_PASSWORD", "password"),
            (body("ayse@example.com", &long, "Ayşe"), "WEAK_PASSWORD", "password"),
            (body("ayse@example.com", "my-ayse-secret", "Ayşe"), "WEAK_PASSWORD", "password"),
            (body("ayse@example.com", "password123", "Ayşe"), "WEAK_PASSWORD", "password"),
        ] {
            let answer = world.post("/auth/register", body).await;
            assert_eq!(answer.refusal(), (400, code), "{}", world.place);
            assert_eq!(answer.body["error"]["details"]["field"], field);
        }
        assert_eq!(world.number("SELECT count(*) FROM users WHERE id <> $1", "").await, 0);
    }
}

#[tokio::test]
async fn a4_users_bodies_that_are_not_understood_are_refused_and_never_quoted() {
    for world in worlds().await {
        let mut with_more = body("ayse@example.com", PASSWORD, "Ayşe");
        with_more["roles"] = json!(["admin"]);
        let answer = world.post("/auth/register", with_more).await;
        assert_eq!(answer.refusal(), (400, "INVALID_BODY"));
        assert!(answer.body["error"]["message"].as_str().expect("a message").contains("roles"));
        let answer = world.post("/auth/register", json!({ "email": "ayse@example.com" })).await;
        assert!(answer.body["error"]["message"].as_str().expect("a message").contains("password"));
        let answer = world.post("/auth/login", json!({ "email": ["s3cret-in-a-list"], "password": {} })).await;
        assert_eq!(answer.refusal(), (400, "INVALID_BODY"));
        assert!(!answer.body.to_string().contains("s3cret"), "{}", answer.body);
        let raw = |kind: &str, text: String| {
            let request = Request::post("/auth/login").header("content-type", kind).body(Body::from(text));
            request.expect("a request")
        };
        let answer = world.send_raw(raw("text/plain", "{}".into()), HOME).await;
        assert_eq!(answer.refusal(), (415, "UNSUPPORTED_MEDIA_TYPE"));
        let answer = world.send_raw(raw("application/json", " ".repeat(16 * 1024 + 1)), HOME).await;
        assert_eq!(answer.refusal(), (413, "PAYLOAD_TOO_LARGE"));
    }
}

#[tokio::test]
async fn registrations_of_one_address_are_bounded() {
    for world in worlds_with(|config| config.registrations_per_hour = 2).await {
        for number in 0..2 {
            world.register(&format!("user{number}@example.com")).await;
        }
        let answer = world.post("/auth/register", body("more@example.com", PASSWORD, "More")).await;
        assert_eq!(answer.refusal(), (429, "TOO_MANY_ATTEMPTS"));
        assert!((1..=1_800).contains(&answer.retry_after_s()));
        let body = Some(body("more@example.com", PASSWORD, "More"));
        let elsewhere = Ask { path: "/auth/register", body, from: "198.51.100.7", bearer: None };
        world.send(elsewhere).await.data(201);
        world.pass(Duration::from_secs(1_800)).await;
        world.register("later@example.com").await;
    }
}

#[tokio::test]
async fn with_a_mailer_the_link_verifies_once_and_only_then_the_password_counts() {
    for mut world in worlds_with_mails(|_| {}).await {
        let answer = world.post("/auth/register", body("ayse@example.com", PASSWORD, "Ayşe")).await;
        assert_eq!(answer.data(201)["verified"], false);
        let mail = world.mail().await;
        assert_eq!(mail.to, "ayse@example.com");
        assert_eq!(world.try_login("ayse@example.com", PASSWORD, HOME).await.refusal(), (403, "EMAIL_NOT_VERIFIED"));
        let wrong = world.try_login("ayse@example.com", "another password", HOME).await;
        assert_eq!(wrong.refusal(), (401, "LOGIN_FAILED"));
        let token = json!({ "token": mail.token("verify"), "password": PASSWORD });
        assert_eq!(world.post("/auth/verify", token.clone()).await.data(200)["verified"], true);
        assert_eq!(world.post("/auth/verify", token).await.refusal(), (400, "TOKEN_INVALID"));
        world.login("ayse@example.com").await;
        let options = world.send(Ask { path: "/auth/options", body: None, from: HOME, bearer: None }).await;
        let expected =
            json!({ "development": false, "mailer": true, "setup_needed": false, "password_length_min": 10 });
        assert_eq!(options.data(200), &expected);
    }
}

#[tokio::test]
async fn a5_users_with_a_mailer_nobody_learns_that_an_address_has_an_account() {
    for mut world in worlds_with_mails(|_| {}).await {
        let first = world.post("/auth/register", body("ayse@example.com", PASSWORD, "Ayşe")).await;
        let token = world.mail().await.token("verify");
        world.post("/auth/verify", json!({ "token": token, "password": PASSWORD })).await.data(200);
        let (hashes, rows) = work(&world).await;
        let taken = world.post("/auth/register", body("ayse@example.com", "another password", "Eve")).await;
        let after_taken = work(&world).await;
        assert_eq!(
            taken.data(201).as_object().map(|data| data.len()),
            first.data(201).as_object().map(|data| data.len())
        );
        assert_eq!(
            (&taken.data(201)["email"], &taken.data(201)["verified"]),
            (&json!("ayse@example.com"), &json!(false))
        );
        assert_ne!(taken.data(201)["id"], first.data(201)["id"], "the id would tell");
        let mail = world.mail().await;
        assert!(mail.to == "ayse@example.com" && !mail.text.contains("verify="), "{mail:?}");
        world.post("/auth/register", body("fatma@example.com", PASSWORD, "Fatma")).await.data(201);
        let after_new = work(&world).await;
        assert_eq!((after_taken.0 - hashes, after_taken.1 - rows), (1, 1));
        assert_eq!((after_new.0 - after_taken.0, after_new.1 - after_taken.1), (1, 1));
        // Nothing of the account was changed.
        world.login("ayse@example.com").await;
    }
}

/// Hashes and audit rows so far: what an answer costs.
async fn work(world: &World) -> (u64, u64) {
    (world.counter("bist_users_hashes_total"), world.actions().await.len() as u64)
}

#[tokio::test]
async fn of_two_registrations_before_the_link_the_newest_counts() {
    for mut world in worlds_with_mails(|_| {}).await {
        let eve = world.post("/auth/register", body("ayse@example.com", "eve's own password", "Eve")).await;
        let old = world.mail().await.token("verify");
        let ayse = world.post("/auth/register", body("ayse@example.com", PASSWORD, "Ayşe")).await;
        assert_ne!(eve.data(201)["id"], ayse.data(201)["id"], "one id twice would tell that there is no account yet");
        let new = world.mail().await.token("verify");
        assert_eq!(
            world.post("/auth/verify", json!({ "token": old, "password": PASSWORD })).await.refusal(),
            (400, "TOKEN_INVALID")
        );
        // Whoever has the link and not the password of its registration makes nothing usable, and the link stays good.
        let stranger = json!({ "token": new, "password": "eve's own password" });
        assert_eq!(world.post("/auth/verify", stranger).await.refusal(), (401, "LOGIN_FAILED"));
        world.post("/auth/verify", json!({ "token": new, "password": PASSWORD })).await.data(200);
        let eve = world.try_login("ayse@example.com", "eve's own password", HOME).await;
        assert_eq!(eve.refusal(), (401, "LOGIN_FAILED"));
        Tokens::of(&world.try_login("ayse@example.com", PASSWORD, HOME).await);
    }
}

#[tokio::test]
async fn a_link_ends_and_other_texts_open_nothing() {
    for mut world in worlds_with_mails(|_| {}).await {
        world.post("/auth/register", body("ayse@example.com", PASSWORD, "Ayşe")).await.data(201);
        let token = world.mail().await.token("verify");
        let long = "a".repeat(10_000);
        let other = format!("bist_ot_{}", "A".repeat(43));
        for bad in ["", "' OR 1=1 --", "bist_ot_", &other, &long, &token[..token.len() - 1], &format!("{token}\0")] {
            assert_eq!(
                world.post("/auth/verify", json!({ "token": bad, "password": PASSWORD })).await.refusal(),
                (400, "TOKEN_INVALID")
            );
        }
        let reset = world.post("/auth/password/reset", json!({ "token": token, "new_password": PASSWORD })).await;
        assert_eq!(reset.refusal(), (400, "TOKEN_INVALID"), "a link does what it was made for");
        world.clock.advance_ms(24 * 60 * 60 * 1_000);
        assert!(world.clock.now_ms() > NOW_MS);
        assert_eq!(
            world.post("/auth/verify", json!({ "token": token, "password": PASSWORD })).await.refusal(),
            (400, "TOKEN_INVALID")
        );
    }
}

#[tokio::test]
async fn one_address_gets_a_bounded_number_of_mails() {
    for mut world in worlds_with_mails(|_| {}).await {
        for _ in 0..7 {
            world.post("/auth/register", body("ayse@example.com", PASSWORD, "Ayşe")).await.data(201);
        }
        world.post("/auth/register", body("fatma@example.com", PASSWORD, "Fatma")).await.data(201);
        let mut links = Vec::new();
        loop {
            let mail = world.mail().await;
            if mail.to != "ayse@example.com" {
                break;
            }
            links.push(mail.token("verify"));
        }
        assert_eq!(links.len(), 5);
        // The last one that was sent is good, though the person asked again.
        world.post("/auth/verify", json!({ "token": links[4], "password": PASSWORD })).await.data(200);
    }
}
