//! What one client is still to be sent: places in shared bytes, and a queue of what it did not take.
//!
//! A frame is encoded once into one buffer for all; a client holds only the places of its frames there, and neighbours
//! are joined. So a client of one topic, or of all of them, costs one `write` from the shared bytes and no copy.
//! Bytes are copied into the client's own queue only when its socket is full. (Reference-counted frames were left
//! out: they cost two atomic operations per frame and client, and `writev` of many small pieces is slower than one
//! `write` of their copy.)

use std::io::{self, IoSlice, Write};
use std::ops::Range;

use book::Nanos;
use mio::net::TcpStream;

use crate::encode::server_frame;

/// Pieces up to which `writev` is used; above, the pieces are copied together first.
const PIECES_MAX: usize = 16;

/// Capacity that an empty queue may keep.
const KEPT_BYTES: usize = 64 * 1024;

/// Bytes in order, taken from the front; knows where frames begin.
#[derive(Debug, Default)]
struct Queue {
    bytes: Vec<u8>,
    /// Everything before it was sent.
    start: usize,
    /// The first frame that begins at or after `start`: before it stands the rest of a frame that was begun.
    boundary: usize,
}

impl Queue {
    fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// Appends whole frames of which `sent` bytes are already out.
    fn push(&mut self, frames: &[u8], sent: usize) {
        if self.start > self.bytes.len() / 2 {
            self.bytes.drain(..self.start);
            self.boundary -= self.start;
            self.start = 0;
        }
        if sent > 0 {
            let mut boundary = 0;
            while boundary < sent {
                boundary = next_boundary(frames, boundary);
            }
            self.boundary = self.bytes.len() + boundary - sent;
        }
        self.bytes.extend_from_slice(&frames[sent..]);
    }

    fn consume(&mut self, sent: usize) {
        self.start += sent;
        while self.boundary < self.start {
            self.boundary = next_boundary(&self.bytes, self.boundary);
        }
        if self.start == self.bytes.len() {
            self.bytes.clear();
            self.start = 0;
            self.boundary = 0;
            if self.bytes.capacity() > KEPT_BYTES {
                self.bytes.shrink_to(KEPT_BYTES);
            }
        }
    }

    /// Forgets all frames that were not begun.
    fn keep_begun(&mut self) {
        self.bytes.truncate(self.boundary);
    }
}

fn next_boundary(bytes: &[u8], at: usize) -> usize {
    // OK because an answer to a handshake, which is no frame, is cut at the end of the bytes
    server_frame::server_frame_bytes(&bytes[at..])
        .map_or(bytes.len(), |length| at.saturating_add(length).min(bytes.len()))
}

/// How a write ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// The socket took everything.
    All,
    /// The rest waits in the queue.
    Part,
    /// The connection is broken.
    Broken,
}

/// One client's end: all that a frame, and the write of everything that came together, touch of a client that keeps up
/// lies on one cache line.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct SendQueue {
    /// The newest place in the shared bytes; empty when nothing is pending.
    last: Range<u32>,
    /// Bytes that the socket did not take so far.
    queued: usize,
    /// When anything was last written to the client, our clock.
    pub sent_ns: Nanos,
    /// Frames are accepted.
    pub open: bool,
    /// Already among the clients to write to.
    pub listed: bool,
    /// The socket said that it is full: nothing is tried until it says otherwise.
    pub full: bool,
    /// The writing half is shut when all is out.
    pub ends: bool,
    /// `rest.earlier` is not empty.
    several: bool,
    rest: Box<Rest>,
}

const _: () = assert!(size_of::<SendQueue>() == 64);

/// What a client of one topic, or of all of them, needs only when its socket is full.
#[derive(Debug, Default)]
struct Rest {
    /// Places before `last`.
    earlier: Vec<Range<u32>>,
    queue: Queue,
}

/// A place in the shared bytes, of which there are a few MiB.
fn narrow(place: &Range<usize>) -> Range<u32> {
    debug_assert!(u32::try_from(place.end).is_ok());
    place.start as u32..place.end as u32
}

fn wide(place: &Range<u32>) -> Range<usize> {
    place.start as usize..place.end as usize
}

impl SendQueue {
    /// For a new connection, made at `now_ns`.
    #[must_use]
    pub fn open(now_ns: Nanos) -> Self {
        Self { open: true, sent_ns: now_ns, ..Self::default() }
    }

    /// Adds a place in the shared bytes.
    #[inline]
    pub fn push(&mut self, place: Range<usize>) {
        let place = narrow(&place);
        if self.last.end == place.start && !self.last.is_empty() {
            self.last.end = place.end;
        } else {
            if !self.last.is_empty() {
                self.keep_last();
            }
            self.last = place;
        }
    }

    #[inline(never)]
    fn keep_last(&mut self) {
        self.several = true;
        self.rest.earlier.push(self.last.clone());
    }

    /// Everything is out: ends a connection that was to end then.
    #[inline]
    pub fn shut_if_ending(&mut self, socket: &TcpStream) {
        if std::mem::take(&mut self.ends) {
            let _ = socket.shutdown(std::net::Shutdown::Write); // OK because the client may be gone
        }
    }

    /// Bytes that the socket did not take so far.
    #[inline]
    #[must_use]
    pub fn queued(&self) -> usize {
        self.queued
    }

    /// Unsent bytes, those that were not tried yet included.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.queued + self.last.len() + self.rest.earlier.iter().map(Range::len).sum::<usize>()
    }

    /// Forgets all that was not begun, so that a close frame comes soon.
    pub fn drop_unbegun(&mut self) {
        self.rest.queue.keep_begun();
        self.queued = self.rest.queue.len();
        self.forget_places();
    }

    fn forget_places(&mut self) {
        self.rest.earlier.clear();
        self.several = false;
        self.last = 0..0;
    }

    /// Sends everything that was pushed; what the socket does not take is kept. `scratch` is any buffer to reuse.
    ///
    /// Returns how it went and the bytes sent.
    #[inline]
    pub fn flush(&mut self, socket: &mut impl Write, shared: &[u8], scratch: &mut Vec<u8>) -> (Written, usize) {
        if self.several || self.queued > 0 || self.full || self.last.is_empty() {
            return self.flush_several(socket, shared, scratch);
        }
        let bytes = &shared[wide(&self.last)];
        let Ok(sent) = write_all(socket, bytes) else { return (Written::Broken, 0) };
        if sent < bytes.len() {
            self.keep_unsent(bytes, sent);
        }
        self.last = 0..0;
        (if self.queued == 0 { Written::All } else { Written::Part }, sent)
    }

    #[cold]
    fn keep_unsent(&mut self, bytes: &[u8], sent: usize) {
        self.rest.queue.push(bytes, sent);
        self.queued = self.rest.queue.len();
        self.full = true;
    }

    #[inline(never)]
    fn flush_several(&mut self, socket: &mut impl Write, shared: &[u8], scratch: &mut Vec<u8>) -> (Written, usize) {
        let mut total = 0;
        if self.queued > 0 && !self.full {
            let (written, sent) = self.resume(socket);
            total += sent;
            if written == Written::Broken {
                return (written, total);
            }
        }
        let earlier = &self.rest.earlier;
        let pieces = earlier.len() + usize::from(!self.last.is_empty());
        let mut sent = 0;
        if self.queued == 0 && !self.full && pieces > 0 {
            let outcome = if pieces <= PIECES_MAX {
                let mut slices = [IoSlice::new(&[]); PIECES_MAX];
                for (slice, place) in slices.iter_mut().zip(earlier.iter().chain([&self.last])) {
                    *slice = IoSlice::new(&shared[wide(place)]);
                }
                write_pieces(socket, &mut slices[..pieces])
            } else {
                scratch.clear();
                for place in earlier.iter().chain([&self.last]) {
                    scratch.extend_from_slice(&shared[wide(place)]);
                }
                write_all(socket, scratch)
            };
            match outcome {
                Ok(bytes) => sent = bytes,
                Err(_) => return (Written::Broken, total),
            }
            total += sent;
        }
        let mut left = sent;
        let Rest { earlier, queue } = &mut *self.rest;
        for place in earlier.iter().chain([&self.last]) {
            let piece = &shared[wide(place)];
            if left < piece.len() {
                queue.push(piece, left);
                self.full = true;
            }
            left = left.saturating_sub(piece.len());
        }
        self.forget_places();
        self.queued = self.rest.queue.len();
        (if self.queued == 0 { Written::All } else { Written::Part }, total)
    }

    /// Goes on with the queue: the socket has room again.
    pub fn resume(&mut self, socket: &mut impl Write) -> (Written, usize) {
        self.full = false;
        let queue = &mut self.rest.queue;
        match write_all(socket, &queue.bytes[queue.start..]) {
            Ok(sent) => {
                queue.consume(sent);
                self.queued = queue.len();
                self.full = self.queued > 0;
                (if self.full { Written::Part } else { Written::All }, sent)
            }
            Err(_) => (Written::Broken, 0),
        }
    }
}

/// Writes until all is out or the socket is full; returns the bytes written.
fn write_all(socket: &mut impl Write, bytes: &[u8]) -> io::Result<usize> {
    let mut sent = 0;
    while sent < bytes.len() {
        match socket.write(&bytes[sent..]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(taken) => sent += taken,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(sent)
}

fn write_pieces(socket: &mut impl Write, mut pieces: &mut [IoSlice<'_>]) -> io::Result<usize> {
    let mut sent = 0;
    while !pieces.is_empty() {
        match socket.write_vectored(pieces) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(taken) => {
                sent += taken;
                IoSlice::advance_slices(&mut pieces, taken);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(sent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::server_frame::opcode;

    /// Takes `room` bytes, then is full.
    struct Socket {
        taken: Vec<u8>,
        room: usize,
    }

    impl Write for Socket {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.len().min(self.room);
            self.room -= taken;
            self.taken.extend_from_slice(&bytes[..taken]);
            if taken == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(taken) }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn frames(out: &mut Vec<u8>, payloads: &[&[u8]]) -> Vec<Range<usize>> {
        let mut places = Vec::new();
        for payload in payloads {
            let at = server_frame::begin(out);
            out.extend_from_slice(payload);
            places.push(server_frame::finish(out, at, opcode::TEXT));
        }
        places
    }

    #[test]
    fn whatever_the_socket_takes_the_bytes_come_in_order() {
        let long = vec![b'l'; 300];
        for count in [1, 3, 20, 40] {
            for step in [1, 2, 7, 100, 10_000] {
                let mut turn = Vec::new();
                let payloads: Vec<&[u8]> = (0..count).map(|n| if n % 3 == 0 { &long[..] } else { b"abc" }).collect();
                let places = frames(&mut turn, &payloads);
                let mut send_queue = SendQueue::default();
                let mut expected = Vec::new();
                let mut socket = Socket { taken: Vec::new(), room: 0 };
                let mut scratch = Vec::new();
                for round in 0..3 {
                    // Every second frame, so that the places do not join.
                    for place in places.iter().skip(round % 2).step_by(2) {
                        send_queue.push(place.clone());
                        expected.extend_from_slice(&turn[place.clone()]);
                    }
                    socket.room = step;
                    send_queue.full = false;
                    send_queue.flush(&mut socket, &turn, &mut scratch);
                }
                while send_queue.queued() > 0 {
                    socket.room = step;
                    send_queue.resume(&mut socket);
                }
                assert!(socket.taken == expected, "{count} frames, {step} bytes at a time");
            }
        }
    }

    #[test]
    fn neighbours_are_joined() {
        let mut turn = Vec::new();
        let places = frames(&mut turn, &[b"a", b"b", b"c"]);
        let mut send_queue = SendQueue::default();
        places.iter().for_each(|place| send_queue.push(place.clone()));
        assert!(!send_queue.several && send_queue.rest.earlier.is_empty());
        assert_eq!(send_queue.pending(), turn.len());
    }

    #[test]
    fn a_frame_that_was_begun_is_finished_and_the_rest_dropped() {
        let mut turn = Vec::new();
        let places = frames(&mut turn, &[b"first", &[b'x'; 200], b"third"]);
        for room in 1..turn.len() {
            let mut send_queue = SendQueue::default();
            send_queue.push(0..turn.len());
            let mut socket = Socket { taken: Vec::new(), room };
            send_queue.flush(&mut socket, &turn, &mut Vec::new());
            send_queue.drop_unbegun();
            socket.room = usize::MAX;
            send_queue.resume(&mut socket);
            let end = places.iter().map(|place| place.end).find(|&end| end >= room).unwrap();
            assert_eq!(socket.taken.len(), end, "room {room}");
        }
    }
}
