//! The single price of an auction.
//!
//! Pure arithmetic over totals per price; never touches a book.
//!
//! Rules, each only among the prices that the one before left over:
//! 1. most executable quantity (the smaller of what is bid at or above and what is asked at or below a price);
//! 2. least surplus (the difference of the two);
//! 3. market pressure: all remaining prices leave a surplus of bids, then the highest; of asks, then the lowest;
//! 4. otherwise the price nearest to the reference price, the higher of two equally near.
//!
//! Candidates are the limit prices in the book, and the reference price where there are market orders (which would
//! otherwise have no price at all). Market orders count at every price.

use super::limits::PriceLimits;
use crate::types::Price;

/// What is in the book of one side: quantity without a price, and totals per price.
#[derive(Clone, Debug, Default)]
pub struct Interest {
    /// Quantity of market orders.
    pub market: u64,
    /// `(price, quantity)`, best price first: bids from above, asks from below.
    pub levels: Vec<(Price, u64)>,
}

/// The outcome of an auction at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Equilibrium {
    /// The price.
    pub price: Price,
    /// Quantity that trades.
    pub quantity: u64,
    /// Quantity bid at or above the price, market orders included.
    pub bid: u64,
    /// Quantity asked at or below the price, market orders included.
    pub ask: u64,
}

/// The equilibrium price inside `limits`; `None` when nothing can trade.
#[must_use]
pub fn equilibrium(bids: &Interest, asks: &Interest, reference: Price, limits: PriceLimits) -> Option<Equilibrium> {
    let mut candidates: Vec<Price> = bids
        .levels
        .iter()
        .chain(&asks.levels)
        .map(|&(price, _)| price)
        .filter(|&price| limits.contains(price))
        .collect();
    if bids.market > 0 || asks.market > 0 {
        candidates.push(limits.clamp(reference));
    }
    candidates.sort_unstable();
    candidates.dedup();

    // One pass upwards: asks join as the price rises, bids leave.
    let mut bid: u64 = bids.market + bids.levels.iter().map(|level| level.1).sum::<u64>();
    let mut ask: u64 = asks.market;
    let (mut next_bid, mut next_ask) = (bids.levels.len(), 0);
    let mut best: Vec<Equilibrium> = Vec::new();
    for price in candidates {
        while next_bid > 0 && bids.levels[next_bid - 1].0 < price {
            next_bid -= 1;
            bid -= bids.levels[next_bid].1;
        }
        while next_ask < asks.levels.len() && asks.levels[next_ask].0 <= price {
            ask += asks.levels[next_ask].1;
            next_ask += 1;
        }
        let here = Equilibrium { price, quantity: bid.min(ask), bid, ask };
        let key = |at: &Equilibrium| (at.quantity, std::cmp::Reverse(at.bid.abs_diff(at.ask)));
        match best.first().map(|first| key(&here).cmp(&key(first))) {
            None | Some(std::cmp::Ordering::Greater) => best = vec![here],
            Some(std::cmp::Ordering::Equal) => best.push(here),
            Some(std::cmp::Ordering::Less) => {}
        }
    }
    let first = *best.first()?;
    let last = *best.last()?;
    if first.quantity == 0 {
        return None;
    }
    if best.iter().all(|at| at.bid > at.ask) {
        return Some(last);
    }
    if best.iter().all(|at| at.bid < at.ask) {
        return Some(first);
    }
    best.into_iter().min_by_key(|at| (at.price.0.abs_diff(reference.0), std::cmp::Reverse(at.price)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRY: i64 = Price::SCALE;
    const DAY: PriceLimits = PriceLimits { low: Price(90 * TRY), high: Price(110 * TRY) };

    /// `check("bid 101 x 5, bid 100 x 3, ask market x 2", reference, "100.0 trades 7, 8 : 7")`.
    #[track_caller]
    fn check(orders: &str, reference: i64, expected: &str) {
        let (mut bids, mut asks) = (Interest::default(), Interest::default());
        for order in orders.split(", ") {
            let words: Vec<_> = order.split(' ').collect();
            let quantity: u64 = words[3].parse().unwrap();
            let side = if words[0] == "bid" { &mut bids } else { &mut asks };
            match words[1] {
                "market" => side.market += quantity,
                price => side.levels.push((Price(price.parse::<i64>().unwrap() * TRY), quantity)),
            }
        }
        bids.levels.sort_by_key(|level| std::cmp::Reverse(level.0));
        asks.levels.sort_by_key(|level| level.0);
        let seen = equilibrium(&bids, &asks, Price(reference * TRY), DAY).map_or("none".to_owned(), |at| {
            format!("{} trades {}, {} : {}", at.price.0 / TRY, at.quantity, at.bid, at.ask)
        });
        assert_eq!(seen, expected, "{orders}");
    }

    #[test]
    fn the_most_quantity_wins() {
        // at 99: 18 : 5; at 100: 18 : 12; at 101: 8 : 15; at 102: 5 : 15
        check(
            "bid 102 x 5, bid 101 x 3, bid 100 x 10, ask 99 x 5, ask 100 x 7, ask 101 x 3",
            95,
            "100 trades 12, 18 : 12",
        );
    }

    #[test]
    fn then_the_least_surplus() {
        // 100: 10 : 10, 101: 10 : 12; both trade 10
        check("bid 101 x 10, ask 100 x 10, ask 101 x 2", 105, "100 trades 10, 10 : 10");
    }

    #[test]
    fn then_the_pressure_of_the_market() {
        // 100, 101, 102 all trade 5 with 5 too many bids: the highest
        check("bid 102 x 10, bid 95 x 1, ask 100 x 5, ask 105 x 5", 100, "102 trades 5, 10 : 5");
        // the mirror: 5 too many asks, the lowest
        check("ask 98 x 10, bid 100 x 5, bid 95 x 1, ask 105 x 1", 100, "98 trades 5, 5 : 10");
    }

    #[test]
    fn then_the_reference_price() {
        check("bid 102 x 5, ask 98 x 5", 97, "98 trades 5, 5 : 5");
        check("bid 102 x 5, ask 98 x 5", 103, "102 trades 5, 5 : 5");
        check("bid 102 x 5, ask 98 x 5", 100, "102 trades 5, 5 : 5");
    }

    #[test]
    fn market_orders_count_at_every_price() {
        check("bid market x 7, ask 101 x 5, ask 103 x 9", 100, "103 trades 7, 7 : 14");
        check("bid market x 7, ask market x 4", 100, "100 trades 4, 7 : 4");
        check("bid market x 7, bid 100 x 1", 100, "none");
    }

    #[test]
    fn a_book_that_does_not_cross_has_no_price() {
        check("bid 99 x 5, ask 100 x 5", 100, "none");
        assert_eq!(equilibrium(&Interest::default(), &Interest::default(), Price(100 * TRY), DAY), None);
    }

    #[test]
    fn a_price_outside_the_limits_is_no_candidate() {
        check("bid 120 x 5, ask 80 x 5", 100, "none");
        check("bid 120 x 5, ask 80 x 5, ask 109 x 2", 100, "109 trades 5, 5 : 7");
    }
}
