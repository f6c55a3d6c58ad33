//! An upstream over real sockets: a server of each bad manner behind it, and what the caller is told.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use api_kit::error::shape_errors;
use api_kit::layers::Deadline;
use api_kit::upstream::{Upstream, UpstreamConfig};
use api_kit::{MetricSource, Sample};
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::middleware::from_fn;
use book::metrics::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt;

const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));
const FINE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Mine: 1\r\nConnection: keep-alive\r\n\r\n{}";

/// What the server does with a request.
#[derive(Clone, Copy)]
enum Manner {
    Answers(&'static str),
    /// Closes the connection instead of answering.
    Breaks,
    /// Says nothing, ever.
    Hangs,
}

/// A server that takes each request in the next manner, and the last one for ever; the heads that it was sent.
struct Served {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Served {
    async fn new(manners: &'static [Manner]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&heads);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, manners, Arc::clone(&seen)));
            }
        });
        Self { address, heads }
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

async fn serve(mut stream: TcpStream, manners: &'static [Manner], heads: Arc<Mutex<Vec<String>>>) {
    let mut read = Vec::new();
    let mut piece = [0; 4_096];
    while let Ok(count @ 1..) = stream.read(&mut piece).await {
        read.extend_from_slice(&piece[..count]);
        // The bodies of these tests are shorter than one segment.
        if !read.windows(4).any(|four| four == b"\r\n\r\n") {
            continue;
        }
        let number = {
            let mut heads = heads.lock().unwrap();
            heads.push(String::from_utf8_lossy(&read).into_owned());
            heads.len() - 1
        };
        read.clear();
        match manners[number.min(manners.len() - 1)] {
            Manner::Answers(text) => stream.write_all(text.as_bytes()).await.unwrap(),
            Manner::Breaks => return,
            Manner::Hangs => std::future::pending().await,
        }
    }
}

fn upstream(address: SocketAddr, change: impl FnOnce(&mut UpstreamConfig)) -> Arc<Upstream> {
    let mut config = UpstreamConfig::new("users", format!("http://{address}").parse().unwrap());
    config.answer_timeout = Duration::from_millis(300);
    change(&mut config);
    Upstream::new(config)
}

struct Told {
    status: u16,
    retry_after: Option<String>,
    body: serde_json::Value,
    headers: axum::http::HeaderMap,
}

/// What a caller is told who asks through `upstream`.
async fn ask(upstream: &Arc<Upstream>, request: Request) -> Told {
    let upstream = Arc::clone(upstream);
    let routes = Router::new()
        .fallback(move |request: Request| async move { upstream.forward(request, CLIENT).await })
        .layer(from_fn(shape_errors));
    let answer = routes.oneshot(request).await.unwrap();
    let (head, body) = answer.into_parts();
    let bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let retry_after = head.headers.get("retry-after").map(|value| value.to_str().unwrap().to_owned());
    let body = serde_json::from_slice(&bytes).unwrap_or_default();
    Told { status: head.status.as_u16(), retry_after, body, headers: head.headers }
}

impl Told {
    fn said(&self) -> (u16, &str, &str) {
        let error = &self.body["error"];
        (self.status, error["code"].as_str().unwrap_or(""), error["details"]["outcome"].as_str().unwrap_or(""))
    }
}

fn get() -> Request {
    Request::get("/api/v1/users/me?a=1").header("authorization", "Bearer t").body(Body::empty()).unwrap()
}

fn post() -> Request {
    Request::post("/api/v1/auth/register").body(Body::from("{}")).unwrap()
}

fn counted(upstream: &Upstream, outcome: &str) -> u64 {
    let mut samples: Vec<Sample> = Vec::new();
    upstream.collect(&mut samples);
    let is_it = |sample: &&Sample| {
        sample.name == "bist_upstream_requests_total" && sample.labels.iter().any(|(_, value)| value == outcome)
    };
    match samples.iter().find(is_it).map(|sample| &sample.value) {
        Some(Value::Counter(count)) => *count,
        _ => panic!("no counter of {outcome}"),
    }
}

#[tokio::test]
async fn a_request_goes_as_it_came_and_its_answer_comes_as_it_is() {
    let served = Served::new(&[Manner::Answers(FINE)]).await;
    let upstream = upstream(served.address, |_| ());
    let mut request = get();
    request.headers_mut().insert("x-forwarded-for", "203.0.113.66".parse().unwrap());
    request.headers_mut().insert("connection", "x-mine".parse().unwrap());
    request.headers_mut().insert("x-mine", "1".parse().unwrap());
    let told = ask(&upstream, request).await;
    assert_eq!((told.status, told.headers.get("x-mine").is_some(), told.headers.get("connection")), (200, true, None));
    let heads = served.heads();
    let head = heads[0].to_ascii_lowercase();
    assert!(head.starts_with("get /api/v1/users/me?a=1 http/1.1\r\n"), "{head}");
    assert!(head.contains("authorization: bearer t\r\n"), "{head}");
    assert!(head.contains("x-forwarded-for: 192.0.2.7\r\n") && !head.contains("203.0.113.66"), "{head}");
    assert!(!head.contains("x-mine"), "{head}");
    assert_eq!(counted(&upstream, "answered"), 1);
}

#[tokio::test]
async fn an_error_of_the_service_is_its_own_and_no_reason_to_open() {
    const BUSY: &str = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 7\r\nContent-Length: 27\r\n\r\n\
        {\"error\":{\"code\":\"BUSY  \"}}";
    let served = Served::new(&[Manner::Answers(BUSY)]).await;
    let upstream = upstream(served.address, |_| ());
    for _ in 0..20 {
        let told = ask(&upstream, get()).await;
        assert_eq!(
            (told.status, told.retry_after.as_deref(), told.body["error"]["code"].as_str()),
            (503, Some("7"), Some("BUSY  "))
        );
    }
    assert_eq!(counted(&upstream, "answered"), 20);
}

#[tokio::test]
async fn what_is_safe_is_asked_once_more_and_what_is_not_never() {
    let served = Served::new(&[Manner::Breaks, Manner::Answers(FINE), Manner::Breaks]).await;
    let upstream = upstream(served.address, |_| ());
    assert_eq!(ask(&upstream, get()).await.status, 200);
    assert_eq!(served.heads().len(), 2, "asked twice");
    let told = ask(&upstream, post()).await;
    assert_eq!((told.said(), told.retry_after.as_deref()), ((503, "UPSTREAM_UNAVAILABLE", "unknown"), None));
    assert_eq!(served.heads().len(), 3, "asked once");
    assert!(served.heads()[2].ends_with("{}"), "the body went, too");
    let told = ask(&upstream, get()).await;
    assert_eq!((told.said(), told.retry_after.as_deref()), ((503, "UPSTREAM_UNAVAILABLE", "not_done"), Some("1")));
    assert_eq!((counted(&upstream, "ambiguous"), counted(&upstream, "unavailable")), (1, 1));
}

#[tokio::test]
async fn a_service_that_says_nothing_costs_a_stated_time() {
    let served = Served::new(&[Manner::Hangs]).await;
    let upstream = upstream(served.address, |_| ());
    let begin = Instant::now();
    assert_eq!(ask(&upstream, get()).await.said(), (504, "UPSTREAM_TIMEOUT", "not_done"));
    let told = ask(&upstream, post()).await;
    assert_eq!((told.said(), told.retry_after.as_deref()), ((504, "UPSTREAM_TIMEOUT", "unknown"), None));
    assert!(begin.elapsed() >= Duration::from_millis(600));
}

#[tokio::test]
async fn the_requests_own_deadline_is_kept() {
    let served = Served::new(&[Manner::Hangs]).await;
    let upstream = upstream(served.address, |config| config.answer_timeout = Duration::from_secs(3_600));
    let mut request = get();
    request.extensions_mut().insert(Deadline(Instant::now() + Duration::from_millis(400)));
    assert_eq!(ask(&upstream, request).await.said().0, 504);
}

#[tokio::test]
async fn nobody_there_opens_the_breaker_and_it_closes_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let upstream = upstream(address, |config| config.breaker.open_for = Duration::from_millis(200));
    for _ in 0..5 {
        let told = ask(&upstream, post()).await;
        // Nothing was sent: even what is not safe is known not to be done.
        assert_eq!((told.said(), told.retry_after.as_deref()), ((503, "UPSTREAM_UNAVAILABLE", "not_done"), Some("1")));
    }
    let told = ask(&upstream, post()).await;
    assert_eq!((told.said(), told.retry_after.as_deref()), ((503, "UPSTREAM_UNAVAILABLE", "not_done"), Some("1")));
    assert_eq!((counted(&upstream, "unavailable"), counted(&upstream, "refused")), (5, 1));
    assert!(upstream.verdict().reason().contains("does not answer"));

    let listener = TcpListener::bind(address).await.unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, &[Manner::Answers(FINE)], Arc::default()));
        }
    });
    tokio::time::sleep(Duration::from_millis(210)).await;
    for _ in 0..5 {
        assert_eq!(ask(&upstream, post()).await.status, 200);
    }
    assert!(upstream.verdict().reason().contains("is at"), "{}", upstream.verdict().reason());
}

#[tokio::test]
async fn calls_do_not_pile_up() {
    let served = Served::new(&[Manner::Hangs]).await;
    let upstream = upstream(served.address, |config| config.calls_max = 2);
    let asked: Vec<_> = (0..2)
        .map(|_| {
            let upstream = Arc::clone(&upstream);
            tokio::spawn(async move { ask(&upstream, get()).await.status })
        })
        .collect();
    while served.heads().len() < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(ask(&upstream, get()).await.said(), (503, "UPSTREAM_UNAVAILABLE", "not_done"));
    for one in asked {
        assert_eq!(one.await.unwrap(), 504);
    }
}

#[tokio::test]
async fn callers_that_leave_open_nothing() {
    let served = Served::new(&[Manner::Hangs]).await;
    let upstream = upstream(served.address, |_| ());
    for _ in 0..20 {
        let asked = tokio::time::timeout(Duration::from_millis(20), ask(&upstream, post())).await;
        assert!(asked.is_err(), "it hangs");
    }
    assert_eq!((counted(&upstream, "abandoned"), counted(&upstream, "refused")), (20, 0));
}

#[tokio::test]
async fn a_body_and_an_answer_have_bounds() {
    const LONG: &str = "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n01234567890123456789";
    let served = Served::new(&[Manner::Answers(LONG)]).await;
    let upstream = upstream(served.address, |config| (config.body_bytes_max, config.answer_bytes_max) = (10, 10));
    let request = Request::post("/").body(Body::from("01234567890")).unwrap();
    assert_eq!(ask(&upstream, request).await.said().1, "PAYLOAD_TOO_LARGE");
    assert_eq!(served.heads().len(), 0);
    let told = ask(&upstream, get()).await;
    assert_eq!(told.said(), (503, "UPSTREAM_UNAVAILABLE", "not_done"));
}
