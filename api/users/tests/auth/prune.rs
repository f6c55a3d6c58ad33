//! What is forgotten, and what is not.

use std::time::Duration;

use api_users::prune::Pruned;
use serde_json::json;

use crate::common::{PASSWORD, Tokens, worlds_with_mails};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[tokio::test]
async fn what_has_ended_is_forgotten_in_its_time_and_nothing_else() {
    for mut world in worlds_with_mails(|_| {}).await {
        for (email, verify) in [("ayse@example.com", true), ("fatma@example.com", false)] {
            let body = json!({ "email": email, "password": PASSWORD, "full_name": "Ayşe" });
            world.post("/auth/register", body).await.data(201);
            let token = world.mail().await.token("verify");
            if verify {
                world.post("/auth/verify", json!({ "token": token, "password": PASSWORD })).await.data(200);
            }
        }
        let (out, mut goes_on) = (world.login("ayse@example.com").await, world.login("ayse@example.com").await);
        world.post("/auth/logout", json!({ "refresh_token": out.refresh })).await.data(200);
        assert_eq!(world.users.prune().await.expect("the store"), Pruned::default());
        for _ in 0..2 {
            world.pass(16 * DAY).await;
            goes_on = Tokens::of(&world.refresh(&goes_on.refresh).await);
        }
        let pruned = world.users.prune().await.expect("the store");
        assert_eq!(pruned, Pruned { links: 1, sessions: 1, refresh_tokens: 0, addresses: 0 });
        for _ in 0..4 {
            world.pass(16 * DAY).await;
            goes_on = Tokens::of(&world.refresh(&goes_on.refresh).await);
        }
        let pruned = world.users.prune().await.expect("the store");
        // Six were used, the last two of them not long ago.
        assert_eq!(pruned, Pruned { links: 0, sessions: 0, refresh_tokens: 4, addresses: 1 });
        Tokens::of(&world.refresh(&goes_on.refresh).await);
        assert_eq!(world.number("SELECT count(*) FROM users WHERE id <> $1", "").await, 2);
    }
}
