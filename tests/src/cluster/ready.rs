//! What a started test bed says about itself, as `aegis-testbed up` prints it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

/// The line that a bed prints once it can be used.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ready {
    /// The API server's address, `https://127.0.0.1:PORT`.
    pub server: String,
    /// The certificates that a client must trust (PEM).
    pub ca_file: PathBuf,
    /// The folder of the bed.
    pub dir: PathBuf,
    /// The folder of the kubeconfigs, one `USER.yaml` for each user.
    pub kubeconfigs: PathBuf,
    /// The audit log, one JSON object a line.
    pub audit_log: PathBuf,
    /// The folder of the components' logs.
    pub logs: PathBuf,
    /// Who can log in.
    pub users: Vec<User>,
    /// The process of each component by its name.
    pub pids: BTreeMap<String, u32>,
    /// The node, in a bed that has one.
    pub node: Option<NodeReady>,
    /// The outside world of that node.
    pub ext: Option<ExtReady>,
}

/// The node of a bed: namespaces of its own in which kubelet, containers and pods live.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeReady {
    /// Name of the Node.
    pub name: String,
    /// First process of its namespaces, as this machine numbers it.
    pub pid: u32,
    /// The API server as it is reached inside.
    pub server: String,
    /// Kubeconfigs for use inside.
    pub kubeconfigs: PathBuf,
    /// containerd's socket, for programs on this machine too.
    pub containerd: PathBuf,
    /// Name of its cgroup.
    pub cgroup: String,
    /// Its addresses.
    pub addresses: Vec<String>,
    /// Addresses of pods.
    pub pod_cidrs: Vec<String>,
    /// Addresses of Services.
    pub service_cidrs: Vec<String>,
    /// The cluster's DNS server.
    pub dns: String,
    /// Names of the outside world, as in /etc/hosts; read anew within a second.
    pub hosts: PathBuf,
}

/// The outside world: a network namespace behind the node, with nothing beyond.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExtReady {
    /// A process in it.
    pub pid: u32,
    /// Its addresses.
    pub addresses: Vec<String>,
}

/// A user as the API server sees them after authentication.
#[derive(Clone, Debug, Deserialize)]
pub struct User {
    /// The user name.
    pub name: String,
    /// The unique id, new for each bed.
    pub uid: String,
    /// The groups, without `system:authenticated`.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub groups: Vec<String>,
}

/// Go writes an empty list that was never set as null.
fn null_is_empty<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
