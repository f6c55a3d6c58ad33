//! One connection of a listener: its requests in order, its end, or the refusal when there is no room.
//!
//! Every wait has an end. Never accepts a connection and never knows what a router answers.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
use tower::ServiceExt;

use super::{ServerConfig, Serving};
use crate::intake::Connection;
use crate::paced::Paced;
use crate::prefixed::Prefixed;
use crate::principal::Peer;

/// Tells a connection that there is no room, if its socket takes that much at once, and closes it.
pub(super) async fn refuse(mut stream: TcpStream) {
    const ANSWER: &[u8] =
        b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let _ = timeout(Duration::from_millis(5), stream.write_all(ANSWER)).await;
}

/// One connection, request after request.
pub(super) async fn serve(
    connection: Connection<TcpStream>,
    routes: Router,
    serving: Arc<Serving>,
    _permit: OwnedSemaphorePermit,
) {
    let Connection { stream, peer, read } = connection;
    let _ = stream.set_nodelay(true); // OK because it is only slower without
    let service = hyper::service::service_fn(move |request: Request<hyper::body::Incoming>| {
        let routes = routes.clone();
        async move {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(Peer(peer.ip()));
            let response: Result<_, Infallible> = routes.oneshot(request).await;
            response
        }
    });
    let ServerConfig { head_timeout, head_bytes_max, write_timeout, .. } = serving.config;
    let socket = Paced::new(Prefixed::new(stream, read), write_timeout);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head_timeout)
        .max_buf_size(head_bytes_max.max(8 * 1024))
        .serve_connection(TokioIo::new(socket), service)
        .with_upgrades();
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = serving.shutdown.begun() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, %peer, "a connection ended early");
    }
}
