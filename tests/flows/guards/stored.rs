//! The operator recognises the guards that it ships as the server stores them, and everything that was done to them.
//!
//! These tests change guards, so each has a server of its own.

use aegis_operator::guards::{Fault, Guards};
use aegis_tests::cluster::{Cluster, Options, eventually};
use aegis_tests::install::{OPERATOR_ACCOUNT, OPERATOR_NAMESPACE, install};
use anyhow::{Context, Result, ensure};
use kube::api::{DeleteParams, DynamicObject, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client};
use serde_json::{Value, json};

use super::scene::{PATIENCE, account};

const POLICY: &str = "ValidatingAdmissionPolicy";
const BINDING: &str = "ValidatingAdmissionPolicyBinding";
const STAMP: &str = "MutatingAdmissionPolicy";
const STAMP_BINDING: &str = "MutatingAdmissionPolicyBinding";
const DEFINITION: &str = "CustomResourceDefinition";

/// What an administrator could do to a guard, short of deleting it: behaviour, kind, name, change of its spec.
type Alteration = (&'static str, &'static str, &'static str, fn(&mut Value));

#[rustfmt::skip] // One row, one line.
const ALTERATIONS: [Alteration; 13] = [
    ("a_rule_that_lets_everything_pass", POLICY, "aegis-approvals", |spec| spec["validations"][5]["expression"] = "true".into()),
    ("a_policy_with_a_rule_less", POLICY, "aegis-delegations", |spec| { spec["validations"].as_array_mut().and_then(Vec::pop); }),
    ("a_policy_that_fails_open", POLICY, "aegis-approvals", |spec| spec["failurePolicy"] = "Ignore".into()),
    ("a_policy_with_an_exception", POLICY, "aegis-approvals", |spec| spec["matchConditions"] = json!([{"name": "not-ana", "expression": "request.userInfo.username != 'ana'"}])),
    ("a_policy_for_some_namespaces", POLICY, "aegis-agents", |spec| spec["matchConstraints"]["namespaceSelector"] = json!({"matchLabels": {"guarded": "yes"}})),
    ("a_policy_for_some_objects", POLICY, "aegis-approvals", |spec| spec["matchConstraints"]["objectSelector"] = json!({"matchLabels": {"guarded": "yes"}})),
    ("a_policy_for_exact_versions", POLICY, "aegis-approvals", |spec| spec["matchConstraints"]["matchPolicy"] = "Exact".into()),
    ("a_policy_without_deletions", POLICY, "aegis-approvals", |spec| spec["matchConstraints"]["resourceRules"][0]["operations"] = json!(["CREATE", "UPDATE"])),
    ("a_binding_that_only_audits", BINDING, "aegis-approvals", |spec| spec["validationActions"] = json!(["Audit"])),
    ("a_binding_for_some_namespaces", BINDING, "aegis-delegations", |spec| spec["matchResources"] = json!({"namespaceSelector": {"matchLabels": {"guarded": "yes"}}})),
    ("a_stamp_that_is_off", STAMP, "aegis-approver-stamp", |spec| spec["matchConditions"][0]["expression"] = "false".into()),
    ("a_request_definition_with_a_rule_less", DEFINITION, "approvalrequests.aegis.dev", |spec| { rules(spec).and_then(Vec::pop); }),
    ("a_delegation_definition_with_a_rule_less", DEFINITION, "delegations.aegis.dev", |spec| { rules(spec).and_then(Vec::pop); }),
];

fn rules(spec: &mut Value) -> Option<&mut Vec<Value>> {
    let pointer = "/versions/0/schema/openAPIV3Schema/properties/spec/x-kubernetes-validations";
    spec.pointer_mut(pointer).and_then(Value::as_array_mut)
}

/// The operator's look at the guards, with the rights of its own account.
async fn guarded() -> Result<(Cluster, Guards, Client)> {
    let cluster = Cluster::start(Options::default()).await?;
    install(&cluster).await?;
    let operator = account(&cluster, OPERATOR_NAMESPACE, OPERATOR_ACCOUNT).await?;
    let guards = Guards::shipped()?;
    // Its rights reach the server a moment after they were stored.
    eventually("the guards to be as shipped", PATIENCE, async || {
        let faults = guards.faults(&operator).await;
        ensure!(faults.is_empty(), "{faults:?}");
        Ok(())
    })
    .await?;
    Ok((cluster, guards, operator))
}

#[tokio::test]
async fn the_operator_finds_the_stored_guards_unchanged_and_names_each_altered_one() -> Result<()> {
    let (cluster, guards, operator) = guarded().await?;
    let admin = cluster.admin().await?;
    for (behaviour, kind, name, change) in ALTERATIONS {
        let api = guards_of(&admin, kind);
        let shipped = api.get(name).await?.data["spec"].clone();
        let mut altered = shipped.clone();
        change(&mut altered);
        ensure!(altered != shipped, "{behaviour}: nothing is changed");
        put_spec(&api, name, &altered).await.with_context(|| behaviour)?;
        let faults = guards.faults(&operator).await;
        ensure!(faults == [Fault::Altered(format!("{kind} {name}"))], "{behaviour}: {faults:?}");
        put_spec(&api, name, &shipped).await?;
        let faults = guards.faults(&operator).await;
        ensure!(faults.is_empty(), "{behaviour} was undone: {faults:?}");
    }
    Ok(())
}

#[tokio::test]
async fn the_operator_names_each_missing_guard() -> Result<()> {
    let (cluster, guards, operator) = guarded().await?;
    let admin = cluster.admin().await?;
    let mut expected = Vec::new();
    for (kind, name) in [
        (BINDING, "aegis-agents"),
        (POLICY, "aegis-approvals"),
        (BINDING, "aegis-delegations"),
        (STAMP, "aegis-approver-stamp"),
        (STAMP_BINDING, "aegis-requested-by-stamp"),
    ] {
        guards_of(&admin, kind).delete(name, &DeleteParams::default()).await?;
        expected.push(Fault::Missing(format!("{kind} {name}")));
        let faults = guards.faults(&operator).await;
        ensure!(
            faults.len() == expected.len() && expected.iter().all(|fault| faults.contains(fault)),
            "wanted {expected:?}, found {faults:?}"
        );
    }
    // Installing again mends it.
    install(&cluster).await?;
    let faults = guards.faults(&operator).await;
    ensure!(faults.is_empty(), "{faults:?}");
    Ok(())
}

/// Replaces a spec whole. The server's own controllers write the status of a guard at any time, so a conflict is tried again.
async fn put_spec(guards: &Api<DynamicObject>, name: &str, spec: &Value) -> Result<()> {
    eventually(&format!("another spec of {name}"), PATIENCE, async || {
        let mut object = guards.get(name).await?;
        object.data["spec"] = spec.clone();
        Ok(guards.replace(name, &PostParams::default(), &object).await.map(drop)?)
    })
    .await
}

fn guards_of(client: &Client, kind: &str) -> Api<DynamicObject> {
    let (group, plural) = match kind {
        POLICY => ("admissionregistration.k8s.io", "validatingadmissionpolicies"),
        BINDING => ("admissionregistration.k8s.io", "validatingadmissionpolicybindings"),
        STAMP => ("admissionregistration.k8s.io", "mutatingadmissionpolicies"),
        STAMP_BINDING => ("admissionregistration.k8s.io", "mutatingadmissionpolicybindings"),
        _ => ("apiextensions.k8s.io", "customresourcedefinitions"),
    };
    let kind = GroupVersionKind::gvk(group, "v1", kind);
    Api::all_with(client.clone(), &ApiResource::from_gvk_with_plural(&kind, plural))
}
