//! Why a book may be wrong, in one byte, so that readers learn it in the turn of its cause (decision 0008).
//!
//! The first cause stays until something takes the doubt away: a clear, a whole snapshot of the exchange, a new session.
//! Changes no book.

use crate::anomaly::Anomaly;

/// Why a book may be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Doubt {
    /// Messages of its feed were lost.
    Gap = 1,
    /// The feed was joined after its session had begun.
    JoinedMidway,
    /// The feed's numbers leaped too far to be a gap.
    Jump,
    /// A message of its feed could not be read.
    RefusedMessage,
    /// An execution, cancel or change named an order that is not there.
    UnknownOrder,
    /// An order was added that is already there.
    DuplicateOrder,
    /// More was taken off an order than it had.
    Excess,
    /// The best bid reached the best ask in continuous trading.
    Crossed,
    /// A bound (`book.*_max`) refused an order or a level.
    Bound,
    /// The figures of the day hold a trade that was broken.
    BrokenTrade,
    /// Two lines of its feed said different things of one message.
    LineMismatch,
}

impl Doubt {
    /// Every cause, in the order of its number.
    pub const ALL: [Self; 11] = [
        Self::Gap,
        Self::JoinedMidway,
        Self::Jump,
        Self::RefusedMessage,
        Self::UnknownOrder,
        Self::DuplicateOrder,
        Self::Excess,
        Self::Crossed,
        Self::Bound,
        Self::BrokenTrade,
        Self::LineMismatch,
    ];

    /// The word in frames, answers and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gap => "gap",
            Self::JoinedMidway => "joined_midway",
            Self::Jump => "jump",
            Self::RefusedMessage => "refused_message",
            Self::UnknownOrder => "unknown_order",
            Self::DuplicateOrder => "duplicate_order",
            Self::Excess => "excess",
            Self::Crossed => "crossed",
            Self::Bound => "bound",
            Self::BrokenTrade => "broken_trade",
            Self::LineMismatch => "line_mismatch",
        }
    }

    /// The cause in words, for people.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Gap => "messages were lost",
            Self::JoinedMidway => "the session was joined after its beginning",
            Self::Jump => "the feed's numbers leaped",
            Self::RefusedMessage => "a message could not be read",
            Self::UnknownOrder => "a message named an order that is not in the book",
            Self::DuplicateOrder => "an order was added twice",
            Self::Excess => "more was taken off an order than it had",
            Self::Crossed => "the best bid reached the best ask",
            Self::Bound => "a bound of [book] refused an order",
            Self::BrokenTrade => "the figures of the day hold a broken trade",
            Self::LineMismatch => "two lines said different things of one message",
        }
    }

    /// The byte of a slot; 0 stands for no doubt.
    #[must_use]
    pub fn code(doubt: Option<Self>) -> u8 {
        doubt.map_or(0, |doubt| doubt as u8)
    }

    /// The doubt of a slot's byte; `None` for 0 and for numbers that are not given.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|&doubt| doubt as u8 == code)
    }

    /// What an anomaly says of its book; `None` when the book is still right.
    #[must_use]
    pub const fn of(anomaly: Anomaly) -> Option<Self> {
        match anomaly {
            Anomaly::UnknownOrder => Some(Self::UnknownOrder),
            Anomaly::DuplicateOrder => Some(Self::DuplicateOrder),
            Anomaly::OverExecution | Anomaly::OverCancel => Some(Self::Excess),
            Anomaly::Crossed => Some(Self::Crossed),
            Anomaly::NoSide => Some(Self::RefusedMessage),
            Anomaly::BooksExhausted | Anomaly::OrdersExhausted | Anomaly::LevelsExhausted => Some(Self::Bound),
            Anomaly::BrokenTrade => Some(Self::BrokenTrade),
            Anomaly::OffLadder | Anomaly::BadTickBand | Anomaly::StrayRank | Anomaly::UnknownEvent => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_leads_back_and_agrees_with_what_spoils() {
        for (at, doubt) in Doubt::ALL.into_iter().enumerate() {
            assert_eq!((doubt as usize, Doubt::from_code(doubt as u8)), (at + 1, Some(doubt)));
        }
        assert_eq!((Doubt::from_code(0), Doubt::from_code(200), Doubt::code(None)), (None, None, 0));
        assert!(Anomaly::ALL.into_iter().all(|kind| Doubt::of(kind).is_some() == kind.spoils_book()));
    }
}
