//! A request passed on as it came, and its answer passed back as it is: only what belongs to one connection changes.

use std::error::Error;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION,
    TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use axum::http::uri::PathAndQuery;
use axum::http::{Method, Request, Response, StatusCode};
use axum::response::IntoResponse;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::time::timeout;

use super::{ANSWER_MARGIN, Upstream};
use crate::error::{ApiError, AsIs};
use crate::layers::Deadline;

/// What speaks of one connection (RFC 9110 section 7.6.1), or of a body that has been read already.
const OF_ONE_CONNECTION: [HeaderName; 10] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    EXPECT,
];

/// Methods that are passed on.
const METHODS: [Method; 7] =
    [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

impl Upstream {
    /// Passes a request of `client` on, and its answer back.
    pub async fn forward(&self, request: Request<Body>, client: IpAddr) -> Response<Body> {
        self.passed(request, client).await.unwrap_or_else(IntoResponse::into_response)
    }

    async fn passed(&self, request: Request<Body>, client: IpAddr) -> Result<Response<Body>, ApiError> {
        let end = self.end(&request);
        // The whole body first: a client that sends slowly must not look like an upstream that answers slowly.
        let request = timeout(left(end), self.as_it_came(request, client)).await.map_err(|_| slow_body())??;
        let answer = self.call(request, left(end)).await.map_err(|error| self.error(error))?;
        let (mut head, body) = answer.into_parts();
        strip(&mut head.headers);
        head.extensions.insert(AsIs);
        Ok(Response::from_parts(head, Body::from(body)))
    }

    /// When the answer must be there.
    fn end(&self, request: &Request<Body>) -> Instant {
        let own = Instant::now() + self.config.answer_timeout;
        let Some(Deadline(deadline)) = request.extensions().get::<Deadline>() else { return own };
        deadline.checked_sub(ANSWER_MARGIN).map_or(own, |deadline| deadline.min(own))
    }

    async fn as_it_came(&self, request: Request<Body>, client: IpAddr) -> Result<Request<Bytes>, ApiError> {
        let (head, body) = request.into_parts();
        if !METHODS.contains(&head.method) {
            let message = "this path does not take this method";
            return Err(ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", message));
        }
        let path = head.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        let uri = self.config.url.at(path).map_err(|_| unreadable())?;
        let body =
            Limited::new(body, self.config.body_bytes_max).collect().await.map_err(|error| body_error(&*error))?;
        let mut passed = Request::new(body.to_bytes());
        *passed.method_mut() = head.method;
        *passed.uri_mut() = uri;
        *passed.headers_mut() = head.headers;
        let headers = passed.headers_mut();
        strip(headers);
        headers.remove(CONTENT_LENGTH); // OK because the whole body is here, and says its own
        // One address, the one that we believe: the upstream need not know the proxies in front of us.
        let value = HeaderValue::from_str(&client.to_string()).map_err(|_| unreadable())?;
        headers.insert(FORWARDED_FOR, value);
        Ok(passed)
    }
}

fn left(end: Instant) -> Duration {
    end.saturating_duration_since(Instant::now())
}

/// Takes away what speaks of one connection, and what `Connection` names besides.
fn strip(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in OF_ONE_CONNECTION.iter().chain(&named) {
        headers.remove(name);
    }
}

fn unreadable() -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "INVALID_REQUEST", "the request could not be understood")
}

fn slow_body() -> ApiError {
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "TIMEOUT", "the body took too long; trying again may help")
}

fn body_error(error: &(dyn Error + 'static)) -> ApiError {
    let mut causes = std::iter::successors(Some(error), |&error: &&(dyn Error + 'static)| error.source());
    if causes.any(|cause| cause.is::<LengthLimitError>()) {
        let message = "the body is longer than this path takes";
        return ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE", message);
    }
    unreadable()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_speaks_of_one_connection_goes() {
        let pairs = [
            ("connection", "x-mine, close"),
            ("x-mine", "1"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("expect", "100-continue"),
            ("authorization", "Bearer t"),
            ("host", "bist.example"),
        ];
        let mut headers: HeaderMap =
            pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        headers.append("connection", "x-other".parse().unwrap());
        headers.insert("x-other", "1".parse().unwrap());
        strip(&mut headers);
        let mut left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["authorization", "host"]);
    }
}
