//! API keys: made, listed, revoked, and what is kept of them.

use api_kit::auth::{Authenticator, Refusal};
use api_kit::principal::{Environment, Principal, Scope};
use api_store::on_both;
use serde_json::json;

use crate::common::{START_MS, Somebody, World, fields, key_body, worlds};

async fn make(world: &World, who: &Somebody, body: serde_json::Value) -> (String, String) {
    let made = world.ask(&who.principal, "POST /users/me/keys", Some(body)).await;
    assert_eq!(made.status, 201, "{made:?}");
    (made.text("id"), made.text("key"))
}

async fn asks(world: &World, key: &str, peer: &str) -> Result<Principal, Refusal> {
    world.users.authenticate(key, peer.parse().unwrap()).await.map(|identity| identity.principal)
}

#[tokio::test]
async fn a13_users_a_key_is_shown_once_and_kept_as_a_hash() {
    for world in worlds().await {
        let somebody = world.user("a").await;
        let body = json!({
            "name": "  my bot ", "environment": "paper", "scopes": ["trading:place", "market:read"],
            "addresses": ["192.0.2.7", "2001:DB8::1/48"], "expires_at": "2026-12-30T03:00:00+03:00",
        });
        let made = world.ask(&somebody.principal, "POST /users/me/keys", Some(body)).await;
        assert_eq!((made.status, &made.headers["cache-control"]), (201, &"no-store".parse().unwrap()));
        let about =
            ["addresses", "created_at", "environment", "expires_at", "id", "last_used_at", "name", "prefix", "scopes"];
        assert_eq!(fields(made.data()).into_iter().filter(|&name| name != "key").collect::<Vec<_>>(), about);
        let (key, prefix) = (made.text("key"), made.text("prefix"));
        assert!(key.starts_with(&format!("{prefix}_")) && prefix.starts_with("bist_paper_") && prefix.len() == 23);
        assert_eq!(made.data()["name"], "my bot");
        assert_eq!(made.data()["addresses"], json!(["192.0.2.7/32", "2001:db8::/48"]));
        assert_eq!(made.data()["expires_at"], "2026-12-30T00:00:00Z");

        let listed = world.ask(&somebody.principal, "GET /users/me/keys", None).await;
        assert_eq!(fields(&listed.data()["items"][0]), about);
        let export = world.ask(&somebody.principal, "GET /users/me/export", None).await;
        let secret = &key[prefix.len() + 1..];
        for text in [listed.body.to_string(), export.body.to_string(), world.audit_text().await] {
            assert!(!text.contains(secret));
        }
        let stored: (Vec<u8>, String) = world
            .store
            .database
            .read(|mut tx| async move {
                on_both!(&mut *tx, c => sqlx::query_as("SELECT key_hash, prefix FROM api_keys").fetch_one(c))
            })
            .await
            .unwrap();
        assert_eq!(stored, (api_users::secret::hash(&key), prefix));
        assert_eq!(world.actions(&made.text("id")).await, ["key.create"]);
    }
}

#[tokio::test]
async fn a13_users_a_key_is_its_whole_text_and_nothing_near_it() {
    for world in worlds().await {
        let somebody = world.user("a").await;
        let scopes = json!({ "name": "bot", "environment": "paper", "scopes": ["market:read", "trading:place"] });
        let (id, key) = make(&world, &somebody, scopes).await;
        let expected = Principal::Key {
            user_id: somebody.id.as_str().into(),
            key_id: id.as_str().into(),
            environment: Environment::Paper,
            scopes: [Scope::MarketRead, Scope::TradingPlace].into(),
        };
        assert_eq!(asks(&world, &key, "192.0.2.1").await, Ok(expected));
        let other = |at: usize| {
            let mut text = key.clone().into_bytes();
            text[at] = if text[at] == b'b' { b'c' } else { b'b' };
            String::from_utf8(text).unwrap()
        };
        for at in [11, 22, 24, key.len() - 1] {
            assert_eq!(asks(&world, &other(at), "192.0.2.1").await, Err(Refusal::Unknown), "byte {at}");
        }
        for bad in [
            &key[..key.len() - 1],
            &format!("{key}="),
            &key.to_uppercase(),
            &key.replace("paper", "live"),
            "bist_paper_",
        ] {
            assert!(asks(&world, bad, "192.0.2.1").await.is_err(), "{bad}");
        }
    }
}

#[tokio::test]
async fn a13_users_a_key_holds_at_its_addresses_and_until_its_end() {
    for world in worlds().await {
        let somebody = world.user("a").await;
        let mut body = key_body();
        body["addresses"] = json!(["192.0.2.7", "2001:db8::/48", "::ffff:198.51.100.4"]);
        body["expires_at"] = json!("2026-11-30T00:54:20Z");
        let (_, key) = make(&world, &somebody, body).await;
        for good in ["192.0.2.7", "::ffff:192.0.2.7", "2001:db8:0:ffff::1", "198.51.100.4"] {
            assert!(asks(&world, &key, good).await.is_ok(), "{good}");
        }
        for bad in ["192.0.2.8", "2001:db8:1::1", "127.0.0.1", "::1"] {
            assert_eq!(asks(&world, &key, bad).await, Err(Refusal::Address), "{bad}");
        }
        world.clock.advance_ms(59_999);
        assert!(asks(&world, &key, "192.0.2.7").await.is_ok());
        world.clock.advance_ms(1);
        assert_eq!(asks(&world, &key, "192.0.2.7").await, Err(Refusal::Expired), "remembered or not");
    }
}

#[tokio::test]
async fn a13_users_a_revoked_key_ends_at_once_here_and_within_five_seconds_elsewhere() {
    for world in worlds().await {
        let somebody = world.user("a").await;
        let (id, key) = make(&world, &somebody, key_body()).await;
        let (elsewhere, other) = make(&world, &somebody, key_body()).await;
        assert!(asks(&world, &key, "192.0.2.1").await.is_ok() && asks(&world, &other, "192.0.2.1").await.is_ok());
        let revoke = format!("DELETE /users/me/keys/{id}");
        assert_eq!(world.ask(&somebody.principal, &revoke, None).await.data(), &json!({ "revoked": 1 }));
        assert_eq!(asks(&world, &key, "192.0.2.1").await, Err(Refusal::Revoked));
        assert_eq!(world.ask(&somebody.principal, &revoke, None).await.said(), "404 NOT_FOUND");
        assert_eq!(world.actions(&id).await, ["key.create", "key.revoke"]);

        // As another process does it: this one is not told.
        assert!(asks(&world, &other, "192.0.2.1").await.is_ok());
        world.run("UPDATE api_keys SET revoked_ms = 1").await;
        assert!(asks(&world, &other, "192.0.2.1").await.is_ok(), "{elsewhere} is still remembered");
        world.clock.advance_ms(5_000);
        assert_eq!(asks(&world, &other, "192.0.2.1").await, Err(Refusal::Revoked));
    }
}

#[tokio::test]
async fn a13_users_a_key_may_no_more_than_its_owner() {
    for world in worlds().await {
        let (somebody, admin) = (world.user("a").await, world.admin("root").await);
        let live = json!({ "name": "bot", "environment": "live", "scopes": ["trading:place", "orders:read"] });
        let refused = world.ask(&somebody.principal, "POST /users/me/keys", Some(live.clone())).await;
        assert_eq!(refused.said(), "403 LIVE_NOT_ALLOWED");
        let allow = |allowed| (format!("PUT /users/{}/live", somebody.id), Some(json!({ "allowed": allowed })));
        let (asked, body) = allow(true);
        assert_eq!(world.ask(&admin.principal, &asked, body).await.data()["live_allowed"], true);
        let (_, key) = make(&world, &somebody, live.clone()).await;
        assert!(key.starts_with("bist_live_") && asks(&world, &key, "192.0.2.1").await.is_ok());
        let (asked, body) = allow(false);
        world.ask(&admin.principal, &asked, body).await.data();
        assert_eq!(asks(&world, &key, "192.0.2.1").await, Err(Refusal::Disabled));

        let (_, key) = make(
            &world,
            &somebody,
            json!({ "name": "b", "environment": "paper", "scopes": ["trading:place", "orders:read"] }),
        )
        .await;
        let viewer = Some(json!({ "roles": ["viewer"] }));
        world.ask(&admin.principal, &format!("PUT /users/{}/roles", somebody.id), viewer).await.data();
        let Ok(Principal::Key { scopes, .. }) = asks(&world, &key, "192.0.2.1").await else { panic!("the key holds") };
        assert_eq!(scopes, [Scope::OrdersRead].into(), "a viewer's key places nothing");
        let asked = json!({ "name": "c", "environment": "paper", "scopes": ["trading:cancel"] });
        let refused = world.ask(&somebody.principal, "POST /users/me/keys", Some(asked)).await;
        assert_eq!(
            (refused.said().as_str(), &refused.body["error"]["details"]["scope"]),
            ("403 SCOPE_NOT_ALLOWED", &json!("trading:cancel"))
        );
    }
}

#[tokio::test]
async fn what_a_key_cannot_be_is_refused_by_name() {
    for world in worlds().await {
        let somebody = world.user("a").await;
        let many: Vec<String> = (0..21).map(|at| format!("192.0.2.{at}")).collect();
        for (field, value, code) in [
            ("name", json!(""), "INVALID_NAME"),
            ("name", json!("x".repeat(51)), "INVALID_NAME"),
            ("environment", json!("demo"), "INVALID_ENVIRONMENT"),
            ("environment", json!("PAPER"), "INVALID_ENVIRONMENT"),
            ("scopes", json!([]), "INVALID_SCOPE"),
            ("scopes", json!(["trading:*"]), "INVALID_SCOPE"),
            ("scopes", json!(["market:read", "market:read"]), "INVALID_SCOPE"),
            ("addresses", json!(["192.0.2.0/33"]), "INVALID_ADDRESS"),
            ("addresses", json!(["example.com"]), "INVALID_ADDRESS"),
            ("addresses", json!(["::ffff:192.0.2.0/120"]), "INVALID_ADDRESS"),
            ("addresses", json!(many), "INVALID_ADDRESS"),
            ("expires_at", json!("2026-11-30T00:53:20Z"), "INVALID_EXPIRY"),
            ("expires_at", json!("tomorrow"), "INVALID_EXPIRY"),
            ("expires_at", json!(START_MS), "INVALID_BODY"),
            ("scopes", json!("market:read"), "INVALID_BODY"),
        ] {
            let mut body = key_body();
            body[field] = value.clone();
            let answer = world.ask(&somebody.principal, "POST /users/me/keys", Some(body)).await;
            assert_eq!(answer.said(), format!("400 {code}"), "{field} {value}");
            if code != "INVALID_BODY" {
                assert_eq!(answer.body["error"]["details"]["field"], field);
            }
        }
        assert_eq!(world.rows("SELECT count(*) FROM api_keys").await, 0);
    }
}

#[tokio::test]
async fn a_user_has_twenty_keys_and_no_more() {
    for world in worlds().await {
        let somebody = world.user("a").await;
        let mut first = None;
        for _ in 0..20 {
            let (id, _) = make(&world, &somebody, key_body()).await;
            first.get_or_insert(id);
        }
        let refused = world.ask(&somebody.principal, "POST /users/me/keys", Some(key_body())).await;
        assert_eq!(refused.said(), "409 TOO_MANY_KEYS");
        world.ask(&somebody.principal, &format!("DELETE /users/me/keys/{}", first.unwrap()), None).await.data();
        make(&world, &somebody, key_body()).await;
        let listed = world.ask(&somebody.principal, "GET /users/me/keys", None).await;
        assert_eq!(listed.data()["items"].as_array().unwrap().len(), 20);
    }
}

#[tokio::test]
async fn a_disabled_owners_keys_are_refused_until_he_is_enabled() {
    for world in worlds().await {
        let (somebody, admin) = (world.user("a").await, world.admin("root").await);
        let (_, key) = make(&world, &somebody, key_body()).await;
        assert!(asks(&world, &key, "192.0.2.1").await.is_ok());
        let disable = format!("POST /users/{}/disable", somebody.id);
        world.ask(&admin.principal, &disable, Some(json!({ "reason": "asked" }))).await.data();
        assert_eq!(asks(&world, &key, "192.0.2.1").await, Err(Refusal::Disabled));
        // The door of another process may still let him pass for two seconds: the change itself looks again.
        let late = world.ask(&somebody.principal, "POST /users/me/keys", Some(key_body())).await;
        assert_eq!(late.said(), "401 UNAUTHENTICATED");
        world.ask(&admin.principal, &format!("POST /users/{}/enable", somebody.id), None).await.data();
        assert!(asks(&world, &key, "192.0.2.1").await.is_ok());
    }
}
