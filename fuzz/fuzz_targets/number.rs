//! Numbers on any text.

#![no_main]

#[path = "../../decision/core/tests/fuzz/number.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| check::check(bytes));
