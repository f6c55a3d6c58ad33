//! Everything that the gateway's port answers. Opens no socket.

use std::sync::Arc;

use api_clients::market_data::{MarketDataClient, rest};
use api_clients::users::{self, UsersClient};
use api_kit::access::{Access, Row};
use api_kit::common::Common;
use api_kit::openapi;
use axum::Router;
use utoipa::openapi::OpenApi;
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
    /// The users service.
    pub users: Arc<dyn UsersClient>,
    /// How that service describes its paths.
    pub users_spec: OpenApi,
}

/// Who may ask for the gateway's own paths. The market-data server has doors of its own for its sockets.
pub const ACCESS: &[Row] = &[Row::new("GET", "/ws/v2", Access::Open), Row::new("GET", "/ws/v2/{*path}", Access::Open)];

/// The routes of the port: REST, health, metrics, OpenAPI, the WebSocket proxy, the web page.
pub fn router(gateway: Gateway, common: &Common) -> Router {
    let documented = OpenApiRouter::with_openapi(openapi::head("BIST Trading Platform", rest::DESCRIPTION))
        .nest(rest::PREFIX, rest::documented(gateway.market_data))
        .merge(ws_proxy::documented(gateway.ws_proxy));
    let routes = common.routes(documented, Some(gateway.users_spec)).merge(users::forwarded(gateway.users));
    common.layered(routes.fallback(assets::asset), SERVICE)
}
