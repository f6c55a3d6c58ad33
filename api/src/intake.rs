//! Connections that another port of this process accepted and does not serve: the market-data port's, which is read on a
//! fan-out thread, hands over whatever is not its WebSocket.
//!
//! [`Intake::offer`] never blocks and never waits: it takes a connection or gives it back. Serves nothing itself.

use std::io::{self, IoSlice};
use std::net::{SocketAddr, TcpStream as StdStream};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;

/// Connections that wait for the runtime; beyond it they are given back.
pub(crate) const WAITING_MAX: usize = 64;

/// A connection that somebody else accepted and began to read.
pub(crate) struct Accepted {
    pub(crate) stream: StdStream,
    pub(crate) peer: SocketAddr,
    /// The bytes that were read.
    pub(crate) read: Vec<u8>,
}

/// The door for connections of other ports.
#[derive(Clone, Debug)]
pub struct Intake(mpsc::Sender<Accepted>);

/// A door, and what comes through it.
pub(crate) fn intake() -> (Intake, mpsc::Receiver<Accepted>) {
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    (Intake(sender), receiver)
}

impl Intake {
    /// Takes a connection over: `stream` is non-blocking, `read` what was read of it.
    ///
    /// # Errors
    /// 64 connections wait already, or the runtime has stopped: the connection comes back.
    pub fn offer(
        &self,
        stream: StdStream,
        peer: SocketAddr,
        read: Vec<u8>,
    ) -> Result<(), (StdStream, SocketAddr, Vec<u8>)> {
        self.0.try_send(Accepted { stream, peer, read }).map_err(|refused| {
            let Accepted { stream, peer, read } = refused.into_inner();
            (stream, peer, read)
        })
    }
}

/// A stream that first gives what was read of it before.
pub(crate) struct Rewound<T> {
    read: Vec<u8>,
    /// How much of it was given.
    given: usize,
    inner: T,
}

impl<T> Rewound<T> {
    pub(crate) fn new(read: Vec<u8>, inner: T) -> Self {
        Self { read, given: 0, inner }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Rewound<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let rest = &this.read[this.given..];
        if rest.is_empty() {
            return Pin::new(&mut this.inner).poll_read(cx, buffer);
        }
        let count = rest.len().min(buffer.remaining());
        buffer.put_slice(&rest[..count]);
        this.given += count;
        if this.given == this.read.len() {
            (this.read, this.given) = (Vec::new(), 0);
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Rewound<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use tokio::io::AsyncReadExt;

    #[test]
    fn so_many_wait_and_no_more() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let connect = || StdStream::connect(address).unwrap();
        let (intake, mut accepted) = intake();
        for _ in 0..WAITING_MAX {
            intake.offer(connect(), address, Vec::new()).expect("there is room");
        }
        let (_, _, read) = intake.offer(connect(), address, b"GET".to_vec()).expect_err("it is full");
        assert_eq!(read, b"GET");
        accepted.try_recv().expect("the first that came");
        intake.offer(connect(), address, Vec::new()).expect("there is room again");
    }

    #[tokio::test]
    async fn what_was_read_comes_first_in_any_pieces() {
        let mut rewound = Rewound::new(b"GET / HT".to_vec(), &b"TP/1.1"[..]);
        let mut piece = [0; 3];
        rewound.read_exact(&mut piece).await.unwrap();
        let mut rest = String::new();
        rewound.read_to_string(&mut rest).await.unwrap();
        assert_eq!((&piece, &rest[..]), (b"GET", " / HTTP/1.1"));
    }
}
