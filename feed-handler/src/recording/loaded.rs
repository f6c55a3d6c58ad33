//! The raw messages of a recording, all in memory: for benchmarks, where reading must not be timed.

use std::path::Path;

use super::error::OpenError;
use super::options::RecordingOptions;
use super::reader::Recording;
use crate::decode::protocol::Protocol;

/// Raw messages of a recording in memory: for benchmarks, where reading must not be timed.
#[derive(Debug)]
pub struct Loaded {
    bytes: Vec<u8>,
    /// End of each message in `bytes`.
    ends: Vec<usize>,
    /// Their protocol.
    pub protocol: Protocol,
}

impl Loaded {
    /// Reads all messages of a length-prefixed file, at most `bytes_max` of them.
    ///
    /// # Errors
    /// The file cannot be opened, is in another format, is cut, or has more than `bytes_max` bytes.
    pub fn open(path: &Path, options: &RecordingOptions, bytes_max: usize) -> Result<Self, OpenError> {
        let mut recording = Recording::open(path, options)?;
        let Some((file, protocol)) = recording.framed_mut() else { return Err(OpenError::Unrecognised) };
        let mut loaded = Self { bytes: Vec::new(), ends: Vec::new(), protocol };
        while let Some(message) = file.next_message()? {
            if loaded.bytes.len() + message.len() > bytes_max {
                let message = format!("larger than the {bytes_max} bytes asked for");
                return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, message).into());
            }
            loaded.bytes.extend_from_slice(message);
            loaded.ends.push(loaded.bytes.len());
        }
        Ok(loaded)
    }

    /// The messages in order.
    pub fn messages(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.ends.iter().enumerate().map(|(at, &end)| &self.bytes[if at == 0 { 0 } else { self.ends[at - 1] }..end])
    }
}
