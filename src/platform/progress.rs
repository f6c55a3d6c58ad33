//! How far a recording has been read, and whether the feed came to its end. Asked only in turns without work.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Result, bail};
use feed_handler::feed::{FeedWorker, Finished};

/// How far a recording has been read.
#[derive(Clone)]
pub struct Progress {
    read: Arc<AtomicU64>,
    total: u64,
}

impl Progress {
    /// That of the recording which `feed` replays, if it replays one.
    pub fn of(feed: &FeedWorker) -> Option<Self> {
        let (_, total) = feed.recording()?.progress();
        Some(Self { read: Arc::default(), total })
    }

    /// Bytes read.
    pub fn position(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
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
    match feed.finished() {
        None => Ok(false),
        Some(Finished::EndOfSession | Finished::EndOfRecording(None)) => Ok(true),
        Some(Finished::EndOfRecording(Some(error))) => {
            tracing::warn!(%error, "the recording is damaged; everything before that point was replayed");
            Ok(true)
        }
        Some(Finished::NotReopened(error)) => bail!("opening the recording again: {error}"),
        Some(Finished::ReaderGone) => bail!("the book thread is gone"),
        Some(Finished::Overrun) => bail!("a slot found no room in the event ring: the books cannot be right any more"),
    }
}
