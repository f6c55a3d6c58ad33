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

use crate::envelope::Success;

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
}

/// Every number that a caller can hit
#[utoipa::path(get, path = "/limits", tag = "limits",
    responses((status = 200, description = "The limits in force.", body = Success<Limits>)))]
async fn limits_route(State(limits): State<Arc<[Limit]>>) -> Json<Success<Limits>> {
    Json(Success::new(Limits { items: limits.to_vec() }, None))
}

/// The route, below `/api/v1`.
pub(crate) fn documented(limits: Arc<[Limit]>) -> OpenApiRouter {
    OpenApiRouter::default().routes(routes!(limits_route)).with_state(limits)
}
