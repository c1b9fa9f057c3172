//! Rego modules on any text and any arguments.

#![no_main]

#[path = "../../decision/core/tests/fuzz/rego.rs"]
mod check;
#[path = "../../decision/core/tests/fuzz/decision.rs"]
#[allow(dead_code)]
mod decision;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| check::check(bytes));
