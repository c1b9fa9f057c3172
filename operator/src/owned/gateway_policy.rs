//! NetworkPolicy of a Sealed agent's gateway: in only from the agent's own pods, out to its tools and the mesh.

use aegis_crds::mesh::GATEWAY_PORT;
use aegis_crds::mesh::settings::Network;
use aegis_decision::agent::Agent;
use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicySpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::agent_policy::metrics;
use super::owner::{agent_pods, gateway_labels, meta};
use super::peers::Peer;
use super::rules::{egress, labelled, port};

/// Name of the policy.
pub fn name(agent: &str) -> String {
    format!("aegis-gateway-{agent}")
}

/// The policy.
pub fn build(agent: &Agent, network: &Network, mesh: &[Peer], own: &[Peer]) -> NetworkPolicy {
    let calls = NetworkPolicyIngressRule {
        from: Some(vec![NetworkPolicyPeer {
            pod_selector: Some(agent_pods(&agent.name)),
            ..NetworkPolicyPeer::default()
        }]),
        ports: Some(vec![port("TCP", IntOrString::Int(GATEWAY_PORT))]),
    };
    NetworkPolicy {
        metadata: meta(agent, &name(&agent.name)),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(labelled(gateway_labels(&agent.name))),
            policy_types: Some(vec!["Ingress".to_owned(), "Egress".to_owned()]),
            egress: Some([egress(mesh), egress(own)].concat()),
            ingress: Some([Some(calls), metrics(network)].into_iter().flatten().collect()),
        }),
    }
}

#[cfg(test)]
mod tests {
    use aegis_decision::egress::Level;

    use super::super::fixture;
    use super::*;

    #[test]
    fn a_gateway_takes_calls_of_its_agent_only() {
        let policy = build(&fixture::agent(Level::Sealed), &fixture::network(), &fixture::mesh(), &fixture::own());
        insta::assert_yaml_snapshot!(policy);
    }
}
