//! How fast adverts of others are passed over by ceremonies that wait for theirs.
#![allow(missing_docs, reason = "criterion's macros make undocumented items")]
#![allow(clippy::unwrap_used, reason = "a bench that cannot go on has failed")]

use core::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use handfast_proto::Now;
use handfast_proto::hybrid::advert::AdvertError;
use handfast_proto::hybrid::{ClientCeremony, ClientConfig};
use rand_core::{OsRng, RngCore};

const NOW: Now = Now {
    monotonic: Duration::ZERO,
    unix: 1_790_000_000,
};

fn adverts(count: usize) -> Vec<[u8; 20]> {
    let random = |_| {
        let mut advert = [0; 20];
        OsRng.fill_bytes(&mut advert);
        advert
    };
    (0..count).map(random).collect()
}

fn ceremonies(count: usize) -> Vec<ClientCeremony> {
    let start = |_| ClientCeremony::start(ClientConfig::default(), &mut OsRng, NOW);
    (0..count).map(start).collect()
}

/// The goals: under 1 µs for one advert at one ceremony, and under 50 ms, 5 % of a second, for the
/// adverts of a second at 16 ceremonies.
fn foreign(criterion: &mut Criterion) {
    let adverts = adverts(1000);
    criterion.bench_function("one foreign advert, one ceremony", |bencher| {
        let mut ceremony = ceremonies(1).remove(0);
        let mut next = adverts.iter().cycle();
        bencher.iter(|| {
            let heard = ceremony.handle_advert(next.next().unwrap(), NOW);
            assert_eq!(heard, Err(AdvertError::Tag));
        });
    });
    let mut group = criterion.benchmark_group("1,000 foreign adverts");
    group.throughput(Throughput::Elements(1000));
    group.bench_function("16 ceremonies", |bencher| {
        let mut ceremonies = ceremonies(16);
        bencher.iter(|| {
            for advert in &adverts {
                for ceremony in &mut ceremonies {
                    let heard = ceremony.handle_advert(advert, NOW);
                    assert_eq!(heard, Err(AdvertError::Tag));
                }
            }
        });
    });
    group.finish();
}

criterion_group!(benches, foreign);
criterion_main!(benches);
