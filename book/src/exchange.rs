//! What the rules of Borsa İstanbul's equity market lay down: days and phases, price steps, price limits, the price of an
//! auction, settlement.
//!
//! Tables with the day since which they hold, and arithmetic on them. Never reads a clock and never decides whether an order
//! is allowed: it answers what there is. The exchange changes its rules at short notice: a new rule is a new row with a new day.
//!
//! Read in this order: [`date`], [`calendar`] (which days), [`sessions`] (which phases), [`ticks`], [`limits`], [`auction`],
//! [`settlement`].

pub mod auction;
pub mod calendar;
pub mod date;
pub mod limits;
pub mod sessions;
pub mod settlement;
pub mod ticks;
