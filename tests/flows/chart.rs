//! The Helm chart, with the real Helm: what it renders, what it refuses, and what becomes of a real API server by install, upgrade, rollback and uninstall. No pods run
//! here; a test that needs a Job done does the Job.

// All of this is test code, but clippy spares only functions that are marked as tests.
#![allow(clippy::indexing_slicing, clippy::panic, clippy::expect_used, clippy::unwrap_used)]

mod golden;
mod install;
mod lifecycle;
mod rendered;
mod rights;
mod values;
