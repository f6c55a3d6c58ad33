//! What `book` frames of our own server say of the messages that were sent: which ones arrived, when, in what order.
//!
//! A frame shows everything of its symbol up to its `ts_event`, which is the planned time of a message: so every message
//! is timed, also one that shares a frame with others. Reads frames by their fixed order of members and without JSON
//! machinery, so that this client is not slower than the server; [`super::verify`] reads some of them again, properly.

use book::Nanos;
use hdrhistogram::Histogram;

use super::client::Arrived;
use super::least::Least;
use super::lines::number;
use super::sender::Times;
use crate::report::histogram;

/// The head of a `book` frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// A whole picture, not a change.
    pub snapshot: bool,
    /// Number in the ticker.
    pub symbol: usize,
    /// Number of its newest event.
    pub seq: u64,
    /// Number of the frame before.
    pub prev_seq: u64,
    /// Exchange time of the newest event: the planned time of its message.
    pub exchange_ns: Nanos,
    /// When the server took its packet.
    pub received_ns: Nanos,
    /// When the server made the frame.
    pub out_ns: Nanos,
}

/// Reads the head; `None` for anything but a `book` frame of a symbol `S` and five digits.
#[must_use]
pub fn head(payload: &[u8]) -> Option<Head> {
    let rest = payload.strip_prefix(b"{\"channel\":\"book\",\"type\":\"")?;
    let (snapshot, rest) = match rest.strip_prefix(b"update\",\"symbol\":\"S") {
        Some(rest) => (false, rest),
        None => (true, rest.strip_prefix(b"snapshot\",\"symbol\":\"S")?),
    };
    let (symbol, rest) = number(rest);
    let (_, rest) = number(rest.strip_prefix(b"\",\"epoch\":")?);
    let (seq, rest) = number(rest.strip_prefix(b",\"seq\":")?);
    let (prev_seq, rest) = number(rest.strip_prefix(b",\"prev_seq\":")?);
    let (exchange_ns, rest) = number(rest.strip_prefix(b",\"ts_event\":\"")?);
    let (received_ns, rest) = number(rest.strip_prefix(b"\",\"ts_recv\":\"")?);
    let (out_ns, _) = number(rest.strip_prefix(b"\",\"ts_out\":\"")?);
    Some(Head { snapshot, symbol: symbol as usize, seq, prev_seq, exchange_ns, received_ns, out_ns })
}

/// Frames whose heads were read lately. All clients get the same bytes, so that a head is read once, and each other client's
/// frame is compared with that one, byte by byte: a fraction of the time of reading it.
#[derive(Debug)]
struct Known {
    /// By their last digits, which are those of the checksum: as good as random.
    entries: Vec<KnownFrame>,
}

/// One of them; `length` 0 = none yet.
#[derive(Clone, Debug)]
struct KnownFrame {
    head: Head,
    length: usize,
    bytes: [u8; KNOWN_BYTES],
}

/// Longer frames, which are snapshots, are read each time.
const KNOWN_BYTES: usize = 512;
/// Four times what is under way at once, so that few share a place.
const KNOWN_COUNT: usize = 1_024;

impl Known {
    fn new() -> Self {
        let head = Head { snapshot: false, symbol: 0, seq: 0, prev_seq: 0, exchange_ns: 0, received_ns: 0, out_ns: 0 };
        Self { entries: vec![KnownFrame { head, length: 0, bytes: [0; KNOWN_BYTES] }; KNOWN_COUNT] }
    }

    /// What [`head`] says of `payload`.
    #[inline]
    fn head(&mut self, payload: &[u8]) -> Option<Head> {
        let length = payload.len();
        let Some(digits) = payload.last_chunk::<9>().filter(|_| length <= KNOWN_BYTES) else { return head(payload) };
        let [digits @ .., _] = *digits;
        // Fibonacci hashing: the high bits of the product depend on all digits.
        let at = u64::from_le_bytes(digits).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - KNOWN_COUNT.ilog2());
        let known = &mut self.entries[at as usize];
        if known.length != length || known.bytes[..length] != *payload {
            known.head = head(payload)?;
            known.length = length;
            known.bytes[..length].copy_from_slice(payload);
        }
        Some(known.head)
    }
}

/// Latencies of a run, ns.
#[derive(Clone, Debug)]
pub struct Latencies {
    /// From the planned send time to the client, every message and client.
    pub corrected: Histogram<u64>,
    /// From the real send time to the client.
    pub uncorrected: Histogram<u64>,
    /// From the planned send time to the server's reading of the packet; one client, newest message of each frame.
    pub receive: Histogram<u64>,
    /// From there to the making of the frame: decoding, rings, books, waiting for the turn.
    pub process: Histogram<u64>,
    /// From there to the client: encoding, the sends to the clients before it, its own, reading it.
    pub deliver: Histogram<u64>,
}

impl Default for Latencies {
    fn default() -> Self {
        let empty = histogram();
        Self {
            corrected: empty.clone(),
            uncorrected: empty.clone(),
            receive: empty.clone(),
            process: empty.clone(),
            deliver: empty,
        }
    }
}

/// One client's place in one symbol.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    /// `seq` of its last frame; 0 = no snapshot yet.
    seq: u64,
    /// Messages of the symbol that it has been shown.
    shown: u32,
}

/// Follows every client through a run.
#[derive(Debug)]
pub struct Follow {
    symbols: usize,
    /// Numbers of the messages of each symbol, in order.
    of_symbol: Vec<Vec<u32>>,
    /// Messages named.
    messages: u32,
    places: Vec<Place>,
    known: Known,
    least: Least,
    /// Messages that each client has been shown.
    pub delivered: Vec<u64>,
    /// Snapshots that each client has got.
    pub snapshots: Vec<usize>,
    /// Frames whose `prev_seq` is not the number of the one before.
    pub broken: u64,
    /// Updates.
    pub updates: u64,
    /// Frames of the `system` channel that tell of a loss.
    pub gaps: u64,
    /// The first of them, for a person.
    pub first_gap: String,
    /// What was measured from message `measured_from` on.
    pub latencies: Latencies,
    /// Messages before this one warm up.
    pub measured_from: usize,
    /// Times are not recorded, only deliveries counted.
    pub untimed: bool,
}

impl Follow {
    /// Nothing was sent yet.
    #[must_use]
    pub fn new(clients: usize, symbols: usize) -> Self {
        Self {
            symbols,
            of_symbol: vec![Vec::new(); symbols],
            messages: 0,
            places: vec![Place::default(); clients * symbols],
            known: Known::new(),
            least: Least::default(),
            delivered: vec![0; clients],
            snapshots: vec![0; clients],
            broken: 0,
            updates: 0,
            gaps: 0,
            first_gap: String::new(),
            latencies: Latencies::default(),
            measured_from: 0,
            untimed: false,
        }
    }

    /// Names the messages of a run by their symbols: counting begins anew, the chains of frames go on.
    pub fn begin(&mut self, symbols: impl Iterator<Item = usize>) {
        self.of_symbol.iter_mut().for_each(Vec::clear);
        self.messages = 0;
        symbols.for_each(|symbol| self.add(symbol));
        self.places.iter_mut().for_each(|place| place.shown = 0);
        self.delivered.fill(0);
        self.least = Least::default();
        self.latencies = Latencies::default();
    }

    /// Names one more message of a run.
    pub fn add(&mut self, symbol: usize) {
        self.of_symbol[symbol].push(self.messages);
        self.messages += 1;
    }

    /// Takes a message of a client; false when it is not a `book` frame.
    pub fn on_frame(&mut self, arrived: Arrived<'_>, times: &Times) -> bool {
        let Some(head) = self.known.head(arrived.payload).filter(|head| head.symbol < self.symbols) else {
            if is_gap(arrived.payload) {
                self.on_gap(arrived.payload);
            }
            return false;
        };
        let place = &mut self.places[arrived.client * self.symbols + head.symbol];
        if head.snapshot {
            self.snapshots[arrived.client] += 1;
        } else {
            self.updates += 1;
            self.broken += u64::from(head.prev_seq != place.seq);
        }
        place.seq = head.seq;
        let numbers = &self.of_symbol[head.symbol];
        let mut newest = None;
        while let Some(&number) = numbers.get(place.shown as usize) {
            let planned_ns = times.planned_ns[number as usize];
            if planned_ns > head.exchange_ns {
                break;
            }
            place.shown += 1;
            self.delivered[arrived.client] += 1;
            newest = Some(number);
            if !self.untimed && number as usize >= self.measured_from {
                let sent_ns = times.sent_ns.get(number as usize).copied().unwrap_or(planned_ns);
                self.latencies.corrected.saturating_record(arrived.received_ns.saturating_sub(planned_ns));
                self.latencies.uncorrected.saturating_record(arrived.received_ns.saturating_sub(sent_ns));
            }
        }
        let stages = !self.untimed && newest.is_some_and(|number| number as usize >= self.measured_from);
        if stages && !head.snapshot {
            let latencies = &mut self.latencies;
            latencies.deliver.saturating_record(arrived.received_ns.saturating_sub(head.out_ns));
            if arrived.client == 0 {
                latencies.receive.saturating_record(head.received_ns.saturating_sub(head.exchange_ns));
                latencies.process.saturating_record(head.out_ns.saturating_sub(head.received_ns));
            }
        }
        true
    }

    #[cold]
    fn on_gap(&mut self, payload: &[u8]) {
        self.gaps += 1;
        if self.first_gap.is_empty() {
            self.first_gap = gap_text(payload);
        }
    }

    /// Messages that the slowest client has been shown.
    #[must_use]
    pub fn slowest(&mut self) -> u64 {
        let delivered = &self.delivered;
        self.least.of(delivered.len(), |client| delivered[client])
    }
}

/// What a gap frame says, for a person.
fn gap_text(payload: &[u8]) -> String {
    let frame: serde_json::Value = serde_json::from_slice(payload).unwrap_or_default();
    let text = |member: &str| frame[member].as_str().unwrap_or("?").to_owned();
    format!("reason {}, messages {} to {} of the venue", text("reason"), text("venue_from"), text("venue_to"))
}

fn is_gap(payload: &[u8]) -> bool {
    payload.starts_with(b"{\"channel\":\"system\",\"type\":\"gap\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: &str = r#"{"channel":"book","type":"update","symbol":"S00001","epoch":7,"seq":12,"prev_seq":9,"ts_event":"110","ts_recv":"130","ts_out":"140","bids":[],"asks":[],"checksum":1}"#;

    #[test]
    fn the_head_of_a_frame_is_read() {
        let expected =
            Head { snapshot: false, symbol: 1, seq: 12, prev_seq: 9, exchange_ns: 110, received_ns: 130, out_ns: 140 };
        assert_eq!(head(FRAME.as_bytes()), Some(expected));
        assert!(head(FRAME.replace("update", "snapshot").as_bytes()).unwrap().snapshot);
        for cut in 0..FRAME.find("140").unwrap() {
            assert_eq!(head(&FRAME.as_bytes()[..cut]), None, "cut at {cut}");
        }
        assert_eq!(head(FRAME.replace("book", "trades").as_bytes()), None);
    }

    #[test]
    fn a_head_that_is_known_is_that_of_the_same_bytes_only() {
        let mut known = Known::new();
        let other = FRAME.replace("\"seq\":12", "\"seq\":13"); // ends as the other one
        for _ in 0..2 {
            assert_eq!(known.head(FRAME.as_bytes()).unwrap().seq, 12);
            assert_eq!(known.head(other.as_bytes()).unwrap().seq, 13);
            assert_eq!(known.head(b"no frame, and as long as one"), None);
            assert_eq!(known.head(b"short"), None);
        }
        let long = format!("{}{}", FRAME, " ".repeat(KNOWN_BYTES));
        assert_eq!(known.head(long.as_bytes()).unwrap().seq, 12);
    }

    #[test]
    fn a_gap_is_counted_and_its_reason_kept() {
        let mut follow = Follow::new(1, 2);
        let payload = br#"{"channel":"system","type":"gap","reason":"upstream","venue_from":"7","venue_to":"9"}"#;
        let arrived = Arrived { client: 0, payload, received_ns: 1 };
        assert!(!follow.on_frame(arrived, &Times::default()));
        assert_eq!((follow.gaps, follow.first_gap.as_str()), (1, "reason upstream, messages 7 to 9 of the venue"));
    }

    #[test]
    fn a_frame_times_every_message_that_it_shows_from_its_own_plan() {
        let mut follow = Follow::new(1, 2);
        follow.begin([1, 0, 1, 1].into_iter());
        let times = Times { planned_ns: vec![100, 105, 110, 115], sent_ns: vec![101, 120, 120, 120] };
        let arrived = Arrived { client: 0, payload: FRAME.as_bytes(), received_ns: 150 };
        assert!(follow.on_frame(arrived, &times));
        assert_eq!((follow.delivered[0], follow.slowest(), follow.broken), (2, 2, 1));
        let latencies = &follow.latencies;
        assert_eq!((latencies.corrected.min(), latencies.corrected.max(), latencies.corrected.len()), (40, 50, 2));
        assert_eq!((latencies.uncorrected.min(), latencies.uncorrected.max()), (30, 49));
        let stages = [&latencies.receive, &latencies.process, &latencies.deliver].map(|stage| stage.max());
        assert_eq!(stages, [20, 10, 10]);
    }
}
