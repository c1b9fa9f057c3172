//! Resources as people write them.

#![no_main]

#[path = "../../crds/tests/fuzz/lowering.rs"]
mod check;
#[path = "../mutator.rs"]
mod mutator;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _bundles = check::check(bytes);
});
libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutator::mutate(data, size, max_size, seed)
});
