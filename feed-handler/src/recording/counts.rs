//! What is counted while a recording is read. Counts only; decides nothing.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use book::Nanos;

use super::step::{RecordedMessage, Step};
use crate::decode::sink::Refused;
use crate::wire::layout::moldudp64::Session;

/// Refusals whose place is remembered, for whoever wants to look at the file.
const REFUSALS_KEPT: usize = 10;
/// Gaps that are remembered one by one; all are counted.
const GAPS_KEPT: usize = 100;

/// What was counted while reading.
#[derive(Clone, Debug)]
pub struct RecordingCounts {
    /// Messages (rows, records), refused ones included, definitions of ours not.
    pub messages: u64,
    /// The same by [`RecordedMessage::kind`].
    pub by_kind: Box<[u64; 256]>,
    /// Slots made.
    pub slots: u64,
    /// Messages refused, by [`Refused::reason`].
    pub refused: BTreeMap<&'static str, u64>,
    /// The first ten of them: position and reason.
    pub refused_first: Vec<(u64, Refused)>,
    /// Gaps in the numbers.
    pub gaps: u64,
    /// Messages missing in them; stays at the highest number rather than beginning again.
    pub lost: u64,
    /// The first hundred gaps, as first and last missing number.
    pub gaps_first: Vec<(u64, u64)>,
    /// UDP payloads looked at.
    pub packets: u64,
    /// Packets that only said that the sender is alive.
    pub heartbeats: u64,
    /// Packets that ended a session.
    pub ends_of_session: u64,
    /// Messages that had come before, as from the other line.
    pub repeats: u64,
    /// UDP payloads that are no whole MoldUDP64 packet.
    pub damaged_packets: u64,
    /// UDP payloads to ports that are not followed.
    pub other_ports: u64,
    /// Whole MoldUDP64 packets whose messages are of no protocol that is read.
    pub foreign_packets: u64,
    /// What they are, by the first of them.
    pub foreign: Option<ForeignPackets>,
    /// Whole packets of more sessions than can be followed at one time.
    pub refused_streams: u64,
    /// Bytes behind a compressed stream that are neither padding nor another one; they were not read.
    pub trailing_bytes: u64,
    /// Sessions begun after the first one of their stream.
    pub sessions: u64,
    /// Each stream with its first session.
    pub streams: Vec<(Option<SocketAddr>, Session)>,
    /// Earliest and latest exchange clock; `None` before the first message that has one.
    pub exchange_span_ns: Option<(Nanos, Nanos)>,
}

/// What packets of another protocol look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForeignPackets {
    /// The protocol, where its messages tell it.
    pub name: Option<&'static str>,
    /// Type of the first message.
    pub kind: u8,
    /// Its length, bytes.
    pub length: usize,
}

impl Default for RecordingCounts {
    fn default() -> Self {
        Self {
            messages: 0,
            by_kind: Box::new([0; 256]),
            slots: 0,
            refused: BTreeMap::new(),
            refused_first: Vec::new(),
            gaps: 0,
            lost: 0,
            gaps_first: Vec::new(),
            packets: 0,
            heartbeats: 0,
            ends_of_session: 0,
            repeats: 0,
            damaged_packets: 0,
            other_ports: 0,
            foreign_packets: 0,
            foreign: None,
            refused_streams: 0,
            trailing_bytes: 0,
            sessions: 0,
            streams: Vec::new(),
            exchange_span_ns: None,
        }
    }
}

impl RecordingCounts {
    pub(super) fn on_step(&mut self, step: &Step) {
        match step {
            Step::Message(taken) => self.on_message(taken),
            Step::Gap { from, to } => {
                self.gaps += 1;
                // A damaged number can make one gap as long as all numbers are; two of them are longer.
                self.lost = self.lost.saturating_add(to - from + 1);
                if self.gaps_first.len() < GAPS_KEPT {
                    self.gaps_first.push((*from, *to));
                }
            }
            Step::Session | Step::PartitionSession => self.sessions += 1,
            Step::End => {}
        }
    }

    fn on_message(&mut self, taken: &RecordedMessage) {
        self.slots += u64::from(taken.slots);
        if taken.position > 0 {
            self.messages += 1;
            self.by_kind[usize::from(taken.kind)] += 1;
        }
        if let Some(refused) = taken.refused {
            *self.refused.entry(refused.reason()).or_default() += 1;
            if self.refused_first.len() < REFUSALS_KEPT {
                self.refused_first.push((taken.position, refused));
            }
        }
        if taken.exchange_ns > 0 {
            let (first, last) = self.exchange_span_ns.unwrap_or((taken.exchange_ns, taken.exchange_ns));
            self.exchange_span_ns = Some((first.min(taken.exchange_ns), last.max(taken.exchange_ns)));
        }
    }

    /// Whether there was something to read and none of it could be: every message refused, or a capture without a
    /// packet of a feed. The reason in words.
    #[must_use]
    pub fn nothing_read(&self) -> Option<String> {
        let refused = self.refused_total();
        if self.messages > 0 {
            return (refused >= self.messages)
                .then(|| format!("every one of the {refused} messages was refused: the file is of another format"));
        }
        match self.foreign {
            Some(ForeignPackets { name: Some(name), .. }) => {
                Some(format!("its {} packets are {name}, which is not read", self.foreign_packets))
            }
            Some(ForeignPackets { kind, length, .. }) => Some(format!(
                "its {} packets are of another protocol: the first message has type {:?} and {length} bytes",
                self.foreign_packets,
                char::from(kind)
            )),
            None => None,
        }
    }

    /// All refusals.
    #[must_use]
    pub fn refused_total(&self) -> u64 {
        self.refused.values().sum()
    }
}
