//! The paths of administrators. Decides nothing.

use std::sync::Arc;

use api_kit::envelope::{Failure, Success};
use api_kit::error::ApiError;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::middleware::map_response;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::{Answer, Listed, OfAdmin, OfBody, OfKnown, ok, unkept};
use super::asking::{Admin, Id};
use super::body::Body;
use crate::admin::{KycLevel, LivePermission, NewRoles, PAGE_MAX, Reason, User};
use crate::email::EMAIL_BYTES_MAX;
use crate::service::Users;

type Service = State<Arc<Users>>;

/// Users of a page when nothing is asked.
const PAGE: usize = 50;

/// The paths, below `/api/v1`, answered by `users`.
#[must_use]
pub fn documented(users: Arc<Users>) -> OpenApiRouter {
    paths().with_state(users)
}

/// The paths, below `/api/v1`.
pub(super) fn paths() -> OpenApiRouter<Arc<Users>> {
    OpenApiRouter::default()
        .routes(routes!(list_users))
        .routes(routes!(read_user))
        .routes(routes!(set_roles))
        .routes(routes!(disable))
        .routes(routes!(enable))
        .routes(routes!(set_live))
        .routes(routes!(set_kyc))
        .layer(map_response(unkept))
}

/// Query of users.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct UsersParams {
    /// `next_cursor` of the page before.
    #[param(max_length = 36, example = "0196a0b0-0000-7000-8000-000000000001")]
    cursor: Option<String>,
    /// Users of a page, 1..100, default 50.
    #[param(value_type = Option<usize>, minimum = 1, maximum = 100, example = 50)]
    limit: Option<String>,
    /// How the e-mail address begins.
    #[param(max_length = 254, example = "ayse")]
    email: Option<String>,
}

impl UsersParams {
    /// The id to begin after, the beginning of the address, and the users of a page.
    fn checked(self) -> Result<(String, String, usize), ApiError> {
        let (cursor, email) = (self.cursor.unwrap_or_default(), self.email.unwrap_or_default().to_lowercase());
        let after = match uuid::Uuid::try_parse(&cursor) {
            Ok(id) => id.to_string(),
            Err(_) if cursor.is_empty() => cursor,
            Err(_) => return Err(ApiError::parameter("cursor", &cursor, "`next_cursor` of a page")),
        };
        if email.len() > EMAIL_BYTES_MAX || email.chars().any(char::is_control) {
            return Err(ApiError::parameter("email", &email, "the beginning of an e-mail address"));
        }
        let Some(limit) = self.limit else { return Ok((after, email, PAGE)) };
        let number = limit.parse().ok().filter(|number| (1..=PAGE_MAX).contains(number));
        let number =
            number.ok_or_else(|| ApiError::parameter("limit", &limit, format!("a whole number 1..{PAGE_MAX}")))?;
        Ok((after, email, number))
    }
}

/// Users, oldest first
#[utoipa::path(get, path = "/users", tag = "administration", params(UsersParams),
    responses(OfKnown, OfAdmin, (status = 200, description = "One page of users.", body = Success<Listed<User>>)))]
async fn list_users(
    State(users): Service,
    _admin: Admin,
    params: Result<Query<UsersParams>, QueryRejection>,
) -> Answer<Listed<User>> {
    let invalid =
        |error: QueryRejection| ApiError::new(StatusCode::BAD_REQUEST, "INVALID_PARAMETER", error.body_text());
    let (after, email, limit) = params.map_err(invalid)?.0.checked()?;
    let page = users.users(&after, &email, limit).await?;
    ok(Listed { items: page.items, next_cursor: page.next_cursor })
}

/// One user
#[utoipa::path(get, path = "/users/{id}", tag = "administration",
    params(("id" = String, Path, description = "The user's id.", max_length = 36, example = "0196a0b0-0000-7000-8000-000000000001")),
    responses(OfKnown, OfAdmin,
        (status = 200, description = "The user.", body = Success<User>),
        (status = 404, description = "`NOT_FOUND`: there is no such user.", body = Failure)))]
async fn read_user(State(users): Service, _admin: Admin, Id(id): Id) -> Answer<User> {
    ok(users.user(&id).await?)
}

/// Gives a user other roles
#[utoipa::path(put, path = "/users/{id}/roles", tag = "administration", request_body = NewRoles,
    params(("id" = String, Path, description = "The user's id.", max_length = 36, example = "0196a0b0-0000-7000-8000-000000000001")),
    responses(OfKnown, OfAdmin, OfBody,
        (status = 200, description = "The user as it is now.", body = Success<User>),
        (status = 400, description = "`INVALID_BODY`, `INVALID_ROLE`.", body = Failure),
        (status = 404, description = "`NOT_FOUND`: there is no such user.", body = Failure),
        (status = 409, description = "`LAST_ADMIN`: make another administrator first.", body = Failure)))]
async fn set_roles(State(users): Service, Admin(actor): Admin, Id(id): Id, Body(new): Body<NewRoles>) -> Answer<User> {
    ok(users.set_roles(&actor, &id, &new).await?)
}

/// Disables a user: sessions end, keys are refused
#[utoipa::path(post, path = "/users/{id}/disable", tag = "administration", request_body = Reason,
    params(("id" = String, Path, description = "The user's id.", max_length = 36, example = "0196a0b0-0000-7000-8000-000000000001")),
    responses(OfKnown, OfAdmin, OfBody,
        (status = 200, description = "The user as it is now.", body = Success<User>),
        (status = 400, description = "`INVALID_BODY`, `INVALID_REASON`.", body = Failure),
        (status = 404, description = "`NOT_FOUND`: there is no such user.", body = Failure),
        (status = 409, description = "`LAST_ADMIN`: make another administrator first.", body = Failure)))]
async fn disable(State(users): Service, Admin(actor): Admin, Id(id): Id, Body(reason): Body<Reason>) -> Answer<User> {
    ok(users.disable(&actor, &id, &reason).await?)
}

/// Enables a user, also one whose address was not verified
#[utoipa::path(post, path = "/users/{id}/enable", tag = "administration",
    params(("id" = String, Path, description = "The user's id.", max_length = 36, example = "0196a0b0-0000-7000-8000-000000000001")),
    responses(OfKnown, OfAdmin,
        (status = 200, description = "The user as it is now.", body = Success<User>),
        (status = 404, description = "`NOT_FOUND`: there is no such user.", body = Failure)))]
async fn enable(State(users): Service, Admin(actor): Admin, Id(id): Id) -> Answer<User> {
    ok(users.enable(&actor, &id).await?)
}

/// Allows a user to trade live, or no more
#[utoipa::path(put, path = "/users/{id}/live", tag = "administration", request_body = LivePermission,
    params(("id" = String, Path, description = "The user's id.", max_length = 36, example = "0196a0b0-0000-7000-8000-000000000001")),
    responses(OfKnown, OfAdmin, OfBody,
        (status = 200, description = "The user as it is now.", body = Success<User>),
        (status = 404, description = "`NOT_FOUND`: there is no such user.", body = Failure)))]
async fn set_live(
    State(users): Service,
    Admin(actor): Admin,
    Id(id): Id,
    Body(new): Body<LivePermission>,
) -> Answer<User> {
    ok(users.set_live(&actor, &id, new).await?)
}

/// Says how well a user is known
#[utoipa::path(put, path = "/users/{id}/kyc", tag = "administration", request_body = KycLevel,
    params(("id" = String, Path, description = "The user's id.", max_length = 36, example = "0196a0b0-0000-7000-8000-000000000001")),
    responses(OfKnown, OfAdmin, OfBody,
        (status = 200, description = "The user as it is now.", body = Success<User>),
        (status = 400, description = "`INVALID_BODY`, `INVALID_LEVEL`.", body = Failure),
        (status = 404, description = "`NOT_FOUND`: there is no such user.", body = Failure),
        (status = 409, description = "`KYC_INCOMPLETE`: phone or citizen's number is missing.", body = Failure)))]
async fn set_kyc(State(users): Service, Admin(actor): Admin, Id(id): Id, Body(new): Body<KycLevel>) -> Answer<User> {
    ok(users.set_kyc(&actor, &id, new).await?)
}
