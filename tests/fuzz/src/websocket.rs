//! The WebSocket server's doors: the request that opens a connection, the frames behind it, and what they ask for.

use std::io::{self, Read, Write};

use distributor::frame::{self, Decoder, MESSAGE_BYTES_MAX, Message, Violation, close, opcode};
use distributor::handshake::{self, Asked, Failure, HEAD_BYTES_MAX, HEADERS_MAX};
use distributor::requests::{
    self, AnyChannel, Body, CONFLATE_MS_MAX, DEPTH_MAX, SYMBOLS_MAX, Subscribe, Symbols, Which,
};
use serde_json::{Value, json};
use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Error, WebSocket};

/// [`Message`] with bytes of its own.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Text(String),
    Ping(Vec<u8>),
    Pong,
    Close(Option<u16>),
}

impl From<Message<'_>> for Said {
    fn from(message: Message<'_>) -> Self {
        match message {
            Message::Text(text) => Self::Text(text.to_owned()),
            Message::Ping(payload) => Self::Ping(payload.to_vec()),
            Message::Pong => Self::Pong,
            // Theirs does not know 1014 (bad gateway), which came later, and reads it as a protocol error.
            Message::Close(Some(1014)) => Self::Close(Some(close::PROTOCOL)),
            Message::Close(code) => Self::Close(code),
        }
    }
}

/// The first byte says how many bytes come at once; the rest is what a client sends after the handshake.
///
/// Read in pieces it gives what it gives as a whole; no message is longer than it may be; and up to the first violation a
/// decoder that is not ours reads the same messages.
pub fn frames(data: &[u8]) {
    let [piece, bytes @ ..] = data else { return };
    let (said, end) = read(bytes, bytes.len().max(1));
    let in_pieces = read(bytes, 1 + usize::from(*piece));
    assert_eq!((&said, &end), (&in_pieces.0, &in_pieces.1), "in pieces of {piece}");
    for message in &said {
        if let Said::Text(text) = message {
            assert!(text.len() <= MESSAGE_BYTES_MAX);
        }
    }
    let (theirs, error) = read_by_tungstenite(bytes);
    // Theirs looks at the text of each fragment, ours at the whole message; neither gives it out.
    let sooner = matches!(error, Error::Utf8(_)) && theirs.len() < said.len();
    let common = if sooner || end.is_some() { theirs.len().min(said.len()) } else { said.len() };
    assert_eq!(theirs.get(..common), Some(&said[..common]), "ours: {said:?} {end:?}, theirs: {theirs:?} {error}");
    assert!(end.is_none() || sooner || theirs.len() >= said.len(), "theirs stopped sooner: {error}");
}

/// Reads `bytes` as they come in pieces, as far as a connection would.
fn read(bytes: &[u8], piece: usize) -> (Vec<Said>, Option<Violation>) {
    let (mut decoder, mut buffer, mut said) = (Decoder::default(), Vec::new(), Vec::new());
    for piece in bytes.chunks(piece) {
        buffer.extend_from_slice(piece);
        let mut at = 0;
        loop {
            let there = buffer.len() - at;
            match decoder.read(&mut buffer[at..]) {
                Ok((0, message)) => {
                    assert_eq!(message, None);
                    break;
                }
                Ok((used, message)) => {
                    assert!(used <= there);
                    at += used;
                    said.extend(message.map(Said::from));
                }
                Err(violation) => return (said, Some(violation)),
            }
            if matches!(said.last(), Some(Said::Close(_))) {
                return (said, None);
            }
        }
        buffer.drain(..at);
    }
    (said, None)
}

/// A socket that gives these bytes, then ends; what is written to it is nobody's business.
struct Wire<'a>(&'a [u8]);

impl Read for Wire<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn tungstenite(bytes: &[u8], role: Role) -> WebSocket<Wire<'_>> {
    let config = WebSocketConfig::default()
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX))
        .read_buffer_size(4_096);
    WebSocket::from_raw_socket(Wire(bytes), role, Some(config))
}

fn read_by_tungstenite(bytes: &[u8]) -> (Vec<Said>, Error) {
    let mut socket = tungstenite(bytes, Role::Server);
    let mut said = Vec::new();
    loop {
        said.push(match socket.read() {
            Ok(tungstenite::Message::Text(text)) => Said::Text(text.to_string()),
            Ok(tungstenite::Message::Ping(payload)) => Said::Ping(payload.to_vec()),
            Ok(tungstenite::Message::Pong(_)) => Said::Pong,
            Ok(tungstenite::Message::Close(frame)) => Said::Close(frame.map(|frame| frame.code.into())),
            // Ours takes no binary messages: whatever follows is not compared.
            Ok(_) => return (said, Error::ConnectionClosed),
            Err(error) => return (said, error),
        });
    }
}

/// Lengths of payloads, two bytes each: frames of ours, headed one after the other in one buffer.
///
/// They stand without a hole, say their own length, and a client that is not ours reads the same payloads.
pub fn server_frames(data: &[u8]) {
    let lengths: Vec<usize> =
        data.as_chunks::<2>().0.iter().take(16).map(|&pair| usize::from(u16::from_be_bytes(pair)) * 2).collect();
    let mut out = Vec::new();
    for (at, &length) in lengths.iter().enumerate() {
        let begun = frame::begin(&mut out);
        out.extend((0..length).map(|byte| (byte + at) as u8));
        let place = frame::finish(&mut out, begun, opcode::BINARY);
        assert_eq!((place.start, place.end), (begun, out.len()));
        assert_eq!(frame::server_frame_bytes(&out[place.clone()]), Some(place.len()));
        assert!(place.len() - length <= 10);
    }
    let mut socket = WebSocket::from_raw_socket(Wire(&out), Role::Client, None);
    for (at, &length) in lengths.iter().enumerate() {
        let payload = socket.read().expect("a frame").into_data();
        assert!(payload.len() == length && payload.iter().enumerate().all(|(byte, &have)| have == (byte + at) as u8));
    }
    assert!(socket.read().is_err());
}

/// The head of a request, whole and cut.
///
/// A head that was answered is answered the same whatever follows it; what is accepted carries the key's answer as another
/// implementation makes it; and every answer is one HTTP response with nothing of the client's in its head.
pub fn handshake(data: &[u8]) {
    const PATH: &str = "/ws/v2";
    let asked = handshake::read(data, PATH);
    let mut fields = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut fields);
    let parsed = request.parse(data);
    let mut out = Vec::new();
    let status = match &asked {
        Asked::Incomplete => {
            assert!(data.len() < HEAD_BYTES_MAX, "waits for more than it takes");
            return;
        }
        Asked::Other => {
            let ours = request.method == Some("GET") && request.path.unwrap_or("/").split('?').next() == Some(PATH);
            assert!(!ours, "a handshake of the public socket is answered here");
            return;
        }
        Asked::Upgrade { head_bytes, accept, subprotocol, .. } => {
            assert_eq!(parsed, Ok(httparse::Status::Complete(*head_bytes)));
            assert_eq!(handshake::read(&data[..*head_bytes], PATH), asked, "what follows a head changes nothing");
            assert_eq!(handshake::read(&data[..*head_bytes - 1], PATH), Asked::Incomplete);
            let key = request.headers.iter().find(|field| field.name.eq_ignore_ascii_case("sec-websocket-key"));
            let key = key.expect("accepted with a key").value.trim_ascii();
            assert_eq!(*accept, tungstenite::handshake::derive_accept_key(key));
            handshake::write_upgrade(&mut out, accept, *subprotocol);
            101
        }
        Asked::Unauthenticated => {
            handshake::write_failure(&mut out, &Failure::UNAUTHENTICATED, 0);
            401
        }
        Asked::Refuse(status, text) => {
            assert!(text.len() < 256 + data.len());
            handshake::write_refusal(&mut out, *status, text);
            *status
        }
    };
    let mut fields = [httparse::EMPTY_HEADER; 8];
    let mut response = httparse::Response::new(&mut fields);
    let Ok(httparse::Status::Complete(head_bytes)) = response.parse(&out) else { panic!("an answer that is none") };
    assert_eq!(response.code, Some(status));
    let length = response.headers.iter().find(|field| field.name == "Content-Length");
    let length = length.map_or(0, |field| std::str::from_utf8(field.value).unwrap().parse().expect("a length"));
    assert_eq!(out.len(), head_bytes + length);
}

/// A text message.
///
/// It becomes a request within its ranges, or a refusal with a code and words, with a bounded number of warnings; and a
/// request that is written again as the page says is read as the same, without a warning.
pub fn request(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (context, body) = requests::parse(text);
    let said: usize = context.warnings.iter().map(String::len).sum();
    assert!(context.warnings.len() <= 20 && said <= 4_096, "{said} bytes of warnings");
    let mut body = match body {
        Ok(body) => body,
        Err(refusal) => {
            assert!(!refusal.code.is_empty() && (1..1_024).contains(&refusal.message.len()), "{refusal:?}");
            return;
        }
    };
    if let Body::Subscribe(asked) | Body::Snapshot(asked) = &mut body {
        // A depth for a channel without one was ignored, with a warning.
        asked.depth_stated &= name(asked.channel) == "book";
    }
    let params = match &body {
        Body::Subscribe(asked) | Body::Snapshot(asked) => subscribe(asked),
        Body::Unsubscribe(Which::SubId(number)) => json!({ "sub_id": number }),
        Body::Unsubscribe(Which::Named(channel, listed)) => {
            json!({ "channel": name(*channel), "symbol": symbols(listed) })
        }
        Body::Auth(Some(credential)) => json!({ "token": credential.expose() }),
        Body::List | Body::Ping | Body::Auth(None) => json!({}),
    };
    let mut again = json!({ "method": context.method, "params": params });
    if let Some(number) = context.req_id {
        again["req_id"] = number.into();
    }
    let (context_again, body_again) = requests::parse(&without_nulls(again).to_string());
    assert_eq!(body_again, Ok(body));
    assert_eq!((context_again.method, context_again.req_id), (context.method, context.req_id));
    assert_eq!(context_again.warnings, [""; 0]);
}

fn subscribe(asked: &Subscribe) -> Value {
    assert!(u64::from(asked.depth) <= DEPTH_MAX && u64::from(asked.conflate_ms) <= CONFLATE_MS_MAX);
    assert!((1..=60).contains(&asked.interval_s));
    json!({
        "channel": name(asked.channel),
        "symbol": symbols(&asked.symbols),
        "depth": asked.depth_stated.then_some(asked.depth),
        "snapshot": matches!(asked.channel, AnyChannel::Data(_)).then_some(asked.snapshot),
        "conflate_ms": asked.conflate_ms,
        "slow_reader": asked.policy.name(),
        "interval_s": asked.interval_s,
        "from": asked.from.map(|(epoch, seq)| json!({ "epoch": epoch, "seq": seq })),
    })
}

fn name(channel: AnyChannel) -> &'static str {
    match channel {
        AnyChannel::Data(channel) => channel.name(),
        AnyChannel::Heartbeat => "heartbeat",
        AnyChannel::System => "system",
    }
}

fn symbols(symbols: &Symbols) -> Value {
    match symbols {
        Symbols::All => json!(["*"]),
        Symbols::Listed(names) if names.is_empty() => Value::Null,
        Symbols::Listed(names) => {
            assert!(names.len() <= SYMBOLS_MAX);
            json!(names)
        }
    }
}

/// A key without a value is left out: it may be one that the channel does not have.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(map) => map
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key, without_nulls(value)))
            .collect(),
        other => other,
    }
}
