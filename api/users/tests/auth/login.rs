//! Logging in, and what guessing meets.

use std::time::Duration;

use serde_json::{Value, json};

use crate::common::{Answer, HOME, PASSWORD, World, worlds, worlds_with};

/// An address of a thousand that a test's attacker has.
fn elsewhere(number: u32) -> String {
    format!("198.51.{}.{}", number / 250, number % 250 + 1)
}

fn without_time(answer: &Answer) -> Value {
    let mut body = answer.body.clone();
    body["timestamp"] = Value::Null;
    body
}

#[tokio::test]
async fn a_log_in_gives_tokens_of_a_session_and_says_so_in_the_audit_log() {
    for world in worlds().await {
        let id = world.register("ayse@example.com").await;
        let answer = world.try_login("  AYSE@example.com", PASSWORD, HOME).await;
        let data = answer.data(200);
        assert_eq!((&data["token_type"], &data["expires_in"]), (&json!("Bearer"), &json!(900)));
        assert_eq!(data.as_object().map(|data| data.len()), Some(4));
        assert_eq!(answer.headers["cache-control"], "no-store");
        let refresh = data["refresh_token"].as_str().expect("a token");
        assert!(refresh.starts_with("bist_rt_") && refresh.len() == 51, "{refresh}");
        assert_eq!(world.text("SELECT address FROM sessions WHERE user_id = $1", &id).await, HOME);
        assert_eq!(world.text("SELECT user_agent FROM sessions WHERE user_id = $1", &id).await, "test/1");
        assert_eq!(world.actions().await, ["user.register", "user.login"]);
        let rows = world.audit_rows().await;
        assert!((&*rows[1].actor, &*rows[1].subject) == (&*id, &*id));
        assert!(rows.iter().all(|row| !row.details.contains(HOME) && !row.details.contains("ayse")), "{rows:?}");
    }
}

#[tokio::test]
async fn a5_users_unknown_wrong_and_disabled_have_one_answer_and_one_cost() {
    for world in worlds().await {
        world.register("ayse@example.com").await;
        let disabled = world.register("off@example.com").await;
        world.run("UPDATE users SET status = 'disabled' WHERE id = $1", &disabled).await;
        let mut answers = Vec::new();
        for (email, password) in [
            ("nobody@example.com", PASSWORD),
            ("ayse@example.com", "another password"),
            ("off@example.com", PASSWORD),
            ("off@example.com", "another password"),
            ("no address\0", PASSWORD),
            ("", ""),
        ] {
            let database = world.users.store().database.clone();
            let before = (world.counter("bist_users_hashes_total"), database.stats().acquired);
            let answer = world.try_login(email, password, HOME).await;
            let cost = (world.counter("bist_users_hashes_total") - before.0, database.stats().acquired - before.1);
            assert_eq!(answer.refusal(), (401, "LOGIN_FAILED"));
            answers.push((without_time(&answer), cost));
        }
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:#?}");
        assert_eq!(answers[0].1.0, 1, "argon2 runs without an account, too");
        assert_eq!(world.actions().await.iter().filter(|action| *action == "user.login_failed").count(), 6);
    }
}

/// Guesses on one account until the answer is another one than `LOGIN_FAILED`; how many were answered so.
async fn guess(world: &World, email: &str, from: impl Fn(u32) -> String, max: u32) -> (u32, Option<Answer>) {
    for number in 0..max {
        let answer = world.try_login(email, &format!("guess number {number}"), &from(number)).await;
        match answer.refusal() {
            (401, "LOGIN_FAILED") => {}
            (429, "TOO_MANY_ATTEMPTS") => return (number, Some(answer)),
            other => panic!("{other:?}"),
        }
    }
    (max, None)
}

#[tokio::test]
async fn a5_users_guesses_from_many_addresses_end_and_the_owner_goes_on() {
    for world in worlds_with(|config| config.attempts_max = 4).await {
        world.register("ayse@example.com").await;
        let (guessed, refused) = guess(&world, "ayse@example.com", elsewhere, 50).await;
        let refused = refused.expect("an end");
        assert_eq!(guessed, 4);
        assert!(refused.retry_after_s() > 60, "{}", refused.retry_after_s());
        // Also the right password from there is not looked at.
        let hashes = world.counter("bist_users_hashes_total");
        assert_eq!(world.try_login("ayse@example.com", PASSWORD, &elsewhere(77)).await.refusal().0, 429);
        assert_eq!(world.counter("bist_users_hashes_total"), hashes);
        // The owner comes from where the account was made.
        for _ in 0..6 {
            world.clock.advance_ms(1);
            world.login("ayse@example.com").await;
        }
        // Others' accounts are not touched.
        world.register("fatma@example.com").await;
        world.try_login("fatma@example.com", PASSWORD, &elsewhere(78)).await.data(200);
    }
}

#[tokio::test]
async fn a5_users_an_account_that_is_not_there_is_counted_like_one_that_is() {
    for world in worlds_with(|config| config.attempts_max = 4).await {
        world.register("ayse@example.com").await;
        let (there, one) = guess(&world, "ayse@example.com", elsewhere, 50).await;
        let (not_there, two) = guess(&world, "nobody@example.com", elsewhere, 50).await;
        assert_eq!(there, not_there);
        let (one, two) = (one.expect("an end"), two.expect("an end"));
        assert!(one.retry_after_s().abs_diff(two.retry_after_s()) <= 2, "{one:?} {two:?}");
    }
}

#[tokio::test]
async fn a5_users_the_wait_grows_while_the_attack_goes_on() {
    for world in worlds_with(|config| config.attempts_max = 4).await {
        world.register("ayse@example.com").await;
        let mut waits = Vec::new();
        for round in 0..9 {
            let (_, refused) = guess(&world, "ayse@example.com", |number| elsewhere(100 * round + number), 50).await;
            waits.push(refused.expect("an end").retry_after_s());
            world.pass(Duration::from_secs(15 * 60)).await;
        }
        assert!(waits[0] <= 15 * 60 / 4, "{waits:?}");
        assert!(*waits.last().expect("a wait") > 60 * 60, "{waits:?}");
        world.login("ayse@example.com").await;
    }
}

#[tokio::test]
async fn a5_users_a_known_address_has_a_bound_of_its_own_that_a_log_in_gives_back() {
    for world in worlds_with(|config| config.attempts_max = 4).await {
        world.register("ayse@example.com").await;
        for _ in 0..3 {
            assert_eq!(guess(&world, "ayse@example.com", |_| HOME.to_owned(), 3).await.0, 3);
            world.clock.advance_ms(1);
            world.login("ayse@example.com").await;
        }
        let (guessed, refused) = guess(&world, "ayse@example.com", |_| HOME.to_owned(), 50).await;
        let wait_s = refused.expect("an end").retry_after_s();
        assert_eq!(guessed, 4);
        assert_eq!(world.try_login("ayse@example.com", PASSWORD, HOME).await.refusal().0, 429);
        world.pass(Duration::from_secs(wait_s)).await;
        world.login("ayse@example.com").await;
    }
}

#[tokio::test]
async fn a5_users_one_address_cannot_try_one_password_on_all_accounts() {
    for world in worlds_with(|config| config.attempts_max = 2).await {
        let mut answered = 0;
        for number in 0..60 {
            // Of one line with many IPv6 addresses.
            let from = format!("2001:db8:7:7::{:x}", number + 1);
            let answer = world.try_login(&format!("user{number}@example.com"), "password123", &from).await;
            answered += u32::from(answer.status == 401);
        }
        assert_eq!(answered, 20);
        assert_eq!(world.counter("bist_users_hashes_total"), 20);
    }
}

#[tokio::test]
async fn a5_users_guesses_at_once_do_not_slip_through() {
    for world in worlds_with(|config| config.attempts_max = 3).await {
        world.register("ayse@example.com").await;
        let world = &world;
        let all = (0..12).map(|number| async move {
            world.try_login("ayse@example.com", &format!("guess number {number}"), &elsewhere(number)).await
        });
        let mut looked_at = 0;
        for answer in join_all(all).await {
            looked_at += u32::from(answer.status == 401);
        }
        assert_eq!(looked_at, 3);
    }
}

/// All at once, on one thread.
async fn join_all<T>(futures: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut futures: Vec<_> = futures.map(|one| (Box::pin(one), None)).collect();
    std::future::poll_fn(|context| {
        let mut is_done = true;
        for (future, answer) in &mut futures {
            if answer.is_none() {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(value) => *answer = Some(value),
                    std::task::Poll::Pending => is_done = false,
                }
            }
        }
        if is_done { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    futures.into_iter().filter_map(|(_, answer)| answer).collect()
}

#[tokio::test]
async fn more_log_ins_than_may_wait_are_told_to_come_back() {
    let few = |config: &mut api_users::UsersConfig| {
        config.hash_queue_max = 2;
        config.attempts_max = 100;
    };
    for world in worlds_with(few).await {
        let world = &world;
        let all = (0..20).map(|number| async move {
            world.try_login(&format!("user{number}@example.com"), PASSWORD, &elsewhere(number)).await
        });
        let answers = join_all(all).await;
        let busy: Vec<_> = answers.iter().filter(|answer| answer.status == 503).collect();
        assert!(busy.len() >= 10 && busy.len() < 20, "{}", busy.len());
        assert!(busy.iter().all(|answer| answer.refusal().1 == "BUSY" && answer.retry_after_s() >= 1));
    }
}

#[tokio::test]
async fn a_hash_of_other_days_is_made_anew_at_the_next_log_in() {
    use argon2::password_hash::PasswordHasher;
    use argon2::password_hash::phc::PasswordHash;
    for world in worlds().await {
        let id = world.register("ayse@example.com").await;
        let params = argon2::Params::new(64, 1, 1, None).expect("parameters");
        let weak = argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
        let hash: PasswordHash = weak.hash_password(PASSWORD.as_bytes()).expect("a hash");
        let (hash, id) = (&hash.to_string(), &*id);
        let set = world.users.store().database.write(|mut tx| async move {
            let tx = &mut *tx;
            api_store::execute_on_both!(tx, c => sqlx::query("UPDATE users SET password_hash = $2 WHERE id = $1")
                .bind(id).bind(hash).execute(c))
        });
        assert_eq!(set.await.expect("a hash of other days"), 1);
        world.login("ayse@example.com").await;
        let new = world.text("SELECT password_hash FROM users WHERE id = $1", id).await;
        assert!(new.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{new}");
        world.login("ayse@example.com").await;
        assert_eq!(world.text("SELECT password_hash FROM users WHERE id = $1", id).await, new);
    }
}

#[tokio::test]
async fn log_ins_are_counted_by_result() {
    for world in worlds_with(|config| config.attempts_max = 1).await {
        world.register("ayse@example.com").await;
        world.login("ayse@example.com").await;
        world.try_login("ayse@example.com", "another password", &elsewhere(1)).await;
        world.try_login("ayse@example.com", "another password", &elsewhere(1)).await;
        let mut samples = Vec::new();
        api_kit::MetricSource::collect(&*world.users.metrics(), &mut samples);
        let results: Vec<_> = samples
            .iter()
            .filter(|sample| sample.name == "bist_users_logins_total")
            .filter(|sample| matches!(sample.value, book::metrics::Value::Counter(1)))
            .map(|sample| sample.labels[0].1.as_str())
            .collect();
        assert_eq!(results, ["ok", "failed", "limited"]);
    }
}
