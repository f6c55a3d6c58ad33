//! What happens to datagrams on their way: kept back, lost. Deterministic; knows nothing of what they hold.

/// Bytes of a packet without messages: a heartbeat or an end of session.
const EMPTY_PACKET_BYTES: usize = 20;

/// One line with its faults. A test sets them, and they end by themselves.
#[derive(Debug, Default)]
pub struct Line {
    held: Vec<Vec<u8>>,
    held_until_ns: u64,
    to_lose: u32,
    /// Datagrams lost so far.
    pub lost: u32,
}

impl Line {
    /// Keeps everything back until then, and brings it all at once.
    pub fn hold_until(&mut self, until_ns: u64) {
        self.held_until_ns = until_ns;
    }

    /// Loses the next so many datagrams that carry messages.
    pub fn lose(&mut self, count: u32) {
        self.to_lose += count;
    }

    /// What arrives at `now_ns` of what was `sent`.
    pub fn carry(&mut self, sent: Vec<Vec<u8>>, now_ns: u64) -> Vec<Vec<u8>> {
        for datagram in sent {
            if self.to_lose > 0 && datagram.len() > EMPTY_PACKET_BYTES {
                self.to_lose -= 1;
                self.lost += 1;
            } else {
                self.held.push(datagram);
            }
        }
        if now_ns < self.held_until_ns { Vec::new() } else { std::mem::take(&mut self.held) }
    }
}
