//! Pods that must start and pods that must not, as tables: `tests/flows/pods/honest.yaml` and `hostile.yaml`.
//!
//! They are tried on any cluster on which Aegis is installed, with the webhook up or down: [`prepare`] a namespace, then
//! [`honest`] and [`hostile`]. A twin namespace without Agents shows that nothing but the pod guard refuses them, and gives
//! what the API server makes of them for [`aegis_crds::mesh::inspect`], whose verdict must be the same.

mod cases;
mod injection;
mod trial;

pub use cases::{Act, HonestCase, HostileCase, honest_cases, hostile_cases};
pub use injection::spoiled;
pub use trial::{Ground, Injection, Tally, honest, hostile, prepare, state_mesh, unguarded};
