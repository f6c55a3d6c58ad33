//! The listeners and the runtime of the slow path.
//!
//! [`Server::start`] binds at once, so that a taken port is an error of the start, and runs on threads of its own.
//! Accepting is bounded, every connection's wait has an end, and [`Server::stop`] ends all of it in a stated time.

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tower::ServiceExt;

use crate::config::{Config, Listen};
use crate::intake::{Accepted, Intake, Rewound, intake};
use crate::limit::Peer;
use crate::paced::Paced;
use crate::pages::WRITE_PERIOD;
use crate::routes::{State, admin_router, market_data_router, router};

/// Why the slow path could not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {reason}; choose another address with `{key}`")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The configuration key that changes it.
        key: &'static str,
        /// What the system said, in words.
        reason: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The runtime cannot be built.
    #[error("cannot start the threads of the REST runtime: {0}")]
    Runtime(#[source] std::io::Error),
}

/// The running slow path.
pub struct Server {
    runtime: Option<tokio::runtime::Runtime>,
    running: Option<tokio::task::JoinHandle<()>>,
    state: Arc<State>,
    intake: Intake,
    main: SocketAddr,
    admin: Option<SocketAddr>,
}

impl Server {
    /// Binds, builds the runtime and serves until [`Server::stop`].
    ///
    /// # Errors
    /// An address is taken or not ours, or threads cannot be started.
    pub fn start(state: Arc<State>) -> Result<Self, ServeError> {
        let config = &state.config;
        let (main_listener, main) = bind(&config.main)?;
        let (admin_listener, admin) = config.admin.as_ref().map(bind).transpose()?.unzip();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(config.worker_threads.clamp(1, 64))
            .thread_name("rest")
            .enable_all()
            .build()
            .map_err(ServeError::Runtime)?;
        let (intake, accepted) = intake();
        let running = runtime.spawn(run(main_listener, admin_listener, accepted, Arc::clone(&state)));
        Ok(Self { runtime: Some(runtime), running: Some(running), state, intake, main, admin })
    }

    /// Where the market-data port hands connections that are not its WebSocket.
    #[must_use]
    pub fn intake(&self) -> Intake {
        self.intake.clone()
    }

    /// Address of the main port.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.main
    }

    /// Address of the admin port.
    #[must_use]
    pub fn admin_addr(&self) -> Option<SocketAddr> {
        self.admin
    }

    /// The state it serves.
    #[must_use]
    pub fn state(&self) -> &Arc<State> {
        &self.state
    }

    /// Stops: no new connections, open requests get `shutdown_timeout`, then everything is cut. Blocks until then.
    pub fn stop(mut self) {
        self.stop_now();
    }

    fn stop_now(&mut self) {
        let Some(runtime) = self.runtime.take() else { return };
        self.state.health.begin_shutdown();
        self.state.stopping.send_replace(true);
        let limit = self.state.config.shutdown_timeout;
        if let Some(running) = self.running.take() {
            // OK because run() keeps to the limit itself; the second one is for a runtime that is stuck.
            let _ = runtime.block_on(async { timeout(limit + Duration::from_millis(100), running).await });
        }
        runtime.shutdown_timeout(Duration::from_millis(100));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop_now();
    }
}

fn bind(listen: &Listen) -> Result<(StdListener, SocketAddr), ServeError> {
    let bound = StdListener::bind(listen.address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    });
    bound.map_err(|source| ServeError::Listen {
        address: listen.address,
        key: listen.key,
        reason: match source.kind() {
            std::io::ErrorKind::AddrInUse => "another process has this port".to_owned(),
            std::io::ErrorKind::AddrNotAvailable => "this machine does not have this address".to_owned(),
            std::io::ErrorKind::PermissionDenied => "this user may not take this port".to_owned(),
            _ => source.to_string(),
        },
        source,
    })
}

/// Serves all ports until the state says that the process stops; always ends then, within `shutdown_timeout`.
async fn run(main: StdListener, admin: Option<StdListener>, accepted: mpsc::Receiver<Accepted>, state: Arc<State>) {
    let mut ports = JoinSet::new();
    ports.spawn(take_over(accepted, market_data_router(&state), Arc::clone(&state)));
    ports.spawn(listen(main, router(&state), Arc::clone(&state)));
    if let Some(admin) = admin {
        ports.spawn(listen(admin, admin_router(&state), Arc::clone(&state)));
    }
    let writer = tokio::spawn(write_pages(Arc::clone(&state)));
    while ports.join_next().await.is_some() {}
    writer.abort();
}

/// Keeps the pages for other ports fresh, and the table of allowances small.
async fn write_pages(state: Arc<State>) {
    let mut tick = tokio::time::interval(WRITE_PERIOD);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut writes = 0u32;
    loop {
        tick.tick().await;
        state.pages.write_all();
        writes = writes.wrapping_add(1);
        if let Some(allowances) = state.allowances.as_ref().filter(|_| writes.is_multiple_of(64)) {
            allowances.sweep();
        }
    }
}

/// One port: accepts until the process stops, then waits for what is open.
async fn listen(listener: StdListener, routes: Router, state: Arc<State>) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "a listener could not be given to the runtime"),
    };
    let mut connections = Connections::new(routes, state);
    loop {
        tokio::select! {
            biased;
            () = connections.state.stopped() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => connections.open(stream, peer, Vec::new()).await,
                Err(error) => {
                    // Out of descriptors, most likely: the connection stays in the kernel's queue, so wait a little.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
            Some(_) = connections.open.join_next() => {}
        }
    }
    drop(listener);
    connections.finish().await;
}

/// Connections that the market-data port accepted, until the process stops.
async fn take_over(mut accepted: mpsc::Receiver<Accepted>, routes: Router, state: Arc<State>) {
    let mut connections = Connections::new(routes, state);
    loop {
        tokio::select! {
            biased;
            () = connections.state.stopped() => break,
            Some(Accepted { stream, peer, read }) = accepted.recv() => match TcpStream::from_std(stream) {
                Ok(stream) => connections.open(stream, peer, read).await,
                Err(error) => tracing::warn!(%error, %peer, "a connection could not be given to the runtime"),
            },
            Some(_) = connections.open.join_next() => {}
        }
    }
    drop(accepted);
    connections.finish().await;
}

/// The open connections of one port, at most `connections_max`.
struct Connections {
    routes: Router,
    state: Arc<State>,
    room: Arc<Semaphore>,
    open: JoinSet<()>,
}

impl Connections {
    fn new(routes: Router, state: Arc<State>) -> Self {
        let room = Arc::new(Semaphore::new(state.config.connections_max));
        Self { routes, state, room, open: JoinSet::new() }
    }

    /// Serves a connection of which `read` was read already, or tells it that there is no room.
    async fn open(&mut self, stream: TcpStream, peer: SocketAddr, read: Vec<u8>) {
        match Arc::clone(&self.room).try_acquire_owned() {
            Ok(permit) => {
                let _ = stream.set_nodelay(true); // OK because it is only slower without
                let stream = Rewound::new(read, stream);
                self.open.spawn(serve(stream, peer, self.routes.clone(), Arc::clone(&self.state), permit));
            }
            Err(_) => {
                self.state.http.count_refused_connection();
                refuse(stream).await;
            }
        }
    }

    /// Waits for what is open, at most `shutdown_timeout`, then cuts it.
    async fn finish(mut self) {
        let limit = self.state.config.shutdown_timeout;
        let _ = timeout(limit, async { while self.open.join_next().await.is_some() {} }).await;
        self.open.abort_all();
    }
}

/// Tells a connection that there is no room, if its socket takes that much at once, and closes it.
async fn refuse(mut stream: TcpStream) {
    const ANSWER: &[u8] =
        b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let _ = timeout(Duration::from_millis(5), stream.write_all(ANSWER)).await;
}

/// One connection, request after request.
async fn serve(
    stream: Rewound<TcpStream>,
    peer: SocketAddr,
    routes: Router,
    state: Arc<State>,
    _permit: OwnedSemaphorePermit,
) {
    let service = hyper::service::service_fn(move |request: Request<hyper::body::Incoming>| {
        let routes = routes.clone();
        async move {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(Peer(peer.ip()));
            let response: Result<_, Infallible> = routes.oneshot(request).await;
            response
        }
    });
    let Config { head_timeout, head_bytes_max, write_timeout, .. } = state.config;
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head_timeout)
        .max_buf_size(head_bytes_max.max(8 * 1024))
        .serve_connection(TokioIo::new(Paced::new(stream, write_timeout)), service)
        .with_upgrades();
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = state.stopped() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, %peer, "a connection ended early");
    }
}
