//! Access tokens and refresh tokens.

use api_kit::auth::Refusal;
use data_encoding::BASE64URL_NOPAD;
use serde_json::json;

use crate::common::{Ask, HOME, PASSWORD, Tokens, worlds};
use crate::door;

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

#[tokio::test]
async fn a2_users_a_refresh_token_gives_the_next_one_once() {
    for world in worlds().await {
        world.register("ayse@example.com").await;
        let (first, other) = (world.login("ayse@example.com").await, world.login("ayse@example.com").await);
        let second = Tokens::of(&world.refresh(&first.refresh).await);
        let third = Tokens::of(&world.refresh(&second.refresh).await);
        assert!(first.refresh != second.refresh && second.refresh != third.refresh);
        assert!(world.is_admitted(&third).await && world.is_admitted(&other).await);
        // A copy of the first one comes: the whole family ends, also for whoever has the newest.
        assert_eq!(world.refresh(&first.refresh).await.refusal(), (401, "REFRESH_REUSED"));
        assert!(!world.is_admitted(&third).await);
        assert_eq!(world.refresh(&third.refresh).await.refusal(), (401, "UNAUTHENTICATED"));
        assert_eq!(world.refresh(&second.refresh).await.refusal(), (401, "REFRESH_REUSED"));
        assert!(world.is_admitted(&other).await, "another log-in of the same person goes on");
        Tokens::of(&world.refresh(&other.refresh).await);
        let actions = world.actions().await;
        assert_eq!(actions.iter().filter(|action| *action == "session.revoke").count(), 1);
        assert_eq!(world.counter("bist_users_refresh_reused_total"), 1);
        assert_eq!(world.counter("bist_users_refreshed_total"), 3);
    }
}

#[tokio::test]
async fn a2_users_of_two_uses_at_once_one_wins_and_the_session_ends() {
    for world in worlds().await {
        world.register("ayse@example.com").await;
        let tokens = world.login("ayse@example.com").await;
        let (one, two) = tokio::join!(world.refresh(&tokens.refresh), world.refresh(&tokens.refresh));
        let (won, lost) = if one.status == 200 { (one, two) } else { (two, one) };
        let won = Tokens::of(&won);
        assert_eq!(lost.refusal(), (401, "REFRESH_REUSED"), "{}", world.place);
        assert!(!world.is_admitted(&won).await);
        assert_eq!(world.refresh(&won.refresh).await.refusal(), (401, "UNAUTHENTICATED"));
    }
}

#[tokio::test]
async fn a2_users_nothing_is_renewed_after_a_log_out_or_a_new_password() {
    for world in worlds().await {
        world.register("ayse@example.com").await;
        let (out, here, there) = (
            world.login("ayse@example.com").await,
            world.login("ayse@example.com").await,
            world.login("ayse@example.com").await,
        );
        world.post("/auth/logout", json!({ "refresh_token": out.refresh })).await.data(200);
        assert_eq!(world.refresh(&out.refresh).await.refusal(), (401, "UNAUTHENTICATED"));
        let body = json!({ "current_password": PASSWORD, "new_password": "yeşil bisiklet 8" });
        world.post_as(&here, "/auth/password/change", body).await.data(200);
        assert_eq!(world.refresh(&there.refresh).await.refusal(), (401, "UNAUTHENTICATED"));
        assert!(!world.is_admitted(&there).await);
        assert!(world.is_admitted(&here).await);
        Tokens::of(&world.refresh(&here.refresh).await);
    }
}

#[tokio::test]
async fn a_session_stands_for_thirty_days_from_its_last_use() {
    for world in worlds().await {
        world.register("ayse@example.com").await;
        let mut tokens = world.login("ayse@example.com").await;
        for _ in 0..3 {
            world.clock.advance_ms(30 * DAY_MS - 1);
            tokens = Tokens::of(&world.refresh(&tokens.refresh).await);
        }
        world.clock.advance_ms(30 * DAY_MS);
        assert_eq!(world.refresh(&tokens.refresh).await.refusal(), (401, "UNAUTHENTICATED"));
    }
}

#[tokio::test]
async fn a_disabled_person_renews_nothing() {
    for world in worlds().await {
        let id = world.register("ayse@example.com").await;
        let tokens = world.login("ayse@example.com").await;
        world.run("UPDATE users SET status = 'disabled' WHERE id = $1", &id).await;
        assert_eq!(world.refresh(&tokens.refresh).await.refusal(), (401, "UNAUTHENTICATED"));
    }
}

#[tokio::test]
async fn a1_users_an_access_token_is_known_by_the_published_keys_until_it_ends() {
    for world in worlds().await {
        let id = world.register("ayse@example.com").await;
        let tokens = world.login("ayse@example.com").await;
        let jwks = world.send(Ask { path: "/auth/jwks.json", body: None, from: HOME, bearer: None }).await;
        let key = &jwks.body["keys"][0];
        assert_eq!((&key["kty"], &key["crv"], &key["alg"]), (&json!("OKP"), &json!("Ed25519"), &json!("EdDSA")));
        assert!(key.get("d").is_none(), "the private half stays here");
        let claims = door::by_published_keys(&jwks.body, &tokens.access);
        assert_eq!((&*claims.iss, &*claims.aud, &*claims.purpose), ("bist", "bist", "access"));
        assert_eq!((&*claims.sub, claims.roles), (&*id, vec!["trader".to_owned()]));
        assert!(world.is_admitted(&tokens).await);
        world.clock.advance_ms(900_000);
        assert_eq!(door::identify(&world.users, &tokens.access).await, Err(Refusal::Expired));
        let out = Ask { path: "/auth/logout", body: None, from: HOME, bearer: Some(&tokens.access) };
        assert_eq!(world.send(out).await.refusal(), (401, "UNAUTHENTICATED"));
    }
}

#[tokio::test]
async fn a1_users_other_texts_are_no_access_token_and_an_access_token_renews_nothing() {
    for world in worlds().await {
        world.register("ayse@example.com").await;
        let tokens = world.login("ayse@example.com").await;
        let parts: Vec<&str> = tokens.access.split('.').collect();
        let none = BASE64URL_NOPAD.encode(br#"{"alg":"none","typ":"JWT"}"#);
        let texts = [
            tokens.refresh.clone(),
            format!("{none}.{}.", parts[1]),
            format!("{none}.{}.{}", parts[1], parts[2]),
            format!("{}.{}.", parts[0], parts[1]),
            format!("{}.{}.{}", parts[0], parts[1], BASE64URL_NOPAD.encode(&[0; 64])),
            format!("{}=", tokens.access),
            "x".repeat(5_000),
        ];
        let mut bodies = Vec::new();
        for text in &texts {
            let out = Ask { path: "/auth/logout", body: None, from: HOME, bearer: Some(text) };
            let answer = world.send(out).await;
            assert_eq!(answer.refusal(), (401, "UNAUTHENTICATED"));
            bodies.push(answer.body["error"].clone());
            let everywhere = Ask { path: "/auth/logout-all", body: None, from: HOME, bearer: Some(text) };
            let answer = world.send(everywhere).await;
            assert_eq!(answer.refusal(), (401, "UNAUTHENTICATED"));
            bodies.push(answer.body["error"].clone());
        }
        assert!(bodies.iter().all(|body| *body == bodies[0]), "{bodies:?}");
        let long = "a".repeat(10_000);
        let unknown = format!("bist_rt_{}", "A".repeat(43));
        for text in [&tokens.access, "", "bist_rt_", "' OR 1=1 --", &long, &unknown, &format!("{}\0", tokens.refresh)] {
            assert_eq!(world.refresh(text).await.refusal(), (401, "UNAUTHENTICATED"), "{text}");
        }
        assert!(world.is_admitted(&tokens).await, "nothing was ended by it");
    }
}
