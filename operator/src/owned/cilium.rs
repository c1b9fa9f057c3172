//! `CiliumNetworkPolicy` of names: where Cilium is, a name is admitted as that name instead of as the whole internet.
//! Policies add up, so this one only adds what the NetworkPolicy then leaves out.

use aegis_decision::agent::Agent;
use aegis_decision::egress::Level;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::api::DynamicObject;
use kube::core::{ApiResource, GroupVersionKind, TypeMeta};
use serde_json::{Value, json};

use super::owner::{agent_pods, gateway_labels, meta};
use super::peers::{Peer, To};
use super::rules::labelled;

/// The kind, where it is served.
pub fn resource() -> ApiResource {
    let kind = GroupVersionKind::gvk("cilium.io", "v2", "CiliumNetworkPolicy");
    ApiResource::from_gvk_with_plural(&kind, "ciliumnetworkpolicies")
}

/// Name of the policy.
pub fn name(agent: &str) -> String {
    format!("aegis-names-{agent}")
}

/// Splits peers into those that a NetworkPolicy can say and those that only a name says.
pub fn split(peers: &[Peer]) -> (Vec<Peer>, Vec<Peer>) {
    peers.iter().cloned().partition(|peer| !matches!(peer.to, To::Anywhere { .. }))
}

/// The policy of the pods that send calls: the agent's own, or a Sealed one's gateway. None without names.
///
/// Names count as their addresses once the pod has asked for them, so questions go by Cilium's own DNS proxy.
pub fn build(agent: &Agent, names: &[Peer]) -> Option<DynamicObject> {
    let rules: Vec<Value> = names.iter().filter_map(rule).collect();
    if rules.is_empty() {
        return None;
    }
    let pods =
        if agent.level == Level::Sealed { labelled(gateway_labels(&agent.name)) } else { agent_pods(&agent.name) };
    let dns = json!({
        "toEndpoints": [{"matchLabels": {
            "k8s:io.kubernetes.pod.namespace": "kube-system", "k8s:k8s-app": "kube-dns",
        }}],
        "toPorts": [{
            "ports": [{"port": "53", "protocol": "ANY"}],
            "rules": {"dns": names.iter().filter_map(|peer| Some(selector(named(peer)?))).collect::<Vec<_>>()},
        }],
    });
    Some(DynamicObject {
        types: Some(TypeMeta { api_version: resource().api_version, kind: resource().kind }),
        metadata: meta(agent, &name(&agent.name)),
        data: json!({"spec": {
            "endpointSelector": pods,
            "egress": std::iter::once(dns).chain(rules).collect::<Vec<_>>(),
        }}),
    })
}

fn named(peer: &Peer) -> Option<&str> {
    match &peer.to {
        To::Anywhere { name, .. } => Some(name),
        To::Pods { .. } | To::Addresses(_) => None,
    }
}

fn rule(peer: &Peer) -> Option<Value> {
    let IntOrString::Int(port) = peer.port else { return None };
    Some(json!({
        "toFQDNs": [selector(named(peer)?)],
        "toPorts": [{"ports": [{"port": port.to_string(), "protocol": "TCP"}]}],
    }))
}

/// `**.` is Cilium's way to say any name below, at any depth; `*` alone stops at a dot.
fn selector(name: &str) -> Value {
    match name.strip_prefix("*.") {
        Some(parent) => json!({"matchPattern": format!("**.{parent}")}),
        None => json!({"matchName": name}),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    #[test]
    fn names_are_admitted_as_names() {
        let (said, names) = split(&fixture::own());
        assert_eq!((said.len(), names.len()), (2, 2));
        insta::assert_yaml_snapshot!(build(&fixture::agent(Level::Captured), &names));
        assert!(build(&fixture::agent(Level::Captured), &[]).is_none());
    }
}
