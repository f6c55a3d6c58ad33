//! One's own profile, preferences and export.

use api_store::on_both;
use serde_json::{Value, json};

use crate::common::{PASSWORD, Somebody, World, fields, key_body, program, worlds};

const TCKN: &str = "10000000146";
const PHONE: &str = "+905321234567";

const PROFILE: [&str; 11] = [
    "created_at",
    "email",
    "email_verified",
    "full_name",
    "id",
    "kyc_level",
    "live_allowed",
    "phone",
    "roles",
    "tckn",
    "totp_enabled",
];

async fn change(world: &World, who: &Somebody, body: Value) -> crate::common::Answer {
    world.ask(&who.principal, "PATCH /users/me", Some(body)).await
}

#[tokio::test]
async fn a_profile_is_its_owners_and_shows_no_more_than_it_must() {
    for world in worlds().await {
        let somebody = world.user("ayse").await;
        let me = world.ask(&somebody.principal, "GET /users/me", None).await;
        assert_eq!(fields(me.data()), PROFILE);
        let expected = json!({
            "id": somebody.id, "email": "ayse@example.com", "email_verified": true, "full_name": "ayse", "phone": null,
            "tckn": null, "kyc_level": 0, "roles": ["trader"], "live_allowed": false, "totp_enabled": false,
            "created_at": "2026-11-30T00:53:20Z",
        });
        assert_eq!(me.data(), &expected);
        assert_eq!(me.headers["cache-control"], "no-store");
        assert_eq!(world.ask(&program(&somebody.id), "GET /users/me", None).await.data(), &expected, "a key's owner");
    }
}

#[tokio::test]
async fn phone_and_number_are_sealed_and_shown_masked() {
    for world in worlds().await {
        let somebody = world.user("ayse").await;
        let body = json!({ "full_name": " Ayşe Çelik ", "phone": PHONE, "tckn": TCKN });
        let changed = change(&world, &somebody, body).await;
        assert_eq!(fields(changed.data()), PROFILE);
        assert_eq!(changed.text("full_name"), "Ayşe Çelik");
        assert_eq!(
            (changed.text("phone"), changed.text("tckn")),
            ("+90********67".to_owned(), "*********46".to_owned())
        );
        assert_eq!(changed.data()["kyc_level"], 1);
        assert_eq!(world.ask(&somebody.principal, "GET /users/me", None).await.data(), changed.data());

        let sealed: (Vec<u8>, Vec<u8>) = world
            .store
            .database
            .read(|mut tx| async move {
                on_both!(&mut *tx, c => sqlx::query_as("SELECT phone_sealed, tckn_sealed FROM users").fetch_one(c))
            })
            .await
            .unwrap();
        for (bytes, clear) in [(&sealed.0, PHONE), (&sealed.1, TCKN)] {
            assert!(!bytes.windows(clear.len()).any(|window| window == clear.as_bytes()));
        }
        assert_eq!(world.actions(&somebody.id).await, ["user.register", "user.profile"]);
        let audit = world.audit_text().await;
        assert!(
            audit.contains("full_name") && !audit.contains(TCKN) && !audit.contains("Ayşe") && !audit.contains("@")
        );

        let removed = change(&world, &somebody, json!({ "tckn": null })).await;
        assert_eq!((&removed.data()["tckn"], &removed.data()["kyc_level"]), (&Value::Null, &json!(0)));
        assert_eq!(removed.text("phone"), "+90********67", "what is left out stays");
        let rows = world.rows("SELECT count(*) FROM audit").await;
        change(&world, &somebody, json!({ "phone": PHONE })).await.data();
        assert_eq!(world.rows("SELECT count(*) FROM audit").await, rows, "nothing changed, nothing is noted");
    }
}

#[tokio::test]
async fn what_an_administrator_compared_falls_back_when_it_changes() {
    for world in worlds().await {
        let (somebody, admin) = (world.user("ayse").await, world.admin("root").await);
        let kyc = format!("PUT /users/{}/kyc", somebody.id);
        let level = |level: i64| Some(json!({ "level": level }));
        assert_eq!(world.ask(&admin.principal, &kyc, level(2)).await.said(), "409 KYC_INCOMPLETE");
        change(&world, &somebody, json!({ "phone": PHONE, "tckn": TCKN })).await.data();
        assert_eq!(world.ask(&admin.principal, &kyc, level(2)).await.data()["kyc_level"], 2);
        assert_eq!(change(&world, &somebody, json!({ "phone": PHONE })).await.data()["kyc_level"], 2, "the same phone");
        assert_eq!(change(&world, &somebody, json!({ "phone": "+905321234568" })).await.data()["kyc_level"], 1);
        assert_eq!(world.ask(&admin.principal, &kyc, level(3)).await.said(), "400 INVALID_LEVEL");
        assert_eq!(world.ask(&admin.principal, &kyc, level(0)).await.data()["kyc_level"], 0);
    }
}

#[tokio::test]
async fn what_a_profile_cannot_be_is_refused_by_name() {
    for world in worlds().await {
        let somebody = world.user("ayse").await;
        for (body, said, field) in [
            (json!({ "full_name": " " }), "400 INVALID_NAME", "full_name"),
            (json!({ "full_name": "x".repeat(101) }), "400 INVALID_NAME", "full_name"),
            (json!({ "phone": "05321234567" }), "400 INVALID_PHONE", "phone"),
            (json!({ "phone": "+15321234567" }), "400 INVALID_PHONE", "phone"),
            (json!({ "tckn": "10000000147" }), "400 INVALID_TCKN", "tckn"),
            (json!({ "tckn": "" }), "400 INVALID_TCKN", "tckn"),
        ] {
            let answer = change(&world, &somebody, body).await;
            assert_eq!(
                (answer.said().as_str(), answer.body["error"]["details"]["field"].as_str()),
                (said, Some(field))
            );
        }
        assert_eq!(change(&world, &somebody, json!({ "tckn": 10000000146_i64 })).await.said(), "400 INVALID_BODY");
        assert_eq!(world.actions(&somebody.id).await, ["user.register"]);
        change(&world, &somebody, json!({})).await.data();
    }
}

#[tokio::test]
async fn preferences_are_replaced_whole_and_by_version() {
    for world in worlds().await {
        let somebody = world.user("ayse").await;
        let put = |body: Value| world.ask(&somebody.principal, "PUT /users/me/preferences", Some(body));
        let first = world.ask(&somebody.principal, "GET /users/me/preferences", None).await;
        assert_eq!(first.data(), &json!({ "language": null, "theme": null, "data": {}, "version": 0 }));
        let body = json!({ "language": "tr", "theme": "dark", "data": { "columns": ["son", "%"], "\u{0}": "\u{0}" }, "version": 0 });
        let mut expected = body.clone();
        expected["version"] = json!(1);
        assert_eq!(put(body.clone()).await.data(), &expected);
        assert_eq!(world.ask(&somebody.principal, "GET /users/me/preferences", None).await.data(), &expected);
        let late = put(body).await;
        assert_eq!(
            (late.said().as_str(), &late.body["error"]["details"]["version"]),
            ("409 VERSION_CONFLICT", &json!(1))
        );
        assert_eq!(put(json!({})).await.data(), &json!({ "language": null, "theme": null, "data": {}, "version": 2 }));
        for (body, said) in [
            (json!({ "language": "de" }), "400 INVALID_LANGUAGE"),
            (json!({ "theme": "pink" }), "400 INVALID_THEME"),
            (json!({ "data": { "x": "y".repeat(8 * 1024) } }), "400 INVALID_DATA"),
            (json!({ "data": [] }), "400 INVALID_BODY"),
            (json!({ "data": { "x": "y".repeat(17 * 1024) } }), "413 PAYLOAD_TOO_LARGE"),
        ] {
            assert_eq!(put(body).await.said(), said);
        }
        let audited = ["user.register", "user.preferences", "user.preferences"];
        assert_eq!(world.actions(&somebody.id).await, audited);
    }
}

#[tokio::test]
async fn an_export_has_everything_of_its_owner_and_nothing_of_others() {
    for world in worlds().await {
        let (somebody, other) = (world.user("ayse").await, world.user("mehmet").await);
        change(&world, &somebody, json!({ "phone": PHONE, "tckn": TCKN })).await.data();
        for who in [&somebody, &other] {
            world.ask(&who.principal, "POST /users/me/keys", Some(key_body())).await.data();
            let list = json!({ "name": format!("of {}", who.email), "symbols": ["GARAN"] });
            world.ask(&who.principal, "POST /watchlists", Some(list)).await.data();
        }
        let export = world.ask(&somebody.principal, "GET /users/me/export", None).await;
        let data = export.data();
        let parts = [
            "audit",
            "audit_is_cut",
            "exported_at",
            "keys",
            "phone",
            "preferences",
            "profile",
            "sessions",
            "tckn",
            "watchlists",
        ];
        assert_eq!(fields(data), parts);
        assert_eq!((&data["phone"], &data["tckn"]), (&json!(PHONE), &json!(TCKN)));
        assert_eq!(data["watchlists"][0]["name"], "of ayse@example.com");
        let lengths = ["keys", "sessions", "watchlists"].map(|part| data[part].as_array().unwrap().len());
        assert_eq!(lengths, [1, 1, 1]);
        let actions: Vec<_> = data["audit"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| (row["action"].as_str().unwrap(), row["by"].as_str().unwrap()))
            .collect();
        let expected =
            [("watchlist.create", "you"), ("key.create", "you"), ("user.profile", "you"), ("user.register", "another")];
        assert_eq!(actions, expected);
        let text = export.body.to_string();
        assert!(
            !text.contains("mehmet")
                && !text.contains(&other.id)
                && !text.contains("argon2")
                && !text.contains(PASSWORD)
        );
    }
}
