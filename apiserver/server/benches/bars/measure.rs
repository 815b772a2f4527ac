//! Processor time, and how it is told.

use std::{fmt, time::Duration};

use nix::time::{ClockId, clock_gettime};

/// What a measurement may cost at most.
pub(crate) enum Bar<T> {
    Below(T),
    /// It is only told.
    None,
}

/// Processor time of the calling thread.
fn cpu_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)
        .expect("every Linux has this clock")
        .into()
}

/// What a run costs in processor time.
pub(crate) async fn cost(run: impl Future<Output = ()>) -> Duration {
    let before = cpu_time();
    run.await;
    cpu_time().saturating_sub(before)
}

pub(crate) fn print_head() {
    println!("{:<52} {:>12} {:>12} {:>12}", "", "least", "median", "bar");
}

/// Prints the least and the median of some runs, each divided by `parts`.
pub(crate) fn print(name: &str, mut runs: Vec<Duration>, parts: u32, bar: Bar<Duration>) {
    runs.sort_unstable();
    let least = runs.first().copied().unwrap_or_default() / parts;
    let median = runs.get(runs.len() / 2).copied().unwrap_or_default() / parts;
    print_row(name, least, median, bar);
}

pub(crate) fn print_row<T: fmt::Debug + PartialOrd>(name: &str, least: T, median: T, bar: Bar<T>) {
    let bar = match bar {
        Bar::None => String::new(),
        Bar::Below(most) if median < most => format!("{most:?}"),
        Bar::Below(most) => format!("{most:?} missed"),
    };
    let (least, median) = (format!("{least:.2?}"), format!("{median:.2?}"));
    println!("{name:<52} {least:>12} {median:>12} {bar:>12}");
}
