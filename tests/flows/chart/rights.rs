//! The operator's rights against what it does: everything that it asks for is granted, and what is granted is used in this flow or has its reason here.

use std::collections::BTreeSet;

use aegis_crds::api::Agent;
use aegis_tests::cluster::{AuditEvent, Cluster, Options, eventually};
use aegis_tests::install::{OPERATOR_ACCOUNT, OPERATOR_NAMESPACE, OPERATOR_USERNAME};
use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule, Role};
use kube::Api;
use serde_json::json;

use super::install::Installed;
use crate::shop::{BUYER, PATIENCE, Plan, in_shop_of};

/// Everything that is asked for, by whom, without the bodies.
const AUDIT: &str = "
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  userGroups: ['system:nodes']
- level: Metadata
";

/// Beginnings of `verb group/resource` that are granted and not used in the flow below: why all the same.
const UNUSED: [(&str, &str); 14] = [
    ("create ", "an apply that makes an object asks for create too, and is logged as a patch"),
    ("get aegis.dev/", "code for any kind reads single objects where it lists them in this flow"),
    ("patch aegis.dev/", "a status is patched or replaced, depending on the kind"),
    ("update aegis.dev/", "a status is patched or replaced, depending on the kind"),
    ("delete aegis.dev/approvalrequests", "ended requests are deleted after days"),
    ("update secrets", "the control service's authority is replaced after months"),
    ("patch configmaps", "sidecars are told of the new authority then"),
    ("patch events.k8s.io/events", "an Event that is repeated is patched"),
    ("patch pods/status", "written when a captured pod's probe has spoken: pods run on a node only"),
    ("list discovery.k8s.io/endpointslices", "asked where a tool is a Service of the cluster"),
    ("get cilium.io/", "where Cilium serves the kind"),
    ("list cilium.io/", "where Cilium serves the kind"),
    ("patch cilium.io/", "where Cilium serves the kind"),
    ("delete cilium.io/", "where Cilium serves the kind"),
];

fn rules(rules: Option<Vec<PolicyRule>>, granted: &mut BTreeSet<String>) {
    for rule in rules.unwrap_or_default() {
        for group in rule.api_groups.unwrap_or_default() {
            for resource in rule.resources.clone().unwrap_or_default() {
                for verb in &rule.verbs {
                    granted.insert(name(verb, &group, &resource));
                }
            }
        }
    }
}

fn name(verb: &str, group: &str, resource: &str) -> String {
    if group.is_empty() { format!("{verb} {resource}") } else { format!("{verb} {group}/{resource}") }
}

async fn granted(cluster: &Cluster) -> Result<BTreeSet<String>> {
    let admin = cluster.admin().await?;
    let everywhere: Api<ClusterRole> = Api::all(admin.clone());
    let at_home: Api<Role> = Api::namespaced(admin, OPERATOR_NAMESPACE);
    let mut granted = BTreeSet::new();
    rules(everywhere.get(OPERATOR_ACCOUNT).await?.rules, &mut granted);
    rules(at_home.get(OPERATOR_ACCOUNT).await?.rules, &mut granted);
    Ok(granted)
}

fn asked(event: &AuditEvent) -> Option<String> {
    let object = event.object_ref.as_ref()?;
    let resource = if object.subresource.is_empty() {
        object.resource.clone()
    } else {
        format!("{}/{}", object.resource, object.subresource)
    };
    Some(name(&event.verb, &object.api_group, &resource))
}

fn by_operator(event: &AuditEvent) -> bool {
    event.user.username.as_deref() == Some(OPERATOR_USERNAME)
}

#[tokio::test]
async fn the_operator_may_do_what_it_does_and_little_more() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let policy = folder.path().join("audit.yaml");
    std::fs::write(&policy, AUDIT)?;
    let options = Options::default().flag("kube-apiserver", &format!("--audit-policy-file={}", policy.display()));
    let installed = Installed::start(options, &[]).await?;
    installed.guarded().await?;
    let cluster = &installed.cluster;
    in_shop_of(cluster, "rights", Plan { operator: &["--leader-elect"], ..Plan::default() }, async |shop| {
        let (order, request) = shop.approved().await?;
        shop.until_confirmed(order).await?;
        shop.until_succeeded(&request).await?;
        // What a Sealed agent needs is made, and taken away when it is Mediated again.
        for (level, verb) in [("Sealed", "patch"), ("Mediated", "delete")] {
            let _: Agent = shop.patch("admin", BUYER, json!({"spec": {"enforcement": {"level": level}}})).await?;
            for object in
                ["apps/deployments", "services", "policy/poddisruptionbudgets", "networking.k8s.io/networkpolicies"]
            {
                let wanted = format!("{verb} {object}");
                eventually(&wanted, PATIENCE, async || {
                    let done = cluster.audit_events()?.iter().any(|one| {
                        by_operator(one)
                            && one.code() == Some(if verb == "patch" { 201 } else { 200 })
                            && asked(one).as_ref() == Some(&wanted)
                    });
                    ensure!(done, "not yet");
                    Ok(())
                })
                .await?;
            }
        }
        Ok(())
    })
    .await?;

    let events = cluster.audit_events()?;
    let own: Vec<&AuditEvent> = events.iter().filter(|one| by_operator(one)).collect();
    ensure!(own.len() > 50, "only {} requests of the operator are in the log", own.len());
    let refused: BTreeSet<String> =
        own.iter().filter(|one| one.code() == Some(403)).filter_map(|one| asked(one)).collect();
    ensure!(refused.is_empty(), "the operator asks for what it is not granted: {refused:?}");
    let used: BTreeSet<String> = own.iter().filter_map(|one| asked(one)).collect();
    let granted = granted(cluster).await?;
    let unused: Vec<&String> =
        granted.difference(&used).filter(|one| !UNUSED.iter().any(|(known, _)| one.starts_with(known))).collect();
    ensure!(unused.is_empty(), "granted, not used, and no reason is given: {unused:?}");
    for (known, why) in UNUSED {
        let stale = !granted.iter().any(|one| one.starts_with(known));
        ensure!(!stale, "nothing that is granted begins with {known:?} any more: {why}");
    }
    granted.iter().find(|one| one.ends_with(" secrets")).context("the operator reads its keys")?;
    Ok(())
}
