//! Live UDP: multicast lines and unicast, read without blocking into memory taken at construction.
//!
//! Knows nothing of what a datagram holds. Several lines (A and B of one partition, the answers of a request server)
//! are read in turn, so that a flood on one cannot starve the other. Errors of a socket are counted, never fatal: a
//! feed handler that dies of one bad datagram is worse than one that says what it saw.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token, Waker};
use socket2::{Domain, Protocol, Socket, Type};

/// Most bytes of a datagram over IPv4, one more to see that it is none.
const DATAGRAM_BUFFER: usize = 65_536;
/// Lines of one source: A, B, and the answers of a request server.
const LINES_MAX: usize = 8;
/// Names of the lines, for counters.
const LINE_NAMES: [&str; LINES_MAX - 1] = ["a", "b", "c", "d", "e", "f", "g"];
/// Name of the line that answers to requests come on.
const ANSWERS: &str = "answers";
const WAKE: Token = Token(usize::MAX);

/// One line to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// A multicast group and port, or a local address and port for unicast.
    pub address: SocketAddrV4,
    /// Interface that joins the group, by its address; unspecified = the system's choice. Ignored for unicast.
    pub interface: Ipv4Addr,
}

/// What to listen to and whom to ask.
#[derive(Clone, Debug)]
pub struct UdpOptions {
    /// The lines, at most seven; all carry the same messages.
    pub lines: Vec<Line>,
    /// Receive buffer to ask the system for, bytes. What was really given is told by
    /// [`UdpSource::receive_buffer_bytes`]: Linux cuts it at `net.core.rmem_max` without an error.
    pub receive_buffer_bytes: usize,
    /// Server for requests of lost messages (REWINDER), answered by unicast.
    pub request_server: Option<SocketAddrV4>,
    /// Addresses that datagrams may come from, beside the request server; empty = any.
    pub sources: Vec<Ipv4Addr>,
}

/// Live sockets, polled together.
pub struct UdpSource {
    poll: Poll,
    events: Events,
    waker: Arc<Waker>,
    lines: Vec<LineSocket>,
    /// Line that is read next.
    turn: usize,
    request_server: Option<SocketAddr>,
    /// Who may send; empty = anybody.
    sources: Box<[IpAddr]>,
    source_refused: u64,
    /// Index of the line that requests leave from and their answers come to.
    request_line: usize,
    buffer: Box<[u8]>,
    errors: u64,
}

struct LineSocket {
    socket: UdpSocket,
    address: SocketAddr,
    receive_buffer_bytes: usize,
    /// A read said that nothing is there. The poll tells only what happens after that, so a line that was never
    /// read empty must not be waited for.
    drained: bool,
}

/// Which line a datagram came on: 0 is A, 1 is B and so on. The answers of a request server have a line of their own,
/// after the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LineIndex(u8);

impl LineIndex {
    /// Line A, the first.
    pub const A: Self = Self(0);
    /// Line B, the second.
    pub const B: Self = Self(1);

    /// The line at `place`.
    #[must_use]
    pub const fn at(place: u8) -> Self {
        Self(place)
    }

    /// Place among the lines.
    #[inline]
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// One datagram as it came.
#[derive(Clone, Copy, Debug)]
pub struct Arrived<'a> {
    /// The line it came on.
    pub line: LineIndex,
    /// The payload.
    pub bytes: &'a [u8],
}

impl UdpSource {
    /// Opens, binds and joins everything. All memory is taken here.
    ///
    /// # Errors
    /// A socket cannot be opened, bound or joined (the text names it), or there is no line or more than seven.
    pub fn open(options: &UdpOptions) -> io::Result<Self> {
        if options.lines.is_empty() || options.lines.len() >= LINES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a UDP source needs one to seven lines"));
        }
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
        let mut lines = Vec::with_capacity(LINES_MAX);
        for line in &options.lines {
            let open = open(line, options.receive_buffer_bytes)
                .map_err(|error| io::Error::new(error.kind(), format!("listening on {}: {error}", line.address)))?;
            lines.push(open);
        }
        let request_line = lines.len();
        if options.request_server.is_some() {
            // A server of this machine is answered on this machine.
            let is_local = options.request_server.is_some_and(|server| server.ip().is_loopback());
            let ip = if is_local { Ipv4Addr::LOCALHOST } else { Ipv4Addr::UNSPECIFIED };
            let any = Line { address: SocketAddrV4::new(ip, 0), interface: Ipv4Addr::UNSPECIFIED };
            lines.push(open(&any, options.receive_buffer_bytes)?);
        }
        for (at, line) in lines.iter_mut().enumerate() {
            poll.registry().register(&mut line.socket, Token(at), Interest::READABLE)?;
        }
        Ok(Self {
            poll,
            events: Events::with_capacity(LINES_MAX + 1),
            waker,
            lines,
            turn: 0,
            sources: sources(options),
            source_refused: 0,
            request_server: options.request_server.map(SocketAddr::V4),
            request_line,
            buffer: vec![0; DATAGRAM_BUFFER].into_boxed_slice(),
            errors: 0,
        })
    }

    /// The next datagram, if one is there. One system call for each line that has none.
    #[inline]
    pub fn receive(&mut self) -> Option<Arrived<'_>> {
        for _ in 0..self.lines.len() {
            let at = self.turn;
            self.turn = (at + 1) % self.lines.len();
            let line = &mut self.lines[at];
            // Who sent it costs more to ask, and is asked only where it matters.
            let received = if self.sources.is_empty() {
                line.socket.recv(&mut self.buffer).map(|length| (length, true))
            } else {
                let allowed = |from: SocketAddr| self.sources.contains(&from.ip());
                line.socket.recv_from(&mut self.buffer).map(|(length, from)| (length, allowed(from)))
            };
            match received {
                Ok((_, false)) => {
                    line.drained = false;
                    self.source_refused += 1;
                }
                Ok((length, true)) => {
                    line.drained = false;
                    return Some(Arrived { line: LineIndex::at(at as u8), bytes: &self.buffer[..length] });
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => line.drained = true,
                // A unicast answer that nobody listens to comes back as an error of the next read; reading goes on.
                Err(_) => {
                    line.drained = false;
                    self.errors += 1;
                }
            }
        }
        None
    }

    /// Asks the request server; `false` when there is none or the system did not take it.
    pub fn request(&mut self, datagram: &[u8]) -> bool {
        let Some(server) = self.request_server else { return false };
        match self.lines[self.request_line].socket.send_to(datagram, server) {
            Ok(sent) => sent == datagram.len(),
            Err(_) => {
                self.errors += 1;
                false
            }
        }
    }

    /// Blocks until a datagram comes, [`UdpSource::waker`] is used, or `timeout` is over. Returns at once when a
    /// line was not read empty.
    pub fn wait(&mut self, timeout: Duration) {
        if !self.is_drained() {
            return;
        }
        // An interrupted wait is a wait that is over; the caller turns again.
        let _ = self.poll.poll(&mut self.events, Some(timeout));
    }

    /// Has another poll told, under `token`, that something came: for one thread that waits for these sockets and for
    /// others at once. It must read the lines empty before it sleeps, as with [`UdpSource::wait`].
    ///
    /// # Errors
    /// The system takes no more registrations.
    #[cfg(unix)]
    pub fn watch(&self, registry: &mio::Registry, token: Token) -> io::Result<()> {
        use std::os::fd::AsRawFd;
        for line in &self.lines {
            registry.register(&mut mio::unix::SourceFd(&line.socket.as_raw_fd()), token, Interest::READABLE)?;
        }
        Ok(())
    }

    /// Whether every line was read empty, so that a wait misses nothing.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.lines.iter().all(|line| line.drained)
    }

    /// Ends a [`UdpSource::wait`] from another thread.
    #[must_use]
    pub fn waker(&self) -> Arc<Waker> {
        Arc::clone(&self.waker)
    }

    /// Where each line really listens (a port of 0 was chosen by the system); an answer line comes last.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.lines.iter().map(|line| line.address).collect()
    }

    /// Name of each line, in the order of their [`LineIndex`].
    #[must_use]
    pub fn line_names(&self) -> Vec<&'static str> {
        let mut names = LINE_NAMES[..self.request_line].to_vec();
        if self.can_request() {
            names.push(ANSWERS);
        }
        names
    }

    /// Receive buffer of each line as the system gave it, bytes. Linux doubles what was asked for (its own use).
    #[must_use]
    pub fn receive_buffer_bytes(&self) -> Vec<usize> {
        self.lines.iter().map(|line| line.receive_buffer_bytes).collect()
    }

    /// Lines that all carry the same messages; that of a request server's answers is not among them.
    #[must_use]
    pub const fn lines(&self) -> usize {
        self.request_line
    }

    /// Whether lost messages can be asked for.
    #[must_use]
    pub fn can_request(&self) -> bool {
        self.request_server.is_some()
    }

    /// Datagrams from senders that are not among those allowed.
    #[must_use]
    pub fn source_refused(&self) -> u64 {
        self.source_refused
    }

    /// Errors of sockets so far.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.errors
    }
}

/// Who may send, the request server among them; empty = anybody.
fn sources(options: &UdpOptions) -> Box<[IpAddr]> {
    if options.sources.is_empty() {
        return Box::default();
    }
    let server = options.request_server.map(|server| *server.ip());
    options.sources.iter().copied().chain(server).map(IpAddr::V4).collect()
}

fn open(line: &Line, receive_buffer_bytes: usize) -> io::Result<LineSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    if receive_buffer_bytes > 0 {
        socket.set_recv_buffer_size(receive_buffer_bytes)?;
    }
    let group = *line.address.ip();
    if group.is_multicast() {
        // Several programs of one machine may listen to one group.
        socket.set_reuse_address(true)?;
        // Bound to the group, the socket sees its datagrams only; bound to any address it would see those of every
        // group that anybody on this machine joined on this port.
        socket.bind(&SocketAddr::V4(line.address).into())?;
        socket.join_multicast_v4(&group, &line.interface)?;
        #[cfg(target_os = "linux")]
        socket.set_multicast_all_v4(false)?;
    } else {
        socket.bind(&SocketAddr::V4(line.address).into())?;
    }
    let receive_buffer_bytes = socket.recv_buffer_size()?;
    let socket = UdpSocket::from_std(socket.into());
    let address = socket.local_addr()?;
    Ok(LineSocket { socket, address, receive_buffer_bytes, drained: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loopback(request_server: Option<SocketAddrV4>) -> UdpSource {
        let line = Line { address: SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0), interface: Ipv4Addr::UNSPECIFIED };
        let options =
            UdpOptions { lines: vec![line; 2], receive_buffer_bytes: 1 << 20, request_server, sources: Vec::new() };
        UdpSource::open(&options).unwrap()
    }

    /// Waits for the state "a datagram is there", at most ten seconds.
    fn receive(source: &mut UdpSource) -> (usize, Vec<u8>) {
        for _ in 0..1_000 {
            if let Some(arrived) = source.receive() {
                return (arrived.line.index(), arrived.bytes.to_vec());
            }
            source.wait(Duration::from_millis(10));
        }
        panic!("nothing came");
    }

    #[test]
    fn both_lines_are_read_and_waiting_ends_when_something_comes() {
        let mut source = loopback(None);
        let addresses = source.addresses();
        let sender = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        assert!(source.receive().is_none());
        for (line, text) in [(0, b"one"), (1, b"two"), (0, b"six")] {
            sender.send_to(text, addresses[line]).unwrap();
            assert_eq!(receive(&mut source), (line, text.to_vec()));
        }
        assert!(source.receive_buffer_bytes().iter().all(|&bytes| bytes > 0));
        source.waker().wake().unwrap();
        source.wait(Duration::from_secs(60));
        assert_eq!(source.errors(), 0);
    }

    #[test]
    fn a_multicast_group_is_joined_on_the_interface_asked_for() {
        // The port is the system's choice, so that tests may run side by side.
        let group = SocketAddrV4::new(Ipv4Addr::new(239, 192, 77, 1), 0);
        let line = Line { address: group, interface: Ipv4Addr::LOCALHOST };
        let options =
            UdpOptions { lines: vec![line], receive_buffer_bytes: 0, request_server: None, sources: Vec::new() };
        let mut source = match UdpSource::open(&options) {
            Ok(source) => source,
            Err(error) => return println!("skipped: no multicast on the loopback interface here ({error})"),
        };
        let sender = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).unwrap();
        sender.set_multicast_if_v4(&Ipv4Addr::LOCALHOST).unwrap();
        if let Err(error) = sender.send_to(b"to all", &source.addresses()[0].into()) {
            return println!("skipped: no multicast on the loopback interface here ({error})");
        }
        assert_eq!(receive(&mut source), (0, b"to all".to_vec()));
    }

    #[test]
    fn a_flood_on_one_line_does_not_starve_the_other() {
        let mut source = loopback(None);
        let addresses = source.addresses();
        let sender = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..20 {
            sender.send_to(b"flood", addresses[0]).unwrap();
        }
        sender.send_to(b"quiet", addresses[1]).unwrap();
        assert!((0..3).any(|_| receive(&mut source).0 == 1));
    }

    #[test]
    fn only_allowed_senders_are_read_and_the_others_are_counted() {
        let line = Line { address: SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0), interface: Ipv4Addr::UNSPECIFIED };
        let open = |source| {
            let sources = vec![source];
            let options =
                UdpOptions { lines: vec![line], receive_buffer_bytes: 1 << 20, request_server: None, sources };
            UdpSource::open(&options).unwrap()
        };
        let sender = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut allowing = open(Ipv4Addr::LOCALHOST);
        sender.send_to(b"ours", allowing.addresses()[0]).unwrap();
        assert_eq!(receive(&mut allowing), (0, b"ours".to_vec()));
        let mut refusing = open(Ipv4Addr::new(192, 0, 2, 1));
        sender.send_to(b"theirs", refusing.addresses()[0]).unwrap();
        for _ in 0..1_000 {
            assert!(refusing.receive().is_none());
            if refusing.source_refused() == 1 {
                return;
            }
            refusing.wait(Duration::from_millis(10));
        }
        panic!("it was not counted");
    }

    #[test]
    fn answers_of_a_server_of_this_machine_are_awaited_on_this_machine_only() {
        let source = loopback(Some("127.0.0.1:9".parse().unwrap()));
        assert!(source.addresses()[2].ip().is_loopback());
    }

    #[test]
    fn a_request_is_answered_to_the_port_it_came_from() {
        let server = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let SocketAddr::V4(address) = server.local_addr().unwrap() else { unreachable!() };
        let mut source = loopback(Some(address));
        assert!(source.request(b"lost?"));
        let mut buffer = [0; 16];
        let (length, from) = server.recv_from(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"lost?");
        server.send_to(b"here", from).unwrap();
        assert_eq!(receive(&mut source), (2, b"here".to_vec()));
        assert!(!loopback(None).request(b"nobody"));
    }
}
