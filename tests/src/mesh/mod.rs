//! Aegis' processes as a cluster would run them: the operator under its own service account, a sidecar for a pod's.
//!
//! The test bed has no node, so nothing runs the pod. The Pod object exists all the same, its token is bound to it, and
//! this harness writes the files that a kubelet would mount. Operator and sidecar read only those, and never act as admin.

mod binaries;
mod metrics;
mod mount;
mod operator;
pub mod pods;
mod sidecar;
pub mod webhook;

pub use binaries::binary;
pub use metrics::metric;
pub use mount::Mounted;
pub use operator::{Operator, OperatorSpec};
pub use sidecar::{Answer, Sidecar, SidecarSpec};
pub use webhook::{Webhook, WebhookSpec};
