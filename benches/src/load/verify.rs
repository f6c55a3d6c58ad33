//! Reads everything that one client got again, with a JSON library: rebuilds its books, proves every checksum, and
//! compares the end with what was sent.
//!
//! Runs after the measurement, on a copy of the bytes.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use book::checksum::checksum_of_text;
use serde_json::Value;

use super::stream::{LEVELS, Stream, name};

/// Bytes of frames that are kept for the reading again: what comes after is counted, timed and not proved.
const TRANSCRIPT_BYTES_MAX: usize = 512 << 20;

/// About as long as a frame is.
const FRAME_BYTES: usize = 400;

/// The frames of one client.
#[derive(Debug, Default)]
pub struct Transcript {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    /// Frames that found no room.
    pub left_out: u64,
}

impl Transcript {
    /// Makes room for about `frames` more frames and touches it, so that a measured loop neither takes memory nor waits for
    /// the kernel to find it.
    pub fn reserve(&mut self, frames: usize) {
        let (held, ends) = (self.bytes.len(), self.ends.len());
        let more = frames.saturating_mul(FRAME_BYTES).min(TRANSCRIPT_BYTES_MAX - held.min(TRANSCRIPT_BYTES_MAX));
        self.bytes.resize(held + more, 0);
        self.bytes.truncate(held);
        self.ends.resize(ends + frames, 0);
        self.ends.truncate(ends);
    }

    /// Keeps a frame.
    pub fn push(&mut self, payload: &[u8]) {
        if self.bytes.len() + payload.len() > TRANSCRIPT_BYTES_MAX {
            self.left_out += 1;
            return;
        }
        self.bytes.extend_from_slice(payload);
        self.ends.push(self.bytes.len());
    }

    /// The frames in order.
    pub fn frames(&self) -> impl Iterator<Item = &[u8]> {
        let begins = [0].into_iter().chain(self.ends.iter().copied());
        begins.zip(&self.ends).map(|(begin, &end)| &self.bytes[begin..end])
    }
}

/// A book as a reader of the feed has it: price in units of the last decimal → text of the price, quantity, orders.
type Side = BTreeMap<i64, (String, String, u64)>;

/// What was proved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Proof {
    /// Frames whose checksum is that of the rebuilt book.
    pub checksums: u64,
    /// Books that equal the generator's.
    pub books: usize,
}

impl Proof {
    /// Adds that of another run.
    pub fn add(&mut self, other: Self) {
        self.checksums += other.checksums;
        self.books += other.books;
    }
}

/// Rebuilds the books of `transcript` and compares them with the end of `stream`.
///
/// # Errors
/// The first frame that is wrong, or the first book that is not the generator's.
pub fn verify(transcript: &Transcript, stream: &Stream) -> Result<Proof> {
    ensure!(transcript.left_out == 0, "{} frames were not kept to be verified: shorten the run", transcript.left_out);
    let mut books: BTreeMap<String, [Side; 2]> = BTreeMap::new();
    let mut proof = Proof::default();
    for (at, frame) in transcript.frames().enumerate() {
        let mut read = || -> Result<bool> {
            let value: Value = serde_json::from_slice(frame)?;
            if value["channel"] != "book" {
                return Ok(false);
            }
            apply(&value, &mut books)
        };
        let proved = read().with_context(|| format!("frame {at}: {}", String::from_utf8_lossy(frame)))?;
        proof.checksums += u64::from(proved);
    }
    for symbol in 0..stream.symbols() {
        let Some(sides) = books.get(&name(symbol)) else { bail!("no frame of {}", name(symbol)) };
        for (side, (has, expected)) in sides.iter().zip(stream.sides(symbol)).enumerate() {
            let best_first: Vec<_> = if side == 0 { has.iter().rev().collect() } else { has.iter().collect() };
            let has: Vec<(i64, &str, u64)> =
                best_first.iter().map(|(price, (_, quantity, count))| (**price, quantity.as_str(), *count)).collect();
            let expected: Vec<(i64, String, u64)> = expected
                .iter()
                .map(|level| (level.price, level.quantity.to_string(), u64::from(level.count)))
                .collect();
            let equal =
                has.iter().copied().eq(expected.iter().map(|(price, text, count)| (*price, text.as_str(), *count)));
            ensure!(equal, "{} ends with {has:?}, should be {expected:?}", name(symbol));
        }
        proof.books += 1;
    }
    Ok(proof)
}

fn apply(frame: &Value, books: &mut BTreeMap<String, [Side; 2]>) -> Result<bool> {
    let symbol = frame["symbol"].as_str().context("no symbol")?;
    let book = books.entry(symbol.to_owned()).or_default();
    if frame["type"] == "snapshot" {
        *book = [Side::new(), Side::new()];
    }
    for (side, member) in book.iter_mut().zip(["bids", "asks"]) {
        for level in frame[member].as_array().context("no levels")? {
            let (price, quantity) = (level[0].as_str(), level[1].as_str());
            let (price, quantity) = price.zip(quantity).context("a level that is not text")?;
            let units: i64 = price.replace('.', "").parse()?;
            if quantity == "0" {
                side.remove(&units);
            } else {
                let count = level[2].as_u64().context("no count")?;
                side.insert(units, (price.to_owned(), quantity.to_owned(), count));
            }
        }
    }
    // Ten levels a side: what is pushed out is forgotten by the reader.
    while book[0].len() > LEVELS {
        book[0].pop_first();
    }
    while book[1].len() > LEVELS {
        book[1].pop_last();
    }
    let bids: Vec<(&str, &str)> = book[0].values().rev().map(texts).collect();
    let asks: Vec<(&str, &str)> = book[1].values().map(texts).collect();
    let expected = checksum_of_text(&asks, &bids);
    ensure!(frame["checksum"] == expected, "checksum should be {expected}");
    Ok(true)
}

fn texts((price, quantity, _): &(String, String, u64)) -> (&str, &str) {
    (price, quantity)
}
