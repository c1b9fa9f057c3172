//! `PodDisruptionBudget` of a Sealed agent's gateway: a drained node takes one pod at a time.

use aegis_crds::mesh::gateway_name;
use aegis_decision::agent::Agent;
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::owner::{gateway_labels, meta};
use super::rules::labelled;

/// The budget.
pub fn build(agent: &Agent) -> PodDisruptionBudget {
    PodDisruptionBudget {
        metadata: meta(agent, &gateway_name(&agent.name)),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(labelled(gateway_labels(&agent.name))),
            ..PodDisruptionBudgetSpec::default()
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
    fn one_pod_at_a_time() {
        insta::assert_yaml_snapshot!(build(&fixture::agent(Level::Sealed)));
    }
}
