//! Numbers of the sessions that this process begins: each is above all that any process on this data folder has used, and
//! is reserved on the disk before it is used (decision 0009). Runs off the fast path; the feed thread only counts up.

use std::cell::Cell;

use anyhow::{Result, anyhow};
use api::{DataFolder, EpochFile, ServiceLock, ServiceName, StoreError};

use super::threads::now_ns;
use crate::settings;

/// Epochs reserved at once: more sessions than a replay in a loop can begin between two looks.
const RESERVED_AT_ONCE: u64 = 1 << 20;
/// The process that numbers sessions in a data folder.
const MARKET_DATA: ServiceName = ServiceName::new("market_data");

/// The epochs of this process.
pub struct Epochs {
    first: u64,
    /// First number that is not reserved. One thread owns it: `Cell` forbids to share it.
    end: Cell<u64>,
    /// `None` = nothing is kept.
    kept: Option<Kept>,
}

struct Kept {
    folder: DataFolder,
    _lock: ServiceLock,
}

impl Epochs {
    /// Takes the data folder's lock and reserves the first epochs.
    ///
    /// # Errors
    /// The folder cannot be made or written, others can read it, or another process has it: each names what to change.
    pub fn open(storage: &settings::Storage) -> Result<Self> {
        let now_s = now_ns() / 1_000_000_000;
        if storage.ephemeral {
            tracing::warn!("storage.ephemeral: epochs come from the clock and may repeat after a restart");
            return Ok(Self { first: now_s, end: Cell::new(u64::MAX), kept: None });
        }
        let path = super::accounts::folder(storage)?;
        let advise = |error: StoreError| {
            anyhow!("storage.path: {error} (name another folder, or set storage.ephemeral = true to keep nothing)")
        };
        let folder = DataFolder::open(path).map_err(advise)?;
        let lock = folder.lock(MARKET_DATA).map_err(advise)?;
        let reserved = EpochFile::new(&folder).reserve(now_s, RESERVED_AT_ONCE).map_err(advise)?;
        tracing::info!(folder = %folder.path().display(), epoch = reserved.start, "data folder opened");
        let kept = Kept { folder, _lock: lock };
        Ok(Self { first: reserved.start, end: Cell::new(reserved.end), kept: Some(kept) })
    }

    /// The first epoch.
    pub const fn first(&self) -> u64 {
        self.first
    }

    /// The data folder in words, for the person who started it.
    pub fn describe(&self) -> String {
        self.kept
            .as_ref()
            .map_or_else(|| "none (storage.ephemeral)".to_owned(), |kept| kept.folder.path().display().to_string())
    }

    /// Reserves more when half of the reserved ones are used up, `used` being the latest. To be called every second or
    /// so.
    pub fn keep_ahead(&self, used: u64) {
        let Some(kept) = &self.kept else { return };
        let end = self.end.get();
        if used.saturating_add(RESERVED_AT_ONCE / 2) < end {
            return;
        }
        let wanted = used.saturating_add(RESERVED_AT_ONCE);
        match EpochFile::new(&kept.folder).extend(wanted) {
            Ok(()) => self.end.set(wanted),
            Err(error) => tracing::error!(%error, "epochs cannot be reserved; a restart may repeat them"),
        }
    }
}
