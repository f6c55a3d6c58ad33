//! ITCH 5.0 messages as they stood in real recordings of 30 December 2019, and what they must become.

use book::slot::{QUANTITY_REST, View, action, conditions, flags, system};
use book::{Phase, Price, Slot};
use feed_handler::decode::itch50::{Decoder, length_of};
use feed_handler::decode::sink::{Received, Refused};

use crate::samples;

/// Midnight of 30 December 2019 in New York, 05:00 UTC.
const MIDNIGHT_NS: u64 = 1_577_682_000_000_000_000;
const RECEIVED: Received = Received { received_ns: 5, sequence: 9, channel_id: 3 };

fn decode(message: &[u8]) -> Result<Vec<Slot>, Refused> {
    let mut slots = Vec::new();
    let mut decoder = Decoder::new(MIDNIGHT_NS, 10_000);
    let outcome = decoder.decode(message, RECEIVED, &mut |slot: Slot| slots.push(slot));
    assert_eq!((decoder.counters.decoded, decoder.counters.refused), (outcome.is_ok().into(), outcome.is_err().into()));
    assert!(outcome.is_ok() || slots.is_empty(), "a refused message left something behind");
    outcome.map(|()| slots)
}

#[track_caller]
fn real(hex: &str) -> Vec<Slot> {
    let bytes: Vec<u8> =
        (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect();
    assert_eq!(length_of(bytes[0]), Some(bytes.len()));
    decode(&bytes).unwrap()
}

fn sample(kind: u8) -> Vec<u8> {
    samples::itch50().into_iter().find(|sample| sample[0] == kind).unwrap()
}

#[test]
fn a_real_add() {
    let slots = real("4120bd00001f1acedb597b0000000000970c7c42000000645649584d2020202000034134");
    let View::Order(add) = slots[0].view() else { panic!("{slots:?}") };
    assert_eq!((add.action, add.side, add.book_id), (action::ADD, b'B', 0x20BD));
    assert_eq!((add.order_id, add.quantity()), (0x0097_0C7C, 100));
    assert_eq!(add.price, 21_330_000_000, "21.3300");
    assert_eq!(add.exchange_ns, MIDNIGHT_NS + 0x1F1A_CEDB_597B, "34,200.000 s after midnight");
    assert_eq!((add.received_ns, add.sequence, add.channel_id, add.rank_sequence), (5, 9, 3, 0));
    assert_eq!((slots.len(), add.flags), (1, flags::LAST));
}

#[test]
fn a_real_add_with_participant() {
    let slots = real("46180400001f1acedb69630000000000729047420000006450474620202020200002cad8464c5447");
    let View::Order(add) = slots[0].view() else { panic!("{slots:?}") };
    assert_eq!((add.side, add.book_id, add.order_id), (b'B', 0x1804, 0x0072_9047));
    assert_eq!((add.quantity(), add.price), (100, 18_300_000_000));
}

#[test]
fn a_real_execution_names_no_side() {
    let slots = real("4506bb00021f1aced9fac8000000000077de3500000050000000000000d0e6");
    let View::Execution(executed) = slots[0].view() else { panic!("{slots:?}") };
    assert_eq!((executed.side, executed.book_id), (b'N', 0x06BB));
    assert_eq!((executed.order_id, executed.other_id), (0x0077_DE35, 0xD0E6));
    assert_eq!((executed.quantity, executed.price, executed.conditions), (80, Price::NONE.0, 0));
}

#[test]
fn a_real_execution_with_price() {
    let slots = real("430e5800011f1acee91efc000000000056961a00000036000000000000d0f84e00062b4c");
    let View::Execution(executed) = slots[0].view() else { panic!("{slots:?}") };
    assert_eq!((executed.order_id, executed.other_id, executed.quantity), (0x0056_961A, 0xD0F8, 54));
    assert_eq!((executed.price, executed.conditions), (40_430_000_000, conditions::NON_PRINTABLE));
}

#[test]
fn a_real_cancel_and_a_real_delete() {
    let slots = real("58025a00001f1aceecdb0c000000000077aefd000000c8");
    let View::Order(cancel) = slots[0].view() else { panic!("{slots:?}") };
    assert_eq!((cancel.action, cancel.side, cancel.quantity()), (action::CANCEL, b'N', 200));
    assert_eq!((cancel.order_id, cancel.book_id), (0x0077_AEFD, 0x025A));
    let slots = real("440be100001f1aced9f0e600000000004a07ee");
    let View::Order(delete) = slots[0].view() else { panic!("{slots:?}") };
    assert_eq!((delete.action, delete.quantity(), delete.order_id), (action::CANCEL, QUANTITY_REST, 0x004A_07EE));
}

#[test]
fn a_real_replace() {
    let slots = real("55115400001f1acedb555400000000005546720000000000569e5a000003e8001c758c");
    let View::Replace(replace) = slots[0].view() else { panic!("{slots:?}") };
    assert_eq!((replace.order_id, replace.other_id), (0x0055_4672, 0x0056_9E5A));
    assert_eq!((replace.quantity, replace.price, replace.side), (1_000, 186_510_000_000, b'N'));
}

#[test]
fn a_real_trade_against_a_hidden_order() {
    let slots = real("501a9f00021f1acee4939300000000000000004200000054524f4b5520202020001502e8000000000000d0ef");
    let View::Trade(trade) = slots[0].view() else { panic!("{slots:?}") };
    assert_eq!((trade.order_id, trade.other_id, trade.side), (0, 0xD0EF, b'N'));
    assert_eq!((trade.quantity, trade.price, trade.conditions), (84, 137_700_000_000, conditions::HIDDEN));
}

#[test]
fn a_real_cross_and_one_that_matched_nothing() {
    let hex = "510e5800021f1acee91efc0000000000001829484453202020202000062b4c000000000000d0f94f";
    let slots = real(hex);
    let View::Trade(cross) = slots[0].view() else { panic!("{slots:?}") };
    assert_eq!((cross.other_id, cross.quantity), (0xD0F9, 6_185));
    assert_eq!((cross.price, cross.conditions), (40_430_000_000, conditions::CROSS));
    assert_eq!(real(&hex.replace("0000000000001829", "0000000000000000")), []);
}

#[test]
fn a_broken_trade_names_the_match() {
    let slots = decode(&sample(b'B')).unwrap();
    let View::Trade(broken) = slots[0].view() else { panic!("{slots:?}") };
    assert_eq!((broken.other_id, broken.quantity, broken.price), (53_494, 0, Price::NONE.0));
    assert_eq!((broken.conditions, broken.book_id), (conditions::BROKEN, 7));
}

#[test]
fn a_real_imbalance() {
    let slots =
        real("4902cc00001f1acedbc7ec000000000000004f00000000000000004e424154524b2020200004856c0004856c0004856c4f4c");
    let [first, second] = slots.as_slice() else { panic!("{slots:?}") };
    let View::Equilibrium(equilibrium) = first.view() else { panic!("{first:?}") };
    assert_eq!((equilibrium.price, equilibrium.far_price), (29_630_000_000, 29_630_000_000));
    assert_eq!((equilibrium.bid_quantity, equilibrium.ask_quantity, equilibrium.flags), (79, 79, 0));
    let View::EquilibriumBest(best) = second.view() else { panic!("{second:?}") };
    assert_eq!((best.bid_price, best.ask_price, best.flags), (Price::NONE.0, Price::NONE.0, flags::LAST));
}

#[test]
fn an_imbalance_counts_on_its_side_and_zero_is_no_price() {
    let message = sample(b'I');
    let slots = decode(&message).unwrap();
    let View::Equilibrium(equilibrium) = slots[0].view() else { panic!("{slots:?}") };
    assert_eq!((equilibrium.bid_quantity, equilibrium.ask_quantity), (1_000, 1_079), "79 more to sell");
    assert_eq!((equilibrium.price, equilibrium.far_price), (29_640_000_000, Price::NONE.0));
    let mut bids = message.clone();
    bids[27] = b'B';
    let slots = decode(&bids).unwrap();
    let View::Equilibrium(equilibrium) = slots[0].view() else { panic!("{slots:?}") };
    assert_eq!((equilibrium.bid_quantity, equilibrium.ask_quantity), (1_079, 1_000));
    let mut overflow = message.clone();
    overflow[11..27].fill(0xFF);
    assert_eq!(decode(&overflow), Err(Refused::BadField { kind: b'I', field: "imbalance shares" }));
    let mut nowhere = message;
    nowhere[27] = b'?';
    assert_eq!(decode(&nowhere), Err(Refused::BadField { kind: b'I', field: "imbalance direction" }));
}

#[test]
fn a_real_directory() {
    let slots = real("52000100000a53a288705841202020202020204e20000000644e435a20504e20314e000000004e");
    let [first, _name, third, fourth] = slots.as_slice() else { panic!("{slots:?}") };
    let View::Symbol(symbol) = first.view() else { panic!("{first:?}") };
    assert_eq!((&symbol.symbol, symbol.book_id), (b"A                               ", 1));
    let View::Terms(terms) = third.view() else { panic!("{third:?}") };
    assert_eq!((terms.price_decimals, terms.round_lot, &terms.currency), (4, 100, b"USD"));
    let View::Contract(contract) = fourth.view() else { panic!("{fourth:?}") };
    assert_eq!((contract.strike, contract.flags), (Price::NONE.0, flags::LAST));
}

#[test]
fn trading_actions_are_states() {
    let real_action = real("48000100000a53a2ba7f6d4120202020202020542020202020");
    let View::State(state) = real_action[0].view() else { panic!("{real_action:?}") };
    assert_eq!((state.phase(), state.name(), state.book_id), (Phase::Continuous, "T", 1));
    for (letter, phase, name) in
        [(b'H', Phase::Halt, "H T1"), (b'P', Phase::Halt, "P T1"), (b'Q', Phase::VolatilityAuction, "Q T1")]
    {
        let mut message = sample(b'H');
        message[19] = letter;
        let slots = decode(&message).unwrap();
        let View::State(state) = slots[0].view() else { panic!("{slots:?}") };
        assert_eq!((state.phase(), state.name()), (phase, name));
    }
    let mut unknown = sample(b'H');
    unknown[19] = b'Z';
    assert_eq!(decode(&unknown), Err(Refused::BadField { kind: b'H', field: "trading state" }));
}

#[test]
fn system_events_open_and_close_the_day() {
    let slots = real("53000000000a11ea0e8c434f");
    let View::System(start) = slots[0].view() else { panic!("{slots:?}") };
    assert_eq!((start.code, start.exchange_ns), (system::START_OF_MESSAGES, MIDNIGHT_NS + 0x0A11_EA0E_8C43));
    assert_eq!(real("53000000001f1acedb172e51"), [], "market hours");
    let mut end = sample(b'S');
    end[11] = b'C';
    let slots = decode(&end).unwrap();
    let View::System(end) = slots[0].view() else { panic!("{slots:?}") };
    assert_eq!(end.code, system::END_OF_MESSAGES);
}

#[test]
fn types_without_a_use_are_accepted_without_a_slot() {
    for kind in *b"YLVWKJhNO" {
        assert_eq!(decode(&sample(kind)), Ok(Vec::new()), "{}", char::from(kind));
    }
}

#[test]
fn every_type_is_sampled_and_as_long_as_it_says() {
    let kinds: Vec<u8> = samples::itch50().iter().map(|sample| sample[0]).collect();
    for kind in 0..=255 {
        assert_eq!(length_of(kind).is_some(), kinds.contains(&kind), "type {kind:#04x}");
    }
    for sample in samples::itch50() {
        assert_eq!(length_of(sample[0]), Some(sample.len()));
    }
}

#[test]
fn a_message_cut_anywhere_is_refused_and_a_longer_one_is_read() {
    assert_eq!(decode(b""), Err(Refused::Empty));
    assert_eq!(decode(b"Z"), Err(Refused::UnknownType(b'Z')));
    assert_eq!(decode(&[b'Z'; 99]), Err(Refused::UnknownType(b'Z')));
    for sample in samples::itch50() {
        for cut in 1..sample.len() {
            let short = Refused::Short { kind: sample[0], got: cut, need: sample.len() };
            assert_eq!(decode(&sample[..cut]), Err(short));
        }
        let longer = [sample.as_slice(), b"tail"].concat();
        assert_eq!(decode(&longer), decode(&sample));
    }
}

#[test]
fn a_side_is_one_of_two_bytes() {
    for kind in *b"AF" {
        for byte in 0..=255 {
            let mut message = sample(kind);
            message[19] = byte;
            let side = match decode(&message) {
                Ok(slots) => match slots[0].view() {
                    View::Order(add) => Some(add.side),
                    other => panic!("{other:?}"),
                },
                Err(refused) => {
                    assert_eq!(refused, Refused::BadField { kind, field: "side" });
                    None
                }
            };
            let expected = match byte {
                b'B' => Some(b'B'),
                b'S' => Some(b'A'),
                _ => None,
            };
            assert_eq!(side, expected, "{} with side {byte:#04x}", char::from(kind));
        }
    }
}

#[test]
fn no_length_makes_another_type_of_a_message() {
    for kind in 0..=255 {
        let message = [&[kind, 0, 1][..], &[b'B'; 70_000]].concat();
        if length_of(kind).is_none() {
            assert_eq!(decode(&message), Err(Refused::UnknownType(kind)));
        }
    }
    for sample in samples::itch50() {
        assert_eq!(decode(&[sample.as_slice(), &[0; 70_000]].concat()), decode(&sample));
    }
}

#[test]
fn a_locate_above_the_bound_is_refused() {
    let mut decoder = Decoder::new(MIDNIGHT_NS, 6);
    let outcome = decoder.decode(&sample(b'A'), RECEIVED, &mut |_slot: Slot| panic!("refused means nothing"));
    assert_eq!(outcome, Err(Refused::TooManyBooks { book_id: 7 }));
    let mut decoder = Decoder::new(MIDNIGHT_NS, 7);
    assert_eq!(decoder.decode(&sample(b'A'), RECEIVED, &mut |_slot: Slot| {}), Ok(()));
}
