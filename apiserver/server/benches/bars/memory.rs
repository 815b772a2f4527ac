//! What an object of 1 kB costs in memory: in the store and its log, in the cache and its ring.

use crate::{
    fixture::Fixture,
    measure::{Bar, print_row},
};

const OBJECTS: usize = 100_000;
/// Most bytes for each object.
const BAR: usize = 2500;

pub(crate) async fn run() {
    let before = resident_bytes();
    let fixture = Fixture::new(OBJECTS).await;
    let bytes = (resident_bytes() - before) / OBJECTS;
    print_row(
        "bytes in memory for an object",
        bytes,
        bytes,
        Bar::Below(BAR),
    );
    let stored = fixture.stored(0).await.value.len();
    print_row("of these, its stored encoding", stored, stored, Bar::None);
}

/// Memory of this process that is in use, in bytes.
fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux has it");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next());
    let kilobytes = kilobytes.and_then(|text| text.parse::<usize>().ok());
    kilobytes.expect("Linux tells it in kB") * 1024
}
