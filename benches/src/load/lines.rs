//! Lines of JSON into the feed of a server that passes them on, and what its WebSocket clients get of them.
//!
//! For servers that are not ours. A line carries its number and its planned time: every client must get every line once
//! and in order. Lines are as long as a `book` frame of ours, so that both sides move the same bytes. Never waits for the
//! server: what its socket does not take stays here, late, and counts from its plan.

use std::io::{self, Write};
use std::net::TcpStream;

use anyhow::{Context, Result, ensure};
use book::Nanos;
use hdrhistogram::Histogram;

use super::client::{Arrived, resolve};
use super::least::Least;
use crate::report::histogram;

/// Before the planned time in a line, which begins with it.
const PLANNED: &[u8] = b"{\"planned\":";
/// Between the planned time and the number.
const NUMBER: &[u8] = b",\"seq\":";
/// The rest: what a change of one level looks like, for the length.
const REST: &str = r#","channel":"book","type":"update","symbol":"S00007","epoch":1764097200,"prev_seq":1234567,"ts_recv":"1764097200123456789","bids":[["100.07","1000004321",3]],"asks":[],"checksum":3519874512,"depth":10,"gap":false}"#;

/// The feed's side.
#[derive(Debug)]
pub struct Feed {
    socket: TcpStream,
    text: Vec<u8>,
    next: u64,
}

impl Feed {
    /// Connects to `tcp://host:port`; the first line has the number `first`.
    ///
    /// # Errors
    /// Not such a URL, a host that is not allowed, or nobody listens there.
    pub fn open(url: &str, allow_remote: bool, first: u64) -> Result<Self> {
        let address = url.strip_prefix("tcp://").context("--feed takes tcp://host:port")?;
        let socket = TcpStream::connect(resolve(address, allow_remote)?)
            .with_context(|| format!("connecting to the feed of the server at {url}: does it run?"))?;
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, text: Vec::with_capacity(1 << 20), next: first })
    }

    /// Appends the next line, due at `planned_ns`.
    pub fn push(&mut self, planned_ns: Nanos) {
        let number = self.next;
        self.next += 1;
        // OK because writing to a vector cannot fail.
        let _ = writeln!(self.text, "{{\"planned\":{planned_ns},\"seq\":{number}{REST}");
    }

    /// Sends as much as the server takes now.
    ///
    /// # Errors
    /// The server closed its feed.
    pub fn flush(&mut self) -> io::Result<()> {
        let mut sent = 0;
        while sent < self.text.len() {
            match self.socket.write(&self.text[sent..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => sent += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(io::Error::new(error.kind(), format!("writing to the feed: {error}"))),
            }
        }
        self.text.drain(..sent);
        Ok(())
    }
}

/// The clients' side.
#[derive(Debug)]
pub struct Lines {
    /// Number of the first line of the run; older ones are of a run before.
    first: u64,
    /// Number of the next line of each client; `None` until its first one.
    next: Vec<Option<u64>>,
    least: Least,
    /// Number of the first line that is timed; `None` = lines are counted only.
    timed_from: Option<u64>,
    sent_ns: Vec<Nanos>,
    /// From the planned time to the client, ns.
    pub corrected: Histogram<u64>,
    /// From the real time to the client, ns.
    pub uncorrected: Histogram<u64>,
    /// Lines that were not the next one of their client.
    pub wrong: u64,
}

impl Lines {
    /// Nothing came yet; the first line will have the number `first`.
    #[must_use]
    pub fn new(clients: usize, first: u64) -> Self {
        Self {
            first,
            next: vec![None; clients],
            least: Least::default(),
            timed_from: None,
            sent_ns: Vec::new(),
            corrected: histogram(),
            uncorrected: histogram(),
            wrong: 0,
        }
    }

    /// Counting begins at the line `first`, timing at `timed_from`; there will be about `lines`.
    pub fn begin(&mut self, first: u64, lines: usize, timed_from: Option<u64>) {
        self.first = first;
        self.timed_from = timed_from;
        self.sent_ns = Vec::with_capacity(lines);
        self.corrected.reset();
        self.uncorrected.reset();
    }

    /// The next line was sent at this time.
    pub fn sent(&mut self, now_ns: Nanos) {
        self.sent_ns.push(now_ns);
    }

    /// Takes a message of a client; what is no line of this run is not counted.
    #[inline]
    pub fn on_message(&mut self, arrived: Arrived<'_>) {
        let Some((planned_ns, number)) = head(arrived.payload) else { return };
        let next = &mut self.next[arrived.client];
        // A client that joins while lines come may miss the first ones, and none after that.
        self.wrong += u64::from(next.is_some_and(|next| next != number));
        *next = Some(number + 1);
        if self.timed_from.is_some_and(|from| number >= from) {
            let at = usize::try_from(number.wrapping_sub(self.first)).unwrap_or(usize::MAX);
            let sent_ns = self.sent_ns.get(at).copied().unwrap_or(planned_ns);
            self.corrected.saturating_record(arrived.received_ns.saturating_sub(planned_ns));
            self.uncorrected.saturating_record(arrived.received_ns.saturating_sub(sent_ns));
        }
    }

    /// Lines since [`Lines::begin`] that the slowest client has got.
    #[must_use]
    pub fn slowest(&mut self) -> u64 {
        let next = &self.next;
        self.least.of(next.len(), |client| next[client].unwrap_or(0)).saturating_sub(self.first)
    }

    /// Clients that get lines.
    #[must_use]
    pub fn joined(&self) -> usize {
        self.next.iter().filter(|next| next.is_some()).count()
    }

    /// Whether every client gets lines.
    #[must_use]
    pub fn all_joined(&self) -> bool {
        self.joined() == self.next.len()
    }

    /// That no line was lost, repeated or out of order.
    ///
    /// # Errors
    /// One was.
    pub fn check(&self) -> Result<()> {
        ensure!(
            self.wrong == 0,
            "{} lines were not the next one of their client: lost, repeated or disordered",
            self.wrong
        );
        Ok(())
    }
}

/// Planned time and number of a line as this program wrote it.
fn head(payload: &[u8]) -> Option<(Nanos, u64)> {
    let (planned_ns, rest) = number(payload.strip_prefix(PLANNED)?);
    let (number, _) = number(rest.strip_prefix(NUMBER)?);
    Some((planned_ns, number))
}

/// The digits at the front; wraps on more than 64 bits.
pub(super) fn number(bytes: &[u8]) -> (u64, &[u8]) {
    let mut value = 0_u64;
    let mut at = 0;
    while let Some(digit) = bytes.get(at).map(|byte| byte.wrapping_sub(b'0')).filter(|&digit| digit < 10) {
        value = value.wrapping_mul(10).wrapping_add(u64::from(digit));
        at += 1;
    }
    (value, &bytes[at..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn line(number: u64, planned_ns: u64) -> String {
        format!("{{\"planned\":{planned_ns},\"seq\":{number}{REST}")
    }

    #[test]
    fn a_line_is_as_long_as_a_frame_and_is_json() {
        let line = line(1_764_097_200_123_456_789, 1_764_097_200_123_456_789);
        assert!((245..=275).contains(&line.len()), "{}", line.len());
        assert!(serde_json::from_str::<serde_json::Value>(&line).is_ok());
    }

    #[test]
    fn every_client_must_get_every_line_in_order() {
        let mut lines = Lines::new(2, 100);
        let give = |lines: &mut Lines, client, number| {
            let payload = line(number, 1_000);
            lines.on_message(Arrived { client, payload: payload.as_bytes(), received_ns: 1_500 });
        };
        give(&mut lines, 0, 100);
        assert!(!lines.all_joined());
        give(&mut lines, 1, 101);
        give(&mut lines, 0, 101);
        assert!(lines.all_joined() && lines.check().is_ok());
        lines.begin(102, 2, Some(103));
        lines.sent(1_000);
        lines.sent(1_100);
        assert_eq!(lines.slowest(), 0);
        for (client, number) in [(0, 102), (0, 103), (1, 102)] {
            give(&mut lines, client, number);
        }
        assert_eq!((lines.slowest(), lines.corrected.len(), lines.uncorrected.max()), (1, 1, 400));
        give(&mut lines, 1, 104);
        assert!(lines.check().unwrap_err().to_string().contains("lost"));
    }

    #[test]
    fn what_a_server_does_not_take_stays_here_and_goes_out_later() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut feed = Feed::open(&format!("tcp://{}", listener.local_addr().unwrap()), false, 0).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        for n in 0..100_000 {
            feed.push(n);
        }
        feed.flush().unwrap();
        assert!(!feed.text.is_empty(), "more than two sockets hold");
        let reader = std::thread::spawn(move || {
            let mut text = String::new();
            server.read_to_string(&mut text).unwrap();
            text
        });
        while !feed.text.is_empty() {
            feed.flush().unwrap();
        }
        drop(feed);
        let text = reader.join().unwrap();
        assert!(text.lines().enumerate().all(|(n, got)| got == line(n as u64, n as u64)));
        assert_eq!(text.lines().count(), 100_000);
    }
}
