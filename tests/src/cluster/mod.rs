//! A real Kubernetes API server for flow tests and the demo, started from the `aegis-testbed` binary of `tests/cluster/` and ended with this process.
//!
//! [`Cluster`] starts a server ([`Options`] says how) and gives access to it: clients and kubeconfigs of its users, tokens of service accounts, `kubectl`,
//! server-side apply. Most tests share one server ([`Cluster::shared`]) and take a [`TestNamespace`] each; a test that changes custom resource definitions or
//! admission policies starts its own. [`process::Process`] runs our own programs beside it. Every wait is an [`eventually`] with a limit.
//!
//! Nothing here needs root, and several clusters may run at once.

mod access;
mod attached;
mod audit;
mod diagnostics;
mod eventually;
mod manifests;
mod namespace;
mod options;
pub mod process;
mod ready;
mod server;
mod service_account;

pub use audit::{AuditEvent, AuditObject};
pub use eventually::{eventually, until_refused};
pub use manifests::{Manifests, apply, apply_in};
pub use namespace::TestNamespace;
pub use options::{Options, PEOPLE};
pub use ready::{ExtReady, NodeReady, Ready, User};
pub use server::Cluster;
pub use service_account::{BoundPod, TokenFor};
