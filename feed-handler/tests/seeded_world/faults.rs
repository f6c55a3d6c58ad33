//! The faults of a world, each told in its story when it begins.
//!
//! Chooses what happens and when; compares nothing.

use feed_handler::wire::moldudp64::{DATAGRAM_BYTES_MAX, Packet, PacketWriter};
use rand::Rng;

use super::lines::LineFaults;
use super::venue::{Stream, with_another_byte};
use super::world::{World, clock};
use super::{MS, SECOND};

impl World {
    /// Whether something that happens so often in a thousand seconds happens in this step.
    fn happens(&mut self, per_thousand_s: u32, step_ns: u64) -> bool {
        per_thousand_s > 0 && self.random.random_range(0..1_000 * SECOND) < u64::from(per_thousand_s) * step_ns
    }

    /// This step's faults, but for those that every datagram may have.
    pub fn inject(&mut self, step_ns: u64) {
        let plan = self.plan.clone();
        if self.happens(plan.silences, step_ns) {
            self.fall_silent();
        }
        if self.happens(plan.strangers, step_ns) {
            self.send_stranger();
        }
        if self.happens(plan.stranger_runs, step_ns) {
            self.stranger_until_ns = self.now_ns + self.random.random_range(1..20) * 100 * MS;
            self.tell("another exchange's packets begin to arrive");
        }
        if self.happens(plan.forged_numbers, step_ns) {
            self.forge_number();
        }
        if self.happens(plan.forged_ends, step_ns) {
            self.forge_end();
        }
        if self.happens(plan.forged_leaps, step_ns) {
            self.forge_leap();
        }
        if self.happens(plan.old_session, step_ns) {
            self.send_old_session();
        }
        if self.happens(plan.clock_jumps, step_ns) {
            self.jump_clock();
        }
        if self.happens(plan.exchange_restarts, step_ns) {
            self.restart_exchange();
        }
        if self.happens(plan.platform_restarts, step_ns) && self.platform.is_some() {
            self.tell("the platform is killed");
            self.platform = None;
        }
        self.stall(step_ns);
    }

    fn fall_silent(&mut self) {
        let line = self.random.random_range(0..=self.plan.lines.len());
        let until_ns = self.now_ns + self.random.random_range(1..40) * 100 * MS;
        let lines = if line == self.plan.lines.len() { 0..line } else { line..line + 1 };
        self.tell(format!("lines {lines:?} fall silent until {}", clock(until_ns)));
        self.silent_until_ns[lines].fill(until_ns);
    }

    fn send_stranger(&mut self) {
        let sent = self.stranger_sent.len();
        if sent == 0 {
            return;
        }
        let datagram = self.stranger_sent[self.random.random_range(0..sent)].clone();
        self.inject_datagram("a packet of another exchange", datagram);
    }

    fn inject_datagram(&mut self, what: &str, datagram: Vec<u8>) {
        let line = self.random.random_range(0..self.plan.lines.len()) as u8;
        let number = Packet::parse(&datagram).map_or(0, |packet| packet.sequence);
        self.tell(format!("line {line} brings {what}, number {number}"));
        self.lines.put(self.now_ns, line, datagram);
    }

    fn forge_number(&mut self) {
        let Some(stream) = self.venue.current() else { return };
        let next = stream.next();
        let far = [1 << 63, u64::MAX, next + 5_000, next + 900_000, next + 2_000_000, next + 100];
        let number = far[self.random.random_range(0..far.len())];
        let heartbeat = stream.heartbeat(number);
        // A message that is numbered as the next ones are cannot be told from a true one.
        let is_message = number > next + 4_000 && number < u64::MAX - 1 && self.random.random();
        let mut writer = PacketWriter::new(stream.name, number, DATAGRAM_BYTES_MAX);
        let message = stream.messages.last().filter(|message| is_message && writer.push(message).is_ok());
        let datagram = if message.is_some() { writer.take().map(<[u8]>::to_vec) } else { Some(heartbeat) };
        let Some(datagram) = datagram else { return };
        self.inject_datagram("a forged number", datagram);
    }

    fn forge_end(&mut self) {
        let Some(stream) = self.venue.current() else { return };
        let number = stream.next() - self.random.random_range(0..3).min(stream.next() - 1);
        let end = stream.end(number);
        for _ in 0..self.random.random_range(1..3) {
            self.inject_datagram("a forged end", end.clone());
        }
    }

    /// Three messages far ahead that go together.
    fn forge_leap(&mut self) {
        let Some(stream) = self.venue.current() else { return };
        let ahead = [10_000, 1_500_000][self.random.random_range(0..2)];
        let Some(message) = stream.messages.last().cloned() else { return };
        let (name, first) = (stream.name, stream.next() + ahead);
        for number in first..first + 3 {
            let mut writer = PacketWriter::new(name, number, DATAGRAM_BYTES_MAX);
            if writer.push(&message).is_ok()
                && let Some(datagram) = writer.take()
            {
                self.inject_datagram("a forged leap", datagram.to_vec());
            }
        }
    }

    fn send_old_session(&mut self) {
        let Some(old) = self.venue.before().filter(|old| old.next() > 1) else { return };
        let number = self.random.random_range(1..old.next());
        let datagram = match self.random.random_range(0..3) {
            0 => Some(old.end(old.next())),
            1 => Some(old.heartbeat(old.next())),
            _ => old.packet(number, 3),
        };
        // Under one name the old session's messages cannot be told from the new one's.
        let is_told_apart = self.venue.current().is_some_and(|current| current.name != old.name);
        if let Some(datagram) = datagram.filter(|_| is_told_apart) {
            self.inject_datagram("a late packet of the session before", datagram);
        }
    }

    fn jump_clock(&mut self) {
        let hours = [-24, -1, 1, 24][self.random.random_range(0..4)];
        self.wall_offset_ns += hours * 3_600 * SECOND as i64;
        self.tell(format!("the wall clock jumps {hours} h"));
    }

    fn restart_exchange(&mut self) {
        let messages = self.venue.current().map_or(0, Stream::next);
        let under_new_name = !self.plan.same_name;
        if under_new_name || messages > self.plan.speech.overtaken_late() {
            let name = if under_new_name { "a new name" } else { "the old name" };
            self.tell(format!("the exchange starts over after message {} under {name}", messages - 1));
            if self.random.random()
                && under_new_name
                && let Some(stream) = self.venue.current()
            {
                let end = stream.end(stream.next());
                (0..3).for_each(|at| self.lines.put(self.now_ns + at * MS, 0, end.clone()));
            }
            self.venue.restart(self.now_ns, under_new_name);
        }
    }

    fn stall(&mut self, step_ns: u64) {
        if self.happens(self.plan.reader_stalls, step_ns) {
            let reader = self.random.random_range(2..4);
            let until_ns = self.now_ns + self.random.random_range(1..50) * 100 * MS;
            self.reader_stalled_until_ns[reader] = until_ns;
            self.tell(format!("reader {reader} stalls until {}", clock(until_ns)));
        }
        if self.happens(self.plan.book_stalls, step_ns) {
            self.books_stalled_until_ns = self.now_ns + self.random.random_range(1..30) * 100 * MS;
            self.tell(format!("the book thread stalls until {}", clock(self.books_stalled_until_ns)));
        }
    }

    /// Sends another content on the second line than on the first; both copies arrive.
    pub fn lie(&mut self, datagram: &[u8]) -> bool {
        let place = self.random.random();
        let (Some(lie), Ok(packet)) = (with_another_byte(datagram, place), Packet::parse(datagram)) else {
            return false;
        };
        self.tell(format!("the lines contradict each other in the packet at {}", packet.sequence));
        self.lies.push((packet.session, packet.sequence, [false; 2]));
        for (line, bytes) in [datagram.to_vec(), lie].into_iter().enumerate() {
            let LineFaults { delay_ns, disorder_ns, .. } = self.plan.lines[line];
            let at_ns = self.now_ns + delay_ns + self.random.random_range(0..=disorder_ns);
            self.lines.put(at_ns, line as u8, bytes);
        }
        true
    }
}
