//! One seed's world: an exchange, its lines, strangers, a platform and its readers, in steps of virtual time.
//!
//! After everything that the platform takes, each book of each reader is compared with the exchange's own truth: a book
//! that differs is marked, or not shown. When faults end and a new session begins, everything is right and unmarked.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use book::BookId;
use book::Now;
use book::order_interest::OrderInterest;
use feed_handler::wire::layout::moldudp64::Session;
use feed_handler::wire::moldudp64::{Packet, PacketKind, Request};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::lines::{LineFaults, Lines, chance, step_ns};
use super::plan::{Plan, STALE_NS};
use super::platform::{Plant, Platform, Reader, decoder, key};
use super::truth::Truth;
use super::venue::{Venue, with_a_cut_message};
use super::{MS, SECOND};

/// Monday 2026-11-23 10:00:00 in Istanbul.
const START_NS: u64 = 1_795_417_200 * SECOND;
const EPOCH: u64 = 7;
/// Datagrams that the socket of a platform that does not read keeps.
const SOCKET_DATAGRAMS: usize = 400;
/// Line of a request server's answers.
const ANSWERS: u8 = 2;
/// One comparison of so many is order by order, beside the last.
const ORDERS_EVERY: u64 = 16;
/// Run of the other exchange, far from those of ours.
const STRANGER_RUN: u32 = 40_000;

/// What was found wrong, and how it came to it.
#[derive(Debug)]
pub struct Failure {
    pub what: String,
    pub story: String,
}

/// What a world without a failure went through.
#[derive(Debug)]
pub struct Report {
    pub story: String,
    /// Books compared with the truth.
    pub compared: u64,
    /// Books of which a reader was told that they may be wrong, and rightly so.
    pub marked_and_wrong: u64,
    pub epochs: u64,
}

/// Which session: ours or the other exchange's, and its place there.
pub type StreamAt = (bool, usize);

/// A book of a reader as it was last compared.
pub type Compared = (u64, u64, u64, usize);

/// Everything, and what is known of it.
pub struct World {
    pub random: ChaCha8Rng,
    pub plan: Plan,
    pub plant: Plant,
    pub now_ns: u64,
    pub wall_offset_ns: i64,
    pub venue: Venue,
    pub stranger: Venue,
    pub stranger_sent: Vec<Vec<u8>>,
    pub stranger_until_ns: u64,
    pub lines: Lines,
    pub silent_until_ns: [u64; 2],
    /// Packets of which one line told something else, and of which the platform has not read both copies.
    pub lies: Vec<(Session, u64, [bool; 2])>,
    pub platform: Option<Platform>,
    pub next_epoch: u64,
    pub truths: HashMap<u64, (StreamAt, Truth)>,
    /// When the session in force last sent something that arrived.
    pub own_ns: u64,
    pub reader_stalled_until_ns: Vec<u64>,
    pub books_stalled_until_ns: u64,
    pub faulty: bool,
    pub story: String,
    pub compared: BTreeMap<(usize, BookId), Compared>,
    pub comparisons: u64,
    pub marked_and_wrong: u64,
}

/// Runs the world of a seed.
pub fn run(seed: u64, plant: Plant) -> Result<Report, Failure> {
    let mut world = World::new(seed, plant);
    match world.live() {
        Ok(()) => Ok(Report {
            story: world.story,
            compared: world.comparisons,
            marked_and_wrong: world.marked_and_wrong,
            epochs: world.next_epoch - EPOCH,
        }),
        Err(what) => Err(Failure { what: format!("at {}: {what}", clock(world.now_ns)), story: world.story }),
    }
}

impl World {
    fn new(seed: u64, plant: Plant) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let plan = Plan::draw(&mut random);
        let run = random.random_range(0..1_000);
        let venue = Venue::new(plan.speech, random.random(), run, plan.books, START_NS);
        let stranger = Venue::new(plan.speech, random.random(), STRANGER_RUN + run, plan.books, START_NS);
        let mut story = String::new();
        let _ = writeln!(story, "seed {seed}: {plan:#?}"); // OK because writing to a String cannot fail
        Self {
            random,
            plan,
            plant,
            now_ns: START_NS,
            wall_offset_ns: 0,
            venue,
            stranger,
            stranger_sent: Vec::new(),
            stranger_until_ns: 0,
            lines: Lines::default(),
            silent_until_ns: [0; 2],
            lies: Vec::new(),
            platform: None,
            next_epoch: EPOCH,
            truths: HashMap::new(),
            own_ns: START_NS,
            reader_stalled_until_ns: vec![0; 4],
            books_stalled_until_ns: 0,
            faulty: true,
            story,
            compared: BTreeMap::new(),
            comparisons: 0,
            marked_and_wrong: 0,
        }
    }

    /// Faults, then none, then a new session.
    fn live(&mut self) -> Result<(), String> {
        self.until(START_NS + self.plan.faults_ns)?;
        self.heal()?;
        self.until(self.now_ns + SECOND)?;
        self.tell("the exchange begins a new session, and nothing goes wrong any more");
        self.venue.restart(self.now_ns, true);
        self.until(self.now_ns + 2_500 * MS)?;
        self.is_alive_again()
    }

    pub fn tell(&mut self, what: impl AsRef<str>) {
        let _ = writeln!(self.story, "{} {}", clock(self.now_ns), what.as_ref());
    }

    fn now(&self) -> Now {
        Now { monotonic_ns: self.now_ns, wall_ns: self.now_ns.saturating_add_signed(self.wall_offset_ns) }
    }

    /// Steps until then.
    fn until(&mut self, end_ns: u64) -> Result<(), String> {
        while self.now_ns < end_ns {
            let step_ns = step_ns(&mut self.random);
            self.now_ns += step_ns;
            if self.faulty {
                self.inject(step_ns);
            }
            self.send();
            self.receive()?;
            self.read();
            self.compare()?;
        }
        Ok(())
    }

    /// What the exchange sends, and the other one.
    fn send(&mut self) {
        for datagram in self.stranger.take_due(self.now_ns) {
            if self.now_ns < self.stranger_until_ns {
                self.lines.put(self.now_ns, 0, datagram.clone());
            }
            self.stranger_sent.push(datagram);
        }
        for mut datagram in self.venue.take_due(self.now_ns) {
            if self.faulty && chance(&mut self.random, self.plan.unreadable.min(1) * 4) {
                let place = self.random.random();
                if let Some(cut) = with_a_cut_message(&datagram, place) {
                    let number = Packet::parse(&cut).map_or(0, |packet| packet.sequence);
                    self.tell(format!("a message of the packet at {number} cannot be read"));
                    datagram = cut;
                }
            }
            if self.faulty && chance(&mut self.random, self.plan.lies) && self.lie(&datagram) {
                continue;
            }
            for line in 0..self.plan.lines.len() {
                if self.now_ns >= self.silent_until_ns[line] {
                    let faults = &self.plan.lines[line];
                    self.lines.send(&mut self.random, self.now_ns, line as u8, faults, &datagram);
                }
            }
        }
    }

    /// Notes that the platform has read a copy. What is told of a lie before the other copy comes is taken for true.
    fn note_copy(&mut self, line: u8, datagram: &[u8]) {
        if let Ok(packet) = Packet::parse(datagram)
            && let Some((.., read)) =
                self.lies.iter_mut().find(|lie| (lie.0, lie.1) == (packet.session, packet.sequence))
            && let Some(read) = read.get_mut(usize::from(line))
        {
            *read = true;
        }
        self.lies.retain(|(.., read)| *read != [true; 2]);
    }

    /// What arrives at the platform, if there is one.
    fn receive(&mut self) -> Result<(), String> {
        if self.platform.is_none() {
            self.lines.drop_arrived(self.now_ns);
            if self.now_ns < START_NS + self.plan.late_ns {
                return Ok(());
            }
            self.start_platform();
        }
        let now = self.now();
        let mut requests = Vec::new();
        loop {
            let Some(platform) = &mut self.platform else { return Ok(()) };
            platform.books_stalled = self.now_ns < self.books_stalled_until_ns;
            if !platform.has_room() {
                platform.idle_books(now);
                break;
            }
            let Some((line, datagram)) = self.lines.arrive(self.now_ns) else { break };
            self.note_own(&datagram);
            self.note_copy(line, &datagram);
            let Some(platform) = &mut self.platform else { return Ok(()) };
            platform.take(now, line, &datagram, |request| requests.push(request.to_vec()));
            self.follow();
            self.compare()?;
        }
        while self.lines.waiting(self.now_ns) > SOCKET_DATAGRAMS {
            self.lines.arrive(self.now_ns);
        }
        // The sockets are read empty: the next turn has nothing but time.
        if let Some(platform) = &mut self.platform
            && platform.has_room()
        {
            platform.idle(now, |request| requests.push(request.to_vec()));
            self.follow();
        }
        requests.iter().for_each(|request| self.answer(request));
        Ok(())
    }

    fn start_platform(&mut self) {
        let epoch = self.next_epoch;
        let Plan { speech, bounds, ref options, .. } = self.plan;
        self.platform = Some(Platform::start(self.now(), epoch, speech, options, bounds, self.plant));
        self.truths.clear();
        self.lies.clear();
        self.compared.clear();
        self.own_ns = self.now_ns;
        self.next_epoch += 1;
        self.tell("the platform starts");
    }

    /// Whether the datagram can be a sign of life of the session in force.
    fn note_own(&mut self, datagram: &[u8]) {
        let session = self.platform.as_ref().and_then(|platform| platform.intake.sequencer().session());
        let is_own = Packet::parse(datagram).is_ok_and(|packet| {
            session.is_none_or(|session| session == packet.session) && packet.kind != PacketKind::EndOfSession
        });
        if is_own {
            self.own_ns = self.now_ns;
        }
    }

    /// The truth goes as far as the platform went.
    fn follow(&mut self) {
        let Some(platform) = &self.platform else { return };
        let (epoch, sequencer) = (platform.out.epoch(), platform.intake.sequencer());
        let (Some(session), next) = (sequencer.session(), sequencer.next_sequence()) else { return };
        if !self.truths.contains_key(&epoch) {
            let Some(at) = self.find(session) else { return };
            self.next_epoch = self.next_epoch.max(epoch + 1);
            self.tell(format!("epoch {epoch}: the platform believes {} from {next} on", name(session)));
            let truth = Truth::new(decoder(self.plan.speech, 64), key(self.plan.speech));
            self.truths.insert(epoch, (at, truth));
            self.own_ns = self.now_ns;
        }
        let Self { truths, venue, stranger, .. } = self;
        if let Some(((is_stranger, at), truth)) = truths.get_mut(&epoch) {
            let venue = if *is_stranger { stranger } else { venue };
            truth.advance(venue.stream(*at), next.saturating_sub(1));
        }
    }

    fn find(&self, session: Session) -> Option<StreamAt> {
        let ours = self.venue.find(session).map(|at| (false, at));
        ours.or_else(|| self.stranger.find(session).map(|at| (true, at)))
    }

    /// The request server answers, well or badly.
    fn answer(&mut self, request: &[u8]) {
        let (Some(bad), Some(mut request)) = (self.plan.bad_answers, Request::decode(request)) else { return };
        if self.faulty && chance(&mut self.random, bad) {
            match self.random.random_range(0..3) {
                0 => return,
                1 => request.count = request.count.div_ceil(2),
                _ => request.from = self.random.random_range(1..request.from + 50),
            }
        }
        if let Some(answer) = self.venue.answer(request) {
            let at_ns = self.now_ns + self.random.random_range(1..20) * MS;
            self.lines.put(at_ns, ANSWERS, answer);
        }
    }

    /// Slow readers read a little, and change their minds.
    fn read(&mut self) {
        let Some(platform) = &mut self.platform else { return };
        for (at, reader) in platform.readers.iter_mut().enumerate().filter(|(_, reader)| !reader.is_prompt) {
            let is_stalled = self.now_ns < self.reader_stalled_until_ns[at];
            let most = if self.faulty { self.random.random_range(1..60) } else { usize::MAX };
            if !is_stalled {
                reader.read(most);
            }
        }
        if self.random.random_range(0..20) == 0 {
            let books: Vec<BookId> = platform.readers[3].replica.books().iter().map(|book| book.book_id).collect();
            if !books.is_empty() {
                let book_id = books[self.random.random_range(0..books.len())];
                platform.ask(OrderInterest { book_id, orders: self.random.random() });
            }
        }
    }

    /// Every book of every reader: right, or marked, or not shown.
    fn compare(&mut self) -> Result<(), String> {
        let Some(platform) = &self.platform else { return Ok(()) };
        if platform.overran() {
            return Err("a slot found no room in the event ring".to_owned());
        }
        let is_applied = platform.is_applied();
        if !self.lies.is_empty() {
            return Ok(());
        }
        for (at, reader) in platform.readers.iter().enumerate() {
            let is_exact = reader.is_prompt && is_applied;
            if is_exact && reader.replica.epoch != platform.out.epoch() {
                return Err(format!("reader {} is in epoch {}", reader.name, reader.replica.epoch));
            }
            let Some((_, truth)) = self.truths.get(&reader.replica.epoch) else { continue };
            for view in reader.replica.books() {
                let compared = (reader.replica.epoch, view.seq, truth.changes(view.book_id), usize::from(is_exact));
                if self.compared.insert((at, view.book_id), compared) == Some(compared) && !view.maybe_bad() {
                    continue;
                }
                self.comparisons += 1;
                // Orders have to be sorted to be compared: now and then.
                let order_by_order = self.comparisons.is_multiple_of(ORDERS_EVERY);
                let is_right = if is_exact { truth.is_now(view, order_by_order) } else { truth.was_once(view) };
                if view.maybe_bad() || !view.in_sync {
                    self.marked_and_wrong += u64::from(!is_right);
                } else if !is_right {
                    return Err(wrong(reader, view, truth));
                }
            }
        }
        self.is_silence_told(is_applied)
    }

    /// A dead session is not shown as alive.
    fn is_silence_told(&self, is_applied: bool) -> Result<(), String> {
        let Some(platform) = &self.platform else { return Ok(()) };
        let silent_ns = self.now_ns - self.own_ns;
        let is_told = platform.intake.sequencer().is_ended() || !is_applied;
        if silent_ns <= STALE_NS + 100 * MS || is_told {
            return Ok(());
        }
        match platform.readers.iter().find(|reader| reader.is_prompt && !reader.replica.stale) {
            Some(reader) => Err(format!("reader {} is not told of {silent_ns} ns of silence", reader.name)),
            None => Ok(()),
        }
    }

    /// No fault begins any more, and those that last end.
    fn heal(&mut self) -> Result<(), String> {
        self.tell("everything heals");
        self.faulty = false;
        self.plan.lines.fill(LineFaults::default());
        self.silent_until_ns = [0; 2];
        self.stranger_until_ns = 0;
        self.books_stalled_until_ns = 0;
        self.reader_stalled_until_ns.fill(0);
        Ok(())
    }

    /// Everything is as it is, and nothing is marked.
    fn is_alive_again(&mut self) -> Result<(), String> {
        for _ in 0..1_000 {
            self.now_ns += MS;
            self.receive()?;
            self.read();
            if self.platform.as_ref().is_some_and(|platform| !platform.owes() && platform.is_applied()) {
                break;
            }
        }
        self.read();
        self.compare()?;
        let (Some(platform), Some(stream)) = (&self.platform, self.venue.current()) else {
            return Err("there is no platform".to_owned());
        };
        let sequencer = platform.intake.sequencer();
        if sequencer.session() != Some(stream.name) || sequencer.next_sequence() != stream.next() {
            let session = sequencer.session().map(name).unwrap_or_default();
            return Err(format!(
                "the platform is at {} of {session}, not {}",
                sequencer.next_sequence(),
                stream.next()
            ));
        }
        let Some((_, truth)) = self.truths.get(&platform.out.epoch()) else {
            return Err("the last session was not believed".to_owned());
        };
        for reader in &platform.readers {
            if reader.replica.stale || reader.replica.epoch != platform.out.epoch() {
                return Err(format!("reader {} is stale or in another epoch at the end", reader.name));
            }
            for id in truth.books().filter(|_| !self.plan.is_bounded()) {
                let Some(view) = reader.replica.book(id) else {
                    return Err(format!("reader {} has no book {}", reader.name, id.0));
                };
                if view.maybe_bad() || !view.in_sync {
                    return Err(format!("reader {}: book {} is marked {:?} at the end", reader.name, id.0, view.doubt));
                }
                if !truth.is_now(view, true) {
                    return Err(wrong(reader, view, truth));
                }
            }
        }
        Ok(())
    }
}

fn wrong(reader: &Reader, view: &book::replica::BookView, truth: &Truth) -> String {
    let (id, seq, at) = (view.book_id.0, view.seq, truth.at);
    format!(
        "reader {}: book {id} at seq {seq} is wrong and not marked (message {at}){}",
        reader.name,
        truth.compare(view)
    )
}

pub fn clock(now_ns: u64) -> String {
    let since_ns = now_ns - START_NS;
    format!("{:>3}.{:03} s", since_ns / SECOND, since_ns % SECOND / MS)
}

fn name(session: Session) -> String {
    String::from_utf8_lossy(&session).into_owned()
}
