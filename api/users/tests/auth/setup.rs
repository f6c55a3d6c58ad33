//! The first administrator.

use std::time::Duration;

use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::common::{PASSWORD, World, worlds};

async fn token(world: &World) -> String {
    let link = world.users.setup_link().await.expect("the store").expect("no account exists");
    let (page, token) = link.expose_secret().split_once("/#setup=").expect("a link");
    assert_eq!(page, "http://localhost:8080");
    token.to_owned()
}

fn body(token: &str) -> Value {
    json!({ "token": token, "email": "admin@example.com", "password": PASSWORD, "full_name": "Yönetici" })
}

#[tokio::test]
async fn the_first_administrator_comes_by_the_link_once() {
    for world in worlds().await {
        assert!(world.users.setup_needed().await.expect("the store"));
        let old = token(&world).await;
        let token = token(&world).await;
        assert_eq!(world.post("/auth/setup", body(&old)).await.refusal(), (400, "TOKEN_INVALID"), "the newest counts");
        let mut weak = body(&token);
        weak["password"] = json!("short");
        assert_eq!(world.post("/auth/setup", weak).await.refusal(), (400, "WEAK_PASSWORD"));
        let answer = world.post("/auth/setup", body(&token)).await;
        assert_eq!(answer.data(201)["verified"], true);
        let id = answer.data(201)["id"].as_str().expect("an id");
        assert_eq!(world.text("SELECT roles FROM users WHERE id = $1", id).await, r#"["trader","admin"]"#);
        world.login("admin@example.com").await;
        assert_eq!(world.post("/auth/setup", body(&token)).await.refusal(), (409, "SETUP_DONE"));
        assert!(world.users.setup_link().await.expect("the store").is_none());
        assert!(!world.users.setup_needed().await.expect("the store"));
    }
}

#[tokio::test]
async fn nobody_is_made_administrator_once_an_account_exists_or_by_another_text() {
    for world in worlds().await {
        let other = format!("bist_ot_{}", "A".repeat(43));
        for bad in ["", "setup", &other] {
            assert_eq!(world.post("/auth/setup", body(bad)).await.refusal(), (400, "TOKEN_INVALID"));
        }
        let late = token(&world).await;
        world.pass(Duration::from_secs(24 * 60 * 60)).await;
        assert_eq!(world.post("/auth/setup", body(&late)).await.refusal(), (400, "TOKEN_INVALID"));
        let good = token(&world).await;
        world.register("ayse@example.com").await;
        assert_eq!(world.post("/auth/setup", body(&good)).await.refusal(), (409, "SETUP_DONE"));
    }
}

#[tokio::test]
async fn of_two_who_have_the_link_one_becomes_administrator() {
    for world in worlds().await {
        let token = token(&world).await;
        let mut second = body(&token);
        second["email"] = json!("eve@example.com");
        let (one, two) = tokio::join!(world.post("/auth/setup", body(&token)), world.post("/auth/setup", second));
        let made = [&one, &two].iter().filter(|answer| answer.status == 201).count();
        assert_eq!(made, 1, "{one:?} {two:?}");
        assert_eq!(world.number("SELECT count(*) FROM users WHERE id <> $1", "").await, 1);
    }
}
