//! Copies of the view → the public shapes, field by field.
//!
//! Works on copies, after the view's lock is gone. Never decides what is asked or how much of it.

use api_clients::market_data::CandleInterval;
use api_clients::market_data::shapes::{
    CandleList, CandleShape, EquilibriumShape, Instrument, LevelShape, OrderBook, Quote, Standing, Tick, TradeShape,
    Trades,
};
use book::candle::Candle;
use book::doubt::Doubt;
use book::replica::TradeView;
use book::slot::conditions;
use book::types::{Level, ticker};
use book::{Price, Side};

use crate::query::{BookHead, CandlesCopy, DepthCopy, InstrumentCopy, NamedQuoteCopy, QuoteCopy, TradesCopy};
use crate::text::{amount, date, decimal, filled, nanos, rfc3339, rounded, scaled};

fn standing(head: &BookHead) -> Standing {
    Standing {
        phase: head.phase.name(),
        stale: head.stale,
        in_sync: head.in_sync,
        maybe_bad: head.doubt.is_some(),
        reason: head.doubt.map(Doubt::name),
        epoch: head.epoch,
        seq: head.seq,
        ts_event: rfc3339(head.exchange_ns),
        ts_event_ns: nanos(head.exchange_ns),
        ts_recv: rfc3339(head.received_ns),
        ts_recv_ns: nanos(head.received_ns),
    }
}

impl From<InstrumentCopy> for Instrument {
    fn from(copy: InstrumentCopy) -> Self {
        let price = |price: Price| decimal(price, copy.head.price_decimals);
        Self {
            symbol: ticker(&copy.head.symbol).to_owned(),
            isin: filled(copy.isin),
            currency: filled(copy.currency),
            price_decimals: copy.head.price_decimals,
            round_lot: copy.round_lot.to_string(),
            product: copy.product,
            expiration: date(copy.expiration),
            strike: if copy.strike.0 == 0 { None } else { price(copy.strike) },
            underlying: copy.underlying,
            short_sell: copy
                .short_sell
                .and_then(|status| ["allowed", "not_allowed", "up_tick"].get(usize::from(status)).copied()),
            ticks: copy
                .ticks
                .bands()
                .iter()
                .map(|band| Tick { from: price(band.from), to: price(band.to), tick: price(Price(band.tick)) })
                .collect(),
            limit_low: price(copy.statistics.limit_low),
            limit_high: price(copy.statistics.limit_high),
            reference: price(copy.statistics.reference),
            state: filled(copy.state),
            standing: standing(&copy.head),
            name: copy.name,
            exchange_symbol: copy.head.symbol,
        }
    }
}

fn level_shape(level: Level, decimals: u8) -> LevelShape {
    LevelShape { price: decimal(level.price, decimals), quantity: level.quantity.to_string(), orders: level.count }
}

/// A quote with the instrument's long name, as movers show it.
pub(crate) fn named_quote(copy: NamedQuoteCopy) -> Quote {
    Quote { name: Some(copy.name), ..Quote::from(copy.quote) }
}

impl From<QuoteCopy> for Quote {
    fn from(copy: QuoteCopy) -> Self {
        let decimals = copy.head.price_decimals;
        let price = |price: Price| decimal(price, decimals);
        let day = &copy.statistics;
        Self {
            symbol: ticker(&copy.head.symbol).to_owned(),
            name: None,
            currency: filled(copy.currency),
            bid: copy.bid.map(|level| level_shape(level, decimals)),
            ask: copy.ask.map(|level| level_shape(level, decimals)),
            equilibrium: copy.equilibrium.map(|(at, bid, ask)| EquilibriumShape {
                price: price(at),
                bid_quantity: bid.to_string(),
                ask_quantity: ask.to_string(),
            }),
            last: price(day.last),
            change: day.change().and_then(price),
            change_percent: day.change_basis_points().map(|points| scaled(points.into(), 2)),
            open: price(day.open),
            high: price(day.high),
            low: price(day.low),
            close: price(day.close),
            reference: price(day.reference),
            limit_low: price(day.limit_low),
            limit_high: price(day.limit_high),
            vwap: day.vwap().map(|vwap| rounded(vwap, decimals.saturating_add(2).min(Price::DECIMALS))),
            volume: day.volume.to_string(),
            turnover: amount(day.turnover, decimals),
            trades: day.trades,
            standing: standing(&copy.head),
            exchange_symbol: copy.head.symbol,
        }
    }
}

impl From<DepthCopy> for OrderBook {
    fn from(copy: DepthCopy) -> Self {
        let decimals = copy.head.price_decimals;
        let levels = |levels: Vec<Level>| levels.into_iter().map(|level| level_shape(level, decimals)).collect();
        Self {
            symbol: ticker(&copy.head.symbol).to_owned(),
            bids: levels(copy.bids),
            asks: levels(copy.asks),
            bid_levels: copy.bid_levels,
            ask_levels: copy.ask_levels,
            checksum: copy.checksum,
            standing: standing(&copy.head),
            exchange_symbol: copy.head.symbol,
        }
    }
}

fn trade_shape(trade: &TradeView, decimals: u8) -> TradeShape {
    TradeShape {
        seq: trade.seq,
        match_id: trade.match_id.to_string(),
        price: decimal(trade.price, decimals),
        quantity: trade.quantity.to_string(),
        side: match trade.side {
            Side::Bid => "B",
            Side::Ask => "A",
            Side::None => "N",
        },
        conditions: [
            (conditions::CROSS, "cross"),
            (conditions::HIDDEN, "hidden"),
            (conditions::NON_PRINTABLE, "non_printable"),
            (conditions::BROKEN, "broken"),
        ]
        .into_iter()
        .filter_map(|(bit, name)| (trade.conditions & bit != 0).then_some(name))
        .collect(),
        ts_event: rfc3339(trade.exchange_ns),
        ts_event_ns: nanos(trade.exchange_ns),
        ts_recv: rfc3339(trade.received_ns),
        ts_recv_ns: nanos(trade.received_ns),
    }
}

impl From<TradesCopy> for Trades {
    fn from(copy: TradesCopy) -> Self {
        Self {
            symbol: ticker(&copy.head.symbol).to_owned(),
            items: copy.trades.iter().map(|trade| trade_shape(trade, copy.head.price_decimals)).collect(),
            history_incomplete: copy.head.history_incomplete,
            standing: standing(&copy.head),
            exchange_symbol: copy.head.symbol,
        }
    }
}

fn candle_shape(candle: &Candle, decimals: u8, closed: bool) -> CandleShape {
    let price = |price: Price| decimal(price, decimals);
    CandleShape {
        start: rfc3339(candle.start_ns),
        start_ns: nanos(candle.start_ns),
        open: price(candle.open),
        high: price(candle.high),
        low: price(candle.low),
        close: price(candle.close),
        volume: candle.volume.to_string(),
        turnover: amount(candle.turnover, decimals),
        trades: candle.trades,
        closed,
    }
}

pub(crate) fn candle_list(copy: CandlesCopy, interval: CandleInterval) -> CandleList {
    let decimals = copy.head.price_decimals;
    let closed = copy.closed.iter().map(|candle| candle_shape(candle, decimals, true));
    let forming = copy.forming.iter().map(|candle| candle_shape(candle, decimals, false));
    CandleList {
        symbol: ticker(&copy.head.symbol).to_owned(),
        interval: interval.name(),
        items: closed.chain(forming).collect(),
        history_incomplete: copy.head.history_incomplete,
        standing: standing(&copy.head),
        exchange_symbol: copy.head.symbol,
    }
}
