//! Every channel and every request, against a client that is not ours, over real sockets.

mod support;

use book::slot::{conditions, system};
use book::{Phase, Side};
use distributor::Config;
use serde_json::{Value, json};
use support::{MS, SECOND, TEN, World, config, frames};

#[test]
fn a_book_begins_with_a_snapshot_and_goes_on_with_differences() {
    let mut world = World::open(&["THYAO.E"]);
    world.add(1, Side::Bid, 1, 31_250, 1_000);
    world.add(1, Side::Ask, 2, 31_275, 200);
    let mut client = world.connect();
    let seen = world.subscribe(&mut client, "book", "THYAO", "");
    let reply = &seen[0];
    assert_eq!(reply["method"], "subscribe");
    assert_eq!(reply["req_id"], 1);
    assert_eq!(reply["success"], true);
    assert_eq!(reply["result"]["symbol"], "THYAO");
    assert_eq!(reply["result"]["depth"], 10);
    assert_eq!(reply["result"]["sub_id"], 1);
    let snapshot = &frames(&seen, "book")[0];
    assert_eq!(snapshot["bids"], json!([["312.50", "1000", 1]]));
    assert_eq!(snapshot["asks"], json!([["312.75", "200", 1]]));
    assert_eq!(snapshot["prev_seq"], 0);
    assert_eq!(snapshot["epoch"], 7);
    assert_eq!(snapshot["ts_event"], TEN.to_string());
    assert_eq!(snapshot["ts_recv"], (TEN + 100).to_string());

    world.add(1, Side::Bid, 3, 31_250, 400);
    world.now_ns += 5;
    let seen = world.until(&mut client, |seen| !seen.is_empty());
    let update = &seen[0];
    assert_eq!(update["type"], "update");
    assert_eq!(update["bids"], json!([["312.50", "1400", 2]]));
    assert_eq!(update["asks"], json!([]));
    assert_eq!(update["prev_seq"], snapshot["seq"]);
    assert_eq!(update["ts_out"], (TEN + 5).to_string());

    world.cancel(1, Side::Ask, 2, 200);
    let seen = world.until(&mut client, |seen| !seen.is_empty());
    assert_eq!(seen[0]["asks"], json!([["312.75", "0", 0]]));
    assert_eq!(seen[0]["prev_seq"], update["seq"]);
}

#[test]
fn whole_levels_come_in_every_frame_of_mbp() {
    let mut world = World::open(&["THYAO.E"]);
    let mut client = world.connect();
    world.subscribe(&mut client, "mbp-1", "THYAO", "");
    world.subscribe(&mut client, "mbp-10", "THYAO", "");
    for n in 0..12 {
        world.add(1, Side::Ask, 1 + n, 10_000 - n as i64, 5);
    }
    let seen = world.until(&mut client, |seen| seen.len() >= 2);
    let (one, ten) = (frames(&seen, "mbp-1")[0], frames(&seen, "mbp-10")[0]);
    assert_eq!(one["type"], "snapshot");
    assert_eq!(one["asks"], json!([["99.89", "5", 1]]));
    assert_eq!(ten["asks"].as_array().unwrap().len(), 10);
    // A change below the best ten is none of theirs.
    world.cancel(1, Side::Ask, 1, 5);
    assert_eq!(world.drain(&mut client), [] as [Value; 0]);
}

#[test]
fn orders_come_in_queue_order_and_their_changes_rebuild_it() {
    let mut world = World::open(&["THYAO.E"]);
    world.add(1, Side::Bid, 1, 10_000, 10);
    world.add(1, Side::Bid, 2, 10_000, 20);
    world.add(1, Side::Bid, 3, 10_001, 30);
    let mut client = world.connect();
    let seen = world.subscribe(&mut client, "mbo", "THYAO", "");
    let snapshot = frames(&seen, "mbo")[0];
    let orders = json!([["3", "B", "100.01", "30"], ["1", "B", "100.00", "10"], ["2", "B", "100.00", "20"]]);
    assert_eq!(snapshot["orders"], orders);
    world.execute(1, Side::Bid, 3, 10);
    world.cancel(1, Side::Bid, 1, 10);
    world.add(1, Side::Ask, 9, 10_100, 1);
    let seen = world.until(&mut client, |seen| !seen.is_empty());
    let expected = json!([
        {"action": "F", "order_id": "3", "side": "B", "price": "100.01", "quantity": "20", "position": 0},
        {"action": "C", "order_id": "1", "side": "B", "price": "100.00", "quantity": "0", "position": 0},
        {"action": "A", "order_id": "9", "side": "A", "price": "101.00", "quantity": "1", "position": 1},
    ]);
    assert_eq!(seen[0]["changes"], expected);
    assert_eq!(seen[0]["prev_seq"], snapshot["seq"]);
}

/// Books whose orders the fan-out keeps.
fn order_books(world: &World) -> u64 {
    world.metric("bist_ws_order_books", "")
}

#[test]
fn orders_are_kept_while_somebody_follows_them_and_a_moment_longer() {
    let mut world = World::open(&["THYAO.E", "GARAN.E"]);
    world.add(1, Side::Bid, 1, 10_000, 10);
    let (mut one, mut other) = (world.connect(), world.connect());
    world.subscribe(&mut one, "book", "THYAO", "");
    assert_eq!(order_books(&world), 0);
    world.subscribe(&mut one, "mbo", "THYAO", "");
    world.subscribe(&mut other, "mbo", "THYAO", "");
    assert_eq!(order_books(&world), 1, "of the book that is followed");
    let leave = r#"{"method":"unsubscribe","params":{"channel":"mbo","symbol":"THYAO"}}"#;
    world.ask(&mut one, leave, 1);
    world.pass(11 * SECOND);
    world.add(1, Side::Bid, 2, 10_000, 20);
    let seen = world.until(&mut other, |seen| !frames(seen, "mbo").is_empty());
    assert_eq!((order_books(&world), &frames(&seen, "mbo")[0]["changes"][0]["order_id"]), (1, &json!("2")));
    drop(other);
    world.pass(SECOND);
    world.pass(8 * SECOND);
    assert_eq!(order_books(&world), 1);
    // Back in time: the chain goes on where it was.
    let seq = frames(&seen, "mbo")[0]["seq"].as_u64().unwrap();
    let from = format!(
        r#"{{"method":"subscribe","params":{{"channel":"mbo","symbol":["THYAO"],"from":{{"epoch":7,"seq":{seq}}}}}}}"#
    );
    let seen = world.ask(&mut one, &from, 1);
    assert_eq!(seen.last().unwrap()["success"], true);
    world.ask(&mut one, leave, 1);
    world.pass(SECOND);
    world.pass(11 * SECOND);
    assert_eq!(order_books(&world), 0);
    world.add(1, Side::Bid, 3, 10_000, 30);
    world.turn();
    let seen = world.subscribe(&mut one, "mbo", "THYAO", "");
    let orders = json!([["1", "B", "100.00", "10"], ["2", "B", "100.00", "20"], ["3", "B", "100.00", "30"]]);
    assert_eq!(frames(&seen, "mbo").last().unwrap()["orders"], orders);
}

#[test]
fn one_picture_of_the_orders_comes_for_whoever_asks_and_stays() {
    let mut world = World::open(&["THYAO.E", "GARAN.E"]);
    world.add(1, Side::Bid, 1, 10_000, 10);
    world.turn();
    let request = r#"{"method":"get_snapshot","params":{"channel":"mbo","symbol":["THYAO"]},"req_id":5}"#;
    let (mut stays, mut leaves) = (world.connect(), world.connect());
    leaves.send(request);
    stays.send(request);
    // Both were heard, and the book thread was not asked yet.
    (0..20).for_each(|_| world.serve());
    drop(leaves);
    (0..20).for_each(|_| world.serve());
    let mut newcomer = world.connect();
    let seen = world.until(&mut stays, |seen| seen.len() >= 2);
    assert_eq!((&seen[0]["req_id"], &seen[1]["orders"]), (&json!(5), &json!([["1", "B", "100.00", "10"]])));
    assert_eq!(seen[0]["result"]["seq"], seen[1]["seq"]);
    assert_eq!(world.drain(&mut newcomer), [] as [Value; 0], "whoever has the place of one that left gets nothing");
    world.add(1, Side::Bid, 2, 10_000, 20);
    assert!(frames(&world.drain(&mut stays), "mbo").is_empty());
    world.pass(SECOND);
    world.pass(11 * SECOND);
    assert_eq!(order_books(&world), 0);
}

/// More orders than half the ring: after a gap they come behind the snapshot, and whoever asks meanwhile waits for them.
#[test]
fn a_picture_that_is_asked_for_while_orders_follow_a_snapshot_comes_with_them() {
    let mut world = World::open_with(config(), 1 << 10, &["THYAO.E"]);
    let (mut follows, mut asks) = (world.connect(), world.connect());
    let add = |world: &mut World, n: u64| world.add(1, Side::Bid, n + 1, 9_000 + (n % 100) as i64, 1);
    for n in 0..1_500 {
        add(&mut world, n);
        if n % 100 == 0 {
            world.turn();
        }
    }
    let seen = world.subscribe(&mut follows, "mbo", "THYAO", "");
    assert_eq!(frames(&seen, "mbo")[0]["orders"].as_array().unwrap().len(), 1_500);
    (1_500..2_600).for_each(|n| add(&mut world, n));
    world.stage_only(); // more than the ring holds
    world.serve();
    world.stage_only(); // the snapshot, and a part of the orders
    world.serve();
    asks.send(r#"{"method":"get_snapshot","params":{"channel":"mbo","symbol":["THYAO"]},"req_id":5}"#);
    let mut seen = Vec::new();
    for _ in 0..20 {
        world.serve();
        asks.read_into(&mut seen);
    }
    assert_eq!(seen, [] as [Value; 0], "the orders are not whole");
    let seen = world.until(&mut asks, |seen| seen.len() >= 2);
    assert_eq!((&seen[0]["req_id"], seen[1]["orders"].as_array().unwrap().len()), (&json!(5), 2_600));
    let seen = world.until(&mut follows, |seen| seen.iter().any(|message| message["type"] == "snapshot"));
    assert_eq!(frames(&seen, "mbo").last().unwrap()["orders"].as_array().unwrap().len(), 2_600);
}

#[test]
fn orders_that_are_followed_go_on_in_the_next_session() {
    let mut world = World::open(&["THYAO.E"]);
    world.add(1, Side::Bid, 1, 10_000, 10);
    let mut client = world.connect();
    world.subscribe(&mut client, "mbo", "THYAO", "");
    world.session(8);
    world.list(1, "THYAO.E");
    let seen = world.until(&mut client, |seen| seen.iter().any(|message| message["type"] == "snapshot"));
    assert_eq!(frames(&seen, "mbo").last().unwrap()["orders"], json!([]));
    world.add(1, Side::Bid, 1, 10_100, 7);
    let seen = world.until(&mut client, |seen| !frames(seen, "mbo").is_empty());
    assert_eq!(frames(&seen, "mbo")[0]["changes"][0]["quantity"], "7");
    assert_eq!(order_books(&world), 1);
}

#[test]
fn without_queues_orders_are_said_to_be_missing_and_levels_are_as_ever() {
    let mut world = World::open_with(Config { orders: false, ..config() }, 1 << 14, &["THYAO.E"]);
    world.add(1, Side::Bid, 1, 10_000, 10);
    let mut client = world.connect();
    let seen = world.subscribe(&mut client, "mbo", "THYAO", "");
    let warning = seen[0]["warnings"][0].as_str().unwrap();
    assert!(warning.contains("book.queues"), "{warning}");
    let snapshot = frames(&seen, "mbo")[0];
    assert_eq!((&snapshot["orders"], &snapshot["orders_omitted"]), (&json!([]), &json!(true)));
    world.subscribe(&mut client, "book", "THYAO", "");
    world.add(1, Side::Bid, 2, 10_000, 20);
    let seen = world.until(&mut client, |seen| !seen.is_empty());
    assert_eq!(frames(&seen, "book")[0]["bids"], json!([["100.00", "30", 2]]));
    assert!(frames(&seen, "mbo").is_empty() && world.drain(&mut client).is_empty());
}

#[test]
fn trades_come_once_each_after_the_last_fifty() {
    let mut world = World::open(&["THYAO.E"]);
    for n in 0..70 {
        world.trade(1, 10_000 + n, 1, 0);
    }
    let mut client = world.connect();
    let seen = world.subscribe(&mut client, "trades", "THYAO", "");
    let before = frames(&seen, "trades")[0]["trades"].as_array().unwrap().clone();
    assert_eq!(before.len(), 50);
    assert_eq!((&before[0]["match_id"], &before[49]["match_id"]), (&json!("21"), &json!("70")));
    world.trade(1, 20_000, 7, conditions::CROSS | conditions::HIDDEN);
    let seen = world.until(&mut client, |seen| !seen.is_empty());
    let trade = &seen[0]["trades"][0];
    assert_eq!(trade["conditions"], json!(["cross", "hidden"]));
    assert_eq!(trade["side"], "N");
    assert_eq!((&trade["price"], &trade["quantity"]), (&json!("200.00"), &json!("7")));
    assert_eq!(seen[0]["trades"].as_array().unwrap().len(), 1);
    assert_eq!(trade["seq"], seen[0]["seq"]);
}

#[test]
fn a_candle_forms_closes_once_and_the_next_one_begins() {
    let mut world = World::open(&["THYAO.E"]);
    let mut client = world.connect();
    let seen = world.subscribe(&mut client, "ohlcv-1s", "THYAO", "");
    assert_eq!(frames(&seen, "ohlcv-1s")[0]["candles"], json!([]));
    world.trade(1, 10_000, 5, 0);
    world.trade(1, 10_100, 5, 0);
    let seen = world.until(&mut client, |seen| !seen.is_empty());
    let candle = &seen[0]["candles"][0];
    assert_eq!(
        (&candle["open"], &candle["close"], &candle["closed"]),
        (&json!("100.00"), &json!("101.00"), &json!(false))
    );
    assert_eq!((&candle["turnover"], &candle["trades"]), (&json!("1005.00"), &json!(2)));
    assert_eq!(candle["start"], TEN.to_string());
    world.exchange_ns += 3 * SECOND;
    world.trade(1, 9_900, 1, 0);
    let seen = world.until(&mut client, |seen| !seen.is_empty());
    let candles = seen[0]["candles"].as_array().unwrap();
    assert_eq!(candles.len(), 2);
    assert_eq!((&candles[0]["closed"], &candles[0]["close"]), (&json!(true), &json!("101.00")));
    assert_eq!((&candles[1]["closed"], &candles[1]["open"]), (&json!(false), &json!("99.00")));
    // The clock alone closes it too: an event of any book moves it.
    world.exchange_ns += 5 * SECOND;
    world.system(system::TIME, 0, 0, 7);
    let seen = world.until(&mut client, |seen| !seen.is_empty());
    assert_eq!(seen[0]["candles"].as_array().unwrap().len(), 1);
    assert_eq!(seen[0]["candles"][0]["closed"], true);
    let mut late = world.connect();
    let seen = world.subscribe(&mut late, "ohlcv-1s", "THYAO", "");
    assert_eq!(frames(&seen, "ohlcv-1s")[0]["candles"].as_array().unwrap().len(), 2);
}

#[test]
fn the_clock_and_the_event_that_moved_it_are_one_frame() {
    let config = distributor::Config { slots_per_turn_max: 1, ..support::config() };
    let mut world = World::open_with(config, 1 << 12, &["THYAO.E"]);
    let mut client = world.connect();
    world.subscribe(&mut client, "ohlcv-1s", "THYAO", "");
    for _ in 0..5 {
        world.trade(1, 10_000, 5, 0);
        world.exchange_ns += SECOND;
        world.trade(1, 10_100, 5, 0);
    }
    let seen = world.until(&mut client, |seen| seen.len() >= 10);
    assert!(seen.iter().all(|frame| frame["type"] == "update"), "{seen:#?}");
    assert_eq!(world.metric("bist_ws_refused_total", "sequence"), 0);
    // The clock alone does not wait for an event that never comes.
    world.exchange_ns += SECOND;
    world.system(system::TIME, 0, 0, 7);
    let seen = world.until(&mut client, |seen| !seen.is_empty());
    assert_eq!(seen[0]["candles"][0]["closed"], true);
}

#[test]
fn definition_status_statistics_and_auction_are_whole_in_every_frame() {
    let mut world = World::open(&["THYAO.E"]);
    let mut client = world.connect();
    let seen = world.subscribe(&mut client, "definition", "THYAO.E", "");
    let definition = &frames(&seen, "definition")[0]["definition"];
    let expected = json!({
        "symbol": "THYAO", "exchange_symbol": "THYAO.E", "book_id": 1, "name": "A SHARE \"OF\" A COMPANY",
        "isin": "TRATHYAO91M5", "currency": "TRY", "price_decimals": 2, "lot": 1, "product": 5, "expiration": null,
        "strike": null, "short_sell": null, "reference": "100.00", "limit_low": "1.00", "limit_high": "9999.99",
        "ticks": [{"from": "1.00", "to": "9999.99", "tick": "0.01"}],
    });
    assert_eq!(definition, &expected);

    let seen = world.subscribe(&mut client, "status", "THYAO", "");
    assert_eq!(frames(&seen, "status")[0]["phase"], "continuous");
    let seen = world.subscribe(&mut client, "statistics", "THYAO", "");
    assert_eq!(frames(&seen, "statistics")[0]["last"], Value::Null);
    let seen = world.subscribe(&mut client, "imbalance", "THYAO", "");
    assert_eq!(frames(&seen, "imbalance")[0]["auction"], Value::Null);

    world.trade(1, 10_100, 10, 0);
    world.trade(1, 10_200, 10, 0);
    let seen = world.until(&mut client, |seen| !seen.is_empty());
    let day = frames(&seen, "statistics")[0];
    assert_eq!(day["type"], "update");
    assert_eq!((&day["change"], &day["change_bp"], &day["vwap"]), (&json!("2.00"), &json!(200), &json!("101.5000")));
    assert_eq!((&day["volume"], &day["turnover"], &day["trades"]), (&json!("20"), &json!("2030.00"), &json!(2)));

    world.phase(1, Phase::ClosingCollection);
    world.equilibrium(1, 10_150, 500);
    let seen = world.until(&mut client, |seen| seen.len() >= 2);
    assert_eq!(frames(&seen, "status")[0]["phase"], "closing_collection");
    assert_eq!(frames(&seen, "status")[0]["state"], "P_STATE");
    let expected = json!({"price": "101.50", "bid_quantity": "500", "ask_quantity": "501", "best_bid": "101.49",
        "best_bid_quantity": "3", "best_ask": null, "best_ask_quantity": "0"});
    assert_eq!(frames(&seen, "imbalance")[0]["auction"], expected);
    world.phase(1, Phase::Closed);
    let seen = world.until(&mut client, |seen| seen.len() >= 3);
    assert_eq!(frames(&seen, "imbalance")[0]["auction"], Value::Null);
    assert_eq!(frames(&seen, "statistics")[0]["close"], "102.00");
}

#[test]
fn times_are_text_where_the_client_asked_so() {
    let mut world = World::open(&["THYAO.E"]);
    let mut client = world.connect_to("/ws/v2?ts=rfc3339");
    let seen = world.subscribe(&mut client, "status", "THYAO", "");
    assert_eq!(seen[0]["time_in"], "2026-11-23T07:00:00.000000000Z");
    assert_eq!(seen[1]["ts_recv"], "2026-11-23T07:00:00.000000100Z");
    assert_eq!(seen[1]["since"], "2026-11-23T07:00:00.000000000Z");
}

#[test]
fn all_symbols_come_and_later_ones_join() {
    let mut world = World::open(&["THYAO.E", "GARAN.E"]);
    let mut client = world.connect();
    let request = r#"{"method":"subscribe","params":{"channel":"trades","symbol":["*"],"snapshot":false},"req_id":9}"#;
    let seen = world.ask(&mut client, request, 3);
    assert_eq!((&seen[0]["result"]["symbol"], &seen[0]["result"]["symbols"]), (&json!("*"), &json!(2)));
    assert_eq!(seen[2]["result"]["symbol"], "GARAN");
    world.list(3, "ASELS.E");
    let seen = world.until(&mut client, |seen| !seen.is_empty());
    assert_eq!((&seen[0]["result"]["symbol"], &seen[0]["req_id"]), (&json!("ASELS"), &json!(9)));
    world.trade(3, 500, 1, 0);
    let seen = world.until(&mut client, |seen| !seen.is_empty());
    assert_eq!((&seen[0]["symbol"], &seen[0]["type"]), (&json!("ASELS"), &json!("update")));
    let again = world.ask(&mut client, request, 1);
    assert_eq!(again[0]["error"]["code"], "ALREADY_SUBSCRIBED");
    let seen = world.ask(&mut client, r#"{"method":"list_subscriptions"}"#, 1);
    assert_eq!(seen[0]["result"]["subscriptions"].as_array().unwrap().len(), 4);
    let end = r#"{"method":"unsubscribe","params":{"channel":"trades","symbol":["*"]}}"#;
    let seen = world.ask(&mut client, end, 1);
    assert_eq!(seen[0]["result"]["symbol"], "*");
    world.trade(3, 500, 1, 0);
    assert_eq!(world.drain(&mut client), [] as [Value; 0]);
    assert_eq!(world.metric("bist_ws_subscriptions", "trades"), 0);
}

#[test]
fn a_symbol_is_found_in_any_case_and_a_wrong_one_names_those_near_it() {
    let mut world = World::open(&["THYAO.E", "ISCTR.E", "GARAN.E"]);
    let mut client = world.connect();
    for (name, ticker) in [
        ("thyao", "THYAO"),
        ("Thyao.e", "THYAO"),
        ("\u{131}sctr", "ISCTR"),
        ("\u{130}SCTR", "ISCTR"),
        ("isctr", "ISCTR"),
    ] {
        let request =
            |method: &str| json!({"method": method, "params": {"channel": "status", "symbol": [name]}}).to_string();
        let seen = world.ask(&mut client, &request("subscribe"), 1);
        let reply = seen.iter().find(|message| message.get("method").is_some()).unwrap();
        assert_eq!(reply["result"]["symbol"], ticker, "{name}: {reply}");
        let seen = world.ask(&mut client, &request("unsubscribe"), 1);
        assert_eq!(seen.last().unwrap()["result"]["symbol"], ticker, "{name}");
    }
    let mut client = world.connect();
    let request = r#"{"method":"get_snapshot","params":{"channel":"book","symbol":["garn","ISCT"]}}"#;
    let seen = world.ask(&mut client, request, 2);
    assert_eq!((&seen[0]["error"]["near"], &seen[0]["symbol"]), (&json!(["GARAN"]), &json!("garn")));
    assert_eq!(seen[1]["error"]["near"], Value::Null, "looked for once in a request");
}

#[test]
fn requests_are_answered_one_by_one() {
    let mut world = World::open(&["THYAO.E", "GARAN.E"]);
    let mut client = world.connect();
    let request = r#"{"method":"subscribe","params":{"channel":"book","symbol":["THYAO","NOPE","GARAN.E"],"depth":5},"req_id":4}"#;
    let seen = world.ask(&mut client, request, 3);
    let replies: Vec<_> = seen.iter().filter(|message| message.get("method").is_some()).collect();
    assert_eq!(replies[0]["result"]["depth"], 5);
    assert_eq!((&replies[1]["error"]["code"], &replies[1]["symbol"]), (&json!("SYMBOL_NOT_FOUND"), &json!("NOPE")));
    assert_eq!(replies[1]["error"]["retryable"], true);
    assert_eq!(replies[1]["error"]["near"], Value::Null, "nothing is like it");
    assert_eq!(replies[2]["result"]["symbol"], "GARAN");
    world.drain(&mut client);

    let seen = world.ask(&mut client, r#"{"method":"ping","req_id":5}"#, 1);
    assert_eq!((&seen[0]["success"], &seen[0]["time_in"]), (&json!(true), &json!(TEN.to_string())));
    let seen = world.ask(&mut client, r#"{"method":"auth","params":{"token":"x"}}"#, 1);
    assert_eq!(seen[0]["warnings"].as_array().unwrap().len(), 1);
    let seen = world.ask(&mut client, r#"{"method":"unsubscribe","params":{"sub_id":1}}"#, 1);
    assert_eq!(seen[0]["result"], json!({"channel": "book", "symbol": "THYAO", "sub_id": 1}));
    let seen = world.ask(&mut client, r#"{"method":"unsubscribe","params":{"sub_id":1}}"#, 1);
    assert_eq!(seen[0]["error"]["code"], "NOT_SUBSCRIBED");
    world.add(1, Side::Bid, 1, 100, 1);
    world.add(2, Side::Bid, 1, 100, 1);
    let seen = world.until(&mut client, |seen| !seen.is_empty());
    assert_eq!(seen[0]["symbol"], "GARAN");
    assert_eq!(seen.len(), 1);
}

#[test]
fn a_snapshot_on_request_fits_the_chain() {
    let mut world = World::open(&["THYAO.E"]);
    world.add(1, Side::Bid, 1, 10_000, 1);
    let mut client = world.connect();
    world.subscribe(&mut client, "book", "THYAO", r#","depth":2"#);
    let request = r#"{"method":"get_snapshot","params":{"channel":"book","symbol":["THYAO"],"depth":7},"req_id":2}"#;
    // Something deeper than the depth moves the book's number, not the chain's.
    world.add(1, Side::Bid, 2, 9_999, 1);
    world.add(1, Side::Bid, 3, 9_998, 1);
    world.drain(&mut client);
    world.add(1, Side::Bid, 4, 9_997, 1);
    world.drain(&mut client);
    client.send(request);
    let seen = world.until(&mut client, |seen| seen.len() >= 2);
    assert_eq!((&seen[0]["result"]["depth"], seen[0]["warnings"].as_array().unwrap().len()), (&json!(2), 1));
    assert_eq!(seen[1]["bids"].as_array().unwrap().len(), 2);
    assert_eq!(seen[1]["seq"], seen[0]["result"]["seq"]);
    world.cancel(1, Side::Bid, 1, 1);
    let update = world.until(&mut client, |seen| !seen.is_empty());
    assert_eq!(update[0]["prev_seq"], seen[1]["seq"]);

    let mut other = world.connect();
    other.send(request);
    let seen = world.until(&mut other, |seen| seen.len() >= 2);
    assert_eq!(seen[1]["bids"].as_array().unwrap().len(), 3, "a single picture of depth 7");
    world.add(1, Side::Bid, 5, 9_990, 1);
    assert_eq!(world.drain(&mut other), [] as [Value; 0]);
}

#[test]
fn a_cursor_at_the_head_goes_on_without_a_snapshot() {
    let mut world = World::open(&["THYAO.E"]);
    world.add(1, Side::Bid, 1, 10_000, 1);
    let mut client = world.connect();
    let seen = world.subscribe(&mut client, "book", "THYAO", "");
    let head = frames(&seen, "book")[0]["seq"].as_u64().unwrap();
    let mut other = world.connect();
    let from = |epoch: u64, seq: u64| {
        format!(
            r#"{{"method":"subscribe","params":{{"channel":"book","symbol":["THYAO"],"from":{{"epoch":{epoch},"seq":{seq}}}}}}}"#
        )
    };
    for (epoch, seq) in [(7, head - 1), (6, head), (7, head + 1)] {
        let seen = world.ask(&mut other, &from(epoch, seq), 1);
        assert_eq!(seen[0]["error"]["code"], "REPLAY_UNAVAILABLE");
    }
    let seen = world.ask(&mut other, &from(7, head), 1);
    assert_eq!(seen[0]["success"], true);
    world.add(1, Side::Bid, 2, 10_000, 1);
    let seen = world.until(&mut other, |seen| !seen.is_empty());
    assert_eq!((&seen[0]["type"], seen[0]["prev_seq"].as_u64()), (&json!("update"), Some(head)));
}

#[test]
fn conflated_frames_are_merged_and_no_closer_than_asked() {
    let mut world = World::open(&["THYAO.E"]);
    let mut client = world.connect();
    world.subscribe(&mut client, "book", "THYAO", r#","conflate_ms":1000"#);
    world.subscribe(&mut client, "trades", "THYAO", r#","conflate_ms":1000"#);
    let mut seen = Vec::new();
    for n in 0..30 {
        world.add(1, Side::Bid, 1 + n, 10_000 + n as i64, 1);
        world.trade(1, 10_000, 1 + n, 0);
        world.pass(100 * MS);
        client.read_into(&mut seen);
    }
    world.pass(1_000 * MS);
    client.read_into(&mut seen);
    for channel in ["book", "trades"] {
        let frames = frames(&seen, channel);
        assert!((3..=4).contains(&frames.len()), "{} frames of {channel}", frames.len());
        for pair in frames.windows(2) {
            assert_eq!(pair[1]["prev_seq"], pair[0]["seq"]);
            let out = |frame: &Value| frame["ts_out"].as_str().unwrap().parse::<u64>().unwrap();
            assert!(out(pair[1]) - out(pair[0]) >= 1_000 * MS);
        }
    }
    let trades: usize = frames(&seen, "trades").iter().map(|frame| frame["trades"].as_array().unwrap().len()).sum();
    assert_eq!(trades, 30, "merged, not lost");
    assert!(world.metric("bist_ws_conflated_messages_total", "") > 40);
}

#[test]
fn heartbeats_come_when_idle_or_as_asked() {
    let mut world = World::open(&["THYAO.E"]);
    let mut client = world.connect();
    let seen = world.subscribe(&mut client, "status", "THYAO", "");
    let head = seen[1]["seq"].clone();
    world.pass(1_100 * MS);
    let seen = world.drain(&mut client);
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!(seen[0]["subscriptions"], json!({"1": head}));
    assert_eq!((&seen[0]["session_state"], &seen[0]["feed_age_ms"]), (&json!("open"), &json!(1_100)));
    assert_eq!(seen[0]["seq"], world.stage.market().seq());

    let seen = world.ask(&mut client, r#"{"method":"subscribe","params":{"channel":"heartbeat","interval_s":5}}"#, 1);
    assert_eq!(seen[0]["result"]["interval_s"], 5);
    let mut beats = 0;
    for _ in 0..20 {
        world.pass(1_000 * MS);
        beats += frames(&world.drain(&mut client), "heartbeat").len();
    }
    assert!((4..=5).contains(&beats), "{beats}");
    world.system(system::STALE, 9, 0, 7);
    let seen = world.until(&mut client, |seen| !frames(seen, "system").is_empty());
    assert_eq!(frames(&seen, "system")[0]["state"], "stale");
}

#[test]
fn a_new_epoch_is_told_and_snapshots_follow() {
    let mut world = World::open(&["THYAO.E"]);
    world.add(1, Side::Bid, 1, 10_000, 1);
    let mut client = world.connect();
    world.subscribe(&mut client, "book", "THYAO", "");
    world.session(8);
    world.add(1, Side::Bid, 1, 9_000, 1);
    let seen = world.until(&mut client, |seen| seen.len() >= 2);
    assert_eq!((&seen[0]["type"], &seen[0]["epoch"]), (&json!("epoch"), &json!(8)));
    assert_eq!((&seen[1]["type"], &seen[1]["epoch"], &seen[1]["seq"]), (&json!("snapshot"), &json!(8), &json!(1)));
    assert_eq!(seen[1]["bids"], json!([["90.00", "1", 1]]));
    world.add(1, Side::Bid, 2, 9_001, 1);
    let seen = world.until(&mut client, |seen| !seen.is_empty());
    assert_eq!((&seen[0]["prev_seq"], &seen[0]["type"]), (&json!(1), &json!("update")));
}

#[test]
fn lost_venue_messages_are_told_and_books_say_that_they_may_be_wrong() {
    let mut world = World::open(&["THYAO.E"]);
    let mut client = world.connect();
    world.subscribe(&mut client, "book", "THYAO", "");
    world.system(system::GAP, 88, 99, 7);
    let seen = world.until(&mut client, |seen| seen.len() >= 2);
    let gap = frames(&seen, "system")[0];
    assert_eq!((&gap["type"], &gap["symbol"], &gap["venue_to"]), (&json!("gap"), &json!("*"), &json!("99")));
    let book = frames(&seen, "book")[0];
    assert_eq!((&book["type"], &book["maybe_bad"]), (&json!("update"), &json!(true)));
}

#[test]
fn a_book_that_gets_another_instrument_ends_its_subscriptions() {
    let mut world = World::open(&["OLD"]);
    world.add(1, Side::Bid, 1, 10_000, 1);
    let mut client = world.connect();
    world.subscribe(&mut client, "book", "OLD", "");
    world.list(1, "NEW");
    let seen = world.until(&mut client, |seen| !seen.is_empty());
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!((&seen[0]["method"], &seen[0]["result"]["symbol"]), (&json!("unsubscribe"), &json!("OLD")));
    let seen = world.subscribe(&mut client, "book", "NEW", "");
    assert_eq!(frames(&seen, "book")[0]["bids"], json!([]));
}

#[test]
fn prices_with_other_decimals_begin_with_a_snapshot() {
    let mut world = World::open(&["THYAO.E"]);
    world.add(1, Side::Bid, 1, 10_000, 1);
    let mut client = world.connect();
    world.subscribe(&mut client, "book", "THYAO", "");
    world.list_as(1, "THYAO.E", 3);
    let seen = world.until(&mut client, |seen| !seen.is_empty());
    assert_eq!((&seen[0]["type"], &seen[0]["bids"]), (&json!("snapshot"), &json!([["100.000", "1", 1]])));
}
