//! Every parser of bytes that a client chooses, against inputs made of good ones: parts are left out,
//! repeated, exchanged, put into each other and nested.
//!
//! An input may be refused, but not panic, overflow the stack of a worker thread, take long or make
//! more of itself than its size allows. `FUZZ_SECONDS` sets how long each target runs. It is a fuzzer
//! without knowledge of coverage, so that it needs the stable compiler only.

mod mutation;
mod targets;

use std::time::Duration;

use proptest::test_runner::{Config, TestError, TestRunner};
use tokio::time::Instant;

use self::mutation::inputs;

/// How long each target runs when nobody says otherwise.
const USUAL: Duration = Duration::from_millis(700);
/// How long one input may take in a build that is not optimised, on a machine that is busy.
const LONGEST: Duration = Duration::from_secs(5);
/// Inputs between two looks at the clock.
const ROUND: u32 = 32;

/// Runs a target on inputs made of `seeds` until the time is over.
fn fuzz(seeds: &'static [&'static str], target: impl Fn(&[u8])) {
    let seconds = std::env::var("FUZZ_SECONDS").ok();
    let seconds = seconds.and_then(|seconds| seconds.parse().ok());
    let duration = seconds.map_or(USUAL, Duration::from_secs);
    let inputs = inputs(seeds);
    let mut runner = TestRunner::new(Config {
        cases: ROUND,
        failure_persistence: None,
        ..Config::default()
    });
    for seed in seeds {
        target(seed.as_bytes());
    }
    let begin = Instant::now();
    while begin.elapsed() < duration {
        let round = runner.run(&inputs, |input| {
            let begin = Instant::now();
            target(&input);
            assert!(begin.elapsed() < LONGEST, "it took {:?}", begin.elapsed());
            Ok(())
        });
        if let Err(TestError::Fail(reason, input)) = round {
            panic!("{reason}\n{}", input.escape_ascii());
        }
    }
}
