//! The targets as tests.

use std::{path::Path, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use proptest::test_runner::{Config, TestError, TestRunner};
use tokio::time::Instant;

use super::mutation::inputs;

/// How long each target gets new inputs.
const USUAL: Duration = Duration::from_millis(700);
/// How long one input may take in a build that is not optimised, on a machine that is busy.
const LONGEST: Duration = Duration::from_secs(5);
/// Inputs between two looks at the clock.
const ROUND: u32 = 32;

/// Runs a target on its kept corpus, and on inputs made of `seeds` until the time is over.
pub(super) fn fuzz(name: &str, seeds: &'static [&'static str], target: impl Fn(&[u8])) {
    let timed = |input: &[u8]| {
        let begin = Instant::now();
        target(input);
        let took = begin.elapsed();
        assert!(took < LONGEST, "it took {took:?}: {}", input.escape_ascii());
    };
    for seed in seeds {
        timed(seed.as_bytes());
    }
    for input in corpus(name) {
        timed(&input);
    }
    let inputs = inputs(seeds);
    let mut runner = TestRunner::new(Config {
        cases: ROUND,
        failure_persistence: None,
        ..Config::default()
    });
    let begin = Instant::now();
    while begin.elapsed() < USUAL {
        let round = runner.run(&inputs, |input| {
            timed(&input);
            Ok(())
        });
        if let Err(TestError::Fail(reason, input)) = round {
            panic!("{reason}\n{}", input.escape_ascii());
        }
    }
}

/// What libFuzzer found worth keeping: an input in base64 on each line.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let path = path.join(name).with_extension("txt");
    let text = std::fs::read_to_string(&path);
    let text = text.unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let inputs: Vec<_> = text
        .lines()
        .map(|line| STANDARD.decode(line).unwrap())
        .collect();
    assert!(!inputs.is_empty(), "{} is empty", path.display());
    inputs
}
