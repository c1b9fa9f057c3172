//! From requests to calls: what is named, what is refused and how, what is sent, and which declarations are refused.

// Helpers of tests may panic as tests do; the lints' own exceptions cover test functions only.
#![allow(
    clippy::expect_used,
    clippy::float_cmp,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    clippy::panic,
    clippy::result_large_err,
    clippy::unwrap_in_result,
    clippy::unwrap_used
)]

mod declarations;
mod facts;
mod fixture;
mod hostile;
mod named;
mod round_trip;
