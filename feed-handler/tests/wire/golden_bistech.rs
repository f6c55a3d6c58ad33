//! BISTECH messages written out byte by byte, and the slots they must become.

use book::slot::{QUANTITY_REST, System, View, action, conditions, flags, system};
use book::{Phase, Price, Slot};
use feed_handler::decode::bistech::{Decoder, length_of};
use feed_handler::decode::sink::{Received, Refused};

use crate::samples;

const SECOND: u64 = 1_740_000_000;
const EXCHANGE_NS: u64 = SECOND * 1_000_000_000 + 123_456_789;
const RECEIVED: Received = Received { received_ns: 5, sequence: 0x0001_0000_0002, channel_id: 3 };

/// A decoder that knows the second and book 70616 with three decimals.
fn ready() -> Decoder {
    let mut decoder = Decoder::new(8, None);
    for message in &samples::bistech()[..2] {
        decoder.decode(message, RECEIVED, &mut |_slot: Slot| {}).unwrap();
    }
    decoder
}

fn decode(decoder: &mut Decoder, message: &[u8]) -> Result<Vec<Slot>, Refused> {
    let mut slots = Vec::new();
    decoder.decode(message, RECEIVED, &mut |slot: Slot| slots.push(slot)).map(|()| slots)
}

/// Bytes from pairs of hex digits; blanks only help the eye.
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// The sample of a type, its bytes checked against `expected`, decoded.
#[track_caller]
fn golden(kind: u8, expected: &str) -> Vec<Slot> {
    let sample = samples::bistech().into_iter().find(|sample| sample[0] == kind).unwrap();
    assert_eq!(sample, hex(expected), "the layout writes other bytes");
    let slots = decode(&mut ready(), &sample).unwrap();
    for (at, slot) in slots.iter().enumerate() {
        let last = match slot.view() {
            View::Order(event) => event.flags & flags::LAST != 0,
            // No flags in this layout: it is always the only slot of its message.
            View::Execution(_) | View::Replace(_) | View::Trade(_) => slots.len() == 1,
            _ => slot.as_bytes()[2] & flags::LAST != 0,
        };
        assert_eq!(last, at + 1 == slots.len(), "LAST of slot {at}");
    }
    slots
}

/// Nanoseconds 123,456,789, book 70,616, and order 7,621,969,089,428,932,409 as they stand on the wire.
const NANOS: &str = "075BCD15";
const BOOK: &str = "000113D8";
const ORDER: &str = "69C6AC81006B4739";

#[test]
fn seconds_become_the_time() {
    let slots = golden(b'T', "54 67B64B00");
    assert_eq!(slots, [System::new(system::TIME, SECOND * 1_000_000_000, 5, 0, 0, 0).into()]);
}

#[test]
fn a_directory_becomes_four_slots() {
    let pad = |text: &str, bytes: usize| {
        let mut digits: String = text.bytes().map(|byte| format!("{byte:02X}")).collect();
        digits.push_str(&"20".repeat(bytes - text.len()));
        digits
    };
    let bytes = [
        "52",
        NANOS,
        BOOK,
        &pad("GARAN.E", 32),
        &pad("GARANTI BANKASI", 32),
        &pad("TRAGARAN91N1", 12),
        "05 545259 0003 0002 0000000B 00000001 00002710 0000000000000064",
        "02 000113D9 00003039 0135025F 0002 01 01",
    ];
    let slots = golden(b'R', &bytes.concat());
    let [first, second, third, fourth] = slots.as_slice() else { panic!("{slots:?}") };
    let View::Symbol(symbol) = first.view() else { panic!("{first:?}") };
    assert_eq!(&symbol.symbol[..8], b"GARAN.E ");
    assert_eq!((symbol.book_id, symbol.exchange_ns, symbol.received_ns, symbol.seq), (70_616, EXCHANGE_NS, 5, 0));
    let View::LongName(name) = second.view() else { panic!("{second:?}") };
    assert_eq!(&name.name[..16], b"GARANTI BANKASI ");
    let View::Terms(terms) = third.view() else { panic!("{third:?}") };
    assert_eq!((&terms.isin, &terms.currency, terms.product), (b"TRAGARAN91N1", b"TRY", 5));
    assert_eq!((terms.price_decimals, terms.legs, terms.option_type, terms.ranking_type), (3, 2, 1, 1));
    assert_eq!((terms.round_lot, terms.expiration, terms.underlying_book_id), (1, 20_251_231, 70_617));
    let View::Contract(contract) = fourth.view() else { panic!("{fourth:?}") };
    assert_eq!(contract.strike, 123_450_000_000, "12345 with two decimals");
    assert_eq!((contract.nominal, contract.nominal_decimals), (100, 2));
    assert_eq!((contract.odd_lot, contract.block_lot), (11, 10_000));
}

#[test]
fn a_leg_names_its_book_side_and_ratio() {
    let slots = golden(b'M', &["4D", NANOS, BOOK, "000113DA 43 00000003"].concat());
    let View::Leg(leg) = slots[0].view() else { panic!("{slots:?}") };
    assert_eq!((leg.book_id, leg.leg_book_id, leg.leg_side, leg.ratio), (70_616, 70_618, b'C', 3));
}

#[test]
fn a_tick_band_is_in_nano_units() {
    let bytes = ["4C", NANOS, BOOK, "000000000000000A 00015F90 0001ADB0"].concat();
    let slots = golden(b'L', &bytes);
    let View::TickBand(band) = slots[0].view() else { panic!("{slots:?}") };
    assert_eq!((band.tick, band.from, band.to), (10_000_000, 90_000_000_000, 110_000_000_000));
    assert_eq!(band.reference, Price::NONE.0);

    let open_end = hex(&bytes.replace("0001ADB0", "00000000"));
    let slots = decode(&mut ready(), &open_end).unwrap();
    let View::TickBand(band) = slots[0].view() else { panic!("{slots:?}") };
    assert_eq!(band.to, Price::NONE.0);

    let without_tick = hex(&bytes.replace("000000000000000A", "0000000000000000"));
    assert_eq!(decode(&mut ready(), &without_tick), Err(Refused::BadField { kind: b'L', field: "tick size" }));
    let huge_tick = hex(&bytes.replace("000000000000000A", "0FFFFFFFFFFFFFFF"));
    assert_eq!(decode(&mut ready(), &huge_tick), Err(Refused::BadField { kind: b'L', field: "tick size" }));
}

#[test]
fn a_short_sell_status_is_passed_on() {
    let slots = golden(b'V', &["56", NANOS, BOOK, "02"].concat());
    let View::ShortSell(short_sell) = slots[0].view() else { panic!("{slots:?}") };
    assert_eq!((short_sell.book_id, short_sell.status), (70_616, 2));
    let unknown = hex(&["56", NANOS, BOOK, "03"].concat());
    assert_eq!(decode(&mut ready(), &unknown), Err(Refused::BadField { kind: b'V', field: "short sell status" }));
}

#[test]
fn system_events_open_and_close_the_day() {
    let slots = golden(b'S', &["53", NANOS, "4F"].concat());
    assert_eq!(slots, [System::new(system::START_OF_MESSAGES, EXCHANGE_NS, 5, 0, 0, 0).into()]);
    let slots = decode(&mut ready(), &hex(&["53", NANOS, "43"].concat())).unwrap();
    assert_eq!(slots, [System::new(system::END_OF_MESSAGES, EXCHANGE_NS, 5, 0, 0, 0).into()]);
    let unknown = hex(&["53", NANOS, "58"].concat());
    assert_eq!(decode(&mut ready(), &unknown), Err(Refused::BadField { kind: b'S', field: "event code" }));
}

#[test]
fn a_state_keeps_its_name_and_gets_a_phase() {
    let slots = golden(b'O', &["4F", NANOS, BOOK, "505F535552454B4C495F49534C454D2020202020"].concat());
    let View::State(state) = slots[0].view() else { panic!("{slots:?}") };
    assert_eq!((state.phase(), state.name(), state.book_id), (Phase::Continuous, "P_SUREKLI_ISLEM", 70_616));
    let odd = hex(&["4F", NANOS, BOOK, "434F44452D333620202020202020202020202020"].concat());
    let slots = decode(&mut ready(), &odd).unwrap();
    let View::State(state) = slots[0].view() else { panic!("{slots:?}") };
    assert_eq!((state.phase(), state.name()), (Phase::Unknown, "CODE-36"));
}

#[test]
fn an_add_comes_after_its_ranking_time() {
    let bytes = ["41", NANOS, ORDER, BOOK, "53 0000002C 0000000500000006 00018B82 2000 02 1825B8C7F52E0007"].concat();
    let slots = golden(b'A', &bytes);
    let [rank, add] = slots.as_slice() else { panic!("{slots:?}") };
    let View::Rank(rank) = rank.view() else { panic!("{rank:?}") };
    assert_eq!((rank.rank_ns, rank.book_id, rank.side), (1_740_000_000_000_000_007, 70_616, b'A'));
    let View::Order(add) = add.view() else { panic!("{add:?}") };
    assert_eq!((add.action, add.side, add.book_id), (action::ADD, b'A', 70_616));
    assert_eq!((add.order_id, add.price), (7_621_969_089_428_932_409, 101_250_000_000));
    assert_eq!((add.quantity(), add.size, add.size_high), (0x0000_0005_0000_0006, 6, 5));
    assert_eq!((add.rank_sequence, add.exchange_ns, add.received_ns), (44, EXCHANGE_NS, 5));
    assert_eq!((add.sequence, add.channel_id), (2, 3), "the low half of the transport's number");

    let same_time = hex(&bytes.replace("1825B8C7F52E0007", "1825B8C7FC89CD15"));
    assert_eq!(decode(&mut ready(), &same_time).unwrap().len(), 1, "ranked by its exchange time");
    let no_time = hex(&bytes.replace("1825B8C7F52E0007", "0000000000000000"));
    assert_eq!(decode(&mut ready(), &no_time).unwrap().len(), 1, "no ranking time stated");
}

#[test]
fn an_early_add_has_a_position_and_no_rank() {
    let bytes = ["41", NANOS, ORDER, BOOK, "42 0000002C 0000000000000000 80000000 0000 02"].concat();
    let slots = decode(&mut ready(), &hex(&bytes)).unwrap();
    let [add] = slots.as_slice() else { panic!("{slots:?}") };
    let View::Order(add) = add.view() else { panic!("{add:?}") };
    assert_eq!(add.rank_sequence, 0, "44 is a position in the book, not a ranking sequence");
    assert_eq!(add.price, Price::NONE.0, "a market order");
    assert_eq!((add.quantity(), add.side), (0, b'B'), "undisclosed");
    let sideless = hex(&bytes.replace(" 42 ", " 20 ").replace("42 0000002C", "20 0000002C"));
    assert_eq!(decode(&mut ready(), &sideless), Err(Refused::BadField { kind: b'A', field: "side" }));
}

#[test]
fn an_add_with_participant_is_an_early_add() {
    let bytes = ["46", NANOS, ORDER, BOOK, "42 00000009 00000000000001F4 00018B78 0000 02 594B5220202020"].concat();
    let slots = golden(b'F', &bytes);
    let View::Order(add) = slots[0].view() else { panic!("{slots:?}") };
    assert_eq!((add.side, add.rank_sequence, add.quantity(), add.price), (b'B', 0, 500, 101_240_000_000));
}

#[test]
fn an_execution_is_at_the_price_of_its_order() {
    let bytes = ["45", NANOS, ORDER, BOOK, "53 0000000000000064 ABCDEF0123456789 00000005", &"00".repeat(14)].concat();
    let slots = golden(b'E', &bytes);
    let View::Execution(executed) = slots[0].view() else { panic!("{slots:?}") };
    assert_eq!((executed.order_id, executed.other_id), (7_621_969_089_428_932_409, 0xABCD_EF01_2345_6789));
    assert_eq!((executed.side, executed.quantity, executed.price), (b'A', 100, Price::NONE.0));
    assert_eq!((executed.conditions, executed.book_id, executed.exchange_ns), (0, 70_616, EXCHANGE_NS));
}

#[test]
fn an_execution_with_price_says_whether_it_counts() {
    let head = ["43", NANOS, ORDER, BOOK, "42 0000000000000065 0000000000000006 00000005", &"00".repeat(14)].concat();
    let slots = golden(b'C', &(head.clone() + "00018B8C 59 4E"));
    let View::Execution(executed) = slots[0].view() else { panic!("{slots:?}") };
    assert_eq!((executed.side, executed.quantity, executed.price), (b'B', 101, 101_260_000_000));
    assert_eq!(executed.conditions, conditions::CROSS | conditions::NON_PRINTABLE);
    let slots = decode(&mut ready(), &hex(&(head.clone() + "00018B8C 4E 59"))).unwrap();
    let View::Execution(executed) = slots[0].view() else { panic!("{slots:?}") };
    assert_eq!(executed.conditions, 0);
    let odd = decode(&mut ready(), &hex(&(head + "00018B8C 4E 00")));
    assert_eq!(odd, Err(Refused::BadField { kind: b'C', field: "printable" }));
}

#[test]
fn a_replace_keeps_the_id() {
    let bytes = ["55", NANOS, ORDER, BOOK, "42 00000003 00000000000000C8 00018B6E 0000"].concat();
    let slots = golden(b'U', &bytes);
    let View::Replace(replace) = slots[0].view() else { panic!("{slots:?}") };
    assert_eq!((replace.order_id, replace.other_id), (7_621_969_089_428_932_409, 7_621_969_089_428_932_409));
    assert_eq!((replace.side, replace.quantity, replace.price), (b'B', 200, 101_230_000_000));
}

#[test]
fn a_delete_takes_the_rest() {
    let slots = golden(b'D', &["44", NANOS, ORDER, BOOK, "53"].concat());
    let View::Order(cancel) = slots[0].view() else { panic!("{slots:?}") };
    assert_eq!((cancel.action, cancel.side), (action::CANCEL, b'A'));
    assert_eq!((cancel.order_id, cancel.quantity()), (7_621_969_089_428_932_409, QUANTITY_REST));
}

#[test]
fn a_flush_empties_the_book() {
    let slots = golden(b'Y', &["59", NANOS, BOOK].concat());
    let View::Order(clear) = slots[0].view() else { panic!("{slots:?}") };
    assert_eq!((clear.action, clear.book_id, clear.exchange_ns), (action::CLEAR, 70_616, EXCHANGE_NS));
}

#[test]
fn a_trade_has_its_fields_elsewhere() {
    let head = ["50", NANOS, "0000000000000008 00000005 20 000000000000012C", BOOK, "00018B96"].concat();
    let reserved = "00".repeat(14);
    let slots = golden(b'P', &[&head, reserved.as_str(), "59 4E"].concat());
    let View::Trade(trade) = slots[0].view() else { panic!("{slots:?}") };
    assert_eq!((trade.book_id, trade.order_id, trade.other_id), (70_616, 0, 8));
    assert_eq!((trade.quantity, trade.price), (300, 101_270_000_000));
    assert_eq!((trade.side, trade.conditions), (b'N', conditions::HIDDEN));

    let silent = hex(&[&head, reserved.as_str(), "4E 59"].concat());
    let slots = decode(&mut ready(), &silent).unwrap();
    let View::Trade(trade) = slots[0].view() else { panic!("{slots:?}") };
    assert_eq!(trade.conditions, conditions::HIDDEN | conditions::NON_PRINTABLE | conditions::CROSS);
}

#[test]
fn an_equilibrium_comes_with_the_best_prices() {
    let bytes = [
        "5A",
        NANOS,
        BOOK,
        "00000000000003E8 00000000000007D0 00018BA0 00018BAA 80000000 0000000000000BB8 0000000000000FA0",
    ];
    let slots = golden(b'Z', &bytes.concat());
    let [first, second] = slots.as_slice() else { panic!("{slots:?}") };
    let View::Equilibrium(equilibrium) = first.view() else { panic!("{first:?}") };
    assert_eq!((equilibrium.price, equilibrium.far_price), (101_280_000_000, Price::NONE.0));
    assert_eq!((equilibrium.bid_quantity, equilibrium.ask_quantity), (1_000, 2_000));
    let View::EquilibriumBest(best) = second.view() else { panic!("{second:?}") };
    assert_eq!((best.bid_price, best.ask_price), (101_290_000_000, Price::NONE.0));
    assert_eq!((best.bid_quantity, best.ask_quantity), (3_000, 4_000));
}

#[test]
fn every_type_is_sampled_and_as_long_as_it_says() {
    let kinds: Vec<u8> = samples::bistech().iter().map(|sample| sample[0]).collect();
    for kind in 0..=255 {
        assert_eq!(length_of(kind).is_some(), kinds.contains(&kind), "type {kind:#04x}");
    }
    for sample in samples::bistech() {
        assert_eq!(length_of(sample[0]), Some(sample.len()));
    }
}

#[test]
fn a_message_cut_anywhere_is_refused_and_a_longer_one_is_read() {
    for sample in samples::bistech() {
        let kind = sample[0];
        let shortest = match kind {
            b'R' => 113,
            b'A' => 37,
            _ => sample.len(),
        };
        for cut in 0..sample.len() {
            let outcome = decode(&mut ready(), &sample[..cut]);
            match cut {
                0 => assert_eq!(outcome, Err(Refused::Empty)),
                cut if cut < shortest => {
                    assert_eq!(outcome, Err(Refused::Short { kind, got: cut, need: shortest }));
                }
                _ => assert!(outcome.is_ok(), "{} of {cut} bytes", char::from(kind)),
            }
        }
        let longer = [sample.as_slice(), b"tail"].concat();
        assert_eq!(decode(&mut ready(), &longer), decode(&mut ready(), &sample), "{}", char::from(kind));
    }
}

#[test]
fn early_directories_lack_the_end_and_nothing_else() {
    let sample = &samples::bistech()[1];
    let whole = decode(&mut ready(), sample).unwrap();
    let of_2024 = decode(&mut ready(), &sample[..129]).unwrap();
    let of_2014 = decode(&mut ready(), &sample[..113]).unwrap();
    assert_eq!(whole[..2], of_2024[..2]);
    assert_eq!(whole[3], of_2024[3]);
    let (View::Terms(new), View::Terms(old)) = (whole[2].view(), of_2024[2].view()) else { panic!() };
    assert_eq!((new.ranking_type, old.ranking_type), (1, 0));
    assert_eq!((old.legs, old.option_type, old.expiration), (2, 1, 20_251_231));
    let (View::Terms(terms), View::Contract(contract)) = (of_2014[2].view(), of_2014[3].view()) else { panic!() };
    assert_eq!((terms.legs, terms.option_type, terms.expiration, terms.underlying_book_id), (0, 0, 0, 0));
    assert_eq!((terms.price_decimals, contract.nominal), (3, 100));
    assert_eq!(contract.strike, Price::NONE.0);
    assert_eq!(terms.product, 0, "the product numbers of 2014 are another list");
}

#[test]
fn without_a_second_everything_but_a_second_is_refused() {
    let mut decoder = ready();
    decoder.reset();
    for sample in &samples::bistech()[1..] {
        assert_eq!(decode(&mut decoder, sample), Err(Refused::NoTime { kind: sample[0] }));
    }
    for sample in &samples::bistech() {
        decode(&mut decoder, sample).unwrap();
    }
}

#[test]
fn prices_of_an_unknown_book_are_refused_and_the_rest_passes() {
    let samples = samples::bistech();
    let mut decoder = Decoder::new(8, None);
    decode(&mut decoder, &samples[0]).unwrap();
    for sample in &samples[2..] {
        let outcome = decode(&mut decoder, sample);
        if b"ACFLPUZ".contains(&sample[0]) {
            assert_eq!(outcome, Err(Refused::UnknownBook { book_id: 70_616 }));
        } else {
            assert!(outcome.is_ok(), "{}", char::from(sample[0]));
        }
    }
    let mut decoder = Decoder::new(8, Some(2));
    decode(&mut decoder, &samples[0]).unwrap();
    let slots = decode(&mut decoder, &samples[7]).unwrap();
    let View::Order(add) = slots[1].view() else { panic!("{slots:?}") };
    assert_eq!(add.price, 1_012_500_000_000, "101250 with the default of two decimals");
}

#[test]
fn decimals_that_cannot_be_read_are_refused_with_all_prices_of_the_book() {
    for (decimals, field) in [(256_u16, "price decimals: 1/256 fractions"), (10, "price decimals")] {
        let mut directory = samples::bistech().swap_remove(1);
        directory[89..91].copy_from_slice(&decimals.to_be_bytes());
        let mut decoder = Decoder::new(8, Some(2));
        decode(&mut decoder, &samples::bistech()[0]).unwrap();
        assert_eq!(decode(&mut decoder, &directory), Err(Refused::BadField { kind: b'R', field }));
        let add = &samples::bistech()[7];
        let refused = Err(Refused::BadField { kind: b'A', field: "price decimals" });
        assert_eq!(decode(&mut decoder, add), refused, "not with the default decimals");
        decode(&mut decoder, &samples::bistech()[1]).expect("announced again, readable this time");
        decode(&mut decoder, add).unwrap();
        assert_eq!((decoder.counters.decoded, decoder.counters.refused), (3, 2));
    }
}

#[test]
fn a_full_table_of_books_refuses_the_next_book_and_never_guesses() {
    let samples = samples::bistech();
    let mut decoder = Decoder::new(2, Some(3));
    decode(&mut decoder, &samples[0]).unwrap();
    let directory = |book_id: u32| {
        let mut directory = samples[1].clone();
        directory[5..9].copy_from_slice(&book_id.to_be_bytes());
        directory
    };
    decode(&mut decoder, &directory(0)).expect("0 is an id like any other");
    decode(&mut decoder, &directory(u32::MAX)).unwrap();
    decode(&mut decoder, &directory(0)).expect("announced again");
    assert_eq!(decode(&mut decoder, &directory(70_616)), Err(Refused::TooManyBooks { book_id: 70_616 }));
    assert_eq!(decode(&mut decoder, &samples[7]), Err(Refused::TooManyBooks { book_id: 70_616 }));
    assert_eq!((decoder.books(), decoder.counters.books_over), (2, 2));
    decoder.reset();
    decode(&mut decoder, &samples[0]).unwrap();
    decode(&mut decoder, &samples[1]).expect("room again in a new session");
}

#[test]
fn colliding_book_ids_keep_their_own_decimals() {
    let samples = samples::bistech();
    let mut decoder = Decoder::new(1_000, None);
    decode(&mut decoder, &samples[0]).unwrap();
    let ids = (0..1_000_u32).map(|at| at.wrapping_mul(0x0100_0000) ^ (at >> 8));
    let mut seen = std::collections::BTreeSet::new();
    for book_id in ids.clone().filter(|&id| seen.insert(id)) {
        let mut directory = samples[1].clone();
        directory[5..9].copy_from_slice(&book_id.to_be_bytes());
        directory[90] = (book_id % 7) as u8;
        decode(&mut decoder, &directory).unwrap();
    }
    for &book_id in &seen {
        let mut add = samples[7].clone();
        add[13..17].copy_from_slice(&book_id.to_be_bytes());
        let slots = decode(&mut decoder, &add).unwrap();
        let View::Order(add) = slots[1].view() else { panic!("{slots:?}") };
        assert_eq!(add.price, 101_250 * 10_i64.pow(9 - book_id % 7), "book {book_id}");
    }
}
