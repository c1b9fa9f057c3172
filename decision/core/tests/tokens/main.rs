//! Everything that the control service signs: agent tokens, attestations, the feed, releases and receipts.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_in_result,
    clippy::unwrap_used,
    reason = "a test ends by panicking; clippy's own exception does not reach helpers of integration tests"
)]

mod agent;
mod feed;
mod release;
