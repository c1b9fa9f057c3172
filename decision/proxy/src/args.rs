//! The arguments, read once. A wrong one ends the process with code 64 before a port is bound.

use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use aegis_decision::egress::Level;
use aegis_runtime::args::{AdminArgs, DrainArgs, LogArgs};
use clap::Parser;

use crate::ingress::ARRIVAL_TIME;
use crate::patience::REGO_TIME;

/// Where calls come in, unless told otherwise.
const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 15_080);

/// The sidecar of one agent: judges, records and forwards its tool calls.
#[derive(Debug, Clone, Parser)]
#[command(name = "aegis-proxy", version)]
pub struct Args {
    /// Address for the agent's calls; port 0 takes a free one [default: 127.0.0.1:15080]
    #[arg(long, env = "AEGIS_LISTEN", conflicts_with = "gateway_listen")]
    pub listen: Option<SocketAddr>,
    /// How much the pod is bound to this sidecar: Mediated, Captured or Sealed
    #[arg(long, env = "AEGIS_LEVEL", default_value = "Mediated", value_parser = level)]
    pub level: Level,
    /// Addresses that captured TCP connections are redirected to
    #[arg(long, env = "AEGIS_CAPTURE_LISTEN", value_delimiter = ',')]
    pub capture_listen: Vec<SocketAddr>,
    /// Addresses that DNS questions are redirected to, by UDP and TCP
    #[arg(long, env = "AEGIS_DNS_LISTEN", value_delimiter = ',')]
    pub dns_listen: Vec<SocketAddr>,
    /// Socket that the probe asks
    #[arg(long, env = "AEGIS_PROBE_SOCKET")]
    pub probe_socket: Option<PathBuf>,
    /// Minutes between two probes
    #[arg(long, env = "AEGIS_PROBE_MINUTES", default_value = "10", value_parser = clap::value_parser!(u16).range(1..=1440))]
    pub probe_minutes: u16,
    /// The agent's gateway, as HOST:PORT: calls are relayed to it, which alone decides and holds credentials
    #[arg(long, env = "AEGIS_GATEWAY", requires = "control", conflicts_with = "gateway_listen")]
    pub gateway: Option<String>,
    /// Be the agent's gateway, on this address
    #[arg(long, env = "AEGIS_GATEWAY_LISTEN", requires = "control")]
    pub gateway_listen: Option<SocketAddr>,
    /// File that gets the address once calls are taken, for tests and scripts
    #[arg(long)]
    pub address_file: Option<PathBuf>,
    /// File that gets the admin port's address
    #[arg(long)]
    pub admin_address_file: Option<PathBuf>,
    /// Threads that serve calls, each with a runtime of its own; by default one per core, at most 8
    #[arg(long, env = "AEGIS_WORKERS")]
    pub workers: Option<NonZeroUsize>,
    /// Connections of the agent at once, per worker
    #[arg(long, env = "AEGIS_MAX_CONNECTIONS", default_value = "256")]
    pub max_connections: NonZeroUsize,
    /// Bytes that the bodies of requests may take at once, over all workers, and again those of answers
    #[arg(long, env = "AEGIS_BODY_MEMORY", default_value = "50331648")]
    pub body_memory: NonZeroU32,
    /// Milliseconds for a call's head, for its body, and for a connection to be idle, for tests
    #[arg(long, hide = true)]
    pub arrival_millis: Option<u32>,
    /// Milliseconds that the Rego modules of one call have together, for tests
    #[arg(long, hide = true)]
    pub rego_millis: Option<u32>,
    /// Folder of the record segments
    #[arg(long, env = "AEGIS_RECORDS_DIR")]
    pub records_dir: PathBuf,
    /// Folder of the tools' credentials: one folder per tool, one file per key
    #[arg(long, env = "AEGIS_CREDENTIALS_DIR")]
    pub credentials_dir: Option<PathBuf>,

    /// URL of the control service
    #[arg(long, env = "AEGIS_CONTROL", requires_all = ["trust_dir", "token_file", "agent"])]
    pub control: Option<String>,
    /// Folder with the control service's `ca.crt` and `jwks.json`
    #[arg(long, env = "AEGIS_TRUST_DIR")]
    pub trust_dir: Option<PathBuf>,
    /// File with the pod-bound service account token
    #[arg(long, env = "AEGIS_TOKEN_FILE")]
    pub token_file: Option<PathBuf>,
    /// The agent, as `namespace/name`
    #[arg(long, env = "AEGIS_AGENT")]
    pub agent: Option<String>,

    /// Instead of a control service: a file with signed feed items, one a line. Nothing is renewed, nothing can be approved
    #[arg(long, conflicts_with = "control", requires_all = ["bundle_keys", "attestation", "record_key"])]
    pub bundle: Option<PathBuf>,
    /// JWKS that the items and the attestation are verified with
    #[arg(long)]
    pub bundle_keys: Option<PathBuf>,
    /// File with the attestation of the record key
    #[arg(long)]
    pub attestation: Option<PathBuf>,
    /// File with the record key: 32 bytes in base64url without padding
    #[arg(long)]
    pub record_key: Option<PathBuf>,

    /// Point of the held-call flow at which the process kills itself
    #[cfg(feature = "failpoints")]
    #[arg(long, env = "AEGIS_KILL_AT")]
    pub kill_at: Option<String>,

    /// Logging
    #[command(flatten)]
    pub log: LogArgs,
    /// Admin port
    #[command(flatten)]
    pub admin: AdminArgs,
    /// Drain
    #[command(flatten)]
    pub drain: DrainArgs,
}

/// What is wrong with the arguments.
#[derive(Debug, thiserror::Error)]
pub enum ArgsError {
    /// Neither a control service nor a file.
    #[error("give --control, or --bundle for an offline trial")]
    NoSource,
    /// Not reachable by the agent alone.
    #[error("{0} must be a loopback address: the agent's pod only")]
    NotLoopback(&'static str),
    /// Connections come in that nobody may send on.
    #[error("--capture-listen, --dns-listen and --probe-socket are for the levels Captured and Sealed")]
    NotCaptured,
    /// `--gateway` is not `HOST:PORT`.
    #[error("--gateway must be HOST:PORT")]
    Gateway,
    /// `--control` is not a URL of ours.
    #[error("--control must be https://HOST[:PORT]")]
    Control,
    /// `--agent` is not `namespace/name`.
    #[error("--agent must be namespace/name")]
    Agent,
    /// No such point.
    #[cfg(feature = "failpoints")]
    #[error("AEGIS_KILL_AT names no point; the points are {}", crate::failpoint::POINTS.join(", "))]
    KillAt,
}

/// The arguments, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Address for the agent's calls; none in a gateway.
    pub listen: Option<SocketAddr>,
    /// How much the pod is bound to this sidecar.
    pub level: Level,
    /// Addresses that captured TCP connections are redirected to.
    pub capture_listen: Vec<SocketAddr>,
    /// Addresses that DNS questions are redirected to.
    pub dns_listen: Vec<SocketAddr>,
    /// Socket that the probe asks.
    pub probe_socket: Option<PathBuf>,
    /// Minutes between two probes.
    pub probe_minutes: u16,
    /// The agent's gateway, as `HOST:PORT`.
    pub gateway: Option<String>,
    /// Address of a gateway.
    pub gateway_listen: Option<SocketAddr>,
    /// Files that get the addresses: of calls, of the admin port.
    pub address_files: (Option<PathBuf>, Option<PathBuf>),
    /// Threads that serve calls.
    pub workers: usize,
    /// Connections per worker.
    pub max_connections: usize,
    /// Bytes that the bodies of requests, and again those of answers, may take at once.
    pub body_memory: u32,
    /// Time for a call's head, for its body, and for a connection to be idle.
    pub arrival_time: Duration,
    /// Time that the Rego modules of one call have together.
    pub rego_time: Duration,
    /// Folder of the record segments.
    pub records_dir: PathBuf,
    /// Folder of the tools' credentials.
    pub credentials_dir: Option<PathBuf>,
    /// Where policy comes from.
    pub source: Source,
    /// Logging.
    pub log: LogArgs,
    /// Admin port.
    pub admin_listen: SocketAddr,
    /// Bound on the drain.
    pub drain: Duration,
}

/// Where policy comes from.
#[derive(Debug, Clone)]
pub enum Source {
    /// The feed of a control service.
    Control(ControlSettings),
    /// Files, once.
    Files(FileSettings),
}

/// The control service and what it takes to talk to it.
#[derive(Debug, Clone)]
pub struct ControlSettings {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Folder with `ca.crt` and `jwks.json`.
    pub trust_dir: PathBuf,
    /// File with the service account token.
    pub token_file: PathBuf,
    /// `namespace/name`.
    pub agent: String,
}

/// A bundle from files.
#[derive(Debug, Clone)]
pub struct FileSettings {
    /// Signed feed items, one a line.
    pub bundle: PathBuf,
    /// JWKS.
    pub keys: PathBuf,
    /// Attestation of the record key.
    pub attestation: PathBuf,
    /// The record key's seed.
    pub record_key: PathBuf,
}

impl Args {
    /// Checks what clap cannot.
    pub fn into_settings(self) -> Result<Settings, ArgsError> {
        let listen = match (self.listen, self.gateway_listen) {
            (None, Some(_)) => None,
            (listen, _) => Some(listen.unwrap_or(DEFAULT_LISTEN)),
        };
        for (name, addresses) in [
            ("--listen", listen.as_slice()),
            ("--capture-listen", &self.capture_listen),
            ("--dns-listen", &self.dns_listen),
        ] {
            if !addresses.iter().all(|address| address.ip().is_loopback()) {
                return Err(ArgsError::NotLoopback(name));
            }
        }
        let captures = !self.capture_listen.is_empty() || !self.dns_listen.is_empty() || self.probe_socket.is_some();
        if captures && !self.level.is_captured() {
            return Err(ArgsError::NotCaptured);
        }
        if self.gateway.as_deref().is_some_and(|gateway| !is_host_and_port(gateway)) {
            return Err(ArgsError::Gateway);
        }
        #[cfg(feature = "failpoints")]
        if let Some(point) = self.kill_at {
            if !crate::failpoint::is_listed(&point) {
                return Err(ArgsError::KillAt);
            }
            crate::failpoint::arm(point);
        }
        let source = match (self.control, self.trust_dir, self.token_file, self.agent) {
            (Some(url), Some(trust_dir), Some(token_file), Some(agent)) => {
                let (host, port) = control_address(&url).ok_or(ArgsError::Control)?;
                if agent.split('/').filter(|part| !part.is_empty()).count() != 2 || agent.matches('/').count() != 1 {
                    return Err(ArgsError::Agent);
                }
                Source::Control(ControlSettings { host, port, trust_dir, token_file, agent })
            }
            _ => match (self.bundle, self.bundle_keys, self.attestation, self.record_key) {
                (Some(bundle), Some(keys), Some(attestation), Some(record_key)) => {
                    Source::Files(FileSettings { bundle, keys, attestation, record_key })
                }
                _ => return Err(ArgsError::NoSource),
            },
        };
        let time = |millis: Option<u32>, usual| millis.map_or(usual, |millis| Duration::from_millis(millis.into()));
        let cores = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get).min(8);
        Ok(Settings {
            listen,
            level: self.level,
            capture_listen: self.capture_listen,
            dns_listen: self.dns_listen,
            probe_socket: self.probe_socket,
            probe_minutes: self.probe_minutes,
            gateway: self.gateway,
            gateway_listen: self.gateway_listen,
            address_files: (self.address_file, self.admin_address_file),
            workers: self.workers.map_or_else(cores, NonZeroUsize::get),
            max_connections: self.max_connections.get(),
            body_memory: self.body_memory.get(),
            arrival_time: time(self.arrival_millis, ARRIVAL_TIME),
            rego_time: time(self.rego_millis, REGO_TIME),
            records_dir: self.records_dir,
            credentials_dir: self.credentials_dir,
            source,
            log: self.log,
            admin_listen: self.admin.admin_listen,
            drain: self.drain.drain,
        })
    }
}

/// Reads a level by its name.
fn level(text: &str) -> Result<Level, String> {
    [Level::Mediated, Level::Captured, Level::Sealed]
        .into_iter()
        .find(|level| level.as_str() == text)
        .ok_or_else(|| "write Mediated, Captured or Sealed".to_owned())
}

fn is_host_and_port(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0))
}

/// Host and port of `https://HOST[:PORT]`; nothing else may be in it.
fn control_address(url: &str) -> Option<(String, u16)> {
    let uri: http::Uri = url.parse().ok()?;
    let authority = uri.authority()?;
    let plain = uri.scheme_str() == Some("https")
        && matches!(uri.path(), "" | "/")
        && uri.query().is_none()
        && !authority.as_str().contains('@');
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    plain.then(|| (host.to_owned(), authority.port_u16().unwrap_or(443)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Settings, String> {
        let all = ["aegis-proxy", "--records-dir", "records"].iter().chain(arguments);
        Args::try_parse_from(all).map_err(|error| error.to_string())?.into_settings().map_err(|error| error.to_string())
    }

    const CONTROL: [&str; 8] =
        ["--control", "https://control:8443", "--trust-dir", "trust", "--token-file", "token", "--agent", "shop/buyer"];

    #[test]
    fn a_control_service_needs_all_its_parts() {
        let Source::Control(control) = parse(&CONTROL).unwrap().source else { panic!("not a control service") };
        assert_eq!((control.host.as_str(), control.port), ("control", 8443));
        for missing in 1..4 {
            let mut arguments = CONTROL.to_vec();
            arguments.drain(missing * 2..missing * 2 + 2);
            parse(&arguments).unwrap_err();
        }
    }

    /// Tests set these to other times.
    #[test]
    fn a_call_has_thirty_seconds_to_arrive_and_its_modules_ten_milliseconds() {
        let settings = parse(&CONTROL).unwrap();
        let times = (settings.arrival_time, settings.rego_time);
        assert_eq!(times, (Duration::from_secs(30), Duration::from_millis(10)));
    }

    #[test]
    fn wrong_values_are_named() {
        let with = |name: &str, value: &'static str| {
            let mut arguments = CONTROL.to_vec();
            let at = arguments.iter().position(|argument| *argument == name).unwrap();
            arguments[at + 1] = value;
            parse(&arguments).unwrap_err()
        };
        for url in ["http://control", "https://u@control", "https://control/x", "https://control/?q", "control"] {
            assert!(with("--control", url).contains("--control"), "{url}");
        }
        for agent in ["buyer", "a/b/c", "/b", "a/", ""] {
            assert!(with("--agent", agent).contains("--agent"), "{agent}");
        }
        let mut arguments = CONTROL.to_vec();
        arguments.extend(["--listen", "0.0.0.0:80"]);
        assert!(parse(&arguments).unwrap_err().contains("--listen"));
        assert!(parse(&[]).unwrap_err().contains("--bundle"));
    }

    #[test]
    fn injected_settings_are_taken() {
        let mut arguments = CONTROL.to_vec();
        arguments.extend(["--level", "Sealed", "--capture-listen", "127.0.0.1:15001,[::1]:15001"]);
        arguments.extend(["--dns-listen", "127.0.0.1:15053,[::1]:15053", "--probe-socket", "/run/p.sock"]);
        arguments.extend(["--gateway", "buyer-gateway.shop.svc:15443"]);
        let settings = parse(&arguments).unwrap();
        assert_eq!(settings.level, Level::Sealed);
        assert_eq!(settings.listen, Some(DEFAULT_LISTEN));
        assert_eq!(settings.capture_listen.iter().map(SocketAddr::port).collect::<Vec<_>>(), [15001, 15001]);
        assert!(settings.dns_listen.iter().any(SocketAddr::is_ipv6));
        assert_eq!(settings.probe_minutes, 10);
        let mut gateway = CONTROL.to_vec();
        gateway.extend(["--gateway-listen", "0.0.0.0:15443"]);
        assert_eq!(parse(&gateway).unwrap().listen, None, "a gateway is called over the network only");
    }

    #[test]
    fn ways_that_do_not_fit_are_refused() {
        for (extra, names) in [
            (vec!["--capture-listen", "127.0.0.1:1"], "--capture-listen"),
            (vec!["--level", "Captured", "--dns-listen", "0.0.0.0:53"], "--dns-listen"),
            (vec!["--level", "captured"], "Captured"),
            (vec!["--gateway", "host"], "--gateway"),
            (vec!["--gateway-listen", "0.0.0.0:1", "--listen", "127.0.0.1:1"], "--listen"),
            (vec!["--probe-minutes", "0"], "--probe-minutes"),
        ] {
            let mut arguments = CONTROL.to_vec();
            arguments.extend(extra);
            let error = parse(&arguments).unwrap_err();
            assert!(error.contains(names), "{error}");
        }
    }

    #[test]
    fn control_addresses_may_be_literals() {
        assert_eq!(control_address("https://[::1]:8443"), Some(("::1".to_owned(), 8443)));
        assert_eq!(control_address("https://127.0.0.1/"), Some(("127.0.0.1".to_owned(), 443)));
    }
}
