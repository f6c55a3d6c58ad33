//! What the command line does to accounts.

use api_kit::auth::{Authenticator, Refusal};
use api_users::erase::Erasure;
use api_users::keys::NewKey;
use api_users::operate::{self, Account};
use serde_json::json;

use crate::common::{PASSWORD, World, caller, code, worlds};

fn account(email: &str, full_name: &str, password: &str) -> Account {
    Account { email: email.into(), full_name: full_name.into(), password: password.to_owned().into(), is_admin: false }
}

fn key() -> NewKey {
    serde_json::from_value(json!({ "name": "bot", "environment": "paper", "scopes": ["market:read"] })).unwrap()
}

async fn erases(world: &World, id: &str, password: &str) -> &'static str {
    let proof = Erasure { password: password.to_owned().into(), totp: None, recovery_code: None };
    code(world.users.erase(id, proof, &caller()).await)
}

#[tokio::test]
async fn accounts_are_added_found_and_listed() {
    for world in worlds().await {
        let id = operate::add(&world.users, account(" Ayse@Example.com", "Ayşe Çelik", PASSWORD)).await.unwrap();
        let found = operate::find(&world.users, "AYSE@example.com").await.unwrap();
        assert_eq!((&found.id, found.email.as_str(), found.status), (&id, "ayse@example.com", "active"));
        assert_eq!(found.roles, ["trader"]);
        let page = operate::list(&world.users, "").await.unwrap();
        assert_eq!((page.items.len(), page.next_cursor), (1, None));
        for (email, name, password, refusal) in [
            ("ayse@example.com", "x", PASSWORD, "EMAIL_TAKEN"),
            ("ayse", "x", PASSWORD, "INVALID_EMAIL"),
            ("b@example.com", "", PASSWORD, "INVALID_NAME"),
            ("b@example.com", "x", "short", "WEAK_PASSWORD"),
        ] {
            assert_eq!(code(operate::add(&world.users, account(email, name, password)).await), refusal);
        }
        assert_eq!(code(operate::find(&world.users, "nobody@example.com").await), "NOT_FOUND");
        assert!(world.audit_text().await.contains("operator"));
    }
}

#[tokio::test]
async fn roles_status_and_password_are_set_by_address() {
    for world in worlds().await {
        let somebody = world.user("a").await;
        let token = world.token(&somebody.id, &somebody.session).await;
        let peer = [192, 0, 2, 7].into();
        assert!(world.users.authenticate(&token, peer).await.is_ok());
        let ended = operate::set_password(&world.users, &somebody.email, "mavi bisiklet 8".to_owned().into()).await;
        assert_eq!(ended.unwrap(), 1);
        assert_eq!(world.users.authenticate(&token, peer).await, Err(Refusal::Revoked));
        assert_eq!(erases(&world, &somebody.id, PASSWORD).await, "LOGIN_FAILED");
        let weak = operate::set_password(&world.users, &somebody.email, "short".to_owned().into()).await;
        assert_eq!(code(weak), "WEAK_PASSWORD");

        let admin = ["admin".to_owned(), "trader".to_owned()];
        let roles = operate::set_roles(&world.users, &somebody.email, &admin).await.unwrap().roles;
        assert_eq!(roles, ["trader", "admin"]);
        assert_eq!(code(operate::disable(&world.users, &somebody.email, "x").await), "LAST_ADMIN");
        operate::set_roles(&world.users, &somebody.email, &["viewer".to_owned()]).await.unwrap_err();
        world.admin("root").await;
        operate::set_roles(&world.users, &somebody.email, &["viewer".to_owned()]).await.unwrap();
        assert_eq!(operate::disable(&world.users, &somebody.email, "x").await.unwrap().status, "disabled");
        assert_eq!(operate::enable(&world.users, &somebody.email).await.unwrap().status, "active");
        assert_eq!(erases(&world, &somebody.id, "mavi bisiklet 8").await, "");
    }
}

#[tokio::test]
async fn keys_are_made_and_revoked_by_id_or_prefix() {
    for world in worlds().await {
        let somebody = world.user("a").await;
        let (one, other) = (
            operate::make_key(&world.users, &somebody.email, &key()).await.unwrap(),
            operate::make_key(&world.users, &somebody.email, &key()).await.unwrap(),
        );
        let peer = [192, 0, 2, 7].into();
        assert!(world.users.authenticate(&one.key, peer).await.is_ok());
        assert_eq!(operate::keys(&world.users, &somebody.email).await.unwrap().len(), 2);
        operate::revoke_key(&world.users, &somebody.email, &one.about.id).await.unwrap();
        operate::revoke_key(&world.users, &somebody.email, &other.about.prefix).await.unwrap();
        assert_eq!(world.users.authenticate(&one.key, peer).await, Err(Refusal::Revoked));
        assert_eq!(code(operate::revoke_key(&world.users, &somebody.email, "x").await), "NOT_FOUND");
        assert!(operate::keys(&world.users, &somebody.email).await.unwrap().is_empty());
        assert_eq!(world.actions(&one.about.id).await, ["key.create", "key.revoke"]);
    }
}
