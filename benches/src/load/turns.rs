//! What every loop of the clients' thread needs: a frame's way to its books and its transcript, and an end to waiting.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::client::Arrived;
use super::follow::Follow;
use super::sender::Times;
use super::verify::Transcript;

/// How long nothing may come before a run has failed.
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// Takes a frame of our own server; those of the first client are kept to be proved.
#[inline]
pub fn on_frame(arrived: Arrived<'_>, follow: &mut Follow, times: &Times, transcript: &mut Transcript) {
    if follow.on_frame(arrived, times) && arrived.client == 0 {
        transcript.push(arrived.payload);
    }
}

/// How long nothing has happened.
#[derive(Debug)]
pub struct Silence(Instant);

impl Default for Silence {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Silence {
    /// Whether nothing has happened for too long; `something` = it did just now.
    pub fn is_over(&mut self, something: bool) -> bool {
        if something {
            self.0 = Instant::now();
        }
        !something && self.0.elapsed() > SILENCE_MAX
    }

    /// The same as an error that says what was waited for.
    ///
    /// # Errors
    /// Nothing has happened for too long.
    pub fn check(&mut self, something: bool, what: &str) -> Result<()> {
        ensure!(!self.is_over(something), "waited {} s in vain for {what}", SILENCE_MAX.as_secs());
        Ok(())
    }
}

/// Looks every fifth of a millisecond whether something is done.
///
/// # Errors
/// It is not in time.
pub fn wait_for(what: &str, mut done: impl FnMut() -> bool) -> Result<()> {
    let mut silence = Silence::default();
    while !done() {
        silence.check(false, what)?;
        std::thread::sleep(Duration::from_micros(200));
    }
    Ok(())
}
