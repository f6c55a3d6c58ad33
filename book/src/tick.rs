//! Tick tables: which prices are valid, and the day's price band.
//!
//! Never allocates: a table holds at most [`TICK_BANDS_MAX`] bands (a BIST share has at most two inside its daily
//! band, the exchange's whole table eight); more are refused and the caller counts it.

use crate::slot::TickBand;
use crate::types::Price;

/// Bands a table can hold.
pub const TICK_BANDS_MAX: usize = 16;

/// One band: prices `from..=to` in steps of `tick`, all in 10⁻⁹ units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Band {
    /// First price.
    pub from: Price,
    /// Last price; [`Price::NONE`] = no upper end.
    pub to: Price,
    /// Step, above 0.
    pub tick: i64,
}

/// The tick table of one book, bands in the order they came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TickTable {
    bands: [Band; TICK_BANDS_MAX],
    count: u8,
}

impl TickTable {
    /// The bands.
    #[must_use]
    pub fn bands(&self) -> &[Band] {
        &self.bands[..usize::from(self.count)]
    }

    /// Adds a band; a band that is already there changes nothing.
    ///
    /// # Errors
    /// The table is full, or the band makes no sense (tick below 1, end before start, prices beyond ±4.6 billion units).
    pub fn add(&mut self, record: &TickBand) -> Result<(), BadBand> {
        let band = Band { from: Price(record.from), to: Price(record.to), tick: record.tick };
        // Half the range: differences of two prices then never overflow.
        let sane = |price: i64| price.unsigned_abs() <= i64::MAX.unsigned_abs() / 2;
        if band.tick < 1 || band.to < band.from || !sane(record.from) || (band.to.is_some() && !sane(record.to)) {
            return Err(BadBand);
        }
        if self.bands().contains(&band) {
            return Ok(());
        }
        let Some(place) = self.bands.get_mut(usize::from(self.count)) else { return Err(BadBand) };
        *place = band;
        self.count += 1;
        Ok(())
    }

    /// Forgets all bands.
    pub fn clear(&mut self) {
        self.count = 0;
    }

    /// Lowest and highest price of the table, when it has an upper end: the day's price band.
    #[must_use]
    pub fn span(&self) -> Option<(Price, Price)> {
        let low = self.bands().iter().map(|band| band.from).min()?;
        let high = self.bands().iter().map(|band| band.to).max()?;
        high.is_some().then_some((low, high))
    }

    /// The tick at `price`, in 10⁻⁹ units; `None` outside all bands. Where bands touch, the later one counts.
    #[must_use]
    pub fn tick_at(&self, price: Price) -> Option<i64> {
        self.bands().iter().rev().find(|band| band.from <= price && price <= band.to).map(|band| band.tick)
    }

    /// The largest step that reaches every valid price from the lowest one, in 10⁻⁹ units.
    #[must_use]
    pub fn common_step(&self) -> Option<i64> {
        let (low, _) = self.span()?;
        let step = self.bands().iter().fold(0, |step, band| gcd(gcd(step, band.tick), band.from.0 - low.0));
        (step > 0).then_some(step)
    }
}

/// A band that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadBand;

const fn gcd(a: i64, b: i64) -> i64 {
    let (mut a, mut b) = (a.unsigned_abs(), b.unsigned_abs());
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slot::{Slot, flags, rtype};

    fn band(from: i64, to: i64, tick: i64) -> TickBand {
        TickBand {
            length: 16,
            rtype: rtype::TICK_BAND,
            flags: flags::LAST,
            side: b'N',
            book_id: 1,
            exchange_ns: 0,
            seq: 0,
            received_ns: 0,
            tick,
            from,
            to,
            reference: Price::NONE.0,
        }
    }

    #[test]
    fn two_bands_make_one_grid() {
        let mut table = TickTable::default();
        table.add(&band(1_665, 1_999, 1)).unwrap();
        table.add(&band(2_000, 2_034, 2)).unwrap();
        table.add(&band(2_000, 2_034, 2)).unwrap();
        assert_eq!(table.bands().len(), 2);
        assert_eq!(table.span(), Some((Price(1_665), Price(2_034))));
        assert_eq!(table.common_step(), Some(1));
        assert_eq!(table.tick_at(Price(1_999)), Some(1));
        assert_eq!(table.tick_at(Price(2_000)), Some(2));
        assert_eq!(table.tick_at(Price(2_035)), None);
    }

    #[test]
    fn an_open_end_is_no_price_band() {
        let mut table = TickTable::default();
        table.add(&band(0, Price::NONE.0, 5)).unwrap();
        assert_eq!(table.span(), None);
        assert_eq!(table.tick_at(Price(15)), Some(5));
    }

    #[test]
    fn a_senseless_band_is_refused() {
        let mut table = TickTable::default();
        assert_eq!(table.add(&band(0, 10, 0)), Err(BadBand));
        assert_eq!(table.add(&band(10, 9, 1)), Err(BadBand));
        for n in 0..TICK_BANDS_MAX as i64 {
            table.add(&band(n, n, 1)).unwrap();
        }
        assert_eq!(table.add(&band(99, 100, 1)), Err(BadBand));
        let _ = Slot::from(band(0, 1, 1));
    }
}
