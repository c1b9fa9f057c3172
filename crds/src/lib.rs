//! The custom resources of `aegis.dev`: their types, their definitions, and the way from them to core values.
//!
//! [`api`] holds the kinds as people write them, [`definitions`](mod@definitions) their definitions for the API server,
//! [`lower`] turns one resource into a core value, [`lowered`] keeps what they came to, [`gather`] turns all that concern
//! one agent into the source of its bundle, and [`load`](mod@load) reads resources from YAML. [`compiles`] says whether what reads well also works, and
//! [`policy_test`] whether a policy does what its tests say, [`test_files`] reads tests that stand beside it, and
//! [`coverage`] counts what all tests made true and false, and [`lint`] finds what was hardly meant.
//!
//! Deliberately absent: clients, controllers, clocks. Everything here is a function of its arguments.

pub mod api;
pub mod compiles;
pub mod coverage;
pub mod definitions;
pub mod gather;
pub mod guards;
pub mod lint;
pub mod load;
pub mod lower;
pub mod lowered;
pub mod mesh;
pub mod policy_test;
mod schema;
pub mod schemas;
pub mod test_files;

pub use schema::MAX_INTEGER;
