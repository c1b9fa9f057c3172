//! The webhook under its own account, asked by a real API server with all guards in force.

// All of this is test code, but clippy spares only functions that are marked as tests.
#![allow(clippy::indexing_slicing)]

mod injected;
mod policies;
mod refused;
mod rotated;
mod scene;
