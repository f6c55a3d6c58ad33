//! What clients ask for: JSON text to a checked request, or the error to answer with.
//!
//! Knows shapes and ranges, not which symbols exist. Never panics; nesting is bounded by the JSON library (128) and
//! sizes by the message limit.

use serde_json::{Map, Value};

use crate::admission::Credential;
pub use crate::egress::slow_reader::Policy;
pub use crate::topics::channel::{Channel, DEPTH_MAX};
use crate::websocket::handshake::Failure;

/// Symbols of one request; more are `PARAMETER_INVALID`.
pub const SYMBOLS_MAX: usize = 1_000;

/// Longest conflation interval, milliseconds.
pub const CONFLATE_MS_MAX: u64 = 60_000;

/// An error of the protocol's table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Code of the table.
    pub code: &'static str,
    /// What is wrong and what to do next.
    pub message: String,
    /// Symbols that may have been meant, nearest first.
    pub near: Vec<String>,
}

impl Refusal {
    /// An error with its message.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), near: Vec::new() }
    }

    /// Whether the same request may succeed later.
    #[must_use]
    pub fn retryable(&self) -> bool {
        matches!(self.code, "SYMBOL_NOT_FOUND" | "SNAPSHOT_UNAVAILABLE" | "STORE_UNAVAILABLE" | "BUSY")
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self::new(failure.code, failure.message)
    }
}

/// Channels with and without symbols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnyChannel {
    /// A channel of one symbol.
    Data(Channel),
    /// `heartbeat`.
    Heartbeat,
    /// `system`.
    System,
}

/// Which symbols.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Symbols {
    /// `["*"]`.
    All,
    /// These, as the client wrote them.
    Listed(Vec<String>),
}

/// Parameters of `subscribe` and `get_snapshot`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribe {
    /// Channel.
    pub channel: AnyChannel,
    /// Symbols; empty for channels without.
    pub symbols: Symbols,
    /// Levels a side, 0 where the channel has no depth.
    pub depth: u8,
    /// The client stated a depth.
    pub depth_stated: bool,
    /// A snapshot comes first.
    pub snapshot: bool,
    /// At most one frame per so many milliseconds, 0 = every one.
    pub conflate_ms: u32,
    /// Slow-reader policy.
    pub policy: Policy,
    /// `heartbeat`: seconds between two.
    pub interval_s: u8,
    /// Cursor (epoch, seq) to go on from.
    pub from: Option<(u64, u64)>,
}

/// Which subscriptions to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// By number.
    SubId(u64),
    /// By name.
    Named(AnyChannel, Symbols),
}

/// Slow-reader policy of a channel, where the client states none: states may be skipped, events should not be.
const fn default_policy(channel: Channel) -> Policy {
    match channel {
        Channel::Mbo | Channel::Trades => Policy::Warn,
        _ => Policy::Skip,
    }
}

/// A checked request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// `subscribe`.
    Subscribe(Subscribe),
    /// `unsubscribe`.
    Unsubscribe(Which),
    /// `list_subscriptions`.
    List,
    /// `get_snapshot`.
    Snapshot(Subscribe),
    /// `ping`.
    Ping,
    /// `auth`, with what it shows.
    Auth(Option<Credential>),
}

/// What a reply repeats.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// The request's method, one of ours; `error` when there was none.
    pub method: &'static str,
    /// The request's own number.
    pub req_id: Option<i64>,
    /// Things that were not as asked.
    pub warnings: Vec<String>,
}

const METHODS: [&str; 6] = ["subscribe", "unsubscribe", "list_subscriptions", "get_snapshot", "ping", "auth"];

/// Reads one message of a client.
///
/// # Errors
/// The refusal to answer with; the context is filled as far as it could be read.
pub fn parse(message: &str) -> (Context, Result<Body, Refusal>) {
    let mut context = Context { method: "error", ..Context::default() };
    let body = parse_into(message, &mut context);
    (context, body)
}

fn parse_into(message: &str, context: &mut Context) -> Result<Body, Refusal> {
    let malformed = |text: String| Refusal::new("MALFORMED", text);
    let value: Value = serde_json::from_str(message)
        .map_err(|error| malformed(format!("not JSON: {error}; send one object with method and params")))?;
    let Value::Object(request) = value else {
        return Err(malformed("not an object: send {\"method\":…,\"params\":{…},\"req_id\":1}".to_owned()));
    };
    match request.get("req_id") {
        None | Some(Value::Null) => {}
        Some(number) => {
            let number = number.as_i64();
            context.req_id = Some(number.ok_or_else(|| malformed("req_id must be an integer".to_owned()))?);
        }
    }
    let name = request.get("method").and_then(Value::as_str);
    let name = name.ok_or_else(|| malformed("method is missing or no text".to_owned()))?;
    let Some(&method) = METHODS.iter().find(|&&method| method == name) else {
        let short: String = name.chars().take(32).collect();
        let place = if name == "cancel_after" { "; it belongs to /ws/v2/private" } else { "" };
        return Err(Refusal::new("UNKNOWN_METHOD", format!("no method {short}; use {}{place}", METHODS.join(", "))));
    };
    context.method = method;
    name_unknown(&request, &["method", "params", "req_id"], context);
    let none = Map::new();
    let params = match request.get("params") {
        None | Some(Value::Null) => &none,
        Some(Value::Object(params)) => params,
        Some(_) => return Err(malformed("params must be an object".to_owned())),
    };
    match method {
        "subscribe" => subscribe(params, context).map(Body::Subscribe),
        "get_snapshot" => {
            let asked = subscribe(params, context)?;
            match asked.channel {
                AnyChannel::Data(_) => Ok(Body::Snapshot(asked)),
                _ => Err(Refusal::new("CHANNEL_UNKNOWN", "this channel has no snapshots")),
            }
        }
        "unsubscribe" => unsubscribe(params, context).map(Body::Unsubscribe),
        "list_subscriptions" => Ok(Body::List),
        "ping" => Ok(Body::Ping),
        _ => auth(params, context).map(Body::Auth),
    }
}

/// A text that has not the form of a credential is answered like every bad one.
fn auth(params: &Map<String, Value>, context: &mut Context) -> Result<Option<Credential>, Refusal> {
    name_unknown(params, &["token"], context);
    match params.get("token") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(token)) => {
            let credential = Credential::new(token);
            credential.map(Some).ok_or_else(|| Refusal::from(Failure::UNAUTHENTICATED))
        }
        Some(_) => Err(Refusal::new("PARAMETER_INVALID", "token must be a text: an access token or an API key")),
    }
}

fn name_unknown(object: &Map<String, Value>, known: &[&str], context: &mut Context) {
    for name in object.keys().filter(|name| !known.contains(&name.as_str())).take(8) {
        let short: String = name.chars().take(32).collect();
        context.warnings.push(format!("{short} is not known and was ignored"));
    }
}

fn channel(params: &Map<String, Value>) -> Result<AnyChannel, Refusal> {
    let name = params.get("channel").and_then(Value::as_str);
    let name = name.ok_or_else(|| Refusal::new("MALFORMED", "params.channel is missing or no text"))?;
    match name {
        "heartbeat" => Ok(AnyChannel::Heartbeat),
        "system" => Ok(AnyChannel::System),
        _ => Channel::from_name(name).map(AnyChannel::Data).ok_or_else(|| {
            let short: String = name.chars().take(32).collect();
            let names = Channel::ALL.map(Channel::name).join(", ");
            Refusal::new("CHANNEL_UNKNOWN", format!("no channel {short}; use {names}, heartbeat, system"))
        }),
    }
}

fn symbols(params: &Map<String, Value>, channel: AnyChannel, context: &mut Context) -> Result<Symbols, Refusal> {
    let stated = params.get("symbol");
    if !matches!(channel, AnyChannel::Data(_)) {
        if stated.is_some() {
            context.warnings.push("this channel has no symbols: symbol was ignored".to_owned());
        }
        return Ok(Symbols::Listed(Vec::new()));
    }
    let names: Vec<String> = match stated {
        Some(Value::String(name)) => vec![name.clone()],
        Some(Value::Array(names)) => {
            let names = names.iter().map(|name| name.as_str().map(str::to_owned)).collect::<Option<_>>();
            names.ok_or_else(|| Refusal::new("PARAMETER_INVALID", "symbol must be a list of texts"))?
        }
        None | Some(Value::Null) => Vec::new(),
        Some(_) => return Err(Refusal::new("PARAMETER_INVALID", "symbol must be a list of texts")),
    };
    if names.is_empty() {
        return Err(Refusal::new("SYMBOL_REQUIRED", "name symbols, or [\"*\"] for all"));
    }
    if names.len() > SYMBOLS_MAX {
        return Err(Refusal::new("PARAMETER_INVALID", format!("at most {SYMBOLS_MAX} symbols in a request")));
    }
    if names.iter().any(|name| name == "*") {
        return Ok(Symbols::All);
    }
    Ok(Symbols::Listed(names))
}

fn subscribe(params: &Map<String, Value>, context: &mut Context) -> Result<Subscribe, Refusal> {
    let known = [
        "channel",
        "symbol",
        "depth",
        "snapshot",
        "conflate_ms",
        "slow_reader",
        "interval_s",
        "from",
        "start",
        "end",
        "speed",
    ];
    name_unknown(params, &known, context);
    let any = channel(params)?;
    let symbols = symbols(params, any, context)?;
    let data = if let AnyChannel::Data(channel) = any { Some(channel) } else { None };

    let depth_stated = params.contains_key("depth");
    let mut depth = data.map_or(0, Channel::depth);
    if data == Some(Channel::Book) {
        let asked = integer(params, "depth", 1..=DEPTH_MAX, "DEPTH_OUT_OF_RANGE")?;
        depth = asked.map_or(depth, |asked| asked as u8);
    } else if depth_stated {
        context.warnings.push("only book has a depth: depth was ignored".to_owned());
    }

    let mut snapshot = boolean(params, "snapshot")?.unwrap_or(true);
    if !snapshot && data.is_some_and(Channel::needs_snapshot) {
        snapshot = true;
        context.warnings.push("this channel needs its snapshot: it is sent".to_owned());
    }

    let mut conflate_ms = integer(params, "conflate_ms", 0..=CONFLATE_MS_MAX, "PARAMETER_INVALID")?.unwrap_or(0) as u32;
    if conflate_ms > 0 && data == Some(Channel::Mbo) {
        conflate_ms = 0;
        context.warnings.push("mbo is never conflated: conflate_ms is 0".to_owned());
    }

    let policy = match params.get("slow_reader") {
        None | Some(Value::Null) => data.map_or(Policy::Skip, default_policy),
        Some(name) => match name.as_str() {
            Some("skip") => Policy::Skip,
            Some("warn") => Policy::Warn,
            Some("disconnect") => Policy::Disconnect,
            _ => return Err(Refusal::new("PARAMETER_INVALID", "slow_reader must be skip, warn or disconnect")),
        },
    };
    let interval_s = integer(params, "interval_s", 1..=60, "PARAMETER_INVALID")?.unwrap_or(1) as u8;

    if ["start", "end", "speed"].iter().any(|&name| params.contains_key(name)) {
        return Err(Refusal::new(
            "REPLAY_UNAVAILABLE",
            "replay is not offered yet: subscribe without start, end, speed",
        ));
    }
    let from = match params.get("from") {
        None | Some(Value::Null) => None,
        Some(from) => {
            let number = |name: &str| from.get(name).and_then(Value::as_u64);
            let cursor = number("epoch").zip(number("seq"));
            Some(cursor.ok_or_else(|| Refusal::new("PARAMETER_INVALID", "from must be {\"epoch\":7,\"seq\":1201}"))?)
        }
    };
    Ok(Subscribe { channel: any, symbols, depth, depth_stated, snapshot, conflate_ms, policy, interval_s, from })
}

fn unsubscribe(params: &Map<String, Value>, context: &mut Context) -> Result<Which, Refusal> {
    name_unknown(params, &["sub_id", "channel", "symbol"], context);
    if let Some(number) = params.get("sub_id") {
        let number = number.as_u64();
        return number.map(Which::SubId).ok_or_else(|| Refusal::new("PARAMETER_INVALID", "sub_id must be an integer"));
    }
    if !params.contains_key("channel") {
        return Err(Refusal::new("MALFORMED", "name a sub_id, or a channel and its symbols"));
    }
    let channel = channel(params)?;
    Ok(Which::Named(channel, symbols(params, channel, context)?))
}

fn integer(
    params: &Map<String, Value>,
    name: &str,
    range: std::ops::RangeInclusive<u64>,
    code: &'static str,
) -> Result<Option<u64>, Refusal> {
    match params.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_u64().filter(|number| range.contains(number)) {
            Some(number) => Ok(Some(number)),
            None => Err(Refusal::new(code, format!("{name} must be {}..={}", range.start(), range.end()))),
        },
    }
}

fn boolean(params: &Map<String, Value>, name: &str) -> Result<Option<bool>, Refusal> {
    match params.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(yes)) => Ok(Some(*yes)),
        Some(_) => Err(Refusal::new("PARAMETER_INVALID", format!("{name} must be true or false"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(message: &str) -> (Subscribe, Vec<String>) {
        match parse(message) {
            (context, Ok(Body::Subscribe(asked))) => (asked, context.warnings),
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn refused(message: &str, code: &str) {
        match parse(message).1 {
            Err(refusal) => assert_eq!(refusal.code, code, "{}", refusal.message),
            Ok(body) => panic!("accepted {body:?}"),
        }
    }

    #[test]
    fn defaults_are_those_of_the_page() {
        let (book, warnings) = asked(r#"{"method":"subscribe","params":{"channel":"book","symbol":"THYAO"}}"#);
        assert_eq!((book.depth, book.snapshot, book.conflate_ms, book.policy), (10, true, 0, Policy::Skip));
        assert!(warnings.is_empty());
        let (trades, _) = asked(r#"{"method":"subscribe","params":{"channel":"trades","symbol":["*"]}}"#);
        assert_eq!((trades.symbols, trades.policy), (Symbols::All, Policy::Warn));
    }

    #[test]
    fn what_cannot_be_honoured_is_a_warning() {
        let message = r#"{"method":"subscribe","params":{"channel":"mbo","symbol":["A"],"snapshot":false,"depth":5,
            "conflate_ms":9,"colour":1},"x":1,"req_id":-4}"#;
        let (mbo, warnings) = asked(message);
        assert_eq!((mbo.snapshot, mbo.conflate_ms, mbo.depth), (true, 0, 0));
        assert_eq!(warnings.len(), 5, "{warnings:?}");
        assert_eq!(parse(message).0.req_id, Some(-4));
    }

    #[test]
    fn auth_shows_a_credential_or_none_and_one_of_no_form_is_as_bad_as_any() {
        let shown = |params: &str| parse(&format!(r#"{{"method":"auth","params":{{{params}}}}}"#)).1;
        assert_eq!(shown(r#""token":"abc""#), Ok(Body::Auth(Credential::new("abc"))));
        assert_eq!(shown(""), Ok(Body::Auth(None)));
        refused(r#"{"method":"auth","params":{"token":7}}"#, "PARAMETER_INVALID");
        for bad in ["", "a b", "\\u0000", "ğ"] {
            refused(&format!(r#"{{"method":"auth","params":{{"token":"{bad}"}}}}"#), "UNAUTHENTICATED");
        }
        let text = format!("{:?}", shown(r#""token":"secret""#));
        assert!(!text.contains("secret"), "{text}");
    }

    #[test]
    fn every_mistake_has_its_code() {
        refused("", "MALFORMED");
        refused("[]", "MALFORMED");
        refused("{\"method\":1}", "MALFORMED");
        refused("{\"method\":\"ping\",\"req_id\":\"a\"}", "MALFORMED");
        refused("{\"method\":\"ping\",\"params\":[]}", "MALFORMED");
        refused("{\"method\":\"cancel_after\"}", "UNKNOWN_METHOD");
        let subscribe = |params: &str| format!("{{\"method\":\"subscribe\",\"params\":{{{params}}}}}");
        refused(&subscribe(""), "MALFORMED");
        refused(&subscribe(r#""channel":"level2""#), "CHANNEL_UNKNOWN");
        refused(&subscribe(r#""channel":"book""#), "SYMBOL_REQUIRED");
        refused(&subscribe(r#""channel":"book","symbol":[1]"#), "PARAMETER_INVALID");
        for depth in ["0", "101", "-1", "1.5", "\"10\"", "1e300"] {
            refused(&subscribe(&format!(r#""channel":"book","symbol":["A"],"depth":{depth}"#)), "DEPTH_OUT_OF_RANGE");
        }
        for other in [r#""conflate_ms":60001"#, r#""slow_reader":"wait""#, r#""snapshot":1"#, r#""from":7"#] {
            refused(&subscribe(&format!(r#""channel":"book","symbol":["A"],{other}"#)), "PARAMETER_INVALID");
        }
        refused(&subscribe(r#""channel":"heartbeat","interval_s":0"#), "PARAMETER_INVALID");
        refused(&subscribe(r#""channel":"book","symbol":["A"],"start":"1""#), "REPLAY_UNAVAILABLE");
        refused(r#"{"method":"get_snapshot","params":{"channel":"system"}}"#, "CHANNEL_UNKNOWN");
        refused(r#"{"method":"unsubscribe"}"#, "MALFORMED");
        refused(&"[".repeat(10_000), "MALFORMED");
    }
}
