//! The shares of the simulated exchange: tickers, names, ISINs and first base prices.
//!
//! Base prices are invented but plausible, and chosen so that every band of the tick table occurs.

use super::ticks::Milli;

/// A share as the directory announces it.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    /// Ticker without the feature suffix.
    pub ticker: &'static str,
    /// Company, ASCII, at most 32 bytes.
    pub name: &'static str,
    /// Base price of the first simulated day.
    pub base: Milli,
    /// ISIN where a commonly quoted one with a right check digit is known; otherwise one is made.
    pub known_isin: Option<&'static str>,
    /// Sensitivity to the market's common factor, in hundredths.
    pub beta_percent: u16,
}

const fn share(
    ticker: &'static str,
    name: &'static str,
    base: Milli,
    known_isin: Option<&'static str>,
    beta_percent: u16,
) -> Share {
    Share { ticker, name, base, known_isin, beta_percent }
}

/// All shares, busiest first: activity falls with the place by Zipf's law. The 30 of BIST 30 (October to December
/// 2026) and 20 more.
pub const SHARES: [Share; 50] = [
    share("THYAO", "TURK HAVA YOLLARI", 312_500, Some("TRATHYAO91M5"), 110),
    share("GARAN", "GARANTI BANKASI", 142_300, Some("TRAGARAN91N1"), 120),
    share("ASELS", "ASELSAN", 265_250, Some("TRAASELS91H2"), 80),
    share("AKBNK", "AKBANK", 68_350, Some("TRAAKBNK91N6"), 125),
    share("ISCTR", "IS BANKASI (C)", 14_560, Some("TRAISCTR91N2"), 125),
    share("YKBNK", "YAPI VE KREDI BANKASI", 34_600, None, 130),
    share("EREGL", "EREGLI DEMIR CELIK", 25_840, Some("TRAEREGL91G3"), 95),
    share("TUPRS", "TUPRAS", 225_600, Some("TRATUPRS91E8"), 90),
    share("KCHOL", "KOC HOLDING", 172_400, Some("TRAKCHOL91Q8"), 105),
    share("SASA", "SASA POLYESTER", 2_750, None, 115),
    share("PGSUS", "PEGASUS", 198_700, None, 115),
    share("BIMAS", "BIM MAGAZALAR", 612_500, Some("TREBIMM00018"), 70),
    share("SISE", "SISE CAM", 39_900, None, 95),
    share("SAHOL", "SABANCI HOLDING", 94_550, None, 105),
    share("EKGYO", "EMLAK KONUT GMYO", 21_000, None, 120),
    share("ASTOR", "ASTOR ENERJI", 118_400, None, 100),
    share("TCELL", "TURKCELL", 98_850, None, 75),
    share("KRDMD", "KARDEMIR (D)", 28_960, None, 110),
    share("FROTO", "FORD OTOSAN", 101_300, None, 85),
    share("PETKM", "PETKIM", 19_620, None, 105),
    share("VAKBN", "VAKIFLAR BANKASI", 29_420, None, 125),
    share("TRALT", "TURK ALTIN ISLETMELERI", 33_180, None, 60),
    share("GUBRF", "GUBRE FABRIKALARI", 388_750, None, 100),
    share("MGROS", "MIGROS TICARET", 545_500, None, 75),
    share("TTKOM", "TURK TELEKOM", 61_200, Some("TRETTLK00013"), 80),
    share("TOASO", "TOFAS OTO FABRIKASI", 261_000, None, 90),
    share("ENKAI", "ENKA INSAAT", 83_700, None, 80),
    share("TAVHL", "TAV HAVALIMANLARI", 318_250, None, 90),
    share("AEFES", "ANADOLU EFES", 15_620, None, 80),
    share("TRMET", "TR ANADOLU METAL MADENCILIK", 96_100, None, 65),
    share("HALKB", "HALK BANKASI", 41_180, None, 120),
    share("HEKTS", "HEKTAS", 3_380, None, 110),
    share("DSTKF", "DESTEK FINANS FAKTORING", 845_500, None, 60),
    share("KONTR", "KONTROLMATIK TEKNOLOJI", 10_240, None, 110),
    share("BRSAN", "BORUSAN BORU", 487_250, None, 95),
    share("TSKB", "T.S.K.B.", 12_880, None, 115),
    share("ODAS", "ODAS ELEKTRIK", 5_120, None, 110),
    share("DOHOL", "DOGAN HOLDING", 18_500, None, 95),
    share("ULKER", "ULKER BISKUVI", 128_100, None, 80),
    share("ARCLK", "ARCELIK", 112_600, None, 85),
    share("CIMSA", "CIMSA CIMENTO", 47_900, None, 85),
    share("OYAKC", "OYAK CIMENTO", 22_700, None, 85),
    share("ALARK", "ALARKO HOLDING", 88_400, None, 90),
    share("ZOREN", "ZORLU ENERJI", 2_040, None, 110),
    share("CCOLA", "COCA COLA ICECEK", 57_300, None, 70),
    share("SOKM", "SOK MARKETLER", 52_850, None, 75),
    share("OTKAR", "OTOKAR", 512_000, None, 80),
    share("BRYAT", "BORUSAN YATIRIM", 2_148_000, None, 85),
    share("CLEBI", "CELEBI HAVA SERVISI", 1_720_000, None, 80),
    share("EGEEN", "EGE ENDUSTRI", 7_450_000, None, 80),
];

impl Share {
    /// The twelve characters of the ISIN: the known one, or a made one of the share pattern (`TRA`, five characters
    /// of the ticker, `91`, a class letter) with a right check digit.
    #[must_use]
    pub fn isin(&self) -> [u8; 12] {
        let mut isin = *b"TRAXXXXX91S0";
        match self.known_isin {
            Some(known) if known.len() == 12 => isin.copy_from_slice(known.as_bytes()),
            _ => {
                for (place, letter) in isin[3..8].iter_mut().zip(self.ticker.bytes()) {
                    *place = letter;
                }
                isin[11] = b'0' + check_digit(&isin[..11]);
            }
        }
        isin
    }
}

/// The last digit of an ISIN (ISO 6166: letters count 10..=35, then Luhn). Characters other than `A-Z` and `0-9`
/// count as 0.
#[must_use]
pub fn check_digit(first_eleven: &[u8]) -> u8 {
    let mut digits = Vec::with_capacity(22);
    for &byte in first_eleven {
        match byte {
            b'0'..=b'9' => digits.push(byte - b'0'),
            b'A'..=b'Z' => digits.extend([(byte - b'A' + 10) / 10, (byte - b'A' + 10) % 10]),
            _ => digits.push(0),
        }
    }
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, &digit)| {
            let doubled = if place % 2 == 0 { digit * 2 } else { digit };
            u32::from(if doubled > 9 { doubled - 9 } else { doubled })
        })
        .sum();
    ((10 - sum % 10) % 10) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::exchange::ticks;
    use std::collections::BTreeSet;

    #[test]
    fn known_isins_have_right_check_digits() {
        for known in [
            "TRATHYAO91M5",
            "TRAAKBNK91N6",
            "TRAGARAN91N1",
            "TRAISCTR91N2",
            "TRAASELS91H2",
            "TRETTLK00013",
            "TREBIMM00018",
            "TRAKCHOL91Q8",
            "TRAEREGL91G3",
            "TRATUPRS91E8",
            "TRAIMKB00028",
        ] {
            let bytes = known.as_bytes();
            assert_eq!(check_digit(&bytes[..11]), bytes[11] - b'0', "{known}");
        }
    }

    #[test]
    fn all_of_bist_30_is_there_and_every_tick_band_occurs() {
        let bist_30 = "AEFES AKBNK ASELS ASTOR BIMAS EKGYO ENKAI EREGL FROTO GARAN GUBRF ISCTR KCHOL KRDMD MGROS PETKM \
                       PGSUS SAHOL SASA SISE TAVHL TCELL THYAO TOASO TRALT TRMET TTKOM TUPRS VAKBN YKBNK";
        let tickers: BTreeSet<_> = SHARES.iter().map(|share| share.ticker).collect();
        assert_eq!(tickers.len(), SHARES.len(), "no ticker twice");
        for ticker in bist_30.split_whitespace() {
            assert!(tickers.contains(ticker), "{ticker}");
        }
        let ticks: BTreeSet<_> = SHARES.iter().map(|share| ticks::tick_at(share.base)).collect();
        assert_eq!(ticks.len(), book::exchange::ticks::SHARES.bands.len());
        let isins: BTreeSet<_> = SHARES.iter().map(Share::isin).collect();
        assert_eq!(isins.len(), SHARES.len());
        for share in &SHARES {
            assert!(ticks::is_valid(share.base), "{}", share.ticker);
            assert!(share.name.is_ascii() && share.name.len() <= 32);
            assert_eq!(check_digit(&share.isin()[..11]), share.isin()[11] - b'0', "{}", share.ticker);
        }
    }
}
