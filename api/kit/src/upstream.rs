//! Another process of the platform, reached over HTTP: pooled connections, times that end, a breaker, and one honest answer
//! for each way that a call can fail.
//!
//! A request goes on as it came, with the client's address. What is not safe is never sent twice; when its answer is lost,
//! the caller is told that nobody knows whether it was done. Never looks into a body or a credential.
//!
//! | what | bound | at the bound |
//! |---|---|---|
//! | calls under way | `calls_max` (256) | 503 `UPSTREAM_UNAVAILABLE` at once |
//! | a connection being made | `connect_timeout` (500 ms) | 503 `UPSTREAM_UNAVAILABLE` |
//! | an answer | `answer_timeout` (5 s), never past the request's own deadline | 504 `UPSTREAM_TIMEOUT` |
//! | a body, an answer | `body_bytes_max` (64 KiB), `answer_bytes_max` (4 MiB) | 413, 503 |

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::breaker::{Breaker, BreakerConfig, BreakerState, Outcome, Ticket};
use crate::error::ApiError;
use crate::health::Verdict;
use crate::limits::Limit;

mod base_url;
mod counts;
mod passing;

pub use base_url::{BaseUrl, BaseUrlError};
use counts::Counts;
pub use counts::Ended;

/// Time that is left for our own answer when a request's deadline is near.
const ANSWER_MARGIN: Duration = Duration::from_millis(150);

/// An idle connection is closed before the other side closes it (30 s).
const IDLE_MAX: Duration = Duration::from_secs(20);

/// Idle connections that are kept.
const IDLE_CONNECTIONS_MAX: usize = 32;

/// Longest head of an answer in bytes.
const HEAD_BYTES_MAX: usize = 32 * 1024;

/// Where an upstream is, and the bounds of calls to it.
#[derive(Clone, Debug)]
pub struct UpstreamConfig {
    /// What it is called in metrics, errors and the log, such as `users`.
    pub name: &'static str,
    /// Where it is.
    pub url: BaseUrl,
    /// Time for a connection to be made.
    pub connect_timeout: Duration,
    /// Time for a whole answer, connection included.
    pub answer_timeout: Duration,
    /// Longest body that is passed on, bytes.
    pub body_bytes_max: usize,
    /// Longest answer that is passed back, bytes.
    pub answer_bytes_max: usize,
    /// Calls under way; beyond, 503.
    pub calls_max: usize,
    /// When calls are no longer tried.
    pub breaker: BreakerConfig,
}

impl UpstreamConfig {
    /// The usual bounds.
    #[must_use]
    pub fn new(name: &'static str, url: BaseUrl) -> Self {
        Self {
            name,
            url,
            connect_timeout: Duration::from_millis(500),
            answer_timeout: Duration::from_secs(5),
            body_bytes_max: 64 * 1024,
            answer_bytes_max: 4 << 20,
            calls_max: 256,
            breaker: BreakerConfig::default(),
        }
    }

    /// The limits as they stand.
    #[must_use]
    pub fn limits(&self) -> Vec<Limit> {
        vec![
            Limit::of(
                "upstream.calls_max",
                self.calls_max,
                "calls",
                "503 UPSTREAM_UNAVAILABLE, for each service elsewhere",
            ),
            Limit::of_time("upstream.connect_timeout", self.connect_timeout, "503 UPSTREAM_UNAVAILABLE"),
            Limit::of_time("upstream.answer_timeout", self.answer_timeout, "504 UPSTREAM_TIMEOUT"),
            Limit::of_time(
                "upstream.open_for",
                self.breaker.open_for,
                "an upstream that failed is not asked for this long",
            ),
        ]
    }
}

/// Why a call has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallError {
    /// It was not made: the breaker is open, or too many are under way. Asking again makes sense after this long.
    NotTried(Duration),
    /// Nobody was reached, or what was asked is safe to ask again.
    Unavailable,
    /// It took too long, and is safe to ask again.
    Timeout,
    /// The answer was lost, and what was asked may have been done.
    Unknown {
        /// It took too long; otherwise the connection broke.
        late: bool,
    },
}

/// Another process of the platform.
pub struct Upstream {
    config: UpstreamConfig,
    client: Client<HttpConnector, Full<Bytes>>,
    room: Semaphore,
    breaker: Breaker,
    counts: Counts,
}

/// Why one try has no answer.
enum Broken {
    /// Nothing was sent.
    NotReached,
    /// Something was sent, and the connection broke.
    Lost,
    /// The answer is too long to pass back.
    TooLong,
}

impl Upstream {
    /// Nothing asked yet. No connection is made before the first call.
    #[must_use]
    pub fn new(config: UpstreamConfig) -> Arc<Self> {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(config.connect_timeout));
        connector.set_nodelay(true);
        // A request that finds its idle connection closed, and of which nothing was sent, gets another one: that is the
        // client's own default, and safe for all methods.
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_MAX)
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .http1_max_buf_size(HEAD_BYTES_MAX)
            .build(connector);
        let room = Semaphore::new(config.calls_max);
        let breaker = Breaker::new(config.breaker, Instant::now());
        Arc::new(Self { config, client, room, breaker, counts: Counts::default() })
    }

    /// Asks, and waits for the whole answer, at most `within` and the configured time. The path of `request` is below the
    /// upstream's address.
    ///
    /// # Errors
    /// There is no answer. An answer of any status is none of these.
    pub async fn call(&self, request: Request<Bytes>, within: Duration) -> Result<Response<Bytes>, CallError> {
        let not_tried = |wait| {
            self.counts.refused();
            CallError::NotTried(wait)
        };
        let _permit = self.room.try_acquire().map_err(|_| not_tried(Duration::from_secs(1)))?;
        let ticket = self.breaker.ask(Instant::now()).map_err(not_tried)?;
        let under_way = UnderWay { upstream: self, ticket: Some(ticket), begin: Instant::now() };
        let is_safe = is_safe(request.method());
        let answer = timeout(within.min(self.config.answer_timeout), self.exchange(request)).await;
        let answer = match (answer, is_safe) {
            (Ok(Ok(answer)), _) => Ok(answer),
            (Ok(Err(Broken::NotReached)), _) | (Ok(Err(_)), true) => Err(CallError::Unavailable),
            (Ok(Err(_)), false) => Err(CallError::Unknown { late: false }),
            (Err(_), true) => Err(CallError::Timeout),
            (Err(_), false) => Err(CallError::Unknown { late: true }),
        };
        under_way.ended(answer.as_ref().err());
        answer
    }

    /// Asks for `path` there with these headers; otherwise as [`Upstream::call`].
    ///
    /// # Errors
    /// As [`Upstream::call`].
    pub async fn get(
        &self,
        path: &'static str,
        headers: HeaderMap,
        within: Duration,
    ) -> Result<Response<Bytes>, CallError> {
        let mut request = Request::new(Bytes::new());
        *request.uri_mut() = self.config.url.at(PathAndQuery::from_static(path)).map_err(|_| CallError::Unavailable)?;
        *request.headers_mut() = headers;
        self.call(request, within).await
    }

    /// One try, and a second one when what is asked is safe and the connection broke before there was an answer.
    async fn exchange(&self, request: Request<Bytes>) -> Result<Response<Bytes>, Broken> {
        if is_safe(request.method()) {
            match self.once(request.clone()).await {
                Err(Broken::Lost) => {}
                other => return other,
            }
        }
        self.once(request).await
    }

    async fn once(&self, request: Request<Bytes>) -> Result<Response<Bytes>, Broken> {
        let answer = self.client.request(request.map(Full::new)).await;
        let (head, body) =
            answer.map_err(|error| if error.is_connect() { Broken::NotReached } else { Broken::Lost })?.into_parts();
        let body = Limited::new(body, self.config.answer_bytes_max).collect().await;
        let body = body.map_err(|error| if error.is::<LengthLimitError>() { Broken::TooLong } else { Broken::Lost })?;
        Ok(Response::from_parts(head, body.to_bytes()))
    }

    /// What a caller is told who gets no answer.
    #[must_use]
    pub fn error(&self, error: CallError) -> ApiError {
        let name = self.config.name;
        let unavailable = |message| ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "UPSTREAM_UNAVAILABLE", message);
        let late = |message| ApiError::new(StatusCode::GATEWAY_TIMEOUT, "UPSTREAM_TIMEOUT", message);
        let unknown =
            format!("the answer of the service `{name}` was lost: look whether it was done before you ask again");
        let (error, outcome, retry_after_s) = match error {
            CallError::NotTried(wait) => {
                let wait_s = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
                let message =
                    format!("the service `{name}` does not answer; nothing was done, try again in {wait_s} s");
                (unavailable(message), "not_done", Some(wait_s))
            }
            CallError::Unavailable => {
                (unavailable(format!("the service `{name}` cannot be reached; try again in 1 s")), "not_done", Some(1))
            }
            CallError::Timeout => {
                (late(format!("the service `{name}` did not answer in time; try again in 1 s")), "not_done", Some(1))
            }
            // No `Retry-After`: programs would repeat what may have been done.
            CallError::Unknown { late: false } => (unavailable(unknown), "unknown", None),
            CallError::Unknown { late: true } => (late(unknown), "unknown", None),
        };
        ApiError { details: json!({ "upstream": name, "outcome": outcome }), retry_after_s, ..error }
    }

    /// How it is, as far as the last calls say. Asks nobody.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let UpstreamConfig { name, url, .. } = &self.config;
        match self.breaker.state() {
            BreakerState::Closed => Verdict::Up(format!("the service {name} is at {url}")),
            BreakerState::Open => Verdict::Degraded(format!("the service {name} at {url} does not answer")),
            BreakerState::HalfOpen => Verdict::Degraded(format!("the service {name} at {url} is being tried again")),
        }
    }

    fn tell(&self, state: BreakerState) {
        let UpstreamConfig { name, url, breaker, .. } = &self.config;
        match state {
            BreakerState::Open => {
                let open_ms = breaker.open_for.as_millis() as u64;
                tracing::warn!(upstream = name, %url, open_ms, "a service does not answer: it is not asked for a while");
            }
            _ => tracing::info!(upstream = name, %url, "a service answers again"),
        }
    }
}

/// Whether asking twice does no more than asking once, and nothing at all.
fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// A call that has begun. Dropped without an end, it was given up by whoever asked.
struct UnderWay<'u> {
    upstream: &'u Upstream,
    ticket: Option<Ticket>,
    begin: Instant,
}

impl UnderWay<'_> {
    fn ended(mut self, error: Option<&CallError>) {
        let Some(ticket) = self.ticket.take() else { return };
        let outcome = match error {
            None => Outcome::Answered,
            Some(CallError::Unknown { .. }) => Outcome::Ambiguous,
            Some(_) => Outcome::Failed,
        };
        self.upstream.counts.ended(error);
        let now = Instant::now();
        if let Some(state) = self.upstream.breaker.record(ticket, outcome, now - self.begin, now) {
            self.upstream.tell(state);
        }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.upstream.counts.abandoned();
            self.upstream.breaker.give_back(ticket);
        }
    }
}
