//! The HTTP/1.1 request that opens a connection: the public WebSocket, a refusal of it, or something that is not ours.
//!
//! Without a socket; never panics, whatever the bytes; answers nothing but handshakes of the public path. Never checks a
//! credential, only its form.

use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use book::Nanos;
use sha1::{Digest, Sha1};

use crate::admission::Credential;
use crate::encode::json::text;

/// Longest request head in bytes; beyond it HTTP 431.
pub const HEAD_BYTES_MAX: usize = 8 * 1024;

/// Most header fields; beyond it HTTP 431.
pub const HEADERS_MAX: usize = 64;

/// The one subprotocol there is.
pub const SUBPROTOCOL: &str = "bist.v2.json";

const TOKEN_IN_QUERY: &str = "TOKEN_IN_QUERY: a credential in the query lands in logs; send the header Authorization: Bearer …, or the method auth";

/// The header by which a gateway of this process is known again.
pub const FORWARDER_HEADER: &str = "x-bist-forwarder";

/// What a request head asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// More bytes are needed.
    Incomplete,
    /// A WebSocket; the head used `head_bytes`.
    Upgrade {
        /// Bytes of the head.
        head_bytes: usize,
        /// Value of `Sec-WebSocket-Accept`.
        accept: String,
        /// The client offered [`SUBPROTOCOL`]: name it in the answer.
        subprotocol: bool,
        /// `?ts=rfc3339`.
        rfc3339: bool,
        /// The `Authorization` header's.
        credential: Option<Credential>,
        /// The newest address of `X-Forwarded-For`. Anybody can write one: it counts only from a gateway of ours.
        forwarded_for: Option<IpAddr>,
        /// What whoever forwards says to be believed, see [`Config::forwarder`](crate::Config::forwarder).
        forwarder: Option<String>,
    },
    /// An `Authorization` header that is none: to be answered like every bad credential.
    Unauthenticated,
    /// Anything but a GET of the public socket's path: to be handed over.
    Other,
    /// Answer with this status and text, then close.
    Refuse(u16, String),
}

/// Reads a request head; `path` is the WebSocket's.
#[must_use]
pub fn read(buffer: &[u8], path: &str) -> Asked {
    let mut fields = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut fields);
    let head_bytes = match request.parse(buffer) {
        Ok(httparse::Status::Complete(bytes)) if bytes <= HEAD_BYTES_MAX => bytes,
        Ok(httparse::Status::Partial) if buffer.len() < HEAD_BYTES_MAX => return Asked::Incomplete,
        Ok(_) | Err(httparse::Error::TooManyHeaders) => {
            return Asked::Refuse(431, "request head above 8 KiB or 64 fields".to_owned());
        }
        Err(error) => return Asked::Refuse(400, format!("request head is not HTTP/1.1: {error}")),
    };
    let target = request.path.unwrap_or("/");
    let field = |name: &str| {
        let found = request.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name));
        found.and_then(|field| std::str::from_utf8(field.value).ok())
    };
    let lists = |name: &str, token: &str| {
        request
            .headers
            .iter()
            .filter(|field| field.name.eq_ignore_ascii_case(name))
            .filter_map(|field| std::str::from_utf8(field.value).ok())
            .any(|value| value.split(',').any(|item| item.trim().eq_ignore_ascii_case(token)))
    };
    let (target_path, query) = target.split_once('?').unwrap_or((target, ""));
    if request.method != Some("GET") || target_path != path {
        return Asked::Other;
    }
    if !(lists("upgrade", "websocket") && lists("connection", "upgrade")) {
        return Asked::Refuse(426, format!("{path} is a WebSocket: connect with one, subprotocol {SUBPROTOCOL}"));
    }
    if request.version != Some(1) {
        return Asked::Refuse(400, "a WebSocket needs HTTP/1.1".to_owned());
    }
    if field("sec-websocket-version") != Some("13") {
        return Asked::Refuse(426, "Sec-WebSocket-Version must be 13".to_owned());
    }
    let key = field("sec-websocket-key").unwrap_or("").trim();
    if STANDARD.decode(key).map(|bytes| bytes.len()) != Ok(16) {
        return Asked::Refuse(400, "Sec-WebSocket-Key must be 16 bytes in base64".to_owned());
    }
    let offered = field("sec-websocket-protocol").is_some();
    let subprotocol = lists("sec-websocket-protocol", SUBPROTOCOL);
    if offered && !subprotocol {
        return Asked::Refuse(400, format!("4406: no subprotocol of these; ask {SUBPROTOCOL} or none"));
    }
    if query.split('&').any(is_credential) {
        return Asked::Refuse(400, TOKEN_IN_QUERY.to_owned());
    }
    let Ok(credential) = credential(request.headers) else { return Asked::Unauthenticated };
    let forwarded_for = last_address(request.headers);
    let forwarder = forwarder_of(request.headers);
    let rfc3339 = query.split('&').any(|pair| pair == "ts=rfc3339");
    Asked::Upgrade { head_bytes, accept: accept(key), subprotocol, rfc3339, credential, forwarded_for, forwarder }
}

/// Whether a pair of the query is a credential, which then stands in every log on the way.
fn is_credential(pair: &str) -> bool {
    let name = pair.split_once('=').map_or(pair, |(name, _)| name);
    ["token", "access_token"].iter().any(|one| name.eq_ignore_ascii_case(one))
}

/// The one `Authorization` header without its scheme; an error when it is not `Bearer` and a credential.
fn credential(headers: &[httparse::Header<'_>]) -> Result<Option<Credential>, ()> {
    let mut values = headers.iter().filter(|field| field.name.eq_ignore_ascii_case("authorization"));
    let Some(field) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(());
    }
    let (scheme, credential) = std::str::from_utf8(field.value).ok().and_then(|text| text.split_once(' ')).ok_or(())?;
    let credential = Credential::new(credential).filter(|_| scheme.eq_ignore_ascii_case("bearer"));
    credential.map(Some).ok_or(())
}

fn last_address(headers: &[httparse::Header<'_>]) -> Option<IpAddr> {
    let field = headers.iter().rev().find(|field| field.name.eq_ignore_ascii_case("x-forwarded-for"))?;
    std::str::from_utf8(field.value).ok()?.rsplit(',').next()?.trim().parse().ok()
}

fn forwarder_of(headers: &[httparse::Header<'_>]) -> Option<String> {
    let field = headers.iter().find(|field| field.name.eq_ignore_ascii_case(FORWARDER_HEADER))?;
    std::str::from_utf8(field.value).ok().map(str::to_owned)
}

/// RFC 6455 section 4.2.2: base64 of the SHA-1 of the key and a fixed text.
fn accept(key: &str) -> String {
    let mut hash = Sha1::new();
    hash.update(key.as_bytes());
    hash.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    STANDARD.encode(hash.finalize())
}

/// Appends the answer to an upgrade.
pub fn write_upgrade(out: &mut Vec<u8>, accept: &str, subprotocol: bool) {
    out.extend_from_slice(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n");
    if subprotocol {
        out.extend_from_slice(format!("Sec-WebSocket-Protocol: {SUBPROTOCOL}\r\n").as_bytes());
    }
    out.extend_from_slice(format!("Sec-WebSocket-Accept: {accept}\r\n\r\n").as_bytes());
}

/// Appends a whole answer of plain text, after which the connection closes.
pub fn write_refusal(out: &mut Vec<u8>, status: u16, text: &str) {
    let reason = match status {
        400 => "Bad Request",
        426 => "Upgrade Required",
        431 => "Request Header Fields Too Large",
        _ => "-",
    };
    let extra = if status == 426 { "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" } else { "" };
    let head = format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n{extra}Connection: close\r\n\r\n",
        text.len()
    );
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// An answer of the envelope that REST has too, so that a program needs one reader for both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// HTTP status.
    pub status: u16,
    /// Stable, for programs.
    pub code: &'static str,
    /// For people.
    pub message: &'static str,
}

impl Failure {
    /// Every bad credential gets this one, so that nobody learns which part was wrong.
    pub const UNAUTHENTICATED: Self = Self {
        status: 401,
        code: "UNAUTHENTICATED",
        message: "the credential is missing or not valid; log in, or send a key as `Authorization: Bearer …`",
    };
    /// A key that may not read market data.
    pub const SCOPE_MISSING: Self = Self {
        status: 403,
        code: "SCOPE_MISSING",
        message: "this key may not read market data; make one with the scope market:read",
    };
    /// What is known of credentials cannot be read.
    pub const UNAVAILABLE: Self = Self {
        status: 503,
        code: "STORE_UNAVAILABLE",
        message: "the credential cannot be checked now; try again in 1 s",
    };
    /// As many credentials are being checked as may be, or it took too long.
    pub const BUSY: Self =
        Self { status: 503, code: "BUSY", message: "too many credentials are being checked; try again in 1 s" };
}

/// Appends a whole answer of an envelope, after which the connection closes.
pub fn write_failure(out: &mut Vec<u8>, failure: &Failure, wall_ns: Nanos) {
    let mut body = Vec::with_capacity(256);
    text::raw(&mut body, "{\"success\":false,\"error\":{\"code\":");
    text::text(&mut body, failure.code);
    text::raw(&mut body, ",\"message\":");
    text::text(&mut body, failure.message);
    text::raw(&mut body, ",\"details\":{}},\"timestamp\":");
    text::time(&mut body, wall_ns, true);
    body.push(b'}');
    let (reason, extra) = match failure.status {
        401 => ("Unauthorized", "WWW-Authenticate: Bearer\r\n"),
        403 => ("Forbidden", ""),
        _ => ("Service Unavailable", "Retry-After: 1\r\n"),
    };
    let head = format!(
        "HTTP/1.1 {} {reason}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{extra}Connection: close\r\n\r\n",
        failure.status,
        body.len()
    );
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(&body);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(target: &str, more: &str) -> String {
        format!(
            "GET {target} HTTP/1.1\r\nHost: h\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
        )
    }

    #[track_caller]
    fn status(head: &str) -> u16 {
        match read(head.as_bytes(), "/ws/v2") {
            Asked::Refuse(status, _) => status,
            other => panic!("{other:?}"),
        }
    }

    /// The worked example of RFC 6455 section 1.3.
    #[test]
    fn the_example_of_the_rfc() {
        let head = request("/ws/v2?ts=rfc3339", "");
        let expected = Asked::Upgrade {
            head_bytes: head.len(),
            accept: "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".to_owned(),
            subprotocol: false,
            rfc3339: true,
            credential: None,
            forwarded_for: None,
            forwarder: None,
        };
        assert_eq!(read(head.as_bytes(), "/ws/v2"), expected);
        for cut in 0..head.len() {
            assert_eq!(read(&head.as_bytes()[..cut], "/ws/v2"), Asked::Incomplete, "cut at {cut}");
        }
    }

    #[test]
    fn the_known_subprotocol_is_picked_and_only_unknown_ones_are_refused() {
        let known = request("/ws/v2", "Sec-WebSocket-Protocol: graphql-ws, bist.v2.json\r\n");
        assert!(matches!(read(known.as_bytes(), "/ws/v2"), Asked::Upgrade { subprotocol: true, .. }));
        assert_eq!(status(&request("/ws/v2", "Sec-WebSocket-Protocol: graphql-ws\r\n")), 400);
    }

    #[test]
    fn whatever_is_not_the_public_socket_is_handed_over() {
        for head in [
            "GET /livez?x HTTP/1.1\r\n\r\n",
            "GET /metrics?verbose HTTP/1.0\r\n\r\n",
            "HEAD /readyz HTTP/1.1\r\n\r\n",
            "POST /ws/v2 HTTP/1.1\r\n\r\n",
            "GET /ws/v2/ HTTP/1.1\r\n\r\n",
            &request("/ws/v1", ""),
            &request("/ws/v2/private?token=1", ""),
            &request("/", "Sec-WebSocket-Protocol: graphql-ws\r\n"),
        ] {
            assert_eq!(read(head.as_bytes(), "/ws/v2"), Asked::Other, "{head}");
        }
    }

    #[test]
    fn a_bad_handshake_of_the_public_socket_gets_a_status() {
        assert_eq!(status("GET /ws/v2 HTTP/1.1\r\n\r\n"), 426);
        assert_eq!(status(&request("/ws/v2", "").replace("13", "8")), 426);
        assert_eq!(status(&request("/ws/v2", "").replace("dGhl", "")), 400);
        assert_eq!(status(&request("/ws/v2", "").replace("HTTP/1.1", "HTTP/1.0")), 400);
        assert_eq!(status("\0\0\0\0\r\n\r\n"), 400);
        assert_eq!(status(&request("/ws/v2", &"a: b\r\n".repeat(HEADERS_MAX))), 431);
        assert_eq!(status(&request("/ws/v2", &format!("a: {}\r\n", "b".repeat(HEAD_BYTES_MAX)))), 431);
        assert_eq!(status(&"GET /".repeat(HEAD_BYTES_MAX)), 400);
    }

    #[test]
    fn a_handshake_shows_one_bearer_credential_in_its_header_or_none() {
        let shown = |more: &str| match read(request("/ws/v2", more).as_bytes(), "/ws/v2") {
            Asked::Upgrade { credential, forwarded_for, .. } => Ok((credential, forwarded_for)),
            other => Err(other),
        };
        assert_eq!(shown(""), Ok((None, None)));
        assert_eq!(shown("authorization: bearer abc\r\n"), Ok((Credential::new("abc"), None)));
        let passed_on =
            "X-Forwarded-For: 1.1.1.1\r\nAuthorization: Bearer abc\r\nX-Forwarded-For: 2.2.2.2, 3.3.3.3\r\n";
        assert_eq!(shown(passed_on), Ok((Credential::new("abc"), Some(IpAddr::from([3, 3, 3, 3])))));
        for bad in
            ["Basic YTpi", "Bearer", "Bearer ", "Bearer a b", "abc", "Bearer ğ", "Bearer a\r\nAuthorization: Bearer a"]
        {
            assert_eq!(shown(&format!("Authorization: {bad}\r\n")), Err(Asked::Unauthenticated), "{bad}");
        }
    }

    #[test]
    fn w6_public_a_credential_in_the_query_is_refused() {
        for query in ["token=abc", "ts=rfc3339&Token=abc", "access_token=abc", "access_token", "token="] {
            assert_eq!(status(&request(&format!("/ws/v2?{query}"), "")), 400, "{query}");
        }
        let other = request("/ws/v2?tokens=1&x=token", "");
        assert!(matches!(read(other.as_bytes(), "/ws/v2"), Asked::Upgrade { .. }));
    }
}
