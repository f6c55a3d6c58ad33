//! A stream of bytes from a recording: the file, decompressed on the way, in one buffer of fixed size.
//!
//! Never reads a whole file and never grows: whoever asks for more bytes than [`PEEK_MAX`] is refused. A file that
//! ends too early, or whose compression is damaged, gives every byte before that point; the reason is kept and
//! told once those bytes are used up.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The most bytes that can be looked at in one piece: a UDP datagram of 65,535 bytes with its heads and the
/// head of its capture record fits four times, so that moving the rest to the front is rare.
pub const PEEK_MAX: usize = 256 * 1024;

/// Compressions inside each other that are undone (`.pcap.gz` inside a `.zst` is two).
const COMPRESSIONS_MAX: usize = 3;

const GZIP: [u8; 2] = [0x1F, 0x8B];
const ZSTD: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];

/// A buffered, decompressed stream of bytes that knows its offset.
pub struct Input {
    reader: Box<dyn Read + Send>,
    /// Never resized; `[start..end]` is not used up yet.
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    offset: u64,
    ended: bool,
    fault: Option<io::Error>,
    read_bytes: Arc<AtomicU64>,
    total_bytes: u64,
}

impl Input {
    /// Opens a file and undoes gzip and zstd, told by their first bytes, whatever the file is called.
    ///
    /// # Errors
    /// The file cannot be opened or its first bytes cannot be read.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let total_bytes = file.metadata()?.len();
        Self::from_reader(Box::new(file), total_bytes)
    }

    /// The same from bytes in memory.
    ///
    /// # Errors
    /// The compression cannot be set up.
    pub fn from_bytes(bytes: Vec<u8>) -> io::Result<Self> {
        let total_bytes = bytes.len() as u64;
        Self::from_reader(Box::new(io::Cursor::new(bytes)), total_bytes)
    }

    fn from_reader(reader: Box<dyn Read + Send>, total_bytes: u64) -> io::Result<Self> {
        let read_bytes = Arc::new(AtomicU64::new(0));
        let mut reader: Box<dyn Read + Send> = Box::new(Counting { reader, read_bytes: Arc::clone(&read_bytes) });
        for _ in 0..COMPRESSIONS_MAX {
            let mut head = [0; 4];
            let length = read_up_to(&mut reader, &mut head)?;
            let plain = io::Cursor::new(head).take(length as u64).chain(reader);
            reader = if head[..length].starts_with(&GZIP) {
                Box::new(flate2::read::MultiGzDecoder::new(plain))
            } else if head[..length].starts_with(&ZSTD) {
                Box::new(zstd::stream::read::Decoder::new(plain)?)
            } else {
                reader = Box::new(plain);
                break;
            };
        }
        let buffer = vec![0; PEEK_MAX].into_boxed_slice();
        Ok(Self { reader, buffer, start: 0, end: 0, offset: 0, ended: false, fault: None, read_bytes, total_bytes })
    }

    /// What is there now, at least `bytes` (at most [`PEEK_MAX`]) unless the stream ends before.
    pub fn peek(&mut self, bytes: usize) -> &[u8] {
        debug_assert!(bytes <= PEEK_MAX);
        if self.end - self.start < bytes {
            self.fill(bytes);
        }
        &self.buffer[self.start..self.end]
    }

    #[cold]
    fn fill(&mut self, bytes: usize) {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        while self.end < bytes.min(PEEK_MAX) && !self.ended {
            match self.reader.read(&mut self.buffer[self.end..]) {
                Ok(0) => self.ended = true,
                Ok(read) => self.end += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.ended = true;
                    self.fault = Some(error);
                }
            }
        }
    }

    /// Uses up `bytes` of what [`Input::peek`] showed.
    pub fn consume(&mut self, bytes: usize) {
        assert!(bytes <= self.end - self.start, "only what was seen can be used up");
        self.start += bytes;
        self.offset += bytes as u64;
    }

    /// Uses up `bytes`, however many; `false` when the stream ends before.
    pub fn skip(&mut self, mut bytes: u64) -> bool {
        while bytes > 0 {
            let there = (self.peek(1).len() as u64).min(bytes);
            if there == 0 {
                return false;
            }
            self.consume(there as usize);
            bytes -= there;
        }
        true
    }

    /// Offset of the next byte in the decompressed stream.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Why the stream ended, when it was not simply at its end. Told once.
    pub fn take_fault(&mut self) -> Option<io::Error> {
        self.fault.take()
    }

    /// Bytes of the file read so far (compressed ones, if it is) and in all.
    #[must_use]
    pub fn progress(&self) -> (u64, u64) {
        (self.read_bytes.load(Ordering::Relaxed), self.total_bytes)
    }
}

/// Fills as much of `buffer` as the stream has.
fn read_up_to(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // OK because a compressed file cut inside its head shows as empty here and is refused as such.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

struct Counting {
    reader: Box<dyn Read + Send>,
    read_bytes: Arc<AtomicU64>,
}

impl Read for Counting {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        self.read_bytes.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn drain(input: &mut Input) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            let there = input.peek(1).to_vec();
            if there.is_empty() {
                return all;
            }
            input.consume(there.len());
            all.extend(there);
        }
    }

    #[test]
    fn compressions_are_undone_whatever_the_name_and_nesting() {
        let plain: Vec<u8> = (0..500_000u32).map(|at| (at % 251) as u8).collect();
        let packed = zstd::encode_all(&gzip(&plain)[..], 1).unwrap();
        for bytes in [plain.clone(), gzip(&plain), packed] {
            let mut input = Input::from_bytes(bytes).unwrap();
            assert!(drain(&mut input) == plain);
            assert_eq!(input.offset(), plain.len() as u64);
            assert!(input.take_fault().is_none());
        }
    }

    #[test]
    fn a_cut_stream_gives_what_came_before_and_says_why_it_ended() {
        let plain: Vec<u8> = (0..600_000u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let mut packed = gzip(&plain);
        packed.truncate(packed.len() / 2);
        let mut input = Input::from_bytes(packed).unwrap();
        let got = drain(&mut input);
        assert!(got.len() > plain.len() / 4 && plain.starts_with(&got), "{} bytes", got.len());
        assert!(input.take_fault().is_some());
    }

    #[test]
    fn a_peek_across_the_end_of_the_buffer_keeps_all_bytes() {
        let plain: Vec<u8> = (0..PEEK_MAX as u32 * 2).map(|at| (at % 253) as u8).collect();
        let mut input = Input::from_bytes(plain.clone()).unwrap();
        input.peek(PEEK_MAX);
        input.consume(PEEK_MAX - 3);
        assert_eq!(input.peek(10)[..10], plain[PEEK_MAX - 3..PEEK_MAX + 7]);
        assert!(input.skip(PEEK_MAX as u64));
        assert!(!input.skip(100));
    }
}
