//! What a chain of `book` frames last sent, and the difference to what the book is now.
//!
//! Knows the levels that its readers have and the checksum over them. While a side changed once since, the change itself
//! tells the difference; only otherwise are levels compared. Writes the body of a frame; its head, and whether there is a
//! frame at all, is decided elsewhere.

use book::checksum::CHECKSUM_LEVELS;
use book::replica::{BookView, Change, Kind, Level, Levels, prefetch_beside};
use book::{Price, Side};

use crate::digest::{Digest, Piece};
use crate::line::{Line, Number};

/// Most bytes of a level, with its comma: `["-9223372036.854775808","18446744073709551615",4294967295],`.
pub const LEVEL_BYTES_MAX: usize = 64;

/// Rank of the last level that counts in the checksum.
const LAST_RANK: usize = CHECKSUM_LEVELS - 1;

/// One side as it was sent.
#[derive(Clone, Debug)]
struct Sent {
    /// Best first.
    levels: Vec<Level>,
    /// [`Levels::version`] of the side they were taken from.
    version: u64,
}

impl Sent {
    fn new(levels: &Levels, depth: usize) -> Self {
        let mut sent = Self { levels: Vec::with_capacity(depth + 1), version: 0 };
        sent.take(levels, depth);
        sent
    }

    fn take(&mut self, levels: &Levels, depth: usize) {
        self.levels.clear();
        self.levels.extend(levels.iter().take(depth));
        self.version = levels.version();
    }

    fn is(&self, levels: &Levels, depth: usize) -> bool {
        self.levels.len() == levels.len().min(depth) && self.levels.iter().eq(levels.iter().take(depth))
    }
}

/// What is to be written of a side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum News {
    Nothing,
    /// One change, at a rank that is shown.
    One(Change),
    /// More than one change; some of it is shown.
    Some,
}

/// The state of a chain: four cache lines, and the levels.
#[derive(Clone, Debug)]
#[repr(C, align(64))]
pub struct BookChain {
    bids: Sent,
    asks: Sent,
    digest: Digest,
    /// [`BookView::names`] that the decimals were taken from.
    names: u32,
    /// Levels a side, 1..=100.
    depth: u8,
    decimals: u8,
    maybe_bad: bool,
}

impl BookChain {
    /// Of readers who know the best `depth` levels a side of `view`.
    #[must_use]
    pub fn new(view: &BookView, depth: u8) -> Self {
        let [bids, asks] = [&view.bids, &view.asks].map(|levels| Sent::new(levels, usize::from(depth)));
        let decimals = view.definition.price_decimals;
        let (names, maybe_bad) = (view.names(), view.maybe_bad);
        let mut chain = Self { bids, asks, digest: Digest::default(), names, depth, decimals, maybe_bad };
        chain.digest_anew();
        chain
    }

    /// Begins anew at the state of `view`.
    pub fn refresh(&mut self, view: &BookView) {
        let depth = usize::from(self.depth);
        self.bids.take(&view.bids, depth);
        self.asks.take(&view.asks, depth);
        (self.names, self.maybe_bad) = (view.names(), view.maybe_bad);
        self.decimals = view.definition.price_decimals;
        self.digest_anew();
    }

    /// Starts to load all of it but the levels.
    #[inline(always)]
    pub fn prefetch(&self) {
        prefetch_beside(&self.bids);
        prefetch_beside(&self.digest);
        prefetch_beside(&self.depth);
    }

    /// Bids and asks that were sent, best first.
    #[must_use]
    pub fn levels(&self) -> (&[Level], &[Level]) {
        (&self.bids.levels, &self.asks.levels)
    }

    /// Checksum of the levels that were sent.
    #[inline]
    #[must_use]
    pub fn checksum(&self) -> u32 {
        self.digest.checksum()
    }

    /// Whether there is anything to send. Changes that nobody is shown are taken note of and forgotten.
    #[inline]
    pub fn has_news(&mut self, view: &BookView) -> bool {
        let depth = usize::from(self.depth);
        let bids = news(&mut self.bids, &view.bids, depth);
        let asks = news(&mut self.asks, &view.asks, depth);
        bids != News::Nothing || asks != News::Nothing || self.maybe_bad != view.maybe_bad
    }

    /// Writes `,"bids":[…],"asks":[…],"checksum":…`: what turns the levels that were sent into those of `view`, which
    /// from now on are the sent ones.
    #[inline]
    pub fn write(&mut self, line: &mut Line<'_>, view: &BookView) {
        self.maybe_bad = view.maybe_bad;
        if self.names != view.names() {
            self.on_names(view);
        }
        line.put(b",\"bids\":[");
        self.side(line, &view.bids, Side::Bid);
        line.put(b"],\"asks\":[");
        self.side(line, &view.asks, Side::Ask);
        line.put(b"],\"checksum\":");
        line.integer(u64::from(self.digest.checksum()));
    }

    #[cold]
    fn on_names(&mut self, view: &BookView) {
        self.names = view.names();
        if self.decimals != view.definition.price_decimals {
            self.decimals = view.definition.price_decimals;
            self.digest_anew();
        }
    }

    fn digest_anew(&mut self) {
        self.digest = Digest::default();
        for (side, sent) in [(Side::Ask, &self.asks), (Side::Bid, &self.bids)] {
            for (rank, level) in sent.levels.iter().enumerate().take(CHECKSUM_LEVELS) {
                self.digest.set(side, rank, piece(level, self.decimals));
            }
        }
    }

    #[inline(always)]
    fn side(&mut self, line: &mut Line<'_>, levels: &Levels, side: Side) {
        let Self { bids, asks, digest, depth, decimals, .. } = self;
        let sent = if side == Side::Bid { bids } else { asks };
        let mut writer = Writer { line, digest, side, decimals: *decimals, any: false };
        match news(sent, levels, usize::from(*depth)) {
            News::Nothing => {}
            News::One(change) => {
                sent.version = levels.version();
                writer.one(change, levels, &mut sent.levels, usize::from(*depth));
            }
            News::Some => {
                writer.all(levels, &mut sent.levels, usize::from(*depth));
                sent.take(levels, usize::from(*depth));
            }
        }
    }
}

#[inline(always)]
fn news(sent: &mut Sent, levels: &Levels, depth: usize) -> News {
    match levels.version().wrapping_sub(sent.version) {
        0 => News::Nothing,
        1 => {
            let change = levels.last_change();
            if (change.rank as usize) < depth {
                return News::One(change);
            }
            sent.version = levels.version();
            News::Nothing
        }
        _ => many(sent, levels, depth),
    }
}

#[inline(never)]
fn many(sent: &mut Sent, levels: &Levels, depth: usize) -> News {
    if sent.is(levels, depth) {
        sent.version = levels.version();
        return News::Nothing;
    }
    News::Some
}

fn piece(level: &Level, decimals: u8) -> Piece {
    Piece::new(Number::new(level.price.to_decimal(decimals).unsigned_abs()), Number::new(level.quantity))
}

/// Writes the levels of one side.
struct Writer<'a, 'b> {
    line: &'a mut Line<'b>,
    digest: &'a mut Digest,
    side: Side,
    decimals: u8,
    /// Something stands before the next level.
    any: bool,
}

impl Writer<'_, '_> {
    /// `["312.50","1000",3]`.
    #[inline(always)]
    fn level(&mut self, level: &Level) -> Piece {
        if self.any {
            self.line.put(b",");
        }
        self.any = true;
        self.line.put(b"[");
        let price = self.line.price(level.price, self.decimals);
        self.line.put(b",\"");
        let quantity = Number::new(level.quantity);
        self.line.number(quantity);
        self.line.put(b"\",");
        self.line.integer(u64::from(level.count));
        self.line.put(b"]");
        Piece::new(price, quantity)
    }

    #[inline(always)]
    fn gone(&mut self, price: Price) {
        if self.any {
            self.line.put(b",");
        }
        self.any = true;
        self.line.put(b"[");
        self.line.price(price, self.decimals);
        self.line.put(b",\"0\",0]");
    }

    /// One change of a shown level.
    #[inline(always)]
    fn one(&mut self, change: Change, levels: &Levels, sent: &mut Vec<Level>, depth: usize) {
        let rank = change.rank as usize;
        match (change.kind, levels.at(rank)) {
            (Kind::Totals, Some(level)) => {
                let piece = self.level(level);
                sent[rank] = *level;
                self.digest.set(self.side, rank, piece);
            }
            (Kind::Came, Some(level)) => {
                let piece = self.level(level);
                // Behind a full depth the client's own cut removes the last.
                sent.insert(rank, *level);
                sent.truncate(depth);
                self.digest.insert(self.side, rank, piece);
                if depth <= LAST_RANK {
                    self.digest.cut(self.side, depth);
                }
            }
            _ => self.went(change.price, rank, levels, sent, depth),
        }
    }

    #[inline(always)]
    fn went(&mut self, price: Price, rank: usize, levels: &Levels, sent: &mut Vec<Level>, depth: usize) {
        self.gone(price);
        sent.remove(rank);
        self.digest.remove(self.side, rank);
        if let Some(level) = levels.at(depth - 1) {
            let piece = self.level(level);
            sent.push(*level);
            self.digest.set(self.side, depth - 1, piece);
        }
        // The last level that counts may be one that was sent long ago.
        if rank <= LAST_RANK
            && depth - 1 > LAST_RANK
            && let Some(level) = sent.get(LAST_RANK)
        {
            self.digest.set(self.side, LAST_RANK, piece(level, self.decimals));
        }
    }

    /// Any changes: walks both sides from the best.
    #[inline(never)]
    fn all(&mut self, levels: &Levels, sent: &mut [Level], depth: usize) {
        let side = self.side;
        let ahead = |a: Price, b: Price| if side == Side::Bid { a > b } else { a < b };
        let old_digest = self.digest.clone();
        let shown = levels.len().min(depth);
        let (mut olds, mut news) =
            (sent.iter().enumerate().peekable(), levels.iter().take(depth).enumerate().peekable());
        loop {
            match (olds.peek(), news.peek()) {
                (Some(&(old_rank, old)), Some(&(rank, new))) if old.price == new.price => {
                    let kept = (old.quantity == new.quantity).then(|| old_digest.get(side, old_rank)).flatten();
                    let piece =
                        if old == new { kept.unwrap_or_else(|| piece(new, self.decimals)) } else { self.level(new) };
                    self.digest.set(side, rank, piece);
                    olds.next();
                    news.next();
                }
                (Some(&(_, old)), Some(&(_, new))) if ahead(old.price, new.price) => {
                    self.gone(old.price);
                    olds.next();
                }
                (_, Some(&(rank, new))) => {
                    let piece = self.level(new);
                    self.digest.set(side, rank, piece);
                    news.next();
                }
                (Some(&(_, old)), None) => {
                    // Behind a full depth the client's own cut removes it.
                    if shown < depth {
                        self.gone(old.price);
                    }
                    olds.next();
                }
                (None, None) => break,
            }
        }
        self.digest.cut(side, shown);
    }
}
