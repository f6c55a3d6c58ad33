//! What a door asks of a credential: who stands behind it, or why nobody does.
//!
//! The trait and its answers only. Never reads a token or a key: the users service does, or its client in another
//! process.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::{HeaderMap, StatusCode, header};
use book::metrics::{MetricSource, Sample};

use crate::error::ApiError;
use crate::principal::Principal;

/// Longest credential in bytes; a longer one is refused unread.
pub const CREDENTIAL_BYTES_MAX: usize = 4_096;

/// Who stands behind a credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The user or the key.
    pub principal: Principal,
    /// When the credential ends, Unix milliseconds; `None` = a key without an end.
    pub expires_ms: Option<i64>,
}

crate::named_enum! {
    /// Why a credential was refused. Counted, and never told to the caller.
    Refusal {
        /// Not of a form that is a credential: two headers, another scheme, too long, no token and no key.
        Malformed = "malformed",
        /// A token that the signing keys do not vouch for: algorithm, key, signature.
        Signature = "signature",
        /// A token whose claims are not of this platform: issuer, audience, use, missing ones.
        Claims = "claims",
        /// Its time is over, or has not come.
        Expired = "expired",
        /// No such key, session or user.
        Unknown = "unknown",
        /// Revoked: logged out, password changed, key withdrawn.
        Revoked = "revoked",
        /// The user is disabled or gone.
        Disabled = "disabled",
        /// A key used from an address that it does not list.
        Address = "address",
        /// What is known of it cannot be read now: nobody passes, and trying again may help.
        Unavailable = "unavailable",
    }
}

impl Refusal {
    /// The answer: one body for every bad credential, so that nobody learns which part was wrong.
    #[must_use]
    pub fn error(self) -> ApiError {
        if self == Self::Unavailable {
            return ApiError {
                retry_after_s: Some(1),
                ..ApiError::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "STORE_UNAVAILABLE",
                    "the credential cannot be checked now; try again in 1 s",
                )
            };
        }
        ApiError::new(
            StatusCode::UNAUTHORIZED,
            "UNAUTHENTICATED",
            "the credential is missing or not valid; log in, or send a key as `Authorization: Bearer …`",
        )
    }
}

/// An answer on its way.
pub type Verdict<'a> = Pin<Box<dyn Future<Output = Result<Identity, Refusal>> + Send + 'a>>;

/// Who knows credentials.
pub trait Authenticator: Send + Sync + 'static {
    /// Who stands behind `credential`, an access token or an API key, when it comes from `peer`. Cheap enough to be asked
    /// for every request: at most 100 µs when the credential was asked for lately, never longer than a second.
    fn authenticate<'a>(&'a self, credential: &'a str, peer: IpAddr) -> Verdict<'a>;
}

/// Nobody is known: every credential is refused. For a process that keeps no accounts.
#[derive(Debug)]
pub struct Nobody(
    /// Why.
    pub Refusal,
);

impl Authenticator for Nobody {
    fn authenticate<'a>(&'a self, _credential: &'a str, _peer: IpAddr) -> Verdict<'a> {
        Box::pin(std::future::ready(Err(self.0)))
    }
}

/// The credential of a request: the one `Authorization` header, without its scheme.
///
/// # Errors
/// More than one header, another scheme than `Bearer`, or a text that is too long or not ASCII.
pub fn credential(headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() || value.len() > CREDENTIAL_BYTES_MAX {
        return Err(Refusal::Malformed);
    }
    let text = value.to_str().map_err(|_| Refusal::Malformed)?;
    let (scheme, credential) = text.split_once(' ').ok_or(Refusal::Malformed)?;
    let is_token = !credential.is_empty() && credential.bytes().all(|byte| byte.is_ascii_graphic());
    if scheme.eq_ignore_ascii_case("bearer") && is_token { Ok(Some(credential)) } else { Err(Refusal::Malformed) }
}

/// What doors count.
#[derive(Debug, Default)]
pub struct AuthMetrics {
    admitted: AtomicU64,
    refused: [AtomicU64; Refusal::ALL.len()],
}

impl AuthMetrics {
    /// One more answer.
    pub fn count(&self, answer: &Result<Identity, Refusal>) {
        let counter = match answer {
            Ok(_) => &self.admitted,
            Err(reason) => &self.refused[*reason as usize],
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

impl MetricSource for AuthMetrics {
    fn collect(&self, samples: &mut Vec<Sample>) {
        let admitted = self.admitted.load(Ordering::Relaxed);
        samples.push(Sample::counter("bist_auth_admitted_total", "Credentials accepted.", &[], admitted));
        for (reason, count) in Refusal::ALL.iter().zip(&self.refused) {
            let labels = [("reason", reason.name())];
            let count = count.load(Ordering::Relaxed);
            samples.push(Sample::counter("bist_auth_refused_total", "Credentials refused.", &labels, count));
        }
    }
}

/// An authenticator that counts its answers, for every door of a process.
pub struct Counted {
    inner: Arc<dyn Authenticator>,
    metrics: Arc<AuthMetrics>,
}

impl Counted {
    /// `inner`, counted.
    #[must_use]
    pub fn new(inner: Arc<dyn Authenticator>) -> Self {
        Self { inner, metrics: Arc::default() }
    }

    /// What is counted.
    #[must_use]
    pub fn metrics(&self) -> Arc<AuthMetrics> {
        Arc::clone(&self.metrics)
    }

    /// Counts a request whose header was refused before anybody was asked.
    pub fn count(&self, refusal: Refusal) {
        self.metrics.count(&Err(refusal));
    }
}

impl Authenticator for Counted {
    fn authenticate<'a>(&'a self, credential: &'a str, peer: IpAddr) -> Verdict<'a> {
        Box::pin(async move {
            let answer = self.inner.authenticate(credential, peer).await;
            self.metrics.count(&answer);
            answer
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn headers(values: &[&str]) -> HeaderMap {
        let value = |text: &&str| (header::AUTHORIZATION, HeaderValue::from_str(text).unwrap());
        values.iter().map(value).collect()
    }

    #[test]
    fn a_request_has_one_bearer_credential_or_none() {
        assert_eq!(credential(&headers(&[])), Ok(None));
        assert_eq!(credential(&headers(&["Bearer abc"])), Ok(Some("abc")));
        assert_eq!(credential(&headers(&["bearer abc"])), Ok(Some("abc")));
        for bad in [&["Bearer a", "Bearer a"][..], &["Basic YTpi"], &["Bearer"], &["Bearer "], &["Bearer a b"], &["a"]]
        {
            assert_eq!(credential(&headers(bad)), Err(Refusal::Malformed), "{bad:?}");
        }
        let long = format!("Bearer {}", "a".repeat(CREDENTIAL_BYTES_MAX));
        assert_eq!(credential(&headers(&[&long])), Err(Refusal::Malformed));
    }

    #[test]
    fn every_refusal_of_a_bad_credential_has_one_body() {
        let bodies: std::collections::BTreeSet<_> = Refusal::ALL
            .iter()
            .filter(|&&refusal| refusal != Refusal::Unavailable)
            .map(|refusal| (refusal.error().status.as_u16(), refusal.error().code, refusal.error().message))
            .collect();
        assert_eq!(bodies.len(), 1);
    }

    #[tokio::test]
    async fn answers_are_counted_by_reason() {
        let door = Counted::new(Arc::new(Nobody(Refusal::Unknown)));
        let answer = door.authenticate("x", IpAddr::from([127, 0, 0, 1])).await;
        assert_eq!(answer, Err(Refusal::Unknown));
        let mut samples = Vec::new();
        door.metrics().collect(&mut samples);
        let counted = samples.iter().filter(|sample| matches!(sample.value, book::metrics::Value::Counter(1))).count();
        assert_eq!(counted, 1);
    }
}
