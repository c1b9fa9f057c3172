//! Property tests whose seed is printed, and can be asked for again.

use std::hash::{BuildHasher, RandomState};
use std::io::Write as _;
use std::thread;

use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, RngSeed, TestRunner};

/// Runs `test` on so many generated cases and returns the seed: another one every time, unless `PROPTEST_RNG_SEED` asks
/// for one again. A failure panics with the seed and the smallest case.
pub fn run<S: Strategy>(cases: u32, strategy: &S, test: impl Fn(S::Value) -> Result<(), TestCaseError>) -> u64 {
    let seed = match ProptestConfig::default().rng_seed {
        RngSeed::Fixed(seed) => seed,
        RngSeed::Random => RandomState::new().hash_one(0),
    };
    // Not by a macro of the standard library: what those print of a test that passes is not shown.
    let test_name = thread::current().name().unwrap_or_default().to_owned();
    let _ = writeln!(std::io::stderr(), "{test_name}: PROPTEST_RNG_SEED={seed}");
    let config = ProptestConfig {
        cases,
        rng_seed: RngSeed::Fixed(seed),
        // A bundle with its calls takes thousands of generators, each with a generator of numbers of its own.
        rng_algorithm: RngAlgorithm::XorShift,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    if let Err(failure) = TestRunner::new(config).run(strategy, test) {
        panic!("PROPTEST_RNG_SEED={seed}: {failure}");
    }
    seed
}
