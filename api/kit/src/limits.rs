//! Every number that a caller can hit, and `GET /api/v1/limits`, which lists them as they are in force.
//!
//! Never enforces one: each part does that itself and hands its numbers in.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::{Access, Row};
use crate::envelope::Success;
use crate::principal::Principal;

/// A number that a caller can hit.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct Limit {
    /// Name.
    #[schema(example = "rest.requests_burst")]
    pub name: &'static str,
    /// Value; null = no limit.
    #[schema(example = 400)]
    pub value: Option<u64>,
    /// Unit.
    #[schema(example = "requests")]
    pub unit: &'static str,
    /// What happens at it.
    #[schema(example = "429 RATE_LIMITED with Retry-After")]
    pub meaning: &'static str,
}

impl Limit {
    /// A limit of `value` `unit` (in the plural).
    #[must_use]
    pub fn of(name: &'static str, value: usize, unit: &'static str, meaning: &'static str) -> Self {
        Self { name, value: Some(value as u64), unit, meaning }
    }

    /// A limit of time, in milliseconds.
    #[must_use]
    pub fn of_time(name: &'static str, value: Duration, meaning: &'static str) -> Self {
        Self { name, value: Some(value.as_millis() as u64), unit: "milliseconds", meaning }
    }
}

/// Every number that a caller can hit.
#[derive(Serialize, ToSchema)]
pub struct Limits {
    /// In no particular order.
    pub items: Vec<Limit>,
    /// Whose allowance the caller's requests take from.
    pub caller: Caller,
}

/// Whose allowance the caller's requests take from: `ratelimit-…` in each answer's head says what is left of it.
#[derive(Serialize, ToSchema)]
pub struct Caller {
    /// `key`, `user`, or `address` for a caller who is not known.
    #[schema(example = "address")]
    pub kind: &'static str,
    /// Public id of the key or user; null for an address.
    #[schema(example = json!(null))]
    pub id: Option<String>,
}

impl Caller {
    fn of(principal: &Principal) -> Self {
        let (kind, id) = match principal {
            Principal::Anonymous => ("address", None),
            Principal::User { user_id, .. } => ("user", Some(user_id.to_string())),
            Principal::Key { key_id, .. } => ("key", Some(key_id.to_string())),
        };
        Self { kind, id }
    }
}

/// Who may ask for them.
pub(crate) const ACCESS: Row = Row::new("GET", "/api/v1/limits", Access::Anyone);

/// Every number that a caller can hit, and whose allowance its requests take from
#[utoipa::path(get, path = "/limits", tag = "limits",
    responses((status = 200, description = "The limits in force.", body = Success<Limits>)))]
async fn limits_route(State(limits): State<Arc<[Limit]>>, principal: Principal) -> Json<Success<Limits>> {
    let caller = Caller::of(&principal);
    Json(Success::new(Limits { items: limits.to_vec(), caller }, None))
}

/// The route, below `/api/v1`.
pub(crate) fn documented(limits: Arc<[Limit]>) -> OpenApiRouter {
    OpenApiRouter::default().routes(routes!(limits_route)).with_state(limits)
}
