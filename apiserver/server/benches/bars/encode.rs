//! What is done once per write: the stored encoding, and reading it into the cache.

use std::hint::black_box;

use apiserver::cacher::Codec;
use futures::FutureExt;
use storage::{Record, Revision};

use crate::{
    fixture::{definition, object},
    measure::{Bar, cost, print},
};

const RUNS: usize = 21;
const PER_RUN: u32 = 1000;

pub(crate) fn run() {
    let object = object(0);
    measure("encode an object to store it", || {
        black_box(black_box(&object).encode_stored());
    });
    let codec = Codec::new(&definition());
    let record = Record {
        key: "/bench.example.com/records/default/record-000000".into(),
        value: object.encode_stored().into(),
        revision: Revision(1),
    };
    measure("read a stored object into the cache", || {
        let entry = codec.read(black_box(record.clone()));
        black_box(entry.expect("it was encoded just now"));
    });
    let entry = codec.read(record).expect("it was encoded just now");
    measure("write what a client gets", || {
        black_box(entry.served());
    });
}

fn measure(name: &str, run: impl Fn()) {
    let runs = (0..RUNS).map(|_| {
        let all = cost(async { (0..PER_RUN).for_each(|_| run()) });
        all.now_or_never().expect("nothing waits")
    });
    print(name, runs.collect(), PER_RUN, Bar::None);
}
