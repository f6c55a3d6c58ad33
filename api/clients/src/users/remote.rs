//! The users service in another process: requests go there as they came, and it is asked who stands behind a credential.
//!
//! Away, its paths answer 503, and a credential that it vouched for in the last five seconds still passes; then none does.
//! Never keeps a credential, and knows nothing that the service has not said.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use api_kit::auth::{Authenticator, Identity, Refusal, Verdict};
use api_kit::principal::Peer;
use api_kit::rate_limit;
use api_kit::upstream::{Upstream, UpstreamConfig};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;

use super::introspection::{INTROSPECT_PATH, Introspection};
use super::known::{Answer, Handle, KnownCredentials, Now};
use super::{Pending, UsersClient};

/// A door waits no longer for the service (it may wait a second).
const ASK_MAX: Duration = Duration::from_millis(900);

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The users service in another process.
pub struct RemoteUsers {
    upstream: Arc<Upstream>,
    /// Proxies in front of us whose word on the client's address is taken.
    trusted_proxies: Vec<IpAddr>,
    known: KnownCredentials,
}

/// An answer of the service, as far as it matters here.
#[derive(Deserialize)]
struct Enveloped {
    data: Introspection,
}

impl RemoteUsers {
    /// The service at `config.url`; it is not asked anything yet.
    #[must_use]
    pub fn new(config: UpstreamConfig, trusted_proxies: Vec<IpAddr>) -> Arc<Self> {
        Arc::new(Self { upstream: Upstream::new(config), trusted_proxies, known: KnownCredentials::default() })
    }

    /// The way there: its metrics and how it is.
    #[must_use]
    pub fn upstream(&self) -> &Arc<Upstream> {
        &self.upstream
    }

    /// What the service says; `Unavailable` when it says nothing that helps.
    async fn ask(&self, credential: &str, from: IpAddr) -> Answer {
        let mut headers = HeaderMap::new();
        let mut bearer = HeaderValue::from_str(&format!("Bearer {credential}")).map_err(|_| Refusal::Malformed)?;
        bearer.set_sensitive(true);
        headers.insert(AUTHORIZATION, bearer);
        if let Ok(from) = HeaderValue::from_str(&from.to_string()) {
            headers.insert(FORWARDED_FOR, from);
        }
        let answer = self.upstream.get(INTROSPECT_PATH, headers, ASK_MAX).await.map_err(|_| Refusal::Unavailable)?;
        match answer.status() {
            StatusCode::OK => identity(answer.body()).ok_or_else(|| {
                tracing::warn!(
                    "the users service says something of a credential that is not understood: nobody passes"
                );
                Refusal::Unavailable
            }),
            StatusCode::UNAUTHORIZED => Err(Refusal::Unknown),
            _ => Err(Refusal::Unavailable),
        }
    }
}

fn identity(body: &[u8]) -> Option<Identity> {
    serde_json::from_slice::<Enveloped>(body).ok()?.data.identity()
}

fn now() -> Now {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Now { monotonic: Instant::now(), wall_ms: i64::try_from(since.as_millis()).unwrap_or(i64::MAX) }
}

impl UsersClient for RemoteUsers {
    fn call(&self, request: Request) -> Pending<'_> {
        let peer = request.extensions().get::<Peer>().map_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED), |peer| peer.0);
        let client = rate_limit::client(peer, request.headers(), &self.trusted_proxies);
        Box::pin(self.upstream.forward(request, client))
    }
}

impl Authenticator for RemoteUsers {
    fn authenticate<'a>(&'a self, credential: &'a str, peer: IpAddr) -> Verdict<'a> {
        Box::pin(async move {
            let (handle, asked) = (Handle::of(credential, peer), now());
            if let Some(answer) = self.known.fresh(&handle, asked) {
                return answer;
            }
            match self.ask(credential, peer).await {
                Err(Refusal::Unavailable) => self.known.stale(&handle, now()).unwrap_or(Err(Refusal::Unavailable)),
                answer => {
                    self.known.put(handle, &answer, asked.monotonic);
                    answer
                }
            }
        })
    }
}
