//! The web page, from inside the binary: no file is opened, so no path can lead out of `api/web/`.
//!
//! Assets are asked for again with their ETag each time (304 costs nothing on the same machine); only one that is
//! called by its own hash, `?v=` and the first 16 digits of its SHA-256, may be kept for a year.

use std::borrow::Cow;

use api_kit::error::ApiError;
use axum::extract::{Query, Request};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderValue, IF_NONE_MATCH};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "../web/"]
#[exclude = "*.test.js"]
#[exclude = "package.json"]
#[exclude = "package-lock.json"]
#[exclude = "node_modules/*"]
struct Web;

/// Digits of the SHA-256 that name a version of an asset.
const VERSION_DIGITS: usize = 16;

#[derive(serde::Deserialize)]
struct Version {
    v: Option<String>,
}

/// Whatever no route took: an asset, or 404.
pub(crate) async fn asset(request: Request) -> Response {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", "only GET and HEAD are taken here")
            .into_response();
    }
    let path = request.uri().path().trim_start_matches('/');
    let path = if path.is_empty() { "index.html" } else { path };
    let Some(file) = Web::get(path) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let hash = file.metadata.sha256_hash();
    let version: String = hash[..VERSION_DIGITS / 2].iter().map(|byte| format!("{byte:02x}")).collect();
    // Weak, because the body may be sent compressed or not under the same tag.
    let etag = format!("W/\"{version}\"");
    let asked = Query::<Version>::try_from_uri(request.uri()).ok().and_then(|Query(query)| query.v);
    let cache =
        if asked.is_some_and(|asked| asked == version) { "public, max-age=31536000, immutable" } else { "no-cache" };
    let mut response = if matches_tag(request.headers(), &etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        match file.data {
            Cow::Borrowed(bytes) => bytes.into_response(),
            Cow::Owned(bytes) => bytes.into_response(),
        }
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache));
    if let Ok(value) = HeaderValue::from_str(&etag) {
        headers.insert(ETAG, value);
    }
    if let Ok(value) = HeaderValue::from_str(&content_type(file.metadata.mimetype())) {
        headers.insert(CONTENT_TYPE, value);
    }
    response
}

fn content_type(kind: &str) -> String {
    let is_text = kind.starts_with("text/") || matches!(kind, "application/javascript" | "application/json");
    if is_text && !kind.contains("charset") { format!("{kind}; charset=utf-8") } else { kind.to_owned() }
}

fn matches_tag(headers: &HeaderMap, etag: &str) -> bool {
    let opaque = etag.trim_start_matches("W/");
    headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|tag| tag.trim() == "*" || tag.trim().trim_start_matches("W/") == opaque)
}
