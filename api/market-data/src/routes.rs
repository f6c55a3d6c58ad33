//! What the market-data port answers over HTTP: REST over this process's own view.
//!
//! Opens no socket; the WebSocket of the same port is the fan-out's business.

use std::sync::Arc;

use api_clients::market_data::rest;
use api_kit::common::Common;
use api_kit::error::ApiError;
use api_kit::openapi;
use axum::Router;
use axum::http::StatusCode;
use utoipa_axum::router::OpenApiRouter;

use crate::service::MarketData;

/// `service` label of the port.
pub const SERVICE: &str = "market-data-service";

/// The routes of the port.
pub fn router(service: Arc<MarketData>, common: &Common) -> Router {
    let head = openapi::head("BIST Trading Platform: market data", rest::DESCRIPTION);
    let documented = OpenApiRouter::with_openapi(head).nest(rest::PREFIX, rest::documented(service));
    common.layered(common.routes(documented, None).fallback(nothing), SERVICE)
}

async fn nothing() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "NOT_FOUND", "nothing is at this path; the market-data WebSocket is /ws/v2")
}
