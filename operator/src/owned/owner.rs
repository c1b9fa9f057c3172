//! What every object that is made for an agent says about itself.

use std::collections::BTreeMap;

use aegis_crds::mesh::{AGENT_LABEL, COMPONENT_LABEL, GATEWAY};
use aegis_decision::agent::Agent;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{
    LabelSelector, LabelSelectorRequirement, ObjectMeta, OwnerReference,
};

use super::rules::labelled;

/// Label of what the operator makes.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Its value.
pub const OPERATOR: &str = "aegis-operator";

/// Name, owner and labels. The object goes with its Agent.
pub fn meta(agent: &Agent, name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(agent.namespace.clone()),
        labels: Some(BTreeMap::from([
            (AGENT_LABEL.to_owned(), agent.name.clone()),
            (MANAGED_BY.to_owned(), OPERATOR.to_owned()),
            ("app.kubernetes.io/part-of".to_owned(), "aegis".to_owned()),
        ])),
        owner_references: Some(vec![OwnerReference {
            api_version: "aegis.dev/v1alpha1".to_owned(),
            kind: "Agent".to_owned(),
            name: agent.name.clone(),
            uid: agent.uid.clone(),
            controller: Some(true),
            block_owner_deletion: None,
        }]),
        ..ObjectMeta::default()
    }
}

/// Labels of the pods of an agent's gateway.
pub fn gateway_labels(agent: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(AGENT_LABEL.to_owned(), agent.to_owned()), (COMPONENT_LABEL.to_owned(), GATEWAY.to_owned())])
}

/// The agent's own pods, its gateway's not.
pub fn agent_pods(agent: &str) -> LabelSelector {
    LabelSelector {
        match_expressions: Some(vec![LabelSelectorRequirement {
            key: COMPONENT_LABEL.to_owned(),
            operator: "NotIn".to_owned(),
            values: Some(vec![GATEWAY.to_owned()]),
        }]),
        ..labelled(BTreeMap::from([(AGENT_LABEL.to_owned(), agent.to_owned())]))
    }
}
