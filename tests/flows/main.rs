//! Flows across crates, on a real API server and a real ERP.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may panic"
)]

mod approvals;
mod bed;
mod chart;
mod cli;
mod crds;
mod erp;
mod eval;
mod feed;
mod guards;
mod identity;
mod kill;
mod leader;
mod network;
mod node;
mod pods;
mod shop;
mod statuses;
mod story;
mod trials;
mod webhook;
