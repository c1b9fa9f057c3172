//! What is in force does not wait for statuses that say so.

use aegis_crds::api::ToolPolicy;
use aegis_tests::cluster::eventually;
use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::json;

use crate::shop::{PATIENCE, Plan, Shop, expect, in_shop};

/// Name of the policy and the binding that refuse.
const REFUSING: &str = "refuses-statuses-of-policies";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_status_that_the_api_server_refuses_holds_no_bundle_back() -> Result<()> {
    in_shop("refused", Plan::default(), async |shop| {
        expect(&shop.draft().await?, 200, None)?;
        let policies: Api<ToolPolicy> = shop.namespace.api("admin").await?;
        refuse(shop, &policies).await?;
        let quote = "  - name: quote\n";
        let closed =
            "  - name: closed\n    operations: [purchases.draft]\n    unconditional: true\n    effect: Deny\n\n";
        shop.change(&shop.policy()?, quote, &format!("{closed}{quote}")).await?;
        eventually("the new rule to reach the sidecar", PATIENCE, async || {
            expect(&shop.draft().await?, 403, Some("rule_denies"))
        })
        .await?;
        ensure!(!is_told(&policies).await?, "the status was written");

        let admin = shop.cluster().admin().await?;
        let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(admin.clone());
        bindings.delete(REFUSING, &DeleteParams::default()).await?;
        Api::<ValidatingAdmissionPolicy>::all(admin).delete(REFUSING, &DeleteParams::default()).await?;
        eventually("the status to be written at last", PATIENCE, async || {
            ensure!(is_told(&policies).await?, "it is not");
            Ok(())
        })
        .await
    })
    .await
}

/// From now on the API server refuses every status of a policy in the shop's namespace.
async fn refuse(shop: &Shop<'_>, policies: &Api<ToolPolicy>) -> Result<()> {
    let rule = json!({"apiGroups": ["aegis.dev"], "apiVersions": ["*"], "operations": ["UPDATE"], "resources": ["toolpolicies/status"]});
    let refusing = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": REFUSING},
        "spec": {
            "matchConstraints": {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": shop.namespace.name()}},
                "resourceRules": [rule],
            },
            "validations": [{"expression": "false", "message": REFUSING}],
        },
    });
    let binding = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": REFUSING}, "spec": {"policyName": REFUSING, "validationActions": ["Deny"]},
    });
    let admin = shop.cluster().admin().await?;
    let (refusing, binding) = (serde_json::from_value(refusing)?, serde_json::from_value(binding)?);
    Api::<ValidatingAdmissionPolicy>::all(admin.clone()).create(&PostParams::default(), &refusing).await?;
    Api::<ValidatingAdmissionPolicyBinding>::all(admin).create(&PostParams::default(), &binding).await?;
    eventually("statuses to be refused", PATIENCE, async || {
        let change = Patch::Merge(json!({"status": {}}));
        match policies.patch_status("purchasing", &PatchParams::default(), &change).await {
            Err(kube::Error::Api(status)) if status.message.contains(REFUSING) => Ok(()),
            Err(other) => Err(other.into()),
            Ok(_) => bail!("one was written"),
        }
    })
    .await
}

/// Whether the policy's status is of what the policy is now.
async fn is_told(policies: &Api<ToolPolicy>) -> Result<bool> {
    let policy = policies.get("purchasing").await?;
    let status = policy.status.context("no status")?;
    let ready = status.conditions.iter().find(|condition| condition.type_ == "Ready").context("no condition")?;
    Ok(ready.observed_generation == policy.metadata.generation)
}
