//! Many WebSocket clients in one thread: non-blocking sockets, one poll, a reader of server frames.
//!
//! Never sleeps inside a turn; what a frame says is for the caller. Frames are unmasked, as RFC 6455 asks of servers, and
//! whole messages: neither our server nor the peers fragment a message of some hundred bytes, and one that does is an
//! error here, not a wrong figure.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use book::Nanos;
use mio::{Events, Interest, Poll, Token};

/// Bytes read at once. One buffer for all clients: what the kernel copies there is still in the first caches when it is
/// read, and thousand clients take no more memory than one.
const BUFFER_BYTES: usize = 256 * 1024;
/// How long a connection may take to be accepted and upgraded.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// Longest message that is taken: a picture of every order of a book.
const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// `ws://host:port/path`, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Where to connect.
    pub address: SocketAddr,
    /// `Host` of the request.
    pub host: String,
    /// Path with its query.
    pub path: String,
}

impl Target {
    /// Reads a URL. Anything but a loopback address is refused unless `allow_remote`: load belongs on one's own servers.
    ///
    /// # Errors
    /// Not a `ws://` URL, a host that is not known, or one that is not allowed; the text says what to do.
    pub fn parse(url: &str, allow_remote: bool) -> io::Result<Self> {
        let refuse = |text: String| io::Error::new(io::ErrorKind::InvalidInput, text);
        let Some(rest) = url.strip_prefix("ws://") else {
            return Err(refuse(format!("{url}: only ws://host:port/path can be loaded (no TLS)")));
        };
        let (host, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
        let with_port = if host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) {
            host.to_owned()
        } else {
            format!("{host}:80")
        };
        let address = resolve(&with_port, allow_remote)?;
        Ok(Self { address, host: host.to_owned(), path: path.to_owned() })
    }
}

/// The address of `host:port`, loopback unless `allow_remote`.
///
/// # Errors
/// A host that is not known, or one that is not allowed.
pub fn resolve(host_port: &str, allow_remote: bool) -> io::Result<SocketAddr> {
    let refuse = |text: String| io::Error::new(io::ErrorKind::InvalidInput, text);
    let mut addresses =
        host_port.to_socket_addrs().map_err(|error| io::Error::new(error.kind(), format!("{host_port}: {error}")))?;
    let address = addresses.next().ok_or_else(|| refuse(format!("{host_port}: no address")))?;
    if !address.ip().is_loopback() && !allow_remote {
        return Err(refuse(format!("{host_port} is not this machine; --allow-remote if it is yours to load")));
    }
    Ok(address)
}

/// What came.
#[derive(Clone, Copy, Debug)]
pub struct Arrived<'a> {
    /// Index of the client.
    pub client: usize,
    /// Whole payload of a text or binary message.
    pub payload: &'a [u8],
    /// When it was read, Unix ns.
    pub received_ns: Nanos,
}

struct Connection {
    socket: mio::net::TcpStream,
    /// The beginning of a message that is not whole.
    rest: Vec<u8>,
    /// More may be there although the poll will not say so again.
    readable: bool,
}

/// All clients.
pub struct Clients {
    poll: Poll,
    events: Events,
    connections: Vec<Connection>,
    /// What is being read: the rest of the client whose turn it is, and what came behind it.
    buffer: Vec<u8>,
    /// Payload bytes and frame heads read so far.
    pub bytes: u64,
    /// Messages read so far.
    pub frames: u64,
    readable: Vec<usize>,
}

impl Clients {
    /// Connects and upgrades `count` clients, one after the other.
    ///
    /// # Errors
    /// The server refuses or does not answer in time; the text says what it said.
    pub fn connect(target: &Target, count: usize) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut connections = Vec::with_capacity(count);
        for client in 0..count {
            let (stream, rest) = upgrade(target)
                .map_err(|error| io::Error::new(error.kind(), format!("client {client} of {count}: {error}")))?;
            let mut socket = mio::net::TcpStream::from_std(stream);
            poll.registry().register(&mut socket, Token(client), Interest::READABLE)?;
            connections.push(Connection { socket, rest, readable: false });
        }
        let (events, readable) = (Events::with_capacity(1_024), Vec::with_capacity(count));
        Ok(Self { poll, events, connections, buffer: vec![0; BUFFER_BYTES], bytes: 0, frames: 0, readable })
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.connections.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.connections.is_empty()
    }

    /// Sends a text message from one client. Short ones only: it is for requests.
    ///
    /// # Errors
    /// The socket does not take all of it at once.
    pub fn send(&mut self, client: usize, text: &str) -> io::Result<()> {
        let frame = masked(0x81, text.as_bytes());
        let sent = self.connections[client].socket.write(&frame)?;
        if sent == frame.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
    }

    /// One turn: reads whatever is there from every client, waiting for it at most `wait`.
    ///
    /// Returns the messages read. Pings are answered and not counted.
    ///
    /// # Errors
    /// A server that closed, or does not keep to RFC 6455.
    pub fn turn(
        &mut self,
        wait: Duration,
        clock: fn() -> Nanos,
        each: &mut impl FnMut(Arrived<'_>),
    ) -> io::Result<u64> {
        let wait = if self.readable.is_empty() { wait } else { Duration::ZERO };
        match self.poll.poll(&mut self.events, Some(wait)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(0),
            Err(error) => return Err(error),
        }
        let mut ready = std::mem::take(&mut self.readable);
        for event in &self.events {
            let client = event.token().0;
            if !std::mem::replace(&mut self.connections[client].readable, true) {
                ready.push(client);
            }
        }
        let before = self.frames;
        for &client in &ready {
            self.read(client, clock, each)?;
        }
        ready.retain(|&client| self.connections[client].readable);
        self.readable = ready;
        Ok(self.frames - before)
    }

    fn read(&mut self, client: usize, clock: fn() -> Nanos, each: &mut impl FnMut(Arrived<'_>)) -> io::Result<()> {
        let (connection, buffer) = (&mut self.connections[client], &mut self.buffer);
        let held = connection.rest.len();
        if held > buffer.len() / 2 {
            buffer.resize(buffer.len() * 2, 0);
        }
        buffer[..held].copy_from_slice(&connection.rest);
        let room = buffer.len() - held;
        let read = match connection.socket.read(&mut buffer[held..]) {
            Ok(0) => return Err(closed(client, "the server closed the connection")),
            Ok(read) => read,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                connection.readable = error.kind() == io::ErrorKind::Interrupted;
                return Ok(());
            }
            Err(error) => return Err(closed(client, &error.to_string())),
        };
        // A read that was not filled took everything there was; the poll tells of what comes later.
        connection.readable = read == room;
        self.bytes += read as u64;
        let received_ns = clock();
        let mut bytes = &buffer[..held + read];
        while let Some(Frame { opcode, payload, behind }) = next(client, bytes)? {
            bytes = behind;
            match opcode {
                1 | 2 => {
                    self.frames += 1;
                    each(Arrived { client, payload, received_ns });
                }
                9 => connection.socket.write_all(&masked(0x8A, payload))?,
                10 => {}
                8 => {
                    let code = payload.first_chunk::<2>().map_or(0, |code| u16::from_be_bytes(*code));
                    return Err(closed(client, &format!("the server closed with code {code}")));
                }
                _ => return Err(closed(client, "a fragmented message, which this client does not read")),
            }
        }
        connection.rest.clear();
        connection.rest.extend_from_slice(bytes);
        Ok(())
    }
}

/// A whole frame, and the bytes behind it.
struct Frame<'a> {
    opcode: u8,
    payload: &'a [u8],
    behind: &'a [u8],
}

/// The frame at the front of `bytes`, if it is whole.
#[inline]
fn next(client: usize, bytes: &[u8]) -> io::Result<Option<Frame<'_>>> {
    let [first, second, rest @ ..] = bytes else { return Ok(None) };
    let (head, length) = match (second & 0x7F, rest) {
        (126, [a, b, ..]) => (4, usize::from(u16::from_be_bytes([*a, *b]))),
        (127, rest) => match rest.first_chunk::<8>() {
            Some(long) => (10, usize::try_from(u64::from_be_bytes(*long)).unwrap_or(usize::MAX)),
            None => return Ok(None),
        },
        (126, _) => return Ok(None),
        (short, _) => (2, usize::from(short)),
    };
    if second & 0x80 != 0 || length > MESSAGE_BYTES_MAX || first & 0x80 == 0 {
        return Err(closed(client, "a frame that is masked, fragmented or above 64 MiB"));
    }
    if bytes.len() < head + length {
        return Ok(None);
    }
    let (payload, behind) = bytes[head..].split_at(length);
    Ok(Some(Frame { opcode: first & 0x0F, payload, behind }))
}

fn closed(client: usize, why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, format!("client {client}: {why}"))
}

/// A client's frame. The mask is constant: it is against caches between us, of which there are none on loopback.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..126 => frame.push(0x80 | length as u8),
        length @ 126..65_536 => {
            frame.push(0x80 | 126);
            frame.extend((length as u16).to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend(MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// A read that timed out, as a person understands it.
fn no_answer(error: io::Error) -> io::Error {
    if !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) {
        return error;
    }
    let text = format!(
        "the server took the connection and did not answer the upgrade in {} s: it may have reached its limit of open files \
         (ulimit -n) or of connections",
        CONNECT_MAX.as_secs()
    );
    io::Error::new(io::ErrorKind::TimedOut, text)
}

/// Connects and upgrades; gives the socket, non-blocking, and what came behind the answer.
fn upgrade(target: &Target) -> io::Result<(TcpStream, Vec<u8>)> {
    let mut stream = TcpStream::connect_timeout(&target.address, CONNECT_MAX).map_err(|error| match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            io::Error::new(error.kind(), format!("nobody listens at {}: does the server run?", target.address))
        }
        _ => error,
    })?;
    stream.set_read_timeout(Some(CONNECT_MAX))?;
    stream.set_nodelay(true)?;
    write!(
        stream,
        "GET {} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        target.path, target.host
    )?;
    let mut answer = Vec::new();
    let mut piece = [0; 4_096];
    loop {
        let read = stream.read(&mut piece).map_err(no_answer)?;
        if read == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "closed before it answered the upgrade"));
        }
        answer.extend_from_slice(&piece[..read]);
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut response = httparse::Response::new(&mut headers);
        match response.parse(&answer).map_err(io::Error::other)? {
            httparse::Status::Complete(head) => {
                if response.code != Some(101) {
                    let text = String::from_utf8_lossy(&answer).into_owned();
                    return Err(io::Error::other(format!("no upgrade: {}", text.lines().next().unwrap_or(""))));
                }
                // The sample key of RFC 6455 section 1.3 and its answer.
                let accept = response.headers.iter().find(|h| h.name.eq_ignore_ascii_case("sec-websocket-accept"));
                if accept.is_none_or(|header| header.value != b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") {
                    return Err(io::Error::other("a wrong Sec-WebSocket-Accept: this is no WebSocket server"));
                }
                stream.set_nonblocking(true)?;
                return Ok((stream, answer.split_off(head)));
            }
            httparse::Status::Partial if answer.len() > 16_384 => {
                return Err(io::Error::other("an endless answer to the upgrade"));
            }
            httparse::Status::Partial => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_unless_allowed() {
        let target = Target::parse("ws://127.0.0.1:8083/ws/v2?x=1", false).unwrap();
        assert_eq!((target.address.port(), target.path.as_str()), (8083, "/ws/v2?x=1"));
        assert_eq!(Target::parse("ws://127.0.0.1", false).unwrap().address.port(), 80);
        let error = Target::parse("ws://192.0.2.1:8083/", false).unwrap_err().to_string();
        assert!(error.contains("--allow-remote"), "{error}");
        assert!(Target::parse("ws://192.0.2.1:8083/", true).is_ok());
        assert!(Target::parse("wss://127.0.0.1/", false).is_err());
    }

    #[test]
    fn frames_are_read_whole_wherever_they_are_cut() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut socket = tungstenite::accept(stream).unwrap();
            for length in [0, 1, 125, 126, 70_000, 300_000] {
                socket.send(tungstenite::Message::text("x".repeat(length))).unwrap();
            }
            socket.send(tungstenite::Message::Ping("p".into())).unwrap();
            socket.read().unwrap() // the pong
        });
        let target = Target::parse(&format!("ws://{address}/"), false).unwrap();
        let mut clients = Clients::connect(&target, 1).unwrap();
        let mut lengths = Vec::new();
        while !server.is_finished() {
            let mut each = |arrived: Arrived<'_>| lengths.push(arrived.payload.len());
            if clients.turn(Duration::from_millis(10), || 1, &mut each).is_err() {
                break;
            }
        }
        assert_eq!(lengths, [0, 1, 125, 126, 70_000, 300_000]);
        assert!(matches!(server.join().unwrap(), tungstenite::Message::Pong(payload) if &payload[..] == b"p"));
    }
}
