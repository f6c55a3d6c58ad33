//! NASDAQ ITCH 5.0 messages to slots.
//!
//! Never allocates, never formats, never looks an order up: executions, cancels and replaces name no side and no
//! stock but the locate code, so their side is [`Side::None`] and the book finds it. What it cannot read it refuses,
//! and then nothing of the message reached the sink. Messages and slots: `docs/protocols/itch-5.0.md`.

use std::mem::offset_of;

use book::slot::{Execution, Stamp, State, System, action, conditions, flags, rtype, system};
use book::types::unit_nanos;
use book::{BookId, Nanos, OrderId, Phase, Price, Side};
use zerocopy::FromBytes;
use zerocopy::big_endian::{U16, U32};

use super::frequent_messages::{SlotFields, SlotTemplate, bytes_at, last_end};
use super::record::{record, view};
use super::sink::{Received, Refused, Sink};
use crate::wire::layout::itch_5_0::{
    AddOrder, AddOrderParticipant, AuctionCollar, BUY, BreakerLevels, BreakerStatus, BrokenTrade, CrossTrade,
    DirectListing, Imbalance, IpoQuoting, MessageHead, OperationalHalt, OrderCancel, OrderDelete, OrderExecuted,
    OrderExecutedPrice, OrderReplace, PRICE_DECIMALS, ParticipantPosition, RegSho, RetailInterest, SELL,
    StockDirectory, SystemEvent, TrackedNanos, Trade, TradingAction,
};
use crate::wire::layout::{Message, unpadded};

/// Last midnight (in the year 2554) after which no time of the wire, 48 bits of nanoseconds, runs over.
const MIDNIGHT_NS_MAX: Nanos = Nanos::MAX - ((1 << 48) - 1);

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
        Self { midnight_ns: midnight_ns.min(MIDNIGHT_NS_MAX), locate_max, counters: Counters::default() }
    }

    /// Times count from `midnight_ns` from now on; `None` = as before.
    pub fn begin_day(&mut self, midnight_ns: Option<Nanos>) {
        self.midnight_ns = midnight_ns.map_or(self.midnight_ns, |midnight_ns| midnight_ns.min(MIDNIGHT_NS_MAX));
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

    /// All that happens to orders, and trades: one path for seven types, without a branch on which of them it is.
    ///
    /// They alternate at random, so that such a branch is mispredicted every other time: 4.7 ns per message without it,
    /// 6.6 ns when executions, replaces and trades still had it (4 million generated messages on one core of a shared
    /// 3.7 GHz EPYC).
    #[inline(always)]
    fn decode_frequent(&self, message: &[u8], received: Received, sink: &mut impl Sink) -> Result<(), Refused> {
        // Its parts one by one: a struct would be laid down in memory for every message, rare or not.
        let rare = |sink| self.decode_rare(message, received.received_ns, received.sequence, received.channel_id, sink);
        // The shortest of them is the head of all.
        let Ok((head, _)) = OrderDelete::ref_from_prefix(message) else { return rare(sink) };
        let frequent = &FREQUENT_MESSAGES[usize::from(head.kind)];
        // The fields of a frequent message reach to its end (proved below): what is there is all that the type needs.
        let Some([side]) = bytes_at(message, frequent.side_at) else { return rare(sink) };
        let Some(shares) = bytes_at(message, frequent.shares_at) else { return rare(sink) };
        let Some(price) = bytes_at(message, frequent.price_at) else { return rare(sink) };
        let Some(other_id) = bytes_at(message, frequent.other_at) else { return rare(sink) };
        let side = SIDES[usize::from(side)];
        let locate = head.locate.get();
        if side > frequent.side_max || locate > self.locate_max {
            return rare(sink);
        }
        let shares = u32::from_be_bytes(shares);
        let fields = SlotFields {
            side,
            order_id: head.reference.get() & frequent.order_and,
            other_id: u64::from_be_bytes(other_id),
            price: Price(i64::from(u32::from_be_bytes(price)) * frequent.price_unit + frequent.price_base),
            size: shares,
            eighth: shares.into(),
        };
        sink.push(frequent.template.slot(self.stamp_of(locate, head.time, received), fields));
        Ok(())
    }

    /// Everything else, and what is wrong with any message.
    #[inline(never)]
    fn decode_rare(
        &self,
        message: &[u8],
        received_ns: Nanos,
        sequence: u64,
        channel_id: u8,
        sink: &mut impl Sink,
    ) -> Result<(), Refused> {
        let received = Received { received_ns, sequence, channel_id };
        let Some(&kind) = message.first() else { return Err(Refused::Empty) };
        let Some(need) = length_of(kind) else { return Err(Refused::UnknownType(kind)) };
        let short = Refused::Short { kind, got: message.len(), need };
        let head = match MessageHead::ref_from_prefix(message) {
            Ok((head, _body)) if message.len() >= need => head,
            _ => return Err(short),
        };
        let stamp = self.stamp(head.locate, head.time, received)?;
        match kind {
            b'C' => on_executed_price(stamp, view(message)?, sink)?,
            b'I' => on_imbalance(stamp, view(message)?, sink)?,
            b'Q' => on_cross(stamp, view(message)?, sink),
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
            // Whole, and of a book that has a place: nothing else can be wrong with it.
            _ if FREQUENT_MESSAGES[usize::from(kind)].side_max != NOT_FREQUENT => {
                return Err(Refused::BadField { kind, field: "side" });
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
        Ok(self.stamp_of(locate, time, received))
    }

    #[inline(always)]
    fn stamp_of(&self, locate: u16, time: TrackedNanos, received: Received) -> Stamp {
        Stamp {
            book_id: BookId(u32::from(locate)),
            // OK because midnight was kept far enough from the end.
            exchange_ns: self.midnight_ns + time.nanos(),
            received_ns: received.received_ns,
            sequence: received.sequence,
            channel_id: received.channel_id,
        }
    }
}

fn on_executed_price(stamp: Stamp, executed: &OrderExecutedPrice, sink: &mut impl Sink) -> Result<(), Refused> {
    let conditions = match executed.printable {
        b'Y' => 0,
        b'N' => conditions::NON_PRINTABLE,
        _ => return Err(Refused::BadField { kind: executed.kind, field: "printable" }),
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
    Ok(())
}

fn on_cross(stamp: Stamp, cross: &CrossTrade, sink: &mut impl Sink) {
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

/// Where a message about orders has its parts, and what stands in for those it lacks.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct FrequentMessage {
    template: SlotTemplate,
    /// 0 where no visible order is named.
    order_and: u64,
    /// 0 where there is no price.
    price_unit: i64,
    price_base: i64,
    /// Where there is no side: the type byte, which [`SIDES`] calls no side.
    side_at: u8,
    /// Greatest value of [`SIDES`] that is right, or [`NOT_FREQUENT`].
    side_max: u8,
    shares_at: u8,
    price_at: u8,
    /// Match number or new order.
    other_at: u8,
}

/// A type that is not frequent: every side is too great for it.
const NOT_FREQUENT: u8 = 0;

/// A place in a message.
macro_rules! at {
    ($message:ident, $field:ident) => {
        offset_of!($message, $field) as u8
    };
}

/// Where any bytes will do, because they are not used: the order number.
const ANY_AT: u8 = at!(OrderDelete, reference);

const NOTHING: FrequentMessage = FrequentMessage {
    template: SlotTemplate::event(action::CLEAR),
    order_and: u64::MAX,
    price_unit: 0,
    price_base: Price::NONE.0,
    side_at: at!(OrderDelete, kind),
    side_max: NOT_FREQUENT,
    shares_at: ANY_AT,
    price_at: ANY_AT,
    other_at: ANY_AT,
};

const PRICED: FrequentMessage = FrequentMessage { price_unit: unit_nanos(PRICE_DECIMALS), price_base: 0, ..NOTHING };

const ADD: FrequentMessage = FrequentMessage {
    template: SlotTemplate::event(action::ADD).of_32_bits(),
    side_at: at!(AddOrder, side),
    side_max: Side::Bid as u8,
    shares_at: at!(AddOrder, shares),
    price_at: at!(AddOrder, price),
    ..PRICED
};

const ADD_PARTICIPANT: FrequentMessage = FrequentMessage {
    side_at: at!(AddOrderParticipant, side),
    shares_at: at!(AddOrderParticipant, shares),
    price_at: at!(AddOrderParticipant, price),
    // Not used, but there must be as many bytes.
    other_at: at!(AddOrderParticipant, participant) + 4 - 8,
    ..ADD
};

const CANCEL: FrequentMessage = FrequentMessage {
    template: SlotTemplate::event(action::CANCEL).of_32_bits(),
    side_max: Side::None as u8,
    shares_at: at!(OrderCancel, shares),
    ..NOTHING
};

const DELETE: FrequentMessage =
    FrequentMessage { template: SlotTemplate::event(action::CANCEL).of_the_rest(), shares_at: ANY_AT, ..CANCEL };

const EXECUTED: FrequentMessage = FrequentMessage {
    template: SlotTemplate::execution(rtype::EXECUTION, 0),
    side_max: Side::None as u8,
    shares_at: at!(OrderExecuted, shares),
    other_at: at!(OrderExecuted, match_id),
    ..NOTHING
};

const REPLACE: FrequentMessage = FrequentMessage {
    template: SlotTemplate::execution(rtype::REPLACE, 0),
    side_max: Side::None as u8,
    shares_at: at!(OrderReplace, shares),
    price_at: at!(OrderReplace, price),
    other_at: at!(OrderReplace, new_reference),
    ..PRICED
};

/// Its side byte is always `B` and says nothing.
const TRADE: FrequentMessage = FrequentMessage {
    template: SlotTemplate::execution(rtype::TRADE, conditions::HIDDEN),
    order_and: 0,
    side_max: Side::None as u8,
    shares_at: at!(Trade, shares),
    price_at: at!(Trade, price),
    other_at: at!(Trade, match_id),
    ..PRICED
};

/// By type byte.
const FREQUENT_MESSAGES: &[FrequentMessage; 256] = &{
    let mut messages = [NOTHING; 256];
    messages[AddOrder::KIND as usize] = ADD;
    messages[AddOrderParticipant::KIND as usize] = ADD_PARTICIPANT;
    messages[OrderCancel::KIND as usize] = CANCEL;
    messages[OrderDelete::KIND as usize] = DELETE;
    messages[OrderExecuted::KIND as usize] = EXECUTED;
    messages[OrderReplace::KIND as usize] = REPLACE;
    messages[Trade::KIND as usize] = TRADE;
    messages
};

const _: () = {
    assert!(offset_of!(AddOrder, reference) == offset_of!(OrderDelete, reference));
    assert!(offset_of!(AddOrderParticipant, reference) == offset_of!(OrderDelete, reference));
    assert!(offset_of!(OrderCancel, reference) == offset_of!(OrderDelete, reference));
    assert!(offset_of!(OrderExecuted, reference) == offset_of!(OrderDelete, reference));
    assert!(offset_of!(OrderReplace, reference) == offset_of!(OrderDelete, reference));
    assert!(offset_of!(Trade, reference) == offset_of!(OrderDelete, reference));
    // What is read of a message is there if and only if all of the message is.
    let mut kind = 0;
    while kind < 256 {
        let frequent = &FREQUENT_MESSAGES[kind];
        let ends = [frequent.side_at + 1, frequent.shares_at + 4, frequent.price_at + 4, frequent.other_at + 8];
        let is_whole = matches!(length_of(kind as u8), Some(length) if length == last_end(OrderDelete::LENGTH, &ends));
        assert!(frequent.side_max == NOT_FREQUENT || is_whole);
        kind += 1;
    }
};

/// Above all values of [`Side`].
const NO_SUCH_SIDE: u8 = u8::MAX;

/// Side by side byte; none by the type bytes of messages without one.
const SIDES: &[u8; 256] = &{
    let mut sides = [NO_SUCH_SIDE; 256];
    sides[BUY as usize] = Side::Bid as u8;
    sides[SELL as usize] = Side::Ask as u8;
    sides[OrderCancel::KIND as usize] = Side::None as u8;
    sides[OrderDelete::KIND as usize] = Side::None as u8;
    sides[OrderExecuted::KIND as usize] = Side::None as u8;
    sides[OrderReplace::KIND as usize] = Side::None as u8;
    sides[Trade::KIND as usize] = Side::None as u8;
    sides
};

const _: () = assert!((Side::Ask as u8) < Side::Bid as u8 && (Side::Bid as u8) < Side::None as u8);

/// A 4-byte price; cannot run over: 2^32 × 10^5 is less than 2^49.
#[inline]
fn price(price: U32) -> Price {
    Price(i64::from(price.get()) * unit_nanos(PRICE_DECIMALS))
}

/// A price whose absence is told as zero.
fn price_or_none(raw: U32) -> Price {
    if raw.get() == 0 { Price::NONE } else { price(raw) }
}
