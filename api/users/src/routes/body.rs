//! JSON bodies: at most [`BODY_BYTES_MAX`], with no field that is not known, each refusal naming the field. Never logs one.

use api_kit::error::ApiError;
use axum::body::{HttpBody, to_bytes};
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::json;

pub use crate::bounds::BODY_BYTES_MAX;

/// A body read into `T`.
pub struct Body<T>(
    /// What it says.
    pub T,
);

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, ApiError> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if !kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json")) {
            let message = "the body must be JSON: send `Content-Type: application/json`";
            return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", message));
        }
        let too_long = || {
            let message = format!("a body of accounts has at most {BODY_BYTES_MAX} bytes");
            ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE", message)
        };
        let bytes = to_bytes(request.into_body(), BODY_BYTES_MAX).await.map_err(|_| too_long())?;
        serde_json::from_slice(&bytes).map(Self).map_err(|error| invalid(&error))
    }
}

/// The same, where an empty body says as much as none.
pub struct OptionalBody<T>(
    /// What it says, unless it is empty.
    pub Option<T>,
);

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for OptionalBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        if request.body().is_end_stream() {
            return Ok(Self(None));
        }
        Body::from_request(request, state).await.map(|Body(body)| Self(Some(body)))
    }
}

/// 400 with serde's words, which name the field and its place but never a value of a text.
fn invalid(error: &serde_json::Error) -> ApiError {
    // `invalid type: string "…"` quotes what was sent, which may be a password.
    let words = error.to_string();
    let message = match words.split_once("invalid type") {
        Some(_) => format!("a field has the wrong type, at line {} column {}", error.line(), error.column()),
        None if words.contains("invalid value") => {
            format!("a field has a value that is not allowed, at line {} column {}", error.line(), error.column())
        }
        None => words,
    };
    ApiError {
        details: json!({ "line": error.line(), "column": error.column() }),
        ..ApiError::new(StatusCode::BAD_REQUEST, "INVALID_BODY", message)
    }
}
