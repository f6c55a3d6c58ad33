//! Inputs and runs for measurements: streams by seed, walked by the real decoders into the real books.
//!
//! Never prints a figure without an answer beside it: every run returns what it found, and that is compared.

pub mod answer;
pub mod book;
pub mod compare;
pub mod decode;
pub mod disturbance;
pub mod encode;
pub mod environment;
pub mod fanout;
pub mod file;
pub mod floor;
pub mod generate;
pub mod input;
pub mod load;
pub mod load_any;
pub mod measure;
pub mod pipeline;
pub mod plan;
pub mod replay;
pub mod report;
pub mod ring;
pub mod run;
pub mod server;
#[cfg(test)]
mod small;
