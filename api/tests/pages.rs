//! Health, metrics, OpenAPI and the web page of the router, without a socket.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use axum::body::Body;
use axum::http::{Request, StatusCode};
use book::slot::system;
use common::{Answer, ask, config, fed, get, get_as, market, system_slot};
use serde_json::{Value, json};

#[tokio::test]
async fn readiness_follows_the_feed_and_names_the_reason() {
    let mut fed = fed(&[]);
    let router = fed.router();
    let ready = async |page: &'static str| get(&router, page).await;
    assert_eq!(ready("/readyz").await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(ready("/readyz").await.text().contains("[-]feed failed: no session has begun yet\n"));
    assert_eq!(ready("/startupz").await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(ready("/livez").await.status, StatusCode::OK, "no data is no reason to restart");

    fed.feed(&market());
    assert_eq!((ready("/readyz").await.status, ready("/readyz").await.text()), (StatusCode::OK, "ok\n"));
    assert_eq!(ready("/startupz").await.status, StatusCode::OK);
    assert!(ready("/readyz?verbose").await.text().contains("[+]books ok: all 4 books in sync\n"));

    fed.feed(&[system_slot(system::GAP, 30)]);
    let degraded = ready("/actuator/health").await;
    assert_eq!((degraded.status, &degraded.json()["status"]), (StatusCode::OK, &json!("UP")));
    assert_eq!(degraded.json()["reasons"], json!(["books: 4 of 4 books in sync, 4 of them may be wrong"]));
    assert_eq!(degraded.json()["components"]["books"]["status"], "DEGRADED");

    fed.feed(&[system_slot(system::STALE, 31)]);
    let down = ready("/actuator/health/readiness").await;
    assert_eq!((down.status, &down.json()["status"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("DOWN")));
    assert_eq!(ready("/actuator/health/liveness").await.json()["status"], "UP");
    assert_eq!(ready("/startupz").await.status, StatusCode::OK, "once started, started");

    fed.feed(&[system_slot(system::ALIVE, 32)]);
    assert_eq!(ready("/readyz").await.status, StatusCode::OK);
    drop(fed.worker);
    assert!(ready("/readyz").await.text().contains("[-]view failed: the view thread has ended"));
}

#[tokio::test]
async fn the_end_of_the_day_is_not_a_silent_feed() {
    let mut fed = fed(&market());
    fed.feed(&[system_slot(system::END_OF_MESSAGES, 30), system_slot(system::STALE, 31)]);
    assert_eq!(get(&fed.router(), "/readyz").await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_build_is_told() {
    let info = get(&fed(&[]).router(), "/actuator/info").await.json();
    assert_eq!(info["build"]["version"], "1.2.3");
    assert_eq!(info["git"]["commit"]["id"], "0123456789ab");
    assert_eq!(info["rust"]["version"], "rustc 1.95.0");
    assert_eq!(info["feed"], json!({"source": "sim", "simulated": true}));
    assert!(info["process"]["uptime_seconds"].is_u64());
}

#[test]
fn the_pages_are_there_without_a_runtime() {
    let fed = fed(&market());
    let actuator = fed.assembly(config()).actuator();
    let answer = |path: &str, query: &str| actuator.answer(path, query, false);
    let ready = answer("/readyz", "").unwrap();
    assert_eq!((ready.status, ready.body.as_str()), (200, "ok\n"));
    assert!(answer("/readyz", "verbose=1").unwrap().body.contains("[+]feed"));
    assert_eq!(answer("/actuator/prometheus", "").unwrap().content_type, api_kit::exposition::PROMETHEUS);
    for (path, _) in api_kit::actuator::PATHS {
        assert!(answer(path, "").is_some(), "{path}");
    }
    for path in ["", "/", "/livez/", "livez", "/actuator/env", "?", "/nothing"] {
        assert_eq!(answer(path, ""), None, "{path}");
    }
}

/// Families of an exposition, by a parser that forgives nothing: name → (type, sample names with labels).
#[track_caller]
fn parse(text: &str, open_metrics: bool) -> BTreeMap<String, (String, BTreeMap<String, String>)> {
    let mut families: BTreeMap<String, (String, BTreeMap<String, String>)> = BTreeMap::new();
    let mut help: Option<String> = None;
    let mut current = String::new();
    let body = if open_metrics { text.strip_suffix("# EOF\n").expect("the end mark") } else { text };
    assert!(body.ends_with('\n'));
    for line in body.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, words) = rest.split_once(' ').expect("a help text");
            assert!(!words.is_empty() && help.is_none(), "{line}");
            help = Some(name.to_owned());
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a type");
            assert_eq!(help.take().as_deref(), Some(name), "HELP and TYPE stand together");
            assert!(matches!(kind, "counter" | "gauge" | "histogram"), "{line}");
            current = name.to_owned();
            let before = families.insert(current.clone(), (kind.to_owned(), BTreeMap::new()));
            assert!(before.is_none(), "{name} has one TYPE");
        } else {
            let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
            let name = series.split('{').next().unwrap();
            let family = families.get_mut(&current).unwrap_or_else(|| panic!("{line} has no TYPE"));
            let suffixes: &[&str] = match (family.0.as_str(), open_metrics) {
                ("counter", true) => &["_total"],
                ("histogram", _) => &["_sum", "_count", "_bucket"],
                _ => &[""],
            };
            assert!(suffixes.iter().any(|suffix| name == format!("{current}{suffix}")), "{line} under {current}");
            assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'), "{line}");
            if let Some(labels) = series.strip_prefix(name).filter(|labels| !labels.is_empty()) {
                check_labels(labels);
            }
            assert!(value.parse::<f64>().is_ok(), "{line}");
            assert!(family.1.insert(series.to_owned(), value.to_owned()).is_none(), "{series} stands once");
        }
    }
    families
}

/// `{name="value",…}`, with `\\`, `\"` and `\n` as the only escapes.
#[track_caller]
fn check_labels(labels: &str) {
    let mut rest = labels.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).expect("braces");
    while !rest.is_empty() {
        let (name, value) = rest.split_once("=\"").expect("a label");
        assert!(!name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'), "{labels}");
        let mut chars = value.char_indices();
        let end = loop {
            match chars.next().expect("a closing quote") {
                (_, '\\') => assert!(matches!(chars.next(), Some((_, '\\' | '"' | 'n'))), "{labels}"),
                (at, '"') => break at,
                _ => {}
            }
        };
        rest = &value[end + 1..];
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
}

#[tokio::test]
async fn metrics_can_be_read_by_a_strict_parser_under_their_exact_names() {
    let fed = fed(&market());
    let router = fed.router();
    for path in ["/api/v1/limits", "/api/v1/market-data/quotes/NOPE", "/nothing", "/livez"] {
        get(&router, path).await;
    }
    let old = get(&router, "/actuator/prometheus").await;
    assert_eq!(old.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    let families = parse(old.text(), false);
    let value = |name: &str, series: &str| families[name].1.get(series).cloned();
    assert_eq!(
        value("market_ticks_processed_total", r#"market_ticks_processed_total{source="a \"quoted\" \\ name"}"#),
        Some("42".to_owned())
    );
    assert_eq!(
        value("http_requests_total", r#"http_requests_total{service="rest",method="GET",status="404"}"#),
        Some("2".to_owned())
    );
    assert_eq!(families["http_requests_total"].0, "counter");
    assert_eq!(value("bist_view_books", r#"bist_view_books{state="in_sync"}"#), Some("4.0".to_owned()));
    assert_eq!(families["bist_build_info"].1.len(), 1);
    let routes = &families["http_request_duration_seconds"].1;
    let by_route = |route: &str| {
        let labels = format!(r#"{{service="rest",route="{route}"}}"#);
        routes.get(&format!("http_request_duration_seconds_count{labels}")).cloned()
    };
    assert_eq!(by_route("/api/v1/market-data/quotes/{symbol}"), Some("1".to_owned()));
    assert_eq!(by_route("none"), Some("1".to_owned()), "a path that is not a route is no label");
    for name in ["process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds"] {
        assert!(families.contains_key(name), "{name}");
    }

    let accept = "application/openmetrics-text; version=1.0.0; charset=utf-8;q=0.5,text/plain;version=0.0.4;q=0.2";
    let open = get_as(&router, "/metrics", accept).await;
    assert!(open.header("content-type").starts_with("application/openmetrics-text"));
    let families = parse(open.text(), true);
    assert_eq!(families["market_ticks_processed"].0, "counter");
    assert!(!open.text().contains("_total_total"));
}

#[tokio::test]
async fn a_second_source_of_a_name_makes_no_second_type() {
    let fed = fed(&market());
    let parts = api::Parts {
        view: fed.view.clone(),
        health: api::Health::default(),
        metrics: vec![
            fed.producer.metrics(),
            book::ring::ring("other", 8, book::ring::Notifier::new()).0.metrics(),
            fed.producer.metrics(),
        ],
        build: common::BUILD,
        feed: api::FeedOrigin { source: "replay", simulated: false },
        limits: Vec::new(),
        accounts: common::no_accounts(),
    };
    let router = api::Assembly::new(config(), parts).gateway_router();
    let families = parse(get(&router, "/metrics").await.text(), false);
    assert_eq!(families["bist_ring_written_total"].1.len(), 2, "and the same labels again are left out");
}

#[tokio::test]
async fn the_page_comes_with_its_headers() {
    let router = fed(&[]).router();
    let index = get(&router, "/").await;
    assert_eq!(index.status, StatusCode::OK);
    assert_eq!(index.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(index.header("cache-control"), "no-cache");
    assert_eq!(index.header("x-content-type-options"), "nosniff");
    assert_eq!(index.header("referrer-policy"), "no-referrer");
    let policy = index.header("content-security-policy");
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");

    let tag = index.header("etag").to_owned();
    let again = |tag: String| Request::get("/index.html").header("if-none-match", tag).body(Body::empty()).unwrap();
    let unchanged = ask(&router, again(format!("\"other\", {tag}"))).await;
    assert_eq!((unchanged.status, unchanged.body.len()), (StatusCode::NOT_MODIFIED, 0));
    assert_eq!(ask(&router, again("\"other\"".to_owned())).await.status, StatusCode::OK);
    let version = tag.trim_start_matches("W/").trim_matches('"');
    let kept = get(&router, &format!("/index.html?v={version}")).await;
    assert!(kept.header("cache-control").contains("immutable"));
    assert_eq!(get(&router, "/index.html?v=0").await.header("cache-control"), "no-cache");
    let post = ask(&router, Request::post("/").body(Body::empty()).unwrap()).await;
    assert_eq!(post.status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn no_path_leads_out_of_the_page() {
    let router = fed(&[]).router();
    for path in [
        "/../Cargo.toml",
        "/%2e%2e/Cargo.toml",
        "/..%2fCargo.toml",
        "/..%5cCargo.toml",
        "/js/../../Cargo.toml",
        "/js/%2e%2e/%2e%2e/src/lib.rs",
        "//etc/passwd",
        "/%2fetc%2fpasswd",
        "/./index.html",
        "/index.html%00.js",
        "/package.json",
        "/.git/config",
    ] {
        let answer = get(&router, path).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(answer.json()["error"]["code"], "NOT_FOUND");
    }
}

#[tokio::test]
async fn swagger_ui_needs_no_other_host() {
    let router = fed(&[]).router();
    assert_eq!(get(&router, "/swagger-ui").await.header("location"), "/swagger-ui/");
    let index = get(&router, "/swagger-ui/").await;
    assert_eq!(index.status, StatusCode::OK);
    let mut assets = 0;
    for part in index.text().split(['"', '\'']) {
        if let Some(name) = part.strip_prefix("./") {
            let asset = get(&router, &format!("/swagger-ui/{name}")).await;
            assert_eq!(asset.status, StatusCode::OK, "{part}");
            assets += 1;
        }
        assert!(!part.starts_with("http"), "{part} is on another host");
    }
    assert!(assets >= 3, "{}", index.text());
    let start = get(&router, "/swagger-ui/swagger-initializer.js").await;
    assert!(start.text().contains("/openapi.json"));
}

/// A path of the description with something for its parameters.
fn filled(path: &str) -> String {
    path.replace("{symbol}", "GARAN").replace("{*path}", "test")
}

async fn spec() -> (axum::Router, Value) {
    let router = fed(&market()).router();
    let spec = get(&router, "/openapi.json").await;
    assert_eq!(spec.status, StatusCode::OK);
    let spec = spec.json();
    assert_eq!(get(&router, "/v3/api-docs").await.json(), spec);
    (router, spec)
}

/// The source files of every crate of the slow path.
fn sources() -> Vec<String> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders: Vec<_> =
        ["src", "kit/src", "clients/src", "market-data/src", "gateway/src"].map(|name| root.join(name)).into();
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                sources.push(std::fs::read_to_string(&path).unwrap());
            }
        }
    }
    sources
}

#[tokio::test]
async fn every_route_is_described_and_every_description_is_a_route() {
    let (router, spec) = spec().await;
    assert!(spec["openapi"].as_str().unwrap().starts_with("3.1"));
    let described: BTreeSet<&str> = spec["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    for path in &described {
        let answer = get(&router, &filled(path)).await;
        assert_ne!(answer.status, StatusCode::NOT_FOUND, "{path} is described but not there");
    }
    let expected: BTreeSet<&str> = api_kit::actuator::PATHS
        .iter()
        .map(|(path, _)| *path)
        .chain([
            "/api/v1/limits",
            "/api/v1/market-data/candles/{symbol}",
            "/api/v1/market-data/movers",
            "/api/v1/market-data/orderbook/{symbol}",
            "/api/v1/market-data/quotes",
            "/api/v1/market-data/quotes/{symbol}",
            "/api/v1/market-data/symbols",
            "/api/v1/market-data/symbols/{symbol}",
            "/api/v1/market-data/trades/{symbol}",
            "/openapi.json",
            "/v3/api-docs",
            "/ws/v2",
            "/ws/v2/{path}",
        ])
        // Accounts: their own rows, which `access.rs` holds against the description.
        .chain(api::users::access::ACCESS.iter().map(|row| row.path))
        .collect();
    assert_eq!(described, expected);
    // Routes come from `routes!`, which describes them, or from the list of pages: nowhere else is one made.
    let mut undescribed = Vec::new();
    for text in sources() {
        undescribed.extend(
            text.lines().filter(|line| line.contains(".route(") && !line.contains("get(who)")).map(str::to_owned),
        );
    }
    // The pages, and the paths of accounts, which are passed on to their service as they come.
    assert_eq!(undescribed.len(), 2, "{undescribed:#?}");
}

/// Checks `value` against `schema`: types, required properties, and that nothing undescribed is there.
#[track_caller]
fn conforms(spec: &Value, schema: &Value, value: &Value, at: &str) {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.strip_prefix("#/components/schemas/").expect("a schema of ours");
        let schema = &spec["components"]["schemas"][name];
        assert!(schema.is_object(), "{at}: {name} is described");
        return conforms(spec, schema, value, at);
    }
    for word in ["oneOf", "anyOf"] {
        if let Some(choices) = schema[word].as_array() {
            let choice = choices.iter().find(|choice| (choice["type"] == "null") == value.is_null());
            return conforms(spec, choice.unwrap_or_else(|| panic!("{at}: {value}")), value, at);
        }
    }
    let mut properties = BTreeMap::new();
    let mut required = Vec::new();
    if gather(spec, schema, &mut properties, &mut required) {
        let object = value.as_object().unwrap_or_else(|| panic!("{at}: {value} is no object"));
        for name in required {
            assert!(object.contains_key(name), "{at}: {name} is missing");
        }
        for (name, value) in object {
            let schema = properties.get(name.as_str()).unwrap_or_else(|| panic!("{at}: {name} is not described"));
            conforms(spec, schema, value, &format!("{at}.{name}"));
        }
        return;
    }
    let kinds: Vec<&str> = match &schema["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => return,
    };
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    assert!(kinds.contains(&kind), "{at}: {value} is not {kinds:?}");
    for item in value.as_array().into_iter().flatten() {
        conforms(spec, &schema["items"], item, &format!("{at}[]"));
    }
}

/// Properties and required names of an object schema, its `allOf` parts included; false for anything else.
fn gather<'a>(
    spec: &'a Value,
    schema: &'a Value,
    properties: &mut BTreeMap<&'a str, &'a Value>,
    required: &mut Vec<&'a str>,
) -> bool {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap();
        return gather(spec, &spec["components"]["schemas"][name], properties, required);
    }
    let mut is_object = false;
    for part in schema["allOf"].as_array().into_iter().flatten() {
        is_object |= gather(spec, part, properties, required);
    }
    if let Some(own) = schema["properties"].as_object() {
        properties.extend(own.iter().map(|(name, schema)| (name.as_str(), schema)));
        required.extend(schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str));
        is_object = true;
    }
    is_object
}

#[tokio::test]
async fn answers_are_what_the_description_says() {
    let (router, spec) = spec().await;
    for (path, item) in spec["paths"].as_object().unwrap() {
        // Accounts are tried by `access.rs` and by clients that are not ours: here nothing is kept.
        if !path.starts_with("/api/v1/market-data") && path != "/api/v1/limits" {
            continue;
        }
        let answer = get(&router, &filled(path)).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        let responses = &item["get"]["responses"];
        conforms(&spec, &responses["200"]["content"]["application/json"]["schema"], &answer.json(), path);
        for status in ["400", "405", "429", "500", "503"] {
            assert!(responses[status].is_object(), "{path} describes {status}");
        }
        for (status, response) in responses.as_object().unwrap() {
            for (kind, content) in response["content"].as_object().into_iter().flatten() {
                if let Some(example) = content.get("example") {
                    conforms(&spec, &content["schema"], example, &format!("{path} {status} {kind}"));
                }
            }
        }
    }
    for (kind, name) in [("*/*", "Failure"), ("application/problem+json", "Problem")] {
        let answer: Answer = get_as(&router, "/api/v1/market-data/quotes/NOPE", kind).await;
        conforms(&spec, &json!({ "$ref": format!("#/components/schemas/{name}") }), &answer.json(), name);
    }
}

#[tokio::test]
async fn every_field_has_an_example() {
    let (_, spec) = spec().await;
    let holds_schema = |schema: &Value| {
        ["$ref", "oneOf", "anyOf", "allOf", "items", "properties"].iter().any(|word| schema.get(word).is_some())
    };
    for (name, schema) in spec["components"]["schemas"].as_object().unwrap() {
        if schema.get("example").is_some() {
            conforms(&spec, schema, &schema["example"], name);
            continue;
        }
        let parts = schema["allOf"].as_array().cloned().unwrap_or_else(|| vec![schema.clone()]);
        for (field, schema) in parts.iter().flat_map(|part| part["properties"].as_object().into_iter().flatten()) {
            let has_example = schema.get("example").is_some() || schema.get("examples").is_some();
            assert!(has_example || holds_schema(schema), "{name}.{field} has no example: {schema}");
            assert!(schema.get("description").is_some() || holds_schema(schema), "{name}.{field} is not described");
        }
    }
}

#[tokio::test]
async fn the_document_names_every_path_and_every_error() {
    let document = include_str!("../../docs/protocols/rest.md");
    let (_, spec) = spec().await;
    for path in spec["paths"].as_object().unwrap().keys() {
        let path = path.trim_start_matches("/api/v1/market-data").trim_end_matches("/{path}");
        assert!(document.contains(&format!("{path}`")), "{path}");
    }
    let mut sources = sources();
    sources.retain(|source| source.contains("ApiError")); // nothing else makes a code
    let mut codes = BTreeSet::new();
    for word in sources.iter().flat_map(|source| source.split('"')) {
        if word.len() > 6 && word.chars().all(|c| c.is_ascii_uppercase() || c == '_') {
            assert!(document.contains(&format!("`{word}`")), "{word}");
            codes.insert(word);
        }
    }
    assert!(codes.len() > 10, "{codes:?}");
}

/// The gateway asks the service's client, the service's own port the service: both say the same.
#[tokio::test]
async fn the_gateway_answers_as_the_service_does() {
    let fed = fed(&market());
    let assembly = fed.assembly(config());
    let (gateway, service) = (assembly.gateway_router(), assembly.market_data_router());
    for path in [
        "symbols?search=garanti",
        "symbols/THYAO",
        "quotes/GARAN",
        "quotes?symbols=GARAN,NOPE",
        "quotes?offset=1&limit=2",
        "orderbook/GARAN?depth=5",
        "trades/GARAN?limit=2",
        "candles/GARAN?interval=1s",
        "movers?by=volume",
    ] {
        let path = format!("/api/v1/market-data/{path}");
        let (through, direct) = (get(&gateway, &path).await, get(&service, &path).await);
        assert_eq!((through.status, direct.status), (StatusCode::OK, StatusCode::OK), "{path}");
        assert_eq!(through.body, direct.body, "{path}");
    }
    for path in ["orderbook/GARAN?depth=0", "quotes/NOPE", "movers?by=luck"] {
        let path = format!("/api/v1/market-data/{path}");
        let (through, direct) = (get(&gateway, &path).await, get(&service, &path).await);
        assert_eq!((through.status, &through.json()["error"]), (direct.status, &direct.json()["error"]), "{path}");
    }
    for path in ["/readyz", "/metrics", "/actuator/health", "/openapi.json", "/swagger-ui/", "/api/v1/limits"] {
        assert_eq!(get(&service, path).await.status, StatusCode::OK, "{path}");
    }
    assert_eq!(get(&service, "/ws/v2").await.status, StatusCode::NOT_FOUND, "the proxy would lead back here");
    assert_eq!(get(&service, "/").await.status, StatusCode::NOT_FOUND, "the page is the gateway's");
}
