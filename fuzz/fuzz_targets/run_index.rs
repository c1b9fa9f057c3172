//! The memory of runs on any sequence of events.

#![no_main]

#[path = "../../decision/core/tests/fuzz/run_index.rs"]
mod check;
#[path = "../mutator.rs"]
mod mutator;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| check::check(bytes));
libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutator::mutate(data, size, max_size, seed)
});
