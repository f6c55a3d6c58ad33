//! The number of a Turkish citizen (T.C. Kimlik No): its form and its two check digits. Never says whose it is, and
//! keeps none.

/// Digits of a number.
pub const DIGITS: usize = 11;

/// Whether `text` can be such a number: eleven ASCII digits, the first not 0, the last two as the first nine demand
/// (the tenth: seven times the odd places less the even ones, modulo 10; the last: the sum of the ten, modulo 10).
#[must_use]
pub fn is_valid(text: &str) -> bool {
    let bytes = text.as_bytes();
    if bytes.len() != DIGITS || bytes[0] == b'0' || !bytes.iter().all(u8::is_ascii_digit) {
        return false;
    }
    let digit = |at: usize| i32::from(bytes[at] - b'0');
    let odd: i32 = (0..9).step_by(2).map(digit).sum();
    let even: i32 = (1..8).step_by(2).map(digit).sum();
    let tenth = (7 * odd - even).rem_euclid(10);
    digit(9) == tenth && digit(10) == (odd + even + tenth) % 10
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A valid number with these first nine digits, by the other wording of the rule: the tenth digit makes
    /// 7 × odd + 9 × even ≡ d10, and the last makes 8 × odd ≡ d11 (both modulo 10).
    fn number(first: [u8; 9]) -> String {
        let sum = |from: usize| first.iter().skip(from).step_by(2).map(|&digit| u32::from(digit)).sum::<u32>();
        let (odd, even) = (sum(0), sum(1));
        let (tenth, last) = ((7 * odd + 9 * even) % 10, 8 * odd % 10);
        first.iter().map(|&digit| u32::from(digit)).chain([tenth, last]).map(|digit| digit.to_string()).collect()
    }

    fn first() -> impl Strategy<Value = [u8; 9]> {
        prop::array::uniform9(0u8..10).prop_filter("the first digit is not 0", |digits| digits[0] != 0)
    }

    #[test]
    fn known_numbers() {
        // The example that is in public use, and near ones.
        assert!(is_valid("10000000146"));
        for bad in
            ["10000000147", "10000000156", "01000000046", "1000000014", "100000001460", "1000000014a", "", "١٠٠٠٠٠"]
        {
            assert!(!is_valid(bad), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_number_made_by_the_rule_is_valid(first in first()) {
            prop_assert!(is_valid(&number(first)));
        }

        #[test]
        fn one_wrong_digit_is_seen(first in first(), at in 0usize..DIGITS, by in 1u8..10) {
            let mut bytes = number(first).into_bytes();
            bytes[at] = b'0' + (bytes[at] - b'0' + by) % 10;
            prop_assert!(!is_valid(std::str::from_utf8(&bytes).unwrap()));
        }

        #[test]
        fn no_text_brings_it_down(text in "\\PC{0,16}") {
            let _ = is_valid(&text);
        }
    }
}
