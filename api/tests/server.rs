//! The real listeners on free ports, asked by clients that are not ours.

mod common;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use api::{Config, Server};
use common::{Fed, config, fed, market};
use tungstenite::Message;

const PATIENCE: Duration = Duration::from_secs(5);

fn started(fed: &Fed, config: Config) -> Server {
    Server::start(fed.assembly(config)).expect("free ports")
}

fn ask(url: &str) -> (u16, ureq::http::HeaderMap, String) {
    let request = ureq::get(url).config().http_status_as_error(false).timeout_global(Some(PATIENCE)).build();
    let mut response = request.call().expect("an answer");
    let body = response.body_mut().read_to_string().expect("a body");
    (response.status().as_u16(), response.headers().clone(), body)
}

/// A process whose WebSocket proxy leads to `address`.
fn leading_to(address: SocketAddr) -> Config {
    let mut config = config();
    config.ws_proxy.market_data = address;
    config
}

/// Writes `request` and reads until the server closes.
fn raw(server: &Server, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.local_addr()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn both_ports_answer_what_they_should() {
    let fed = fed(&market());
    let server = started(&fed, config());
    let main = format!("http://{}", server.local_addr());
    let admin = format!("http://{}", server.admin_addr().unwrap());
    assert!(ask(&format!("{main}/api/v1/market-data/quotes/GARAN")).2.contains("\"last\":\"105.10\""));
    assert_eq!(ask(&format!("{main}/readyz")), (200, ask(&format!("{main}/readyz")).1, "ok\n".to_owned()));
    assert_eq!(ask(&format!("{admin}/api/v1/limits")).0, 404, "the admin port has health and metrics only");
    assert!(ask(&format!("{admin}/metrics")).2.contains("market_ticks_processed_total"));
    assert!(ask(&main).1["content-type"].to_str().unwrap().starts_with("text/html"));
    server.stop();
}

#[test]
fn a_taken_port_names_itself_and_its_key() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = config();
    config.main.address = taken.local_addr().unwrap();
    let error = Server::start(fed(&[]).assembly(config)).err().expect("the port is taken").to_string();
    assert!(error.contains(&taken.local_addr().unwrap().to_string()), "{error}");
    assert!(error.contains("api.listen") && error.contains("another process"), "{error}");
}

#[test]
fn stopping_cuts_idle_connections_within_the_limit() {
    let server = started(&fed(&[]), config());
    let mut idle = TcpStream::connect(server.local_addr()).unwrap();
    let mut silent = TcpStream::connect(server.local_addr()).unwrap();
    silent.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n").unwrap();
    idle.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut first = [0; 12];
    idle.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    let address = server.local_addr();
    let begin = Instant::now();
    server.stop();
    assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
    assert!(TcpStream::connect(address).is_err(), "nobody listens any more");
}

#[test]
fn a_head_that_never_ends_is_cut_off() {
    let mut config = config();
    config.server.head_timeout = Duration::from_millis(100);
    let server = started(&fed(&[]), config);
    let begin = Instant::now();
    raw(&server, b"GET /livez HTTP/1.1\r\nX-Slow: ");
    raw(&server, b"");
    assert!(begin.elapsed() < PATIENCE, "both were closed by the server");
    let huge = format!("GET / HTTP/1.1\r\nHost: x\r\nX-Huge: {}\r\n\r\n", "a".repeat(1 << 20));
    assert!(!raw(&server, huge.as_bytes()).starts_with("HTTP/1.1 200"));
}

#[test]
fn connections_beyond_the_limit_are_refused_and_counted() {
    let mut config = config();
    config.server.connections_max = 1;
    let server = started(&fed(&[]), config);
    let mut first = TcpStream::connect(server.local_addr()).unwrap();
    first.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    first.read_exact(&mut [0; 12]).unwrap();
    assert!(raw(&server, b"").starts_with("HTTP/1.1 503"));
    let metrics = ask(&format!("http://{}/metrics", server.admin_addr().unwrap())).2;
    assert!(metrics.contains("bist_http_connections_refused_total 1"), "{metrics}");
}

/// A WebSocket server that says what it was asked and echoes `messages` messages.
fn echo(messages: usize) -> (SocketAddr, std::thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut asked = String::new();
        #[allow(clippy::result_large_err)] // OK because the shape of the callback is tungstenite's
        let note = |request: &tungstenite::handshake::server::Request,
                    mut response: tungstenite::handshake::server::Response| {
            asked = format!("{} {:?}", request.uri(), request.headers());
            response.headers_mut().insert("sec-websocket-protocol", "bist.v2.json".parse().unwrap());
            Ok(response)
        };
        let mut socket = tungstenite::accept_hdr(stream, note).unwrap();
        for _ in 0..messages {
            let message = socket.read().unwrap();
            socket.send(message).unwrap();
        }
        let _ = socket.close(None);
        while socket.read().is_ok() {}
        asked
    });
    (address, server)
}

fn open(server: &Server, path: &str) -> tungstenite::WebSocket<TcpStream> {
    let stream = TcpStream::connect(server.local_addr()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request =
        tungstenite::ClientRequestBuilder::new(format!("ws://{}{path}", server.local_addr()).parse().unwrap())
            .with_sub_protocol("bist.v2.json");
    tungstenite::client(request, stream).expect("a handshake through the proxy").0
}

#[test]
fn a_websocket_passes_byte_for_byte() {
    let (address, upstream) = echo(3);
    let server = started(&fed(&[]), leading_to(address));
    let mut socket = open(&server, "/ws/v2/test?token=1");
    for message in [Message::text("merhaba"), Message::binary(vec![7; 300_000]), Message::text("")] {
        socket.send(message.clone()).unwrap();
        assert_eq!(socket.read().unwrap(), message);
    }
    assert!(matches!(socket.read(), Ok(Message::Close(_))), "the close comes through");
    drop(socket);
    let asked = upstream.join().unwrap();
    assert!(asked.starts_with("/ws/v2/test?token=1"), "{asked}");
    assert!(asked.contains("bist.v2.json") && asked.contains("x-forwarded-for"), "{asked}");
    server.stop();
}

#[test]
fn a_client_that_never_closes_does_not_keep_the_proxied_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = leading_to(listener.local_addr().unwrap());
    config.ws_proxy.close_timeout = Duration::from_millis(100);
    let upstream = std::thread::spawn(move || {
        let socket = tungstenite::accept(listener.accept().unwrap().0).unwrap();
        drop(socket); // goes away without a word, as a killed server does
    });
    let server = started(&fed(&[]), config);
    let url = format!("ws://{}/ws/v2", server.local_addr());
    let (socket, _) = tungstenite::client(url.as_str(), TcpStream::connect(server.local_addr()).unwrap()).unwrap();
    upstream.join().unwrap();
    let metrics = format!("http://{}/metrics", server.admin_addr().unwrap());
    let deadline = Instant::now() + PATIENCE;
    let ended = |metrics: &str| {
        metrics.contains("bist_ws_proxy_connections_total 1\n") && metrics.contains("bist_ws_proxy_connections_open 0")
    };
    while !ended(&ask(&metrics).2) {
        assert!(Instant::now() < deadline, "the proxied connection ends soon after one side has");
    }
    drop(socket);
}

#[test]
fn an_open_proxied_socket_does_not_hold_up_the_stop() {
    let (address, _upstream) = echo(usize::MAX);
    let server = started(&fed(&[]), leading_to(address));
    let mut socket = open(&server, "/ws/v2");
    socket.send(Message::text("x")).unwrap();
    socket.read().unwrap();
    let metrics = ask(&format!("http://{}/metrics", server.admin_addr().unwrap())).2;
    assert!(
        metrics.contains("bist_ws_proxy_connections_open 1") && metrics.contains("bist_ws_proxy_connections_total 1"),
        "{metrics}"
    );
    let begin = Instant::now();
    server.stop();
    assert!(begin.elapsed() < Duration::from_millis(1_500), "{:?}", begin.elapsed());
}

#[test]
fn a_proxy_to_nowhere_says_so() {
    let nowhere = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = started(&fed(&[]), leading_to(nowhere));
    let handshake = "GET /ws/v2 HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nAccept: */*\r\n\r\n";
    let mut stream = TcpStream::connect(server.local_addr()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(handshake.as_bytes()).unwrap();
    let mut answer = [0; 2_048];
    let length = stream.read(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer[..length]);
    assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
    assert!(answer.contains("UPSTREAM_UNAVAILABLE") && answer.contains(&nowhere.to_string()), "{answer}");
    let (status, _, body) = ask(&format!("http://{}/ws/v2", server.local_addr()));
    assert_eq!(status, 426, "{body}");
}

#[test]
fn a_market_data_server_that_is_silent_is_given_up() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = leading_to(silent.local_addr().unwrap());
    config.ws_proxy.answer_timeout = Duration::from_millis(100);
    config.ws_proxy.connections_max = 1;
    let server = started(&fed(&[]), config);
    let stream = TcpStream::connect(server.local_addr()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let url = format!("ws://{}/ws/v2", server.local_addr());
    let Err(tungstenite::HandshakeError::Failure(tungstenite::Error::Http(response))) =
        tungstenite::client(url.as_str(), stream)
    else {
        panic!("no handshake can succeed")
    };
    assert_eq!(response.status(), 504);
}

#[test]
fn sockets_beyond_the_limit_are_refused_and_room_comes_back() {
    let (address, _upstream) = echo(usize::MAX);
    let mut config = leading_to(address);
    config.ws_proxy.connections_max = 1;
    let server = started(&fed(&[]), config);
    let first = open(&server, "/ws/v2");
    let url = format!("ws://{}/ws/v2", server.local_addr());
    let Err(tungstenite::HandshakeError::Failure(tungstenite::Error::Http(response))) =
        tungstenite::client(url.as_str(), TcpStream::connect(server.local_addr()).unwrap())
    else {
        panic!("there is room for one")
    };
    assert_eq!(response.status(), 503);
    drop(first);
    let metrics = format!("http://{}/metrics", server.admin_addr().unwrap());
    let deadline = Instant::now() + PATIENCE;
    while !ask(&metrics).2.contains("bist_ws_proxy_connections_open 0") {
        assert!(Instant::now() < deadline, "the proxied connection closes with its client");
    }
}

/// A connection that another port accepted: the client's end, and the end that is handed over.
fn accepted() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    near.set_read_timeout(Some(PATIENCE)).unwrap();
    let (far, _) = listener.accept().unwrap();
    (near, far)
}

#[test]
fn a_handed_over_connection_is_served_from_its_first_byte() {
    let mut config = config();
    config.rate_limit.requests_per_second = 100;
    let server = started(&fed(&market()), config);
    let (mut near, far) = accepted();
    let peer = near.local_addr().unwrap();
    // One request and the beginning of the next were read by the other port, the rest was not.
    let read = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\nHEAD /metrics?verb".to_vec();
    near.write_all(b"ose HTTP/1.1\r\nHost: x\r\n\r\nGET /api/v1/limits HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    near.write_all(b"GET /ws/v2/private HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    server.intake().offer(far, peer, read).expect("there is room");
    let mut answers = String::new();
    near.read_to_string(&mut answers).unwrap();
    let statuses: Vec<_> = answers.match_indices("HTTP/1.1 ").map(|(at, _)| &answers[at + 9..at + 12]).collect();
    assert_eq!(statuses, ["200", "200", "200", "404"], "{answers}");
    let limited = answers.find("ratelimit-limit");
    assert!(limited.is_some_and(|at| at > answers.rfind("HTTP/1.1 200").unwrap()), "REST only: {answers}");
    let metrics = ask(&format!("http://{}/metrics", server.admin_addr().unwrap())).2;
    for line in [
        r#"http_requests_total{service="market-data-service",method="HEAD",status="200"} 1"#,
        r#"http_requests_total{service="market-data-service",method="GET",status="404"} 1"#,
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    server.stop();
}

#[test]
fn a_handed_over_connection_has_the_same_bounds() {
    let mut config = config();
    config.server.head_timeout = Duration::from_millis(100);
    config.rate_limit.requests_per_second = 1;
    config.rate_limit.requests_burst = 1;
    let server = started(&fed(&[]), config);
    let (mut near, far) = accepted();
    let begin = Instant::now();
    let request = b"GET /api/v1/limits HTTP/1.1\r\nHost: x\r\n\r\n";
    let read = [request.as_slice(), request, b"GET /livez HTTP/1.1\r\nX-Slow: "].concat();
    server.intake().offer(far, near.local_addr().unwrap(), read).expect("there is room");
    let mut answers = String::new();
    let _ = near.read_to_string(&mut answers);
    assert!(begin.elapsed() < PATIENCE, "a head that never ends is cut off");
    assert!(answers.starts_with("HTTP/1.1 200") && answers.contains("HTTP/1.1 429"), "{answers}");
}

#[test]
fn a_stopped_server_gives_the_connection_back() {
    let server = started(&fed(&[]), config());
    let intake = server.intake();
    server.stop();
    let (mut near, far) = accepted();
    let peer = near.local_addr().unwrap();
    let (far, back, read) = intake.offer(far, peer, b"GET ".to_vec()).expect_err("nobody is there");
    assert_eq!((back, &read[..]), (peer, &b"GET "[..]));
    drop(far);
    assert_eq!(near.read(&mut [0; 4]).unwrap(), 0, "closed by whoever offered it");
}
