//! What a feed can get wrong, counted by kind. Never changes a book.

use crate::metrics::{Counter, MetricSource, Sample};

/// Something a correct feed does not send, or a bound that was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Anomaly {
    /// An execution, cancel or change of an order that is not there. Nothing was changed.
    UnknownOrder,
    /// More was executed than the order had left. The order is gone.
    OverExecution,
    /// More was cancelled than the order had left. The order is gone.
    OverCancel,
    /// An add of an order that is already there. The first one stays.
    DuplicateOrder,
    /// The best bid reached the best ask while trading is continuous. Counted when it begins.
    Crossed,
    /// An order without a side. Refused.
    NoSide,
    /// An action or kind of event that the book does not know. Refused.
    UnknownEvent,
    /// A tick band without sense, or more bands than a table holds. Refused.
    BadTickBand,
    /// A rank that was not followed by its add. Dropped.
    StrayRank,
    /// A price outside the announced ladder: kept in the sorted fallback, so the book is still right.
    OffLadder,
    /// No room for another book (`books_max`). Refused.
    BooksExhausted,
    /// No room for another order (`orders_max`). Refused.
    OrdersExhausted,
    /// No room for another level (`levels_max`). The order was refused.
    LevelsExhausted,
    /// A trade was broken that is kept no more, or not all that was traded beside it (`trades_max`). The figures of the day
    /// still hold it or its price.
    BrokenTrade,
}

impl Anomaly {
    /// Every kind, in the order of its number.
    pub const ALL: [Self; 14] = [
        Self::UnknownOrder,
        Self::OverExecution,
        Self::OverCancel,
        Self::DuplicateOrder,
        Self::Crossed,
        Self::NoSide,
        Self::UnknownEvent,
        Self::BadTickBand,
        Self::StrayRank,
        Self::OffLadder,
        Self::BooksExhausted,
        Self::OrdersExhausted,
        Self::LevelsExhausted,
        Self::BrokenTrade,
    ];

    /// The label in metrics and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::UnknownOrder => "unknown_order",
            Self::OverExecution => "over_execution",
            Self::OverCancel => "over_cancel",
            Self::DuplicateOrder => "duplicate_order",
            Self::Crossed => "crossed",
            Self::NoSide => "no_side",
            Self::UnknownEvent => "unknown_event",
            Self::BadTickBand => "bad_tick_band",
            Self::StrayRank => "stray_rank",
            Self::OffLadder => "off_ladder",
            Self::BooksExhausted => "books_exhausted",
            Self::OrdersExhausted => "orders_exhausted",
            Self::LevelsExhausted => "levels_exhausted",
            Self::BrokenTrade => "broken_trade",
        }
    }

    /// Whether the book may be wrong after it (as opposed to a refused duplicate or a tidy fallback).
    #[must_use]
    pub const fn spoils_book(self) -> bool {
        !matches!(self, Self::OffLadder | Self::BadTickBand | Self::StrayRank | Self::UnknownEvent)
    }
}

/// A counter per kind. The book thread writes, the scrape reads.
#[derive(Debug, Default)]
pub struct Anomalies([Counter; Anomaly::ALL.len()]);

impl Anomalies {
    /// Counts one.
    #[inline]
    pub fn count(&self, anomaly: Anomaly) {
        self.0[anomaly as usize].add(1);
    }

    /// How many of a kind.
    #[must_use]
    pub fn get(&self, anomaly: Anomaly) -> u64 {
        self.0[anomaly as usize].get()
    }

    /// How many of all kinds.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().map(Counter::get).sum()
    }

    /// Kinds that occurred, with their counts.
    pub fn iter(&self) -> impl Iterator<Item = (Anomaly, u64)> + '_ {
        Anomaly::ALL.into_iter().map(|kind| (kind, self.get(kind))).filter(|&(_, count)| count > 0)
    }
}

impl MetricSource for Anomalies {
    fn collect(&self, samples: &mut Vec<Sample>) {
        for kind in Anomaly::ALL {
            samples.push(Sample::counter(
                "bist_book_anomalies_total",
                "Events that a correct feed does not send or that exceed a bound, by kind.",
                &[("kind", kind.name())],
                self.get(kind),
            ));
        }
    }
}
