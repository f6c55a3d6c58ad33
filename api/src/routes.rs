//! All routes of the main and the admin port, built without a socket.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State as AxumState};
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue};
use axum::http::{StatusCode, Uri};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router, routing};
use book::metrics::MetricSource;
use tokio::sync::{Semaphore, watch};
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::timeout::TimeoutLayer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::config::{Config, Limit};
use crate::error::{ApiError, AsIs, accepts, shape_errors};
use crate::health::Health;
use crate::limit::{Allowances, limit_rate};
use crate::metrics::{HttpMetrics, SERVICE_ADMIN, SERVICE_MARKET_DATA, SERVICE_REST};
use crate::page;
use crate::pages::{BuildInfo, Pages};
use crate::view::View;
use crate::{market, openapi, tunnel};

/// What the composition root hands in.
pub struct Parts {
    /// The books to show.
    pub view: View,
    /// The checks of this process.
    pub health: Arc<Health>,
    /// Every metric source of this process, but for those of this crate.
    pub metrics: Vec<Arc<dyn MetricSource>>,
    /// Which build this is.
    pub build: BuildInfo,
    /// Limits of the other parts, for `GET /api/v1/limits`.
    pub limits: Vec<Limit>,
}

/// Everything that a handler may use.
pub struct State {
    pub(crate) config: Config,
    pub(crate) view: View,
    pub(crate) health: Arc<Health>,
    pub(crate) pages: Arc<Pages>,
    pub(crate) http: Arc<HttpMetrics>,
    pub(crate) allowances: Option<Allowances>,
    pub(crate) tunnels: Arc<Semaphore>,
    pub(crate) limits: Vec<Limit>,
    pub(crate) stopping: watch::Sender<bool>,
}

/// The state as handlers take it.
pub(crate) type Shared = Arc<State>;

impl State {
    /// The state of one process.
    #[must_use]
    pub fn new(config: Config, parts: Parts) -> Arc<Self> {
        let http = HttpMetrics::new();
        let mut sources = parts.metrics;
        sources.push(Arc::new(parts.view.clone()));
        let pages = Arc::new(Pages::new(Arc::clone(&parts.health), sources, &http, parts.build));
        Arc::new(Self {
            view: parts.view,
            health: parts.health,
            pages,
            http,
            allowances: Allowances::new(&config, governor::clock::DefaultClock::default()),
            tunnels: Arc::new(Semaphore::new(config.tunnels_max)),
            limits: parts.limits,
            stopping: watch::Sender::new(false),
            config,
        })
    }

    /// Ends when the process stops.
    pub(crate) async fn stopped(&self) {
        let _ = self.stopping.subscribe().wait_for(|&stopping| stopping).await;
    }

    /// Health, build and metrics, for other ports of this process that answer the same paths.
    #[must_use]
    pub fn pages(&self) -> Arc<Pages> {
        Arc::clone(&self.pages)
    }

    /// The counters of requests, for another server of this process that wants to be counted.
    #[must_use]
    pub fn http_metrics(&self) -> Arc<HttpMetrics> {
        Arc::clone(&self.http)
    }
}

/// Everything but the web page, as routes and as OpenAPI.
pub(crate) fn documented() -> OpenApiRouter<Shared> {
    market_data().routes(routes!(tunnel::passage)).routes(routes!(tunnel::passage_below))
}

/// Queries of the market, as routes and as OpenAPI.
fn market_data() -> OpenApiRouter<Shared> {
    let market_data = OpenApiRouter::new()
        .routes(routes!(market::symbols))
        .routes(routes!(market::symbol))
        .routes(routes!(market::quotes))
        .routes(routes!(market::quote))
        .routes(routes!(market::orderbook))
        .routes(routes!(market::trades))
        .routes(routes!(market::candles))
        .routes(routes!(market::movers));
    let api = OpenApiRouter::new().nest("/market-data", market_data).routes(routes!(market::limits));
    OpenApiRouter::with_openapi(openapi::head()).nest("/api/v1", api)
}

/// The main port: REST, health, metrics, OpenAPI, the WebSocket passage, the web page.
pub fn router(state: &Arc<State>) -> Router {
    let (documented, _) = documented().split_for_parts();
    let routes = documented
        .layer(from_fn_with_state(Arc::clone(state), limit_rate))
        .merge(page_routes())
        .merge(openapi::routes())
        .fallback(page::asset);
    layered(routes, state, SERVICE_REST)
}

/// The port of the market-data WebSocket, as far as it is not that socket: REST, health, metrics, OpenAPI. Without the
/// passage, which would lead back to the same port.
pub(crate) fn market_data_router(state: &Arc<State>) -> Router {
    let (documented, _) = market_data().split_for_parts();
    let routes = documented
        .layer(from_fn_with_state(Arc::clone(state), limit_rate))
        .merge(page_routes())
        .merge(openapi::routes())
        .fallback(|| async {
            ApiError::new(StatusCode::NOT_FOUND, "NOT_FOUND", "nothing here; the market-data WebSocket is /ws/v2")
        });
    layered(routes, state, SERVICE_MARKET_DATA)
}

/// The admin port: health and metrics only.
pub fn admin_router(state: &Arc<State>) -> Router {
    layered(page_routes().fallback(|| async { StatusCode::NOT_FOUND }), state, SERVICE_ADMIN)
}

fn page_routes() -> Router<Shared> {
    crate::pages::PATHS.iter().fold(Router::new(), |router, (path, _)| router.route(path, routing::get(page_text)))
}

async fn page_text(AxumState(state): AxumState<Shared>, request: Request) -> Response {
    let uri: &Uri = request.uri();
    let open_metrics = accepts(request.headers(), "application/openmetrics-text");
    let Some(text) = state.pages.write(uri.path(), uri.query().unwrap_or_default(), open_metrics) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let status = StatusCode::from_u16(text.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let kind = HeaderValue::from_static(text.content_type);
    (status, Extension(AsIs), [(CONTENT_TYPE, kind)], text.body).into_response()
}

/// What every request goes through, outermost first: counted, a panic caught, errors shaped, bounded in time and size.
fn layered(routes: Router<Shared>, state: &Arc<State>, service: &'static str) -> Router {
    let http = Arc::clone(&state.http);
    let on_panic = move |_: Box<dyn std::any::Any + Send>| {
        http.count_panic();
        tracing::error!("a handler panicked; the request is answered with 500");
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", "this is a fault of ours; it has been logged")
            .into_response()
    };
    let counted = (Arc::clone(state), service);
    routes
        .layer(
            ServiceBuilder::new()
                .layer(from_fn(shape_errors))
                .layer(CatchPanicLayer::custom(on_panic))
                .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, state.config.request_timeout))
                .layer(RequestBodyLimitLayer::new(state.config.body_bytes_max)),
        )
        .layer(CompressionLayer::new())
        .layer(from_fn(secure))
        .layer(from_fn_with_state(counted, count))
        .with_state(Arc::clone(state))
}

async fn count(
    AxumState((state, service)): AxumState<(Shared, &'static str)>,
    request: Request,
    next: Next,
) -> Response {
    let begin = Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    let route = route.as_ref().map(MatchedPath::as_str);
    state.http.count(service, method.as_str(), response.status().as_u16(), route, begin.elapsed());
    response
}

/// Headers that keep a browser from doing more with an answer than it should.
async fn secure(request: Request, next: Next) -> Response {
    let is_swagger = request.uri().path().starts_with("/swagger-ui");
    let mut response = next.run(request).await;
    let policy = if is_swagger { page::SWAGGER_SECURITY_POLICY } else { page::CONTENT_SECURITY_POLICY };
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use book::replica::Options;
    use book::ring::{Notifier, ring};
    use std::time::Duration;
    use tower::ServiceExt;

    /// The answer of one handler behind everything that every request goes through.
    async fn answer(routes: Router<Shared>, request: Request) -> (StatusCode, serde_json::Value, Arc<State>) {
        let (_, view) = crate::ViewWorker::new(ring("view", 8, Notifier::new()).1, Options::default());
        let health = Arc::new(Health::new());
        let build = BuildInfo { version: "1", revision: "2", rustc: "3" };
        let parts = Parts { view, health, metrics: Vec::new(), build, limits: Vec::new() };
        let state = State::new(Config::default(), parts);
        let response = layered(routes, &state, "test").oneshot(request).await.unwrap();
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap(), state)
    }

    fn ask() -> Request {
        Request::get("/").body(Body::empty()).unwrap()
    }

    #[tokio::test]
    async fn a_panic_is_one_answer_and_one_count() {
        let routes = Router::new().fallback(|| async { panic!("a fault, on purpose") as StatusCode });
        let (status, body, state) = answer(routes, ask()).await;
        assert_eq!((status, &body["error"]["code"]), (StatusCode::INTERNAL_SERVER_ERROR, &"INTERNAL".into()));
        assert!(!body.to_string().contains("on purpose"), "nothing of the inside is told");
        let metrics = state.pages().write("/metrics", "", false).unwrap().body;
        assert!(metrics.contains("bist_http_panics_total 1"), "{metrics}");
        assert!(metrics.contains(r#"http_requests_total{service="test",method="GET",status="500"} 1"#), "{metrics}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_takes_too_long_is_given_up() {
        let routes = Router::new().fallback(|| async { tokio::time::sleep(Duration::from_secs(3_600)).await });
        let (status, body, _) = answer(routes, ask()).await;
        assert_eq!((status, &body["error"]["code"]), (StatusCode::SERVICE_UNAVAILABLE, &"TIMEOUT".into()));
    }

    #[tokio::test]
    async fn a_body_that_is_too_long_is_not_read() {
        let routes = Router::new().fallback(|body: axum::body::Bytes| async move { body.len().to_string() });
        let request = Request::post("/").header("content-length", "65537").body(Body::from(vec![0; 65_537])).unwrap();
        let (status, body, _) = answer(routes, request).await;
        assert_eq!((status, &body["error"]["code"]), (StatusCode::PAYLOAD_TOO_LARGE, &"PAYLOAD_TOO_LARGE".into()));
    }
}
