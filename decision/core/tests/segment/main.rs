//! Records and segments: what an honest file proves, and that no change to one goes unseen.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_in_result,
    clippy::unwrap_used,
    reason = "a test ends by panicking; clippy's own exception does not reach helpers of integration tests"
)]

mod arbitrary;
mod honest;
mod mutations;
mod records;
mod sample;
