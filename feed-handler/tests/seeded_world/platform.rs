//! The platform of the world: the production state machines from a datagram to a reader's copy, in the calling thread.
//!
//! A planted fault sits in an adapter of its own between them; without one nothing stands there.

use book::Now;
use book::market::{Limits, Market, OrderKey};
use book::order_interest::{OrderInterest, OrderInterestSender, order_interest};
use book::replica::{KeepOrders, Options, Replica};
use book::ring::{Consumer, Notifier, Producer, ring};
use book::slot::{flags, rtype, system};
use book::worker::{BookWorker, Detail};
use book::{Slot, View};
use feed_handler::decode::protocol::MessageDecoder;
use feed_handler::decode::{bistech, itch50};
use feed_handler::feed::{EventWriter, FeedMetrics, Intake, LiveOptions};
use feed_handler::net::udp::LineIndex;
use std::sync::Arc;

use super::venue::Speech;

/// Slots of the event ring: what one datagram can make at the most, and some that may wait.
const EVENT_SLOTS: usize = 1 << 14;
/// Slots of a reader's ring: of one that keeps up, and of one that does not.
const READER_SLOTS: [usize; 2] = [1 << 14, 1_024];
const LINES: [&str; 3] = ["a", "b", "answers"];

/// Something wrong that the world must find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    Nothing,
    /// Nobody is told that messages were lost, joined late or not read.
    MarksSwallowed,
    /// One change of an order is lost between feed and books.
    EventLost,
    /// A reader is not told that one book may be wrong.
    DoubtSwallowed,
}

/// Bounds that a seed draws.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub books_max: usize,
    pub orders_max: usize,
}

/// Between the feed's ring and that of the books, where something is planted.
struct Adapter {
    from: Consumer,
    to: Producer,
    plant: Plant,
    order_events: u64,
}

impl Adapter {
    fn carry(&mut self) {
        let Self { from, to, plant, order_events } = self;
        from.drain(usize::MAX, |slot| {
            let is_mark = matches!(slot.view(), View::System(record)
                if [system::GAP, system::REFUSED, system::JOINED_MIDWAY].contains(&record.code));
            *order_events += u64::from(slot.rtype == rtype::EXECUTION || matches!(slot.view(), View::Order(_)));
            let is_lost = match *plant {
                Plant::MarksSwallowed => is_mark,
                Plant::EventLost => *order_events == 700 && !is_mark,
                Plant::DoubtSwallowed | Plant::Nothing => false,
            };
            *order_events += u64::from(is_lost && !is_mark);
            if !is_lost {
                to.push(*slot).expect("the ring of the books is as large");
            }
        });
    }
}

/// A reader of the books: its ring and its copy.
pub struct Reader {
    pub name: &'static str,
    /// It takes everything at once.
    pub is_prompt: bool,
    pub replica: Replica,
    ring: Consumer,
    swallows_doubt: bool,
}

impl Reader {
    /// Takes updates up to the end of the group in which `slots_max` is reached.
    pub fn read(&mut self, slots_max: usize) {
        let Self { ring, replica, swallows_doubt, .. } = self;
        let mut taken = 0;
        while let Some(slot) = ring.pop() {
            let hidden = *swallows_doubt && matches!(slot.view(), View::Doubt(_));
            if !hidden {
                replica.apply(&slot, &mut |_, _, _| {});
            }
            taken += 1;
            if taken >= slots_max && is_last(&slot) {
                return;
            }
        }
    }
}

/// Whether a reader may stop behind this update: it is the last of its event, or about the whole feed.
fn is_last(slot: &Slot) -> bool {
    slot.rtype == rtype::SYSTEM || slot.record().flags & flags::LAST != 0
}

/// One life of the platform.
pub struct Platform {
    pub intake: Intake,
    pub out: EventWriter,
    pub metrics: Arc<FeedMetrics>,
    adapter: Option<Adapter>,
    books: BookWorker,
    pub readers: Vec<Reader>,
    interest: OrderInterestSender,
    /// The book thread stands still.
    pub books_stalled: bool,
}

impl Platform {
    /// A platform that has just started. `epoch` is its first session's.
    pub fn start(now: Now, epoch: u64, speech: Speech, options: &LiveOptions, bounds: Bounds, plant: Plant) -> Self {
        let (producer, consumer) = ring("events", EVENT_SLOTS, Notifier::silent());
        let metrics = Arc::new(FeedMetrics::new("itch", Vec::new(), &LINES));
        let out = EventWriter::new(producer, Arc::clone(&metrics), epoch);
        let (adapter, consumer) = match plant {
            Plant::Nothing => (None, consumer),
            plant => {
                let (to, books) = ring("books", EVENT_SLOTS, Notifier::silent());
                (Some(Adapter { from: consumer, to, plant, order_events: 0 }), books)
            }
        };
        let mut books = BookWorker::new(consumer, Market::new(limits(speech, bounds)));
        let (interest, requests) = order_interest(bounds.books_max, Notifier::silent());
        let details = [
            ("levels", true, Detail::Levels, KeepOrders::Never),
            ("orders", true, Detail::Orders, KeepOrders::Always),
            ("slow", false, Detail::Levels, KeepOrders::Never),
            ("slow, some orders", false, Detail::OnRequest(requests), KeepOrders::OnRequest),
        ];
        let readers = details.map(|(name, is_prompt, detail, orders)| {
            let (producer, ring) = ring(name, READER_SLOTS[usize::from(!is_prompt)], Notifier::silent());
            books.add_reader(producer, detail, bounds.books_max);
            let replica = Replica::new(Options { orders, trades_max: 4, candles_max: 4 });
            Reader { name, is_prompt, replica, ring, swallows_doubt: plant == Plant::DoubtSwallowed }
        });
        let mut platform = Self {
            intake: Intake::new(decoder(speech, bounds.books_max), options),
            out,
            metrics,
            adapter,
            books,
            readers: readers.into(),
            interest,
            books_stalled: false,
        };
        platform.intake.start(now, &mut platform.out);
        platform.out.commit();
        platform
    }

    /// Whether a datagram would find room.
    pub fn has_room(&mut self) -> bool {
        self.out.has_room(self.intake.slots_needed())
    }

    /// Takes a datagram; requests for what is missing go to `request`.
    pub fn take(&mut self, now: Now, line: u8, datagram: &[u8], request: impl FnMut(&[u8])) {
        self.intake.on_datagram(now, LineIndex::at(line), datagram, &mut self.out);
        self.intake.take_requests(request);
        self.turn(now);
    }

    /// A turn in which nothing came.
    pub fn idle(&mut self, now: Now, request: impl FnMut(&[u8])) {
        self.intake.on_idle(now, &mut self.out);
        self.intake.take_requests(request);
        self.turn(now);
    }

    /// A turn of the stages behind the feed, which has no room for more.
    pub fn idle_books(&mut self, now: Now) {
        self.turn(now);
    }

    /// The stages behind the feed: books, and readers that keep up.
    fn turn(&mut self, now: Now) {
        self.out.commit();
        if let Some(adapter) = &mut self.adapter {
            adapter.carry();
        }
        if self.books_stalled {
            return;
        }
        loop {
            let work = self.books.do_work(now.wall_ns);
            self.readers.iter_mut().filter(|reader| reader.is_prompt).for_each(|reader| reader.read(usize::MAX));
            if work == 0 {
                return;
            }
        }
    }

    /// The slow readers ask for the orders of a book, or want them no more.
    pub fn ask(&mut self, wanted: OrderInterest) {
        let _ = self.interest.ask(wanted); // OK because a request that finds no room is one not made
    }

    /// Whether everything that the feed said has been applied.
    pub fn is_applied(&self) -> bool {
        !self.books.has_work()
    }

    /// Whether a reader is owed something.
    pub fn owes(&self) -> bool {
        self.books.has_waiting_readers()
    }

    pub fn overran(&self) -> bool {
        self.out.has_overrun()
    }
}

pub fn decoder(speech: Speech, books_max: usize) -> MessageDecoder {
    match speech {
        Speech::Bistech => bistech::Decoder::new(books_max, None).into(),
        Speech::Itch50 => itch50::Decoder::new(0, books_max).into(),
    }
}

pub fn key(speech: Speech) -> OrderKey {
    match speech {
        Speech::Bistech => OrderKey::BookSideId,
        Speech::Itch50 => OrderKey::Id,
    }
}

fn limits(speech: Speech, bounds: Bounds) -> Limits {
    Limits {
        books_max: bounds.books_max,
        orders_max: bounds.orders_max,
        levels_max: 4_000,
        ladder_slots: 8_000,
        key: key(speech),
        seed: 1,
        ..Limits::default()
    }
}
