//! Rules of the house that no compiler checks: who may know whom, and what every file owes its reader.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may panic"
)]

mod bounds;
mod chart;
mod docs;
mod figures;
mod gate;
mod gitops;
mod layers;
mod tidy;

use std::path::{Path, PathBuf};

/// The workspace's folder.
fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests are a member of the workspace").to_path_buf()
}
