//! The listeners and the runtime of the slow path, for any routers.
//!
//! [`Server::start`] binds at once, so that a taken port is an error of the start, and runs on threads of its own.
//! Accepting is bounded, every connection's wait has an end, and [`Server::stop`] ends all of it in a stated time. Never
//! knows what a router answers.

mod connection;

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::common::Common;
use crate::health::Health;
use crate::http_metrics::HttpMetrics;
use crate::intake::{Arrivals, Connection};
use crate::limits::Limit;
use crate::server::connection::{refuse, serve};
use crate::shutdown::Shutdown;

/// An address to listen on, and the configuration key that changes it (for the error when it is taken).
#[derive(Clone, Debug)]
pub struct Listen {
    /// Address and port; port 0 = any free one.
    pub address: SocketAddr,
    /// The key as the operator writes it, e.g. `api.listen`.
    pub key: &'static str,
}

/// Threads of the runtime and bounds of its connections.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Threads of the runtime, 1..=64.
    pub worker_threads: usize,
    /// Open connections per port; beyond, a new one gets 503 and is closed.
    pub connections_max: usize,
    /// Longest request head in bytes.
    pub head_bytes_max: usize,
    /// Time for a request head to arrive, and for an idle connection to stay.
    pub head_timeout: Duration,
    /// Time that a write may wait for a client that does not read.
    pub write_timeout: Duration,
    /// Time that open requests are given at shutdown.
    pub shutdown_timeout: Duration,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            worker_threads: 2,
            connections_max: 1_024,
            head_bytes_max: 16 * 1024,
            head_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            shutdown_timeout: Duration::from_millis(800), // with what is cut after it, below a second
        }
    }
}

impl ServerConfig {
    /// The limits as they stand.
    #[must_use]
    pub fn limits(&self) -> Vec<Limit> {
        vec![
            Limit::of("rest.connections_max", self.connections_max, "connections", "503 and the connection is closed"),
            Limit::of("rest.head_bytes_max", self.head_bytes_max, "bytes", "431 and the connection is closed"),
            Limit::of_time("rest.head_timeout", self.head_timeout, "the connection is closed"),
            Limit::of_time("rest.write_timeout", self.write_timeout, "a client that does not read is cut off"),
        ]
    }
}

/// One address and what it answers.
pub struct Port {
    /// Where.
    pub listen: Listen,
    /// What.
    pub routes: Router,
}

/// Everything that one server serves.
pub struct Ports {
    /// The ports that it opens itself.
    pub listening: Vec<Port>,
    /// Connections handed over by another server of this process, and what they are answered.
    pub handed_over: Option<(Arrivals, Router)>,
}

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

/// The threads of the slow path.
///
/// # Errors
/// They cannot be started.
pub fn runtime(config: &ServerConfig) -> Result<Runtime, ServeError> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(config.worker_threads.clamp(1, 64))
        .thread_name("rest")
        .enable_all()
        .build()
        .map_err(ServeError::Runtime)
}

/// The running slow path.
pub struct Server {
    runtime: Option<Runtime>,
    running: Option<tokio::task::JoinHandle<()>>,
    serving: Arc<Serving>,
    health: Arc<Health>,
    addresses: Vec<SocketAddr>,
}

/// What every connection is served with.
struct Serving {
    config: ServerConfig,
    http: Arc<HttpMetrics>,
    shutdown: Shutdown,
}

impl Server {
    /// Binds and serves on `runtime` until [`Server::stop`].
    ///
    /// # Errors
    /// An address is taken or not ours.
    pub fn start(
        runtime: Runtime,
        config: ServerConfig,
        ports: Ports,
        common: &Common,
        shutdown: Shutdown,
    ) -> Result<Self, ServeError> {
        let mut doors = Vec::new();
        let mut addresses = Vec::new();
        for Port { listen, routes } in ports.listening {
            let (listener, address) = bind(&listen)?;
            doors.push((Door::Bound(listener), routes));
            addresses.push(address);
        }
        doors.extend(ports.handed_over.map(|(arrivals, routes)| (Door::Arrivals(arrivals), routes)));
        let serving = Arc::new(Serving { config, http: Arc::clone(common.http()), shutdown });
        let running = runtime.spawn(run(doors, Arc::clone(&serving)));
        let health = Arc::clone(common.health());
        Ok(Self { runtime: Some(runtime), running: Some(running), serving, health, addresses })
    }

    /// Addresses of the ports, in the order given.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Runs `task` beside the ports; it is dropped when the server stops.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = &self.runtime {
            runtime.spawn(task);
        }
    }

    /// Waits for `task` on the runtime. Not to be called from one of its threads.
    ///
    /// # Panics
    /// After [`Server::stop`], which takes the server away.
    pub fn block_on<T>(&self, task: impl Future<Output = T>) -> T {
        self.runtime.as_ref().expect("a server that is there has its runtime").block_on(task)
    }

    /// Stops: no new connections, open requests get `shutdown_timeout`, then everything is cut. Blocks until then.
    pub fn stop(mut self) {
        self.stop_now();
    }

    fn stop_now(&mut self) {
        let Some(runtime) = self.runtime.take() else { return };
        self.health.begin_shutdown();
        self.serving.shutdown.begin();
        let limit = self.serving.config.shutdown_timeout;
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

/// Serves all ports until the process stops; always ends then, within `shutdown_timeout`.
async fn run(doors: Vec<(Door, Router)>, serving: Arc<Serving>) {
    let mut ports: JoinSet<()> = doors
        .into_iter()
        .map(|(door, routes)| {
            let serving = Arc::clone(&serving);
            async move {
                match door.opened() {
                    Ok(door) => listen(door, routes, serving).await,
                    Err(error) => tracing::error!(%error, "a listener could not be given to the runtime"),
                }
            }
        })
        .collect();
    while ports.join_next().await.is_some() {}
}

/// Where connections come from.
enum Door {
    /// A listener that no runtime knows yet.
    Bound(StdListener),
    Listener(TcpListener),
    Arrivals(Arrivals),
}

impl Door {
    /// The same, known to the runtime that this is called on.
    fn opened(self) -> io::Result<Self> {
        Ok(match self {
            Self::Bound(listener) => Self::Listener(TcpListener::from_std(listener)?),
            opened => opened,
        })
    }

    /// The next connection; waits for ever when no more can come.
    async fn next(&mut self) -> io::Result<Connection<TcpStream>> {
        match self {
            Self::Bound(_) => std::future::pending().await,
            Self::Listener(listener) => {
                let (stream, peer) = listener.accept().await?;
                Ok(Connection { stream, peer, read: Vec::new() })
            }
            Self::Arrivals(arrivals) => {
                let Some(Connection { stream, peer, read }) = arrivals.receiver.recv().await else {
                    return std::future::pending().await;
                };
                stream.set_nonblocking(true)?;
                Ok(Connection { stream: TcpStream::from_std(stream)?, peer, read })
            }
        }
    }
}

/// One port: takes connections until the process stops, then waits for what is open.
async fn listen(mut door: Door, routes: Router, serving: Arc<Serving>) {
    let room = Arc::new(Semaphore::new(serving.config.connections_max));
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = serving.shutdown.begun() => break,
            next = door.next() => match next {
                Ok(connection) => match Arc::clone(&room).try_acquire_owned() {
                    Ok(permit) => {
                        connections.spawn(serve(connection, routes.clone(), Arc::clone(&serving), permit));
                    }
                    Err(_) => {
                        serving.http.count_refused_connection();
                        refuse(connection.stream).await;
                    }
                },
                Err(error) => {
                    // Out of descriptors, most likely: the connection stays in the kernel's queue, so wait a little.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
    drop(door);
    let limit = serving.config.shutdown_timeout;
    // OK because what is still open after the limit is cut.
    let _ = timeout(limit, async { while connections.join_next().await.is_some() {} }).await;
    connections.abort_all();
}
