//! LOBSTER message files: one event per line, NASDAQ's order flow of one share.
//!
//! `time,type,order id,size,price,direction`; time in seconds after midnight in New York with decimals,
//! price in 1/10,000 USD, direction 1 = buy. Numbers are read digit by digit, never as floats. The file does not
//! name its share or day: both stand in the file's name, and a definition made of it comes first. Orders from
//! before the file's start are unknown to whoever builds the book; that is the format's own limit.

use book::slot::{Execution, OrderEvent, Stamp, State, conditions, rtype};
use book::{BookId, Nanos, OrderId, Phase, Price, Side, Slot};

use super::date::{day_in_name, new_york_midnight_ns};
use super::definition::Definition;
use super::error::{ReadError, end_of};
use super::input::Input;
use crate::decode::sink::{Refused, Sink};

/// The one book of a file.
pub const BOOK: BookId = BookId(1);
/// Decimals of LOBSTER prices.
pub const DECIMALS: u8 = 4;
/// Most bytes of a line; the longest possible one has 81.
const LINE_MAX: usize = 256;
const SECOND_NS: u64 = 1_000_000_000;

/// A LOBSTER message file.
pub struct LobsterFile {
    input: Input,
    midnight_ns: Nanos,
    rows: u64,
    symbol: Option<String>,
}

/// One row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LobsterRow {
    /// Digit of the type, `d` for the definition made of the name, `?` for a line that is not a row.
    pub kind: u8,
    /// Exchange clock; 0 when it could not be read.
    pub exchange_ns: Nanos,
    /// Why it made no slot.
    pub refused: Option<Refused>,
}

/// [`LobsterRow::kind`] of the definition.
pub const KIND_DEFINITION: u8 = b'd';

/// Whether `head` starts with a line of six numbers as in these files.
#[must_use]
pub fn is_lobster(head: &[u8]) -> bool {
    let line = head.split(|&byte| byte == b'\n').next().unwrap_or_default();
    line.len() < LINE_MAX && parse(trim(line)).is_ok()
}

impl LobsterFile {
    /// Reads from `input`; `name` is the file's name, which says share and day.
    #[must_use]
    pub fn new(input: Input, name: &str) -> Self {
        let midnight_ns = day_in_name(name).map_or(0, new_york_midnight_ns);
        let symbol: String = name.chars().take_while(char::is_ascii_alphanumeric).take(32).collect();
        let symbol = if symbol.is_empty() { "LOBSTER".to_owned() } else { symbol };
        Self { input, midnight_ns, rows: 0, symbol: Some(symbol) }
    }

    /// The next row, its slot in `sink`; `None` at the end.
    ///
    /// # Errors
    /// The file ends inside a row, or a line is longer than any row.
    pub fn next(&mut self, sink: &mut impl Sink) -> Result<Option<LobsterRow>, ReadError> {
        if let Some(symbol) = self.symbol.take() {
            let mut definition = Definition::new(BOOK, &symbol, DECIMALS);
            (definition.currency, definition.product, definition.exchange_ns) = (*b"USD", 5, self.midnight_ns);
            for slot in definition.slots() {
                sink.push(slot);
            }
            return Ok(Some(LobsterRow { kind: KIND_DEFINITION, exchange_ns: self.midnight_ns, refused: None }));
        }
        let mut bytes = self.input.peek(LINE_MAX);
        let whole = bytes.len() >= LINE_MAX;
        bytes = &bytes[..bytes.len().min(LINE_MAX)];
        let (line, used) = match bytes.iter().position(|&byte| byte == b'\n') {
            Some(end) => (&bytes[..end], end + 1),
            None if bytes.is_empty() => return end_of(&mut self.input, "a row").map(|()| None),
            None if whole => {
                let offset = self.input.offset();
                return Err(ReadError::Damaged { offset, what: "a line longer than any row" });
            }
            // OK because the direction is the last field and has no prefix that is a direction too: a line without
            // its end that reads as a row is a whole one.
            None if parse(trim(bytes)).is_ok() => (bytes, bytes.len()),
            None => {
                end_of(&mut self.input, "a row")?;
                return Ok(None);
            }
        };
        self.rows += 1;
        let row = match parse(trim(line)) {
            Ok(row) => {
                let exchange_ns = self.midnight_ns + row.since_midnight_ns;
                let refused = slot(&row, exchange_ns, self.rows).map(|slot| sink.push(slot)).err();
                LobsterRow { kind: row.kind, exchange_ns, refused }
            }
            Err(field) => {
                LobsterRow { kind: b'?', exchange_ns: 0, refused: Some(Refused::BadField { kind: b'?', field }) }
            }
        };
        self.input.consume(used);
        Ok(Some(row))
    }

    /// The stream below.
    #[must_use]
    pub fn input(&self) -> &Input {
        &self.input
    }
}

struct Row {
    since_midnight_ns: u64,
    kind: u8,
    order_id: u64,
    size: u64,
    price: i64,
    side: Side,
}

fn trim(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Reads a line; the error names the field.
fn parse(line: &[u8]) -> Result<Row, &'static str> {
    let mut fields = line.split(|&byte| byte == b',');
    let mut field = |name| fields.next().ok_or(name);
    let since_midnight_ns = time(field("time")?).ok_or("time")?;
    let kind = match field("type")? {
        &[kind @ b'1'..=b'7'] => kind,
        _ => return Err("type"),
    };
    let order_id = field("order id")?;
    let order_id = match order_id.strip_prefix(b"-") {
        // No order but the kind of cross: -1 opening, -2 closing, -3 and -4 others ("Event type 6" of LOBSTER's help).
        Some(digits) if kind == b'6' => number(digits).map(|_| 0),
        _ => number(order_id),
    };
    let order_id = order_id.ok_or("order id")?;
    let size = number(field("size")?).ok_or("size")?;
    let price = field("price")?;
    let price = match price.strip_prefix(b"-") {
        Some(digits) => number(digits).and_then(|value| 0i64.checked_sub_unsigned(value)),
        None => number(price).and_then(|value| i64::try_from(value).ok()),
    };
    let price = price.ok_or("price")?;
    let side = match field("direction")? {
        b"1" => Side::Bid,
        b"-1" => Side::Ask,
        _ => return Err("direction"),
    };
    if fields.next().is_some() { Err("row") } else { Ok(Row { since_midnight_ns, kind, order_id, size, price, side }) }
}

fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |sum, &byte| {
        if !byte.is_ascii_digit() {
            return None;
        }
        sum.checked_mul(10)?.checked_add(u64::from(byte - b'0'))
    })
}

/// Nanoseconds of `34200.015105074`. Digits below the nanosecond are cut off: real files have a few rows whose time
/// went through a float on the way (`35821.088778456004`).
fn time(text: &[u8]) -> Option<u64> {
    let mut parts = text.splitn(2, |&byte| byte == b'.');
    let seconds = number(parts.next()?)?;
    if seconds >= 2 * 86_400 {
        return None;
    }
    let nanos = match parts.next() {
        None => 0,
        Some(decimals) => {
            let (decimals, below) = decimals.split_at(decimals.len().min(9));
            if !below.iter().all(u8::is_ascii_digit) {
                return None;
            }
            number(decimals)? * 10u64.pow(9 - decimals.len() as u32)
        }
    };
    Some(seconds * SECOND_NS + nanos)
}

fn slot(row: &Row, exchange_ns: Nanos, sequence: u64) -> Result<Slot, Refused> {
    let stamp = Stamp { book_id: BOOK, exchange_ns, received_ns: 0, sequence, channel_id: 0 };
    let (kind, order) = (row.kind, OrderId(row.order_id));
    if kind == b'7' {
        let (phase, name) = match row.price {
            -1 => (Phase::Halt, &b"HALT"[..]),
            0 => (Phase::VolatilityAuction, &b"QUOTING"[..]),
            1 => (Phase::Continuous, &b"TRADING"[..]),
            _ => return Err(Refused::BadField { kind, field: "price" }),
        };
        return Ok(State::new(stamp, phase, name).into());
    }
    let price = Price::from_decimal(row.price, DECIMALS).ok_or(Refused::BadField { kind, field: "price" })?;
    if row.size == 0 {
        return Err(Refused::BadField { kind, field: "size" });
    }
    // The file names no matches; the row does as well as any number that is its own.
    let trade =
        |rtype, conditions| Execution::new(rtype, stamp, row.side, order, sequence, price, row.size, conditions).into();
    Ok(match kind {
        b'1' => OrderEvent::add(stamp, row.side, order, price, row.size, 0).into(),
        b'2' => OrderEvent::cancel(stamp, row.side, order, row.size).into(),
        b'3' => OrderEvent::cancel(stamp, row.side, order, book::slot::QUANTITY_REST).into(),
        b'4' => trade(rtype::EXECUTION, 0),
        b'5' => trade(rtype::TRADE, conditions::HIDDEN),
        _ => trade(rtype::TRADE, conditions::CROSS),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use book::View;

    fn rows(text: &str) -> (Vec<LobsterRow>, Vec<Slot>, Option<ReadError>) {
        let input = Input::from_bytes(text.as_bytes().to_vec()).unwrap();
        let mut file = LobsterFile::new(input, "GOOG_2012-06-21_34200000_57600000_message_10.csv");
        let (mut rows, mut slots) = (Vec::new(), Vec::new());
        loop {
            match file.next(&mut |slot| slots.push(slot)) {
                Ok(Some(row)) => rows.push(row),
                Ok(None) => return (rows, slots, None),
                Err(error) => return (rows, slots, Some(error)),
            }
        }
    }

    #[test]
    fn a_row_becomes_the_slot_it_means() {
        let (rows, slots, error) =
            rows("34200.015105074,4,15818974,4,5794000,1\n34200.05990197,1,7,300,5794100,-1\r\n");
        assert!(error.is_none());
        assert_eq!(rows.len(), 3);
        let View::Symbol(symbol) = slots[0].view() else { panic!("{:?}", slots[0]) };
        assert_eq!(book::slot::text(&symbol.symbol), "GOOG");
        let View::Execution(executed) = slots[4].view() else { panic!("{:?}", slots[4]) };
        // 21 June 2012, 09:30 in New York is 13:30 UTC.
        assert_eq!(executed.exchange_ns, 1_340_285_400_015_105_074);
        assert_eq!((executed.order_id, executed.quantity, executed.side()), (15_818_974, 4, Side::Bid));
        assert_eq!(Price(executed.price).to_string(), "579.40");
        let View::Order(added) = slots[5].view() else { panic!("{:?}", slots[5]) };
        assert_eq!((added.exchange_ns, added.side()), (1_340_285_400_059_901_970, Side::Ask));
    }

    #[test]
    fn a_bad_row_is_refused_and_the_next_one_is_read() {
        for bad in [
            "x,1,1,1,1,1",
            "1.000000000x,1,1,1,1,1",
            "1,8,1,1,1,1",
            "1,1,,1,1,1",
            "1,1,-1,1,1,1",
            "1,1,1,-1,1,1",
            "1,1,1,1,99999999999999999999,1",
            "1,1,1,1,1,2",
            "1,1,1,1,1",
            "1,1,1,1,1,1,1",
            "1,1,1,0,1,1",
            "1,7,0,0,5,1",
            "",
        ] {
            let (rows, slots, error) = rows(&format!("{bad}\n2,1,1,1,1,1\n"));
            assert!(error.is_none(), "{bad}");
            assert!(rows[1].refused.is_some(), "{bad}");
            assert_eq!((rows.len(), slots.len()), (3, 5), "{bad}");
        }
    }

    #[test]
    fn a_cut_row_is_told_and_a_last_line_without_its_end_is_a_row() {
        let text = "34200.5,1,1,10,5794000,-1";
        for cut in 1..text.len() {
            let (rows, slots, error) = rows(&text[..cut]);
            assert_eq!((rows.len(), slots.len()), (1, 4), "cut at {cut}");
            assert!(matches!(error, Some(ReadError::Truncated { offset: 0, .. })), "cut at {cut}");
        }
        assert_eq!(rows(text).0.len(), 2);
        assert!(matches!(rows(&"1".repeat(300)).2, Some(ReadError::Damaged { .. })));
    }
}
