//! The one place that turns errors into answers: the envelope of `/api/v1`, or RFC 9457 when it is asked for.
//!
//! Never tells a caller anything of the inside beyond what it asked for.

use axum::extract::Request;
use axum::http::header::{ACCEPT, ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde_json::json;

use crate::envelope::{ErrorBody, Failure, Problem};

/// Why a request could not be answered.
#[derive(Clone, Debug)]
pub struct ApiError {
    /// Status of the answer.
    pub status: StatusCode,
    /// Stable, for programs; every code is listed in `docs/protocols/rest.md`.
    pub code: &'static str,
    /// For people: what was asked and why it could not be answered.
    pub message: String,
    /// More for programs, by code; an object, which may be empty.
    pub details: serde_json::Value,
    /// Seconds after which the same request may succeed.
    pub retry_after_s: Option<u64>,
}

impl ApiError {
    /// An error without details.
    #[must_use]
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), details: json!({}), retry_after_s: None }
    }

    /// 400: the parameter `name` was `given`, which is not `allowed`.
    #[must_use]
    pub fn parameter(name: &str, given: &str, allowed: impl Into<String>) -> Self {
        let allowed = allowed.into();
        Self {
            details: json!({ "parameter": name, "given": given, "allowed": allowed }),
            ..Self::new(
                StatusCode::BAD_REQUEST,
                "INVALID_PARAMETER",
                format!("{name} is {given:?}; allowed is {allowed}"),
            )
        }
    }

    /// What a bare status of the router or of a layer means.
    fn of_status(status: StatusCode) -> Self {
        let (code, message) = match status {
            StatusCode::NOT_FOUND => ("NOT_FOUND", "there is nothing at this path; /swagger-ui lists what there is"),
            StatusCode::METHOD_NOT_ALLOWED => ("METHOD_NOT_ALLOWED", "this path does not take this method"),
            StatusCode::PAYLOAD_TOO_LARGE => ("PAYLOAD_TOO_LARGE", "the body is longer than this path takes"),
            StatusCode::SERVICE_UNAVAILABLE => ("TIMEOUT", "the answer took too long; trying again may help"),
            StatusCode::INTERNAL_SERVER_ERROR => ("INTERNAL", "this is a fault of ours; it has been logged"),
            other if other.is_client_error() => ("INVALID_REQUEST", "the request could not be understood"),
            _ => ("INTERNAL", "this is a fault of ours; it has been logged"),
        };
        Self::new(status, code, message)
    }

    fn envelope(&self) -> Response {
        let body = Failure {
            success: false,
            error: ErrorBody { code: self.code, message: self.message.clone(), details: self.details.clone() },
            timestamp: Timestamp::now().to_string(),
        };
        (self.status, axum::Json(body)).into_response()
    }

    fn problem(&self, path: &str) -> Response {
        let body = Problem {
            kind: format!("urn:bist:error:{}", self.code),
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: self.message.clone(),
            instance: path.to_owned(),
            code: self.code,
            details: self.details.clone(),
            timestamp: Timestamp::now().to_string(),
        };
        let mut response = (self.status, axum::Json(body)).into_response();
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        response
    }
}

impl IntoResponse for ApiError {
    /// Leaves the shape to [`shape_errors`], which knows what the caller accepts.
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Marks an error response that has a body of its own (health, an answer passed on) and stays as it is.
#[derive(Clone, Copy, Debug)]
pub struct AsIs;

const PROBLEM_JSON: &str = "application/problem+json";

/// Gives every error the shape that the caller asked for.
pub async fn shape_errors(request: Request, next: Next) -> Response {
    let wants_problem = accepts(request.headers(), PROBLEM_JSON);
    let path = request.uri().path().to_owned();
    let response = next.run(request).await;
    let status = response.status();
    if !(status.is_client_error() || status.is_server_error()) || response.extensions().get::<AsIs>().is_some() {
        return response;
    }
    let (parts, _) = response.into_parts();
    let error = parts.extensions.get::<ApiError>().cloned().unwrap_or_else(|| ApiError::of_status(status));
    let mut shaped = if wants_problem { error.problem(&path) } else { error.envelope() };
    if let Some(seconds) = error.retry_after_s {
        shaped.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    // What the layers below said in headers stays said.
    for (name, value) in &parts.headers {
        if name == ALLOW || name == WWW_AUTHENTICATE || name.as_str().starts_with("ratelimit-") {
            shaped.headers_mut().insert(name.clone(), value.clone());
        }
    }
    shaped
}

/// Whether `Accept` names `kind`.
pub fn accepts(headers: &HeaderMap, kind: &str) -> bool {
    headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|range| range.split(';').next().is_some_and(|name| name.trim().eq_ignore_ascii_case(kind)))
}
