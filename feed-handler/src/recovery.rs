//! Order out of what the lines bring: no socket and no clock, bytes and time are passed in.

mod parking;
pub mod sequencer;
