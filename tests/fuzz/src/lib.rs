//! What the fuzz targets do with their bytes, and what must hold whatever the bytes are.
//!
//! One module per part of the platform. Ordinary tests compile some of them by path and run them over random bytes and
//! over the seeds. Never opens a socket.

// The lists of clippy.toml are for the hot modules of the program.
#![allow(clippy::disallowed_macros, clippy::disallowed_methods, clippy::disallowed_types)]

pub mod canary;
pub mod frames;
pub mod lines;
pub mod market;
pub mod price;
pub mod recording;
pub mod results;
pub mod settings;
pub mod websocket;
pub mod wire;
