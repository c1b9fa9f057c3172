//! The operator's configuration, read once.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use aegis_crds::mesh::{Settings, SettingsError};
use aegis_runtime::args::{AdminArgs, DrainArgs, LogArgs, leaf_life, seconds};
use aegis_runtime::tls::rotation::{Lifetimes, TooShort};
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
    /// Seconds that the control service's certificate authority is valid; the next one is made at two thirds
    #[arg(long, env = "AEGIS_CONTROL_CA_LIFE", default_value = "31536000", value_parser = seconds)]
    pub ca_life: Duration,
    /// Seconds that the control service's certificate is valid, at most 90 days; it is renewed at two thirds
    #[arg(long, env = "AEGIS_CONTROL_LEAF_LIFE", default_value = "86400", value_parser = leaf_life)]
    pub leaf_life: Duration,
    /// Seconds in which kubelets have given every pod a changed ConfigMap, and by which clocks of replicas may differ
    #[arg(long, env = "AEGIS_CONTROL_CA_SETTLE", default_value = "600", value_parser = seconds)]
    pub ca_settle: Duration,
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

    /// The lifetimes of certificates, where they leave room for a rotation.
    pub fn lifetimes(&self) -> Result<Lifetimes, TooShort> {
        let lifetimes = Lifetimes { authority: self.ca_life, leaf: self.leaf_life, settle: self.ca_settle };
        lifetimes.check().map(|()| lifetimes)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn parse(further: &[&str]) -> Args {
        Args::parse_from(["aegis-operator", "--mesh-settings", "x"].iter().chain(further))
    }

    #[test]
    fn the_arguments_are_consistent_and_the_defaults_rotate() {
        Args::command().debug_assert();
        let lifetimes = parse(&[]).lifetimes().unwrap();
        assert_eq!((lifetimes.leaf, lifetimes.settle), (Duration::from_hours(24), Duration::from_mins(10)));
    }

    #[test]
    fn lifetimes_without_room_for_a_rotation_are_refused() {
        assert!(parse(&["--ca-life", "261000"]).lifetimes().is_ok());
        let error = parse(&["--ca-life", "260999"]).lifetimes().unwrap_err().to_string();
        assert!(error.contains("at least three times"), "{error}");
    }
}
