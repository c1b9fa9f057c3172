//! Holding a pod's traffic to its sidecar, and finding out whether that holds.
//!
//! - [`ruleset`]: `rules.nft`, loaded into the pod's network namespace and read back (program `aegis-capture`).
//! - [`techniques`]: the 36 ways around a sidecar, as a table and as attempts. An attempt decides from inside whether
//!   something left; the suite in `tests/bypass` also counts the frames at the other end.
//! - [`probe`]: runs the attempts as the agent's user whenever the sidecar asks (program `aegis-probe`).
//!
//! Deliberately absent: a Kubernetes client, TLS, an async runtime. The programs run in every pod and must stay small.

pub mod probe;
pub mod ruleset;
pub mod techniques;
