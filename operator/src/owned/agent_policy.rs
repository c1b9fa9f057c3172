//! NetworkPolicy of an agent's own pods: out only to what the agent needs, in as before but for the sidecar's admin port.
//!
//! What the agent itself serves stays open to whoever could reach it: which ports a pod declares is bound by its capture,
//! not by this policy. So ingress lets every port through but 15020, and that one from `network.metricsFrom` only.

use aegis_crds::mesh::settings::Network;
use aegis_crds::mesh::{ADMIN_PORT, GATEWAY_PORT};
use aegis_decision::agent::Agent;
use aegis_decision::egress::Level;
use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort,
    NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::owner::{agent_pods, gateway_labels, meta};
use super::peers::Peer;
use super::rules::{egress, labelled, port};

/// Name of the policy.
pub fn name(agent: &str) -> String {
    format!("aegis-agent-{agent}")
}

/// The policy. `mesh` are control service and DNS, `own` tools and egress hosts: a Sealed agent reaches those by its
/// gateway only.
pub fn build(agent: &Agent, network: &Network, mesh: &[Peer], own: &[Peer]) -> NetworkPolicy {
    let mut rules = egress(mesh);
    if agent.level == Level::Sealed {
        rules.push(to_gateway(&agent.name));
    } else {
        rules.extend(egress(own));
    }
    NetworkPolicy {
        metadata: meta(agent, &name(&agent.name)),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(agent_pods(&agent.name)),
            policy_types: Some(vec!["Ingress".to_owned(), "Egress".to_owned()]),
            egress: Some(rules),
            ingress: Some([Some(served()), metrics(network)].into_iter().flatten().collect()),
        }),
    }
}

fn to_gateway(agent: &str) -> NetworkPolicyEgressRule {
    NetworkPolicyEgressRule {
        to: Some(vec![NetworkPolicyPeer {
            pod_selector: Some(labelled(gateway_labels(agent))),
            ..NetworkPolicyPeer::default()
        }]),
        ports: Some(vec![port("TCP", IntOrString::Int(GATEWAY_PORT))]),
    }
}

/// Everything but the admin port.
fn served() -> NetworkPolicyIngressRule {
    let range = |protocol: &str, first, last| NetworkPolicyPort {
        end_port: Some(last),
        ..port(protocol, IntOrString::Int(first))
    };
    NetworkPolicyIngressRule {
        from: None,
        ports: Some(vec![
            range("TCP", 1, ADMIN_PORT - 1),
            range("TCP", ADMIN_PORT + 1, 65_535),
            range("UDP", 1, 65_535),
        ]),
    }
}

/// The admin port, from where metrics are read.
pub fn metrics(network: &Network) -> Option<NetworkPolicyIngressRule> {
    (!network.metrics_from.is_empty()).then(|| NetworkPolicyIngressRule {
        from: Some(vec![NetworkPolicyPeer {
            namespace_selector: Some(labelled(network.metrics_from.clone())),
            ..NetworkPolicyPeer::default()
        }]),
        ports: Some(vec![port("TCP", IntOrString::Int(ADMIN_PORT))]),
    })
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    #[test]
    fn a_captured_agent_reaches_its_tools_and_the_mesh() {
        let policy = build(&fixture::agent(Level::Captured), &fixture::network(), &fixture::mesh(), &fixture::own());
        insta::assert_yaml_snapshot!(policy);
    }

    #[test]
    fn a_sealed_agent_reaches_its_gateway_and_the_mesh() {
        let network = Network { metrics_from: std::collections::BTreeMap::new(), ..fixture::network() };
        let policy = build(&fixture::agent(Level::Sealed), &network, &fixture::mesh(), &fixture::own());
        insta::assert_yaml_snapshot!(policy);
    }
}
