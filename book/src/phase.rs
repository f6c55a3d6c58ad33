//! Trading phases of a book, and the table from the exchange's state names to them.
//!
//! Never guesses: a name that is not in the table is [`Phase::Unknown`], kept as text beside it.

/// What the market of a book is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Phase {
    /// A state name that is not in the table, or none seen yet.
    #[default]
    Unknown = 0,
    /// Before the first phase of the day.
    PreOpen = 1,
    /// Opening auction, orders are collected.
    OpeningCollection = 2,
    /// Opening or closing margin publication: no orders, no trades.
    MarginPublication = 3,
    /// Auction matching at one price.
    Uncross = 4,
    /// Continuous trading.
    Continuous = 5,
    /// Break inside the day.
    Break = 6,
    /// Circuit breaker of one share: orders are collected for one price.
    VolatilityAuction = 7,
    /// Trading halt without an auction.
    Halt = 8,
    /// Closing auction, orders are collected.
    ClosingCollection = 9,
    /// Trading at the closing price only.
    TradeAtClose = 10,
    /// After the last phase of the day.
    Closed = 11,
}

impl Phase {
    /// Every phase, in the order of its number.
    pub const ALL: [Self; 12] = [
        Self::Unknown,
        Self::PreOpen,
        Self::OpeningCollection,
        Self::MarginPublication,
        Self::Uncross,
        Self::Continuous,
        Self::Break,
        Self::VolatilityAuction,
        Self::Halt,
        Self::ClosingCollection,
        Self::TradeAtClose,
        Self::Closed,
    ];

    /// The phase of a stored number; unknown numbers are [`Phase::Unknown`].
    #[must_use]
    pub const fn from_byte(byte: u8) -> Self {
        if (byte as usize) < Self::ALL.len() { Self::ALL[byte as usize] } else { Self::Unknown }
    }

    /// The name used outside: JSON, metrics, the page.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::PreOpen => "pre_open",
            Self::OpeningCollection => "opening_collection",
            Self::MarginPublication => "margin_publication",
            Self::Uncross => "uncross",
            Self::Continuous => "continuous",
            Self::Break => "break",
            Self::VolatilityAuction => "volatility_auction",
            Self::Halt => "halt",
            Self::ClosingCollection => "closing_collection",
            Self::TradeAtClose => "trade_at_close",
            Self::Closed => "closed",
        }
    }

    /// Whether bids and asks may lawfully cross: orders are collected or being uncrossed.
    ///
    /// `Unknown` counts as one, so that a book whose state was never seen is not reported as wrong.
    #[must_use]
    pub const fn may_cross(self) -> bool {
        !matches!(self, Self::Continuous | Self::TradeAtClose)
    }

    /// Whether an equilibrium price is being formed.
    #[must_use]
    pub const fn is_auction(self) -> bool {
        matches!(
            self,
            Self::OpeningCollection
                | Self::MarginPublication
                | Self::Uncross
                | Self::VolatilityAuction
                | Self::ClosingCollection
        )
    }

    /// The phase of a BISTECH state name (padding already removed). Names and confidence: the protocol
    /// documentation, `docs/protocols/bistech-itch.md`; only `P_SUREKLI_ISLEM` is confirmed by several sources.
    #[must_use]
    pub fn from_bistech_state(name: &[u8]) -> Self {
        match name {
            b"P_ACS_EMR_TP_PY_EIY" => Self::OpeningCollection,
            b"P_MARJ_YAYIN" | b"P_MARJ_YAYIN_KAPANIS" => Self::MarginPublication,
            b"P_ESLESTIRME" => Self::Uncross,
            b"P_SUREKLI_ISLEM" => Self::Continuous,
            b"P_ARA" => Self::Break,
            b"P_DK_TEKFIY_EMIR_TPL" => Self::VolatilityAuction,
            b"P_KAPANIS_EMIR_TPL" => Self::ClosingCollection,
            b"P_KAPANIS_FIY_ISLEM" => Self::TradeAtClose,
            b"P_GUNSONU_ISLEMLERI" | b"P_GUNSONU" => Self::Closed,
            _ => Self::Unknown,
        }
    }
}
