//! Changes for targets whose input is a document: most of them keep it one (`mutate.rs`), the rest are libFuzzer's own.

#[path = "../decision/core/tests/fuzz/mutate.rs"]
#[allow(dead_code, reason = "libFuzzer changes bytes itself")]
mod mutate;

use mutate::Numbers;

/// Changes `data[..size]` in place; gives the new size.
pub fn mutate(data: &mut [u8], size: usize, max_size: usize, seed: u32) -> usize {
    let mut numbers = Numbers(seed.into());
    if numbers.below(4) > 0
        && let Some(changed) = mutate::document(&data[..size], &mut numbers)
        && changed.len() <= max_size
    {
        data[..changed.len()].copy_from_slice(&changed);
        return changed.len();
    }
    libfuzzer_sys::fuzzer_mutate(data, size, max_size)
}
