//! Results on standard output. A reader that has gone (`| head`) ends the command quietly; any other failure is an error.

use std::fmt::Display;
use std::io::{self, Write};

use anyhow::{Context, Result};
use feed_handler::inspect::InspectError;

/// Writes `text` as it stands.
///
/// # Errors
/// Standard output takes no more, and not because its reader has gone.
pub fn print(text: impl Display) -> Result<()> {
    print_bytes(text.to_string().as_bytes())
}

/// The same with bytes.
///
/// # Errors
/// The same.
pub fn print_bytes(bytes: &[u8]) -> Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        // Whoever read has what it wanted: what follows would be seen by nobody.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        written => written.context("writing to standard output"),
    }
}

/// Whether an error comes from a reader of standard output that has gone.
pub fn reader_has_gone(error: &anyhow::Error) -> bool {
    let of_io = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
    error.chain().any(|cause| match cause.downcast_ref::<InspectError>() {
        Some(InspectError::Write(error)) => of_io(error),
        _ => cause.downcast_ref::<io::Error>().is_some_and(of_io),
    })
}
