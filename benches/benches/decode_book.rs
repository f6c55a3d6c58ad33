//! Question: how long does a message take from its bytes to the books?
//!
//! Input: generated streams (seed 1), 2,000,000 messages, 500 symbols, 100,000 live orders, in memory. Expects an
//! idle core; run with `cargo bench -p benches`. The answer of every run is compared with the generator's.

use std::time::{Duration, Instant};

use benches::generate::{Format, Plan, generate};
use benches::run::{decode, decode_book, market};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn benchmarks(criterion: &mut Criterion) {
    for format in [Format::Itch50, Format::Bistech] {
        let plan = Plan { format, seed: 1, messages: 2_000_000, symbols: 500, live_orders: 100_000 };
        let stream = generate(plan);
        let mut group = criterion.benchmark_group(format!("{format:?}"));
        group.sample_size(10).throughput(Throughput::Elements(stream.messages as u64));
        group.bench_function("decode", |bencher| {
            bencher.iter(|| assert_eq!(decode(&stream.bytes, format).0, stream.messages));
        });
        group.bench_function("decode_book", |bencher| {
            bencher.iter_custom(|runs| {
                let mut spent = Duration::ZERO;
                for _ in 0..runs {
                    let mut market = market(&stream, format);
                    let start = Instant::now();
                    let best = decode_book(&stream.bytes, format, &mut market, plan.symbols);
                    spent += start.elapsed();
                    assert_eq!(best, stream.best);
                }
                spent
            });
        });
        group.finish();
    }
}

criterion_group!(all, benchmarks);
criterion_main!(all);
