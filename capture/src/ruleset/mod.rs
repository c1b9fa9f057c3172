//! Loads `rules.nft` and proves that it stands.

mod standing;

use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use serde::Serialize;

pub use standing::Mismatch;

/// The whole ruleset, as people read it.
pub const RULES: &str = include_str!("../../rules.nft");
/// First words of the line in [`RULES`] where the second layer begins.
const SECOND_LAYER: &str = "# --- second layer";
/// The only place where [`RULES`] names the interface.
const DEVICE: &str = "device $interface";
/// Inbound ports of one pod at most.
pub const MAX_INBOUND: usize = 64;
/// Ports that belong to the sidecar: nobody else may declare them.
pub const SIDECAR_PORTS: [u16; 5] = [15001, 15020, 15053, 15080, 15443];
/// Bytes of a message of nft that are repeated.
const MAX_MESSAGE: usize = 1024;

/// What to load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    sidecar_uid: u32,
    inbound_tcp: Vec<u16>,
}

/// What stands after loading. Printed as one line of JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Loaded {
    /// The first layer stands, exactly as planned.
    pub loaded: bool,
    /// Interfaces that the second layer guards; empty: this kernel or pod has none, see `without_netdev`.
    pub netdev: Vec<String>,
    /// Why there is no second layer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub without_netdev: Option<String>,
    /// The pod has an IPv6 address beside loopback. The rules hold both families either way.
    pub ipv6: bool,
    /// The sidecar's user.
    pub uid: u32,
    /// Ports at which the pod is called from outside.
    pub inbound_tcp: Vec<u16>,
    /// Tables of others in this namespace, with the hooks that they use. None of them can undo a drop.
    pub others: Vec<String>,
}

/// Why the capture does not stand.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The sidecar's user is root or no user.
    #[error("--sidecar-uid {0} cannot be the sidecar's: it must be a user of its own, 1 to 4294967294")]
    Uid(u32),
    /// An inbound port belongs to the sidecar, is 0, or there are too many.
    #[error("--inbound-tcp {0}: ports are 1 to 65535, at most {MAX_INBOUND}, and not the sidecar's {SIDECAR_PORTS:?}")]
    Inbound(String),
    /// The container lacks the capability.
    #[error("capability NET_ADMIN is missing: the capture container needs `capabilities.add: [NET_ADMIN]` and user 0")]
    NetAdmin,
    /// There is no nft.
    #[error("cannot run {nft}: {error}")]
    NoNft {
        /// The path that was tried.
        nft: String,
        /// What the system said.
        error: io::Error,
    },
    /// The kernel does not know something that the rules need, usually nat.
    #[error("this kernel lacks what the rules need (nf_tables with inet, nat and conntrack): {0}")]
    Kernel(String),
    /// nft refused.
    #[error("nft refused: {0}")]
    Refused(String),
    /// What stands is not what was loaded.
    #[error("the ruleset does not stand as loaded: {0}")]
    Mismatch(#[from] Mismatch),
    /// /proc cannot be read.
    #[error("cannot read {path}: {error}")]
    Proc {
        /// The file.
        path: &'static str,
        /// What the system said.
        error: io::Error,
    },
}

impl Plan {
    /// Checks the arguments. `inbound_tcp` is a list such as `8080,9090`, possibly empty.
    pub fn new(sidecar_uid: u32, inbound_tcp: &str) -> Result<Self, CaptureError> {
        if sidecar_uid == 0 || sidecar_uid == u32::MAX {
            return Err(CaptureError::Uid(sidecar_uid));
        }
        let refused = || CaptureError::Inbound(inbound_tcp.chars().take(200).collect());
        let mut ports = Vec::new();
        for text in inbound_tcp.split(',').map(str::trim).filter(|text| !text.is_empty()) {
            let port: u16 = text.parse().map_err(|_| refused())?;
            if port == 0 || SIDECAR_PORTS.contains(&port) {
                return Err(refused());
            }
            ports.push(port);
        }
        ports.sort_unstable();
        ports.dedup();
        if ports.len() > MAX_INBOUND {
            return Err(refused());
        }
        Ok(Self { sidecar_uid, inbound_tcp: ports })
    }

    fn variables(&self, reply_mark: u32) -> [String; 3] {
        let ports: Vec<String> = self.inbound_tcp.iter().map(u16::to_string).collect();
        [
            format!("sidecar_uid={}", self.sidecar_uid),
            format!("inbound_tcp={{ {} }}", ports.join(", ")),
            format!("reply_mark={reply_mark:#x}"),
        ]
    }
}

/// Loads the rules in the network namespace of this process, reads them back and compares. Doing it again is harmless.
pub fn load(nft: &Path, plan: &Plan) -> Result<Loaded, CaptureError> {
    needs_net_admin()?;
    let (first, second) = RULES.split_at(RULES.find(SECOND_LAYER).unwrap_or(RULES.len()));
    // Zero is the mark of an unmarked packet.
    let variables = plan.variables(rand::random::<u32>().max(1));
    run(nft, &variables, first)?;
    let interfaces = interfaces()?;
    let (netdev, without_netdev) = match second_layer(nft, &variables, second, &interfaces) {
        Ok(()) => (interfaces, None),
        Err(reason) => (Vec::new(), Some(reason)),
    };
    let ruleset = output(nft, &["-j", "list", "ruleset"])?;
    let others = standing::check(&ruleset, plan.sidecar_uid, &plan.inbound_tcp, !netdev.is_empty())?;
    if !netdev.is_empty() {
        standing::check_devices(&output(nft, &["list", "table", "netdev", "aegis_egress"])?, &netdev)?;
    }
    Ok(Loaded {
        loaded: true,
        netdev,
        without_netdev,
        ipv6: has_ipv6(),
        uid: plan.sidecar_uid,
        inbound_tcp: plan.inbound_tcp.clone(),
        others,
    })
}

/// Loads the second layer, or removes what an earlier run left of it: its mark would no longer fit.
fn second_layer(nft: &Path, variables: &[String], rules: &str, interfaces: &[String]) -> Result<(), String> {
    let loaded = match interfaces {
        [] => return Err("the pod has no interface beside loopback".to_owned()),
        [one] => run(nft, &[variables, &[format!("interface={one}")]].concat(), rules),
        // nft takes a variable for one device only.
        many => run(nft, variables, &rules.replace(DEVICE, &format!("devices = {{ {} }}", many.join(", ")))),
    };
    loaded.map_err(|error| {
        // Fails when there is nothing to delete, which is as good.
        drop(output(nft, &["delete", "table", "netdev", "aegis_egress"]));
        error.to_string()
    })
}

fn run(nft: &Path, variables: &[String], rules: &str) -> Result<(), CaptureError> {
    let mut command = Command::new(nft);
    for variable in variables {
        command.args(["-D", variable]);
    }
    command.args(["-f", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let no_nft = |error| CaptureError::NoNft { nft: nft.display().to_string(), error };
    let mut child = command.spawn().map_err(no_nft)?;
    if let Some(mut input) = child.stdin.take() {
        // An nft that ended early says why on its own.
        drop(input.write_all(rules.as_bytes()));
    }
    let ended = child.wait_with_output().map_err(no_nft)?;
    if ended.status.success() { Ok(()) } else { Err(refusal(&ended.stderr, &ended.status.to_string())) }
}

fn output(nft: &Path, args: &[&str]) -> Result<Vec<u8>, CaptureError> {
    let no_nft = |error| CaptureError::NoNft { nft: nft.display().to_string(), error };
    let ended = Command::new(nft).args(args).stdin(Stdio::null()).output().map_err(no_nft)?;
    if ended.status.success() { Ok(ended.stdout) } else { Err(refusal(&ended.stderr, &ended.status.to_string())) }
}

fn refusal(stderr: &[u8], status: &str) -> CaptureError {
    let text = String::from_utf8_lossy(stderr);
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut message: String = words.join(" ").chars().take(MAX_MESSAGE).collect();
    if message.is_empty() {
        status.clone_into(&mut message);
    }
    if message.contains("Operation not permitted") {
        CaptureError::NetAdmin
    } else if message.contains("No such file or directory") || message.contains("not supported") {
        CaptureError::Kernel(message)
    } else {
        CaptureError::Refused(message)
    }
}

/// `CAP_NET_ADMIN` is bit 12 (capabilities(7)).
fn needs_net_admin() -> Result<(), CaptureError> {
    const PATH: &str = "/proc/self/status";
    let status = std::fs::read_to_string(PATH).map_err(|error| CaptureError::Proc { path: PATH, error })?;
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let bits = effective.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0);
    if bits & (1 << 12) == 0 { Err(CaptureError::NetAdmin) } else { Ok(()) }
}

/// Interfaces of this network namespace beside loopback.
fn interfaces() -> Result<Vec<String>, CaptureError> {
    const PATH: &str = "/proc/self/net/dev";
    let table = std::fs::read_to_string(PATH).map_err(|error| CaptureError::Proc { path: PATH, error })?;
    let plain = |name: &&str| name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c));
    let names = table.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name.trim());
    // A tunnel that the kernel makes in every namespace is down and has no address: it guards itself.
    let kernel_made =
        ["lo", "tunl0", "sit0", "ip6tnl0", "gre0", "gretap0", "erspan0", "ip_vti0", "ip6_vti0", "ip6gre0"];
    Ok(names.filter(plain).filter(|name| !kernel_made.contains(name)).map(str::to_owned).collect())
}

fn has_ipv6() -> bool {
    std::fs::read_to_string("/proc/self/net/if_inet6")
        .is_ok_and(|table| table.lines().any(|line| !line.trim_end().ends_with(" lo")))
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case(31_234, "", &[]; "no inbound port")]
    #[test_case(31_234, "9090,8080,9090", &[8080, 9090]; "sorted and once")]
    #[test_case(1, " 80 , 443 ", &[80, 443]; "with spaces")]
    fn arguments_are_taken(uid: u32, inbound: &str, ports: &[u16]) {
        assert_eq!(Plan::new(uid, inbound).unwrap(), Plan { sidecar_uid: uid, inbound_tcp: ports.to_vec() });
    }

    #[test_case(0, "80"; "root")]
    #[test_case(u32::MAX, "80"; "no user")]
    #[test_case(31_234, "0"; "port zero")]
    #[test_case(31_234, "65536"; "no port")]
    #[test_case(31_234, "80; accept"; "words")]
    #[test_case(31_234, "15001"; "a port of the sidecar")]
    fn arguments_are_refused(uid: u32, inbound: &str) {
        Plan::new(uid, inbound).unwrap_err();
    }

    #[test]
    fn the_file_has_both_layers_and_every_variable() {
        let (first, second) = RULES.split_at(RULES.find(SECOND_LAYER).unwrap());
        assert!(first.contains("table inet aegis {") && !first.contains("table netdev aegis_egress {"));
        assert!(second.contains("table netdev aegis_egress {") && second.matches(DEVICE).count() == 1);
        let variables = Plan::new(31_234, "80").unwrap().variables(1);
        for variable in variables.iter().map(|text| text.split_once('=').unwrap().0) {
            assert!(first.contains(&format!("${variable}")), "{variable} is given but not used");
        }
    }

    #[test_case(b"Error: Could not process rule: Operation not permitted", "NET_ADMIN"; "capability")]
    #[test_case(b"Error: Could not process rule: Operation not supported", "kernel lacks"; "kernel")]
    #[test_case(b"Error: syntax error", "nft refused: Error: syntax error"; "syntax")]
    #[test_case(b"", "nft refused: exit status: 1"; "silence")]
    fn a_refusal_says_what_to_do(stderr: &[u8], expected: &str) {
        let text = refusal(stderr, "exit status: 1").to_string();
        assert!(text.contains(expected), "{text}");
    }
}
