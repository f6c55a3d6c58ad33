//! All symbols by name: what is searched and looked up without touching the replica.
//!
//! Made anew by the view thread when a definition came; never changed afterwards.

use std::collections::HashMap;

use book::BookId;
use book::replica::Replica;

/// All symbols, sorted by ticker: what is searched and looked up without touching the replica.
#[derive(Debug, Default)]
pub struct Directory {
    entries: Vec<DirectoryEntry>,
    by_name: HashMap<String, usize>,
}

/// One symbol of the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryEntry {
    /// Its book.
    pub book_id: BookId,
    /// The name outside.
    pub ticker: String,
    /// Ticker, the exchange's own name, long name and ISIN, folded by [`fold`].
    searched: String,
}

impl Directory {
    pub(crate) fn of(replica: &Replica) -> Self {
        let mut entries: Vec<DirectoryEntry> = replica
            .books()
            .iter()
            .filter(|book| !book.definition.symbol.is_empty())
            .map(|book| {
                let definition = &book.definition;
                DirectoryEntry {
                    book_id: book.book_id,
                    ticker: definition.ticker().to_owned(),
                    searched: [&definition.symbol, &definition.name, &definition.isin]
                        .map(|text| fold(text))
                        .join("\n"),
                }
            })
            .collect();
        entries.sort_by(|a, b| a.ticker.cmp(&b.ticker).then(a.book_id.cmp(&b.book_id)));
        let by_name = entries.iter().enumerate().map(|(at, entry)| (fold(&entry.ticker), at)).collect();
        Self { entries, by_name }
    }

    /// Every symbol, sorted by ticker.
    #[must_use]
    pub fn entries(&self) -> &[DirectoryEntry] {
        &self.entries
    }

    /// The book called `name`: ticker or the exchange's own name, in any case.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<BookId> {
        let folded = fold(name);
        let ticker = folded.strip_suffix(".e").unwrap_or(&folded);
        self.by_name.get(ticker).map(|&at| self.entries[at].book_id)
    }

    /// Symbols whose ticker, own name, long name or ISIN contains `text`, in any case; all for an empty text.
    pub fn search(&self, text: &str) -> impl Iterator<Item = &DirectoryEntry> {
        let text = fold(text);
        self.entries.iter().filter(move |entry| entry.searched.contains(&text))
    }

    /// Up to `names_max` tickers that somebody who wrote `name` may have meant, nearest first.
    #[must_use]
    pub fn near(&self, name: &str, names_max: usize) -> Vec<String> {
        let folded = fold(name);
        let name = folded.strip_suffix(".e").unwrap_or(&folded);
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return Vec::new();
        }
        let mut near: Vec<(usize, &str)> = self
            .entries
            .iter()
            .filter_map(|entry| {
                let ticker = fold(&entry.ticker);
                if ticker.starts_with(name) || (name.starts_with(&ticker) && ticker.len() > 2) {
                    return Some((1, entry.ticker.as_str()));
                }
                let distance = distance(name, &ticker, EDITS_MAX + 1);
                // OK because half the letters of a short name are no likeness
                (distance <= EDITS_MAX.min(name.len() / 2)).then_some((distance, entry.ticker.as_str()))
            })
            .collect();
        near.sort_unstable();
        near.truncate(names_max);
        near.into_iter().map(|(_, ticker)| ticker.to_owned()).collect()
    }
}

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

/// Levenshtein distance over bytes, `at_most` when it is that or more.
fn distance(a: &str, b: &str, at_most: usize) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len().abs_diff(b.len()) >= at_most {
        return at_most;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
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
    }

    #[test]
    fn the_distance_counts_letters() {
        assert_eq!(distance("garan", "garan", 3), 0);
        assert_eq!(distance("garn", "garan", 3), 1);
        assert_eq!(distance("gaarn", "garan", 3), 2);
        assert_eq!(distance("thyao", "garan", 3), 3);
        assert_eq!(distance("", "ab", 3), 2);
    }
}
