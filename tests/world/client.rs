//! A WebSocket client that keeps every byte it is sent, frame by frame.
//!
//! By hand, because a library hides the frames: what is kept is what was on the wire. It never judges what a frame says.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

/// `Sec-WebSocket-Key` of every client: the answer depends on it.
const KEY: &str = "AAAAAAAAAAAAAAAAAAAAAA==";
const TEXT: u8 = 0x81;
const CLOSE: u8 = 0x88;

/// One connection and all that came over it.
pub struct Client {
    pub name: &'static str,
    stream: TcpStream,
    /// Every byte that came.
    bytes: Vec<u8>,
    /// Where each whole frame ends in `bytes`; the first one is the head of the answer to the handshake.
    ends: Vec<usize>,
    replies: usize,
    closed: bool,
}

impl Client {
    /// Connects and asks for the WebSocket; the answer comes with [`Client::read`].
    pub fn connect(name: &'static str, server: SocketAddr, target: &str) -> Self {
        let mut stream = TcpStream::connect(server).expect("the server listens");
        stream.set_nodelay(true).expect("a socket can be set so");
        let head = format!(
            "GET {target} HTTP/1.1\r\nHost: bist\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: bist.v2.json\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).expect("the server takes a head");
        stream.set_nonblocking(true).expect("a socket can be set so");
        Self { name, stream, bytes: Vec::new(), ends: Vec::new(), replies: 0, closed: false }
    }

    /// Sends a text message. Its mask is zero, which is a mask.
    pub fn send_text(&mut self, text: &str) {
        let length = u16::try_from(text.len()).expect("a short request");
        let mut frame = vec![TEXT];
        if length < 126 {
            frame.push(0x80 | length as u8);
        } else {
            frame.push(0x80 | 126);
            frame.extend(length.to_be_bytes());
        }
        frame.extend([0; 4]);
        frame.extend(text.as_bytes());
        self.stream.write_all(&frame).expect("the server takes a request");
    }

    /// Takes everything that has come.
    pub fn read(&mut self) {
        let mut buffer = [0; 1 << 16];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => self.bytes.extend_from_slice(&buffer[..length]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        while let Some(length) = self.next_frame_bytes() {
            let begin = self.cut();
            let frame = &self.bytes[begin..begin + length];
            self.replies += usize::from(payload(frame).starts_with(b"{\"method\":"));
            self.closed |= frame[0] == CLOSE;
            self.ends.push(begin + length);
        }
    }

    /// Length of the whole frame that begins behind the last one, if it is there.
    fn next_frame_bytes(&self) -> Option<usize> {
        let rest = &self.bytes[self.cut()..];
        if self.ends.is_empty() {
            return rest.windows(4).position(|end| end == b"\r\n\r\n").map(|at| at + 4);
        }
        let (head, length) = head_of(rest)?;
        (rest.len() >= head + length).then_some(head + length)
    }

    fn cut(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }

    /// The handshake is over.
    pub fn is_open(&self) -> bool {
        !self.ends.is_empty()
    }

    /// The server said goodbye.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Replies to requests so far.
    pub fn replies(&self) -> usize {
        self.replies
    }

    /// Bytes so far, those of an unfinished frame included.
    pub fn read_bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Every byte so far.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Frames so far, the answer to the handshake included.
    pub fn frames_count(&self) -> usize {
        self.ends.len()
    }

    /// The frames as a person reads them, one a line.
    pub fn lines(&self) -> impl Iterator<Item = String> + '_ {
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        begins.zip(&self.ends).map(|(begin, &end)| line(&self.bytes[begin..end]))
    }

    /// The last frame, with the client's name before it.
    pub fn last(&self) -> String {
        format!("{}: {}", self.name, self.lines().last().unwrap_or_default())
    }
}

/// Bytes of a frame's head and of its payload, once they are there. Servers do not mask.
fn head_of(bytes: &[u8]) -> Option<(usize, usize)> {
    match *bytes.get(1)? {
        126 => Some((4, u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?).into())),
        127 => Some((10, u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?) as usize)),
        length => Some((2, length.into())),
    }
}

fn payload(frame: &[u8]) -> &[u8] {
    head_of(frame).and_then(|(head, _)| frame.get(head..)).unwrap_or_default()
}

/// A text message as it is; of everything else the first byte as well.
fn line(frame: &[u8]) -> String {
    match frame.first() {
        Some(&TEXT) => String::from_utf8_lossy(payload(frame)).into_owned(),
        Some(b'H') => format!("{:?}", String::from_utf8_lossy(frame)),
        first => format!("{:02x} {:?}", first.unwrap_or(&0), String::from_utf8_lossy(payload(frame))),
    }
}
