//! All symbols by name: what is searched and looked up without touching the replica.
//!
//! Made anew by the view thread when a definition came; never changed afterwards.

use std::collections::HashMap;

use book::BookId;
use book::names::{self, fold, folded_ticker};
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
        self.by_name.get(&folded_ticker(name)).map(|&at| self.entries[at].book_id)
    }

    /// Symbols whose ticker, own name, long name or ISIN contains `text`, in any case; all for an empty text.
    pub fn search(&self, text: &str) -> impl Iterator<Item = &DirectoryEntry> {
        let text = fold(text);
        self.entries.iter().filter(move |entry| entry.searched.contains(&text))
    }

    /// Up to `names_max` tickers that somebody who wrote `name` may have meant, nearest first.
    #[must_use]
    pub fn near(&self, name: &str, names_max: usize) -> Vec<String> {
        names::near(name, self.entries.iter().map(|entry| (fold(&entry.ticker), entry.ticker.as_str())), names_max)
    }
}
