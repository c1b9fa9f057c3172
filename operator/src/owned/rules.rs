//! Rules of network policies, from peers.

use std::collections::BTreeMap;
use std::net::IpAddr;

use k8s_openapi::api::networking::v1::{IPBlock, NetworkPolicyEgressRule, NetworkPolicyPeer, NetworkPolicyPort};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::peers::{Peer, To};

/// Never reached by a name: this host, link-local with the metadata services, multicast, reserved.
const NEVER_V4: [&str; 5] = ["0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4"];
/// Not reached by a name that leads outside.
const PRIVATE_V4: [&str; 4] = ["10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16"];
/// As [`NEVER_V4`], with the form of IPv6 that leads to an IPv4 address. IPv4-mapped ones are on no wire.
const NEVER_V6: [&str; 6] = ["::/128", "::1/128", "64:ff9b::/96", "fd00:ec2::254/128", "fe80::/10", "ff00::/8"];
/// As [`PRIVATE_V4`]. Holds the metadata address above.
const PRIVATE_V6: [&str; 1] = ["fc00::/7"];

/// One rule for each peer: what is wide stands apart from what is not.
pub fn egress(peers: &[Peer]) -> Vec<NetworkPolicyEgressRule> {
    peers.iter().map(|peer| NetworkPolicyEgressRule { to: Some(to(&peer.to)), ports: Some(ports(peer)) }).collect()
}

fn to(to: &To) -> Vec<NetworkPolicyPeer> {
    match to {
        To::Pods { namespace, labels } => vec![NetworkPolicyPeer {
            namespace_selector: Some(namespace_named(namespace)),
            pod_selector: Some(labelled(labels.clone())),
            ip_block: None,
        }],
        To::Addresses(addresses) => addresses.iter().map(|address| block(&exactly(address), &[])).collect(),
        To::Anywhere { private: false, .. } => {
            // fc00::/7 holds fd00:ec2::254, and an exception may not lie in another.
            let outside = NEVER_V6.iter().filter(|range| !range.starts_with("fd00")).chain(&PRIVATE_V6);
            let mut v6: Vec<_> = outside.copied().collect();
            v6.sort_unstable();
            vec![block("0.0.0.0/0", &[&NEVER_V4[..], &PRIVATE_V4].concat()), block("::/0", &v6)]
        }
        To::Anywhere { private: true, .. } => vec![block("0.0.0.0/0", &NEVER_V4), block("::/0", &NEVER_V6)],
    }
}

fn ports(peer: &Peer) -> Vec<NetworkPolicyPort> {
    let protocols: &[&str] = if peer.udp { &["UDP", "TCP"] } else { &["TCP"] };
    protocols.iter().map(|protocol| port(protocol, peer.port.clone())).collect()
}

/// One port.
pub fn port(protocol: &str, port: IntOrString) -> NetworkPolicyPort {
    NetworkPolicyPort { protocol: Some(protocol.to_owned()), port: Some(port), end_port: None }
}

/// Exactly this address.
fn exactly(address: &IpAddr) -> String {
    match address {
        IpAddr::V4(address) => format!("{address}/32"),
        IpAddr::V6(address) => format!("{address}/128"),
    }
}

fn block(cidr: &str, except: &[&str]) -> NetworkPolicyPeer {
    let except = (!except.is_empty()).then(|| except.iter().map(|&range| range.to_owned()).collect());
    NetworkPolicyPeer { ip_block: Some(IPBlock { cidr: cidr.to_owned(), except }), ..NetworkPolicyPeer::default() }
}

/// A namespace by its name: the API server sets this label itself.
pub fn namespace_named(name: &str) -> LabelSelector {
    labelled(BTreeMap::from([("kubernetes.io/metadata.name".to_owned(), name.to_owned())]))
}

/// Everything with these labels.
pub fn labelled(labels: BTreeMap<String, String>) -> LabelSelector {
    LabelSelector { match_labels: Some(labels), match_expressions: None }
}
