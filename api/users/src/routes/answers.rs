//! What the answers of accounts have in common: lists, small receipts, and the errors that the description names.

use api_kit::envelope::{Failure, Success};
use api_kit::error::ApiError;
use axum::Json;
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

pub(crate) type Answer<T> = Result<Json<Success<T>>, ApiError>;
pub(crate) type Created<T> = Result<(StatusCode, Json<Success<T>>), ApiError>;

pub(crate) fn ok<T>(data: T) -> Answer<T> {
    Ok(Json(Success::new(data, None)))
}

pub(crate) fn created<T>(data: T) -> Created<T> {
    Ok((StatusCode::CREATED, Json(Success::new(data, None))))
}

/// A list of accounts.
#[derive(Serialize, ToSchema)]
pub(crate) struct Listed<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where the next page begins; null = there is none.
    #[schema(example = json!(null))]
    pub next_cursor: Option<String>,
}

/// A list that is whole.
pub(crate) fn whole<T>(items: Vec<T>) -> Answer<Listed<T>> {
    ok(Listed { items, next_cursor: None })
}

/// How many were revoked.
#[derive(Serialize, ToSchema)]
pub(crate) struct Revoked {
    /// How many.
    #[schema(example = 1)]
    pub revoked: u64,
}

/// It is gone.
#[derive(Serialize, ToSchema)]
pub(crate) struct Deleted {
    /// Always true.
    #[schema(example = true)]
    pub deleted: bool,
}

/// Answers about persons are kept by no cache on their way.
pub(crate) async fn unkept(mut response: Response) -> Response {
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Errors of every path that needs somebody known.
#[derive(utoipa::IntoResponses)]
#[expect(dead_code, reason = "only described: the handlers answer with ApiError")]
pub(crate) enum OfKnown {
    /// `UNAUTHENTICATED`: the credential is missing or not valid.
    #[response(status = 401)]
    Unauthenticated(Failure),
    /// `RATE_LIMITED`: too many requests; `Retry-After` says how long to wait.
    #[response(status = 429)]
    Limited(Failure),
    /// `INTERNAL`: a fault of ours.
    #[response(status = 500)]
    Internal(Failure),
    /// `STORE_UNAVAILABLE`: accounts are not available now; `Retry-After` says when to try again.
    #[response(status = 503)]
    Unavailable(Failure),
}

/// Errors of every path of a person.
#[derive(utoipa::IntoResponses)]
#[expect(dead_code, reason = "only described: the handlers answer with ApiError")]
pub(crate) enum OfPerson {
    /// `KEY_NOT_ALLOWED`: an API key cannot do this.
    #[response(status = 403)]
    Key(Failure),
}

/// Errors of every path of administrators.
#[derive(utoipa::IntoResponses)]
#[expect(dead_code, reason = "only described: the handlers answer with ApiError")]
pub(crate) enum OfAdmin {
    /// `FORBIDDEN`: this needs the role admin. `KEY_NOT_ALLOWED`: an API key cannot do this.
    #[response(status = 403)]
    Forbidden(Failure),
}

/// Errors of every path with a body.
#[derive(utoipa::IntoResponses)]
#[expect(dead_code, reason = "only described: the handlers answer with ApiError")]
pub(crate) enum OfBody {
    /// `INVALID_BODY`: the body is no JSON of the described shape; `details` name the place.
    #[response(status = 400)]
    Invalid(Failure),
    /// `PAYLOAD_TOO_LARGE`: a body of accounts has at most 16 KiB.
    #[response(status = 413)]
    TooLarge(Failure),
    /// `UNSUPPORTED_MEDIA_TYPE`: the body must be JSON.
    #[response(status = 415)]
    Kind(Failure),
}
