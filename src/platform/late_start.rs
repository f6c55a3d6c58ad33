//! Whether the feed knows its session from the beginning: told by health while it does not, and once for each session by
//! the log.
//!
//! Reads two counters alone; asks nobody for what is missing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use api::Verdict;
use feed_handler::feed::FeedMetrics;

/// What an operator can do.
const REMEDY: &str = "set feed.request_server to catch up from message 1, or start before the session begins";

/// The session in force, if it was joined after its beginning.
#[derive(Clone)]
pub struct LateStart {
    feed: Arc<FeedMetrics>,
    /// The session that was told last, by its place in the count of sessions; 0 = none.
    told: Arc<AtomicU64>,
}

impl LateStart {
    /// Of the feed with these counters.
    pub fn new(feed: Arc<FeedMetrics>) -> Self {
        Self { feed, told: Arc::default() }
    }

    /// For health: books that may be wrong are shown, and marked.
    pub fn verdict(&self) -> Verdict {
        verdict(self.feed.joined_midway())
    }

    /// For the log: once for each session that was joined midway. Whether it was told now.
    pub fn tell(&self) -> bool {
        let session = self.feed.sessions();
        let from = self.feed.joined_midway();
        // A session that begins between the two is looked at the next time.
        let news = from > 0 && session == self.feed.sessions() && self.told.swap(session, Ordering::Relaxed) != session;
        if news {
            tracing::warn!(
                first_message = from,
                "the session was joined midway: orders before are unknown, every book is marked maybe_bad; {REMEDY}"
            );
        }
        news
    }
}

fn verdict(from: u64) -> Verdict {
    match from {
        0 => Verdict::Up("the session is known from its beginning".to_owned()),
        from => Verdict::Degraded(format!(
            "the session was joined at message {from}: what came before is unknown, and every book may be wrong; {REMEDY}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
    use std::time::Duration;

    use book::ring::{Notifier, ring};
    use feed_handler::decode::bistech;
    use feed_handler::feed::{FeedWorker, LiveOptions};
    use feed_handler::net::udp::{Line, UdpOptions, UdpSource};
    use feed_handler::recovery::sequencer::{SequencerConfig, Start};
    use feed_handler::wire::moldudp64::PacketWriter;

    use super::*;

    /// A feed that takes what comes first, and the address of its line.
    fn feed() -> (FeedWorker, book::ring::Consumer, std::net::SocketAddr) {
        let line = Line { address: SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0), interface: Ipv4Addr::UNSPECIFIED };
        let options =
            UdpOptions { lines: vec![line], receive_buffer_bytes: 1 << 16, request_server: None, sources: Vec::new() };
        let udp = UdpSource::open(&options).unwrap();
        let to = udp.addresses()[0];
        let (producer, consumer) = ring("events", 1 << 16, Notifier::new());
        let sequencer = SequencerConfig { start: Start::Join, ..SequencerConfig::default() };
        let options = LiveOptions { sequencer, ..LiveOptions::default() };
        (FeedWorker::live(udp, bistech::Decoder::new(16, None), producer, 1, options).unwrap(), consumer, to)
    }

    #[test]
    fn each_session_that_was_joined_midway_is_told_once_and_a_whole_one_is_up() {
        let (mut worker, _events, to) = feed();
        let late_start = LateStart::new(worker.metrics());
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        for (session, first, told) in
            [(*b"SESSION001", 500, true), (*b"SESSION002", 500, true), (*b"SESSION003", 1, false)]
        {
            let mut writer = PacketWriter::new(session, first, 1_400);
            // Three packets that go together are believed.
            for _ in 0..3 {
                writer.push(&[b'T', 0x68, 0, 0, 0]).unwrap();
                socket.send_to(writer.take().unwrap(), to).unwrap();
            }
            let mut taken = 0;
            for _ in 0..5_000 {
                taken += worker.do_work(1_740_000_000_000_000_000);
                if taken == 3 {
                    break;
                }
                worker.wait(Duration::from_millis(1));
            }
            assert_eq!(taken, 3, "{session:?}");
            assert_eq!((late_start.tell(), late_start.tell()), (told, false), "{session:?}");
            assert_eq!(matches!(late_start.verdict(), Verdict::Up(_)), !told, "{session:?}");
        }
        assert_eq!(worker.metrics().sessions(), 3);
    }

    #[test]
    fn a_late_start_names_the_key_that_helps() {
        assert!(matches!(verdict(0), Verdict::Up(_)));
        let Verdict::Degraded(words) = verdict(7_000) else { panic!("a late start is not a good one") };
        assert!(words.contains("message 7000") && words.contains("feed.request_server"), "{words}");
    }
}
