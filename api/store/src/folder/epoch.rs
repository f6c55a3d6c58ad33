//! The number of a market-data process's life. Clients tell lives apart by it, so it never repeats and never falls: not
//! over a restart within a second, nor over a wall clock that was put back.

use std::ops::Range;
use std::time::Duration;

use crate::error::StoreError;
use crate::folder::DataFolder;

/// How long a process waits for another that takes its epoch: the other writes one small file.
const LOCK_WAIT: Duration = Duration::from_secs(5);

const NAME: &str = "epoch";

/// The file with the last epoch that was handed out: decimal digits and a line end.
#[derive(Debug)]
pub struct EpochFile<'f> {
    folder: &'f DataFolder,
}

impl<'f> EpochFile<'f> {
    /// The epoch file of a data folder; all processes on the folder share it.
    pub fn new(folder: &'f DataFolder) -> Self {
        Self { folder }
    }

    /// The next epoch: `now_s` (Unix seconds), or one more than the last when that is not above it. It is on the disk
    /// before this returns.
    ///
    /// # Errors
    /// When the file cannot be read or written, holds anything but a number, or its number is the last one there is.
    pub fn next(&self, now_s: u64) -> Result<u64, StoreError> {
        Ok(self.reserve(now_s, 1)?.start)
    }

    /// The next `count` epochs (at least one), for a process that begins sessions without writing to the disk each time.
    ///
    /// # Errors
    /// Those of [`EpochFile::next`].
    pub fn reserve(&self, now_s: u64, count: u64) -> Result<Range<u64>, StoreError> {
        let _one_at_a_time = self.folder.wait_for_lock("epoch.lock", LOCK_WAIT)?;
        let first = match self.last()? {
            None => now_s,
            Some(last) => now_s.max(last.checked_add(1).ok_or_else(|| self.damaged())?),
        };
        let end = first.checked_add(count.max(1)).ok_or_else(|| self.damaged())?;
        self.write(end - 1)?;
        Ok(first..end)
    }

    /// Reserves all epochs below `end` for the process that has reserved some; never lowers the number in the file.
    ///
    /// # Errors
    /// Those of [`EpochFile::next`].
    pub fn extend(&self, end: u64) -> Result<(), StoreError> {
        let _one_at_a_time = self.folder.wait_for_lock("epoch.lock", LOCK_WAIT)?;
        if self.last()?.is_none_or(|last| last < end.saturating_sub(1)) {
            self.write(end.saturating_sub(1))?;
        }
        Ok(())
    }

    fn write(&self, last: u64) -> Result<(), StoreError> {
        self.folder.write_durable(NAME, format!("{last}\n").as_bytes())
    }

    fn last(&self) -> Result<Option<u64>, StoreError> {
        let path = self.folder.path().join(NAME);
        match std::fs::read(&path) {
            Ok(bytes) => {
                let number = std::str::from_utf8(&bytes).ok().and_then(|text| text.trim_end().parse().ok());
                number.map(Some).ok_or_else(|| self.damaged())
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::file(path, error)),
        }
    }

    fn damaged(&self) -> StoreError {
        StoreError::Corrupt {
            what: self.folder.path().join(NAME).display().to_string(),
            remedy:
                "write a number into it that is above every epoch that clients have seen, such as the Unix time in \
                     seconds"
                    .to_owned(),
        }
    }
}
