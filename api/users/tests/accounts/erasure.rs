//! The end of an account: what is gone, what stays, and who may ask for it.

use api_kit::auth::{Authenticator, Refusal};
use data_encoding::BASE32_NOPAD;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use totp_rs::{Algorithm, Builder};

use crate::common::{PASSWORD, caller, key_body, worlds};

#[tokio::test]
async fn what_was_erased_cannot_be_read_again() {
    for world in worlds().await {
        let (somebody, other) = (world.user("ayse").await, world.user("mehmet").await);
        let personal = json!({ "full_name": "Ayşe Çelik", "phone": "+905321234567", "tckn": "10000000146" });
        for who in [&somebody, &other] {
            world.ask(&who.principal, "PATCH /users/me", Some(personal.clone())).await.data();
        }
        let key = world.ask(&somebody.principal, "POST /users/me/keys", Some(key_body())).await.text("key");
        world.ask(&somebody.principal, "POST /watchlists", Some(json!({ "name": "x", "symbols": [] }))).await.data();
        world.ask(&somebody.principal, "PUT /users/me/preferences", Some(json!({}))).await.data();
        let token = world.token(&somebody.id, &somebody.session).await;
        let peer = [192, 0, 2, 7].into();
        assert!(
            world.users.authenticate(&token, peer).await.is_ok() && world.users.authenticate(&key, peer).await.is_ok()
        );

        let erased = world.ask(&somebody.principal, "DELETE /users/me", Some(json!({ "password": PASSWORD }))).await;
        assert_eq!(erased.data(), &json!({ "deleted": true }));
        for count in [
            "SELECT count(*) FROM users",
            "SELECT count(*) FROM sessions",
            "SELECT count(*) FROM data_keys WHERE wrapped IS NOT NULL AND owner <> 'service'",
        ] {
            assert_eq!(world.rows(count).await, 1, "what is somebody else's stays: {count}");
        }
        for count in
            ["SELECT count(*) FROM api_keys", "SELECT count(*) FROM watchlists", "SELECT count(*) FROM preferences"]
        {
            assert_eq!(world.rows(count).await, 0, "{count}");
        }
        for credential in [&token, &key] {
            assert_eq!(world.users.authenticate(credential, peer).await, Err(Refusal::Unknown), "at once");
        }
        assert_eq!(world.ask(&somebody.principal, "GET /users/me", None).await.said(), "404 NOT_FOUND");
        let late = world.ask(&somebody.principal, "PATCH /users/me", Some(personal)).await;
        assert_eq!(late.said(), "401 UNAUTHENTICATED", "a late change brings nothing back");
        assert_eq!(world.ask(&other.principal, "GET /users/me", None).await.text("tckn"), "*********46");

        let audit = world.audit_text().await;
        assert!(audit.contains(&somebody.id) && audit.contains("user.erase"));
        assert!(!audit.contains("ayse@") && !audit.contains("Ayşe") && !audit.contains("321234567"));
        let verified = api_store::audit::verify(&world.store.database).await.unwrap();
        assert_eq!(verified.fault, None);
        let again = world.user("ayse").await;
        assert_ne!(again.id, somebody.id, "the address is free, for another account");
        assert_eq!(world.ask(&again.principal, "GET /users/me", None).await.data()["kyc_level"], 0);
    }
}

#[tokio::test]
async fn nothing_is_erased_without_the_password() {
    for world in worlds().await {
        let somebody = world.user("a").await;
        for (body, said) in [
            (json!({ "password": "kırmızı bisiklet 8" }), "401 LOGIN_FAILED"),
            (json!({ "password": "" }), "401 LOGIN_FAILED"),
            (json!({}), "400 INVALID_BODY"),
            (json!({ "totp": "123456" }), "400 INVALID_BODY"),
        ] {
            assert_eq!(world.ask(&somebody.principal, "DELETE /users/me", Some(body)).await.said(), said);
        }
        let none = world.ask(&somebody.principal, "DELETE /users/me", None).await;
        assert_eq!(none.said(), "415 UNSUPPORTED_MEDIA_TYPE");
        assert_eq!(world.ask(&somebody.principal, "GET /users/me", None).await.status, 200);
    }
}

#[tokio::test]
async fn who_has_a_second_factor_needs_it_to_erase() {
    for world in worlds().await {
        let somebody = world.user("a").await;
        let setup = world.users.set_up_totp(&somebody.id, PASSWORD.to_owned().into(), &caller()).await.unwrap();
        let secret = BASE32_NOPAD.decode(setup.secret.expose_secret().as_bytes()).unwrap();
        let app = Builder::new().with_algorithm(Algorithm::SHA1).with_secret(secret).with_account_name("a@example.com");
        let now_s = u64::try_from(world.clock.now_ms() / 1_000).unwrap();
        let code: SecretString = app.build().unwrap().generate(now_s).to_string().into();
        let recovery = world.users.enable_totp(&somebody.id, &code, &caller()).await.unwrap();
        let erase =
            async |body: serde_json::Value| world.ask(&somebody.principal, "DELETE /users/me", Some(body)).await.said();
        assert_eq!(erase(json!({ "password": PASSWORD })).await, "401 TOTP_REQUIRED");
        let used = json!({ "password": PASSWORD, "totp": code.expose_secret() });
        assert_eq!(erase(used).await, "401 TOTP_INVALID", "a code is good once");
        assert_eq!(erase(json!({ "password": PASSWORD, "recovery_code": "wrong" })).await, "401 TOTP_INVALID");
        assert_eq!(world.rows("SELECT count(*) FROM users").await, 1);
        let noted = world.actions(&somebody.id).await;
        assert_eq!(noted.iter().filter(|action| *action == "user.login_failed").count(), 2, "tries are kept");
        let good = json!({ "password": PASSWORD, "recovery_code": recovery[0].expose_secret() });
        assert_eq!(erase(good).await, "200");
        assert_eq!(world.rows("SELECT count(*) FROM users").await, 0);
    }
}

#[tokio::test]
async fn guesses_of_the_password_are_counted() {
    for world in worlds().await {
        let somebody = world.user("a").await;
        let mut said = Vec::new();
        for _ in 0..20 {
            let body = json!({ "password": "guess 1234567" });
            said.push(world.ask(&somebody.principal, "DELETE /users/me", Some(body)).await);
        }
        let last = said.last().unwrap();
        assert_eq!(last.said(), "429 TOO_MANY_ATTEMPTS");
        assert!(last.headers.contains_key("retry-after"));
    }
}
