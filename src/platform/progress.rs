//! How far a recording has been read, and whether the feed came to its end. Asked only in turns without work.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use anyhow::{Result, bail};
use feed_handler::feed::{FeedWorker, Finished};
use feed_handler::recording::Recording;

/// How far a recording has been read.
#[derive(Clone)]
pub struct Progress {
    read: Arc<AtomicU64>,
    nothing_read: Arc<OnceLock<String>>,
    total: u64,
}

impl Progress {
    /// That of the recording which `feed` replays, if it replays one.
    pub fn of(feed: &FeedWorker) -> Option<Self> {
        let (_, total) = feed.recording()?.progress();
        Some(Self { read: Arc::default(), nothing_read: Arc::default(), total })
    }

    /// Bytes read.
    pub fn position(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Why nothing of a recording that has ended could be read, in words.
    pub fn nothing_read(&self) -> Option<&str> {
        self.nothing_read.get().map(String::as_str)
    }

    /// Bytes in all.
    pub fn total(&self) -> u64 {
        self.total
    }
}

/// Notes how far a recording is, and says whether the feed came to its end.
///
/// # Errors
/// It cannot go on.
pub fn is_over(feed: &FeedWorker, progress: Option<&Progress>) -> Result<bool> {
    if let (Some(progress), Some(recording)) = (progress, feed.recording()) {
        progress.read.store(recording.progress().0, Ordering::Relaxed);
    }
    let Some(finished) = feed.finished() else { return Ok(false) };
    if let (Some(progress), Some(words)) = (progress, feed.recording().and_then(Recording::nothing_read)) {
        // OK because it is set once, and the words stay the same.
        let _ = progress.nothing_read.set(words);
    }
    match finished {
        Finished::EndOfSession | Finished::EndOfRecording(None) => Ok(true),
        Finished::EndOfRecording(Some(error)) => {
            tracing::warn!(%error, "the recording is damaged; everything before that point was replayed");
            Ok(true)
        }
        Finished::NotReopened(error) => bail!("opening the recording again: {error}"),
        Finished::ReaderGone => bail!("the book thread is gone"),
        Finished::Overrun => bail!("a slot found no room in the event ring: the books cannot be right any more"),
    }
}
