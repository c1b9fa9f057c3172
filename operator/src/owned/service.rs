//! Service of a Sealed agent's gateway: the name that the agent's sidecars know.

use aegis_crds::mesh::{GATEWAY_PORT, gateway_name};
use aegis_decision::agent::Agent;
use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::owner::{gateway_labels, meta};

/// The Service.
pub fn build(agent: &Agent) -> Service {
    Service {
        metadata: meta(agent, &gateway_name(&agent.name)),
        spec: Some(ServiceSpec {
            selector: Some(gateway_labels(&agent.name)),
            ports: Some(vec![ServicePort {
                name: Some("gateway".to_owned()),
                port: GATEWAY_PORT,
                protocol: Some("TCP".to_owned()),
                target_port: Some(IntOrString::Int(GATEWAY_PORT)),
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

#[cfg(test)]
mod tests {
    use aegis_decision::egress::Level;

    use super::super::fixture;
    use super::*;

    #[test]
    fn it_leads_to_the_gateways_pods() {
        insta::assert_yaml_snapshot!(build(&fixture::agent(Level::Sealed)));
    }
}
