//! Where connections go that are not the public socket: a door out of the fan-out thread, with what was read of them.
//!
//! Decides nothing and answers nothing; whoever is behind the door serves, bounds and closes.

use std::fmt;
use std::net::{SocketAddr, TcpStream};

/// A connection that is not the public socket, with the bytes read so far.
pub struct HandedOver {
    /// The socket, non-blocking and in no poll.
    pub stream: TcpStream,
    /// The other end.
    pub peer: SocketAddr,
    /// What was read: a whole request head, at most 8 KiB, and what stood behind it.
    pub read: Vec<u8>,
}

impl fmt::Debug for HandedOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandedOver").field("peer", &self.peer).field("read_bytes", &self.read.len()).finish()
    }
}

/// Where the fan-out hands connections that are not its own.
///
/// Called on the fan-out thread: never blocks, never answers; refuses when it is full.
pub trait SlowPath: Send + Sync {
    /// Takes a connection over.
    ///
    /// # Errors
    /// There is no room: the connection comes back and is closed.
    fn hand_over(&self, connection: HandedOver) -> Result<(), HandedOver>;
}

/// Nobody: every connection that is not the public socket is closed.
impl SlowPath for () {
    fn hand_over(&self, connection: HandedOver) -> Result<(), HandedOver> {
        Err(connection)
    }
}
