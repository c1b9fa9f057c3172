//! Signatures: the vectors of Wycheproof, our own of the known attacks on JWS, key sets, arbitrary bytes.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_in_result,
    clippy::unwrap_used,
    reason = "a test ends by panicking; clippy's own exception does not reach helpers of integration tests"
)]

mod arbitrary;
mod attacks;
mod key_sets;
mod wycheproof_ed25519;
