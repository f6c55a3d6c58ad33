//! What a chain of `book` frames last sent, and the difference to what the book is now.
//!
//! Knows the levels that its readers have and the checksum over them. While a side changed once since, the change itself
//! tells the difference; only otherwise are levels compared. Writes the body of a frame; its head, and whether there is a
//! frame at all, is decided elsewhere.

use book::checksum::CHECKSUM_LEVELS;
use book::replica::{BookView, Change, Kind, Levels, prefetch_beside};
use book::types::Level;
use book::{Price, Side};

use super::frame_writer::{FrameWriter, Number, units};
use super::running_checksum::{Piece, RunningChecksum, Step, Text};

/// Most bytes of a level, with its comma: `["-9223372036.854775808","18446744073709551615",4294967295],`.
pub const LEVEL_BYTES_MAX: usize = 64;

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

    /// Whether a reader is shown something new. Changes that nobody is shown are taken note of and forgotten.
    fn has_news(&mut self, levels: &Levels, depth: usize) -> bool {
        let changes = levels.version().wrapping_sub(self.version);
        if changes == 0 {
            return false;
        }
        let shown = if changes == 1 { (levels.last_change().rank as usize) < depth } else { !self.is(levels, depth) };
        if !shown {
            self.version = levels.version();
        }
        shown
    }
}

/// What is to be written of a book.
#[derive(Clone, Copy, Debug)]
pub enum News {
    /// One change, at a rank that is shown, of the side with this [`Side::index`].
    One(usize, Change),
    /// Anything.
    Some,
}

/// The state of a chain: four cache lines, and the levels.
#[derive(Clone, Debug)]
#[repr(C, align(64))]
pub struct BookChain {
    /// Bids and asks.
    sent: [Sent; 2],
    /// [`BookView::names`] that the decimals were taken from.
    names: u32,
    /// Levels a side, 1..=100.
    depth: u8,
    decimals: u8,
    maybe_bad: bool,
    checksum: RunningChecksum,
}

/// Constant text and how much of it counts.
type Padded = ([u8; 24], usize);

/// By [`Side::index`]: what stands before the levels of the only side with news, and what behind them.
const BEGIN: [Padded; 2] = [padded(",\"bids\":["), padded(",\"bids\":[],\"asks\":[")];
const END: [Padded; 2] = [padded("],\"asks\":[],\"checksum\":"), padded("],\"checksum\":")];

const fn padded(text: &str) -> Padded {
    let mut bytes = [0; 24];
    let (filled, _) = bytes.split_at_mut(text.len());
    filled.copy_from_slice(text.as_bytes());
    (bytes, text.len())
}

impl BookChain {
    /// Of readers who know the best `depth` levels a side of `view`.
    #[must_use]
    pub fn new(view: &BookView, depth: u8) -> Self {
        let sent = [&view.bids, &view.asks].map(|levels| Sent::new(levels, usize::from(depth)));
        let decimals = view.definition.price_decimals;
        let (names, maybe_bad) = (view.names(), view.maybe_bad());
        let mut chain = Self { sent, names, depth, decimals, maybe_bad, checksum: RunningChecksum::default() };
        chain.checksum_anew();
        chain
    }

    /// Begins anew at the state of `view`.
    pub fn refresh(&mut self, view: &BookView) {
        let depth = usize::from(self.depth);
        for (sent, levels) in self.sent.iter_mut().zip([&view.bids, &view.asks]) {
            sent.take(levels, depth);
        }
        (self.names, self.maybe_bad) = (view.names(), view.maybe_bad());
        self.decimals = view.definition.price_decimals;
        self.checksum_anew();
    }

    /// Starts to load all of it but the levels.
    #[inline(always)]
    pub fn prefetch(&self) {
        prefetch_beside(&self.sent);
        self.checksum.prefetch();
    }

    /// Bids and asks that were sent, best first.
    #[must_use]
    pub fn levels(&self) -> (&[Level], &[Level]) {
        let [bids, asks] = &self.sent;
        (&bids.levels, &asks.levels)
    }

    /// Checksum of the levels that were sent.
    #[must_use]
    pub fn checksum(&self) -> u32 {
        self.checksum.checksum()
    }

    /// What there is to send, if anything. Changes that nobody is shown are taken note of and forgotten.
    #[inline(always)]
    pub fn news(&mut self, view: &BookView) -> Option<News> {
        let [bids, asks] = &self.sent;
        let changes =
            [(bids, &view.bids), (asks, &view.asks)].map(|(sent, levels)| levels.version().wrapping_sub(sent.version));
        // One change on one side, which one must not be guessed.
        if changes[0].wrapping_add(changes[1]) == 1 && self.maybe_bad == view.maybe_bad() {
            let side = (changes[1] == 1) as usize;
            let levels = levels_of(view, side);
            let change = levels.last_change();
            if change.rank < u32::from(self.depth) {
                return Some(News::One(side, change));
            }
            self.sent[side].version = levels.version();
            return None;
        }
        self.any_news(view)
    }

    #[inline(never)]
    fn any_news(&mut self, view: &BookView) -> Option<News> {
        let depth = usize::from(self.depth);
        let [bids, asks] = &mut self.sent;
        let both = [bids.has_news(&view.bids, depth), asks.has_news(&view.asks, depth)];
        (both != [false; 2] || self.maybe_bad != view.maybe_bad()).then_some(News::Some)
    }

    /// Writes `,"bids":[…],"asks":[…],"checksum":…`: what turns the levels that were sent into those of `view`, which
    /// from now on are the sent ones. `news` are what [`BookChain::news`] has just told.
    #[inline(always)]
    pub fn write(&mut self, writer: &mut FrameWriter<'_>, view: &BookView, news: News) {
        if self.names != view.names() {
            self.on_names(view);
        }
        if let News::One(side, change) = news {
            return self.one(writer, levels_of(view, side), side & 1, change);
        }
        self.any(writer, view);
    }

    #[inline(never)]
    fn any(&mut self, writer: &mut FrameWriter<'_>, view: &BookView) {
        self.maybe_bad = view.maybe_bad();
        writer.put(b",\"bids\":[");
        self.side(writer, &view.bids, Side::Bid);
        writer.put(b"],\"asks\":[");
        self.side(writer, &view.asks, Side::Ask);
        writer.put(b"],\"checksum\":");
        writer.ten_digits(self.checksum.checksum());
    }

    #[cold]
    fn on_names(&mut self, view: &BookView) {
        self.names = view.names();
        if self.decimals != view.definition.price_decimals {
            self.decimals = view.definition.price_decimals;
            self.checksum_anew();
        }
    }

    fn checksum_anew(&mut self) {
        let Self { sent, decimals, checksum, .. } = self;
        for (side, sent) in [Side::Bid, Side::Ask].into_iter().zip(sent) {
            checksum.rebuild(side, sent.levels.iter().map(|level| Piece::new(&text_of(level, *decimals))));
        }
    }

    /// The usual: one level came, went, or has other totals.
    #[inline(always)]
    fn one(&mut self, writer: &mut FrameWriter<'_>, levels: &Levels, side: usize, change: Change) {
        let (rank, depth, decimals) = (change.rank as usize, usize::from(self.depth), self.decimals);
        writer.first(BEGIN[side].1, &BEGIN[side].0);
        let gone = Level { price: change.price, quantity: 0, count: 0 };
        let level = if change.kind == Kind::Went { gone } else { levels.at(rank).copied().unwrap_or(gone) };
        let text = write_level(writer, &level, decimals);
        let sent = &mut self.sent[side];
        sent.version = levels.version();
        let mut step = Step { side, kind: change.kind, rank, depth, new_rank: rank, text };
        match change.kind {
            Kind::Totals => {
                if let Some(sent) = sent.levels.get_mut(rank) {
                    *sent = level;
                }
            }
            Kind::Came => {
                // Behind a full depth the client's own cut removes the last.
                sent.levels.insert(rank, level);
                sent.levels.truncate(depth);
            }
            Kind::Went => {
                sent.levels.remove(rank);
                if let Some(level) = levels.at(depth - 1) {
                    writer.put(b",");
                    step.text = write_level(writer, level, decimals);
                    sent.levels.push(*level);
                }
                step.new_rank = depth.min(CHECKSUM_LEVELS) - 1;
                // The last level that counts may be one that was sent long ago, or there is none.
                if sent.levels.len() <= step.new_rank || depth > CHECKSUM_LEVELS {
                    step.text =
                        sent.levels.get(step.new_rank).map_or(Text::default(), |level| text_of(level, decimals));
                }
            }
        }
        writer.first(END[side].1, &END[side].0);
        // What is below the checksum's levels leaves it as it is.
        writer.ten_digits(if rank < CHECKSUM_LEVELS { self.checksum.step(&step) } else { self.checksum.checksum() });
    }

    fn side(&mut self, writer: &mut FrameWriter<'_>, levels: &Levels, side: Side) {
        let depth = usize::from(self.depth);
        let sent = &mut self.sent[side.index()];
        if sent.version != levels.version() {
            let mut levels_writer = Writer { writer, side, decimals: self.decimals, any: false };
            let pieces = levels_writer.all(levels, &sent.levels, &self.checksum, depth);
            self.checksum.rebuild(side, pieces.into_iter());
            sent.take(levels, depth);
        }
    }
}

/// By [`Side::index`].
#[inline(always)]
fn levels_of(view: &BookView, side: usize) -> &Levels {
    if side == 0 { &view.bids } else { &view.asks }
}

/// What counts of a level in the checksum.
fn text_of(level: &Level, decimals: u8) -> Text {
    let quantity = Number::new(level.quantity);
    if level.price.0 < 0 {
        return Text::below_zero(level.price, decimals, quantity);
    }
    Text::new(Number::new(units(level.price, decimals)), quantity)
}

/// `["312.50","1000",3]`; returns what counts of it in the checksum.
#[inline(always)]
fn write_level(writer: &mut FrameWriter<'_>, level: &Level, decimals: u8) -> Text {
    writer.put(b"[");
    let price = writer.price(level.price, decimals);
    writer.put(b",\"");
    let quantity = Number::new(level.quantity);
    writer.number(quantity);
    writer.put(b"\",");
    writer.small(level.count);
    writer.put(b"]");
    if level.price.0 < 0 {
        return Text::below_zero(level.price, decimals, quantity);
    }
    Text::new(price, quantity)
}

/// Writes the levels of one side.
struct Writer<'a, 'b> {
    writer: &'a mut FrameWriter<'b>,
    side: Side,
    decimals: u8,
    /// Something stands before the next level.
    any: bool,
}

impl Writer<'_, '_> {
    fn level(&mut self, level: &Level) -> Text {
        if self.any {
            self.writer.put(b",");
        }
        self.any = true;
        write_level(self.writer, level, self.decimals)
    }

    fn gone(&mut self, price: Price) {
        self.level(&Level { price, quantity: 0, count: 0 });
    }

    /// Any changes: walks both sides from the best. Returns the pieces of the new levels that count.
    fn all(
        &mut self,
        levels: &Levels,
        sent: &[Level],
        checksum: &RunningChecksum,
        depth: usize,
    ) -> [Piece; CHECKSUM_LEVELS] {
        let side = self.side;
        let ahead = |a: Price, b: Price| if side == Side::Bid { a > b } else { a < b };
        let mut pieces = [Piece::default(); CHECKSUM_LEVELS];
        let shown = levels.len().min(depth);
        let (mut olds, mut news) =
            (sent.iter().enumerate().peekable(), levels.iter().take(depth).enumerate().peekable());
        loop {
            let (rank, new_piece) = match (olds.peek(), news.peek()) {
                (Some(&(old_rank, old)), Some(&(rank, new))) if old.price == new.price => {
                    let kept = (old.quantity == new.quantity).then(|| checksum.get(side, old_rank)).flatten();
                    if old != new {
                        self.level(new);
                    }
                    olds.next();
                    news.next();
                    (rank, kept.unwrap_or_else(|| Piece::new(&text_of(new, self.decimals))))
                }
                (Some(&(_, old)), Some(&(_, new))) if ahead(old.price, new.price) => {
                    self.gone(old.price);
                    olds.next();
                    continue;
                }
                (_, Some(&(rank, new))) => {
                    let text = self.level(new);
                    news.next();
                    (rank, Piece::new(&text))
                }
                (Some(&(_, old)), None) => {
                    // Behind a full depth the client's own cut removes it.
                    if shown < depth {
                        self.gone(old.price);
                    }
                    olds.next();
                    continue;
                }
                (None, None) => return pieces,
            };
            if let Some(place) = pieces.get_mut(rank) {
                *place = new_piece;
            }
        }
    }
}
