//! Leaving Enforce, a lower level, a higher ceiling, and taking a policy out of force on a share of the runs: with the
//! verb `relax`.

use aegis_crds::api::{Agent, ToolPolicy};
use aegis_tests::install::shared;
use anyhow::{Result, ensure};
use kube::ResourceExt as _;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::people::until_allowed;
use super::scene::refused;

const AGENT: &str = "needs the verb relax on this agent";
const LEVEL: &str = "a lower spec.enforcement.level needs the verb relax on this agent";
const CEILING: &str = "a higher spec.ceiling needs the verb relax on this agent";
const POLICY: &str = "needs the verb relax on this policy";
const REPLACED: &str = "needs the verb relax on the policy that is replaced";

/// Both register agents and write policies; ana may relax all of them, bob only what is called `other`.
const RIGHTS: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: registrars}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: aegis-registrar}
subjects: [{kind: User, name: ana}, {kind: User, name: bob}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: authors}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: aegis-policy-author}
subjects: [{kind: User, name: ana}, {kind: User, name: bob}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: relaxes}
rules: [{apiGroups: [aegis.dev], resources: [agents, toolpolicies], verbs: [relax]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: relaxes}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: relaxes}
subjects: [{kind: User, name: ana}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: relaxes-other}
rules: [{apiGroups: [aegis.dev], resources: [agents, toolpolicies], resourceNames: [other], verbs: [relax]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: relaxes-other}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: relaxes-other}
subjects: [{kind: User, name: bob}]
";

/// An agent of this mode, level and ceiling.
fn agent(name: &str, (mode, level, ceiling): Kind) -> Result<Agent> {
    Ok(serde_json::from_value(json!({
        "apiVersion": "aegis.dev/v1alpha1", "kind": "Agent", "metadata": {"name": name}, "spec": {
            "tenant": "acme", "businessUnit": "office", "owner": {"name": "Purchasing"}, "version": "1",
            "ceiling": ceiling, "workload": {"serviceAccountName": name}, "enforcement": {"mode": mode, "level": level},
        },
    }))?)
}

/// Mode, level and ceiling.
type Kind = (&'static str, &'static str, &'static str);

/// A policy with these members beside a rule.
fn policy(name: &str, members: &Value) -> Result<ToolPolicy> {
    let mut spec = json!({"tools": ["erp"], "rules": [
        {"name": "all", "operations": ["*"], "unconditional": true, "effect": "Allow"}]});
    for (key, value) in members.as_object().into_iter().flatten() {
        spec[key] = value.clone();
    }
    Ok(serde_json::from_value(json!({
        "apiVersion": "aegis.dev/v1alpha1", "kind": "ToolPolicy", "metadata": {"name": name}, "spec": spec,
    }))?)
}

#[tokio::test]
async fn an_agent_is_enforced_less_only_with_the_verb() -> Result<()> {
    let cluster = shared().await?;
    cluster
        .in_namespace("relax-agents", async |namespace| {
            namespace.apply("admin", RIGHTS, "flows").await?;
            for (user, verb, name) in [("ana", "relax", "any"), ("bob", "patch", "any"), ("bob", "relax", "other")] {
                until_allowed(namespace, user, verb, "agents", name).await?;
            }
            let of_mode = |mode| (mode, "Captured", "Draft");
            let of_level = |level| ("Enforce", level, "Draft");
            let of_ceiling = |ceiling| ("Enforce", "Captured", ceiling);
            #[rustfmt::skip] // One row, one line: behaviour, caller, before, after, refusal.
            let rows: [(&str, &str, Kind, Kind, Option<&str>); 17] = [
                ("audited_without_the_verb", "bob", of_mode("Enforce"), of_mode("Audit"), Some(AGENT)),
                ("proposing_without_the_verb", "bob", of_mode("Enforce"), of_mode("Propose"), Some(AGENT)),
                ("from_proposing_to_audited", "bob", of_mode("Propose"), of_mode("Audit"), Some(AGENT)),
                ("audited_with_the_verb", "ana", of_mode("Enforce"), of_mode("Audit"), None),
                ("proposing_with_the_verb", "ana", of_mode("Enforce"), of_mode("Propose"), None),
                ("back_to_enforced", "bob", of_mode("Audit"), of_mode("Enforce"), None),
                ("from_audited_to_proposing", "bob", of_mode("Audit"), of_mode("Propose"), None),
                ("from_proposing_to_enforced", "bob", of_mode("Propose"), of_mode("Enforce"), None),
                ("something_else_of_an_audited_agent", "bob", of_mode("Audit"), of_mode("Audit"), None),
                ("kept_in_less", "bob", of_level("Captured"), of_level("Mediated"), Some(LEVEL)),
                ("kept_in_by_packet_rules_alone", "bob", of_level("Sealed"), of_level("Captured"), Some(LEVEL)),
                ("kept_in_less_with_the_verb", "ana", of_level("Sealed"), of_level("Mediated"), None),
                ("kept_in_more", "bob", of_level("Mediated"), of_level("Captured"), None),
                ("a_higher_ceiling", "bob", of_ceiling("Draft"), of_ceiling("Commit"), Some(CEILING)),
                ("from_reading_to_drafts", "bob", of_ceiling("Read"), of_ceiling("Draft"), Some(CEILING)),
                ("a_higher_ceiling_with_the_verb", "ana", of_ceiling("Read"), of_ceiling("Commit"), None),
                ("a_lower_ceiling", "bob", of_ceiling("Commit"), of_ceiling("Read"), None),
            ];
            let mut faults = Vec::new();
            for (number, (behaviour, caller, from, to, refusal)) in rows.iter().enumerate() {
                let name = format!("agent-{number}");
                let made = namespace.api::<Agent>("admin").await?;
                let before = made.create(&PostParams::default(), &agent(&name, *from)?).await?;
                let enforcement = json!({"mode": to.0, "level": to.1});
                let changed = json!({"version": "2", "ceiling": to.2, "enforcement": enforcement});
                let change = Patch::Merge(json!({"spec": changed}));
                let api = namespace.api::<Agent>(caller).await?;
                let answer = api.patch(&name, &PatchParams::default(), &change).await;
                let fault = match (refusal, answer) {
                    (Some(reason), answer) => refused(caller, answer, reason).err().map(|fault| format!("{fault:#}")),
                    (None, Ok(after)) if after.resource_version() != before.resource_version() => None,
                    (None, Ok(_)) => Some("nothing changed".to_owned()),
                    (None, Err(error)) => Some(format!("refused: {error}")),
                };
                faults.extend(fault.map(|fault| format!("{behaviour}: {fault}")));
            }
            ensure!(faults.is_empty(), "{} of {} went wrong:\n{}", faults.len(), rows.len(), faults.join("\n"));
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_policy_leaves_force_only_with_the_verb() -> Result<()> {
    let cluster = shared().await?;
    cluster
        .in_namespace("relax-policies", async |namespace| {
            namespace.apply("admin", RIGHTS, "flows").await?;
            for (user, verb, name) in [("ana", "relax", "any"), ("bob", "patch", "any"), ("bob", "relax", "other")] {
                until_allowed(namespace, user, verb, "toolpolicies", name).await?;
            }
            let share = |percent: u8| json!({"rollout": {"percent": percent}});
            let for_old = |percent: u8| json!({"rollout": {"percent": percent, "replaces": "old"}});
            let for_other = |percent: u8| json!({"rollout": {"percent": percent, "replaces": "other"}});
            let (enforced, audited) = (json!({"mode": "Enforce"}), json!({"mode": "Audit"}));
            let whole = json!({"rollout": null});
            let replacing_for = |agents: Value| json!({"rollout": {"percent": 10, "replaces": "old"}, "agents": agents});
            #[rustfmt::skip] // One row, one line: behaviour, caller, members before, change, refusal.
            let rows: &[(&str, &str, Value, Value, Option<&str>)] = &[
                ("audited_without_the_verb", "bob", enforced.clone(), audited.clone(), Some(POLICY)),
                ("audited_with_the_verb", "ana", enforced.clone(), audited.clone(), None),
                ("enforced_again", "bob", audited.clone(), enforced.clone(), None),
                ("a_share_of_what_was_whole", "bob", enforced.clone(), share(99), Some(POLICY)),
                ("a_smaller_share", "bob", share(50), share(49), Some(POLICY)),
                ("a_larger_share", "bob", share(50), share(51), None),
                ("all_runs_again", "bob", share(50), whole, None),
                ("in_place_of_another", "bob", share(10), for_old(10), Some(REPLACED)),
                ("on_more_runs_in_place_of_another", "bob", for_old(10), for_old(20), Some(REPLACED)),
                ("on_more_runs_in_place_of_one_that_may_be_relaxed", "bob", for_other(10), for_other(20), None),
                ("in_place_of_another_with_the_verb", "ana", share(10), for_old(20), None),
                ("for_all_agents_in_place_of_another", "bob", replacing_for(json!(["a"])), json!({"agents": null}), Some(REPLACED)),
                ("for_another_agent_in_place_of_another", "bob", replacing_for(json!(["a"])), json!({"agents": ["b"]}), Some(REPLACED)),
                ("for_another_tool_in_place_of_another", "bob", for_old(10), json!({"tools": ["erp", "bank"]}), Some(REPLACED)),
                ("for_all_agents_with_the_verb", "ana", replacing_for(json!(["a"])), json!({"agents": null}), None),
                ("something_else_in_place_of_another", "bob", replacing_for(json!(["a"])), json!({"rules": [{"name": "some", "operations": ["*"], "unconditional": true, "effect": "Allow"}]}), None),
                ("on_no_run_in_place_of_another", "bob", share(0), for_old(0), None),
            ];
            let mut faults = Vec::new();
            for (number, (behaviour, caller, from, change, refusal)) in rows.iter().enumerate() {
                let name = format!("policy-{number}");
                let made = namespace.api::<ToolPolicy>("admin").await?;
                let before = made.create(&PostParams::default(), &policy(&name, from)?).await?;
                let api = namespace.api::<ToolPolicy>(caller).await?;
                let change = Patch::Merge(json!({"spec": change}));
                let answer = api.patch(&name, &PatchParams::default(), &change).await;
                let fault = match (refusal, answer) {
                    (Some(reason), answer) => refused(caller, answer, reason).err().map(|fault| format!("{fault:#}")),
                    (None, Ok(after)) if after.resource_version() != before.resource_version() => None,
                    (None, Ok(_)) => Some("nothing changed".to_owned()),
                    (None, Err(error)) => Some(format!("refused: {error}")),
                };
                faults.extend(fault.map(|fault| format!("{behaviour}: {fault}")));
            }
            ensure!(faults.is_empty(), "{} of {} went wrong:\n{}", faults.len(), rows.len(), faults.join("\n"));

            // The same for a policy that takes another's place from its beginning.
            let bobs = namespace.api::<ToolPolicy>("bob").await?;
            refused("bob", bobs.create(&PostParams::default(), &policy("born", &for_old(1))?).await, REPLACED)?;
            bobs.create(&PostParams::default(), &policy("born-for-other", &for_other(1))?).await?;
            bobs.create(&PostParams::default(), &policy("born-audited", &audited)?).await?;
            Ok(())
        })
        .await
}
