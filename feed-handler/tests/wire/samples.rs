//! One message of every type with a different value in every field, written by filling the layout structs.

use feed_handler::wire::layout::{Message, alpha, bistech_2112 as bistech, itch_5_0 as itch};
use zerocopy::{Immutable, IntoBytes};

fn bytes(message: impl Message + IntoBytes + Immutable) -> Vec<u8> {
    message.as_bytes().to_vec()
}

/// BISTECH messages in the order in which a decoder accepts all of them: `T` and `R` first.
pub fn bistech() -> Vec<Vec<u8>> {
    let (nanos, book_id, order_id) = (123_456_789.into(), 70_616.into(), 7_621_969_089_428_932_409.into());
    vec![
        bytes(bistech::Seconds { second: 1_740_000_000.into(), ..Default::default() }),
        bytes(bistech::OrderBookDirectory {
            nanos,
            book_id,
            symbol: alpha("GARAN.E"),
            long_name: alpha("GARANTI BANKASI"),
            isin: alpha("TRAGARAN91N1"),
            financial_product: 5,
            currency: *b"TRY",
            price_decimals: 3.into(),
            nominal_decimals: 2.into(),
            odd_lot: 11.into(),
            round_lot: 1.into(),
            block_lot: 10_000.into(),
            nominal: 100.into(),
            legs: 2,
            underlying_book_id: 70_617.into(),
            strike: 12_345.into(),
            expiration: 20_251_231.into(),
            strike_decimals: 2.into(),
            option_type: 1,
            ranking_type: 1,
            ..Default::default()
        }),
        bytes(bistech::CombinationLeg {
            nanos,
            book_id,
            leg_book_id: 70_618.into(),
            leg_side: b'C',
            ratio: 3.into(),
            ..Default::default()
        }),
        bytes(bistech::TickSize {
            nanos,
            book_id,
            tick: 10.into(),
            price_from: 90_000.into(),
            price_to: 110_000.into(),
            ..Default::default()
        }),
        bytes(bistech::ShortSellStatus { nanos, book_id, status: 2, ..Default::default() }),
        bytes(bistech::SystemEvent { nanos, code: b'O', ..Default::default() }),
        bytes(bistech::OrderBookState { nanos, book_id, state: alpha("P_SUREKLI_ISLEM"), ..Default::default() }),
        bytes(bistech::AddOrder {
            nanos,
            order_id,
            book_id,
            side: bistech::SELL,
            ranking_sequence: 44.into(),
            quantity: 0x0000_0005_0000_0006.into(),
            price: 101_250.into(),
            attributes: 0x2000.into(),
            lot_type: 2,
            ranking_ns: 1_740_000_000_000_000_007.into(),
            ..Default::default()
        }),
        bytes(bistech::AddOrderParticipant {
            nanos,
            order_id,
            book_id,
            side: bistech::BUY,
            position: 9.into(),
            quantity: 500.into(),
            price: 101_240.into(),
            lot_type: 2,
            participant: alpha("YKR"),
            ..Default::default()
        }),
        bytes(bistech::OrderExecuted {
            nanos,
            order_id,
            book_id,
            side: bistech::SELL,
            quantity: 100.into(),
            match_id: 0xABCD_EF01_2345_6789.into(),
            combo_group_id: 5.into(),
            ..Default::default()
        }),
        bytes(bistech::OrderExecutedPrice {
            nanos,
            order_id,
            book_id,
            side: bistech::BUY,
            quantity: 101.into(),
            match_id: 6.into(),
            combo_group_id: 5.into(),
            price: 101_260.into(),
            cross: b'Y',
            printable: b'N',
            ..Default::default()
        }),
        bytes(bistech::OrderReplace {
            nanos,
            order_id,
            book_id,
            side: bistech::BUY,
            position: 3.into(),
            quantity: 200.into(),
            price: 101_230.into(),
            ..Default::default()
        }),
        bytes(bistech::OrderDelete { nanos, order_id, book_id, side: bistech::SELL, ..Default::default() }),
        bytes(bistech::OrderBookFlush { nanos, book_id, ..Default::default() }),
        bytes(bistech::Trade {
            nanos,
            match_id: 8.into(),
            combo_group_id: 5.into(),
            side: b' ',
            quantity: 300.into(),
            book_id,
            price: 101_270.into(),
            printable: b'Y',
            cross: b'N',
            ..Default::default()
        }),
        bytes(bistech::EquilibriumPrice {
            nanos,
            book_id,
            bid_quantity: 1_000.into(),
            ask_quantity: 2_000.into(),
            price: 101_280.into(),
            best_bid: 101_290.into(),
            best_ask: bistech::NO_PRICE.into(),
            best_bid_quantity: 3_000.into(),
            best_ask_quantity: 4_000.into(),
            ..Default::default()
        }),
    ]
}

/// ITCH 5.0 messages of every type.
pub fn itch50() -> Vec<Vec<u8>> {
    let (locate, time) = (7.into(), itch::TrackedNanos::new(0xBEEF, 34_200_000_000_123));
    let (reference, match_id, stock) = (0x0102_0304_0506_0708.into(), 53_494.into(), alpha("GOOG"));
    vec![
        bytes(itch::SystemEvent { locate: 0.into(), time, code: b'O', ..Default::default() }),
        bytes(itch::StockDirectory {
            locate,
            time,
            stock,
            market_category: b'Q',
            financial_status: b'N',
            round_lot: 100.into(),
            round_lots_only: b'N',
            classification: b'C',
            subtype: *b"Z ",
            authenticity: b'P',
            short_sale_threshold: b'N',
            ipo: b' ',
            luld_tier: b'1',
            etp: b'N',
            leverage: 0.into(),
            inverse: b'N',
            ..Default::default()
        }),
        bytes(itch::TradingAction { locate, time, stock, state: b'H', reason: alpha("T1"), ..Default::default() }),
        bytes(itch::RegSho { locate, time, stock, action: b'0', ..Default::default() }),
        bytes(itch::ParticipantPosition {
            locate,
            time,
            participant: alpha("LEHM"),
            stock,
            primary: b'Y',
            mode: b'N',
            state: b'A',
            ..Default::default()
        }),
        bytes(itch::BreakerLevels {
            time,
            level_1: 1.into(),
            level_2: 2.into(),
            level_3: 3.into(),
            ..Default::default()
        }),
        bytes(itch::BreakerStatus { time, level: b'1', ..Default::default() }),
        bytes(itch::IpoQuoting {
            locate,
            time,
            stock,
            release_seconds: 36_000.into(),
            qualifier: b'A',
            price: 170_000.into(),
            ..Default::default()
        }),
        bytes(itch::AuctionCollar {
            locate,
            time,
            stock,
            reference: 10.into(),
            upper: 11.into(),
            lower: 9.into(),
            extension: 1.into(),
            ..Default::default()
        }),
        bytes(itch::OperationalHalt { locate, time, stock, market: b'Q', action: b'H', ..Default::default() }),
        bytes(itch::AddOrder {
            locate,
            time,
            reference,
            side: itch::SELL,
            shares: 0xFFFF_FFFE.into(),
            stock,
            price: 5_795_000.into(),
            ..Default::default()
        }),
        bytes(itch::AddOrderParticipant {
            locate,
            time,
            reference,
            side: itch::BUY,
            shares: 200.into(),
            stock,
            price: 5_794_900.into(),
            participant: *b"FLTG",
            ..Default::default()
        }),
        bytes(itch::OrderExecuted { locate, time, reference, shares: 50.into(), match_id, ..Default::default() }),
        bytes(itch::OrderExecutedPrice {
            locate,
            time,
            reference,
            shares: 54.into(),
            match_id,
            printable: b'N',
            price: 404_300.into(),
            ..Default::default()
        }),
        bytes(itch::OrderCancel { locate, time, reference, shares: 20.into(), ..Default::default() }),
        bytes(itch::OrderDelete { locate, time, reference, ..Default::default() }),
        bytes(itch::OrderReplace {
            locate,
            time,
            reference,
            new_reference: 99.into(),
            shares: 1_000.into(),
            price: 1_865_100.into(),
            ..Default::default()
        }),
        bytes(itch::Trade {
            locate,
            time,
            side: itch::BUY,
            shares: 66.into(),
            stock,
            price: 1_377_000.into(),
            match_id,
            ..Default::default()
        }),
        bytes(itch::CrossTrade {
            locate,
            time,
            shares: 6_185.into(),
            stock,
            price: 404_300.into(),
            match_id,
            cross_type: b'O',
            ..Default::default()
        }),
        bytes(itch::BrokenTrade { locate, time, match_id, ..Default::default() }),
        bytes(itch::Imbalance {
            locate,
            time,
            paired: 1_000.into(),
            imbalance: 79.into(),
            direction: b'S',
            stock,
            far_price: 0.into(),
            near_price: 296_300.into(),
            reference_price: 296_400.into(),
            cross_type: b'O',
            variation: b'L',
            ..Default::default()
        }),
        bytes(itch::RetailInterest { locate, time, stock, flag: b'A', ..Default::default() }),
        bytes(itch::DirectListing {
            locate,
            time,
            stock,
            eligible: b'Y',
            minimum: 1.into(),
            maximum: 2.into(),
            near_price: 3.into(),
            near_nanos: 4.into(),
            lower: 5.into(),
            upper: 6.into(),
            ..Default::default()
        }),
    ]
}
