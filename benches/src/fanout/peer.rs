//! A server that is not ours as the system under test: lines of JSON into its feed over TCP, each one to all of its WebSocket clients.
//!
//! The server runs already and has its own core; this program is its feed and its clients, in one thread.

use std::time::{Duration, Instant};

use anyhow::Result;
use hdrhistogram::Histogram;

use super::loops::{Load, SystemUnderTest, drain};
use super::window;
use crate::load::client::{Clients, Target};
use crate::load::lines::{Feed, Lines};
use crate::load::turns::Silence;
use crate::load::verify::Proof;
use crate::load::{limits, now_ns};

/// Between two lines that find out whether every client gets lines already: time for a slow server to pass one on to all.
const PROBE: Duration = Duration::from_millis(100);

/// Where a server is and how it is spoken to.
#[derive(Clone, Debug)]
pub struct Peer {
    /// `ws://host:port/path` of its clients.
    pub url: String,
    /// `tcp://host:port` of its feed.
    pub feed: String,
    /// What each client sends first; empty = nothing.
    pub subscribe: String,
    /// It may be on another machine.
    pub allow_remote: bool,
}

/// The server with its clients.
pub struct PeerSystem {
    feed: Feed,
    clients: Clients,
    lines: Lines,
    /// Number of the next line.
    next: u64,
    window: usize,
}

impl PeerSystem {
    /// Connects the clients and waits until each of them gets lines.
    ///
    /// # Errors
    /// The server cannot be reached, or a client gets nothing.
    pub fn start(peer: &Peer, clients: usize) -> Result<Self> {
        limits::make_room(clients)?;
        let target = Target::parse(&peer.url, peer.allow_remote)?;
        let mut sockets = Clients::connect(&target, clients)?;
        if !peer.subscribe.is_empty() {
            for client in 0..clients {
                sockets.send(client, &peer.subscribe)?;
            }
        }
        // Numbers of runs must differ: a server may still hold lines of the run before. Time gives that.
        let first = now_ns();
        let feed = Feed::open(&peer.feed, peer.allow_remote, first)?;
        let lines = Lines::new(clients, first);
        let mut system = Self { feed, clients: sockets, lines, next: first, window: window(clients) };
        system.join(first)?;
        Ok(system)
    }

    /// Sends single lines until every client has got one, and takes what is under way then.
    fn join(&mut self, first: u64) -> Result<()> {
        let mut silence = Silence::default();
        let mut joined = 0;
        while !self.lines.all_joined() {
            self.give(now_ns(), now_ns())?;
            self.publish()?;
            let sent = Instant::now();
            while sent.elapsed() < PROBE && !self.lines.all_joined() {
                self.turn(Duration::from_millis(1))?;
            }
            let now = self.lines.joined();
            let what = "the first line at every client: does the server pass on what its feed brings?";
            silence.check(now > joined, what)?;
            joined = now;
        }
        let offered = self.next - first;
        drain(self, offered)
    }
}

impl SystemUnderTest for PeerSystem {
    fn rest(&self, duration: Duration) {
        std::thread::sleep(duration);
    }

    fn window(&self) -> usize {
        self.window
    }

    fn begin(&mut self, load: Load) {
        self.lines.begin(self.next, load.messages, load.timed_from.map(|from| self.next + from as u64));
    }

    fn give(&mut self, planned_ns: u64, now_ns: u64) -> Result<()> {
        self.next += 1;
        self.feed.push(planned_ns);
        self.lines.sent(now_ns);
        Ok(())
    }

    fn publish(&mut self) -> Result<()> {
        Ok(self.feed.flush()?)
    }

    fn turn(&mut self, wait: Duration) -> Result<u64> {
        let lines = &mut self.lines;
        Ok(self.clients.turn(wait, now_ns, &mut |arrived| lines.on_message(arrived))?)
    }

    fn slowest(&mut self) -> u64 {
        self.lines.slowest()
    }

    fn received(&self) -> (u64, u64) {
        (self.clients.frames, self.clients.bytes)
    }

    fn latencies(&mut self) -> (Histogram<u64>, Histogram<u64>) {
        (self.lines.corrected.clone(), self.lines.uncorrected.clone())
    }

    fn finish(self: Box<Self>) -> Result<Proof> {
        self.lines.check()?;
        Ok(Proof::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fanout::{FanoutOptions, measure};
    use crate::server::StartServer;
    use std::io::{BufRead, BufReader};
    use std::net::TcpListener;

    /// A server that is not ours is not started either.
    const NONE_OF_OURS: StartServer = StartServer {
        whole: |_| anyhow::bail!("no server of ours is measured here"),
        fan_out: |_, _| anyhow::bail!("no server of ours is measured here"),
    };

    /// A relay that is not ours: for each run some clients, then a feed; leaves out every `loses`th line.
    fn relay(clients: usize, runs: usize, loses: usize) -> Peer {
        let feed = TcpListener::bind("127.0.0.1:0").unwrap();
        let sockets = TcpListener::bind("127.0.0.1:0").unwrap();
        let (feed_at, sockets_at) = (feed.local_addr().unwrap(), sockets.local_addr().unwrap());
        std::thread::spawn(move || {
            for _ in 0..runs {
                let accept = || tungstenite::accept(sockets.accept().unwrap().0).unwrap();
                let mut joined: Vec<_> = (0..clients).map(|_| accept()).collect();
                for (n, line) in BufReader::new(feed.accept().unwrap().0).lines().enumerate() {
                    let line = tungstenite::Utf8Bytes::from(line.unwrap_or_default());
                    let all = joined.iter_mut().filter(|_| (n + 1) % loses != 0);
                    if all.map(|socket| socket.send(tungstenite::Message::Text(line.clone()))).any(|sent| sent.is_err())
                    {
                        break;
                    }
                }
            }
        });
        let url = format!("ws://{sockets_at}/");
        Peer { url, feed: format!("tcp://{feed_at}"), subscribe: String::new(), allow_remote: false }
    }

    fn options(peer: Peer) -> FanoutOptions {
        let (clients, rates) = (vec![3], vec![500]);
        FanoutOptions {
            clients,
            rates,
            runs: 2,
            warm_up_ms: 20,
            measured_ms: 100,
            peer: Some(peer),
            ..FanoutOptions::default()
        }
    }

    #[test]
    fn a_server_that_is_not_ours_is_measured_by_the_same_loops() {
        let outcome = measure(&options(relay(3, 4, usize::MAX)), NONE_OF_OURS, &mut |_| {}).unwrap();
        assert_eq!(outcome.failed, [""; 0]);
        assert_eq!(outcome.rows[0].name, "frames to 3 clients, closed loop");
        assert!(outcome.rows[0].samples.iter().all(|&frames_per_s| frames_per_s > 0.0));
        assert_eq!(outcome.latencies[0].corrected.len(), 2 * 50 * 3, "every line, client and run");
    }

    #[test]
    fn a_server_that_loses_lines_gets_no_figure() {
        let outcome = measure(&options(relay(3, 2, 20)), NONE_OF_OURS, &mut |_| {}).unwrap();
        assert!(outcome.rows.is_empty() && outcome.latencies.is_empty());
        assert_eq!(outcome.failed.len(), 2, "{:?}", outcome.failed);
        assert!(outcome.failed[1].contains("lost"), "{:?}", outcome.failed);
    }

    #[test]
    fn nobody_there_is_an_error_that_says_so() {
        let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let peer =
            Peer { url: format!("ws://{nobody}/"), feed: String::new(), subscribe: String::new(), allow_remote: false };
        let error = format!("{:#}", measure(&options(peer), NONE_OF_OURS, &mut |_| {}).unwrap_err());
        assert!(error.contains("does the server run"), "{error}");
    }
}
