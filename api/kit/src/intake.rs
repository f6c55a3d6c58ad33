//! Connections that another server of this process accepted and hands over, with the bytes it has read.
//!
//! The giving side never waits, allocates or calls the system: a full queue gives the connection back. The taking side
//! serves it as if it had been accepted here (`server.rs`).

use std::net::{SocketAddr, TcpStream};

use tokio::sync::mpsc;

/// Connections that wait for the runtime; beyond, [`Intake::offer`] gives back.
pub const WAITING_MAX: usize = 64;

/// A connection on its way.
pub(crate) struct Connection<Stream> {
    pub(crate) stream: Stream,
    pub(crate) peer: SocketAddr,
    /// What was read from it already.
    pub(crate) read: Vec<u8>,
}

/// The giving side: cheap to clone, usable from any thread.
#[derive(Clone)]
pub struct Intake {
    sender: mpsc::Sender<Connection<TcpStream>>,
}

/// The taking side, for [`crate::server::Server::start`].
pub struct Arrivals {
    pub(crate) receiver: mpsc::Receiver<Connection<TcpStream>>,
}

/// Both sides of a queue of [`WAITING_MAX`] connections.
#[must_use]
pub fn intake() -> (Intake, Arrivals) {
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    (Intake { sender }, Arrivals { receiver })
}

impl Intake {
    /// Hands over a connection and the bytes `read` from it. Never blocks.
    ///
    /// # Errors
    /// The connection comes back when [`WAITING_MAX`] are waiting or the runtime has stopped.
    pub fn offer(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        read: Vec<u8>,
    ) -> Result<(), (TcpStream, SocketAddr, Vec<u8>)> {
        self.sender.try_send(Connection { stream, peer, read }).map_err(|refused| {
            let Connection { stream, peer, read } = refused.into_inner();
            (stream, peer, read)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_full_queue_gives_back_what_it_was_offered() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (intake, mut arrivals) = intake();
        let offer = || {
            let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let peer = stream.local_addr().unwrap();
            (intake.offer(stream, peer, b"GET".to_vec()), peer)
        };
        assert!((0..WAITING_MAX).all(|_| offer().0.is_ok()));
        let (refused, peer) = offer();
        let (stream, from, read) = refused.expect_err("the queue is full");
        assert_eq!((stream.local_addr().unwrap(), from, read.as_slice()), (peer, peer, &b"GET"[..]));
        assert!(arrivals.receiver.try_recv().is_ok());
        assert!(offer().0.is_ok(), "there is room again");
        drop(arrivals);
        assert!(offer().0.is_err(), "nobody takes any more");
    }
}
