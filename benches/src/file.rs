//! Generated streams in files: plain, gzip or zstd by the name's ending, whole or not there.
//!
//! Written beside its name first, with `.part` at the end, and renamed when it is whole. The answer stands beside it.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use zstd::stream::write::Encoder as ZstdEncoder;

use crate::answer::Answer;
use crate::generate::{GenerateError, Plan, write};

/// Writes a stream and its answer; `progress` is told the messages so far, now and then.
///
/// # Errors
/// A plan that cannot be carried out, or the disk; then at most the `.part` file is there.
pub fn write_file(path: &Path, plan: Plan, progress: impl FnMut(u64)) -> Result<Answer, GenerateError> {
    plan.check()?;
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let mut out = Output::create(Path::new(&part), path)?;
    let answer = write(plan, &mut out, progress)?;
    out.finish()?;
    std::fs::rename(&part, path)?;
    answer.write_beside(path)?;
    Ok(answer)
}

/// A file that compresses as its final name says.
enum Output {
    Plain(BufWriter<File>),
    Gzip(GzEncoder<BufWriter<File>>),
    Zstd(ZstdEncoder<'static, BufWriter<File>>),
}

impl Output {
    fn create(part: &Path, name: &Path) -> io::Result<Self> {
        let file = BufWriter::with_capacity(1 << 18, File::create(part)?);
        Ok(match name.extension().and_then(|ending| ending.to_str()) {
            Some("gz") => Self::Gzip(GzEncoder::new(file, Compression::fast())),
            // Level 1: a day of gigabytes should be written in minutes.
            Some("zst") => Self::Zstd(ZstdEncoder::new(file, 1)?),
            _ => Self::Plain(file),
        })
    }

    fn finish(self) -> io::Result<()> {
        let file = match self {
            Self::Plain(file) => file,
            Self::Gzip(file) => file.finish()?,
            Self::Zstd(file) => file.finish()?,
        };
        file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.write(bytes),
            Self::Gzip(file) => file.write(bytes),
            Self::Zstd(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(file) => file.flush(),
            Self::Gzip(file) => file.flush(),
            Self::Zstd(file) => file.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::{Format, generate};
    use std::io::Read;

    #[test]
    fn every_ending_holds_the_same_stream_and_has_its_answer_beside_it() {
        let plan = Plan { format: Format::Bistech, seed: 1, messages: 5_000, symbols: 5, live_orders: 100 };
        let expected = generate(plan);
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["s.bistech", "s.bistech.gz", "s.bistech.zst"] {
            let path = folder.path().join(name);
            let answer = write_file(&path, plan, |_| ()).expect("written");
            let file = File::open(&path).expect("the file");
            let mut bytes = Vec::new();
            match path.extension().and_then(|ending| ending.to_str()) {
                Some("gz") => flate2::read::GzDecoder::new(file).read_to_end(&mut bytes),
                Some("zst") => zstd::Decoder::new(file).expect("zstd").read_to_end(&mut bytes),
                _ => io::BufReader::new(file).read_to_end(&mut bytes),
            }
            .expect("readable");
            assert!(bytes == expected.bytes, "{name}");
            assert_eq!(answer.best, expected.best);
            assert_eq!(Answer::beside(&path).expect("an answer"), Some(answer));
        }
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 6, "no part is left");
    }
}
