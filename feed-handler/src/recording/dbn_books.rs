//! Which book a DBN record belongs to: by publisher, instrument and date.
//!
//! A file of a consolidated dataset has several venues that share instrument and order numbers; each has a book of its
//! own. A continuous contract is one symbol and another instrument from a day on; it is one book, emptied on that day.
//! Everything else keeps its instrument number as its book.

use std::collections::HashMap;

use book::{BookId, Nanos};
use dbn::{MappingInterval, Metadata, SType};

use crate::decode::sink::Refused;

/// Most books that get a number of ours because their instrument's is taken: as many as a market can have.
const OWN_BOOKS_MAX: u32 = 65_535;
const SECOND_NS: u64 = 1_000_000_000;

/// A time in which an instrument is behind a book that is not simply its own number.
#[derive(Clone, Copy, Debug)]
struct Dated {
    from_ns: Nanos,
    to_ns: Nanos,
    book_id: u32,
}

/// Where a record belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its book.
    pub book_id: u32,
    /// The book was never met before, and is another publisher's of this one: it needs a definition.
    pub new_beside: Option<u32>,
    /// Another instrument is behind the book from this record on.
    pub rolled: bool,
}

/// The books of one file.
#[derive(Debug, Default)]
pub struct DbnBooks {
    /// By instrument; only those whose book is not always their own number.
    dated: HashMap<u32, Vec<Dated>>,
    /// The instrument that is behind a publisher's dated book now.
    behind: HashMap<(u16, u32), u32>,
    /// The publisher that came first, by book: it has the book of that number.
    first: HashMap<u32, u16>,
    /// Books of the publishers that came later.
    beside: HashMap<(u16, u32), u32>,
    own_books: u32,
    names: HashMap<u32, String>,
}

impl DbnBooks {
    /// Reads the symbol mappings; also gives each book with its symbol, in the order of its number.
    pub fn new(metadata: &Metadata) -> (Self, Vec<(BookId, String)>) {
        let mut symbols: HashMap<&str, Vec<(u32, Dated)>> = HashMap::new();
        for mapping in &metadata.mappings {
            for interval in &mapping.intervals {
                let (symbol, instrument) = match (metadata.stype_out, metadata.stype_in) {
                    (SType::InstrumentId, _) => (&mapping.raw_symbol, &interval.symbol),
                    (_, Some(SType::InstrumentId)) => (&interval.symbol, &mapping.raw_symbol),
                    _ => continue,
                };
                if let Ok(instrument) = instrument.parse() {
                    symbols.entry(symbol.as_str()).or_default().push((instrument, dated(interval)));
                }
            }
        }
        let mut sorted: Vec<_> = symbols.into_iter().collect();
        for (_, intervals) in &mut sorted {
            intervals.sort_by_key(|&(instrument, dated)| (dated.from_ns, instrument));
        }
        // Whoever has a number first, by date and name, keeps it.
        sorted.sort_by_key(|(symbol, intervals)| (intervals[0].1.from_ns, intervals[0].0, *symbol));
        let (mut books, mut named) = (Self::default(), Vec::new());
        let mut all: HashMap<u32, Vec<Dated>> = HashMap::new();
        for (symbol, intervals) in sorted {
            let instrument = intervals[0].0;
            let book_id = if books.names.contains_key(&instrument) { books.own_book() } else { Some(instrument) };
            let Some(book_id) = book_id else { break };
            books.names.insert(book_id, symbol.to_owned());
            named.push((BookId(book_id), symbol.to_owned()));
            for (instrument, dated) in intervals {
                all.entry(instrument).or_default().push(Dated { book_id, ..dated });
            }
        }
        all.retain(|&instrument, times| times.iter().any(|dated| dated.book_id != instrument));
        // A book that an instrument leaves or enters is a dated one for all that are ever behind it.
        books.dated = all;
        named.sort_by_key(|&(book_id, _)| book_id);
        (books, named)
    }

    /// Where a record of `instrument` at `now_ns` belongs.
    ///
    /// # Errors
    /// More books share the numbers of others than a market can have.
    pub fn place(&mut self, publisher: u16, instrument: u32, now_ns: Nanos) -> Result<Place, Refused> {
        let (base, rolled) = self.dated_book(publisher, instrument, now_ns);
        let first = *self.first.entry(base).or_insert(publisher);
        if first == publisher {
            return Ok(Place { book_id: base, new_beside: None, rolled });
        }
        if let Some(&book_id) = self.beside.get(&(publisher, base)) {
            return Ok(Place { book_id, new_beside: None, rolled });
        }
        let bad = Refused::BadField { kind: b'?', field: "publisher" };
        let book_id = self.own_book().ok_or(bad)?;
        self.beside.insert((publisher, base), book_id);
        Ok(Place { book_id, new_beside: Some(base), rolled: false })
    }

    /// The book of an instrument at a time, and whether another instrument was behind it before.
    fn dated_book(&mut self, publisher: u16, instrument: u32, now_ns: Nanos) -> (u32, bool) {
        if self.dated.is_empty() {
            return (instrument, false);
        }
        let times = self.dated.get(&instrument).into_iter().flatten();
        let mut found = times.filter(|dated| (dated.from_ns..dated.to_ns).contains(&now_ns));
        let book_id = found.next().map_or(instrument, |dated| dated.book_id);
        let rolled = self.behind.insert((publisher, book_id), instrument).is_some_and(|before| before != instrument);
        (book_id, rolled)
    }

    /// The symbol of a book, once it was named.
    pub fn name(&self, book_id: u32) -> Option<&str> {
        self.names.get(&book_id).map(String::as_str)
    }

    /// A number that no instrument of the file is likely to have: downwards from the highest.
    fn own_book(&mut self) -> Option<u32> {
        if self.own_books == OWN_BOOKS_MAX {
            return None;
        }
        self.own_books += 1;
        Some(u32::MAX - self.own_books)
    }
}

fn dated(interval: &MappingInterval) -> Dated {
    // Days of UTC, the second one exclusive.
    let midnight_ns = |seconds: i64| u64::try_from(seconds).unwrap_or(0).saturating_mul(SECOND_NS);
    let from_ns = midnight_ns(interval.start_date.midnight().assume_utc().unix_timestamp());
    let to_ns = midnight_ns(interval.end_date.midnight().assume_utc().unix_timestamp());
    Dated { from_ns, to_ns, book_id: 0 }
}
