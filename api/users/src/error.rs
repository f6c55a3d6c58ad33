//! What user management refuses, each as one answer. No text holds a secret or says whether an address is registered.

use api_kit::error::ApiError;
use api_store::{FromStore, StoreError};
use axum::http::StatusCode;
use serde_json::json;

/// A refusal.
#[derive(Debug, thiserror::Error)]
pub enum UsersError {
    /// An answer for the caller.
    #[error("{}", .0.message)]
    Answer(Box<ApiError>),
    /// The store could not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What handlers and services return.
pub type Result<T> = std::result::Result<T, UsersError>;

impl UsersError {
    /// `status` with `code` and a message.
    pub fn answer(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self::Answer(Box::new(ApiError::new(status, code, message)))
    }

    /// 400: one field of the body is not what is allowed.
    pub fn field(code: &'static str, field: &'static str, message: impl Into<String>) -> Self {
        let details = json!({ "field": field });
        Self::Answer(Box::new(ApiError { details, ..ApiError::new(StatusCode::BAD_REQUEST, code, message) }))
    }

    /// 404: not there, or of somebody else.
    pub fn not_found(what: &str) -> Self {
        Self::answer(StatusCode::NOT_FOUND, "NOT_FOUND", format!("there is no such {what}"))
    }

    /// 429 with the time to wait.
    pub fn too_many(message: impl Into<String>, retry_after_s: u64) -> Self {
        let error = ApiError::new(StatusCode::TOO_MANY_REQUESTS, "TOO_MANY_ATTEMPTS", message);
        Self::Answer(Box::new(ApiError { retry_after_s: Some(retry_after_s.max(1)), ..error }))
    }

    /// 503: more work waits than may.
    pub fn busy() -> Self {
        let error =
            ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "BUSY", "too many log-ins at once; try again in 1 s");
        Self::Answer(Box::new(ApiError { retry_after_s: Some(1), ..error }))
    }

    /// The code of the answer, for counters and tests.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Answer(error) => error.code,
            Self::Store(_) => "STORE",
        }
    }
}

impl FromStore for UsersError {
    fn store_error(&self) -> Option<&StoreError> {
        match self {
            Self::Answer(_) => None,
            Self::Store(error) => Some(error),
        }
    }
}

impl From<UsersError> for ApiError {
    fn from(error: UsersError) -> Self {
        match error {
            UsersError::Answer(answer) => *answer,
            UsersError::Store(error) => of_store(&error),
        }
    }
}

/// A store's error as an answer; what is inside goes to the log alone.
fn of_store(error: &StoreError) -> ApiError {
    let unavailable = |message: &str, retry_after_s| ApiError {
        retry_after_s: Some(retry_after_s),
        ..ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "STORE_UNAVAILABLE", message)
    };
    if let Some(after) = error.retry_after() {
        return unavailable("accounts are not available now; nothing was changed, try again", after.as_secs().max(1));
    }
    match error {
        StoreError::OutcomeUnknown => {
            unavailable("whether it was done is not known; read it back before trying again", 1)
        }
        StoreError::Disk(_) => unavailable("accounts cannot be written now; nothing was changed", 60),
        StoreError::NotFound => ApiError::new(StatusCode::NOT_FOUND, "NOT_FOUND", "there is no such thing"),
        other => {
            tracing::error!(error = %other, "a request of accounts failed");
            ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", "this is a fault of ours; it has been logged")
        }
    }
}
