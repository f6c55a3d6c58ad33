//! Files: recordings of every format we meet, one message at a time.
//!
//! Read in this order: [`reader`] (open a file, take one message at a time), [`mod@format`] (what a file is), [`input`]
//! (bytes, decompressed), one file per format ([`raw`], [`mold`], [`pcap`], [`dbn`], [`lobster`]), [`pacing`] (when a
//! recorded message is due). Nothing here trusts what it reads: bad input is an error with its offset or a counter,
//! never a panic, and no size in a file makes a buffer grow beyond its written bound.

mod counts;
pub mod date;
pub mod dbn;
mod dbn_books;
mod definition;
mod error;
mod foreign;
pub mod format;
mod implied_directory;
pub mod input;
mod loaded;
pub mod lobster;
pub mod mold;
mod options;
pub mod pacing;
mod packets;
pub mod pcap;
pub mod raw;
pub mod reader;
mod step;

pub use counts::{ForeignPackets, RecordingCounts};
pub use error::{OpenError, ReadError};
pub use format::{Format, FormatChoice};
pub use loaded::Loaded;
pub use options::RecordingOptions;
pub use reader::Recording;
pub use step::{RecordedMessage, Step};
