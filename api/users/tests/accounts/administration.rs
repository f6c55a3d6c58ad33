//! What administrators do to accounts.

use api_kit::principal::{Principal, Role};
use serde_json::{Value, json};

use crate::common::{Answer, Somebody, World, fields, person, worlds};

const USER: [&str; 8] = ["created_at", "email", "full_name", "id", "kyc_level", "live_allowed", "roles", "status"];

async fn set(world: &World, admin: &Somebody, what: &str, whom: &str, body: Value) -> Answer {
    let method = if what == "disable" || what == "enable" { "POST" } else { "PUT" };
    world.ask(&admin.principal, &format!("{method} /users/{whom}/{what}"), Some(body)).await
}

#[tokio::test]
async fn users_are_listed_page_by_page() {
    for world in worlds().await {
        let admin = world.admin("root").await;
        let mut expected = vec![admin.id.clone()];
        for name in ["ali", "ali.veli", "ayse_100%", "zeynep"] {
            expected.push(world.user(name).await.id);
        }
        let mut seen = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = world.ask(&admin.principal, &format!("GET /users?limit=2{cursor}"), None).await;
            let items = page.data()["items"].as_array().unwrap();
            assert!(items.len() <= 2 && items.iter().all(|one| fields(one) == USER));
            seen.extend(items.iter().map(|one| one["id"].as_str().unwrap().to_owned()));
            let Some(next) = page.data()["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(seen, expected, "each once, by age");
        for (email, found) in
            [("ali", 2), ("ALI.", 1), ("ayse_100%25", 1), ("%25", 0), ("_", 0), ("root@example.com", 1)]
        {
            let page = world.ask(&admin.principal, &format!("GET /users?email={email}"), None).await;
            assert_eq!(page.data()["items"].as_array().unwrap().len(), found, "{email}");
        }
        for bad in ["limit=0", "limit=101", "limit=x", "cursor=x", "email=%00", "sort=roles"] {
            let answer = world.ask(&admin.principal, &format!("GET /users?{bad}"), None).await;
            assert_eq!(answer.said(), "400 INVALID_PARAMETER", "{bad}");
        }
        let one = world.ask(&admin.principal, &format!("GET /users/{}", expected[1]), None).await;
        assert_eq!((fields(one.data()), one.text("email")), (USER.to_vec(), "ali@example.com".to_owned()));
        for id in ["0196a0b0-0000-7000-8000-000000000001", "x", "%00"] {
            assert_eq!(world.ask(&admin.principal, &format!("GET /users/{id}"), None).await.said(), "404 NOT_FOUND");
        }
    }
}

#[tokio::test]
async fn roles_are_given_and_taken_and_doors_know_at_once() {
    for world in worlds().await {
        let (admin, somebody) = (world.admin("root").await, world.user("a").await);
        let token = world.token(&somebody.id, &somebody.session).await;
        let roles = async || {
            let answer = api_kit::auth::Authenticator::authenticate(&*world.users, &token, [192, 0, 2, 7].into()).await;
            let Ok(Principal::User { roles, .. }) = answer.map(|identity| identity.principal) else {
                panic!("a person")
            };
            roles
        };
        assert_eq!(roles().await, [Role::Trader].into());
        let changed = set(&world, &admin, "roles", &somebody.id, json!({ "roles": ["viewer", "ops"] })).await;
        assert_eq!(changed.data()["roles"], json!(["viewer", "ops"]));
        assert_eq!(roles().await, [Role::Viewer, Role::Ops].into(), "the stored ones, whatever the token says");
        assert_eq!(world.actions(&somebody.id).await, ["user.register", "user.roles"]);
        for bad in [json!([]), json!(["root"]), json!(["viewer", "viewer"]), json!(["Admin"])] {
            let refused = set(&world, &admin, "roles", &somebody.id, json!({ "roles": bad })).await;
            assert_eq!(refused.said(), "400 INVALID_ROLE");
        }
        set(&world, &admin, "roles", &somebody.id, json!({ "roles": ["ops", "viewer"] })).await.data();
        assert_eq!(world.actions(&somebody.id).await.len(), 2, "the same roles are no change");
    }
}

#[tokio::test]
async fn a_disabled_user_is_out_at_once_and_his_sessions_stay_ended() {
    for world in worlds().await {
        let (admin, somebody) = (world.admin("root").await, world.user("a").await);
        let token = world.token(&somebody.id, &somebody.session).await;
        let passes = async || {
            api_kit::auth::Authenticator::authenticate(&*world.users, &token, [192, 0, 2, 7].into()).await.is_ok()
        };
        assert!(passes().await);
        for bad in ["", "a\nb", &"x".repeat(201)] {
            let refused = set(&world, &admin, "disable", &somebody.id, json!({ "reason": bad })).await;
            assert_eq!(refused.said(), "400 INVALID_REASON");
        }
        let disabled = set(&world, &admin, "disable", &somebody.id, json!({ "reason": "a key was found" })).await;
        assert_eq!(disabled.data()["status"], "disabled");
        assert!(!passes().await);
        let enabled = set(&world, &admin, "enable", &somebody.id, json!({})).await;
        assert_eq!(enabled.data()["status"], "active");
        assert!(!passes().await, "he logs in again");
        let audited = ["user.register", "user.disable", "user.enable"];
        assert_eq!(world.actions(&somebody.id).await, audited);
        assert!(world.audit_text().await.contains("a key was found"));
    }
}

#[tokio::test]
async fn there_is_always_an_administrator_who_can_log_in() {
    for world in worlds().await {
        let (admin, second) = (world.admin("root").await, world.admin("second").await);
        set(&world, &admin, "disable", &second.id, json!({ "reason": "away" })).await.data();
        let trader = || json!({ "roles": ["trader"] });
        assert_eq!(set(&world, &admin, "roles", &admin.id, trader()).await.said(), "409 LAST_ADMIN");
        assert_eq!(set(&world, &admin, "disable", &admin.id, json!({ "reason": "x" })).await.said(), "409 LAST_ADMIN");
        let erase = json!({ "password": crate::common::PASSWORD });
        let erased = world.ask(&admin.principal, "DELETE /users/me", Some(erase)).await;
        assert_eq!(erased.said(), "409 LAST_ADMIN");
        set(&world, &admin, "enable", &second.id, json!({})).await.data();
        set(&world, &admin, "roles", &admin.id, trader()).await.data();
        assert_eq!(set(&world, &second, "roles", &second.id, trader()).await.said(), "409 LAST_ADMIN");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_administrators_who_leave_at_once_do_not_both_leave() {
    for world in worlds().await {
        let (a, b) = (world.admin("a").await, world.admin("b").await);
        let trader = || json!({ "roles": ["trader"] });
        let (one, other) =
            tokio::join!(set(&world, &a, "roles", &a.id, trader()), set(&world, &b, "roles", &b.id, trader()));
        let mut said = [one.said(), other.said()];
        said.sort();
        assert_eq!(said, ["200", "409 LAST_ADMIN"], "{}", world.name);
    }
}

#[tokio::test]
async fn what_is_done_to_nobody_is_not_done() {
    for world in worlds().await {
        let admin = world.admin("root").await;
        let before = world.all_rows().await;
        for id in ["0196a0b0-0000-7000-8000-000000000001", "me", "x"] {
            for (what, body) in [
                ("roles", json!({ "roles": ["viewer"] })),
                ("disable", json!({ "reason": "x" })),
                ("enable", json!({})),
                ("live", json!({ "allowed": true })),
                ("kyc", json!({ "level": 0 })),
            ] {
                assert_eq!(set(&world, &admin, what, id, body).await.said(), "404 NOT_FOUND", "{what} {id}");
            }
        }
        assert_eq!(world.all_rows().await, before);
        let trader = person(&admin.id, &admin.session, [Role::Trader]);
        assert_eq!(world.ask(&trader, "GET /users", None).await.said(), "403 FORBIDDEN");
    }
}
