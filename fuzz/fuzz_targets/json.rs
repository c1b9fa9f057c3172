//! Strict JSON on any bytes.

#![no_main]

#[path = "../../decision/core/tests/fuzz/json.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| check::check(bytes));
