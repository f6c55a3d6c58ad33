//! Names for the books of ITCH 5.0 recordings that begin after the day's directory.
//!
//! For recordings only. Live, the directory comes first.

use book::slot::rtype;
use book::{BookId, Nanos};
use zerocopy::FromBytes;

use super::definition::Definition;
use crate::decode::sink::{Received, Sink};
use crate::wire::layout::itch_5_0::{AddOrder, MessageHead, PRICE_DECIMALS};
use crate::wire::layout::unpadded;

/// Names the stocks of ITCH 5.0 files that start after the directory: adds carry the stock's name.
///
/// For recordings only. Live, the directory comes first.
#[derive(Debug)]
pub struct ImpliedDirectory {
    /// One bit per locate code: its name is known.
    named: Box<[u64; 1_024]>,
}

impl Default for ImpliedDirectory {
    fn default() -> Self {
        Self { named: Box::new([0; 1_024]) }
    }
}

impl ImpliedDirectory {
    /// Looks at a message about to be decoded; makes the slots of a definition when an add names a new stock.
    pub fn on_message(&mut self, midnight_ns: Nanos, message: &[u8], received: Received, sink: &mut impl Sink) {
        let Ok((head, _)) = MessageHead::ref_from_prefix(message) else { return };
        let locate = head.locate.get();
        let (word, bit) = (&mut self.named[usize::from(locate >> 6)], 1 << (locate & 63));
        if *word & bit != 0 || !matches!(head.kind, b'A' | b'F' | b'R') {
            return;
        }
        if head.kind != b'R' {
            let Ok((add, _)) = AddOrder::ref_from_prefix(message) else { return };
            let Ok(symbol) = std::str::from_utf8(unpadded(&add.stock)) else { return };
            let mut definition = Definition::new(BookId(u32::from(locate)), symbol, PRICE_DECIMALS);
            definition.currency = *b"USD";
            definition.exchange_ns = midnight_ns.saturating_add(head.time.nanos());
            definition.received_ns = received.received_ns;
            for slot in definition.slots() {
                debug_assert!(slot.rtype >= rtype::SYMBOL);
                sink.push(slot);
            }
        }
        *word |= bit;
    }
}
