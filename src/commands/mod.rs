//! One file per command; each takes its arguments and settings and returns an exit code.

pub mod bench;
pub mod config;
pub mod doctor;
pub mod generate;
pub mod inspect;
pub mod migrate;
pub mod serve;
pub mod sim;
pub mod stdout;
pub mod texts;
pub mod user;
