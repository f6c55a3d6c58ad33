//! A whole market in one thread and in virtual time: the pieces from which tests build a day that is the same in every run.
//!
//! Nothing here starts a thread, and nothing here reads a wall clock but to give up a wait that has failed. Waiting is
//! for a state, with turns of the stages in between.
#![allow(dead_code, missing_docs)] // each test file uses its own part of it; nobody outside does

pub mod client;
pub mod clock;
pub mod exchange;
pub mod imports;
pub mod line;
pub mod platform;

pub const MS: u64 = 1_000_000;
pub const SECOND: u64 = 1_000 * MS;
