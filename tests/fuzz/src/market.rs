//! Books: random operations against the plain market, and slots of any bytes at all.

use book::market::{Market, OrderKey, UPDATES_PER_EVENT_MAX};
use book::replica::{KeepOrders, Options, Replica};
use book::slot::{QUANTITY_REST, rtype};
use book::{Phase, Price, Side, Slot};

use self::steps::{BOOKS, LINES, Step, check, limits};

/// The steps and their checks are those of the property test in `book/tests/market_equals_reference.rs`.
#[path = "../../../book/tests/steps/mod.rs"]
pub(crate) mod steps;

/// Bytes of a step: what and where, id, price, quantity, and one more number.
pub(crate) const STEP_BYTES: usize = 5;
/// Every step is compared in full, so that a longer feed costs more than it finds.
const STEPS_MAX: usize = 80;
/// Slots of one run.
const SLOTS_MAX: usize = 100;

/// The first byte says what names an order; then steps of fixed length, so that a mutation of one leaves the others.
///
/// After each step every level, queue, place and count of the fast market, of a replica and of the plain market are the
/// same; in the end so are a late reader's snapshot, the updates made with a look ahead, and levels without queues.
pub fn operations(data: &[u8]) {
    let [options, data @ ..] = data else { return };
    let steps: Vec<Step> = data.as_chunks::<STEP_BYTES>().0.iter().take(STEPS_MAX).map(step).collect();
    check(&steps, if options & 1 == 0 { OrderKey::BookSideId } else { OrderKey::Id });
}

/// Half of them are crowded into one line of the index.
fn id_of(byte: u8) -> u64 {
    let id = u64::from(byte % 24);
    if id < 12 { id } else { (id - 12) * LINES }
}

/// Small ranges, so that ids and prices meet often, and the ends of the large ones.
pub(crate) fn step(&[what, id, price, quantity, more]: &[u8; STEP_BYTES]) -> Step {
    let book = usize::from(what >> 6) % BOOKS.len();
    let side = [Side::Bid, Side::Ask, Side::Bid, Side::Ask, Side::Bid, Side::Ask, Side::Bid, Side::None]
        [usize::from(what >> 3 & 7)];
    let (id, new_id) = (id_of(id), id_of(more));
    let around = 90 + i64::from(price % 20);
    let price = match price {
        0..240 => around,
        240..243 => Price::NONE.0,
        243..246 => 0,
        246..249 => -5,
        249..252 => i64::MIN,
        252.. => i64::MAX - 1,
    };
    let quantity = match quantity {
        0..230 => u64::from(quantity % 24) + 1,
        230..238 => 0,
        238..244 => u64::from(u32::MAX) + 5,
        244..248 => 1 << 40,
        248..250 => u64::from(u32::MAX),
        250.. => u64::MAX - 1,
    };
    let taken = if more == 255 { QUANTITY_REST } else { quantity };
    match what & 7 {
        0..=1 => Step::Add {
            book,
            side,
            id,
            price,
            quantity,
            rank: (more & 1 == 1).then_some((95 + u64::from(more >> 1 & 7), u32::from(more >> 4 & 3))),
        },
        2 => Step::Cancel { book, side, id, quantity: taken },
        3 => Step::Execute { book, side, id, quantity: taken },
        4 => Step::Modify { book, side, id, price, quantity },
        5 => Step::Replace { book, side, id, new_id, price, quantity },
        6 if more < 128 => {
            Step::Bands { book, from: around - 5, slots: 1 + i64::from(more % 24), step: 1 + i64::from(more & 3) }
        }
        6 => Step::StrayRank { book },
        _ => match more & 7 {
            0..=1 => Step::Clear { book },
            2..=4 => Step::Phase { book, phase: Phase::Continuous },
            5..=6 => Step::Phase { book, phase: Phase::OpeningCollection },
            _ => Step::Session,
        },
    }
}

/// Slots of 64 bytes each, whatever is in them: none of them comes from a decoder of ours.
///
/// The links of the books agree after each, no event makes more updates than it may, a look ahead changes no update,
/// levels without queues are the same, and a replica takes what comes out.
pub fn slots(data: &[u8]) {
    let [options, data @ ..] = data else { return };
    let key = if options & 1 == 0 { OrderKey::BookSideId } else { OrderKey::Id };
    let events: Vec<Slot> = data.as_chunks::<64>().0.iter().take(SLOTS_MAX).copied().map(slot).collect();
    let (mut one, mut all) = (Market::new(limits(key)), Market::new(limits(key)));
    let mut replica = Replica::new(Options { orders: KeepOrders::Always, ..Options::default() });
    let (mut want, mut updates) = (Vec::new(), Vec::new());
    for event in &events {
        let before = want.len();
        one.apply(event, &mut want);
        assert!(want.len() - before <= UPDATES_PER_EVENT_MAX);
        one.check_invariants();
    }
    for update in &want {
        replica.apply(update, &mut |_, _, _| {});
    }
    let mut seen = 0;
    all.apply_all(&events, &mut updates, |_, _, _| seen += 1);
    assert_eq!((seen, updates), (events.len(), want));
    all.check_invariants();
    let mut totals = Market::new(book::market::Limits { queues: false, ..limits(key) });
    totals.apply_all(&events, &mut (), |_, _, ()| {});
    totals.check_invariants();
    for book in one.books() {
        for side in [Side::Bid, Side::Ask] {
            assert!(totals.levels(book.id(), side).eq(one.levels(book.id(), side)), "{side:?} of {:?}", book.id());
        }
    }
    assert_eq!(totals.orders(), one.orders());
}

/// A kind that exists most of the time, and one of four books, or else nothing would ever meet.
fn slot(mut bytes: [u8; 64]) -> Slot {
    const KINDS: [u8; 16] = [
        rtype::ORDER,
        rtype::ORDER,
        rtype::ORDER,
        rtype::EXECUTION,
        rtype::REPLACE,
        rtype::TRADE,
        rtype::RANK,
        rtype::SYMBOL,
        rtype::TERMS,
        rtype::TICK_BAND,
        rtype::STATE,
        rtype::SYSTEM,
        rtype::EQUILIBRIUM,
        rtype::EQUILIBRIUM_BEST,
        rtype::SHORT_SELL,
        rtype::CONTRACT,
    ];
    if let Some(&kind) = KINDS.get(usize::from(bytes[1])) {
        bytes[1] = kind;
    }
    bytes[4] &= 3;
    (bytes[5], bytes[6], bytes[7]) = (0, 0, 0);
    Slot::from_bytes(bytes)
}
