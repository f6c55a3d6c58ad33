//! What every request passes, outermost first: counted, secured by headers, compressed, errors shaped, a panic caught,
//! bounded in time and size.
//!
//! Never looks into a body, and tells a caller nothing of the inside.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{CONTENT_SECURITY_POLICY, HeaderName, HeaderValue};
use axum::http::{Method, StatusCode};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::cors::{AllowOrigin, CorsLayer};
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::timeout::TimeoutLayer;

use crate::error::{ApiError, shape_errors};
use crate::http_metrics::HttpMetrics;
use crate::limits::Limit;

/// Bounds of one request.
#[derive(Clone, Copy, Debug)]
pub struct RequestBounds {
    /// Longest body in bytes, of any path; a path may take less.
    pub body_bytes_max: usize,
    /// Time for an answer to be made.
    pub request_timeout: Duration,
}

impl Default for RequestBounds {
    fn default() -> Self {
        Self { body_bytes_max: 64 * 1024, request_timeout: Duration::from_secs(5) }
    }
}

impl RequestBounds {
    /// The limits as they stand.
    #[must_use]
    pub fn limits(&self) -> Vec<Limit> {
        vec![
            Limit::of("rest.body_bytes_max", self.body_bytes_max, "bytes", "413 PAYLOAD_TOO_LARGE"),
            Limit::of_time("rest.request_timeout", self.request_timeout, "503 TIMEOUT"),
        ]
    }
}

/// When the answer to a request will be given up; the layers put it into every request, so that whoever asks another process
/// for it waits no longer than that.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(pub Instant);

/// Scripts and styles only as files of ours: nothing inline, no `eval`, no other host, no frame around it.
const SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' data:; font-src 'self'; connect-src 'self'; manifest-src 'self'; worker-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Swagger UI sets style attributes of its own.
const SWAGGER_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; \
    style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; connect-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Seconds for which a browser may keep the answer to its question before a request.
const PREFLIGHT_KEPT: Duration = Duration::from_secs(3_600);

/// `routes` for pages of these origins (`https://example.com`) too; nobody is named by default. Never with credentials: an
/// answer to another origin is what anybody gets.
pub fn with_cors(routes: Router, origins: &[HeaderValue]) -> Router {
    if origins.is_empty() {
        return routes;
    }
    let told = ["ratelimit-limit", "ratelimit-remaining", "ratelimit-reset", "retry-after"];
    let cors = CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins.iter().cloned()))
        .allow_methods([Method::GET, Method::HEAD])
        .expose_headers(told.map(HeaderName::from_static))
        .max_age(PREFLIGHT_KEPT);
    routes.layer(cors)
}

/// `routes` behind all of it. `service` labels the requests of this port.
pub fn layered(routes: Router, service: &'static str, bounds: RequestBounds, http: &Arc<HttpMetrics>) -> Router {
    let counted = (Arc::clone(http), service, bounds.request_timeout);
    let http = Arc::clone(http);
    let on_panic = move |_: Box<dyn std::any::Any + Send>| {
        http.count_panic();
        tracing::error!("a handler panicked; the request is answered with 500");
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", "this is a fault of ours; it has been logged")
            .into_response()
    };
    routes
        .layer(
            ServiceBuilder::new()
                .layer(from_fn(shape_errors))
                .layer(CatchPanicLayer::custom(on_panic))
                .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, bounds.request_timeout))
                .layer(RequestBodyLimitLayer::new(bounds.body_bytes_max)),
        )
        .layer(CompressionLayer::new())
        .layer(from_fn(secure))
        .layer(from_fn_with_state(counted, count))
}

async fn count(
    State((http, service, request_timeout)): State<(Arc<HttpMetrics>, &'static str, Duration)>,
    mut request: Request,
    next: Next,
) -> Response {
    let begin = Instant::now();
    request.extensions_mut().insert(Deadline(begin + request_timeout));
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    let route = route.as_ref().map(MatchedPath::as_str);
    http.count(service, method.as_str(), response.status().as_u16(), route, begin.elapsed());
    response
}

/// Headers that keep a browser from doing more with an answer than it should.
async fn secure(request: Request, next: Next) -> Response {
    let is_swagger = request.uri().path().starts_with("/swagger-ui");
    let mut response = next.run(request).await;
    let policy = if is_swagger { SWAGGER_SECURITY_POLICY } else { SECURITY_POLICY };
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
    use book::metrics::{MetricSource, Value};
    use tower::ServiceExt;

    /// The answer of one handler behind everything that every request passes.
    async fn answer(routes: Router, request: Request) -> (StatusCode, serde_json::Value, Arc<HttpMetrics>) {
        let http = HttpMetrics::new(&[]);
        let response = layered(routes, "test", RequestBounds::default(), &http).oneshot(request).await.unwrap();
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap(), http)
    }

    /// The counter `name` with exactly these values of its labels.
    fn counted(http: &HttpMetrics, name: &str, labels: &[&str]) -> u64 {
        let mut samples = Vec::new();
        http.collect(&mut samples);
        let is_it = |sample: &&book::metrics::Sample| {
            sample.name == name && sample.labels.iter().map(|(_, value)| value.as_str()).eq(labels.iter().copied())
        };
        match samples.iter().find(is_it).map(|sample| &sample.value) {
            Some(Value::Counter(count)) => *count,
            other => panic!("{name} {labels:?}: {}", other.is_some()),
        }
    }

    fn ask() -> Request {
        Request::get("/").body(Body::empty()).unwrap()
    }

    #[tokio::test]
    async fn a_panic_is_one_answer_and_one_count() {
        let routes = Router::new().fallback(|| async { panic!("a fault, on purpose") as StatusCode });
        let (status, body, http) = answer(routes, ask()).await;
        assert_eq!((status, &body["error"]["code"]), (StatusCode::INTERNAL_SERVER_ERROR, &"INTERNAL".into()));
        assert!(!body.to_string().contains("on purpose"), "nothing of the inside is told");
        assert_eq!(counted(&http, "bist_http_panics_total", &[]), 1);
        assert_eq!(counted(&http, "http_requests_total", &["test", "GET", "500"]), 1);
    }

    #[tokio::test]
    async fn a_page_of_another_origin_reads_only_where_it_is_named_and_never_with_credentials() {
        let routes = || Router::new().fallback(|| async { "1" });
        let ask = async |origins: &[&'static str], method: &str, origin: &str| {
            let origins: Vec<HeaderValue> = origins.iter().map(|&origin| HeaderValue::from_static(origin)).collect();
            let request = Request::builder().method(method).header("origin", origin);
            let request = request.header("access-control-request-method", "GET").body(Body::empty()).unwrap();
            with_cors(routes(), &origins).oneshot(request).await.unwrap().headers().clone()
        };
        let named = ["https://desk.example"];
        for method in ["GET", "OPTIONS"] {
            let told = ask(&named, method, "https://desk.example").await;
            assert_eq!(told["access-control-allow-origin"], "https://desk.example", "{method}");
            for (origins, origin) in [(&named[..], "https://other.example"), (&[], "https://desk.example")] {
                let told = ask(origins, method, origin).await;
                assert!(told.get("access-control-allow-origin").is_none(), "{method} {origins:?}");
            }
            assert!(told.get("access-control-allow-credentials").is_none(), "{method}");
        }
        assert_eq!(ask(&named, "OPTIONS", "https://desk.example").await["access-control-allow-methods"], "GET,HEAD");
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
