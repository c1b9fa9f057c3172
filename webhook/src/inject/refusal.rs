//! Why a pod is refused. Each names what its author has to change, never a value that could be a secret.

use aegis_crds::mesh::Fault;

/// Why a pod is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not a pod.
    #[error("is no pod: {0}")]
    Malformed(String),
    /// The label is missing although the API server was told to send only pods that have it.
    #[error("label aegis.dev/agent is missing")]
    NoAgent,
    /// The label names nobody.
    #[error("label aegis.dev/agent names Agent {name}, which does not exist in namespace {namespace}")]
    UnknownAgent {
        /// Name in the label.
        name: String,
        /// Namespace of the pod.
        namespace: String,
    },
    /// The pod is not the agent's.
    #[error("spec.serviceAccountName is {found}, but Agent {agent} runs under {wanted}")]
    ServiceAccount {
        /// Agent.
        agent: String,
        /// Its account.
        wanted: String,
        /// The pod's.
        found: String,
    },
    /// The pod asks to be left out.
    #[error("an agent's pod cannot opt out: {0} aegis.dev/inject is disabled; remove it, or the label aegis.dev/agent")]
    OptedOut(&'static str),
    /// The pod shares what separates agent and sidecar.
    #[error("spec.{0} must not be true: agent and sidecar are no longer apart then")]
    Shared(&'static str),
    /// A container has a name of ours.
    #[error("container {0}: names that begin with aegis- belong to Aegis")]
    ContainerName(String),
    /// A volume has a name of ours.
    #[error("volume {0}: names that begin with aegis- belong to Aegis")]
    VolumeName(String),
    /// A container declares a port of ours.
    #[error("container {container}: port {port} belongs to the sidecar (15001, 15020, 15053, 15080)")]
    Port {
        /// Container.
        container: String,
        /// Port.
        port: i32,
    },
    /// Nobody can tell which packets are the agent's.
    #[error(
        "container {0}: set securityContext.runAsUser (in the container or the pod) to a user other than 0: at level Captured and Sealed packets are told apart by user"
    )]
    NoUser(String),
    /// The pod has a sidecar, but is not governed: it was changed, or written by hand.
    #[error("the pod has a sidecar already, but is not as injection makes it: {}", list(.0))]
    Altered(Vec<Fault>),
    /// The pod would not be governed even with the sidecar.
    #[error("the pod cannot be governed: {}", list(.0))]
    Ungovernable(Vec<Fault>),
}

impl Refusal {
    /// A label for metrics, of a closed set.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::NoAgent => "no_agent",
            Self::UnknownAgent { .. } => "unknown_agent",
            Self::ServiceAccount { .. } => "service_account",
            Self::OptedOut(_) => "opted_out",
            Self::Shared(_) => "shared_namespace",
            Self::ContainerName(_) | Self::VolumeName(_) | Self::Port { .. } => "conflict",
            Self::NoUser(_) => "no_user",
            Self::Altered(_) => "altered",
            Self::Ungovernable(_) => "ungovernable",
        }
    }
}

fn list(faults: &[Fault]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
