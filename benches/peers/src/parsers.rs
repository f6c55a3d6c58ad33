//! Decoding only: every field that a book needs is read, out of bytes that are in memory.
//!
//! A parser's answer is a digest over those fields, and must equal that of a plain walk by byte offsets. Ours has another
//! shape (it makes whole events), so that of ours the count is compared here and the fields by the books.

use std::ops::ControlFlow;
use std::time::Instant;

use benches::generate::{Format, Stream};
use benches::run::{decode, messages};
use itch5::messages as itch5_messages;
use itchy::Body;

use crate::measure::{Contestant, Row, interleave, per_message};

/// Sum over what a book needs of every message that changes one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Digest {
    events: usize,
    sum: u64,
}

impl Digest {
    #[inline(always)]
    fn event(&mut self, locate: u16, id: u64, shares: u32, price: u32, other: u64) {
        self.events += 1;
        let number = id ^ u64::from(shares) << 32 ^ u64::from(price) << 8 ^ u64::from(locate) << 48 ^ other << 20;
        self.sum = self.sum.wrapping_add(number);
    }
}

/// Measures all parsers.
pub fn run(stream: &Stream, rounds: usize, wanted: &impl Fn(&str) -> bool) -> Vec<Row> {
    let bytes = &stream.bytes;
    let expected = plain(bytes);
    let timed = |name, keeps, parse: fn(&[u8]) -> Digest| Contestant {
        name,
        keeps,
        run: Box::new(move || {
            let start = Instant::now();
            let found = parse(bytes);
            let spent = start.elapsed();
            if found == expected {
                Ok(per_message(spent, stream.messages))
            } else {
                Err(format!("its fields are {found:?}, not {expected:?}"))
            }
        }),
    };
    let ours = Contestant {
        name: "ours",
        keeps: "whole 64-byte events, prices in 10^-9",
        run: Box::new(move || {
            let start = Instant::now();
            let (count, sum) = std::hint::black_box(decode(bytes, Format::Itch50));
            let spent = start.elapsed();
            if count == stream.messages && sum != 0 {
                Ok(per_message(spent, stream.messages))
            } else {
                Err(format!("decoded {count} of {} messages", stream.messages))
            }
        }),
    };
    let contestants = vec![
        ours,
        timed("walk by byte offsets", "a floor with a branch on the type", plain),
        timed("itch5 0.1.5", "visitor, zero-copy", itch5),
        timed("itchy 0.3.4", "owned messages, nom", itchy),
        #[cfg(feature = "agpl")]
        timed("lunary 0.2.5 ZeroCopyParser", "zero-copy", lunary),
    ];
    interleave(contestants, rounds, wanted)
}

fn number<const BYTES: usize>(message: &[u8], at: usize) -> u64 {
    message[at..at + BYTES].iter().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

fn plain(bytes: &[u8]) -> Digest {
    let mut digest = Digest::default();
    for message in messages(bytes) {
        let locate = || number::<2>(message, 1) as u16;
        let (id, word) = (|at| number::<8>(message, at), |at| number::<4>(message, at) as u32);
        match message[0] {
            b'A' | b'F' => {
                digest.event(locate(), id(11), word(20), word(32), u64::from(message[19] == b'B'));
            }
            b'E' | b'C' | b'X' => digest.event(locate(), id(11), word(19), 0, 0),
            b'D' => digest.event(locate(), id(11), 0, 0, 0),
            b'U' => digest.event(locate(), id(11), word(27), word(31), id(19)),
            _ => (),
        }
    }
    digest
}

impl itch5::MessageHandler for Digest {
    #[inline(always)]
    fn on_add_order_no_mpid_attribution(&mut self, add: &itch5_messages::AddOrderNoMPIDAttribution) -> ControlFlow<()> {
        let bid = matches!(add.buy_sell_indicator(), itch5_messages::BuySellIndicator::Buy);
        self.event(
            add.stock_locate(),
            add.order_reference_number(),
            add.shares(),
            add.price().into_u32(),
            u64::from(bid),
        );
        ControlFlow::Continue(())
    }

    #[inline(always)]
    fn on_add_order_with_mpid_attribution(
        &mut self,
        add: &itch5_messages::AddOrderWithMPIDAttribution,
    ) -> ControlFlow<()> {
        let bid = matches!(add.buy_sell_indicator(), itch5_messages::BuySellIndicator::Buy);
        self.event(
            add.stock_locate(),
            add.order_reference_number(),
            add.shares(),
            add.price().into_u32(),
            u64::from(bid),
        );
        ControlFlow::Continue(())
    }

    #[inline(always)]
    fn on_order_executed(&mut self, executed: &itch5_messages::OrderExecuted) -> ControlFlow<()> {
        self.event(executed.stock_locate(), executed.order_reference_number(), executed.executed_shares(), 0, 0);
        ControlFlow::Continue(())
    }

    #[inline(always)]
    fn on_order_executed_with_price(&mut self, executed: &itch5_messages::OrderExecutedWithPrice) -> ControlFlow<()> {
        self.event(executed.stock_locate(), executed.order_reference_number(), executed.executed_shares(), 0, 0);
        ControlFlow::Continue(())
    }

    #[inline(always)]
    fn on_order_cancel(&mut self, cancel: &itch5_messages::OrderCancel) -> ControlFlow<()> {
        self.event(cancel.stock_locate(), cancel.order_reference_number(), cancel.cancelled_shares(), 0, 0);
        ControlFlow::Continue(())
    }

    #[inline(always)]
    fn on_order_delete(&mut self, delete: &itch5_messages::OrderDelete) -> ControlFlow<()> {
        self.event(delete.stock_locate(), delete.order_reference_number(), 0, 0, 0);
        ControlFlow::Continue(())
    }

    #[inline(always)]
    fn on_order_replace(&mut self, replace: &itch5_messages::OrderReplace) -> ControlFlow<()> {
        self.event(
            replace.stock_locate(),
            replace.original_order_reference_number(),
            replace.shares(),
            replace.price().into_u32(),
            replace.new_order_reference_number(),
        );
        ControlFlow::Continue(())
    }
}

fn itch5(bytes: &[u8]) -> Digest {
    let mut digest = Digest::default();
    // A refused message leaves the digest short, and the comparison says so.
    let _ = itch5::Parser::new(bytes).parse_stream(&mut digest);
    digest
}

fn itchy(bytes: &[u8]) -> Digest {
    let mut digest = Digest::default();
    for message in itchy::MessageStream::from_reader(bytes).map_while(Result::ok) {
        let locate = message.stock_locate;
        match message.body {
            Body::AddOrder(add) => {
                let bid = add.side == itchy::Side::Buy;
                digest.event(locate, add.reference, add.shares, add.price.raw(), u64::from(bid));
            }
            Body::OrderExecuted { reference, executed, .. }
            | Body::OrderExecutedWithPrice { reference, executed, .. } => {
                digest.event(locate, reference, executed, 0, 0);
            }
            Body::OrderCancelled { reference, cancelled } => digest.event(locate, reference, cancelled, 0, 0),
            Body::DeleteOrder { reference } => digest.event(locate, reference, 0, 0, 0),
            Body::ReplaceOrder(replace) => {
                let (price, new) = (replace.price.raw(), replace.new_reference);
                digest.event(locate, replace.old_reference, replace.shares, price, new);
            }
            _ => (),
        }
    }
    digest
}

/// Its offsets count from behind the 11 bytes of the head.
#[cfg(feature = "agpl")]
fn lunary(bytes: &[u8]) -> Digest {
    let mut digest = Digest::default();
    let mut parser = lunary::ZeroCopyParser::new(bytes);
    while let Some(message) = parser.parse_next() {
        let (locate, id) = (message.stock_locate(), |at| message.read_u64(at));
        let word = |at| message.read_u32(at);
        match message.msg_type() {
            b'A' | b'F' => digest.event(locate, id(0), word(9), word(21), u64::from(message.read_u8(8) == b'B')),
            b'E' | b'C' | b'X' => digest.event(locate, id(0), word(8), 0, 0),
            b'D' => digest.event(locate, id(0), 0, 0, 0),
            b'U' => digest.event(locate, id(0), word(16), word(20), id(8)),
            _ => (),
        }
    }
    digest
}
