//! The simulated exchange as datagrams of MoldUDP64 that fall due in virtual time. Without sockets and threads.

use super::SECOND;
use super::imports::{DATAGRAM_BYTES_MAX, Exchange, Nanos, Output, PacketWriter, Price, PushError, Session, SimConfig};

/// A quiet line says so often that it is alive.
const HEARTBEAT_NS: u64 = SECOND;
/// An ended session says so this often until the next one begins.
const END_OF_SESSION_NS: u64 = SECOND / 5;

/// The exchange and its line's packets.
pub struct Datagrams {
    exchange: Exchange,
    packing: Packing,
}

struct Packing {
    writer: PacketWriter,
    /// Exchange time of the packet being filled.
    packet_ns: Nanos,
    due: Vec<Vec<u8>>,
    spoke_ns: Nanos,
    sessions: u32,
    ended: bool,
}

impl Datagrams {
    /// An exchange whose first day begins at `start_ns`.
    pub fn new(config: &SimConfig, start_ns: Nanos) -> Self {
        let exchange = Exchange::new(config, start_ns).expect("a configuration within its ranges");
        let packing = Packing {
            writer: PacketWriter::new(exchange.session(), 1, DATAGRAM_BYTES_MAX),
            packet_ns: 0,
            due: Vec::new(),
            spoke_ns: start_ns,
            sessions: 0,
            ended: false,
        };
        Self { exchange, packing }
    }

    /// Everything that the line sends up to `now_ns`, heartbeats included.
    pub fn take_due(&mut self, now_ns: Nanos) -> Vec<Vec<u8>> {
        let Self { exchange, packing } = self;
        while exchange.next_ns().is_some_and(|next_ns| exchange.timeline().planned_ns(next_ns) <= now_ns) {
            exchange.step(packing);
        }
        packing.flush();
        let quiet_max_ns = if packing.ended { END_OF_SESSION_NS } else { HEARTBEAT_NS };
        if packing.due.is_empty() && now_ns - packing.spoke_ns >= quiet_max_ns {
            packing.say_alive();
        }
        if !packing.due.is_empty() {
            packing.spoke_ns = now_ns;
        }
        std::mem::take(&mut packing.due)
    }

    /// Trading days begun.
    pub fn sessions(&self) -> u32 {
        self.packing.sessions
    }

    /// Volatility halts so far.
    pub fn halts(&self) -> u64 {
        self.exchange.halts()
    }

    /// Tickers, busiest first, with their base prices.
    pub fn base_prices(&self) -> Vec<(String, Price)> {
        let price = |milli| Price::from_decimal(i64::from(milli), 3).expect("a base price fits");
        self.exchange.books().map(|(_, ticker, base, _)| (ticker.to_owned(), price(base))).collect()
    }
}

impl Packing {
    fn flush(&mut self) {
        if let Some(datagram) = self.writer.take() {
            self.due.push(datagram.to_vec());
        }
    }

    fn say_alive(&mut self) {
        let datagram = if self.ended { self.writer.end_of_session() } else { self.writer.heartbeat() };
        self.due.push(datagram.to_vec());
    }
}

impl Output for Packing {
    fn session_begins(&mut self, session: Session) {
        self.flush();
        self.writer = PacketWriter::new(session, 1, DATAGRAM_BYTES_MAX);
        self.sessions += 1;
        self.ended = false;
    }

    fn message(&mut self, exchange_ns: Nanos, message: &[u8]) {
        if exchange_ns != self.packet_ns {
            self.flush();
            self.packet_ns = exchange_ns;
        }
        if self.writer.push(message) == Err(PushError::Full) {
            self.flush();
            self.writer.push(message).expect("an empty packet holds any message");
        }
    }

    fn session_ends(&mut self) {
        self.flush();
        self.ended = true;
        self.say_alive();
    }
}
