//! The text of data frames, as `docs/protocols/websocket.md` shows them.
//!
//! Appends to the turn's buffer and does nothing else: what is sent, and to whom, is decided elsewhere.

use book::Price;
use book::candle::Candle;
use book::replica::{Auction, BookView, TradeView};
use book::slot::{OrderUpdate, action, conditions};
use book::statistics::Statistics;
use book::types::Level;

use super::text::{amount, integer, price, quoted, raw, text, time};
use crate::encode::Moment;
use crate::topics::topic::Key;

/// What stands before the body of every data frame.
pub struct Head<'a> {
    /// The topic.
    pub key: Key,
    /// Its book.
    pub view: &'a BookView,
    /// `snapshot` or `update`.
    pub snapshot: bool,
    /// Number of the newest event in it.
    pub seq: u64,
    /// Number of the frame before it.
    pub prev_seq: u64,
    /// Time and epoch.
    pub moment: Moment,
}

/// `{"channel":…` to `"epoch":…`: what all frames of a chain begin with.
pub fn prefix(out: &mut Vec<u8>, key: Key, ticker: &str, snapshot: bool, epoch: u64) {
    raw(out, "{\"channel\":\"");
    raw(out, key.channel.name());
    raw(out, if snapshot { "\",\"type\":\"snapshot\",\"symbol\":" } else { "\",\"type\":\"update\",\"symbol\":" });
    text(out, ticker);
    raw(out, ",\"epoch\":");
    integer(out, epoch);
}

/// `{"channel":…` to `"ts_out":…`; the caller appends the body and the closing brace.
pub fn head(out: &mut Vec<u8>, head: &Head<'_>) {
    prefix(out, head.key, head.view.definition.ticker(), head.snapshot, head.moment.epoch);
    numbers(out, head);
}

/// `,"seq":…` to `"ts_out":…`: what changes from frame to frame.
pub fn numbers(out: &mut Vec<u8>, head: &Head<'_>) {
    raw(out, ",\"seq\":");
    integer(out, head.seq);
    raw(out, ",\"prev_seq\":");
    integer(out, head.prev_seq);
    raw(out, ",\"ts_event\":");
    time(out, head.view.exchange_ns, head.key.rfc3339);
    raw(out, ",\"ts_recv\":");
    time(out, head.view.received_ns, head.key.rfc3339);
    raw(out, ",\"ts_out\":");
    time(out, head.moment.now_ns, head.key.rfc3339);
    if let Some(doubt) = head.view.doubt {
        raw(out, ",\"maybe_bad\":true,\"reason\":\"");
        raw(out, doubt.name());
        raw(out, "\"");
    }
}

/// `["312.50","1000",3]`.
pub fn level(out: &mut Vec<u8>, level: &Level, decimals: u8) {
    out.push(b'[');
    price(out, level.price, decimals);
    out.push(b',');
    quoted(out, level.quantity);
    out.push(b',');
    integer(out, level.count);
    out.push(b']');
}

/// `,"bids":[…],"asks":[…]`.
pub fn levels(out: &mut Vec<u8>, bids: &[Level], asks: &[Level], decimals: u8) {
    for (name, side) in [(",\"bids\":[", bids), (",\"asks\":[", asks)] {
        raw(out, name);
        list(out, side.iter(), |out, of| level(out, of, decimals));
        out.push(b']');
    }
}

fn list<T>(out: &mut Vec<u8>, items: impl Iterator<Item = T>, mut each: impl FnMut(&mut Vec<u8>, T)) {
    for (n, item) in items.enumerate() {
        if n > 0 {
            out.push(b',');
        }
        each(out, item);
    }
}

/// `,"orders":[…]`, bids first, best and oldest first.
pub fn orders(out: &mut Vec<u8>, view: &BookView) {
    let decimals = view.definition.price_decimals;
    raw(out, ",\"orders\":[");
    let both = [book::Side::Bid, book::Side::Ask];
    let all = both.iter().flat_map(|&side| view.orders.iter(side).map(move |order| (side, order)));
    list(out, all, |out, (side, (at, order))| {
        out.push(b'[');
        quoted(out, order.order_id.0);
        raw(out, if side == book::Side::Bid { ",\"B\"," } else { ",\"A\"," });
        price(out, at, decimals);
        out.push(b',');
        quoted(out, order.quantity);
        out.push(b']');
    });
    out.push(b']');
    if view.orders_omitted {
        raw(out, ",\"orders_omitted\":true");
    }
}

/// `,"changes":[…]`.
pub fn changes(out: &mut Vec<u8>, changes: &[OrderUpdate], decimals: u8) {
    raw(out, ",\"changes\":[");
    list(out, changes.iter(), |out, change| {
        raw(out, "{\"action\":\"");
        out.push(match change.action {
            known @ (action::ADD | action::CANCEL | action::MODIFY | action::FILL | action::CLEAR) => known,
            _ => action::MODIFY, // OK because a modify states the whole order
        });
        if change.action == action::CLEAR {
            raw(out, "\"}");
            return;
        }
        raw(out, "\",\"order_id\":");
        quoted(out, change.order_id);
        raw(out, if change.side == b'B' { ",\"side\":\"B\",\"price\":" } else { ",\"side\":\"A\",\"price\":" });
        price(out, Price(change.price), decimals);
        raw(out, ",\"quantity\":");
        quoted(out, change.quantity);
        raw(out, ",\"position\":");
        integer(out, change.position);
        out.push(b'}');
    });
    out.push(b']');
}

/// `,"trades":[…]`.
pub fn trades<'a>(out: &mut Vec<u8>, trades: impl Iterator<Item = &'a TradeView>, decimals: u8, rfc3339: bool) {
    raw(out, ",\"trades\":[");
    list(out, trades, |out, trade| {
        raw(out, "{\"seq\":");
        integer(out, trade.seq);
        raw(out, ",\"ts_event\":");
        time(out, trade.exchange_ns, rfc3339);
        raw(out, ",\"ts_recv\":");
        time(out, trade.received_ns, rfc3339);
        raw(out, ",\"match_id\":");
        quoted(out, trade.match_id);
        raw(out, ",\"price\":");
        price(out, trade.price, decimals);
        raw(out, ",\"quantity\":");
        quoted(out, trade.quantity);
        raw(out, ",\"side\":\"");
        out.push(trade.side as u8);
        raw(out, "\",\"conditions\":[");
        let named = [
            (conditions::NON_PRINTABLE, "\"non_printable\""),
            (conditions::CROSS, "\"cross\""),
            (conditions::HIDDEN, "\"hidden\""),
            (conditions::BROKEN, "\"broken\""),
        ];
        list(out, named.iter().filter(|(bit, _)| trade.conditions & bit != 0), |out, (_, name)| raw(out, name));
        raw(out, "]}");
    });
    out.push(b']');
}

/// `,"candles":[…]`: closed ones, then the forming one.
pub fn candles<'a>(
    out: &mut Vec<u8>,
    closed: impl Iterator<Item = &'a Candle>,
    forming: Option<&Candle>,
    decimals: u8,
    rfc3339: bool,
) {
    raw(out, ",\"candles\":[");
    let all = closed.map(|candle| (candle, true)).chain(forming.map(|candle| (candle, false)));
    list(out, all, |out, (candle, closed)| {
        raw(out, "{\"start\":");
        time(out, candle.start_ns, rfc3339);
        let prices = [candle.open, candle.high, candle.low, candle.close];
        for (name, at) in [",\"open\":", ",\"high\":", ",\"low\":", ",\"close\":"].iter().zip(prices) {
            raw(out, name);
            price(out, at, decimals);
        }
        raw(out, ",\"volume\":");
        quoted(out, candle.volume);
        raw(out, ",\"turnover\":");
        amount(out, candle.turnover, decimals);
        raw(out, ",\"trades\":");
        integer(out, candle.trades);
        raw(out, if closed { ",\"closed\":true}" } else { ",\"closed\":false}" });
    });
    out.push(b']');
}

/// `"2026-11-23"` of 20261123, `null` of 0.
fn date(out: &mut Vec<u8>, yyyymmdd: u32) {
    if yyyymmdd == 0 {
        raw(out, "null");
    } else {
        let (year, month, day) = (yyyymmdd / 10_000, yyyymmdd / 100 % 100, yyyymmdd % 100);
        out.push(b'"');
        integer(out, year);
        for part in [month, day] {
            raw(out, if part < 10 { "-0" } else { "-" });
            integer(out, part);
        }
        out.push(b'"');
    }
}

/// `,"definition":{…}`.
pub fn definition(out: &mut Vec<u8>, view: &BookView) {
    let definition = &view.definition;
    let decimals = definition.price_decimals;
    raw(out, ",\"definition\":{\"symbol\":");
    text(out, definition.ticker());
    raw(out, ",\"exchange_symbol\":");
    text(out, &definition.symbol);
    raw(out, ",\"book_id\":");
    integer(out, view.book_id.0);
    for (name, value) in [("name", &definition.name), ("isin", &definition.isin), ("currency", &definition.currency)] {
        out.push(b',');
        text(out, name);
        out.push(b':');
        if value.is_empty() {
            raw(out, "null");
        } else {
            text(out, value);
        }
    }
    raw(out, ",\"price_decimals\":");
    integer(out, decimals);
    raw(out, ",\"lot\":");
    integer(out, definition.round_lot);
    raw(out, ",\"product\":");
    integer(out, definition.product);
    raw(out, ",\"expiration\":");
    date(out, definition.expiration);
    raw(out, ",\"strike\":");
    price(out, definition.strike, decimals);
    raw(out, ",\"short_sell\":");
    raw(
        out,
        match definition.short_sell {
            Some(0) => "\"allowed\"",
            Some(1) => "\"not_allowed\"",
            Some(2) => "\"up_tick\"",
            _ => "null",
        },
    );
    let statistics = &view.statistics;
    for (name, at) in [
        (",\"reference\":", statistics.reference),
        (",\"limit_low\":", statistics.limit_low),
        (",\"limit_high\":", statistics.limit_high),
    ] {
        raw(out, name);
        price(out, at, decimals);
    }
    raw(out, ",\"ticks\":[");
    list(out, definition.ticks.bands().iter(), |out, band| {
        raw(out, "{\"from\":");
        price(out, band.from, decimals);
        raw(out, ",\"to\":");
        price(out, band.to, decimals);
        raw(out, ",\"tick\":");
        price(out, Price(band.tick), decimals);
        out.push(b'}');
    });
    raw(out, "]}");
}

/// `,"phase":…,"state":…,"since":…`.
pub fn status(out: &mut Vec<u8>, view: &BookView, rfc3339: bool) {
    raw(out, ",\"phase\":\"");
    raw(out, view.phase.name());
    raw(out, "\",\"state\":");
    text(out, &view.state);
    raw(out, ",\"since\":");
    time(out, view.state_ns, rfc3339);
}

/// `,"open":…` to `"trades":…`.
pub fn statistics(out: &mut Vec<u8>, statistics: &Statistics, decimals: u8) {
    for (name, at) in [
        (",\"open\":", statistics.open),
        (",\"high\":", statistics.high),
        (",\"low\":", statistics.low),
        (",\"last\":", statistics.last),
        (",\"close\":", statistics.close),
        (",\"reference\":", statistics.reference),
        (",\"limit_low\":", statistics.limit_low),
        (",\"limit_high\":", statistics.limit_high),
        (",\"change\":", statistics.change().unwrap_or_default()),
    ] {
        raw(out, name);
        price(out, at, decimals);
    }
    raw(out, ",\"change_bp\":");
    match statistics.change_basis_points() {
        Some(points) => integer(out, points),
        None => raw(out, "null"),
    }
    raw(out, ",\"vwap\":");
    price(out, statistics.vwap().unwrap_or_default(), decimals.saturating_add(2).min(Price::DECIMALS));
    raw(out, ",\"volume\":");
    quoted(out, statistics.volume);
    raw(out, ",\"turnover\":");
    amount(out, statistics.turnover, decimals);
    raw(out, ",\"trades\":");
    integer(out, statistics.trades);
}

/// `,"auction":{…}` or `,"auction":null`.
pub fn auction(out: &mut Vec<u8>, auction: Option<&Auction>, decimals: u8) {
    raw(out, ",\"auction\":");
    let Some(auction) = auction else { return raw(out, "null") };
    raw(out, "{\"price\":");
    price(out, auction.price, decimals);
    for (name, quantity) in [(",\"bid_quantity\":", auction.bid_quantity), (",\"ask_quantity\":", auction.ask_quantity)]
    {
        raw(out, name);
        quoted(out, quantity);
    }
    for (name, at, quantity_name, quantity) in [
        (",\"best_bid\":", auction.best_bid, ",\"best_bid_quantity\":", auction.best_bid_quantity),
        (",\"best_ask\":", auction.best_ask, ",\"best_ask_quantity\":", auction.best_ask_quantity),
    ] {
        raw(out, name);
        price(out, at, decimals);
        raw(out, quantity_name);
        quoted(out, quantity);
    }
    out.push(b'}');
}
