//! A client of channel `book` that knows only the protocol's page.
//!
//! The fuzz targets compile this file by path.

#![allow(dead_code)] // each user uses its part of it

use book::market::Market;
use book::{BookId, Side};
use serde_json::Value;

/// A client's book, made from nothing but the rules of `docs/protocols/websocket.md`.
#[derive(Debug, Default, Clone)]
pub struct ClientBook {
    pub bids: Vec<(String, String, u64)>,
    pub asks: Vec<(String, String, u64)>,
    pub have: Option<(u64, u64)>,
    pub stale: bool,
}

impl ClientBook {
    /// `replace`, `drop`, `apply`, `wait` or `resync`.
    pub fn on_frame(&mut self, frame: &Value, depth: usize) -> &'static str {
        let epoch = frame["epoch"].as_u64().expect("epoch is a number");
        let seq = frame["seq"].as_u64().expect("seq is a number");
        let prev_seq = frame["prev_seq"].as_u64().expect("prev_seq is a number");
        if frame["type"] == "snapshot" {
            self.bids.clear();
            self.asks.clear();
            self.take(frame, depth);
            self.have = Some((epoch, seq));
            self.stale = false;
            return "replace";
        }
        let Some((have_epoch, have_seq)) = self.have else { return "wait" };
        if epoch != have_epoch || self.stale {
            return "wait";
        }
        if seq <= have_seq {
            return "drop";
        }
        if prev_seq != have_seq {
            self.stale = true;
            return "resync";
        }
        self.take(frame, depth);
        self.have = Some((epoch, seq));
        "apply"
    }

    fn take(&mut self, frame: &Value, depth: usize) {
        for (name, side) in [("bids", &mut self.bids), ("asks", &mut self.asks)] {
            for level in frame[name].as_array().expect("levels are a list") {
                let price = level[0].as_str().expect("a price is text").to_owned();
                let quantity = level[1].as_str().expect("a quantity is text").to_owned();
                side.retain(|have| have.0 != price);
                if quantity != "0" {
                    side.push((price, quantity, level[2].as_u64().expect("a count is a number")));
                }
            }
            let units = |text: &str| text.replace('.', "").parse::<i128>().expect("a price is decimal");
            side.sort_by_key(|level| if name == "bids" { -units(&level.0) } else { units(&level.0) });
            side.truncate(depth);
        }
    }

    pub fn checksum(&self, depth: usize) -> u32 {
        let plain = |side: &[(String, String, u64)]| -> Vec<(String, String)> {
            side.iter().take(depth.min(10)).map(|level| (level.0.clone(), level.1.clone())).collect()
        };
        let (asks, bids) = (plain(&self.asks), plain(&self.bids));
        fn texts(side: &[(String, String)]) -> Vec<(&str, &str)> {
            side.iter().map(|(price, quantity)| (price.as_str(), quantity.as_str())).collect()
        }
        book::checksum::checksum_of_text(&texts(&asks), &texts(&bids))
    }

    /// Compares with the real book, whose prices have two decimals.
    #[track_caller]
    pub fn assert_is(&self, market: &Market, book: u32, depth: usize) {
        self.assert_is_with(market, book, depth, 2);
    }

    /// The same with prices of `decimals` decimals.
    #[track_caller]
    pub fn assert_is_with(&self, market: &Market, book: u32, depth: usize, decimals: u8) {
        for (side, have) in [(Side::Bid, &self.bids), (Side::Ask, &self.asks)] {
            let want: Vec<_> = market
                .levels(BookId(book), side)
                .take(depth)
                .map(|level| {
                    let price = level.price.write(decimals, &mut [0; 24]).to_owned();
                    (price, level.quantity.to_string(), u64::from(level.count))
                })
                .collect();
            assert_eq!(have, &want, "{side:?} of book {book}");
        }
    }
}
