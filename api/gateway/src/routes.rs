//! Everything that the gateway's port answers. Opens no socket.

use std::sync::Arc;

use api_clients::market_data::{MarketDataClient, rest};
use api_kit::common::Common;
use api_kit::openapi;
use axum::Router;
use utoipa_axum::router::OpenApiRouter;

use crate::assets;
use crate::ws_proxy::{self, WsProxy};

/// `service` label of the port.
pub const SERVICE: &str = "rest";

/// What the gateway leads to.
pub struct Gateway {
    /// The market-data service.
    pub market_data: Arc<dyn MarketDataClient>,
    /// The way to the public WebSocket.
    pub ws_proxy: Arc<WsProxy>,
}

/// The routes of the port: REST, health, metrics, OpenAPI, the WebSocket proxy, the web page.
pub fn router(gateway: Gateway, common: &Common) -> Router {
    let documented = OpenApiRouter::with_openapi(openapi::head("BIST Trading Platform", rest::DESCRIPTION))
        .nest(rest::PREFIX, rest::documented(gateway.market_data))
        .merge(ws_proxy::documented(gateway.ws_proxy));
    common.layered(common.routes(documented).fallback(assets::asset), SERVICE)
}
