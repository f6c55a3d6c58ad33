//! Which faults a seed has, and how strong they are. Each seed first draws which of them are on at all.

use feed_handler::feed::LiveOptions;
use feed_handler::recovery::sequencer::{Recovery, SequencerConfig, Start};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::lines::LineFaults;
use super::platform::Bounds;
use super::venue::Speech;
use super::{MS, SECOND};

/// Silence after which the feed of the world is stale.
pub const STALE_NS: u64 = 2 * SECOND;

/// One seed's faults. Rates are in thousandths of a second.
#[derive(Clone, Debug)]
pub struct Plan {
    pub speech: Speech,
    pub books: usize,
    pub lines: Vec<LineFaults>,
    /// How long faults last; then everything heals.
    pub faults_ns: u64,
    pub options: LiveOptions,
    pub bounds: Bounds,
    /// Answers of the request server in a thousand that are lost, half, or of other messages; `None` = no server.
    pub bad_answers: Option<u32>,
    /// The platform starts this long after the exchange.
    pub late_ns: u64,
    pub silences: u32,
    /// Single packets of another exchange, and whole stretches of its line.
    pub strangers: u32,
    pub stranger_runs: u32,
    /// Numbers far ahead, ends that are none, leaps that three packets bear out.
    pub forged_numbers: u32,
    pub forged_ends: u32,
    pub forged_leaps: u32,
    /// Packets and ends of the session before.
    pub old_session: u32,
    /// Packets in a thousand of which the second line tells something else.
    pub lies: u32,
    /// Messages that nobody can read, on all lines alike.
    pub unreadable: u32,
    pub clock_jumps: u32,
    pub exchange_restarts: u32,
    /// A restart of the exchange keeps the session's name.
    pub same_name: bool,
    pub platform_restarts: u32,
    pub reader_stalls: u32,
    pub book_stalls: u32,
}

impl Plan {
    /// The plan of a seed.
    pub fn draw(random: &mut ChaCha8Rng) -> Self {
        let speech = if random.random_range(0..3) == 0 { Speech::Itch50 } else { Speech::Bistech };
        let mut on = |rate: u32| if random.random_range(0..5) < 2 { rate } else { 0 };
        let (silences, strangers, stranger_runs) = (on(250), on(8_000), on(150));
        let (forged_numbers, forged_ends, forged_leaps) = (on(8_000), on(3_000), on(120));
        let (old_session, unreadable, clock_jumps) = (on(6_000), on(300), on(400));
        let (exchange_restarts, platform_restarts) = (on(200), on(120));
        let (reader_stalls, book_stalls) = (on(700), on(200));
        let (late, same_name, server, bounded) = (on(1) > 0, on(1) > 0, on(1) > 0, on(1) > 0);
        let (damage, lies) = (on(20), on(6));
        let lines: Vec<LineFaults> = (0..random.random_range(1..=2)).map(|_| line(random, damage)).collect();
        // A lie is one where both copies are read: else nothing tells it from the truth.
        let is_heard = lines.len() > 1 && platform_restarts + book_stalls == 0 && !late;
        // A server that knows the name gives the messages of the new session for those of the old one.
        let server = server && !same_name;
        let start = if random.random() { Start::At(1) } else { Start::Join };
        let recovery = Recovery { delay_ns: MS, interval_ns: 5 * MS, messages_max: 1_000 };
        let sequencer = SequencerConfig {
            compares_lines: lines.len() > 1,
            start,
            packets_parked_max: [16, 1_024][random.random_range(0..2)],
            packets_released_max: 4,
            restart_after_ns: 3 * SECOND,
            recovery: server.then_some(recovery),
            ..SequencerConfig::default()
        };
        let seconds = if same_name { 12..18 } else { 4..12 };
        Self {
            speech,
            books: random.random_range(2..=6),
            lines,
            faults_ns: random.random_range(seconds) * SECOND,
            options: LiveOptions { sequencer, stale_ns: STALE_NS, channel_id: 1, ..LiveOptions::default() },
            bounds: if bounded {
                Bounds { books_max: random.random_range(2..6), orders_max: random.random_range(50..400) }
            } else {
                Bounds { books_max: 64, orders_max: 20_000 }
            },
            bad_answers: server.then(|| random.random_range(0..600)),
            late_ns: if late { random.random_range(0..4 * SECOND) } else { 0 },
            silences,
            strangers,
            stranger_runs,
            // What contradicts that everything is old keeps a restart under the old name from being believed.
            forged_numbers: if same_name { 0 } else { forged_numbers },
            forged_ends: if same_name { 0 } else { forged_ends },
            forged_leaps: if same_name { 0 } else { forged_leaps },
            old_session,
            lies: if is_heard { lies } else { 0 },
            unreadable,
            clock_jumps,
            exchange_restarts,
            same_name,
            platform_restarts,
            reader_stalls,
            book_stalls,
        }
    }

    /// Whether a bound can keep a book from being whole.
    pub fn is_bounded(&self) -> bool {
        self.bounds.books_max < 64
    }
}

fn line(random: &mut ChaCha8Rng, damage: u32) -> LineFaults {
    let some = |random: &mut ChaCha8Rng, most: u32| {
        if random.random() { random.random_range(0..most) } else { 0 }
    };
    LineFaults {
        loss: some(random, 120),
        repeat: some(random, 300),
        damage,
        disorder_ns: u64::from(some(random, 60)) * MS,
        delay_ns: u64::from(some(random, 150)) * MS,
    }
}
