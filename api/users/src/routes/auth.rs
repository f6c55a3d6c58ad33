//! The paths of `auth/`: registration, log-in, tokens, passwords, the second factor. Takes bodies apart and puts answers
//! into the envelope; every answer with a secret says that nobody may keep it. Decides nothing.

use std::sync::Arc;

use api_kit::auth::credential;
use api_kit::envelope::{Failure, Success};
use api_kit::error::ApiError;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, HeaderMap, HeaderName};
use secrecy::ExposeSecret;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::body::{Body, OptionalBody};
use super::from::Person;
use crate::caller::Caller;
use crate::password;
use crate::refresh::unauthenticated;
use crate::service::Users;

mod shapes;

use shapes::*;

type Service = State<Arc<Users>>;

/// An answer that holds a token or code, which no cache between may keep.
type Secret<T> = ([(HeaderName, &'static str); 1], Json<Success<T>>);

type Answer<T> = Result<T, ApiError>;

/// Where these paths belong.
const TAG: &str = "auth";

/// The paths, below `/api/v1`, answered by `users`.
#[must_use]
pub fn documented(users: Arc<Users>) -> OpenApiRouter {
    paths().with_state(users)
}

/// The paths, below `/api/v1`.
pub(super) fn paths() -> OpenApiRouter<Arc<Users>> {
    OpenApiRouter::default()
        .routes(routes!(register))
        .routes(routes!(verify))
        .routes(routes!(setup))
        .routes(routes!(options))
        .routes(routes!(login))
        .routes(routes!(refresh))
        .routes(routes!(logout))
        .routes(routes!(logout_all))
        .routes(routes!(password_change))
        .routes(routes!(password_forgot))
        .routes(routes!(password_reset))
        .routes(routes!(totp_setup))
        .routes(routes!(totp_enable))
        .routes(routes!(totp_disable))
        .routes(routes!(jwks))
        .merge(super::introspect::paths())
}

fn enveloped<T>(data: impl Into<T>) -> Json<Success<T>> {
    Json(Success::new(data.into(), None))
}

fn secret<T>(data: impl Into<T>) -> Secret<T> {
    ([(CACHE_CONTROL, "no-store")], enveloped(data))
}

/// Register an account
///
/// In development it can be used at once. Otherwise a link is sent, and the answer is the same for an address that has an
/// account.
#[utoipa::path(post, path = "/auth/register", tag = TAG, request_body = RegisterBody, responses(
    (status = 201, description = "The account.", body = Success<RegisteredAnswer>),
    (status = 400, description = "`INVALID_BODY`, `INVALID_EMAIL`, `INVALID_NAME`, `WEAK_PASSWORD`: `details.field` names the field.", body = Failure),
    (status = 409, description = "`EMAIL_TAKEN`: in development, the address has an account.", body = Failure),
    (status = 429, description = "`TOO_MANY_ATTEMPTS`: registrations of one address; `Retry-After` says how long to wait.", body = Failure),
    (status = 503, description = "`BUSY`, `STORE_UNAVAILABLE`: try again after `Retry-After`.", body = Failure)))]
async fn register(
    State(users): Service,
    caller: Caller,
    Body(body): Body<RegisterBody>,
) -> Answer<(StatusCode, Json<Success<RegisteredAnswer>>)> {
    let registered = users.register(body.into(), &caller).await?;
    Ok((StatusCode::CREATED, enveloped(registered)))
}

/// Verify an e-mail address by the link that was sent to it
#[utoipa::path(post, path = "/auth/verify", tag = TAG, request_body = VerifyBody, responses(
    (status = 200, description = "The account can be used.", body = Success<VerifiedAnswer>),
    (status = 400, description = "`INVALID_BODY`; `TOKEN_INVALID`: used, ended or never given.", body = Failure),
    (status = 401, description = "`LOGIN_FAILED`: not the password of the registration; the link still works.", body = Failure),
    (status = 429, description = "`TOO_MANY_ATTEMPTS`: try again after `Retry-After`.", body = Failure),
    (status = 503, description = "`BUSY`, `STORE_UNAVAILABLE`: try again after `Retry-After`.", body = Failure)))]
async fn verify(
    State(users): Service,
    caller: Caller,
    Body(body): Body<VerifyBody>,
) -> Answer<Json<Success<VerifiedAnswer>>> {
    users.verify_email(&body.token, body.password, &caller).await?;
    Ok(enveloped(VerifiedAnswer { verified: true }))
}

/// Make the first administrator by the link that the program has printed
#[utoipa::path(post, path = "/auth/setup", tag = TAG, request_body = SetupBody, responses(
    (status = 201, description = "The administrator's account.", body = Success<RegisteredAnswer>),
    (status = 400, description = "`INVALID_BODY`, `TOKEN_INVALID`, `INVALID_EMAIL`, `INVALID_NAME`, `WEAK_PASSWORD`.", body = Failure),
    (status = 409, description = "`SETUP_DONE`: an account exists.", body = Failure),
    (status = 429, description = "`TOO_MANY_ATTEMPTS`: `Retry-After` says how long to wait.", body = Failure),
    (status = 503, description = "`BUSY`, `STORE_UNAVAILABLE`: try again after `Retry-After`.", body = Failure)))]
async fn setup(
    State(users): Service,
    caller: Caller,
    Body(body): Body<SetupBody>,
) -> Answer<(StatusCode, Json<Success<RegisteredAnswer>>)> {
    let (token, first) = body.parts();
    let registered = users.set_up(&token, first, &caller).await?;
    Ok((StatusCode::CREATED, enveloped(registered)))
}

/// What a page must know before anybody is logged in
#[utoipa::path(get, path = "/auth/options", tag = TAG, responses(
    (status = 200, description = "The options.", body = Success<OptionsAnswer>),
    (status = 503, description = "`STORE_UNAVAILABLE`: try again after `Retry-After`.", body = Failure)))]
async fn options(State(users): Service) -> Answer<Json<Success<OptionsAnswer>>> {
    let setup_needed = users.setup_needed().await?;
    Ok(enveloped(OptionsAnswer {
        development: users.config().development,
        mailer: users.sends_mails(),
        setup_needed,
        password_length_min: *password::LENGTH.start(),
    }))
}

/// Log in
///
/// Wrong passwords, unknown addresses and disabled accounts have one answer. Attempts are counted by account and address.
#[utoipa::path(post, path = "/auth/login", tag = TAG, request_body = LoginBody, responses(
    (status = 200, description = "The tokens of a new session.", body = Success<TokensAnswer>),
    (status = 400, description = "`INVALID_BODY`.", body = Failure),
    (status = 401, description = "`LOGIN_FAILED`; `TOTP_REQUIRED`: the password is right, send `totp` or `recovery_code`, too; `TOTP_INVALID`.", body = Failure),
    (status = 403, description = "`EMAIL_NOT_VERIFIED`: the password is right, open the link that was sent.", body = Failure),
    (status = 429, description = "`TOO_MANY_ATTEMPTS`: `Retry-After` says how long to wait.", body = Failure),
    (status = 503, description = "`BUSY`, `STORE_UNAVAILABLE`: try again after `Retry-After`.", body = Failure)))]
async fn login(State(users): Service, caller: Caller, Body(body): Body<LoginBody>) -> Answer<Secret<TokensAnswer>> {
    Ok(secret(users.log_in(body.credentials()?, &caller).await?))
}

/// Renew the tokens of a session
///
/// A refresh token is good once. One that comes again ends its session: whoever lost an answer logs in again.
#[utoipa::path(post, path = "/auth/refresh", tag = TAG, request_body = RefreshBody, responses(
    (status = 200, description = "The next tokens.", body = Success<TokensAnswer>),
    (status = 400, description = "`INVALID_BODY`.", body = Failure),
    (status = 401, description = "`REFRESH_REUSED`: used before, the session has ended; `UNAUTHENTICATED`: there is no such session.", body = Failure),
    (status = 503, description = "`STORE_UNAVAILABLE`: try again after `Retry-After`.", body = Failure)))]
async fn refresh(State(users): Service, Body(body): Body<RefreshBody>) -> Answer<Secret<TokensAnswer>> {
    Ok(secret(users.refresh(&body.refresh_token).await?))
}

/// Log out: end the session of a refresh token, or without a body that of the access token
#[utoipa::path(post, path = "/auth/logout", tag = TAG, request_body = Option<RefreshBody>, responses(
    (status = 200, description = "How many sessions ended: 0 when it had.", body = Success<RevokedAnswer>),
    (status = 400, description = "`INVALID_BODY`.", body = Failure),
    (status = 401, description = "`UNAUTHENTICATED`: neither token is good.", body = Failure),
    (status = 503, description = "`STORE_UNAVAILABLE`: try again after `Retry-After`.", body = Failure)))]
async fn logout(
    State(users): Service,
    headers: HeaderMap,
    OptionalBody(body): OptionalBody<RefreshBody>,
) -> Answer<Json<Success<RevokedAnswer>>> {
    let revoked = match body {
        Some(body) => users.log_out_by_token(&body.refresh_token).await?,
        None => {
            // The door looks at no credential here: a session that has ended may be ended again.
            let token = credential(&headers).ok().flatten().ok_or_else(unauthenticated)?;
            users.log_out_by_access_token(token).await?
        }
    };
    Ok(enveloped(RevokedAnswer { revoked }))
}

/// Log out everywhere: end all sessions, this one too
#[utoipa::path(post, path = "/auth/logout-all", tag = TAG, responses(
    (status = 200, description = "How many sessions ended.", body = Success<RevokedAnswer>),
    (status = 401, description = "`UNAUTHENTICATED`.", body = Failure),
    (status = 403, description = "`KEY_NOT_ALLOWED`.", body = Failure),
    (status = 503, description = "`STORE_UNAVAILABLE`: try again after `Retry-After`.", body = Failure)))]
async fn logout_all(State(users): Service, person: Person) -> Answer<Json<Success<RevokedAnswer>>> {
    let revoked = users.log_out_everywhere(&person.user_id).await?;
    Ok(enveloped(RevokedAnswer { revoked }))
}

/// Change the password by the current one; all other sessions end
#[utoipa::path(post, path = "/auth/password/change", tag = TAG, request_body = ChangeBody, responses(
    (status = 200, description = "It is changed.", body = Success<ChangedAnswer>),
    (status = 400, description = "`INVALID_BODY`, `WEAK_PASSWORD`.", body = Failure),
    (status = 401, description = "`UNAUTHENTICATED`; `LOGIN_FAILED`: the current password is wrong.", body = Failure),
    (status = 403, description = "`KEY_NOT_ALLOWED`.", body = Failure),
    (status = 429, description = "`TOO_MANY_ATTEMPTS`: `Retry-After` says how long to wait.", body = Failure),
    (status = 503, description = "`BUSY`, `STORE_UNAVAILABLE`: try again after `Retry-After`.", body = Failure)))]
async fn password_change(
    State(users): Service,
    person: Person,
    caller: Caller,
    Body(body): Body<ChangeBody>,
) -> Answer<Json<Success<ChangedAnswer>>> {
    let passwords = (body.current_password, body.new_password);
    users.change_password((&person.user_id, &person.session_id), passwords, &caller).await?;
    Ok(enveloped(ChangedAnswer { changed: true }))
}

/// Ask for a link that sets a new password
///
/// The answer is the same whether the address has an account or not.
#[utoipa::path(post, path = "/auth/password/forgot", tag = TAG, request_body = ForgotBody, responses(
    (status = 202, description = "A link is on its way, if the address has an account.", body = Success<SentAnswer>),
    (status = 400, description = "`INVALID_BODY`, `INVALID_EMAIL`.", body = Failure),
    (status = 429, description = "`TOO_MANY_ATTEMPTS`: `Retry-After` says how long to wait.", body = Failure),
    (status = 503, description = "`STORE_UNAVAILABLE`: try again after `Retry-After`.", body = Failure)))]
async fn password_forgot(
    State(users): Service,
    caller: Caller,
    Body(body): Body<ForgotBody>,
) -> Answer<(StatusCode, Json<Success<SentAnswer>>)> {
    users.forgot_password(&body.email, &caller).await?;
    Ok((StatusCode::ACCEPTED, enveloped(SentAnswer { sent: true })))
}

/// Set a new password by a link; all sessions end
#[utoipa::path(post, path = "/auth/password/reset", tag = TAG, request_body = ResetBody, responses(
    (status = 200, description = "It is changed.", body = Success<ChangedAnswer>),
    (status = 400, description = "`INVALID_BODY`, `TOKEN_INVALID`; `WEAK_PASSWORD`: the link stays good.", body = Failure),
    (status = 503, description = "`BUSY`, `STORE_UNAVAILABLE`: try again after `Retry-After`.", body = Failure)))]
async fn password_reset(
    State(users): Service,
    caller: Caller,
    Body(body): Body<ResetBody>,
) -> Answer<Json<Success<ChangedAnswer>>> {
    users.reset_password(&body.token, body.new_password, &caller).await?;
    Ok(enveloped(ChangedAnswer { changed: true }))
}

/// Make the secret of a second factor; it waits for its first code
#[utoipa::path(post, path = "/auth/totp/setup", tag = TAG, request_body = PasswordBody, responses(
    (status = 200, description = "The secret, shown once.", body = Success<TotpSetupAnswer>),
    (status = 400, description = "`INVALID_BODY`.", body = Failure),
    (status = 401, description = "`UNAUTHENTICATED`; `LOGIN_FAILED`: the password is wrong.", body = Failure),
    (status = 403, description = "`KEY_NOT_ALLOWED`.", body = Failure),
    (status = 409, description = "`TOTP_ENABLED`: switch it off first.", body = Failure),
    (status = 429, description = "`TOO_MANY_ATTEMPTS`: `Retry-After` says how long to wait.", body = Failure),
    (status = 503, description = "`BUSY`, `STORE_UNAVAILABLE`: try again after `Retry-After`.", body = Failure)))]
async fn totp_setup(
    State(users): Service,
    person: Person,
    caller: Caller,
    Body(body): Body<PasswordBody>,
) -> Answer<Secret<TotpSetupAnswer>> {
    Ok(secret(users.set_up_totp(&person.user_id, body.password, &caller).await?))
}

/// Switch the second factor on by its first code
#[utoipa::path(post, path = "/auth/totp/enable", tag = TAG, request_body = CodeBody, responses(
    (status = 200, description = "It is on; the recovery codes are shown once.", body = Success<TotpEnabledAnswer>),
    (status = 400, description = "`INVALID_BODY`.", body = Failure),
    (status = 401, description = "`UNAUTHENTICATED`; `TOTP_INVALID`: the code is wrong.", body = Failure),
    (status = 403, description = "`KEY_NOT_ALLOWED`.", body = Failure),
    (status = 409, description = "`TOTP_ENABLED`; `TOTP_NOT_SET_UP`: there is no secret yet.", body = Failure),
    (status = 429, description = "`TOO_MANY_ATTEMPTS`: 5 codes in 5 minutes.", body = Failure),
    (status = 503, description = "`STORE_UNAVAILABLE`: try again after `Retry-After`.", body = Failure)))]
async fn totp_enable(
    State(users): Service,
    person: Person,
    caller: Caller,
    Body(body): Body<CodeBody>,
) -> Answer<Secret<TotpEnabledAnswer>> {
    let codes = users.enable_totp(&person.user_id, &body.code, &caller).await?;
    let recovery_codes = codes.iter().map(|code| code.expose_secret().to_owned()).collect();
    Ok(secret(TotpEnabledAnswer { enabled: true, recovery_codes }))
}

/// Switch the second factor off by the password and a code
#[utoipa::path(post, path = "/auth/totp/disable", tag = TAG, request_body = TotpDisableBody, responses(
    (status = 200, description = "It is off.", body = Success<TotpDisabledAnswer>),
    (status = 400, description = "`INVALID_BODY`.", body = Failure),
    (status = 401, description = "`UNAUTHENTICATED`, `LOGIN_FAILED`, `TOTP_REQUIRED`, `TOTP_INVALID`.", body = Failure),
    (status = 403, description = "`KEY_NOT_ALLOWED`.", body = Failure),
    (status = 409, description = "`TOTP_NOT_ENABLED`.", body = Failure),
    (status = 429, description = "`TOO_MANY_ATTEMPTS`: `Retry-After` says how long to wait.", body = Failure),
    (status = 503, description = "`BUSY`, `STORE_UNAVAILABLE`: try again after `Retry-After`.", body = Failure)))]
async fn totp_disable(
    State(users): Service,
    person: Person,
    caller: Caller,
    Body(body): Body<TotpDisableBody>,
) -> Answer<Json<Success<TotpDisabledAnswer>>> {
    let (password, factor) = body.parts()?;
    users.disable_totp(&person.user_id, password, &factor, &caller).await?;
    Ok(enveloped(TotpDisabledAnswer { enabled: false }))
}

/// The keys that access tokens are signed with (RFC 7517), without an envelope
#[utoipa::path(get, path = "/auth/jwks.json", tag = TAG, responses(
    (status = 200, description = "A JWK set of Ed25519 keys.", body = serde_json::Value)))]
async fn jwks(State(users): Service) -> ([(HeaderName, &'static str); 1], Json<serde_json::Value>) {
    // The next key is published an hour before it signs.
    ([(CACHE_CONTROL, "public, max-age=300")], Json((*users.jwks()).clone()))
}
