//! The text of data frames, as `docs/protocols/websocket.md` shows them.
//!
//! [`frames`] makes the frames of a topic; [`bodies`] is the text of each kind, [`book_chain`], [`running_checksum`] and
//! [`frame_writer`] the same for the frames that are made most often; [`text`] writes numbers, times and names.

pub mod bodies;
pub mod book_chain;
pub mod frame_writer;
pub mod frames;
pub mod running_checksum;
pub mod text;
