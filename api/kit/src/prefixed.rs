//! A socket whose first bytes were read by somebody else: they come first, then what the socket has.
//!
//! Never copies more than is asked for, and passes writes through untouched.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// `inner` behind the bytes that were read from it before.
pub(crate) struct Prefixed<T> {
    inner: T,
    read: Vec<u8>,
    /// Bytes of `read` that have been given out.
    given: usize,
}

impl<T> Prefixed<T> {
    pub(crate) fn new(inner: T, read: Vec<u8>) -> Self {
        Self { inner, read, given: 0 }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Prefixed<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let waiting = &self.read[self.given..];
        if waiting.is_empty() {
            return Pin::new(&mut self.inner).poll_read(cx, buffer);
        }
        let taken = waiting.len().min(buffer.remaining());
        buffer.put_slice(&waiting[..taken]);
        self.given += taken;
        if self.given == self.read.len() {
            (self.read, self.given) = (Vec::new(), 0); // a connection may live for hours: its first bytes need not
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Prefixed<T> {
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
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    #[tokio::test]
    async fn the_first_bytes_come_first_however_small_the_buffer() {
        for size in [1, 2, 3, 64] {
            let (near, mut far) = duplex(64);
            far.write_all(b" and then").await.unwrap();
            drop(far);
            let mut socket = Prefixed::new(near, b"first".to_vec());
            let mut seen = Vec::new();
            loop {
                let mut buffer = vec![0; size];
                match socket.read(&mut buffer).await.unwrap() {
                    0 => break,
                    read => seen.extend_from_slice(&buffer[..read]),
                }
            }
            assert_eq!(seen, b"first and then");
        }
    }
}
