//! The envelope around every answer of `/api/v1`, the problem details of RFC 9457, and one page of a list.
//!
//! Shapes only: never decides which of them an answer gets (`error.rs` does).

use serde::Serialize;
use utoipa::ToSchema;

/// The envelope of every successful answer under `/api/v1`.
#[derive(Serialize, ToSchema)]
pub struct Success<T> {
    /// Always true.
    #[schema(example = true)]
    pub success: bool,
    /// The answer.
    pub data: T,
    /// A remark for people, e.g. that the feed is stale; null when there is nothing to say.
    #[schema(example = json!(null))]
    pub message: Option<String>,
}

impl<T> Success<T> {
    /// `data` in its envelope.
    #[must_use]
    pub fn new(data: T, message: Option<String>) -> Self {
        Self { success: true, data, message }
    }
}

/// The envelope of every error under `/api/v1`.
#[derive(Serialize, ToSchema)]
pub struct Failure {
    /// Always false.
    #[schema(example = false)]
    pub success: bool,
    /// What went wrong.
    pub error: ErrorBody,
    /// When, RFC 3339.
    #[schema(example = "2026-11-23T07:00:00.000000000Z")]
    pub timestamp: String,
}

/// What went wrong.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "code": "SYMBOL_NOT_FOUND", "message": "no symbol is called GARN",
    "details": { "symbol": "GARN", "near": ["GARAN"] },
}))]
pub struct ErrorBody {
    /// Stable, for programs.
    #[schema(example = "SYMBOL_NOT_FOUND")]
    pub code: &'static str,
    /// For people: what was asked and why it could not be answered.
    #[schema(example = "no symbol is called GARN")]
    pub message: String,
    /// More for programs, by code; may be empty.
    #[schema(value_type = Object)]
    pub details: serde_json::Value,
}

/// The same as RFC 9457, when `Accept` names `application/problem+json`.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "type": "urn:bist:error:SYMBOL_NOT_FOUND", "title": "Not Found", "status": 404,
    "detail": "no symbol is called GARN", "instance": "/api/v1/market-data/quotes/GARN",
    "code": "SYMBOL_NOT_FOUND", "details": { "symbol": "GARN", "near": ["GARAN"] },
    "timestamp": "2026-11-23T07:00:00.000000000Z",
}))]
pub struct Problem {
    /// `urn:bist:error:` and the code.
    #[serde(rename = "type")]
    #[schema(example = "urn:bist:error:SYMBOL_NOT_FOUND")]
    pub kind: String,
    /// The words of the status.
    #[schema(example = "Not Found")]
    pub title: &'static str,
    /// HTTP status.
    #[schema(example = 404)]
    pub status: u16,
    /// What was asked and why it could not be answered.
    #[schema(example = "no symbol is called GARN")]
    pub detail: String,
    /// Path that was asked.
    #[schema(example = "/api/v1/market-data/quotes/GARN")]
    pub instance: String,
    /// Stable, for programs.
    #[schema(example = "SYMBOL_NOT_FOUND")]
    pub code: &'static str,
    /// More for programs, by code; may be empty.
    #[schema(value_type = Object)]
    pub details: serde_json::Value,
    /// When, RFC 3339.
    #[schema(example = "2026-11-23T07:00:00.000000000Z")]
    pub timestamp: String,
}

/// One page of a list.
#[derive(Serialize, ToSchema)]
pub struct Page<T> {
    /// The items of this page.
    pub items: Vec<T>,
    /// Items of the whole list.
    #[schema(example = 1)]
    pub total: usize,
    /// Items before this page.
    #[schema(example = 0)]
    pub offset: usize,
    /// Items a page may hold, as asked.
    #[schema(example = 100)]
    pub limit: usize,
}
