//! The WebSocket proxy: `/ws/v2` on the gateway's port leads, byte for byte, to the market-data server.
//!
//! Forwards the upgrade request as it came; after the 101 it copies both directions and looks at nothing. Frames,
//! subscriptions and slow readers are the market-data server's business: two buffers of 8 KiB are all that waits here.
//! When one side closes, the other has `close_timeout` to do so too. Never tries twice.

mod config;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use api_kit::error::{ApiError, AsIs};
use api_kit::paced::Paced;
use api_kit::principal::Peer;
use api_kit::shutdown::Shutdown;
use api_kit::{MetricSource, Sample};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CONNECTION, HOST, HeaderName, UPGRADE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use crate::ws_proxy::config::WsProxyConfig;

/// The header by which the market-data server of this process knows the gateway.
const FORWARDER: HeaderName = HeaderName::from_static("x-bist-forwarder");

/// A connection that is open when the process stops has this long to close.
const GOODBYE: Duration = Duration::from_millis(200);

/// The state of the proxy.
pub struct WsProxy {
    config: WsProxyConfig,
    room: Arc<Semaphore>,
    shutdown: Shutdown,
    counts: Arc<WsProxyMetrics>,
}

/// Connections proxied so far and now.
#[derive(Default)]
pub struct WsProxyMetrics {
    opened: AtomicU64,
    open: AtomicU64,
}

impl WsProxy {
    /// No connection yet.
    #[must_use]
    pub fn new(config: WsProxyConfig, shutdown: Shutdown) -> Arc<Self> {
        let room = Arc::new(Semaphore::new(config.connections_max));
        Arc::new(Self { config, room, shutdown, counts: Arc::default() })
    }

    /// What it counts.
    #[must_use]
    pub fn metrics(&self) -> Arc<WsProxyMetrics> {
        Arc::clone(&self.counts)
    }
}

impl MetricSource for WsProxyMetrics {
    fn collect(&self, samples: &mut Vec<Sample>) {
        samples.push(Sample::counter(
            "bist_ws_proxy_connections_total",
            "WebSocket connections proxied to the market-data server.",
            &[],
            self.opened.load(Ordering::Relaxed),
        ));
        samples.push(Sample::gauge(
            "bist_ws_proxy_connections_open",
            "Open WebSocket connections proxied to the market-data server.",
            &[],
            self.open.load(Ordering::Relaxed) as f64,
        ));
    }
}

/// The two paths of the proxy.
pub(crate) fn documented(proxy: Arc<WsProxy>) -> OpenApiRouter {
    OpenApiRouter::default().routes(routes!(ws)).routes(routes!(ws_below)).with_state(proxy)
}

/// Passes a WebSocket on to the market-data server
#[utoipa::path(get, path = "/ws/v2", tag = "websocket",
    responses(
        (status = 101, description = "The connection is a WebSocket now; see docs/protocols/websocket.md."),
        (status = 426, description = "The request is no WebSocket handshake (`UPGRADE_REQUIRED`).", body = api_kit::envelope::Failure),
        (status = 502, description = "The market-data server does not accept (`UPSTREAM_UNAVAILABLE`).", body = api_kit::envelope::Failure),
        (status = 503, description = "As many as allowed are open (`TOO_MANY_CONNECTIONS`).", body = api_kit::envelope::Failure),
        (status = 504, description = "The market-data server does not answer (`UPSTREAM_TIMEOUT`).", body = api_kit::envelope::Failure),
    ))]
async fn ws(State(proxy): State<Arc<WsProxy>>, request: Request) -> Result<Response, ApiError> {
    open(proxy, request).await
}

/// The same for every path below, e.g. `/ws/v2/test`
#[utoipa::path(get, path = "/ws/v2/{*path}", tag = "websocket",
    params(("path" = String, Path, description = "Rest of the path.", max_length = 256, example = "test")),
    responses(
        (status = 101, description = "As `/ws/v2`."),
        (status = 426, description = "The request is no WebSocket handshake (`UPGRADE_REQUIRED`).", body = api_kit::envelope::Failure),
    ))]
async fn ws_below(State(proxy): State<Arc<WsProxy>>, request: Request) -> Result<Response, ApiError> {
    open(proxy, request).await
}

async fn open(proxy: Arc<WsProxy>, mut request: Request) -> Result<Response, ApiError> {
    if !is_handshake(request.headers()) {
        return Err(ApiError::new(
            StatusCode::UPGRADE_REQUIRED,
            "UPGRADE_REQUIRED",
            "this path is a WebSocket: ask with Connection: Upgrade and Upgrade: websocket",
        ));
    }
    let permit = Arc::clone(&proxy.room).try_acquire_owned().map_err(|_| ApiError {
        retry_after_s: Some(1),
        ..ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "TOO_MANY_CONNECTIONS",
            format!("{} WebSockets are open, as many as this port passes on", proxy.config.connections_max),
        )
    })?;
    let near = hyper::upgrade::on(&mut request);
    let mut response = forward(&proxy.config, request).await?;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let far = hyper::upgrade::on(&mut response);
        tokio::spawn(copy(proxy, near, far, permit));
    }
    let (parts, body) = response.into_parts();
    let mut response = Response::from_parts(parts, Body::new(body));
    response.extensions_mut().insert(AsIs);
    Ok(response)
}

fn is_handshake(headers: &HeaderMap) -> bool {
    let names = |name, word: &str| {
        headers
            .get_all(name)
            .iter()
            .filter_map(|value: &HeaderValue| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|token| token.trim().eq_ignore_ascii_case(word))
    };
    names(CONNECTION, "upgrade") && names(UPGRADE, "websocket")
}

/// Sends the request on and takes the head of the answer.
async fn forward(config: &WsProxyConfig, request: Request) -> Result<hyper::Response<hyper::body::Incoming>, ApiError> {
    let target = config.market_data;
    let unavailable = |what: &str| {
        tracing::warn!(%target, what, "the market-data server does not accept a proxied WebSocket");
        ApiError::new(
            StatusCode::BAD_GATEWAY,
            "UPSTREAM_UNAVAILABLE",
            format!("the market-data server at {target} {what}; is it running there?"),
        )
    };
    let stream = timeout(config.connect_timeout, TcpStream::connect(target))
        .await
        .map_err(|_| unavailable("did not accept a connection in time"))?
        .map_err(|error| unavailable(&format!("refused a connection ({})", error.kind())))?;
    let _ = stream.set_nodelay(true); // OK because it is only slower without
    let answer = async {
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(Paced::new(stream, config.write_timeout))).await?;
        // Ends with the request that it carries, or when its socket has become one end of the proxied connection.
        tokio::spawn(connection.with_upgrades());
        sender.send_request(as_it_came(request, config.forwarder.as_ref())).await
    };
    timeout(config.answer_timeout, answer)
        .await
        .map_err(|_| {
            ApiError::new(
                StatusCode::GATEWAY_TIMEOUT,
                "UPSTREAM_TIMEOUT",
                format!("the market-data server at {target} did not answer the upgrade in time"),
            )
        })?
        .map_err(|error| unavailable(&format!("broke the handshake off ({error})")))
}

/// The request without a body (a handshake has none) and with the address it came from.
fn as_it_came(
    request: Request,
    forwarder: Option<&HeaderValue>,
) -> hyper::Request<http_body_util::Empty<hyper::body::Bytes>> {
    let (mut parts, _) = request.into_parts();
    let peer = parts.extensions.get::<Peer>().and_then(|Peer(peer)| HeaderValue::from_str(&peer.to_string()).ok());
    if let Some(peer) = peer {
        parts.headers.append("x-forwarded-for", peer);
    }
    // Whatever a client sends under this name goes no farther.
    parts.headers.remove(FORWARDER);
    if let Some(forwarder) = forwarder {
        parts.headers.insert(FORWARDER, forwarder.clone());
    }
    if !parts.headers.contains_key(HOST) {
        parts.headers.insert(HOST, HeaderValue::from_static("localhost")); // OK because HTTP/1.0 may leave it out
    }
    let mut forwarded = hyper::Request::new(http_body_util::Empty::new());
    *forwarded.method_mut() = parts.method;
    *forwarded.uri_mut() =
        parts.uri.path_and_query().map_or_else(|| "/ws/v2".parse(), |path| path.as_str().parse()).unwrap_or_default();
    *forwarded.headers_mut() = parts.headers;
    forwarded
}

/// Copies until one side closes or the process stops.
async fn copy(proxy: Arc<WsProxy>, near: OnUpgrade, far: OnUpgrade, permit: OwnedSemaphorePermit) {
    let both = timeout(proxy.config.answer_timeout, async { tokio::try_join!(near, far) }).await;
    let (near, far) = match both {
        Ok(Ok(both)) => both,
        Ok(Err(error)) => return tracing::debug!(%error, "a proxied WebSocket was not taken up"),
        Err(_) => return tracing::debug!("a proxied WebSocket was not taken up in time"),
    };
    let counts = &proxy.counts;
    counts.open.fetch_add(1, Ordering::Relaxed);
    counts.opened.fetch_add(1, Ordering::Relaxed);
    let (mut near_read, mut near_write) = tokio::io::split(TokioIo::new(near));
    let (mut far_read, mut far_write) = tokio::io::split(TokioIo::new(far));
    // OK because an end by error and an end in order mean the same here: this direction is over.
    let up = async {
        let _ = tokio::io::copy(&mut near_read, &mut far_write).await;
        let _ = far_write.shutdown().await;
    };
    let down = async {
        let _ = tokio::io::copy(&mut far_read, &mut near_write).await;
        let _ = near_write.shutdown().await;
    };
    tokio::pin!(up, down);
    let limit = proxy.config.close_timeout;
    tokio::select! {
        () = &mut up => { let _ = timeout(limit, down).await; }
        () = &mut down => { let _ = timeout(limit, up).await; }
        // The market-data server stops at the same time and closes with its own code: let that through.
        () = proxy.shutdown.begun() => { let _ = timeout(GOODBYE, async { tokio::join!(up, down) }).await; }
    }
    counts.open.fetch_sub(1, Ordering::Relaxed);
    drop(permit);
}
