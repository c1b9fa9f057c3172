//! Segments on any bytes: what was never written is never proven.

#![no_main]

#[path = "../../decision/core/tests/fuzz/segment.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| check::check(bytes));
