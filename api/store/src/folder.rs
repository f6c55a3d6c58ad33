//! The data folder: who may read it, which process of a service owns it, files that survive a power cut. Holds databases,
//! keys, back-ups and the epoch. Never widens a permission and never changes one of a folder that it did not make.

use std::ffi::OsString;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::config::ServiceName;
use crate::error::StoreError;

pub mod epoch;

/// A folder that only its owner can read: 0700, files 0600.
#[derive(Clone, Debug)]
pub struct DataFolder {
    path: PathBuf,
}

impl DataFolder {
    /// Where the data is when nothing is configured: systemd's `STATE_DIRECTORY`, else `$XDG_DATA_HOME/bist`, else
    /// `~/.local/share/bist`. `None` without any of them: then `storage.path` must be set.
    pub fn default_path(environment: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
        let given = |name| environment(name).filter(|value| !value.is_empty());
        if let Some(state) = given("STATE_DIRECTORY") {
            // systemd separates several by colons; the first is the unit's own.
            let text = state.to_string_lossy().into_owned();
            return text.split(':').next().map(PathBuf::from);
        }
        let absolute = |path: PathBuf| path.is_absolute().then_some(path);
        let xdg = given("XDG_DATA_HOME").map(PathBuf::from).and_then(absolute);
        let home = || given("HOME").map(|home| Path::new(&home).join(".local/share"));
        xdg.or_else(home).map(|base| base.join("bist"))
    }

    /// Opens the folder, made with 0700 when it is not there.
    ///
    /// # Errors
    /// When it cannot be made, belongs to somebody else, or can be read by others.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let path = path.into();
        DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(|error| StoreError::file(&path, error))?;
        let metadata = std::fs::metadata(&path).map_err(|error| StoreError::file(&path, error))?;
        let refuse = |reason: String| Err(StoreError::File { path: path.clone(), reason });
        if metadata.uid() != rustix::process::geteuid().as_raw() {
            return refuse(format!("the data folder belongs to user {}, not to this one", metadata.uid()));
        }
        // Not tightened here: storage.path = "/tmp", run by root, would lock everybody out of /tmp.
        if metadata.mode() & 0o077 != 0 {
            return refuse(format!("others can open the data folder: run `chmod 700 {}`", path.display()));
        }
        Ok(Self { path })
    }

    /// The folder's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A folder inside, made with 0700.
    pub fn folder(&self, name: &str) -> Result<PathBuf, StoreError> {
        let path = self.path.join(name);
        DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(|error| StoreError::file(&path, error))?;
        Ok(path)
    }

    /// An empty file with 0600, unless one is there; what a database opens must not be readable for a moment.
    pub fn touch(&self, path: &Path) -> Result<(), StoreError> {
        private().create(true).append(true).open(path).map(drop).map_err(|error| StoreError::file(path, error))
    }

    /// Replaces a file so that after a power cut either the old or the new one is there, whole.
    pub fn write_durable(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.path.join(name);
        let temporary = self.path.join(format!(".{name}.new"));
        let write = || {
            let mut file = private().create(true).write(true).truncate(true).open(&temporary)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            std::fs::rename(&temporary, &path)?;
            // The name is durable only when the folder is.
            File::open(&self.path)?.sync_all()
        };
        write().map_err(|error| StoreError::file(&path, error))
    }

    /// Takes the lock of one service. It ends with the process, whatever ends it.
    ///
    /// # Errors
    /// [`StoreError::Locked`] names the process that has it.
    pub fn lock(&self, service: ServiceName) -> Result<ServiceLock, StoreError> {
        let path = self.path.join(format!("{service}.lock"));
        let failed = |error| StoreError::file(&path, error);
        let mut file = private().create(true).truncate(false).read(true).write(true).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(self.locked_by(service, &mut file)),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let since_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let text = format!("{} {since_s}\n", std::process::id());
        let write = |file: &mut File| {
            file.set_len(0)?;
            file.rewind()?;
            file.write_all(text.as_bytes())
        };
        write(&mut file).map_err(failed)?;
        Ok(ServiceLock { _file: file })
    }

    fn locked_by(&self, service: ServiceName, file: &mut File) -> StoreError {
        let mut text = String::new();
        let _ = file.take(64).read_to_string(&mut text);
        let mut words = text.split_whitespace();
        let pid = words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
        let since_s = words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
        StoreError::Locked { service: service.as_str(), folder: self.path.clone(), pid, since_s }
    }

    /// Takes a short lock that others wait for, up to `wait`: one migration, one new epoch at a time.
    pub(crate) fn wait_for_lock(&self, name: &str, wait: Duration) -> Result<File, StoreError> {
        let path = self.path.join(name);
        let failed = |error| StoreError::file(&path, error);
        let file = private().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
        let end = Instant::now() + wait;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::Error(error)) => return Err(failed(error)),
                Err(TryLockError::WouldBlock) if Instant::now() >= end => {
                    let reason = format!("another process held this lock for {} s", wait.as_secs());
                    return Err(StoreError::File { path, reason });
                }
                Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(10)),
            }
        }
    }
}

/// The lock of one service in one folder, held as long as this lives.
#[derive(Debug)]
pub struct ServiceLock {
    _file: File,
}

pub(crate) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}
