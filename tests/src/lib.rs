//! What flows and demo share: a real API server, a real ERP, and Aegis' own processes under their own accounts.

pub mod answering;
pub mod cluster;
pub mod erp;
pub mod helm;
pub mod install;
pub mod mesh;
pub mod node;
pub mod pods;
pub mod spread;
pub mod story;
pub mod tools;
pub mod usage;
