//! The second factor.

use std::time::Duration;

use data_encoding::BASE32_NOPAD;
use serde_json::{Value, json};
use totp_rs::{Algorithm, Builder};

use crate::common::{Ask, HOME, PASSWORD, Tokens, World, worlds};

const EMAIL: &str = "ayse@example.com";

/// An app that shows codes.
struct App(Vec<u8>);

impl App {
    /// The code of the step `steps` away from now.
    fn code(&self, world: &World, steps: i64) -> String {
        let totp = Builder::new().with_algorithm(Algorithm::SHA1).with_secret(self.0.clone()).with_account_name(EMAIL);
        let now_s = (world.clock.now_ms() / 1_000 + steps * 30) as u64;
        totp.build().expect("an app").generate(now_s).to_string()
    }
}

/// A code that is none of those around now.
fn wrong(app: &App, world: &World) -> String {
    let near: Vec<String> = (-1..=1).map(|steps| app.code(world, steps)).collect();
    let mut codes = (0..10).map(|digit| digit.to_string().repeat(6));
    codes.find(|code| !near.contains(code)).expect("a wrong code")
}

async fn try_login(world: &World, part: Value, from: &str) -> crate::common::Answer {
    let mut body = json!({ "email": EMAIL, "password": PASSWORD });
    body.as_object_mut().expect("an object").extend(part.as_object().expect("an object").clone());
    world.send(Ask { path: "/auth/login", body: Some(body), from, bearer: None }).await
}

async fn set_up(world: &World, tokens: &Tokens) -> App {
    let answer = world.post_as(tokens, "/auth/totp/setup", json!({ "password": PASSWORD })).await;
    let data = answer.data(200);
    assert_eq!(answer.headers["cache-control"], "no-store");
    let secret = data["secret"].as_str().expect("a secret");
    let url = data["otpauth_url"].as_str().expect("a URL");
    assert!(url.starts_with("otpauth://totp/BIST:") && url.contains(secret), "{url}");
    App(BASE32_NOPAD.decode(secret.as_bytes()).expect("base32"))
}

/// A person with a second factor, logged in before it was switched on.
async fn enabled(world: &World) -> (Tokens, App, Vec<String>) {
    world.register(EMAIL).await;
    let tokens = world.login(EMAIL).await;
    let app = set_up(world, &tokens).await;
    let answer = world.post_as(&tokens, "/auth/totp/enable", json!({ "code": app.code(world, 0) })).await;
    assert_eq!(answer.data(200)["enabled"], true);
    let codes = answer.data(200)["recovery_codes"].as_array().expect("codes").iter();
    let codes: Vec<String> = codes.map(|code| code.as_str().expect("a code").to_owned()).collect();
    assert_eq!(codes.len(), 10);
    (tokens, app, codes)
}

#[tokio::test]
async fn a_second_factor_is_on_after_its_first_code_and_off_by_password_and_code() {
    for world in worlds().await {
        let id = world.register(EMAIL).await;
        let tokens = world.login(EMAIL).await;
        let (enable, disable) = ("/auth/totp/enable", "/auth/totp/disable");
        let none = world.post_as(&tokens, enable, json!({ "code": "123456" })).await;
        assert_eq!(none.refusal(), (409, "TOTP_NOT_SET_UP"));
        let wrong_password = world.post_as(&tokens, "/auth/totp/setup", json!({ "password": "another one" })).await;
        assert_eq!(wrong_password.refusal(), (401, "LOGIN_FAILED"));
        let old = set_up(&world, &tokens).await;
        let app = set_up(&world, &tokens).await;
        Tokens::of(&try_login(&world, json!({}), HOME).await); // it waits: it is not on
        let answer = world.post_as(&tokens, enable, json!({ "code": old.code(&world, 0) })).await;
        assert_eq!(answer.refusal(), (401, "TOTP_INVALID"), "the secret before was forgotten");
        world.post_as(&tokens, enable, json!({ "code": app.code(&world, 0) })).await.data(200);
        let sealed = world.number("SELECT CAST(length(totp_sealed) AS BIGINT) FROM users WHERE id = $1", &id).await;
        assert_eq!(sealed as usize, 20 + api_store::secrets::OVERHEAD_BYTES, "it is not kept in clear");
        let again = world.post_as(&tokens, "/auth/totp/setup", json!({ "password": PASSWORD })).await;
        assert_eq!(again.refusal(), (409, "TOTP_ENABLED"));
        assert_eq!(try_login(&world, json!({}), HOME).await.refusal(), (401, "TOTP_REQUIRED"));
        world.pass(Duration::from_secs(5 * 60)).await;
        let off = |body: Value| world.post_as(&tokens, disable, body);
        assert_eq!(off(json!({ "password": PASSWORD })).await.refusal(), (401, "TOTP_REQUIRED"));
        let code = wrong(&app, &world);
        assert_eq!(off(json!({ "password": PASSWORD, "code": code })).await.refusal(), (401, "TOTP_INVALID"));
        let code = app.code(&world, 0);
        assert_eq!(off(json!({ "password": "another one", "code": code })).await.refusal(), (401, "LOGIN_FAILED"));
        assert_eq!(off(json!({ "password": PASSWORD, "code": code })).await.data(200)["enabled"], false);
        let code = app.code(&world, 1);
        assert_eq!(off(json!({ "password": PASSWORD, "code": code })).await.refusal(), (409, "TOTP_NOT_ENABLED"));
        world.login(EMAIL).await;
        assert_eq!(world.number("SELECT count(*) FROM recovery_codes WHERE user_id = $1", &id).await, 0);
        let actions = world.actions().await;
        for action in ["user.totp_setup", "user.totp_enable", "user.totp_disable", "user.totp_failed"] {
            assert!(actions.iter().any(|one| one == action), "{action} {actions:?}");
        }
    }
}

#[tokio::test]
async fn a7_users_a_code_is_good_once_and_one_step_to_each_side() {
    for world in worlds().await {
        let (_, app, _) = enabled(&world).await;
        let login = |code: String| try_login(&world, json!({ "totp": code }), HOME);
        // The one that switched it on is used, and so are those before it.
        for steps in [0, -1] {
            assert_eq!(login(app.code(&world, steps)).await.refusal(), (401, "TOTP_INVALID"), "{steps}");
        }
        for steps in [2, -2] {
            world.pass(Duration::from_secs(5 * 60)).await;
            assert_eq!(login(app.code(&world, steps)).await.refusal(), (401, "TOTP_INVALID"), "{steps}");
        }
        world.pass(Duration::from_secs(5 * 60)).await;
        Tokens::of(&login(app.code(&world, -1)).await);
        Tokens::of(&login(app.code(&world, 1)).await);
        // A later step was used: the one between is over.
        for steps in [1, 0] {
            assert_eq!(login(app.code(&world, steps)).await.refusal(), (401, "TOTP_INVALID"), "{steps}");
        }
    }
}

#[tokio::test]
async fn a7_users_of_two_uses_of_one_code_at_once_one_wins() {
    for world in worlds().await {
        let (_, app, codes) = enabled(&world).await;
        world.pass(Duration::from_secs(5 * 60)).await;
        for part in [json!({ "totp": app.code(&world, 0) }), json!({ "recovery_code": codes[0] })] {
            let (one, two) = tokio::join!(try_login(&world, part.clone(), HOME), try_login(&world, part, "192.0.2.11"));
            let mut answers = [one.status.as_u16(), two.status.as_u16()];
            answers.sort_unstable();
            assert_eq!(answers, [200, 401], "{} {one:?} {two:?}", world.place);
        }
    }
}

#[tokio::test]
async fn a7_users_a_code_is_not_guessed_and_the_owner_is_not_locked_out() {
    for world in worlds().await {
        let (_, app, _) = enabled(&world).await;
        world.pass(Duration::from_secs(5 * 60)).await;
        let mut answers = Vec::new();
        for number in 0..8 {
            let code = wrong(&app, &world);
            let from = format!("198.51.100.{}", number + 1);
            answers.push(try_login(&world, json!({ "totp": code }), &from).await.refusal().0);
        }
        assert_eq!(answers, [401, 401, 401, 401, 401, 429, 429, 429]);
        // Also the right one is not looked at, from there.
        let right = json!({ "totp": app.code(&world, 0) });
        let refused = try_login(&world, right.clone(), "198.51.100.77").await;
        assert_eq!(refused.refusal(), (429, "TOO_MANY_ATTEMPTS"));
        assert!((1..=60).contains(&refused.retry_after_s()), "one comes back each minute");
        Tokens::of(&try_login(&world, right, HOME).await);
    }
}

#[tokio::test]
async fn a7_users_a_stolen_session_does_not_guess_the_code_that_switches_on() {
    for world in worlds().await {
        world.register(EMAIL).await;
        let tokens = world.login(EMAIL).await;
        let app = set_up(&world, &tokens).await;
        let mut answers = Vec::new();
        for _ in 0..6 {
            let body = json!({ "code": wrong(&app, &world) });
            answers.push(world.post_as(&tokens, "/auth/totp/enable", body).await.refusal().0);
        }
        assert_eq!(answers, [401, 401, 401, 401, 401, 429]);
    }
}

#[tokio::test]
async fn a7_users_a_recovery_code_is_good_once_and_for_its_owner() {
    for world in worlds().await {
        let (tokens, _, codes) = enabled(&world).await;
        let login = |code: &str| try_login(&world, json!({ "recovery_code": code }), HOME);
        Tokens::of(&login(&codes[3]).await);
        assert_eq!(login(&codes[3]).await.refusal(), (401, "TOTP_INVALID"));
        Tokens::of(&login(&codes[4].to_uppercase().replace('-', " ")).await);
        world.pass(Duration::from_secs(5 * 60)).await;
        for bad in ["", "abcd-efgh-ijkl-mnop", "' OR 1=1 --"] {
            assert_eq!(login(bad).await.refusal(), (401, "TOTP_INVALID"));
        }
        let both = json!({ "recovery_code": codes[5], "totp": "123456" });
        assert_eq!(try_login(&world, both, HOME).await.refusal(), (400, "INVALID_BODY"));
        let body = json!({ "password": PASSWORD, "recovery_code": codes[6] });
        assert_eq!(world.post_as(&tokens, "/auth/totp/disable", body).await.data(200)["enabled"], false);
    }
}

#[tokio::test]
async fn a7_users_the_second_factor_is_told_of_only_behind_the_right_password() {
    for world in worlds().await {
        let (_, app, _) = enabled(&world).await;
        let wrong_password = json!({ "email": EMAIL, "password": "another one", "totp": app.code(&world, 1) });
        assert_eq!(world.post("/auth/login", wrong_password).await.refusal(), (401, "LOGIN_FAILED"));
        // The code was not used up by it.
        Tokens::of(&try_login(&world, json!({ "totp": app.code(&world, 1) }), HOME).await);
    }
}
