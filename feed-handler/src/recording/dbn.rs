//! DBN files (Databento's encoding, versions 1 to 3): market-by-order records, definitions and symbol mappings.
//!
//! An MBO record is 56 of the 64 bytes of an [`OrderEvent`], so adds, cancels, modifies and clears are copied, not
//! converted. Trades (`T`) become [`rtype::TRADE`] slots; fills (`F`) and records without an action (`N`) touch no
//! book and make no slot. Other schemas are counted by the caller and passed over. A record of a venue that publishes its
//! best prices only (`F_TOB`) stands for its whole side, and becomes one order there.
//!
//! Records are framed here: the library's state machine trusts their lengths (it panics on some that contradict
//! themselves). It sees the metadata, and definitions whose length is that of their version; it is hidden here, so
//! that a change of its interface stays in this file.

use std::collections::HashSet;

use book::exchange::date::Day;
use book::slot::{Execution, OrderEvent, QUANTITY_REST, Stamp, TickBand, action, flags, rtype};
use book::{BookId, Nanos, OrderId, Price, Slot, View};
use dbn::decode::dbn::fsm::{DbnFsm, ProcessResult};
use dbn::{InstrumentDefMsg, UNDEF_PRICE, UNDEF_TIMESTAMP, VersionUpgradePolicy, v1, v2};

use super::dbn_books::{DbnBooks, Place};
use super::definition::Definition;
use super::error::{ReadError, end_of};
use super::input::Input;
use crate::decode::sink::{Refused, Sink};

/// Most bytes of metadata: 170,000 symbols of 71 bytes with their mappings fit; what claims more is damaged.
const METADATA_MAX: usize = 64 * 1024 * 1024;
const PRELUDE: usize = 8;
/// Length in words, type, publisher, instrument, time: the head of every record.
const RECORD_HEAD: usize = 16;
/// Length of the part of an [`OrderEvent`] that is DBN's.
const MBO_BYTES: usize = 56;
const RTYPE_DEFINITION: u8 = dbn::rtype::INSTRUMENT_DEF;
/// Currency units per 10⁻⁹ step: prices whose increment is not known are shown with all of their decimals.
const DECIMALS_UNKNOWN: u8 = Price::DECIMALS;

/// A DBN file.
pub struct DbnFile {
    input: Input,
    machine: DbnFsm,
    version: u8,
    /// Bytes of a time of sending after each record.
    ts_out_bytes: usize,
    /// Definitions made of the metadata's symbol mappings, given out before the first record.
    mapped: std::vec::IntoIter<(BookId, String)>,
    start_ns: Nanos,
    places: Places,
}

/// Books of the file, and the sides of them that hold the best price of a venue that publishes no others.
#[derive(Debug, Default)]
struct Places {
    books: DbnBooks,
    tops: HashSet<(u32, u8)>,
}

/// One record of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DbnRecord {
    /// Action byte of an MBO record, `d` for a definition (also one made of the metadata), else the `rtype`.
    pub kind: u8,
    /// Databento's clock at receipt, or the exchange's where that is not given; 0 when neither is.
    pub recorded_ns: Nanos,
    /// From the metadata, not from a record: has no place of its own in the file.
    pub synthetic: bool,
    /// Why it made no slots, if it should have.
    pub refused: Option<Refused>,
}

/// [`DbnRecord::kind`] of a definition.
pub const KIND_DEFINITION: u8 = b'd';

/// Whether `head` is the start of a DBN file.
#[must_use]
pub fn is_dbn(head: &[u8]) -> bool {
    head.starts_with(b"DBN") && head.get(3).is_some_and(|&version| (1..=4).contains(&version))
}

impl DbnFile {
    /// Reads the metadata from `input`.
    ///
    /// # Errors
    /// The metadata is cut, damaged, larger than 64 MiB, or of a version that is not read.
    pub fn new(mut input: Input) -> Result<Self, ReadError> {
        let head = input.peek(PRELUDE);
        let Some(&[b'D', b'B', b'N', version, length @ ..]) = head.first_chunk::<PRELUDE>() else {
            if head.len() >= PRELUDE {
                return Err(ReadError::Damaged { offset: 0, what: "not a DBN file" });
            }
            end_of(&mut input, "the DBN metadata")?;
            return Err(ReadError::Truncated { offset: 0, inside: "the DBN metadata" });
        };
        let damaged =
            || ReadError::Damaged { offset: 0, what: "DBN metadata that is damaged or of an unknown version" };
        let length = PRELUDE + u32::from_le_bytes(length) as usize;
        if length > METADATA_MAX {
            return Err(ReadError::Damaged { offset: 4, what: "DBN metadata longer than 64 MiB" });
        }
        // As they are: converting records of older versions panics on ones that contradict themselves.
        let mut machine =
            DbnFsm::builder().upgrade_policy(VersionUpgradePolicy::AsIs).build().map_err(|_| damaged())?;
        let mut left = length;
        while left > 0 {
            let there = input.peek(1);
            let taken = there.len().min(left);
            if taken == 0 {
                end_of(&mut input, "the DBN metadata")?;
                return Err(ReadError::Truncated { offset: 0, inside: "the DBN metadata" });
            }
            machine.write_all(&there[..taken]);
            input.consume(taken);
            left -= taken;
        }
        match machine.process() {
            ProcessResult::Metadata(metadata) => {
                let (books, mapped) = DbnBooks::new(&metadata);
                Ok(Self {
                    input,
                    machine,
                    version,
                    ts_out_bytes: if metadata.ts_out { size_of::<u64>() } else { 0 },
                    start_ns: time(metadata.start),
                    mapped: mapped.into_iter(),
                    places: Places { books, tops: HashSet::new() },
                })
            }
            _ => Err(damaged()),
        }
    }

    /// The next record, its slots in `sink`; `None` at the end.
    ///
    /// # Errors
    /// The file ends inside a record, or a record is shorter than its own head.
    pub fn next(&mut self, sink: &mut impl Sink) -> Result<Option<DbnRecord>, ReadError> {
        if let Some((book_id, symbol)) = self.mapped.next() {
            let definition = Definition::new(book_id, &symbol, DECIMALS_UNKNOWN);
            for slot in (Definition { exchange_ns: self.start_ns, ..definition }).slots() {
                sink.push(slot);
            }
            let recorded_ns = self.start_ns;
            return Ok(Some(DbnRecord { kind: KIND_DEFINITION, recorded_ns, synthetic: true, refused: None }));
        }
        let head = self.input.peek(RECORD_HEAD);
        let Some(head) = head.first_chunk::<RECORD_HEAD>() else {
            return end_of(&mut self.input, "the head of a record").map(|()| None);
        };
        let (length, kind) = (usize::from(head[0]) * 4, head[1]);
        let event_ns =
            time(u64::from_le_bytes([head[8], head[9], head[10], head[11], head[12], head[13], head[14], head[15]]));
        if length < RECORD_HEAD {
            let offset = self.input.offset();
            return Err(ReadError::Damaged { offset, what: "a record shorter than its head" });
        }
        let definition_bytes = self.definition_bytes();
        let bytes = self.input.peek(length);
        if bytes.len() < length {
            return end_of(&mut self.input, "a record").map(|()| None);
        }
        let bytes = &bytes[..length];
        let mut taken = DbnRecord { kind, recorded_ns: event_ns, synthetic: false, refused: None };
        match kind {
            rtype::ORDER => match bytes.first_chunk::<MBO_BYTES>() {
                Some(record) => {
                    let mut slot = [0; 64];
                    slot[..MBO_BYTES].copy_from_slice(record);
                    let slot = Slot::from_bytes(slot);
                    if let View::Order(message) = slot.view() {
                        taken.kind = message.action;
                        taken.recorded_ns = match time(message.received_ns) {
                            0 => event_ns,
                            received_ns => received_ns,
                        };
                        taken.refused = self.places.on_order(message, sink).err();
                    }
                }
                None => taken.refused = Some(Refused::Short { kind, got: length, need: MBO_BYTES }),
            },
            RTYPE_DEFINITION => {
                taken.kind = KIND_DEFINITION;
                if length == definition_bytes {
                    self.machine.write_all(bytes);
                    taken.refused = self.on_definition(sink).err();
                } else {
                    let need = definition_bytes;
                    taken.refused = Some(Refused::Short { kind: KIND_DEFINITION, got: length, need });
                }
            }
            _ => {}
        }
        self.input.consume(length);
        Ok(Some(taken))
    }

    /// Length of a definition of the file's version. The library reads it in place, and all of them keep its buffer
    /// aligned.
    fn definition_bytes(&self) -> usize {
        let record = match self.version {
            1 => size_of::<v1::InstrumentDefMsg>(),
            2 => size_of::<v2::InstrumentDefMsg>(),
            _ => size_of::<InstrumentDefMsg>(),
        };
        record + self.ts_out_bytes
    }

    /// The definition that the machine was given.
    fn on_definition(&mut self, sink: &mut impl Sink) -> Result<(), Refused> {
        let bad = Refused::BadField { kind: KIND_DEFINITION, field: "record" };
        let ProcessResult::Record(()) = self.machine.process() else { return Err(bad) };
        let record = self.machine.last_record().ok_or(bad)?;
        let definition = match self.version {
            1 => record.try_get::<v1::InstrumentDefMsg>().map(InstrumentDefMsg::from),
            2 => record.try_get::<v2::InstrumentDefMsg>().map(InstrumentDefMsg::from),
            _ => record.try_get::<InstrumentDefMsg>().cloned(),
        };
        let mut definition = definition.map_err(|_| bad)?;
        definition.hd.instrument_id = self.places.place(&Head::of(&definition), sink)?;
        on_definition(&definition, sink);
        Ok(())
    }

    /// The stream below.
    #[must_use]
    pub fn input(&self) -> &Input {
        &self.input
    }
}

/// What decides where a record belongs.
#[derive(Clone, Copy)]
struct Head {
    publisher: u16,
    instrument: u32,
    exchange_ns: Nanos,
    received_ns: Nanos,
}

impl Head {
    fn of(definition: &InstrumentDefMsg) -> Self {
        Self {
            publisher: definition.hd.publisher_id,
            instrument: definition.hd.instrument_id,
            exchange_ns: time(definition.hd.ts_event),
            received_ns: time(definition.ts_recv),
        }
    }
}

impl Places {
    /// The book of a record; what must be said of that book before goes to `sink`.
    fn place(&mut self, head: &Head, sink: &mut impl Sink) -> Result<u32, Refused> {
        let Head { publisher, instrument, exchange_ns, received_ns } = *head;
        // Mappings go by the time of receipt, which every record of these schemas has.
        let now_ns = if received_ns > 0 { received_ns } else { exchange_ns };
        let Place { book_id, new_beside, rolled } = self.books.place(publisher, instrument, now_ns)?;
        if let Some(name) = new_beside.and_then(|first| self.books.name(first)) {
            let name = format!("{name}@{publisher}");
            let definition = Definition::new(BookId(book_id), &name, DECIMALS_UNKNOWN);
            for slot in (Definition { exchange_ns, received_ns, ..definition }).slots() {
                sink.push(slot);
            }
        }
        if rolled {
            self.forget_tops(book_id);
            let stamp = Stamp { book_id: BookId(book_id), exchange_ns, received_ns, ..Stamp::default() };
            sink.push(OrderEvent::clear(stamp).into());
        }
        Ok(book_id)
    }

    fn forget_tops(&mut self, book_id: u32) {
        for side in [b'A', b'B'] {
            self.tops.remove(&(book_id, side));
        }
    }

    fn on_order(&mut self, message: &OrderEvent, sink: &mut impl Sink) -> Result<(), Refused> {
        let kind = message.action;
        let bad = |field| Err(Refused::BadField { kind, field });
        if !matches!(message.side, b'A' | b'B' | b'N') {
            return bad("side");
        }
        let is_order = matches!(kind, action::ADD | action::MODIFY | action::CANCEL);
        if is_order && message.side == b'N' {
            return bad("side");
        }
        match kind {
            action::ADD | action::MODIFY | action::CANCEL | action::CLEAR | b'T' => {}
            b'F' | b'N' => return Ok(()),
            _ => return bad("action"),
        }
        let (exchange_ns, received_ns) = (time(message.exchange_ns), time(message.received_ns));
        let (publisher, instrument) = (message.publisher_id, message.book_id);
        let book_id = self.place(&Head { publisher, instrument, exchange_ns, received_ns }, sink)?;
        if kind == b'T' {
            // DBN states the side of the aggressor, a slot that of the resting order.
            let (sequence, channel_id) = (u64::from(message.sequence), message.channel_id);
            let stamp = Stamp { book_id: BookId(book_id), exchange_ns, received_ns, sequence, channel_id };
            let (side, quantity) = (message.side().opposite(), u64::from(message.size));
            let price = Price(message.price);
            sink.push(Execution::new(rtype::TRADE, stamp, side, OrderId(0), 0, price, quantity, 0).into());
            return Ok(());
        }
        let event = OrderEvent {
            // Without the time of sending that some files have behind each record.
            length: 14,
            book_id,
            exchange_ns,
            received_ns,
            // Every record is a whole message to the book; what Databento calls the last record of an event groups
            // several of them, and a snapshot in between has none.
            flags: message.flags | flags::LAST,
            ..*message
        };
        if is_order && message.flags & dbn::flags::TOB != 0 {
            return self.on_top(event, sink);
        }
        if kind == action::CLEAR {
            self.forget_tops(book_id);
        }
        sink.push(event.into());
        Ok(())
    }

    /// A best price replaces its whole side; one without a price empties it (Databento, "Limit order book
    /// construction"). In the book it is one order with number 0.
    fn on_top(&mut self, event: OrderEvent, sink: &mut impl Sink) -> Result<(), Refused> {
        let top = (event.book_id, event.side);
        let is_empty = event.action == action::CANCEL || event.price == UNDEF_PRICE || event.size == 0;
        let was_there = if is_empty { self.tops.remove(&top) } else { !self.tops.insert(top) };
        let rest = QUANTITY_REST;
        let action = match (was_there, is_empty) {
            (false, true) => return Ok(()),
            (true, true) => {
                let (size, size_high) = (rest as u32, (rest >> 32) as u32);
                let order_id = 0;
                sink.push(OrderEvent { action: action::CANCEL, order_id, size, size_high, ..event }.into());
                return Ok(());
            }
            (true, false) => action::MODIFY,
            (false, false) => action::ADD,
        };
        sink.push(OrderEvent { action, order_id: 0, ..event }.into());
        Ok(())
    }
}

fn on_definition(message: &InstrumentDefMsg, sink: &mut impl Sink) {
    let tick = message.min_price_increment;
    let has_tick = tick != UNDEF_PRICE && tick > 0;
    let symbol = message.raw_symbol().unwrap_or_default();
    let mut definition = Definition::new(
        BookId(message.hd.instrument_id),
        symbol,
        if has_tick { decimals(tick) } else { DECIMALS_UNKNOWN },
    );
    definition.exchange_ns = time(message.hd.ts_event);
    definition.received_ns = time(message.ts_recv);
    definition.currency = std::array::from_fn(|at| message.currency[at] as u8);
    (definition.product, definition.option_type) = match message.instrument_class as u8 {
        b'C' => (1, 1),
        b'P' => (1, 2),
        b'F' => (3, 0),
        b'K' => (5, 0),
        b'M' | b'S' | b'T' => (11, 0),
        _ => (0, 0),
    };
    definition.strike = Price(message.strike_price);
    definition.underlying_book_id = message.underlying_id;
    definition.expiration = Day::from_ns(time(message.expiration)).map_or(0, Day::yyyymmdd);
    definition.round_lot =
        u32::try_from(message.min_lot_size_round_lot).ok().filter(|&lot| lot != i32::MAX as u32).unwrap_or(1);
    for slot in definition.slots() {
        sink.push(slot);
    }
    if has_tick {
        let defined = |price: i64| (price != UNDEF_PRICE).then_some(price);
        sink.push(
            TickBand {
                length: 16,
                rtype: rtype::TICK_BAND,
                flags: flags::LAST,
                side: b'N',
                book_id: message.hd.instrument_id,
                exchange_ns: definition.exchange_ns,
                seq: 0,
                received_ns: definition.received_ns,
                tick,
                from: defined(message.low_limit_price).unwrap_or(0),
                to: defined(message.high_limit_price).unwrap_or(Price::NONE.0),
                reference: Price::NONE.0,
            }
            .into(),
        );
    }
}

/// Decimals that a tick in 10⁻⁹ units needs, at least two.
fn decimals(tick: i64) -> u8 {
    let mut decimals = Price::DECIMALS;
    while decimals > 2 && tick % book::types::unit_nanos(decimals - 1) == 0 {
        decimals -= 1;
    }
    decimals
}

/// DBN's "no time" as ours.
fn time(stated: u64) -> Nanos {
    if stated == UNDEF_TIMESTAMP { 0 } else { stated }
}

const _: () = {
    // The flag bits carried over must mean the same on both sides.
    assert!(flags::SNAPSHOT == dbn::flags::SNAPSHOT && flags::BAD_TS_RECV == dbn::flags::BAD_TS_RECV);
    assert!(flags::LAST == dbn::flags::LAST && flags::MAYBE_BAD_BOOK == dbn::flags::MAYBE_BAD_BOOK);
};

#[cfg(test)]
mod tests {
    use super::*;
    use dbn::encode::dbn::Encoder;
    use dbn::{MboMsg, MetadataBuilder, RecordHeader, SType, Schema};

    /// A file of one definition and one add, as the library writes it in `version`.
    fn file(version: u8, ts_out: bool) -> Vec<u8> {
        let mut metadata = MetadataBuilder::new()
            .dataset("GLBX.MDP3".to_owned())
            .schema(Some(Schema::Mbo))
            .start(5)
            .stype_in(Some(SType::RawSymbol))
            .stype_out(SType::InstrumentId)
            .ts_out(ts_out)
            .build();
        metadata.version = version;
        metadata.symbol_cstr_len = if version == 1 { dbn::v1::SYMBOL_CSTR_LEN } else { dbn::SYMBOL_CSTR_LEN };
        let mut bytes = Vec::new();
        Encoder::new(&mut bytes, &metadata).unwrap();
        let head = |rtype, ts_event| RecordHeader::new::<MboMsg>(rtype, 1, 42, ts_event);
        let mut definition = InstrumentDefMsg {
            min_price_increment: 250_000_000,
            low_limit_price: 4_000_000_000_000,
            high_limit_price: 6_000_000_000_000,
            expiration: 1_718_976_600_000_000_000,
            instrument_class: b'F' as _,
            ..InstrumentDefMsg::default()
        };
        definition.hd.instrument_id = 42;
        for (to, from) in definition.raw_symbol.iter_mut().zip(b"ESM4") {
            *to = *from as _;
        }
        for (to, from) in definition.currency.iter_mut().zip(b"USD") {
            *to = *from as _;
        }
        let order = MboMsg {
            hd: head(dbn::rtype::MBO, 77),
            order_id: 9,
            price: 5_150_250_000_000,
            size: 3,
            action: b'A' as _,
            side: b'B' as _,
            ts_recv: 78,
            ..MboMsg::default()
        };
        match version {
            1 => {
                let mut first = v1::InstrumentDefMsg {
                    hd: RecordHeader::new::<v1::InstrumentDefMsg>(RTYPE_DEFINITION, 1, 42, 76),
                    min_price_increment: definition.min_price_increment,
                    low_limit_price: definition.low_limit_price,
                    high_limit_price: definition.high_limit_price,
                    expiration: definition.expiration,
                    instrument_class: definition.instrument_class,
                    currency: definition.currency,
                    ..v1::InstrumentDefMsg::default()
                };
                first.raw_symbol.copy_from_slice(&definition.raw_symbol[..dbn::v1::SYMBOL_CSTR_LEN]);
                bytes.extend(raw(&first, ts_out));
            }
            _ => bytes.extend(raw(&definition, ts_out)),
        }
        bytes.extend(raw(&order, ts_out));
        bytes
    }

    /// The record as it stands in a file, with a time of sending behind it if it has one.
    fn raw(record: &impl AsRef<[u8]>, ts_out: bool) -> Vec<u8> {
        let mut bytes = record.as_ref().to_vec();
        if ts_out {
            bytes[0] += 2;
            bytes.extend(99u64.to_le_bytes());
        }
        bytes
    }

    fn read(bytes: Vec<u8>) -> (Vec<DbnRecord>, Vec<Slot>) {
        let mut file = DbnFile::new(Input::from_bytes(bytes).unwrap()).unwrap();
        let (mut records, mut slots) = (Vec::new(), Vec::new());
        while let Some(record) = file.next(&mut |slot| slots.push(slot)).unwrap() {
            records.push(record);
        }
        (records, slots)
    }

    #[test]
    fn definitions_of_old_and_new_versions_are_read() {
        for (version, ts_out) in [(1, false), (3, false), (3, true)] {
            let (records, slots) = read(file(version, ts_out));
            let kinds: Vec<u8> = records.iter().map(|record| record.kind).collect();
            assert_eq!(kinds, [KIND_DEFINITION, b'A'], "version {version}");
            assert!(records.iter().all(|record| record.refused.is_none()), "{records:?}");
            let View::Symbol(symbol) = slots[0].view() else { panic!("{slots:?}") };
            assert_eq!((book::slot::text(&symbol.symbol), symbol.book_id), ("ESM4", 42));
            let View::Terms(terms) = slots[2].view() else { panic!("{slots:?}") };
            assert_eq!((terms.price_decimals, &terms.currency, terms.expiration), (2, b"USD", 20_240_621));
            let View::TickBand(band) = slots[4].view() else { panic!("{slots:?}") };
            assert_eq!((band.tick, band.from, band.to), (250_000_000, 4_000_000_000_000, 6_000_000_000_000));
            let View::Order(order) = slots[5].view() else { panic!("{slots:?}") };
            assert_eq!((order.order_id, order.price, order.quantity()), (9, 5_150_250_000_000, 3));
            assert_eq!((order.exchange_ns, order.received_ns, order.length), (77, 78, 14));
        }
    }

    #[test]
    fn records_that_contradict_themselves_are_refused() {
        let whole = file(3, false);
        let first = whole.len() - 56 - size_of::<InstrumentDefMsg>();
        for (at, value, expected) in [
            (first, 14, Some("a definition as short as an order")),
            (whole.len() - 56, 4, Some("an order of a head alone")),
            (whole.len() - 56, 3, None),
            (whole.len() - 56, 0, None),
        ] {
            let mut bytes = whole.clone();
            bytes[at] = value;
            let mut file = DbnFile::new(Input::from_bytes(bytes).unwrap()).unwrap();
            let mut refused = 0;
            let ended = loop {
                match file.next(&mut |_| {}) {
                    Ok(Some(record)) => refused += usize::from(record.refused.is_some()),
                    Ok(None) => break true,
                    Err(_) => break false,
                }
            };
            assert_eq!(refused > 0, expected.is_some(), "{expected:?}");
            assert!(expected.is_some() || !ended, "a length below that of the head ends the reading");
        }
    }

    #[test]
    fn a_tick_says_how_many_decimals_prices_need() {
        for (tick, expected) in [(250_000_000, 2), (10_000_000, 2), (5_000_000, 3), (1_000_000_000, 2), (1, 9)] {
            assert_eq!(decimals(tick), expected, "{tick}");
        }
    }
}
