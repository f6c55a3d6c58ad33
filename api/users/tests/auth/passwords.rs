//! Passwords: changed, forgotten, set anew.

use std::time::Duration;

use serde_json::{Value, json};

use crate::common::{Ask, HOME, PASSWORD, Tokens, World, worlds, worlds_with, worlds_with_mails};

const NEW: &str = "yeşil bisiklet 8";

fn change(current: &str, new: &str) -> Value {
    json!({ "current_password": current, "new_password": new })
}

#[tokio::test]
async fn a_password_is_changed_by_the_current_one() {
    for world in worlds().await {
        world.register("ayse@example.com").await;
        let (here, there) = (world.login("ayse@example.com").await, world.login("ayse@example.com").await);
        let path = "/auth/password/change";
        assert_eq!(world.post(path, change(PASSWORD, NEW)).await.refusal(), (401, "UNAUTHENTICATED"));
        assert_eq!(world.post_as(&here, path, change("another one", NEW)).await.refusal(), (401, "LOGIN_FAILED"));
        assert_eq!(world.post_as(&here, path, change(PASSWORD, "short")).await.refusal(), (400, "WEAK_PASSWORD"));
        assert!(world.is_admitted(&there).await);
        assert_eq!(world.post_as(&here, path, change(PASSWORD, NEW)).await.data(200)["changed"], true);
        assert!(world.is_admitted(&here).await && !world.is_admitted(&there).await);
        assert_eq!(world.try_login("ayse@example.com", PASSWORD, HOME).await.refusal(), (401, "LOGIN_FAILED"));
        Tokens::of(&world.try_login("ayse@example.com", NEW, HOME).await);
        let actions = world.actions().await;
        assert!(actions.contains(&"user.password_change".to_owned()), "{actions:?}");
    }
}

#[tokio::test]
async fn a5_users_a_stolen_access_token_does_not_try_passwords_without_end() {
    for world in worlds_with(|config| config.attempts_max = 3).await {
        world.register("ayse@example.com").await;
        let stolen = world.login("ayse@example.com").await;
        let mut answers = Vec::new();
        for number in 0..6 {
            let body = Some(change(&format!("guess number {number}"), NEW));
            let ask = Ask { path: "/auth/password/change", body, from: "198.51.100.9", bearer: Some(&stolen.access) };
            answers.push(world.send(ask).await.status.as_u16());
        }
        assert_eq!(answers, [401, 401, 401, 429, 429, 429]);
        world.login("ayse@example.com").await;
    }
}

async fn verified(world: &mut World, email: &str) {
    let body = json!({ "email": email, "password": PASSWORD, "full_name": "Ayşe" });
    world.post("/auth/register", body).await.data(201);
    let token = world.mail().await.token("verify");
    world.post("/auth/verify", json!({ "token": token, "password": PASSWORD })).await.data(200);
}

async fn forgot(world: &World, email: &str) -> Value {
    world.post("/auth/password/forgot", json!({ "email": email })).await.data(202).clone()
}

#[tokio::test]
async fn a_forgotten_password_is_set_anew_by_the_link_and_everybody_is_out() {
    for mut world in worlds_with_mails(|_| {}).await {
        verified(&mut world, "ayse@example.com").await;
        let tokens = world.login("ayse@example.com").await;
        assert_eq!(forgot(&world, " Ayse@example.com").await["sent"], true);
        let old = world.mail().await.token("reset");
        forgot(&world, "ayse@example.com").await;
        let token = world.mail().await.token("reset");
        let reset = |token: &str, new: &str| json!({ "token": token, "new_password": new });
        let path = "/auth/password/reset";
        assert_eq!(world.post(path, reset(&old, NEW)).await.refusal(), (400, "TOKEN_INVALID"), "the newest counts");
        assert_eq!(world.post(path, reset(&token, "my-ayse-secret")).await.refusal(), (400, "WEAK_PASSWORD"));
        assert!(world.is_admitted(&tokens).await);
        assert_eq!(world.post(path, reset(&token, NEW)).await.data(200)["changed"], true);
        assert_eq!(world.post(path, reset(&token, NEW)).await.refusal(), (400, "TOKEN_INVALID"));
        assert!(!world.is_admitted(&tokens).await);
        assert_eq!(world.refresh(&tokens.refresh).await.refusal(), (401, "UNAUTHENTICATED"));
        assert_eq!(world.try_login("ayse@example.com", PASSWORD, HOME).await.refusal(), (401, "LOGIN_FAILED"));
        Tokens::of(&world.try_login("ayse@example.com", NEW, HOME).await);
    }
}

#[tokio::test]
async fn a5_users_whether_a_forgotten_address_has_an_account_is_not_told() {
    for mut world in worlds_with_mails(|_| {}).await {
        verified(&mut world, "ayse@example.com").await;
        let mut costs = Vec::new();
        for email in ["nobody@example.com", "ayse@example.com"] {
            let database = world.users.store().database.clone();
            let before = (database.stats().acquired, world.actions().await.len());
            let after_check = database.stats().acquired;
            assert_eq!(forgot(&world, email).await, json!({ "sent": true }));
            let acquired = database.stats().acquired - after_check;
            costs.push((acquired, world.actions().await.len() - before.1));
        }
        assert_eq!(costs[0], costs[1]);
        // The first mail that comes is the owner's.
        assert_eq!(world.mail().await.to, "ayse@example.com");
        assert_eq!(
            world.post("/auth/password/forgot", json!({ "email": "x" })).await.refusal(),
            (400, "INVALID_EMAIL")
        );
    }
}

#[tokio::test]
async fn more_askings_than_mails_may_be_sent_leave_the_last_link_good() {
    for mut world in worlds_with_mails(|_| {}).await {
        verified(&mut world, "ayse@example.com").await;
        // One mail of five was for the verification.
        for _ in 0..4 {
            forgot(&world, "ayse@example.com").await;
        }
        let mut token = String::new();
        for _ in 0..4 {
            token = world.mail().await.token("reset");
        }
        for _ in 0..3 {
            forgot(&world, "ayse@example.com").await;
        }
        let body = json!({ "token": token, "new_password": NEW });
        world.post("/auth/password/reset", body).await.data(200);
    }
}

#[tokio::test]
async fn a_reset_link_ends_after_an_hour_and_with_the_account() {
    for mut world in worlds_with_mails(|_| {}).await {
        verified(&mut world, "ayse@example.com").await;
        forgot(&world, "ayse@example.com").await;
        let token = world.mail().await.token("reset");
        world.pass(Duration::from_secs(60 * 60)).await;
        let body = |token: &str| json!({ "token": token, "new_password": NEW });
        assert_eq!(world.post("/auth/password/reset", body(&token)).await.refusal(), (400, "TOKEN_INVALID"));
        forgot(&world, "ayse@example.com").await;
        let token = world.mail().await.token("reset");
        world.run("UPDATE users SET status = 'disabled' WHERE email = $1", "ayse@example.com").await;
        assert_eq!(world.post("/auth/password/reset", body(&token)).await.refusal(), (400, "TOKEN_INVALID"));
    }
}

#[tokio::test]
async fn a5_users_a_new_address_that_others_have_locked_is_opened_by_the_reset_link() {
    for mut world in worlds_with_mails(|config| config.attempts_max = 2).await {
        verified(&mut world, "ayse@example.com").await;
        for number in 1..5 {
            world.try_login("ayse@example.com", "another password", &format!("198.51.100.{number}")).await;
        }
        let travel = "203.0.113.5";
        assert_eq!(world.try_login("ayse@example.com", PASSWORD, travel).await.refusal().0, 429);
        forgot(&world, "ayse@example.com").await;
        let body = Some(json!({ "token": world.mail().await.token("reset"), "new_password": NEW }));
        world.send(Ask { path: "/auth/password/reset", body, from: travel, bearer: None }).await.data(200);
        Tokens::of(&world.try_login("ayse@example.com", NEW, travel).await);
    }
}
