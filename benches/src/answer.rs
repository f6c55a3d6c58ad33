//! What a generated stream leaves in the books, so that a run over it can be checked. Kept beside a file as
//! `FILE.answer.json`; never computed by the code that it checks.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::plan::Plan;

/// Best bid and ask of every symbol (in units of 10⁻⁴, with their quantity), in the order of their book numbers from 1.
pub type Best = Vec<[Option<(u32, u64)>; 2]>;

/// A generated stream.
#[derive(Clone, Debug)]
pub struct Stream {
    /// Messages, each behind its length as two big-endian bytes.
    pub bytes: Vec<u8>,
    /// How many.
    pub messages: usize,
    /// Resting orders at the end.
    pub live_orders: usize,
    /// Best bid and ask (in units of 10⁻⁴, with their quantity) of every symbol at the end.
    pub best: Best,
}

/// What a stream is and what it leaves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// What was asked for; makes the same stream again.
    pub plan: Plan,
    /// Bytes of the stream, before compression.
    pub bytes: u64,
    /// Messages.
    pub messages: u64,
    /// Messages by type.
    pub kinds: BTreeMap<char, u64>,
    /// Resting orders at the end.
    pub live_orders: usize,
    /// Prices at which somebody rests at the end, over all books.
    pub live_levels: usize,
    /// Message at which the books first held as many orders as were asked for.
    pub full_at_message: Option<u64>,
    /// Best levels at the end.
    pub best: Best,
    /// Orders at the best bid and ask of every symbol, 0 = no level.
    pub orders_at_best: Vec<[u32; 2]>,
}

impl Answer {
    /// Where the answer of a file stands: its name and `.answer.json`.
    #[must_use]
    pub fn path(file: &Path) -> PathBuf {
        let mut name = file.as_os_str().to_owned();
        name.push(".answer.json");
        name.into()
    }

    /// The answer beside a file, if there is one.
    ///
    /// # Errors
    /// It cannot be read, or is not one; the error names it.
    pub fn beside(file: &Path) -> io::Result<Option<Self>> {
        let path = Self::path(file);
        let named = |error: &dyn fmt::Display| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{}: {error}; delete it to go on without, or write the file anew", path.display()),
            )
        };
        match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|error| named(&error)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(named(&error)),
        }
    }

    /// Writes the answer beside a file.
    ///
    /// # Errors
    /// The system's.
    pub fn write_beside(&self, file: &Path) -> io::Result<()> {
        let mut text = serde_json::to_vec(self)?;
        text.push(b'\n');
        fs::write(Self::path(file), text)
    }

    /// The answer with its bytes, as runs take it.
    #[must_use]
    pub fn into_stream(self, bytes: Vec<u8>) -> Stream {
        // OK because a stream that is in memory has fewer messages than there are addresses.
        Stream { bytes, messages: self.messages as usize, live_orders: self.live_orders, best: self.best }
    }
}

/// What came out, for people.
impl fmt::Display for Answer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{} messages, {} bytes, {} symbols", self.messages, self.bytes, self.plan.symbols)?;
        for (kind, &count) in &self.kinds {
            // Hundredths of a per cent; u128 because the product could leave 64 bits.
            let share = u128::from(count) * 10_000 / u128::from(self.messages.max(1));
            writeln!(out, "  {kind}  {count:>12}  {:>3}.{:02} %", share / 100, share % 100)?;
        }
        write!(
            out,
            "{} live orders on {} levels at the end, asked for {}",
            self.live_orders, self.live_levels, self.plan.live_orders
        )?;
        match self.full_at_message {
            Some(at) => write!(out, ", first reached at message {at}"),
            None => write!(out, ", never reached"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::{Format, write};

    #[test]
    fn an_answer_is_read_as_it_was_written_and_a_damaged_one_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("s.itch50");
        assert_eq!(Answer::beside(&file).expect("no error"), None);
        let plan = Plan { format: Format::Itch50, seed: 1, messages: 2_000, symbols: 5, live_orders: 100 };
        let answer = write(plan, &mut Vec::new(), |_| ()).expect("a good plan");
        answer.write_beside(&file).expect("written");
        assert_eq!(Answer::beside(&file).expect("read"), Some(answer));
        fs::write(Answer::path(&file), "{").expect("damaged");
        let error = Answer::beside(&file).expect_err("damaged").to_string();
        assert!(error.contains("s.itch50.answer.json") && error.contains("delete it"), "{error}");
    }
}
