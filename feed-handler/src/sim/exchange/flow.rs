//! The order flow of one share: who sends what, and when.
//!
//! Shaped after the first minutes of continuous trading of a real share on a real day (docs/simulator.md has the
//! comparison and the command; `tests/simulator_statistics.rs` holds it). Only decides; never touches a book or the
//! wire. Floats are allowed here, for probabilities, logarithms and waiting times; every price and quantity that
//! leaves is an integer on the tick table.

use book::{Nanos, Side};
use rand::Rng;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Exp1, Poisson, StandardNormal};

use super::matching::{Matching, Taken};
use super::ticks::{self, Limits, Milli, NO_PRICE};

/// Messages per second of the share that the model was shaped after, in the time of the comparison. Lifetimes and
/// reactions of a busier share are shorter in proportion, so that its book looks the same at any rate.
const MODEL_RATE: f64 = 24.2;
/// Price that the share quantities are right for; others scale so that an order's value stays the same.
const MODEL_PRICE: f64 = 142_300.0;

/// How far from the best price of its own side an order is put, given that it does not improve it: the share of
/// orders that are farther than so many ticks. Measured; straight lines between.
const FARTHER_THAN: [(f64, f64); 14] = [
    (0.0, 0.677),
    (1.0, 0.515),
    (2.0, 0.422),
    (3.0, 0.355),
    (4.0, 0.331),
    (5.0, 0.312),
    (10.0, 0.230),
    (20.0, 0.154),
    (30.0, 0.123),
    (50.0, 0.079),
    (75.0, 0.052),
    (100.0, 0.030),
    (160.0, 0.0075),
    (220.0, 0.0),
];

/// Standard deviation of a share's own value after a full day (28,800 s), without the common factor.
const OWN_VOLATILITY_DAY: f64 = 0.013;
/// The same of the common factor.
const COMMON_VOLATILITY_DAY: f64 = 0.010;
/// Values drift back to the base price in this time, so that limits are reached seldom.
const REVERSION_SECONDS: f64 = 14_400.0;
const SECONDS_DAY: f64 = 28_800.0;
/// A value is never farther from the base price than this (logarithm).
const VALUE_LIMIT: f64 = 0.085;
/// How far a shock moves the value: beyond the circuit breaker.
const SHOCK_MOVE: f64 = 0.06;

/// Why the flow is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// Somebody acts on his own account.
    Fresh,
    /// Reaction to an order or a cancel.
    Reaction,
    /// Reaction to a better price on this side.
    Improved(Side),
    /// Reaction to a trade whose aggressor was on this side.
    Traded(Side),
    /// Reaction to a level emptied by an aggressor on this side.
    Emptied(Side),
}

/// What somebody does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// A new limit order (or, in auctions, a market order).
    Add {
        side: Side,
        price: Milli,
        quantity: u64,
        /// Shown part of a reserve order, 0 = all.
        display: u64,
        /// When it will be cancelled, if it is still there.
        lifetime_ns: u64,
    },
    /// An order that trades at once.
    Take {
        side: Side,
        limit: Milli,
        quantity: u64,
        /// Whether what does not trade rests at the limit.
        rests: bool,
    },
    /// An order is gone.
    Cancel { side: Side, id: u64 },
    /// An order gets another price or quantity under the same id.
    Replace { side: Side, id: u64, price: Milli, quantity: u64 },
    /// Nothing after all.
    None,
}

/// What came of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// An order was added, cancelled or replaced.
    Quiet,
    /// A best price improved on this side.
    Improved(Side),
    /// An aggressor on this side traded.
    Traded(Side, Taken),
}

/// A market-wide value that all shares follow in part.
#[derive(Debug)]
pub(super) struct Common {
    rng: ChaCha8Rng,
    value: f64,
    /// Logarithm of the activity of the whole market, around 0.
    activity: f64,
}

impl Common {
    pub fn new(seed: u64) -> Self {
        Self { rng: stream(seed, 0), value: 0.0, activity: 0.0 }
    }

    /// Lets `exchange_s` of the exchange's clock and `wall_s` of the planned wall clock pass.
    pub fn pass(&mut self, exchange_s: f64, wall_s: f64) {
        let noise: f64 = StandardNormal.sample(&mut self.rng);
        self.value += -self.value * exchange_s / REVERSION_SECONDS
            + COMMON_VOLATILITY_DAY * (exchange_s / SECONDS_DAY).sqrt() * noise;
        // A fifth up or down, for about half a minute of wall time at a stretch.
        let noise: f64 = StandardNormal.sample(&mut self.rng);
        let keep = (-wall_s / 30.0).exp();
        self.activity = self.activity * keep + 0.2 * (1.0 - keep * keep).sqrt() * noise;
    }

    pub fn new_day(&mut self) {
        let noise: f64 = StandardNormal.sample(&mut self.rng);
        self.value = 0.006 * noise;
        self.activity = 0.0;
    }

    /// Factor on every share's activity, 1 on average.
    pub fn activity(&self) -> f64 {
        (self.activity - 0.02).exp()
    }

    /// A random number generator of the market as a whole.
    pub fn rng(&mut self) -> &mut ChaCha8Rng {
        &mut self.rng
    }
}

fn stream(seed: u64, number: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(number);
    rng
}

/// The flow of one share.
#[derive(Debug)]
pub(super) struct Flow {
    rng: ChaCha8Rng,
    beta: f64,
    /// Logarithm of the share's own value against the base price.
    own: f64,
    own_at_ns: Nanos,
    base: Milli,
    limits: Limits,
    /// Which way the last trades went, -1..=1, fading.
    momentum: f64,
    momentum_at_ns: Nanos,
    /// Factor on waiting times: below 1 for a share busier than the model.
    time: f64,
    shock: Option<(Nanos, f64)>,
}

impl Flow {
    /// `messages_per_second` of this share on the exchange's clock.
    pub fn new(seed: u64, number: u64, beta_percent: u16, messages_per_second: f64) -> Self {
        Self {
            rng: stream(seed, number + 1),
            beta: f64::from(beta_percent) / 100.0,
            own: 0.0,
            own_at_ns: 0,
            base: 0,
            limits: Limits { low: 0, high: 0 },
            momentum: 0.0,
            momentum_at_ns: 0,
            time: (MODEL_RATE / messages_per_second.max(1e-6)).powf(0.85),
            shock: None,
        }
    }

    pub fn new_day(&mut self, base: Milli, limits: Limits, now_ns: Nanos) {
        let noise: f64 = StandardNormal.sample(&mut self.rng);
        self.own = 0.005 * noise;
        self.own_at_ns = now_ns;
        self.base = base;
        self.limits = limits;
        self.momentum = 0.0;
        self.shock = None;
    }

    pub fn rng(&mut self) -> &mut ChaCha8Rng {
        &mut self.rng
    }

    /// Waiting time until the next of events that come `per_second` on average.
    pub fn wait_ns(&mut self, per_second: f64) -> u64 {
        let wait: f64 = Exp1.sample(&mut self.rng);
        seconds_ns(wait / per_second.max(1e-6)).clamp(1, 3_600_000_000_000)
    }

    /// For `duration_ns` one side buys or sells whatever it can get.
    pub fn start_shock(&mut self, now_ns: Nanos, duration_ns: u64) {
        let direction = if self.own + 0.02 * (self.rng.random::<f64>() - 0.5) > 0.0 { -1.0 } else { 1.0 };
        self.shock = Some((now_ns + duration_ns, direction));
        self.own = (self.own + SHOCK_MOVE * direction).clamp(-VALUE_LIMIT, VALUE_LIMIT);
    }

    pub fn end_shock(&mut self) {
        self.shock = None;
    }

    /// Factor on the activity of the share.
    pub fn excitement(&self, now_ns: Nanos) -> f64 {
        if self.shock.is_some_and(|(until_ns, _)| now_ns < until_ns) { 3.0 } else { 1.0 }
    }

    /// What the share is worth to those who know, on the tick table.
    fn value(&mut self, common: &Common, now_ns: Nanos) -> Milli {
        let elapsed = now_ns.saturating_sub(self.own_at_ns) as f64 / 1e9;
        self.own_at_ns = now_ns;
        let noise: f64 = StandardNormal.sample(&mut self.rng);
        self.own +=
            -self.own * elapsed / REVERSION_SECONDS + OWN_VOLATILITY_DAY * (elapsed / SECONDS_DAY).sqrt() * noise;
        let value = (self.own + self.beta * common.value).clamp(-VALUE_LIMIT, VALUE_LIMIT);
        let price = f64::from(self.base) * value.exp();
        self.limits.clamp(ticks::round_down(price.round() as Milli))
    }

    fn chance(&mut self, probability: f64) -> bool {
        self.rng.random::<f64>() < probability
    }

    fn log_normal(&mut self, median: f64, sigma: f64) -> f64 {
        let noise: f64 = StandardNormal.sample(&mut self.rng);
        median * (sigma * noise).exp()
    }

    /// Shares of an order. `far` from the market many are tiny.
    fn quantity(&mut self, far: bool) -> u64 {
        if self.chance(if far { 0.20 } else { 0.10 }) {
            return [1, 1, 1, 2, 2, 2, 2, 3, 4, 5, 5, 7, 8, 10, 10, 10, 20][self.rng.random_range(0..17)];
        }
        let scale = (MODEL_PRICE / f64::from(self.base.max(1))).clamp(0.01, 100.0);
        let raw = if far { self.log_normal(480.0, 2.1) } else { self.log_normal(1_450.0, 1.5) };
        let raw = (raw * scale).clamp(1.0, 200_000.0 * scale.max(1.0));
        if self.chance(0.55) { round_number(raw) } else { (raw as u64).max(1) }
    }

    /// Ticks from the best price of the own side, for an order that does not improve it.
    fn distance(&mut self) -> i32 {
        let farther = self.rng.random::<f64>();
        if farther >= FARTHER_THAN[0].1 {
            return 0;
        }
        let mut at = 1;
        while at + 1 < FARTHER_THAN.len() && FARTHER_THAN[at].1 > farther {
            at += 1;
        }
        let ((near, more), (distant, fewer)) = (FARTHER_THAN[at - 1], FARTHER_THAN[at]);
        (near + (distant - near) * (more - farther) / (more - fewer)).floor() as i32 + 1
    }

    /// How long an order rests if nothing trades it.
    pub fn lifetime_ns(&mut self, distance: i32) -> u64 {
        let draw = self.rng.random::<f64>();
        let near = distance <= 5;
        let seconds = if draw
            < if distance < 0 {
                0.14
            } else if near {
                0.05
            } else {
                0.02
            } {
            // Quotes that are pulled as soon as they are seen. OK because they are not slower in a slow share.
            return seconds_ns(self.log_normal(0.003, 1.4) * self.time.min(1.0)).max(30_000);
        } else if draw
            < if distance <= 1 {
                0.47
            } else if near {
                0.36
            } else {
                0.14
            }
        {
            self.log_normal(2.7, 1.35)
        } else if near {
            self.log_normal(190.0, 1.2)
        } else {
            self.log_normal(500.0, 1.0)
        };
        seconds_ns(seconds * self.time).max(30_000)
    }

    /// Delays of the reactions to what just happened.
    pub fn reactions(&mut self, outcome: Outcome) -> (usize, Cause) {
        let (mean, cause) = match outcome {
            Outcome::Quiet => (0.50, Cause::Reaction),
            Outcome::Improved(side) => (0.85, Cause::Improved(side)),
            Outcome::Traded(side, taken) if taken.levels_emptied > 0 => (0.87, Cause::Emptied(side)),
            Outcome::Traded(side, _) => (0.46, Cause::Traded(side)),
        };
        // Now and then everybody looks at the same thing.
        if self.chance(0.0006) {
            return (self.rng.random_range(6..36), cause);
        }
        let count = Poisson::new(mean).map_or(0.0, |poisson| poisson.sample(&mut self.rng));
        (count as usize, cause)
    }

    /// Delay of one reaction.
    pub fn reaction_ns(&mut self) -> u64 {
        let draw = self.rng.random::<f64>();
        let seconds = if draw < 0.80 {
            self.log_normal(0.000_19, 1.25)
        } else if draw < 0.95 {
            self.log_normal(0.006, 1.2)
        } else {
            self.log_normal(0.7, 0.9) * self.time
        };
        seconds_ns(seconds * self.time.min(1.0)).max(8_000)
    }

    /// Somebody's decision in continuous trading.
    pub fn decide(&mut self, matching: &Matching, common: &Common, now_ns: Nanos, cause: Cause) -> Action {
        let value = self.value(common, now_ns);
        let bid = matching.best(Side::Bid);
        let ask = matching.best(Side::Ask);
        let (Some(bid), Some(ask)) = (bid, ask) else {
            return self.fill_empty_side(value, bid, ask);
        };
        let spread = ticks::rank(ask) - ticks::rank(bid);
        let middle = ticks::rank(bid) + spread / 2;
        let pull = f64::from((ticks::rank(value) - middle).clamp(-12, 12));
        let fade = (-(now_ns.saturating_sub(self.momentum_at_ns) as f64) / (20e9 * self.time)).exp();
        self.momentum *= fade;
        self.momentum_at_ns = now_ns;
        let buy_take = (0.5 + 0.045 * pull + 0.10 * self.momentum).clamp(0.04, 0.96);

        if let Some(action) = self.follow_shock(matching, now_ns, bid, ask) {
            return action;
        }
        let (take, cancel, replace, side) = match cause {
            Cause::Fresh | Cause::Reaction => (0.255, 0.0, 0.042, None),
            // A better price is hit, or its neighbours on the same side follow.
            Cause::Improved(side) => (0.56, 0.06, 0.04, Some(side.opposite())),
            // The aggressor goes on, or others join him.
            Cause::Traded(side) => (0.40, 0.03, 0.04, Some(side)),
            // Quotes behind an emptied level move away, and new ones fill the gap.
            Cause::Emptied(side) => (0.20, 0.10, 0.05, Some(side)),
        };
        // Nobody likes to pay a wide spread.
        let take = take
            * match spread {
                ..=4 => 1.0,
                5..=7 => 0.75,
                8..=12 => 0.45,
                _ => 0.2,
            };
        let draw = self.rng.random::<f64>();
        if draw < take {
            // Away from what it is worth nobody follows, whatever happened.
            let buy = match side {
                Some(Side::Bid) => 0.35 + 0.65 * buy_take,
                Some(_) => 0.65 * buy_take,
                None => buy_take,
            };
            let side = if self.chance(buy) { Side::Bid } else { Side::Ask };
            return self.take(matching, side, if side == Side::Bid { ask } else { bid }, now_ns);
        }
        if draw < take + cancel {
            // The quotes that the aggressor would hit next.
            let side = side.map_or(Side::Bid, Side::opposite);
            return match matching.pick(side, self.rng.random_range(0..2), self.rng.random_range(0..64), 2) {
                Some(order) => Action::Cancel { side, id: order.id },
                None => Action::None,
            };
        }
        if draw < take + cancel + replace {
            return self.replace(matching, pull, spread);
        }
        let buy_add = (0.5 + 0.02 * pull).clamp(0.1, 0.9);
        let side = match cause {
            Cause::Emptied(side) if self.chance(0.6) => side,
            _ if self.chance(buy_add) => Side::Bid,
            _ => Side::Ask,
        };
        self.add(side, bid, ask, spread)
    }

    /// While a shock lasts most decisions take in its direction.
    fn follow_shock(&mut self, matching: &Matching, now_ns: Nanos, bid: Milli, ask: Milli) -> Option<Action> {
        let (until_ns, direction) = self.shock?;
        if now_ns >= until_ns {
            self.shock = None;
            return None;
        }
        if !self.chance(0.6) {
            return None;
        }
        let side = if direction > 0.0 { Side::Bid } else { Side::Ask };
        let quantity = matching.visible_at(side.opposite(), matching.best(side.opposite()).unwrap_or(0));
        let reach = self.rng.random_range(1..12) * if side == Side::Bid { 1 } else { -1 };
        let start = if side == Side::Bid { ask } else { bid };
        let limit = ticks::step(start, reach);
        Some(Action::Take { side, limit, quantity: quantity.saturating_mul(12).max(100), rests: true })
    }

    /// A book with an empty side is refilled around the value.
    fn fill_empty_side(&mut self, value: Milli, bid: Option<Milli>, ask: Option<Milli>) -> Action {
        let side = match (bid, ask) {
            (None, Some(_)) => Side::Bid,
            (Some(_), None) => Side::Ask,
            _ if self.chance(0.5) => Side::Bid,
            _ => Side::Ask,
        };
        let distance = 1 + self.distance();
        let price = match (side, bid, ask) {
            (Side::Bid, _, Some(ask)) => ticks::step(ask, -distance),
            (Side::Bid, _, None) => ticks::step(value, -distance),
            (_, Some(bid), _) => ticks::step(bid, distance),
            (_, None, _) => ticks::step(value, distance),
        };
        if !self.limits.contains(price) {
            // Locked at a limit: nobody may quote beyond it, so somebody trades with what rests there.
            let quantity = self.quantity(false);
            return Action::Take { side, limit: NO_PRICE, quantity, rests: false };
        }
        let quantity = self.quantity(distance > 5);
        let lifetime_ns = self.lifetime_ns(distance);
        Action::Add { side, price, quantity, display: 0, lifetime_ns }
    }

    fn add(&mut self, side: Side, bid: Milli, ask: Milli, spread: i32) -> Action {
        let own = if side == Side::Bid { bid } else { ask };
        let improve = match spread {
            ..=1 => 0.0,
            2 => 0.27,
            3 => 0.36,
            4..=5 => 0.46,
            6..=9 => 0.62,
            _ => 0.80,
        };
        let farther = if spread < 6 { 0.30 } else { 0.65 };
        let distance = if self.chance(improve) {
            let mut better = 1;
            while better < spread - 1 && self.chance(farther) {
                better += 1;
            }
            -better
        } else {
            self.distance()
        };
        let away = if side == Side::Bid { -distance } else { distance };
        let mut price = ticks::step(own, away);
        if !self.limits.contains(price) {
            // Nobody quotes beyond the limits; many rest on them or a little inside.
            let inside = self.rng.random_range(0..25);
            price = if side == Side::Bid {
                ticks::step(self.limits.low, inside).min(own)
            } else {
                ticks::step(self.limits.high, -inside).max(own)
            };
        }
        let quantity = self.quantity(distance > 5);
        let display = if quantity >= 1_000 && distance <= 5 && self.chance(0.02) { (quantity / 10).max(1) } else { 0 };
        let lifetime_ns = self.lifetime_ns(distance);
        Action::Add { side, price, quantity, display, lifetime_ns }
    }

    /// An order that trades at once: mostly it takes what the first orders show, sometimes it walks through levels.
    fn take(&mut self, matching: &Matching, side: Side, touch: Milli, now_ns: Nanos) -> Action {
        let there = matching.visible_at(side.opposite(), touch);
        let first = matching.first(side.opposite()).map_or(there, |order| order.visible);
        let thin = matching.levels(side.opposite()).next().is_none_or(|level| level.count <= 5);
        let wanted = self.quantity(false);
        let draw = self.rng.random::<f64>();
        let direction = if side == Side::Bid { 1 } else { -1 };
        self.momentum = (self.momentum + f64::from(direction) * 0.3).clamp(-1.0, 1.0);
        self.momentum_at_ns = now_ns;
        // A whole level is taken by those who want about as much as it has, seldom by others.
        let beyond = (there + wanted / 2).min(wanted * 4).max(wanted);
        let (limit, quantity, rests) = if draw < 0.155 {
            let reach = self.rng.random_range(1..5) * direction;
            (ticks::step(touch, reach), beyond, false)
        } else if draw < 0.195 {
            (touch, beyond, true)
        } else if draw < if thin { 0.75 } else { 0.205 } {
            // What few orders hold is cleared away at a glance; that is how the spread opens.
            (touch, there, false)
        } else if draw < if thin { 0.83 } else { 0.36 } {
            (touch, first, false)
        } else {
            (touch, (wanted / 9).min(there), false)
        };
        Action::Take { side, limit: self.limits.clamp(limit), quantity: quantity.max(1), rests }
    }

    /// Somebody changes an order: mostly its price, towards the market or after the value; now and then only less.
    fn replace(&mut self, matching: &Matching, pull: f64, spread: i32) -> Action {
        let side = if self.chance((0.5 + 0.03 * pull).clamp(0.1, 0.9)) { Side::Bid } else { Side::Ask };
        let level = (self.rng.random::<f64>().powi(2) * 40.0) as usize;
        let place = self.rng.random_range(0..64);
        let Some(order) = matching.pick(side, level, place, 40) else { return Action::None };
        if order.display != 0 {
            return Action::None;
        }
        if order.visible > 1 && self.chance(0.03) {
            return Action::Replace { side, id: order.id, price: order.price, quantity: (order.visible / 2).max(1) };
        }
        let Some(own) = matching.best(side) else { return Action::None };
        let distance = match self.rng.random::<f64>() {
            draw if draw < 0.12 && spread > 1 => -1,
            draw if draw < 0.26 => 0,
            draw if draw < 0.54 => 1,
            _ => self.distance(),
        };
        let away = if side == Side::Bid { -distance } else { distance };
        let price = self.limits.clamp(ticks::step(own, away));
        if price == order.price {
            return Action::None;
        }
        let quantity = if self.chance(0.06) { order.visible + self.quantity(false) } else { order.visible };
        Action::Replace { side, id: order.id, price, quantity }
    }

    /// Somebody's order for an auction. `limits`: what the auction allows.
    pub fn enter_auction(&mut self, common: &Common, now_ns: Nanos, limits: Limits) -> Action {
        let value = self.value(common, now_ns);
        let side = if self.chance(0.45) { Side::Bid } else { Side::Ask };
        let draw = self.rng.random::<f64>();
        let lifetime = self.log_normal(7_200.0, 1.0);
        let lifetime_ns = seconds_ns(lifetime);
        if draw < 0.02 {
            let quantity = self.quantity(true);
            return Action::Add { side, price: NO_PRICE, quantity, display: 0, lifetime_ns };
        }
        let distance = if draw < 0.30 {
            // Wants to trade: beyond the value by a few ticks.
            let noise: f64 = StandardNormal.sample(&mut self.rng);
            -((noise.abs() * 4.0) as i32)
        } else if draw < 0.93 {
            1 + self.distance()
        } else {
            // Anywhere up to the limit of the day.
            let end = if side == Side::Bid { limits.low } else { limits.high };
            let room = (ticks::rank(end) - ticks::rank(value)).abs();
            self.rng.random_range(0..=room)
        };
        let away = if side == Side::Bid { -distance } else { distance };
        let price = limits.clamp(ticks::step(value, away));
        let quantity = self.quantity(distance > 5);
        let display = if quantity >= 1_000 && self.chance(0.01) { (quantity / 10).max(1) } else { 0 };
        Action::Add { side, price, quantity, display, lifetime_ns }
    }

    /// Somebody's order at the closing price.
    pub fn at_close(&mut self, close: Milli) -> Action {
        let side = if self.chance(0.5) { Side::Bid } else { Side::Ask };
        let quantity = self.quantity(false);
        Action::Add { side, price: close, quantity, display: 0, lifetime_ns: seconds_ns(3_600.0) }
    }
}

fn seconds_ns(seconds: f64) -> u64 {
    // OK because the cast saturates: a waiting time beyond 64 bits is for ever.
    (seconds * 1e9) as u64
}

/// The nearest number below that people like: 1, 1.5, 2, 2.5, 3, 4, 5, 7.5 times a power of ten.
fn round_number(raw: f64) -> u64 {
    let raw = raw.max(1.0) as u64;
    let mut power = 1;
    while raw / power >= 10 {
        power *= 10;
    }
    let leading = raw * 10 / power;
    let liked = [75, 50, 40, 30, 25, 20, 15, 10].into_iter().find(|&liked| liked <= leading).unwrap_or(10);
    (liked * power / 10).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_like_round_numbers() {
        for (raw, round) in [(1.0, 1), (7.9, 5), (18.0, 15), (999.0, 750), (1_000.0, 1_000), (26_400.0, 25_000)] {
            assert_eq!(round_number(raw), round, "{raw}");
        }
    }

    #[test]
    fn distances_follow_the_measured_law() {
        let mut flow = Flow::new(3, 1, 100, MODEL_RATE);
        let drawn: Vec<i32> = (0..40_000).map(|_| flow.distance()).collect();
        for (distance, farther) in FARTHER_THAN {
            let seen = drawn.iter().filter(|&&drawn| f64::from(drawn) > distance).count() as f64 / 40_000.0;
            assert!((seen - farther).abs() < 0.012, "farther than {distance}: {seen} for {farther}");
        }
    }
}
