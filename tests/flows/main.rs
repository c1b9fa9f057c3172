//! Flows across crates, on a real API server and a real ERP.

mod approvals;
mod bed;
mod cli;
mod crds;
mod erp;
mod eval;
mod feed;
mod guards;
mod identity;
mod kill;
mod shop;
mod story;
