//! A reader that asks for the orders of single books, and is slow at times, against the market.

use std::collections::HashMap;

use book::market::{Limits, Market, OrderKey};
use book::order_interest::{OrderInterest, OrderInterestSender, order_interest};
use book::replica::{KeepOrders, Options, Replica};
use book::ring::{Consumer, Notifier, Producer, ring};
use book::slot::{OrderEvent, QUANTITY_REST, Stamp, System, picture, system};
use book::worker::{BookWorker, Detail};
use book::{BookId, OrderId, Price, Side, View};
use proptest::prelude::*;

const BOOKS: u32 = 4;
/// The least that a reader may have: half of it has room for no book of more than a few hundred orders at once.
const RING_SLOTS: usize = 1_024;

#[derive(Clone, Debug)]
enum Step {
    /// So many orders of one book, one cancelled for each `cancels`-th.
    Orders {
        book: u32,
        adds: u16,
        cancels: u16,
    },
    /// The book thread's turn.
    Turn,
    /// The reader takes at most so many slots.
    Read {
        slots: usize,
    },
    /// The reader wants a book's orders, or not any more.
    Toggle {
        book: u32,
    },
    Session,
}

fn step() -> impl Strategy<Value = Step> {
    let book = 1..=BOOKS;
    prop_oneof![
        4 => (book.clone(), 1u16..300, 1u16..5).prop_map(|(book, adds, cancels)| Step::Orders { book, adds, cancels }),
        6 => Just(Step::Turn),
        3 => (1usize..2_000).prop_map(|slots| Step::Read { slots }),
        4 => book.prop_map(|book| Step::Toggle { book }),
        1 => Just(Step::Session),
    ]
}

struct World {
    events: Producer,
    stage: BookWorker,
    reader: Consumer,
    sender: OrderInterestSender,
    replica: Replica,
    /// Of each book: what was answered last, and what is still to be answered.
    wanted: HashMap<u32, (bool, Option<bool>)>,
    resting: Vec<(u32, u64)>,
    last_id: u64,
    epoch: u64,
}

impl World {
    fn new() -> Self {
        let (events, consumer) = ring("events", 1 << 14, Notifier::new());
        let (updates, reader) = ring("reader", RING_SLOTS, Notifier::new());
        let (sender, receiver) = order_interest(BOOKS as usize, Notifier::new());
        let limits = Limits {
            books_max: BOOKS as usize,
            orders_max: 100_000,
            levels_max: 10_000,
            ladder_slots: 0,
            key: OrderKey::Id,
            seed: 1,
            ..Limits::default()
        };
        let mut stage = BookWorker::new(consumer, Market::new(limits));
        stage.add_reader(updates, Detail::OnRequest(receiver), BOOKS as usize);
        let replica = Replica::new(Options { orders: KeepOrders::OnRequest, ..Options::default() });
        let mut world = Self {
            events,
            stage,
            reader,
            sender,
            replica,
            wanted: HashMap::new(),
            resting: Vec::new(),
            last_id: 0,
            epoch: 0,
        };
        world.session();
        (1..=BOOKS).for_each(|book| world.orders(book, 1, 5));
        world.turn();
        world.read(usize::MAX);
        world
    }

    fn session(&mut self) {
        self.epoch += 1;
        self.resting.clear();
        self.events.push(System::new(system::SESSION, 1, 1, 0, 0, self.epoch).into()).unwrap();
    }

    fn orders(&mut self, book: u32, adds: u16, cancels: u16) {
        let stamp = Stamp { book_id: BookId(book), exchange_ns: 1, ..Stamp::default() };
        for n in 0..adds {
            self.last_id += 1;
            let (side, price) = ([Side::Bid, Side::Ask][usize::from(n % 2)], Price(1_000 + (self.last_id % 97) as i64));
            let event = OrderEvent::add(stamp, side, OrderId(self.last_id), price, u64::from(n % 9) + 1, 0);
            self.events.push(event.into()).unwrap();
            self.resting.push((book, self.last_id));
            if n % cancels == 0 {
                let at = usize::from(n) * 31 % self.resting.len();
                let (book, id) = self.resting.swap_remove(at);
                let stamp = Stamp { book_id: BookId(book), ..stamp };
                let event = OrderEvent::cancel(stamp, Side::None, OrderId(id), QUANTITY_REST);
                self.events.push(event.into()).unwrap();
            }
        }
    }

    fn turn(&mut self) {
        while self.stage.has_work() {
            self.stage.do_work(0);
        }
    }

    fn read(&mut self, slots: usize) {
        let Self { reader, replica, wanted, .. } = self;
        reader.drain(slots, |slot| {
            replica.apply(slot, &mut |_, _, _| {});
            if let View::OrdersEnd(mark) | View::SnapshotEnd(mark) = slot.view()
                && mark.answers != 0
            {
                let (have, asked) = wanted.get_mut(&mark.book_id).expect("only what was asked is answered");
                *have = asked.take().expect("each request is answered once");
                assert_eq!(*have, mark.orders == picture::HERE, "what was wanted");
            }
        });
    }

    fn toggle(&mut self, book: u32) {
        let (have, asked) = self.wanted.entry(book).or_default();
        if asked.is_none() {
            *asked = Some(!*have);
            self.sender.ask(OrderInterest { book_id: BookId(book), orders: !*have }).unwrap();
        }
    }

    /// Everything was read: nothing is owed, and the reader has what the market has.
    fn settle(&mut self) {
        loop {
            self.turn();
            self.stage.do_work(0);
            self.read(usize::MAX);
            if !self.stage.has_waiting_readers() && !self.stage.has_work() && self.reader.is_empty() {
                break;
            }
        }
        let market = self.stage.market();
        for book in market.books() {
            let id = book.id();
            let view = self.replica.book(id).expect("the reader knows every book");
            let &(wanted, asked) = self.wanted.get(&id.0).unwrap_or(&(false, None));
            assert_eq!(asked, None, "every request was answered");
            assert_eq!(wanted, !view.orders_omitted, "book {id:?}");
            for side in [Side::Bid, Side::Ask] {
                assert!(market.levels(id, side).eq(view.levels(side).iter().copied()), "{id:?} {side:?}");
                let have = view.orders.iter(side).map(|(price, order)| (price, order.order_id, order.quantity));
                let want = market.queue(id, side).map(|(price, id, quantity, _)| (price, id, quantity));
                if view.orders_omitted {
                    assert_eq!(have.count(), 0, "{id:?}");
                } else {
                    assert!(have.eq(want), "{id:?} {side:?}");
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_reader_has_the_orders_that_it_asked_for(steps in prop::collection::vec(step(), 1..60)) {
        let mut world = World::new();
        for step in steps {
            match step {
                Step::Orders { book, adds, cancels } => {
                    world.orders(book, adds, cancels);
                    world.turn();
                }
                Step::Turn => {
                    world.stage.do_work(0);
                }
                Step::Read { slots } => world.read(slots),
                Step::Toggle { book } => world.toggle(book),
                Step::Session => world.session(),
            }
        }
        world.settle();
        (1..=BOOKS).for_each(|book| world.orders(book, 9, 3));
        world.settle();
    }
}
