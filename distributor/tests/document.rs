//! The page that clients are written from: its vectors are right, and its tables name what the code knows.

mod support;

use distributor::handshake::Failure;
use serde_json::Value;
use support::client_book::ClientBook;

const PAGE: &str = include_str!("../../docs/protocols/websocket.md");

fn block(name: &str) -> Vec<Value> {
    let fence = format!("```json {name}\n");
    let begin = PAGE.find(&fence).expect("the block is there") + fence.len();
    let end = begin + PAGE[begin..].find("```").expect("the block ends");
    serde_json::from_str(&PAGE[begin..end]).expect("the block is JSON")
}

#[test]
fn the_checksum_vectors_are_right() {
    let vectors = block("checksum-vectors");
    assert!(vectors.len() >= 3);
    for vector in &vectors {
        let side = |name: &str| -> Vec<(&str, &str)> {
            let levels = vector[name].as_array().unwrap();
            levels.iter().map(|level| (level[0].as_str().unwrap(), level[1].as_str().unwrap())).collect()
        };
        let (asks, bids) = (side("asks"), side("bids"));
        let expected = vector["checksum"].as_u64().unwrap();
        assert_eq!(u64::from(book::checksum::checksum_of_text(&asks, &bids)), expected, "{}", vector["name"]);
        let strip = |text: &str| text.replace('.', "").trim_start_matches('0').to_owned();
        let levels = asks.iter().take(10).chain(bids.iter().take(10));
        let text: String = levels.flat_map(|(price, quantity)| [strip(price), strip(quantity)]).collect();
        assert_eq!(vector["text"], text.as_str(), "{}", vector["name"]);
    }
}

#[test]
fn the_apply_vectors_are_right() {
    let vectors = block("apply-vectors");
    let mut book = ClientBook::default();
    for vector in &vectors {
        let frame = &vector["frame"];
        let decision = book.on_frame(frame, 2);
        assert_eq!(vector["decision"], decision, "{}", vector["why"]);
        for (name, side) in [("bids", &book.bids), ("asks", &book.asks)] {
            assert_eq!(vector[name], serde_json::to_value(side).unwrap(), "{}", vector["why"]);
        }
        if decision == "apply" || decision == "replace" {
            assert_eq!(frame["checksum"], book.checksum(2), "{}", vector["why"]);
        }
    }
    for decision in ["replace", "drop", "apply", "wait", "resync"] {
        assert!(vectors.iter().any(|vector| vector["decision"] == decision), "no vector of {decision}");
    }
}

#[test]
fn every_error_code_and_channel_is_on_the_page() {
    let sources = [
        include_str!("../src/websocket/requests.rs"),
        include_str!("../src/websocket/answers.rs"),
        include_str!("../src/websocket/admit.rs"),
    ];
    for source in sources {
        for piece in source.split("Refusal::new(\"").skip(1) {
            let code = piece.split('"').next().unwrap();
            assert!(PAGE.contains(&format!("| `{code}` |")), "{code} is not in the table of errors");
        }
    }
    for failure in [Failure::UNAUTHENTICATED, Failure::SCOPE_MISSING, Failure::UNAVAILABLE, Failure::BUSY] {
        assert!(PAGE.contains(&format!("| `{}` |", failure.code)), "{failure:?}");
    }
    for channel in [
        "book",
        "mbp-1",
        "mbp-10",
        "mbo",
        "trades",
        "ohlcv-1s",
        "ohlcv-1m",
        "ohlcv-1h",
        "ohlcv-1d",
        "definition",
        "status",
        "statistics",
        "imbalance",
        "heartbeat",
        "system",
    ] {
        assert!(PAGE.contains(&format!("`{channel}`")), "{channel}");
    }
}
