//! Flows across crates, on a real API server and a real ERP.

mod bed;
mod crds;
mod erp;
mod guards;
mod story;
mod kill;
