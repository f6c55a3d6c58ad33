//! A client of accounts that is not ours, and the program on a folder of its own.

use std::net::SocketAddr;
use std::path::Path;

use serde_json::{Value, json};

use super::Bist;

pub const PASSWORD: &str = "correct horse battery";

/// The simulator with accounts in `folder`.
pub fn start(folder: &Path) -> Bist {
    start_with(folder, &[])
}

pub fn start_with(folder: &Path, more: &[(&str, &str)]) -> Bist {
    let path = folder.display().to_string();
    let mut environment = vec![("BIST__STORAGE__EPHEMERAL", "false"), ("BIST__STORAGE__PATH", &path)];
    environment.extend(more);
    Bist::start_with(&["serve", "--source", "sim", "--symbols", "2"], &environment)
}

/// The status and body of an answer; `None` when there is none, because the server is gone.
pub fn try_ask(
    method: &str,
    address: SocketAddr,
    path: &str,
    credential: Option<&str>,
    body: Option<&Value>,
) -> Option<(u16, Value)> {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut request = ureq::http::Request::builder().method(method).uri(format!("http://{address}{path}"));
    if let Some(credential) = credential {
        request = request.header("authorization", format!("Bearer {credential}"));
    }
    if body.is_some() {
        request = request.header("content-type", "application/json");
    }
    let request = request.body(body.map(Value::to_string).unwrap_or_default()).expect("a request");
    let mut answer = agent.run(request).ok()?;
    let status = answer.status().as_u16();
    let text = answer.body_mut().read_to_string().ok()?;
    Some((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
}

/// The same of a server that is there.
pub fn ask(
    method: &str,
    address: SocketAddr,
    path: &str,
    credential: Option<&str>,
    body: Option<Value>,
) -> (u16, Value) {
    try_ask(method, address, path, credential, body.as_ref()).unwrap_or_else(|| panic!("{method} {path}: no answer"))
}

pub fn post(address: SocketAddr, path: &str, credential: Option<&str>, body: Value) -> (u16, Value) {
    ask("POST", address, &format!("/api/v1/{path}"), credential, Some(body))
}

pub fn register(address: SocketAddr, email: &str) -> (u16, Value) {
    post(address, "auth/register", None, json!({ "email": email, "password": PASSWORD, "full_name": "Ayşe Yılmaz" }))
}

pub fn log_in(address: SocketAddr, email: &str) -> (u16, Value) {
    post(address, "auth/login", None, json!({ "email": email, "password": PASSWORD }))
}

pub fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("no {pointer} in {value}"))
}

/// A command of `bist` on `folder`: its exit code and what it printed.
pub fn run(folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let output = super::command(arguments)
        .env("BIST__STORAGE__EPHEMERAL", "false")
        .env("BIST__STORAGE__PATH", folder)
        .output()
        .expect("the program starts");
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}
