//! The wire half against real recordings, hand-made messages, damage, and a lossy network.

mod belief;
mod data;
mod fuzzing;
mod golden_bistech;
mod golden_itch50;
mod recordings;
mod samples;
mod sequencing;
