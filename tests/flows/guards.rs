//! The guards in the API server, with no program of ours running: every forgery is refused by the server itself, every honest act passes.
//!
//! The control service's part, making requests and writing their status, is played with a token of its own service account.

// All of this is test code, but clippy spares only functions that are marked as tests.
#![allow(clippy::indexing_slicing)]

mod agents;
mod claims;
mod delegations;
mod every_field;
mod forgeries;
mod honest;
mod modes;
mod people;
pub mod request;
pub mod scene;
mod stored;
mod tokens;
