//! The webhook's configuration, read once.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use aegis_runtime::args::{AdminArgs, DrainArgs, LogArgs, leaf_life, seconds};
use aegis_runtime::tls::rotation::{Lifetimes, TooShort};
use clap::Parser;

/// Injects the sidecar into agents' pods, and refuses policies that cannot work.
#[derive(Debug, Clone, Parser)]
#[command(name = "aegis-webhook", version, about)]
pub struct Args {
    /// File with the settings of the mesh: images, control service, resources
    #[arg(long, env = "AEGIS_MESH_SETTINGS", required_unless_present = "remove_configurations")]
    pub mesh_settings: Option<PathBuf>,
    /// Delete the webhook configurations and the bindings of admission policies, and end: what an uninstall does first
    #[arg(long)]
    pub remove_configurations: bool,
    /// Address that the API server calls; port 0 takes a free one and logs it
    #[arg(long, env = "AEGIS_WEBHOOK_LISTEN", default_value = "0.0.0.0:9443")]
    pub listen: SocketAddr,
    /// Names and addresses that the API server reaches the webhook by, separated by commas
    #[arg(long, env = "AEGIS_WEBHOOK_NAMES", value_delimiter = ',', default_value = "aegis-webhook.aegis-system.svc")]
    pub names: Vec<String>,
    /// Name of the two webhook configurations whose `caBundle` is kept up to date
    #[arg(long, env = "AEGIS_WEBHOOK_CONFIGURATION", default_value = "aegis-webhook")]
    pub configuration: String,
    /// Seconds that the webhook's certificate authority is valid; the next one is made at two thirds
    #[arg(long, env = "AEGIS_WEBHOOK_CA_LIFE", default_value = "31536000", value_parser = seconds)]
    pub ca_life: Duration,
    /// Seconds that the server's certificate is valid, at most 90 days; it is renewed at two thirds
    #[arg(long, env = "AEGIS_WEBHOOK_LEAF_LIFE", default_value = "2592000", value_parser = leaf_life)]
    pub leaf_life: Duration,
    /// Seconds in which API servers have taken over a new caBundle, and by which clocks of replicas may differ
    #[arg(long, env = "AEGIS_WEBHOOK_CA_SETTLE", default_value = "60", value_parser = seconds)]
    pub ca_settle: Duration,
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

impl Args {
    /// The lifetimes, where they leave room for a rotation.
    pub fn lifetimes(&self) -> Result<Lifetimes, TooShort> {
        let lifetimes = Lifetimes { authority: self.ca_life, leaf: self.leaf_life, settle: self.ca_settle };
        lifetimes.check().map(|()| lifetimes)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_arguments_are_consistent_and_the_defaults_rotate() {
        Args::command().debug_assert();
        let args = Args::parse_from(["aegis-webhook", "--mesh-settings", "x"]);
        assert_eq!(args.lifetimes().unwrap().leaf, Duration::from_hours(30 * 24));
    }

    #[test]
    fn a_certificate_may_not_last_for_more_than_90_days() {
        let parse = |life| Args::try_parse_from(["aegis-webhook", "--mesh-settings", "x", "--leaf-life", life]);
        assert!(parse("7776000").is_ok());
        assert!(parse("7776001").is_err());
        assert!(parse("0").is_err());
    }
}
