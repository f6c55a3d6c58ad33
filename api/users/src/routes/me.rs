//! The paths of one's own: profile, sessions, keys, preferences, export, the end of the account. Decides nothing.

use std::sync::Arc;

use api_kit::envelope::{Failure, Success};
use axum::extract::State;
use axum::middleware::map_response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::{
    Answer, Created, Deleted, Listed, OfBody, OfKnown, OfPerson, Revoked, created, ok, unkept, whole,
};
use super::asking::{Id, Known};
use super::body::Body;
use super::from::Person;
use crate::caller::Caller;
use crate::erase::Erasure;
use crate::export::Export;
use crate::keys::{CreatedKey, Key, NewKey};
use crate::own_sessions::Session;
use crate::preferences::{NewPreferences, Preferences};
use crate::profile::{Profile, ProfileChange};
use crate::service::Users;

type Service = State<Arc<Users>>;

/// The paths, below `/api/v1`, answered by `users`.
#[must_use]
pub fn documented(users: Arc<Users>) -> OpenApiRouter {
    paths().with_state(users)
}

/// The paths, below `/api/v1`.
pub(super) fn paths() -> OpenApiRouter<Arc<Users>> {
    OpenApiRouter::default()
        .routes(routes!(profile, change_profile, erase))
        .routes(routes!(export))
        .routes(routes!(sessions))
        .routes(routes!(end_session))
        .routes(routes!(keys, create_key))
        .routes(routes!(revoke_key))
        .routes(routes!(preferences, set_preferences))
        .layer(map_response(unkept))
}

/// Oneself
///
/// Also for API keys: the user who owns the key.
#[utoipa::path(get, path = "/users/me", tag = "users",
    responses(OfKnown, (status = 200, description = "The user.", body = Success<Profile>)))]
async fn profile(State(users): Service, Known(user_id): Known) -> Answer<Profile> {
    ok(users.profile(&user_id).await?)
}

/// Changes one's name, phone or citizen's number
///
/// What is left out stays; `null` removes phone or number. A KYC level of 2 falls back when any of them changes.
#[utoipa::path(patch, path = "/users/me", tag = "users", request_body = ProfileChange,
    responses(OfKnown, OfPerson, OfBody,
        (status = 200, description = "The user as it is now.", body = Success<Profile>),
        (status = 400, description = "`INVALID_BODY`, `INVALID_NAME`, `INVALID_PHONE`, `INVALID_TCKN`: `details.field` names the field.", body = Failure)))]
async fn change_profile(State(users): Service, person: Person, Body(change): Body<ProfileChange>) -> Answer<Profile> {
    ok(users.change_profile(&person.user_id, &change).await?)
}

/// Deletes one's account for ever
///
/// Sessions and keys end, everything personal is deleted. The audit log keeps ids alone.
#[utoipa::path(delete, path = "/users/me", tag = "users", request_body = Erasure,
    responses(OfKnown, OfPerson, OfBody,
        (status = 200, description = "It is gone.", body = Success<Deleted>),
        (status = 401, description = "`UNAUTHENTICATED`; `LOGIN_FAILED`: the password is wrong; `TOTP_REQUIRED`, `TOTP_INVALID`.", body = Failure),
        (status = 409, description = "`LAST_ADMIN`: make another administrator first.", body = Failure),
        (status = 429, description = "`RATE_LIMITED`, `TOO_MANY_ATTEMPTS`: `Retry-After` says how long to wait.", body = Failure),
        (status = 503, description = "`STORE_UNAVAILABLE`, `BUSY`: `Retry-After` says when to try again.", body = Failure)))]
async fn erase(State(users): Service, person: Person, caller: Caller, Body(proof): Body<Erasure>) -> Answer<Deleted> {
    users.erase(&person.user_id, proof, &caller).await?;
    ok(Deleted { deleted: true })
}

/// Everything that is kept of oneself
#[utoipa::path(get, path = "/users/me/export", tag = "users",
    responses(OfKnown, OfPerson, (status = 200, description = "Everything, without secrets.", body = Success<Export>)))]
async fn export(State(users): Service, person: Person) -> Answer<Export> {
    ok(users.export(&person.user_id, &person.session_id).await?)
}

/// One's sessions, newest first
#[utoipa::path(get, path = "/users/me/sessions", tag = "users",
    responses(OfKnown, OfPerson, (status = 200, description = "The sessions that stand.", body = Success<Listed<Session>>)))]
async fn sessions(State(users): Service, person: Person) -> Answer<Listed<Session>> {
    whole(users.sessions(&person.user_id, &person.session_id).await?)
}

/// Ends one of one's sessions
#[utoipa::path(delete, path = "/users/me/sessions/{id}", tag = "users",
    params(("id" = String, Path, description = "The session's id.", max_length = 36, example = "0196a0b0-0000-7000-8000-000000000001")),
    responses(OfKnown, OfPerson,
        (status = 200, description = "It has ended.", body = Success<Revoked>),
        (status = 404, description = "`NOT_FOUND`: there is no such session of yours.", body = Failure)))]
async fn end_session(State(users): Service, person: Person, Id(id): Id) -> Answer<Revoked> {
    users.end_own_session(&person.user_id, &person.session_id, &id).await?;
    ok(Revoked { revoked: 1 })
}

/// One's API keys, oldest first
#[utoipa::path(get, path = "/users/me/keys", tag = "users",
    responses(OfKnown, OfPerson, (status = 200, description = "The keys that are not revoked.", body = Success<Listed<Key>>)))]
async fn keys(State(users): Service, person: Person) -> Answer<Listed<Key>> {
    whole(users.keys(&person.user_id).await?)
}

/// Makes an API key
///
/// Its text is in this answer alone.
#[utoipa::path(post, path = "/users/me/keys", tag = "users", request_body = NewKey,
    responses(OfKnown, OfPerson, OfBody,
        (status = 201, description = "The key, shown once.", body = Success<CreatedKey>),
        (status = 400, description = "`INVALID_BODY`, `INVALID_NAME`, `INVALID_ENVIRONMENT`, `INVALID_SCOPE`, `INVALID_ADDRESS`, `INVALID_EXPIRY`: `details.field` names the field.", body = Failure),
        (status = 403, description = "`KEY_NOT_ALLOWED`; `LIVE_NOT_ALLOWED`: an administrator has not allowed live trading; `SCOPE_NOT_ALLOWED`: the scope needs a role that you have not.", body = Failure),
        (status = 409, description = "`TOO_MANY_KEYS`: a user has at most 20.", body = Failure)))]
async fn create_key(State(users): Service, person: Person, Body(new): Body<NewKey>) -> Created<CreatedKey> {
    created(users.create_key(&person.user_id, &person.user_id, &new).await?)
}

/// Revokes an API key: refused everywhere within 5 s
#[utoipa::path(delete, path = "/users/me/keys/{id}", tag = "users",
    params(("id" = String, Path, description = "The key's id.", max_length = 36, example = "0196a0b0-0000-7000-8000-000000000001")),
    responses(OfKnown, OfPerson,
        (status = 200, description = "It is revoked.", body = Success<Revoked>),
        (status = 404, description = "`NOT_FOUND`: there is no such key of yours.", body = Failure)))]
async fn revoke_key(State(users): Service, person: Person, Id(id): Id) -> Answer<Revoked> {
    users.revoke_key(&person.user_id, &person.user_id, &id).await?;
    ok(Revoked { revoked: 1 })
}

/// One's preferences
#[utoipa::path(get, path = "/users/me/preferences", tag = "users",
    responses(OfKnown, OfPerson, (status = 200, description = "The preferences; version 0 before the first.", body = Success<Preferences>)))]
async fn preferences(State(users): Service, person: Person) -> Answer<Preferences> {
    ok(users.preferences(&person.user_id).await?)
}

/// Puts preferences in place of the old ones
#[utoipa::path(put, path = "/users/me/preferences", tag = "users", request_body = NewPreferences,
    responses(OfKnown, OfPerson, OfBody,
        (status = 200, description = "The preferences as they are now.", body = Success<Preferences>),
        (status = 400, description = "`INVALID_BODY`, `INVALID_LANGUAGE`, `INVALID_THEME`, `INVALID_DATA`: `details.field` names the field.", body = Failure),
        (status = 409, description = "`VERSION_CONFLICT`: `details.version` is the stored one.", body = Failure)))]
async fn set_preferences(
    State(users): Service,
    person: Person,
    Body(new): Body<NewPreferences>,
) -> Answer<Preferences> {
    ok(users.set_preferences(&person.user_id, &new).await?)
}
