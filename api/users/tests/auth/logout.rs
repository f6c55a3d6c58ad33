//! Logging out.

use serde_json::json;

use crate::common::{Ask, HOME, Tokens, World, worlds, worlds_with};

async fn out(world: &World, tokens: &Tokens) -> serde_json::Value {
    let ask = Ask { path: "/auth/logout", body: None, from: HOME, bearer: Some(&tokens.access) };
    world.send(ask).await.data(200)["revoked"].clone()
}

#[tokio::test]
async fn a_session_ends_by_its_refresh_token_or_its_access_token() {
    for world in worlds().await {
        world.register("ayse@example.com").await;
        let (one, two, three) = (
            world.login("ayse@example.com").await,
            world.login("ayse@example.com").await,
            world.login("ayse@example.com").await,
        );
        let by_refresh = json!({ "refresh_token": one.refresh });
        assert_eq!(world.post("/auth/logout", by_refresh.clone()).await.data(200)["revoked"], 1);
        assert_eq!(world.post("/auth/logout", by_refresh).await.data(200)["revoked"], 0, "it had ended");
        assert_eq!(out(&world, &two).await, json!(1));
        let again = Ask { path: "/auth/logout", body: None, from: HOME, bearer: Some(&two.access) };
        assert_eq!(world.send(again).await.refusal(), (401, "UNAUTHENTICATED"), "an ended session opens no door");
        assert!(!world.is_admitted(&one).await && !world.is_admitted(&two).await);
        assert!(world.is_admitted(&three).await);
        assert_eq!(world.actions().await.iter().filter(|action| *action == "session.revoke").count(), 2);
        assert_eq!(world.post("/auth/logout-all", json!({})).await.refusal(), (401, "UNAUTHENTICATED"));
        let nobody = Ask { path: "/auth/logout", body: None, from: HOME, bearer: None };
        assert_eq!(world.send(nobody).await.refusal(), (401, "UNAUTHENTICATED"));
        let unknown = json!({ "refresh_token": format!("bist_rt_{}", "A".repeat(43)) });
        assert_eq!(world.post("/auth/logout", unknown).await.refusal(), (401, "UNAUTHENTICATED"));
    }
}

#[tokio::test]
async fn everywhere_means_here_too_and_nobody_else() {
    for world in worlds().await {
        world.register("ayse@example.com").await;
        world.register("fatma@example.com").await;
        let (one, two) = (world.login("ayse@example.com").await, world.login("ayse@example.com").await);
        let fatma = world.login("fatma@example.com").await;
        let ask = Ask { path: "/auth/logout-all", body: None, from: HOME, bearer: Some(&one.access) };
        assert_eq!(world.send(ask).await.data(200)["revoked"], 2);
        assert!(!world.is_admitted(&one).await && !world.is_admitted(&two).await);
        assert!(world.is_admitted(&fatma).await);
        assert!(world.actions().await.contains(&"session.revoke_all".to_owned()));
    }
}

#[tokio::test]
async fn of_too_many_sessions_the_one_unused_for_longest_ends() {
    for world in worlds_with(|config| config.attempts_max = 1_000).await {
        let id = world.register("ayse@example.com").await;
        let first = world.login("ayse@example.com").await;
        world.clock.advance_ms(1);
        let second = world.login("ayse@example.com").await;
        // Ninety-eight more that were not logged in one by one, for the time that takes.
        for number in 0..98 {
            let id = &*id;
            let made = world.users.store().database.write(|mut tx| async move {
                let tx = &mut *tx;
                api_store::execute_on_both!(tx, c => sqlx::query(
                    "INSERT INTO sessions (id, user_id, created_ms, last_used_ms, expires_ms, address, user_agent) \
                     SELECT $1, user_id, created_ms, last_used_ms + 1, expires_ms, address, user_agent FROM sessions \
                     WHERE user_id = $2 ORDER BY last_used_ms DESC LIMIT 1"
                ).bind(format!("s{number}")).bind(id).execute(c))
            });
            made.await.expect("a session");
        }
        world.clock.advance_ms(1_000);
        assert!(world.is_admitted(&first).await && world.is_admitted(&second).await);
        world.login("ayse@example.com").await;
        assert!(!world.is_admitted(&first).await);
        assert!(world.is_admitted(&second).await);
        let standing = "SELECT count(*) FROM sessions WHERE user_id = $1 AND revoked_ms IS NULL";
        assert_eq!(world.number(standing, &id).await, i64::from(api_users::config::SESSIONS_MAX));
    }
}
