//! One day twice: with a steady wall clock, and with one that jumps by hours, days and leap seconds.

use book::Now;
use feed_handler::feed::LiveOptions;
use feed_handler::recovery::sequencer::SequencerConfig;

use super::plan::STALE_NS;
use super::platform::{Bounds, Plant, Platform};
use super::venue::{Speech, Venue};
use super::{MS, SECOND};

const START_NS: u64 = 1_795_417_200 * SECOND;
/// Jumps of the wall clock, seconds: an hour and a day both ways, a leap second, a step of NTP.
const JUMPS_S: [i64; 8] = [3_600, -7_200, 86_400, -86_400, 1, -1, -86_400, 3_600];

/// What each reader has after a step, and what the feed said of itself.
fn seen(platform: &Platform) -> String {
    let mut seen = format!("{} {} {}", platform.metrics.is_stale(), platform.metrics.gaps(), platform.out.epoch());
    for reader in platform.readers.iter().filter(|reader| reader.is_prompt) {
        let replica = &reader.replica;
        seen += &format!("\n{} {} {} {}", reader.name, replica.epoch, replica.seq, replica.stale);
        for view in replica.books() {
            let (bids, asks) = (view.bids.iter().collect::<Vec<_>>(), view.asks.iter().collect::<Vec<_>>());
            seen += &format!("\n{} {:?} {bids:?} {asks:?} {:?}", view.book_id.0, view.doubt, view.closed_candles);
        }
    }
    seen
}

fn day(jumps_s: &[i64]) -> Vec<String> {
    let options = LiveOptions { sequencer: SequencerConfig::default(), stale_ns: STALE_NS, ..LiveOptions::default() };
    let bounds = Bounds { books_max: 16, orders_max: 20_000 };
    let mut venue = Venue::new(Speech::Bistech, 7, 1, 4, START_NS);
    let mut now = Now { monotonic_ns: START_NS, wall_ns: START_NS };
    let mut platform = Platform::start(now, 7, Speech::Bistech, &options, bounds, Plant::Nothing);
    let mut history = Vec::new();
    for step in 0..1_200_u64 {
        now.monotonic_ns += 10 * MS;
        now.wall_ns += 10 * MS;
        if let Some(&jump_s) = jumps_s.get(step as usize / 100).filter(|_| step % 100 == 50) {
            now.wall_ns = now.wall_ns.saturating_add_signed(jump_s * SECOND as i64);
        }
        // A packet lost in each second, and all of the line from the sixth to the ninth.
        for (at, datagram) in venue.take_due(now.monotonic_ns).into_iter().enumerate() {
            let is_lost = (600..900).contains(&step) || (step % 100 == 20 && at == 0);
            if !is_lost {
                platform.take(now, 0, &datagram, |_| {});
            }
        }
        platform.idle(now, |_| {});
        history.push(seen(&platform));
    }
    history
}

#[test]
fn f13_a_wall_clock_that_jumps_changes_no_number_no_timer_and_no_candle() {
    let (steady, jumping) = (day(&[]), day(&JUMPS_S));
    for (step, (steady, jumping)) in steady.iter().zip(&jumping).enumerate() {
        assert_eq!(steady, jumping, "step {step}");
    }
    let told = |text: &str| steady.iter().filter(|seen| seen.starts_with(text)).count();
    // The line's last packet may be some steps old when its silence begins.
    assert!((100..120).contains(&told("true")), "stale from two seconds of silence to its end");
    assert!(steady.last().is_some_and(|seen| seen.contains("Gap") && seen.contains("Candle {")), "it had all of them");
}
