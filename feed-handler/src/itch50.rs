//! NASDAQ ITCH 5.0 messages to slots.
//!
//! Never allocates, never formats, never looks an order up: executions, cancels and replaces name no side and no
//! stock but the locate code, so their side is [`Side::None`] and the book finds it. What it cannot read it refuses,
//! and then nothing of the message reached the sink. What becomes what: `docs/protocols/itch-5.0.md`.

use std::mem::offset_of;

use book::slot::{
    Execution, OrderEvent, QUANTITY_REST, Stamp, State, System, action, conditions, flags, rtype, system,
};
use book::types::unit_nanos;
use book::{BookId, Nanos, OrderId, Phase, Price, Side};
use zerocopy::FromBytes;
use zerocopy::big_endian::{U16, U32};

use crate::layout::itch_5_0::{
    AddOrder, AddOrderParticipant, AuctionCollar, BUY, BreakerLevels, BreakerStatus, BrokenTrade, CrossTrade,
    DirectListing, Head, Imbalance, IpoQuoting, OperationalHalt, OrderCancel, OrderDelete, OrderExecuted,
    OrderExecutedPrice, OrderReplace, PRICE_DECIMALS, ParticipantPosition, RegSho, RetailInterest, SELL,
    StockDirectory, SystemEvent, TrackedNanos, Trade, TradingAction,
};
use crate::layout::{Message, unpadded, view};
use crate::record::record;
use crate::sink::{Received, Refused, Sink};

/// What the decoder counted. Refusals by reason are the caller's to count, from [`Refused::reason`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Messages decoded, those without a slot among them.
    pub decoded: u64,
    /// Messages refused, for any reason.
    pub refused: u64,
}

/// The decoder of one day.
#[derive(Debug)]
pub struct Decoder {
    midnight_ns: Nanos,
    locate_max: u16,
    /// What was counted.
    pub counters: Counters,
}

impl Decoder {
    /// A decoder for the day that began at `midnight_ns` (Unix nanoseconds of midnight in New York).
    ///
    /// Locate codes are given out from 1 upwards, so a code above `books_max` is refused.
    #[must_use]
    pub fn new(midnight_ns: Nanos, books_max: usize) -> Self {
        let locate_max = u16::try_from(books_max).unwrap_or(u16::MAX);
        Self { midnight_ns, locate_max, counters: Counters::default() }
    }

    /// Decodes one message into the slots it stands for, which for some types are none; the last of them carries
    /// [`flags::LAST`] where its layout has flags.
    ///
    /// # Errors
    /// [`Refused`]: nothing reached the sink. It was counted.
    #[inline(always)]
    pub fn decode(&mut self, message: &[u8], received: Received, sink: &mut impl Sink) -> Result<(), Refused> {
        let outcome = self.decode_frequent(message, received, sink);
        match outcome {
            Ok(()) => self.counters.decoded += 1,
            Err(_) => self.counters.refused += 1,
        }
        outcome
    }

    /// Adds and cancels, most of any day: one path for all four types, without a branch on which of them it is.
    ///
    /// They alternate at random, so that such a branch is mispredicted every other time: 9.5 ns per message with it,
    /// 7.2 ns without (`reencoded/GOOG_20120621.itch50`, best of 60 rounds on a shared 3.7 GHz EPYC).
    #[inline(always)]
    fn decode_frequent(&self, message: &[u8], received: Received, sink: &mut impl Sink) -> Result<(), Refused> {
        let Some(&kind) = message.first() else { return Err(Refused::Empty) };
        let shape = &ORDER_SHAPES[usize::from(kind)];
        if message.len() < shape.length {
            return self.decode_execution(kind, message, received, sink);
        }
        // The shortest of the four is the head of all.
        let head: &OrderDelete = view(message)?;
        let stamp = self.stamp(head.locate, head.time, received)?;
        let side = SIDES[usize::from(message[shape.side_at])];
        if (side == NO_SUCH_SIDE) | ((side == Side::None as u8) & shape.has_side) {
            return Err(Refused::BadField { kind, field: "side" });
        }
        let quantity = u64::from(integer_at(message, shape.quantity_at)) | shape.quantity_or;
        let price = i64::from(integer_at(message, shape.price_at)) * shape.price_unit + shape.price_base;
        let order = OrderId(head.reference.get());
        let mut event = OrderEvent::new(stamp, shape.action, Side::None, order, Price(price), quantity);
        event.side = side;
        sink.push(event.into());
        Ok(())
    }

    /// Executions and replaces.
    #[inline]
    fn decode_execution(
        &self,
        kind: u8,
        message: &[u8],
        received: Received,
        sink: &mut impl Sink,
    ) -> Result<(), Refused> {
        match kind {
            b'U' => {
                let replace: &OrderReplace = view(message)?;
                let stamp = self.stamp(replace.locate, replace.time, received)?;
                let slot = Execution::new(
                    rtype::REPLACE,
                    stamp,
                    Side::None,
                    OrderId(replace.reference.get()),
                    replace.new_reference.get(),
                    price(replace.price),
                    u64::from(replace.shares.get()),
                    0,
                );
                sink.push(slot.into());
                Ok(())
            }
            b'E' => {
                let executed: &OrderExecuted = view(message)?;
                let stamp = self.stamp(executed.locate, executed.time, received)?;
                let slot = Execution::new(
                    rtype::EXECUTION,
                    stamp,
                    Side::None,
                    OrderId(executed.reference.get()),
                    executed.match_id.get(),
                    Price::NONE,
                    u64::from(executed.shares.get()),
                    0,
                );
                sink.push(slot.into());
                Ok(())
            }
            _ => self.decode_rare(kind, message, received, sink),
        }
    }

    /// Everything else.
    #[inline(never)]
    fn decode_rare(&self, kind: u8, message: &[u8], received: Received, sink: &mut impl Sink) -> Result<(), Refused> {
        let Some(need) = length_of(kind) else { return Err(Refused::UnknownType(kind)) };
        let short = Refused::Short { kind, got: message.len(), need };
        let head = match Head::ref_from_prefix(message) {
            Ok((head, _body)) if message.len() >= need => head,
            _ => return Err(short),
        };
        let stamp = self.stamp(head.locate, head.time, received)?;
        match kind {
            b'P' => {
                let trade: &Trade = view(message)?;
                // The side byte is always `B` and says nothing.
                let slot = Execution::new(
                    rtype::TRADE,
                    stamp,
                    Side::None,
                    OrderId(0),
                    trade.match_id.get(),
                    price(trade.price),
                    u64::from(trade.shares.get()),
                    conditions::HIDDEN,
                );
                sink.push(slot.into());
            }
            b'C' => {
                let executed: &OrderExecutedPrice = view(message)?;
                let conditions = match executed.printable {
                    b'Y' => 0,
                    b'N' => conditions::NON_PRINTABLE,
                    _ => return Err(Refused::BadField { kind, field: "printable" }),
                };
                let slot = Execution::new(
                    rtype::EXECUTION,
                    stamp,
                    Side::None,
                    OrderId(executed.reference.get()),
                    executed.match_id.get(),
                    price(executed.price),
                    u64::from(executed.shares.get()),
                    conditions,
                );
                sink.push(slot.into());
            }
            b'I' => on_imbalance(stamp, view(message)?, sink)?,
            b'Q' => {
                let cross: &CrossTrade = view(message)?;
                // A cross that matched nothing is told with zero shares and is no trade.
                if cross.shares.get() > 0 {
                    let slot = Execution::new(
                        rtype::TRADE,
                        stamp,
                        Side::None,
                        OrderId(0),
                        cross.match_id.get(),
                        price(cross.price),
                        cross.shares.get(),
                        conditions::CROSS,
                    );
                    sink.push(slot.into());
                }
            }
            b'B' => {
                let broken: &BrokenTrade = view(message)?;
                let match_id = broken.match_id.get();
                let broken = conditions::BROKEN;
                let slot =
                    Execution::new(rtype::TRADE, stamp, Side::None, OrderId(0), match_id, Price::NONE, 0, broken);
                sink.push(slot.into());
            }
            b'R' => on_directory(stamp, view(message)?, sink),
            b'H' => on_trading_action(stamp, view(message)?, sink)?,
            b'S' => {
                let event: &SystemEvent = view(message)?;
                let code = match event.code {
                    b'O' => system::START_OF_MESSAGES,
                    b'C' => system::END_OF_MESSAGES,
                    b'S' | b'Q' | b'M' | b'E' => return Ok(()),
                    _ => return Err(Refused::BadField { kind, field: "event code" }),
                };
                sink.push(System::new(code, stamp.exchange_ns, stamp.received_ns, 0, 0, 0).into());
            }
            // Y, L, V, W, K, J, h, N, O: whole and of the day, but nothing the books or their readers have a use for.
            _ => {}
        }
        Ok(())
    }

    #[inline]
    fn stamp(&self, locate: U16, time: TrackedNanos, received: Received) -> Result<Stamp, Refused> {
        let locate = locate.get();
        if locate > self.locate_max {
            return Err(Refused::TooManyBooks { book_id: u32::from(locate) });
        }
        Ok(Stamp {
            book_id: BookId(u32::from(locate)),
            exchange_ns: self.midnight_ns.saturating_add(time.nanos()),
            received_ns: received.received_ns,
            sequence: received.sequence,
            channel_id: received.channel_id,
        })
    }
}

fn on_imbalance(stamp: Stamp, update: &Imbalance, sink: &mut impl Sink) -> Result<(), Refused> {
    let (paired, imbalance) = (update.paired.get(), update.imbalance.get());
    let (more_bid, more_ask) = match update.direction {
        b'B' => (imbalance, 0),
        b'S' => (0, imbalance),
        b'N' | b'O' | b'P' => (0, 0),
        _ => return Err(Refused::BadField { kind: update.kind, field: "imbalance direction" }),
    };
    let (Some(bid_quantity), Some(ask_quantity)) = (paired.checked_add(more_bid), paired.checked_add(more_ask)) else {
        return Err(Refused::BadField { kind: update.kind, field: "imbalance shares" });
    };
    sink.push(record!(stamp, Side::None, Equilibrium, rtype::EQUILIBRIUM, 0, {
        price: price_or_none(update.reference_price).0,
        bid_quantity: bid_quantity,
        ask_quantity: ask_quantity,
        far_price: price_or_none(update.far_price).0,
    }));
    // The imbalance states no best prices; the pair is kept whole for whoever reads it.
    sink.push(record!(stamp, Side::None, EquilibriumBest, rtype::EQUILIBRIUM_BEST, flags::LAST, {
        bid_price: Price::NONE.0,
        ask_price: Price::NONE.0,
        bid_quantity: 0,
        ask_quantity: 0,
    }));
    Ok(())
}

fn on_trading_action(stamp: Stamp, change: &TradingAction, sink: &mut impl Sink) -> Result<(), Refused> {
    let phase = match change.state {
        b'T' => Phase::Continuous,
        b'H' | b'P' => Phase::Halt,
        b'Q' => Phase::VolatilityAuction,
        _ => return Err(Refused::BadField { kind: change.kind, field: "trading state" }),
    };
    // Shown as `H T1`: the letter, and the reason where there is one.
    let mut name = [b' '; 6];
    name[0] = change.state;
    name[2..].copy_from_slice(&change.reason);
    sink.push(State::new(stamp, phase, unpadded(&name)).into());
    Ok(())
}

fn on_directory(stamp: Stamp, directory: &StockDirectory, sink: &mut impl Sink) {
    let mut symbol = [b' '; 32];
    symbol[..directory.stock.len()].copy_from_slice(&directory.stock);
    sink.push(record!(stamp, Side::None, Symbol, rtype::SYMBOL, 0, { symbol: symbol }));
    sink.push(record!(stamp, Side::None, LongName, rtype::LONG_NAME, 0, { name: [b' '; 32] }));
    sink.push(record!(stamp, Side::None, Terms, rtype::TERMS, 0, {
        isin: [b' '; 12],
        currency: *b"USD",
        product: 0,
        price_decimals: PRICE_DECIMALS,
        legs: 0,
        option_type: 0,
        ranking_type: 1,
        round_lot: directory.round_lot.get(),
        expiration: 0,
        underlying_book_id: 0,
    }));
    sink.push(record!(stamp, Side::None, Contract, rtype::CONTRACT, flags::LAST, {
        strike: Price::NONE.0,
        nominal: 0,
        odd_lot: 0,
        block_lot: 0,
        nominal_decimals: 0,
        reserved: [0; 6],
    }));
}

/// Bytes of a message of this type; `None` for types that do not exist. Recordings whose length prefixes are zero
/// are walked with it.
#[must_use]
pub const fn length_of(kind: u8) -> Option<usize> {
    Some(match kind {
        b'S' => SystemEvent::LENGTH,
        b'R' => StockDirectory::LENGTH,
        b'H' => TradingAction::LENGTH,
        b'Y' => RegSho::LENGTH,
        b'L' => ParticipantPosition::LENGTH,
        b'V' => BreakerLevels::LENGTH,
        b'W' => BreakerStatus::LENGTH,
        b'K' => IpoQuoting::LENGTH,
        b'J' => AuctionCollar::LENGTH,
        b'h' => OperationalHalt::LENGTH,
        b'A' => AddOrder::LENGTH,
        b'F' => AddOrderParticipant::LENGTH,
        b'E' => OrderExecuted::LENGTH,
        b'C' => OrderExecutedPrice::LENGTH,
        b'X' => OrderCancel::LENGTH,
        b'D' => OrderDelete::LENGTH,
        b'U' => OrderReplace::LENGTH,
        b'P' => Trade::LENGTH,
        b'Q' => CrossTrade::LENGTH,
        b'B' => BrokenTrade::LENGTH,
        b'I' => Imbalance::LENGTH,
        b'N' => RetailInterest::LENGTH,
        b'O' => DirectListing::LENGTH,
        _ => return None,
    })
}

/// Where an add or cancel has its parts, and what stands in for those it lacks.
#[derive(Clone, Copy)]
struct OrderShape {
    /// Bytes it needs; no message is as long as that of the types that are no adds or cancels.
    length: usize,
    action: u8,
    has_side: bool,
    /// Where there is no side: the type byte, which [`SIDES`] calls no side.
    side_at: usize,
    quantity_at: usize,
    /// All ones where no quantity is stated and the whole rest is meant.
    quantity_or: u64,
    price_at: usize,
    /// 0 where there is no price.
    price_unit: i64,
    price_base: i64,
}

const ADD: OrderShape = OrderShape {
    length: AddOrder::LENGTH,
    action: action::ADD,
    has_side: true,
    side_at: offset_of!(AddOrder, side),
    quantity_at: offset_of!(AddOrder, shares),
    quantity_or: 0,
    price_at: offset_of!(AddOrder, price),
    price_unit: unit_nanos(PRICE_DECIMALS),
    price_base: 0,
};

const CANCEL: OrderShape = OrderShape {
    length: OrderCancel::LENGTH,
    action: action::CANCEL,
    has_side: false,
    side_at: offset_of!(OrderCancel, kind),
    quantity_at: offset_of!(OrderCancel, shares),
    quantity_or: 0,
    // Any four bytes of the message: they are multiplied by 0.
    price_at: offset_of!(OrderCancel, reference),
    price_unit: 0,
    price_base: Price::NONE.0,
};

/// By type byte.
static ORDER_SHAPES: [OrderShape; 256] = {
    let mut shapes = [OrderShape { length: usize::MAX, ..CANCEL }; 256];
    shapes[AddOrder::KIND as usize] = ADD;
    // OK because an add with participant is an add with a tail.
    shapes[AddOrderParticipant::KIND as usize] = OrderShape { length: AddOrderParticipant::LENGTH, ..ADD };
    shapes[OrderCancel::KIND as usize] = CANCEL;
    shapes[OrderDelete::KIND as usize] = OrderShape {
        length: OrderDelete::LENGTH,
        quantity_at: offset_of!(OrderDelete, reference),
        quantity_or: QUANTITY_REST,
        ..CANCEL
    };
    shapes
};

const _: () = {
    assert!(QUANTITY_REST == u64::MAX, "or-ing it over any bytes gives it");
    assert!(offset_of!(AddOrderParticipant, side) == ADD.side_at);
    assert!(offset_of!(AddOrderParticipant, shares) == ADD.quantity_at);
    assert!(offset_of!(AddOrderParticipant, price) == ADD.price_at);
    assert!(offset_of!(AddOrder, reference) == offset_of!(OrderDelete, reference));
    assert!(offset_of!(OrderCancel, reference) == offset_of!(OrderDelete, reference));
    let mut kind = 0;
    while kind < 256 {
        let shape = ORDER_SHAPES[kind];
        assert!(shape.side_at < shape.length);
        assert!(shape.quantity_at + 4 <= shape.length && shape.price_at + 4 <= shape.length);
        kind += 1;
    }
};

/// Not a value of [`Side`].
const NO_SUCH_SIDE: u8 = 0;

/// Side by side byte; none by the type bytes of cancels.
static SIDES: [u8; 256] = {
    let mut sides = [NO_SUCH_SIDE; 256];
    sides[BUY as usize] = Side::Bid as u8;
    sides[SELL as usize] = Side::Ask as u8;
    sides[OrderCancel::KIND as usize] = Side::None as u8;
    sides[OrderDelete::KIND as usize] = Side::None as u8;
    sides
};

/// The big-endian integer of four bytes at `at`; 0 behind the end, where no shape reaches (proved above).
#[inline]
fn integer_at(message: &[u8], at: usize) -> u32 {
    message.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |&bytes| u32::from_be_bytes(bytes))
}

/// A 4-byte price; cannot run over: 2^32 × 10^5 is less than 2^49.
#[inline]
fn price(price: U32) -> Price {
    Price(i64::from(price.get()) * unit_nanos(PRICE_DECIMALS))
}

/// A price whose absence is told as zero.
fn price_or_none(raw: U32) -> Price {
    if raw.get() == 0 { Price::NONE } else { price(raw) }
}
