//! What holds for every path of `auth/`, read from their own description.

use api_kit::access::AccessTable;
use api_users::access::ACCESS;
use axum::body::Body;
use axum::http::{Request, header};
use serde_json::json;

use crate::common::{HOME, World, worlds};

/// Method, path, and whether it takes a body.
fn described(world: &World) -> Vec<(String, String, bool)> {
    let spec = serde_json::to_value(&world.spec).expect("a description");
    let mut found = Vec::new();
    for (path, item) in spec["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            found.push((method.to_uppercase(), path.clone(), operation.get("requestBody").is_some()));
        }
    }
    found
}

#[tokio::test]
async fn a3_users_every_path_of_auth_has_a_row_and_every_row_a_path() {
    for world in worlds().await {
        let table = AccessTable::new(ACCESS.iter().copied());
        let described = described(&world);
        for (method, path, _) in &described {
            let path = format!("/api/v1{path}");
            assert!(ACCESS.iter().any(|row| row.method == method && row.path == path), "{method} {path}");
        }
        let rows = table.rows().filter(|(_, path, _)| path.starts_with("/api/v1/auth/")).count();
        assert_eq!(rows, described.len());
    }
}

#[tokio::test]
async fn a4_users_no_path_of_auth_takes_a_field_that_it_does_not_know() {
    for world in worlds().await {
        world.register("ayse@example.com").await;
        let tokens = world.login("ayse@example.com").await;
        let mut asked = 0;
        for (_, path, _) in described(&world).into_iter().filter(|(_, _, takes_body)| *takes_body) {
            let answer = world.post_as(&tokens, &path, json!({ "surprise": true })).await;
            assert_eq!(answer.refusal(), (400, "INVALID_BODY"), "{path}");
            assert!(answer.body["error"]["message"].as_str().expect("a message").contains("surprise"), "{path}");
            asked += 1;
        }
        assert_eq!(asked, 12);
    }
}

#[tokio::test]
async fn whoever_holds_a_token_learns_whose_it_is() {
    for world in worlds().await {
        let id = world.register("ayse@example.com").await;
        let tokens = world.login("ayse@example.com").await;
        let ask = || Request::get("/auth/introspect");
        let with = ask().header(header::AUTHORIZATION, format!("Bearer {}", tokens.access));
        let answer = world.send_raw(with.body(Body::empty()).expect("a request"), HOME).await;
        let said = answer.data(200);
        assert_eq!((&said["kind"], &said["user_id"], &said["roles"]), (&json!("user"), &json!(id), &json!(["trader"])));
        assert!(
            said["session_id"].is_string() && said.get("key_id").is_none() && said.get("scopes").is_none(),
            "{said}"
        );
        assert_eq!(answer.headers[header::CACHE_CONTROL], "no-store");
        let nobody = world.send_raw(ask().body(Body::empty()).expect("a request"), HOME).await;
        assert_eq!(nobody.refusal(), (401, "UNAUTHENTICATED"));
    }
}
