//! The operator's configuration, read once.

use std::net::SocketAddr;
use std::path::PathBuf;

use aegis_crds::mesh::{Settings, SettingsError};
use aegis_runtime::args::{AdminArgs, DrainArgs, LogArgs};
use clap::Parser;

/// Reconciles Aegis' resources, and serves bundles, tokens and approvals to its sidecars.
#[derive(Debug, Clone, Parser)]
#[command(name = "aegis-operator", version, about)]
pub struct Args {
    /// Namespaces to reconcile, separated by commas; none: all
    #[arg(long, env = "AEGIS_NAMESPACES", value_delimiter = ',')]
    pub namespaces: Vec<String>,
    /// The operator's own namespace, where its keys are kept
    #[arg(long, env = "AEGIS_SYSTEM_NAMESPACE", default_value = "aegis-system")]
    pub system_namespace: String,
    /// File with the settings of the mesh, which the webhook reads too: images, control service, where records lie
    #[arg(long, env = "AEGIS_MESH_SETTINGS")]
    pub mesh_settings: PathBuf,
    /// Address of the control service; port 0 takes a free one and logs it
    #[arg(long, env = "AEGIS_CONTROL_LISTEN", default_value = "0.0.0.0:8443")]
    pub control_listen: SocketAddr,
    /// Names and addresses that sidecars reach the control service by, separated by commas
    #[arg(
        long,
        env = "AEGIS_CONTROL_NAMES",
        value_delimiter = ',',
        default_value = "aegis-operator.aegis-system.svc,localhost,127.0.0.1"
    )]
    pub control_names: Vec<String>,
    /// Trust domain in the subjects of agent tokens
    #[arg(long, env = "AEGIS_TRUST_DOMAIN", default_value = "aegis.local")]
    pub trust_domain: String,
    /// Organisation in agent tokens
    #[arg(long, env = "AEGIS_ORG", default_value = "default")]
    pub org: String,
    /// Open approval requests that one agent may have
    #[arg(long, env = "AEGIS_MAX_OPEN_APPROVALS", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub max_open_approvals: u16,
    /// Days that ended approval requests are kept; those with unknown outcome are kept for ever
    #[arg(long, env = "AEGIS_RETAIN_DAYS", default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..=3650))]
    pub retain_days: u16,
    /// Seconds between two lists of every kind, which confirm what the watches saw. An agent's maxStaleness should be well
    /// above it: what a sidecar knows is about as old before it is renewed
    #[arg(long, env = "AEGIS_LIST_EVERY", default_value_t = 15, value_parser = clap::value_parser!(u16).range(1..=300))]
    pub list_every: u16,
    /// A point of the held-call flow at which the process kills itself
    #[cfg(feature = "failpoints")]
    #[arg(long, env = "AEGIS_KILL_AT")]
    pub kill_at: Option<String>,
    /// Run for a Lease, so that of several replicas one writes; without it this replica writes always
    #[arg(long, env = "AEGIS_LEADER_ELECT")]
    pub leader_elect: bool,
    /// Name of this replica in the Lease, such as its pod's; by default one that is drawn
    #[arg(long, env = "AEGIS_IDENTITY")]
    pub identity: Option<String>,
    /// Logging.
    #[command(flatten)]
    pub log: LogArgs,
    /// Admin port.
    #[command(flatten)]
    pub admin: AdminArgs,
    /// Drain.
    #[command(flatten)]
    pub drain: DrainArgs,
}

/// Why the settings of the mesh are of no use.
#[derive(Debug, thiserror::Error)]
pub enum MeshSettingsError {
    /// The file cannot be read.
    #[error("cannot read --mesh-settings {}", .0.display())]
    Read(PathBuf, #[source] std::io::Error),
    /// What it says cannot be used.
    #[error(transparent)]
    Settings(#[from] SettingsError),
}

impl Args {
    /// The settings of the mesh, from their file. Without them no pod could be told from a foreign one.
    pub fn mesh(&self) -> Result<Settings, MeshSettingsError> {
        let file = &self.mesh_settings;
        let text = std::fs::read_to_string(file).map_err(|error| MeshSettingsError::Read(file.clone(), error))?;
        Ok(Settings::from_yaml(&text)?)
    }
}
