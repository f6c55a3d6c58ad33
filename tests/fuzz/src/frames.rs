//! From events to the text that clients get: books of random operations, encoded, and rebuilt by a client that knows only
//! the protocol's page.

use book::market::{Market, OrderKey};
use book::ring::{Notifier, ring};
use book::worker::{BookWorker, Detail};
use book::{Price, Slot};
use distributor::{BookFrames, frame};
use feed_handler::decode::bistech;
use feed_handler::decode::sink::Received;
use feed_handler::wire::layout::alpha;
use feed_handler::wire::layout::bistech_2112::{OrderBookDirectory, Seconds};
use zerocopy::IntoBytes;

use self::client_book::ClientBook;
use crate::market::steps::{BOOKS, Step, events, limits};
use crate::market::{STEP_BYTES, step};

/// The client of the ordinary tests.
#[path = "../../../distributor/tests/support/client_book.rs"]
mod client_book;

/// Steps of one run.
const STEPS_MAX: usize = 200;
/// The least that a reader may have; far more than one event makes.
const RING_SLOTS: usize = 1_024;
/// Far enough that every price of a step differs from the next in its last decimal.
const DECIMALS: u8 = Price::DECIMALS;

/// The first byte chooses the depth; then steps as in [`crate::market::operations`].
///
/// Every frame is one WebSocket frame of valid JSON that continues its book's chain, its checksum is that of the client's
/// levels, and after each event the client has exactly the levels of the market.
pub fn book_frames(data: &[u8]) {
    let [options, data @ ..] = data else { return };
    let depth = 1 + options % 100;
    let steps: Vec<Step> =
        data.as_chunks::<STEP_BYTES>().0.iter().take(STEPS_MAX).map(step).filter(keeps_chain).collect();
    let (mut feed, events_end) = ring("events", RING_SLOTS, Notifier::silent());
    let (updates_end, mut reader) = ring("updates", RING_SLOTS, Notifier::silent());
    let mut stage = BookWorker::new(events_end, Market::new(limits(OrderKey::BookSideId)));
    stage.add_reader(updates_end, Detail::Orders, BOOKS.len());
    let mut frames = BookFrames::without_orders(depth);
    let mut clients: [ClientBook; BOOKS.len()] = Default::default();
    let mut updates: Vec<Slot> = Vec::new();
    for event in definitions().into_iter().chain(events(&steps)) {
        feed.push(event).expect("the ring is empty before every event");
        stage.do_work(1);
        updates.clear();
        reader.drain(usize::MAX, |update| updates.push(*update));
        frames.apply_all(&updates, || 1, |frame| on_frame(&mut clients, frame, usize::from(depth)));
        for (client, id) in clients.iter().zip(BOOKS) {
            client.assert_is_with(stage.market(), id, usize::from(depth), DECIMALS);
        }
    }
}

/// A new session begins a new chain, with a snapshot, which is the server's business; and while a definition is half said,
/// as in the step of a tick table, nothing is shown.
fn keeps_chain(step: &Step) -> bool {
    !matches!(step, Step::Session | Step::Bands { .. })
}

fn on_frame(clients: &mut [ClientBook; BOOKS.len()], bytes: &[u8], depth: usize) {
    assert_eq!(frame::server_frame_bytes(bytes), Some(bytes.len()));
    let start = bytes.iter().position(|&byte| byte == b'{').expect("an object");
    assert!(matches!(start, 2 | 4 | 10), "a head of {start} bytes");
    let frame: serde_json::Value = serde_json::from_slice(&bytes[start..]).expect("JSON");
    let symbol = frame["symbol"].as_str().expect("a symbol");
    let client = &mut clients[BOOKS.iter().position(|&id| name(id).starts_with(symbol)).expect("a symbol of ours")];
    // The first frame of a book is the difference to an empty one.
    client
        .have
        .get_or_insert((frame["epoch"].as_u64().expect("a number"), frame["prev_seq"].as_u64().expect("a number")));
    assert_eq!(client.on_frame(&frame, depth), "apply", "{frame}");
    assert_eq!(frame["checksum"], client.checksum(depth), "{frame}");
}

fn name(book_id: u32) -> String {
    format!("B{book_id}.E")
}

/// The definitions of the books, as the exchange sends them.
fn definitions() -> Vec<Slot> {
    let mut decoder = bistech::Decoder::new(BOOKS.len(), None);
    let mut slots = Vec::new();
    let second = Seconds { second: 1_740_000_000.into(), ..Default::default() };
    let mut take = |message: &[u8]| {
        let taken = decoder.decode(message, Received::default(), &mut |slot: Slot| slots.push(slot));
        assert_eq!(taken, Ok(()));
    };
    take(second.as_bytes());
    for book_id in BOOKS {
        let directory = OrderBookDirectory {
            book_id: book_id.into(),
            symbol: alpha(&name(book_id)),
            financial_product: 5,
            currency: *b"TRY",
            price_decimals: u16::from(DECIMALS).into(),
            ranking_type: 1,
            ..Default::default()
        };
        take(directory.as_bytes());
    }
    slots
}
