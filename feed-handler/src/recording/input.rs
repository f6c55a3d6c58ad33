//! A stream of bytes from a recording: the file, decompressed on the way, in one buffer of fixed size.
//!
//! Never reads a whole file and never grows: whoever asks for more bytes than [`PEEK_MAX`] is refused. A file that
//! ends too early, or whose compression is damaged, gives every byte before that point; the reason is kept and
//! told once those bytes are used up. Padding behind a gzip stream is nothing; other bytes there are counted, as gzip
//! itself warns and ignores them.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::GzDecoder;

/// The most bytes that can be looked at in one piece: a UDP datagram of 65,535 bytes with its heads and the
/// head of its capture record fits four times, so that moving the rest to the front is rare.
pub const PEEK_MAX: usize = 256 * 1024;

/// Compressions inside each other that are undone (`.pcap.gz` inside a `.zst` is two).
const COMPRESSIONS_MAX: usize = 3;

const GZIP: [u8; 2] = [0x1F, 0x8B];
const ZSTD: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];
/// A skippable frame of zstd (RFC 8878, 3.1.2), as `pzstd` writes one first: the low half of the first byte is free.
const ZSTD_SKIPPABLE: [u8; 3] = [0x2A, 0x4D, 0x18];
/// Bytes of a compressed stream read at a time.
const COMPRESSED_BUFFER_BYTES: usize = 64 * 1024;

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
    trailing_bytes: Arc<AtomicU64>,
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
        let trailing_bytes = Arc::new(AtomicU64::new(0));
        let mut reader: Box<dyn Read + Send> = Box::new(Counting { reader, read_bytes: Arc::clone(&read_bytes) });
        for _ in 0..COMPRESSIONS_MAX {
            let mut head = [0; 4];
            let length = read_up_to(&mut reader, &mut head)?;
            let plain = io::Cursor::new(head).take(length as u64).chain(reader);
            reader = if head[..length].starts_with(&GZIP) {
                Box::new(GzipMembers::new(Box::new(plain), Arc::clone(&trailing_bytes)))
            } else if is_zstd(&head[..length]) {
                Box::new(zstd::stream::read::Decoder::new(plain)?)
            } else {
                reader = Box::new(plain);
                break;
            };
        }
        let buffer = vec![0; PEEK_MAX].into_boxed_slice();
        let (start, end, offset, ended, fault) = (0, 0, 0, false, None);
        Ok(Self { reader, buffer, start, end, offset, ended, fault, read_bytes, trailing_bytes, total_bytes })
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

    /// Bytes behind the end of a gzip stream that are neither padding nor gzip, and were not read. Known at the end.
    #[must_use]
    pub fn trailing_bytes(&self) -> u64 {
        self.trailing_bytes.load(Ordering::Relaxed)
    }
}

fn is_zstd(head: &[u8]) -> bool {
    head.starts_with(&ZSTD) || head.len() >= 4 && head[0] & 0xF0 == 0x50 && head[1..].starts_with(&ZSTD_SKIPPABLE)
}

/// The members of a gzip stream one after the other (RFC 1952, 2.2), and what stands behind the last one.
struct GzipMembers {
    /// `None` past the last member.
    member: Option<GzDecoder<OneBack>>,
    trailing_bytes: Arc<AtomicU64>,
}

impl GzipMembers {
    fn new(compressed: Box<dyn Read + Send>, trailing_bytes: Arc<AtomicU64>) -> Self {
        let reader = BufReader::with_capacity(COMPRESSED_BUFFER_BYTES, compressed);
        Self { member: Some(GzDecoder::new(OneBack { back: None, reader })), trailing_bytes }
    }

    /// Opens the member behind the one that ended, or counts what stands there instead.
    fn next_member(&mut self) -> io::Result<()> {
        let Some(mut rest) = self.member.take().map(GzDecoder::into_inner) else { return Ok(()) };
        let Some(first) = rest.skip_zeros()? else { return Ok(()) };
        if first == GZIP[0] && rest.fill_buf()?.first() == Some(&GZIP[1]) {
            rest.back = Some([first]);
            self.member = Some(GzDecoder::new(rest));
            return Ok(());
        }
        let mut trailing = 1;
        loop {
            let there = rest.fill_buf()?.len();
            if there == 0 {
                break;
            }
            trailing += there as u64;
            rest.consume(there);
        }
        self.trailing_bytes.fetch_add(trailing, Ordering::Relaxed);
        Ok(())
    }
}

impl Read for GzipMembers {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.member {
            let read = member.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            self.next_member()?;
        }
        Ok(0)
    }
}

/// A buffered reader into which one byte can be put back.
struct OneBack {
    back: Option<[u8; 1]>,
    reader: BufReader<Box<dyn Read + Send>>,
}

impl OneBack {
    /// The first byte that is not zero, used up; `None` at the end.
    fn skip_zeros(&mut self) -> io::Result<Option<u8>> {
        loop {
            let there = self.fill_buf()?;
            let zeros = there.iter().take_while(|&&byte| byte == 0).count();
            let (first, is_end) = (there.get(zeros).copied(), there.is_empty());
            self.consume(zeros + usize::from(first.is_some()));
            if first.is_some() || is_end {
                return Ok(first);
            }
        }
    }
}

impl Read for OneBack {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}

impl BufRead for OneBack {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match &self.back {
            Some(back) => Ok(back),
            None => self.reader.fill_buf(),
        }
    }

    fn consume(&mut self, bytes: usize) {
        if self.back.is_none() {
            self.reader.consume(bytes);
        } else if bytes > 0 {
            self.back = None;
        }
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
