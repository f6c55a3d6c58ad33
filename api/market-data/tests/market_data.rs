//! The REST paths under `/api/v1/market-data`, over a view filled by hand.

mod common;

use api_clients::market_data::bounds;
use api_kit::rate_limit::RateLimitConfig;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use book::candle::Interval;
use book::checksum::checksum_of_text;
use common::{TEN, ask, fed, get, get_as, level, market, system_slot, trade};
use serde_json::json;

#[tokio::test]
async fn a_quote_shows_the_book_and_the_day() {
    let router = fed(&market()).router();
    let answer = get(&router, "/api/v1/market-data/quotes/GARAN").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(
        answer.json(),
        json!({
            "success": true,
            "message": null,
            "data": {
                "symbol": "GARAN", "exchange_symbol": "GARAN.E", "currency": "TRY",
                "bid": { "price": "105.00", "quantity": "1500", "orders": 3 },
                "ask": { "price": "105.10", "quantity": "700", "orders": 1 },
                "equilibrium": null,
                "last": "105.10", "change": "5.10", "change_percent": "5.10",
                "open": "105.00", "high": "105.10", "low": "104.95", "close": null,
                "reference": "100.00", "limit_low": "90.00", "limit_high": null,
                "vwap": "105.0563", "volume": "400", "turnover": "42022.50", "trades": 3,
                "phase": "continuous", "stale": false, "in_sync": true, "maybe_bad": false, "reason": null,
                "epoch": 7, "seq": 15,
                "ts_event": "2026-11-23T07:00:00.000000015Z", "ts_event_ns": "1795417200000000015",
                "ts_recv": "2026-11-23T07:00:00.000001015Z", "ts_recv_ns": "1795417200000001015",
            }
        })
    );
}

#[tokio::test]
async fn a_share_is_found_by_any_of_its_names() {
    let router = fed(&market()).router();
    for name in ["GARAN", "garan", "Garan.E", "garan.e", "GARAN%2EE"] {
        let quote = get(&router, &format!("/api/v1/market-data/quotes/{name}")).await.json();
        assert_eq!(quote["data"]["symbol"], "GARAN", "{name}");
    }
    let future = get(&router, "/api/v1/market-data/symbols/f_garan1126").await.json();
    assert_eq!(future["data"]["symbol"], "F_GARAN1126");
}

#[tokio::test]
async fn an_unknown_symbol_names_near_ones() {
    let router = fed(&market()).router();
    for path in ["quotes", "symbols", "orderbook", "trades", "candles"] {
        let answer = get(&router, &format!("/api/v1/market-data/{path}/GARN")).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
        let body = answer.json();
        assert_eq!(body["success"], false);
        assert_eq!(body["error"]["code"], "SYMBOL_NOT_FOUND");
        assert_eq!(body["error"]["details"], json!({ "symbol": "GARN", "near": ["GARAN"] }));
        assert!(body["timestamp"].as_str().unwrap().ends_with('Z'));
    }
}

#[tokio::test]
async fn an_error_is_a_problem_when_asked_for() {
    let router = fed(&market()).router();
    let path = "/api/v1/market-data/orderbook/GARAN?depth=0";
    let answer = get_as(&router, path, "text/html;q=0.1, application/problem+json;q=0.9").await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(answer.header("content-type"), "application/problem+json");
    let body = answer.json();
    assert_eq!(body["type"], "urn:bist:error:INVALID_PARAMETER");
    assert_eq!(body["status"], 400);
    assert_eq!(body["instance"], "/api/v1/market-data/orderbook/GARAN");
    assert_eq!(body["details"]["allowed"], "a whole number 1..100");
}

#[tokio::test]
async fn several_quotes_come_in_the_order_asked() {
    let router = fed(&market()).router();
    let body = get(&router, "/api/v1/market-data/quotes?symbols=thyao,NOPE,GARAN.E,,GARAN").await.json();
    let symbols: Vec<_> = body["data"]["items"].as_array().unwrap().iter().map(|quote| &quote["symbol"]).collect();
    assert_eq!(symbols, ["THYAO", "GARAN"]);
    assert_eq!(body["data"]["not_found"], json!(["NOPE"]));
    let all = get(&router, "/api/v1/market-data/quotes?offset=1&limit=2").await.json();
    let symbols: Vec<_> = all["data"]["items"].as_array().unwrap().iter().map(|quote| &quote["symbol"]).collect();
    assert_eq!(symbols, ["GARAN", "ISCTR"]);
    assert_eq!((&all["data"]["total"], &all["data"]["offset"]), (&json!(4), &json!(1)));
    assert_eq!(get(&router, "/api/v1/market-data/quotes?symbols=NOPE").await.status, StatusCode::NOT_FOUND);
    assert_eq!(get(&router, "/api/v1/market-data/quotes?symbols=,").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_book_shows_its_levels_and_a_checksum_that_can_be_made_again() {
    let mut market = market();
    for step in 1..=120i64 {
        market.push(level(70, 20 + step as u64, b'A', 10_510 + 5 * step, 1, 1));
    }
    let router = fed(&market).router();
    let body = get(&router, "/api/v1/market-data/orderbook/GARAN?depth=100").await.json();
    let data = &body["data"];
    assert_eq!(data["bids"][0], json!({ "price": "105.00", "quantity": "1500", "orders": 3 }));
    assert_eq!(data["bids"][1]["price"], "104.95");
    assert_eq!((data["asks"].as_array().unwrap().len(), &data["ask_levels"]), (100, &json!(121)));
    let side = |name: &str| -> Vec<(String, String)> {
        let levels = data[name].as_array().unwrap();
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        levels.iter().map(|level| (text(&level["price"]), text(&level["quantity"]))).collect()
    };
    let (asks, bids) = (side("asks"), side("bids"));
    let asks: Vec<(&str, &str)> = asks.iter().map(|(p, q)| (p.as_str(), q.as_str())).collect();
    let bids: Vec<(&str, &str)> = bids.iter().map(|(p, q)| (p.as_str(), q.as_str())).collect();
    assert_eq!(data["checksum"], checksum_of_text(&asks, &bids));
    let one = get(&router, "/api/v1/market-data/orderbook/GARAN?depth=1").await.json();
    assert_eq!(one["data"]["asks"].as_array().unwrap().len(), 1);
    assert_eq!(one["data"]["checksum"], data["checksum"], "whatever depth was asked");
    for depth in ["0", "101", "-1", "1.5", "", "ten", "99999999999999999999"] {
        let answer = get(&router, &format!("/api/v1/market-data/orderbook/GARAN?depth={depth}")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{depth}");
        assert_eq!(answer.json()["error"]["details"]["parameter"], "depth");
    }
}

#[tokio::test]
async fn trades_come_newest_first_with_exact_numbers() {
    let router = fed(&market()).router();
    let body = get(&router, "/api/v1/market-data/trades/GARAN?limit=2").await.json();
    let items = body["data"]["items"].as_array().unwrap();
    assert_eq!(items.len(), 2);
    assert_eq!(items[0]["seq"], 15);
    assert_eq!(items[0]["side"], "B");
    assert_eq!(items[1]["side"], "A");
    assert_eq!(items[0]["match_id"], "9007199254741008", "beyond what a JavaScript number holds");
    assert_eq!(items[0]["conditions"], json!([]));
}

#[tokio::test]
async fn candles_come_oldest_first_and_the_last_one_is_forming() {
    let mut fed = fed(&market());
    fed.feed(&[trade(70, 90_000_000_000, b'B', 10_600, 10)]);
    let router = fed.router();
    let body = get(&router, "/api/v1/market-data/candles/GARAN?interval=1m").await.json();
    let items = body["data"]["items"].as_array().unwrap();
    assert_eq!(items.len(), 2);
    assert_eq!(items[0]["start"], "2026-11-23T07:00:00Z");
    assert_eq!((&items[0]["open"], &items[0]["close"]), (&json!("105.00"), &json!("105.10")));
    assert_eq!((&items[0]["closed"], &items[1]["closed"]), (&json!(true), &json!(false)));
    assert_eq!(items[1]["start_ns"], Interval::Minute.start_ns(TEN + 90_000_000_000).to_string());
    let last = get(&router, "/api/v1/market-data/candles/GARAN?limit=1").await.json();
    assert_eq!(last["data"]["items"], json!([items[1]]));
    let wrong = get(&router, "/api/v1/market-data/candles/GARAN?interval=5m").await.json();
    assert_eq!(wrong["error"]["details"]["allowed"], "1s, 1m, 1h, 1d");
}

#[tokio::test]
async fn symbols_are_searched_in_any_writing_and_paged() {
    let router = fed(&market()).router();
    for (search, expected) in [
        ("garanti", vec!["GARAN"]),
        ("BANKASI", vec!["GARAN", "ISCTR"]),
        ("i%C5%9F%20bankas%C4%B1", vec!["ISCTR"]),
        ("nothing-like-it", vec![]),
    ] {
        let body = get(&router, &format!("/api/v1/market-data/symbols?search={search}")).await.json();
        let symbols: Vec<_> =
            body["data"]["items"].as_array().unwrap().iter().map(|item| item["symbol"].as_str().unwrap()).collect();
        assert_eq!(symbols, expected, "{search}");
    }
    let page = get(&router, "/api/v1/market-data/symbols?limit=2&offset=3").await.json();
    assert_eq!(page["data"]["total"], 4);
    assert_eq!(page["data"]["items"][0]["symbol"], "THYAO");
    assert_eq!(page["data"]["items"][0]["ticks"], json!([{ "from": "279.00", "to": "341.00", "tick": "0.05" }]));
    assert_eq!(get(&router, "/api/v1/market-data/symbols?limit=1001").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn what_the_description_bounds_is_refused_beyond_it() {
    let router = fed(&market()).router();
    let name = |bytes| "X".repeat(bytes);
    for (path, status) in [
        ("symbols?offset=1000000".to_owned(), StatusCode::OK),
        ("symbols?offset=1000001".to_owned(), StatusCode::BAD_REQUEST),
        ("quotes?offset=1000000".to_owned(), StatusCode::OK),
        ("quotes?offset=18446744073709551615".to_owned(), StatusCode::BAD_REQUEST),
        (format!("quotes?symbols={}", ",".repeat(8_187) + "GARAN"), StatusCode::OK),
        (format!("quotes?symbols={}", ",".repeat(8_188) + "GARAN"), StatusCode::BAD_REQUEST),
        (format!("quotes?symbols=GARAN,{}", name(64)), StatusCode::OK),
        (format!("quotes?symbols=GARAN,{}", name(65)), StatusCode::BAD_REQUEST),
        (format!("quotes/{}", name(64)), StatusCode::NOT_FOUND),
        (format!("quotes/{}", name(65)), StatusCode::BAD_REQUEST),
        (format!("symbols/{}", name(65)), StatusCode::BAD_REQUEST),
        (format!("orderbook/{}", name(65)), StatusCode::BAD_REQUEST),
        (format!("trades/{}", name(65)), StatusCode::BAD_REQUEST),
        (format!("candles/{}", name(65)), StatusCode::BAD_REQUEST),
    ] {
        let answer = get(&router, &format!("/api/v1/market-data/{path}")).await;
        assert_eq!(answer.status, status, "{path}");
        if status == StatusCode::BAD_REQUEST {
            assert_eq!(answer.json()["error"]["code"], "INVALID_PARAMETER", "{path}");
        }
    }
}

/// The description is written with numbers, the handlers with the constants.
#[tokio::test]
async fn the_description_has_the_bounds_in_force() {
    let document = get(&fed(&market()).router(), "/openapi.json").await.json();
    let schema = |path: &str, name: &str| {
        let parameters = document["paths"][format!("/api/v1/market-data{path}")]["get"]["parameters"].as_array();
        let one = parameters.unwrap().iter().find(|one| one["name"] == name);
        one.unwrap_or_else(|| panic!("{path} has no {name}"))["schema"].clone()
    };
    for path in ["/symbols", "/quotes"] {
        assert_eq!(schema(path, "offset")["maximum"], json!(bounds::OFFSET_MAX), "{path}");
    }
    assert_eq!(schema("/quotes", "symbols")["maxLength"], json!(bounds::NAMES_BYTES_MAX));
    for path in ["/symbols", "/quotes", "/orderbook", "/trades", "/candles"] {
        assert_eq!(schema(&format!("{path}/{{symbol}}"), "symbol")["maxLength"], json!(bounds::SYMBOL_BYTES_MAX));
    }
}

#[tokio::test]
async fn movers_are_ordered_and_named() {
    let router = fed(&market()).router();
    let list = |by: &'static str| {
        let router = router.clone();
        async move {
            let body = get(&router, &format!("/api/v1/market-data/movers?by={by}")).await.json();
            let items = body["data"]["items"].as_array().unwrap();
            items.iter().map(|item| item["symbol"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        }
    };
    assert_eq!(list("gainers").await, ["GARAN"]);
    assert_eq!(list("losers").await, ["THYAO"]);
    assert_eq!(list("volume").await, ["THYAO", "GARAN"]);
    assert_eq!(list("turnover").await, ["THYAO", "GARAN"]);
    let one = get(&router, "/api/v1/market-data/movers?by=volume&limit=1").await.json();
    assert_eq!(one["data"]["items"][0]["name"], "TURK HAVA YOLLARI");
    assert_eq!(one["data"]["items"].as_array().unwrap().len(), 1);
    assert_eq!(get(&router, "/api/v1/market-data/movers?by=luck").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn doubtful_data_says_so() {
    let mut fed = fed(&market());
    fed.feed(&[system_slot(book::slot::system::GAP, 20)]);
    let body = get(&fed.router(), "/api/v1/market-data/quotes/GARAN").await.json();
    assert_eq!((&body["data"]["maybe_bad"], &body["data"]["reason"]), (&json!(true), &json!("gap")));
    assert!(body["message"].as_str().unwrap().contains("lost"));
    fed.feed(&[system_slot(book::slot::system::STALE, 21)]);
    let body = get(&fed.router(), "/api/v1/market-data/quotes/GARAN").await.json();
    assert_eq!(body["data"]["stale"], true);
    assert!(body["message"].as_str().unwrap().contains("stale"));
}

#[tokio::test]
async fn the_limits_are_listed() {
    let body = get(&fed(&[]).router(), "/api/v1/limits").await.json();
    let items = body["data"]["items"].as_array().unwrap();
    let value = |name: &str| items.iter().find(|item| item["name"] == name).unwrap()["value"].clone();
    assert_eq!(value("rest.depth_max"), 100);
    assert_eq!(value("view.trades_kept"), 500);
    let ours = ["rest.offset_max", "rest.names_bytes_max", "rest.symbol_bytes_max"].map(value);
    assert_eq!(ours, [json!(1_000_000), json!(8_192), json!(64)]);
    assert_eq!(value("rest.requests_per_second"), json!(null), "switched off in this test");
}

#[tokio::test]
async fn a_client_that_asks_too_often_is_told_when_to_come_back() {
    let rate_limit = RateLimitConfig { requests_per_second: 1, requests_burst: 3, ..RateLimitConfig::default() };
    let router = fed(&market()).router_with(&rate_limit);
    for left in ["2", "1", "0"] {
        let answer = get(&router, "/api/v1/limits").await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.header("ratelimit-remaining"), left);
        assert_eq!(answer.header("ratelimit-limit"), "3");
    }
    let refused = get(&router, "/api/v1/market-data/quotes/GARAN").await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(refused.header("ratelimit-remaining"), "0");
    assert_eq!(refused.json()["error"]["code"], "RATE_LIMITED");
    assert_eq!(get(&router, "/livez").await.status, StatusCode::OK, "health is never limited");
}

#[tokio::test]
async fn other_methods_and_paths_are_refused_in_shape() {
    let router = fed(&market()).router();
    let post = ask(&router, Request::post("/api/v1/limits").body(Body::empty()).unwrap()).await;
    assert_eq!(post.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(post.json()["error"]["code"], "METHOD_NOT_ALLOWED");
    assert!(post.header("allow").contains("GET"));
    let nothing = get(&router, "/api/v1/market-data/nothing").await;
    assert_eq!((nothing.status, &nothing.json()["error"]["code"]), (StatusCode::NOT_FOUND, &json!("NOT_FOUND")));
    let bad = get(&router, "/api/v1/market-data/quotes/%FF").await;
    assert_eq!(bad.status, StatusCode::BAD_REQUEST);
    let twice = get(&router, "/api/v1/market-data/orderbook/GARAN?depth=1&depth=2").await;
    assert_eq!(twice.status, StatusCode::BAD_REQUEST);
}
