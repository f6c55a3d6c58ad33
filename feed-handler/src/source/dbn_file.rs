//! DBN files (Databento's encoding, versions 1 to 3): market-by-order records, definitions and symbol mappings.
//!
//! An MBO record is 56 of the 64 bytes of an [`OrderEvent`], so adds, cancels, modifies and clears are carried over
//! as they are. Trades (`T`) become [`rtype::TRADE`] slots; fills (`F`) and records without an action (`N`) touch no
//! book and make no slot. Other schemas are counted by the caller and passed over. Databento's own state machine
//! reads the records; it is hidden here, so that a change of its interface stays in this file.

use book::slot::{Execution, OrderEvent, Stamp, TickBand, action, flags, rtype};
use book::{BookId, Nanos, OrderId, Price, Side, Slot};
use dbn::decode::dbn::fsm::{DbnFsm, ProcessResult};
use dbn::{InstrumentDefMsg, MboMsg, Metadata, Record, SType, UNDEF_PRICE, UNDEF_TIMESTAMP};

use super::date::Day;
use super::definition::Definition;
use super::input::Input;
use super::{ReadError, end_of};
use crate::sink::{Refused, Sink};

/// Most bytes of metadata: 170,000 symbols of 71 bytes with their mappings fit; what claims more is damaged.
const METADATA_MAX: usize = 64 * 1024 * 1024;
const PRELUDE: usize = 8;
/// Currency units per 10⁻⁹ step: prices whose increment is not known are shown with all of their decimals.
const DECIMALS_UNKNOWN: u8 = Price::DECIMALS;

/// A DBN file.
pub struct DbnFile {
    input: Input,
    machine: DbnFsm,
    /// Definitions made of the metadata's symbol mappings, given out before the first record.
    mapped: std::vec::IntoIter<(BookId, String)>,
    start_ns: Nanos,
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
        if let Some(length) = head.get(4..PRELUDE) {
            let length = u32::from_le_bytes([length[0], length[1], length[2], length[3]]);
            if length as usize > METADATA_MAX {
                return Err(ReadError::Damaged { offset: 4, what: "DBN metadata longer than 64 MiB" });
            }
        }
        let machine = DbnFsm::builder()
            .build()
            .map_err(|_| ReadError::Damaged { offset: 0, what: "DBN of a version that is not read" })?;
        let mut file = Self { input, machine, mapped: Vec::new().into_iter(), start_ns: 0 };
        loop {
            match file.machine.process() {
                ProcessResult::ReadMore(_) => {
                    if !file.feed() {
                        end_of(&mut file.input, "the DBN metadata")?;
                        return Err(ReadError::Truncated { offset: 0, inside: "the DBN metadata" });
                    }
                }
                ProcessResult::Metadata(metadata) => {
                    file.start_ns = metadata.start;
                    file.mapped = mapped(&metadata).into_iter();
                    return Ok(file);
                }
                ProcessResult::Record(()) | ProcessResult::Err(_) => {
                    return Err(ReadError::Damaged { offset: 0, what: "not the metadata of a DBN file" });
                }
            }
        }
    }

    /// Gives the machine more bytes; `false` at the end of the stream.
    fn feed(&mut self) -> bool {
        let there = self.input.peek(1);
        if there.is_empty() {
            return false;
        }
        let taken = there.len().min(DbnFsm::DEFAULT_BUF_SIZE);
        self.machine.write_all(&there[..taken]);
        self.input.consume(taken);
        true
    }

    /// The next record, its slots in `sink`; `None` at the end.
    ///
    /// # Errors
    /// The file ends inside a record, or a record contradicts itself.
    pub fn next(&mut self, sink: &mut impl Sink) -> Result<Option<DbnRecord>, ReadError> {
        if let Some((book_id, symbol)) = self.mapped.next() {
            let definition = Definition::new(book_id, &symbol, DECIMALS_UNKNOWN);
            for slot in (Definition { exchange_ns: self.start_ns, ..definition }).slots() {
                sink.push(slot);
            }
            let recorded_ns = self.start_ns;
            return Ok(Some(DbnRecord { kind: KIND_DEFINITION, recorded_ns, synthetic: true, refused: None }));
        }
        loop {
            match self.machine.process() {
                ProcessResult::Record(()) => break,
                ProcessResult::Metadata(_) => {}
                ProcessResult::ReadMore(_) => {
                    if self.feed() {
                        continue;
                    }
                    end_of(&mut self.input, "a record")?;
                    let offset = self.offset();
                    let whole = self.machine.data().is_empty();
                    return if whole { Ok(None) } else { Err(ReadError::Truncated { offset, inside: "a record" }) };
                }
                ProcessResult::Err(_) => {
                    return Err(ReadError::Damaged { offset: self.offset(), what: "a record that contradicts itself" });
                }
            }
        }
        let Some(record) = self.machine.last_record() else {
            return Err(ReadError::Damaged { offset: self.offset(), what: "a record that contradicts itself" });
        };
        let kind = record.header().rtype;
        let mut taken =
            DbnRecord { kind, recorded_ns: time(record.header().ts_event), synthetic: false, refused: None };
        if record.has::<MboMsg>() {
            match record.try_get::<MboMsg>() {
                Ok(message) => {
                    taken.kind = message.action as u8;
                    taken.recorded_ns = match time(message.ts_recv) {
                        0 => taken.recorded_ns,
                        received_ns => received_ns,
                    };
                    taken.refused = on_order(message, sink).err();
                }
                Err(_) => {
                    taken.refused = Some(Refused::Short { kind, got: record.record_size(), need: size_of::<MboMsg>() });
                }
            }
        } else if record.has::<InstrumentDefMsg>() {
            taken.kind = KIND_DEFINITION;
            match record.try_get::<InstrumentDefMsg>() {
                Ok(message) => on_definition(message, sink),
                Err(_) => {
                    let need = size_of::<InstrumentDefMsg>();
                    taken.refused = Some(Refused::Short { kind, got: record.record_size(), need });
                }
            }
        }
        Ok(Some(taken))
    }

    /// Offset of the first byte that no record used.
    fn offset(&self) -> u64 {
        self.input.offset() - self.machine.data().len() as u64
    }

    /// The stream below.
    #[must_use]
    pub fn input(&self) -> &Input {
        &self.input
    }
}

/// Instrument ids with the symbols that the metadata gives them; the first one for each id.
fn mapped(metadata: &Metadata) -> Vec<(BookId, String)> {
    let mut all: Vec<(BookId, String)> = Vec::new();
    for mapping in &metadata.mappings {
        for interval in &mapping.intervals {
            let (symbol, id) = match (metadata.stype_out, metadata.stype_in) {
                (SType::InstrumentId, _) => (&mapping.raw_symbol, &interval.symbol),
                (_, Some(SType::InstrumentId)) => (&interval.symbol, &mapping.raw_symbol),
                _ => continue,
            };
            if let Ok(id) = id.parse() {
                all.push((BookId(id), symbol.clone()));
            }
        }
    }
    all.sort_by_key(|&(book_id, _)| book_id);
    all.dedup_by_key(|&mut (book_id, _)| book_id);
    all
}

fn on_order(message: &MboMsg, sink: &mut impl Sink) -> Result<(), Refused> {
    let kind = message.action as u8;
    let side = message.side as u8;
    let bad = |field| Err(Refused::BadField { kind, field });
    if !matches!(side, b'A' | b'B' | b'N') {
        return bad("side");
    }
    let stamp = Stamp {
        book_id: BookId(message.hd.instrument_id),
        exchange_ns: time(message.hd.ts_event),
        received_ns: time(message.ts_recv),
        sequence: u64::from(message.sequence),
        channel_id: message.channel_id,
    };
    let slot: Slot = match kind {
        action::ADD | action::MODIFY | action::CANCEL if side == b'N' => return bad("side"),
        action::ADD | action::MODIFY | action::CANCEL | action::CLEAR => OrderEvent {
            length: 14,
            rtype: rtype::ORDER,
            publisher_id: message.hd.publisher_id,
            book_id: stamp.book_id.0,
            exchange_ns: stamp.exchange_ns,
            order_id: message.order_id,
            price: message.price,
            size: message.size,
            // Every DBN record is a whole message to the book; what Databento calls the last record of an event
            // groups several of them, and a snapshot in between has none.
            flags: message.flags.raw() | flags::LAST,
            channel_id: message.channel_id,
            action: kind,
            side,
            received_ns: stamp.received_ns,
            ts_in_delta: message.ts_in_delta,
            sequence: message.sequence,
            size_high: 0,
            rank_sequence: 0,
        }
        .into(),
        // DBN states the side of the aggressor, a slot that of the resting order.
        b'T' => Execution::new(
            rtype::TRADE,
            stamp,
            Side::from_byte(side).opposite(),
            OrderId(0),
            0,
            Price(message.price),
            u64::from(message.size),
            0,
        )
        .into(),
        b'F' | b'N' => return Ok(()),
        _ => return bad("action"),
    };
    sink.push(slot);
    Ok(())
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

    #[test]
    fn a_tick_says_how_many_decimals_prices_need() {
        for (tick, expected) in [(250_000_000, 2), (10_000_000, 2), (5_000_000, 3), (1_000_000_000, 2), (1, 9)] {
            assert_eq!(decimals(tick), expected, "{tick}");
        }
    }
}
