//! Deployment of a Sealed agent's gateway.

use std::collections::BTreeMap;

use aegis_crds::mesh::gateway::pod_spec;
use aegis_crds::mesh::{Brokered, GATEWAY_CONTAINER, Settings, gateway_name};
use aegis_decision::agent::Agent;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment};
use k8s_openapi::api::core::v1::{PodSpec, PodTemplateSpec, TopologySpreadConstraint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::owner::{gateway_labels, meta};
use super::rules::labelled;

/// Two, so that a node may go without the agent's calls going with it. What a call is judged by is the same for both.
const REPLICAS: i32 = 2;

/// The Deployment. A new version of the sidecar replaces one pod after the other, and none ends before another is ready.
pub fn build(agent: &Agent, settings: &Settings, brokered: &[Brokered]) -> Deployment {
    let labels = gateway_labels(&agent.name);
    let pod = pod_spec(settings, &agent.namespace, &agent.name, &agent.service_account, brokered);
    let spread = TopologySpreadConstraint {
        max_skew: 1,
        topology_key: "kubernetes.io/hostname".to_owned(),
        when_unsatisfiable: "ScheduleAnyway".to_owned(),
        label_selector: Some(labelled(labels.clone())),
        ..TopologySpreadConstraint::default()
    };
    let container =
        BTreeMap::from([("kubectl.kubernetes.io/default-container".to_owned(), GATEWAY_CONTAINER.to_owned())]);
    Deployment {
        metadata: meta(agent, &gateway_name(&agent.name)),
        spec: DeploymentSpec {
            replicas: Some(REPLICAS),
            selector: labelled(labels.clone()),
            strategy: Some(DeploymentStrategy {
                type_: Some("RollingUpdate".to_owned()),
                rolling_update: Some(RollingUpdateDeployment {
                    max_unavailable: Some(IntOrString::Int(0)),
                    max_surge: Some(IntOrString::Int(1)),
                }),
            }),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(labels),
                    annotations: Some(container),
                    ..ObjectMeta::default()
                }),
                spec: Some(PodSpec { topology_spread_constraints: Some(vec![spread]), ..pod }),
            },
            ..DeploymentSpec::default()
        },
        status: None,
    }
}

#[cfg(test)]
mod tests {
    use aegis_crds::mesh::inspect;
    use aegis_decision::egress::Level;
    use k8s_openapi::api::core::v1::Pod;

    use super::super::fixture;
    use super::*;

    #[test]
    fn the_gateways_pods_hold_the_credentials_and_are_governed() {
        let settings = fixture::settings();
        let deployment = build(&fixture::agent(Level::Sealed), &settings, &fixture::brokered());
        let template = deployment.spec.clone().template;
        let pod = Pod { metadata: template.metadata.unwrap(), spec: template.spec, status: None };
        assert!(inspect(&pod, "shop", "buyer", Level::Sealed, &settings).unwrap().gateway);
        insta::assert_yaml_snapshot!(deployment);
    }
}
