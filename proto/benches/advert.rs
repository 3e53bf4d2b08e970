//! How fast adverts of others are passed over.
#![allow(missing_docs, reason = "criterion's macros make undocumented items")]
#![allow(clippy::unwrap_used, reason = "a bench that cannot go on has failed")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use handfast_proto::hybrid::advert::open;
use handfast_proto::hybrid::keys::{EidKey, QrSecret};
use rand_core::{OsRng, RngCore};

fn adverts(count: usize) -> Vec<[u8; 20]> {
    let random = |_| {
        let mut advert = [0; 20];
        OsRng.fill_bytes(&mut advert);
        advert
    };
    (0..count).map(random).collect()
}

fn foreign(criterion: &mut Criterion) {
    let keys: Vec<EidKey> = (0..16)
        .map(|_| QrSecret::generate(&mut OsRng).eid_key())
        .collect();
    let adverts = adverts(1000);
    criterion.bench_function("one foreign advert, one ceremony", |bencher| {
        let mut next = adverts.iter().cycle();
        bencher.iter(|| open(&keys[0], next.next().unwrap()));
    });
    let mut group = criterion.benchmark_group("1,000 foreign adverts");
    group.throughput(Throughput::Elements(1000));
    group.bench_function("16 ceremonies", |bencher| {
        bencher.iter(|| {
            let heard = adverts
                .iter()
                .flat_map(|advert| keys.iter().map(|key| open(key, advert)));
            heard.filter(Result::is_ok).count()
        });
    });
}

criterion_group!(benches, foreign);
criterion_main!(benches);
