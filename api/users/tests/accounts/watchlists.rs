//! Watch lists.

use serde_json::{Value, json};

use crate::common::{Answer, Somebody, World, fields, worlds};

async fn make(world: &World, who: &Somebody, name: &str, symbols: Value) -> Answer {
    world.ask(&who.principal, "POST /watchlists", Some(json!({ "name": name, "symbols": symbols }))).await
}

#[tokio::test]
async fn a_list_is_made_changed_and_deleted() {
    for world in worlds().await {
        let somebody = world.user("a").await;
        let made = make(&world, &somebody, " bankalar ", json!(["GARAN", "AKBNK.E", "F_XU0301226"])).await;
        assert_eq!((made.status, fields(made.data())), (201, vec!["id", "name", "symbols", "version"]));
        let id = made.text("id");
        let expected =
            json!({ "id": id, "name": "bankalar", "symbols": ["GARAN", "AKBNK.E", "F_XU0301226"], "version": 1 });
        assert_eq!(made.data(), &expected);
        let listed = world.ask(&somebody.principal, "GET /watchlists", None).await;
        assert_eq!(listed.data(), &json!({ "items": [expected], "next_cursor": null }));

        let put = format!("PUT /watchlists/{id}");
        let change = |version: i64| Some(json!({ "name": "banks", "symbols": [], "version": version }));
        let changed = world.ask(&somebody.principal, &put, change(1)).await;
        assert_eq!(changed.data(), &json!({ "id": id, "name": "banks", "symbols": [], "version": 2 }));
        let late = world.ask(&somebody.principal, &put, change(1)).await;
        assert_eq!(
            (late.said().as_str(), &late.body["error"]["details"]["version"]),
            ("409 VERSION_CONFLICT", &json!(2))
        );

        let delete = format!("DELETE /watchlists/{id}");
        assert_eq!(world.ask(&somebody.principal, &delete, None).await.data(), &json!({ "deleted": true }));
        assert_eq!(world.ask(&somebody.principal, &delete, None).await.said(), "404 NOT_FOUND");
        assert_eq!(world.ask(&somebody.principal, &put, change(2)).await.said(), "404 NOT_FOUND");
        let audited = ["watchlist.create", "watchlist.change", "watchlist.delete"];
        assert_eq!(world.actions(&id).await, audited);
    }
}

#[tokio::test]
async fn a_name_is_one_lists_and_may_be_another_users() {
    for world in worlds().await {
        let (a, b) = (world.user("a").await, world.user("b").await);
        make(&world, &a, "banks", json!([])).await.data();
        let second = make(&world, &a, "metals", json!([])).await.text("id");
        assert_eq!(make(&world, &a, "banks", json!([])).await.said(), "409 NAME_TAKEN");
        let body = Some(json!({ "name": "banks", "symbols": [], "version": 1 }));
        assert_eq!(world.ask(&a.principal, &format!("PUT /watchlists/{second}"), body).await.said(), "409 NAME_TAKEN");
        make(&world, &b, "banks", json!([])).await.data();
        assert_eq!(world.rows("SELECT count(*) FROM watchlists").await, 3);
    }
}

#[tokio::test]
async fn lists_and_symbols_are_bounded() {
    for world in worlds().await {
        let somebody = world.user("a").await;
        let many: Vec<String> = (0..501).map(|at| format!("S{at}")).collect();
        make(&world, &somebody, "whole", json!(&many[..500])).await.data();
        for (symbols, said) in [
            (json!(many), "400 INVALID_SYMBOL"),
            (json!(["garan"]), "400 INVALID_SYMBOL"),
            (json!(["GARAN", "GARAN"]), "400 INVALID_SYMBOL"),
            (json!([""]), "400 INVALID_SYMBOL"),
            (json!(["X".repeat(33)]), "400 INVALID_SYMBOL"),
            (json!(["ŞİŞE"]), "400 INVALID_SYMBOL"),
            (json!("GARAN"), "400 INVALID_BODY"),
        ] {
            assert_eq!(make(&world, &somebody, "x", symbols).await.said(), said);
        }
        for name in ["", "   ", &"x".repeat(51)] {
            assert_eq!(make(&world, &somebody, name, json!([])).await.said(), "400 INVALID_NAME");
        }
        for at in 1..50 {
            make(&world, &somebody, &format!("list {at}"), json!([])).await.data();
        }
        assert_eq!(make(&world, &somebody, "one more", json!([])).await.said(), "409 TOO_MANY_WATCHLISTS");
    }
}
