//! The four slots of a definition, for formats that name their instruments without a directory message.

use book::Slot;
use book::slot::{Contract, LongName, Symbol, Terms, flags, rtype};
use book::types::{BookId, Nanos, Price};

/// What such a format knows of an instrument.
#[derive(Clone, Copy, Debug)]
pub struct Definition<'a> {
    pub book_id: BookId,
    pub exchange_ns: Nanos,
    pub received_ns: Nanos,
    /// Cut at 32 bytes.
    pub symbol: &'a str,
    /// ISO 4217 code; zeros when not known.
    pub currency: [u8; 3],
    /// As in BISTECH R, offset 85; 0 = not stated.
    pub product: u8,
    /// 0..=9.
    pub price_decimals: u8,
    /// 0 none, 1 call, 2 put.
    pub option_type: u8,
    pub round_lot: u32,
    /// YYYYMMDD, 0 = none.
    pub expiration: u32,
    pub underlying_book_id: u32,
    pub strike: Price,
}

impl<'a> Definition<'a> {
    pub fn new(book_id: BookId, symbol: &'a str, price_decimals: u8) -> Self {
        Self {
            book_id,
            exchange_ns: 0,
            received_ns: 0,
            symbol,
            currency: [0; 3],
            product: 0,
            price_decimals: price_decimals.min(Price::DECIMALS),
            option_type: 0,
            round_lot: 1,
            expiration: 0,
            underlying_book_id: 0,
            strike: Price::NONE,
        }
    }

    pub fn slots(&self) -> [Slot; 4] {
        let mut symbol = [b' '; 32];
        let length = self.symbol.len().min(symbol.len());
        symbol[..length].copy_from_slice(&self.symbol.as_bytes()[..length]);
        let (book_id, exchange_ns, received_ns) = (self.book_id.0, self.exchange_ns, self.received_ns);
        let (length, side, seq) = (16, b'N', 0);
        [
            Symbol { length, rtype: rtype::SYMBOL, flags: 0, side, book_id, exchange_ns, seq, received_ns, symbol }
                .into(),
            LongName {
                length,
                rtype: rtype::LONG_NAME,
                flags: 0,
                side,
                book_id,
                exchange_ns,
                seq,
                received_ns,
                name: symbol,
            }
            .into(),
            Terms {
                length,
                rtype: rtype::TERMS,
                flags: 0,
                side,
                book_id,
                exchange_ns,
                seq,
                received_ns,
                isin: [b' '; 12],
                currency: self.currency,
                product: self.product,
                price_decimals: self.price_decimals,
                legs: 0,
                option_type: self.option_type,
                ranking_type: 1,
                round_lot: self.round_lot,
                expiration: self.expiration,
                underlying_book_id: self.underlying_book_id,
            }
            .into(),
            Contract {
                length,
                rtype: rtype::CONTRACT,
                flags: flags::LAST,
                side,
                book_id,
                exchange_ns,
                seq,
                received_ns,
                strike: self.strike.0,
                nominal: 0,
                odd_lot: 0,
                block_lot: 0,
                nominal_decimals: 0,
                reserved: [0; 6],
            }
            .into(),
        ]
    }
}
