//! Who may ask what: the handlers refuse by themselves, whatever stands in front of them.

use api_kit::principal::{Principal, Role};
use serde_json::json;

use crate::common::{fields, key_body, person, program, worlds};

const NO_ID: &str = "0196a0b0-0000-7000-8000-000000000001";

#[tokio::test]
async fn a3_users_every_path_refuses_by_itself_whom_its_row_refuses() {
    for world in worlds().await {
        let somebody = world.user("a").await;
        let callers = [
            Principal::Anonymous,
            person(&somebody.id, &somebody.session, [Role::Viewer]),
            person(&somebody.id, &somebody.session, [Role::Trader, Role::Ops]),
            program(&somebody.id),
        ];
        let operations = world.operations();
        assert!(operations.len() >= 22, "{}", operations.len());
        for (method, path, _) in operations {
            let access =
                world.table.get(method.as_str(), &path).unwrap_or_else(|| panic!("{method} {path} has no row"));
            for caller in &callers {
                let Err(error) = access.admits(caller, true) else { continue };
                let asked = format!("{method} {}", path.trim_start_matches("/api/v1").replace("{id}", NO_ID));
                let answer = world.ask(caller, &asked, None).await;
                assert_eq!(answer.said(), format!("{} {}", error.status.as_u16(), error.code), "{asked} {caller:?}");
            }
        }
    }
}

#[tokio::test]
async fn a3_users_what_is_somebody_elses_is_not_there() {
    for world in worlds().await {
        let (a, b) = (world.user("a").await, world.user("b").await);
        let key = world.ask(&b.principal, "POST /users/me/keys", Some(key_body())).await.text("id");
        let list = json!({ "name": "banks", "symbols": ["GARAN"] });
        let list = world.ask(&b.principal, "POST /watchlists", Some(list)).await.text("id");
        let before = world.all_rows().await;
        let change = json!({ "name": "mine", "symbols": [], "version": 1 });
        for (asked, id, body) in [
            ("DELETE /users/me/sessions/", &b.session, None),
            ("DELETE /users/me/keys/", &key, None),
            ("DELETE /watchlists/", &list, None),
            ("PUT /watchlists/", &list, Some(change)),
        ] {
            let others = world.ask(&a.principal, &format!("{asked}{id}"), body.clone()).await;
            let nobodys = world.ask(&a.principal, &format!("{asked}{NO_ID}"), body).await;
            assert_eq!(others.said(), "404 NOT_FOUND", "{asked}");
            assert_eq!(others.body["error"], nobodys.body["error"], "nothing tells the two apart");
        }
        assert_eq!(world.all_rows().await, before);
        assert_eq!(
            world.ask(&b.principal, "GET /users/me/sessions", None).await.data()["items"].as_array().unwrap().len(),
            1
        );
    }
}

#[tokio::test]
async fn sessions_are_listed_and_ended_one_by_one() {
    for world in worlds().await {
        let somebody = world.user("a").await;
        world.clock.advance_ms(1_000);
        let other = world.session(&somebody.id).await;
        let listed = world.ask(&somebody.principal, "GET /users/me/sessions", None).await;
        let items = listed.data()["items"].as_array().unwrap();
        assert_eq!(
            items.iter().map(|one| one["id"].as_str().unwrap()).collect::<Vec<_>>(),
            [&other, &somebody.session]
        );
        assert_eq!(fields(&items[0]), ["address", "created_at", "current", "id", "last_used_at", "user_agent"]);
        assert_eq!((&items[0]["current"], &items[1]["current"]), (&json!(false), &json!(true)));
        assert_eq!(items[1]["created_at"], "2026-11-30T00:53:20Z");
        assert_eq!(listed.headers["cache-control"], "no-store");

        let token = world.token(&somebody.id, &other).await;
        let door = |token: String| {
            let users = world.users.clone();
            async move { api_kit::auth::Authenticator::authenticate(&*users, &token, [192, 0, 2, 7].into()).await.is_ok() }
        };
        assert!(door(token.clone()).await);
        let end = format!("DELETE /users/me/sessions/{other}");
        assert_eq!(world.ask(&somebody.principal, &end, None).await.data(), &json!({ "revoked": 1 }));
        assert!(!door(token).await, "at once in this process");
        assert_eq!(world.ask(&somebody.principal, &end, None).await.said(), "404 NOT_FOUND");
        let listed = world.ask(&somebody.principal, "GET /users/me/sessions", None).await;
        assert_eq!(listed.data()["items"].as_array().unwrap().len(), 1);
        assert_eq!(world.actions(&other).await, ["session.revoke"]);
    }
}
