//! Symbols as people write them: in any case, with Turkish letters or plain ones, and with a letter wrong.
//!
//! Compares texts; knows no book. REST and WebSocket find symbols by the same rules.

/// Longest symbol on the wire (BISTECH ITCH 2112, message R), in bytes.
const NAME_BYTES_MAX: usize = 32;

/// Letters that may differ in a near match.
const EDITS_MAX: usize = 2;

/// Lower case, and Turkish letters as their plain ones: `İŞ`, `iş`, `IS` and `ıs` are all `is`.
#[must_use]
pub fn fold(text: &str) -> String {
    text.chars()
        .flat_map(char::to_lowercase)
        .filter_map(|letter| match letter {
            'ı' => Some('i'),
            'ş' => Some('s'),
            'ç' => Some('c'),
            'ğ' => Some('g'),
            'ö' => Some('o'),
            'ü' => Some('u'),
            '\u{307}' => None, // the dot that `İ` leaves behind in lower case
            other => Some(other),
        })
        .collect()
}

/// The ticker of a name, folded: `GARAN`, `garan.e` and `GARAN.E` are all `garan`.
#[must_use]
pub fn folded_ticker(name: &str) -> String {
    let folded = fold(name);
    match folded.strip_suffix(".e") {
        Some(ticker) => ticker.to_owned(),
        None => folded,
    }
}

/// Up to `names_max` of `tickers` (each folded, and as it is shown) that somebody who wrote `name` may have meant, nearest
/// first. Looks at all of them.
#[must_use]
pub fn near<'a>(
    name: &str,
    tickers: impl Iterator<Item = (impl AsRef<str>, &'a str)>,
    names_max: usize,
) -> Vec<String> {
    let name = folded_ticker(name);
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return Vec::new();
    }
    let mut near: Vec<(usize, &str)> =
        tickers.filter_map(|(folded, shown)| Some((likeness(&name, folded.as_ref())?, shown))).collect();
    near.sort_unstable();
    near.truncate(names_max);
    near.into_iter().map(|(_, ticker)| ticker.to_owned()).collect()
}

/// How far `ticker` is from `name`; `None`: too far.
fn likeness(name: &str, ticker: &str) -> Option<usize> {
    if ticker.starts_with(name) || (name.starts_with(ticker) && ticker.len() > 2) {
        return Some(1);
    }
    // OK because half the letters of a short name are no likeness
    let edits_max = EDITS_MAX.min(name.len() / 2);
    if name.len().abs_diff(ticker.len()) > edits_max {
        return None;
    }
    let distance = distance(name, ticker, EDITS_MAX + 1);
    (distance <= edits_max).then_some(distance)
}

/// Levenshtein distance over bytes, `at_most` when it is that or more.
fn distance(a: &str, b: &str, at_most: usize) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len().abs_diff(b.len()) >= at_most || b.len() > NAME_BYTES_MAX {
        return at_most;
    }
    let mut row: [usize; NAME_BYTES_MAX + 1] = std::array::from_fn(|at| at);
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let next = (diagonal + usize::from(x != y)).min(row[j] + 1).min(row[j + 1] + 1);
            diagonal = std::mem::replace(&mut row[j + 1], next);
        }
    }
    row[b.len()].min(at_most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turkish_letters_and_case_do_not_matter() {
        assert_eq!(fold("İŞ BANKASI"), "is bankasi");
        assert_eq!(fold("iş bankası"), "is bankasi");
        assert_eq!(fold("ÇĞÖÜ"), "cgou");
        for name in ["ISCTR", "isctr", "İSCTR", "ısctr", "isctr.e", "ISCTR.E"] {
            assert_eq!(folded_ticker(name), "isctr", "{name}");
        }
    }

    #[test]
    fn the_distance_counts_letters() {
        assert_eq!(distance("garan", "garan", 3), 0);
        assert_eq!(distance("garn", "garan", 3), 1);
        assert_eq!(distance("gaarn", "garan", 3), 2);
        assert_eq!(distance("thyao", "garan", 3), 3);
        assert_eq!(distance("", "ab", 3), 2);
    }

    #[test]
    fn the_nearest_come_first_and_unlike_ones_never() {
        let all = ["AKBNK", "GARAN", "GARFA", "GARANX", "THYAO"];
        let near = |name: &str| near(name, all.iter().map(|&ticker| (fold(ticker), ticker)), 2);
        assert_eq!(near("garn"), ["GARAN", "GARANX"]);
        assert_eq!(near("GARANY.E"), ["GARAN", "GARANX"]);
        assert!(near("qqqq").is_empty() && near("").is_empty() && near(&"x".repeat(40)).is_empty());
    }
}
