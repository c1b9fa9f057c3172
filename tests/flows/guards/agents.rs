//! Reviews of agents: stated by the caller, in their own name, with the verb `review`.

use aegis_crds::api::Agent;
use aegis_tests::install::shared;
use anyhow::{Context, Result, ensure};
use kube::ResourceExt as _;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::people::until_allowed;
use super::scene::refused;

const CALLER: &str = "spec.review.by must be the caller";
const VERB: &str = "changing spec.review needs the verb review on this agent";

/// ana reviews every agent, bob registers them, carol reviews only the agent `other`, dave responds to incidents.
const RIGHTS: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reviewers}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: aegis-reviewer}
subjects: [{kind: User, name: ana}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: registrars}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: aegis-registrar}
subjects: [{kind: User, name: bob}, {kind: User, name: carol}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: responders}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: aegis-responder}
subjects: [{kind: User, name: dave}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reviews-other}
rules: [{apiGroups: [aegis.dev], resources: [agents], resourceNames: [other], verbs: [review]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reviews-other}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reviews-other}
subjects: [{kind: User, name: carol}]
";

fn agent(name: &str, review: &Value) -> Result<Agent> {
    let mut spec = json!({
        "tenant": "acme", "businessUnit": "office", "owner": {"name": "Purchasing"}, "version": "1", "ceiling": "Commit",
        "workload": {"serviceAccountName": name},
    });
    if !review.is_null() {
        spec["review"] = review.clone();
    }
    Ok(serde_json::from_value(json!({
        "apiVersion": "aegis.dev/v1alpha1", "kind": "Agent", "metadata": {"name": name}, "spec": spec,
    }))?)
}

fn review(by: &str, digit: &str) -> Value {
    json!({"by": by, "at": "2026-05-04T08:00:00Z", "digest": format!("sha256:{}", digit.repeat(64))})
}

#[tokio::test]
async fn a_review_is_stated_in_ones_own_name_and_with_the_verb() -> Result<()> {
    let cluster = shared().await?;
    cluster
        .in_namespace("review", async |namespace| {
            namespace.apply("admin", RIGHTS, "flows").await?;
            for (user, verb, name) in [("ana", "review", "any"), ("bob", "create", ""), ("carol", "review", "other"), ("dave", "patch", "any")] {
                until_allowed(namespace, user, verb, "agents", name).await?;
            }
            let stated = |review: Value| json!({"review": review});
            // Each is done to an agent of its own; it has ana's review where the third column says so.
            #[rustfmt::skip] // One row, one line: behaviour, caller, whether it was reviewed, change of the spec, refusal.
            let rows: &[(&str, &str, bool, Value, Option<&str>)] = &[
                ("a_reviewer_reviews", "ana", false, stated(review("ana", "1")), None),
                ("a_reviewer_reviews_and_activates", "ana", false, json!({"review": review("ana", "1"), "lifecycle": "Active"}), None),
                ("a_reviewer_does_not_review_in_anothers_name", "ana", false, stated(review("bob", "1")), Some(CALLER)),
                ("a_registrar_does_not_review", "bob", false, stated(review("bob", "1")), Some(VERB)),
                ("a_registrar_does_not_review_in_a_reviewers_name", "bob", false, stated(review("ana", "1")), Some(CALLER)),
                ("the_verb_for_another_agent_is_not_enough", "carol", false, stated(review("carol", "1")), Some(VERB)),
                ("an_administrator_does_not_review_in_anothers_name", "admin", false, stated(review("ana", "1")), Some(CALLER)),
                ("a_review_is_not_moved_to_another_digest", "bob", true, stated(json!({"digest": review("", "2")["digest"]})), Some(CALLER)),
                ("a_review_is_not_made_to_last_longer", "bob", true, stated(json!({"expires": "2036-05-04T08:00:00Z"})), Some(CALLER)),
                ("a_review_does_not_change_hands", "bob", true, stated(json!({"by": "bob"})), Some(VERB)),
                ("a_reviewer_reviews_again", "ana", true, stated(review("ana", "2")), None),
                ("the_rest_can_change_under_a_review", "bob", true, json!({"version": "2"}), None),
                ("a_responder_suspends", "dave", true, json!({"lifecycle": "Suspended"}), None),
                ("a_review_can_be_taken_back", "bob", true, stated(Value::Null), None),
            ];
            let mut faults = Vec::new();
            for (number, (behaviour, caller, reviewed, change, refusal)) in rows.iter().enumerate() {
                let name = format!("agent-{number}");
                let maker = if *reviewed { "admin" } else { "bob" };
                let made = namespace.api::<Agent>(maker).await?;
                let mut before = made.create(&PostParams::default(), &agent(&name, &Value::Null)?).await?;
                if *reviewed {
                    let by_ana = Patch::Merge(json!({"spec": {"review": review("ana", "1")}}));
                    before = namespace.api("ana").await?.patch(&name, &PatchParams::default(), &by_ana).await?;
                }
                let answer: Result<Agent, _> = namespace
                    .api(caller)
                    .await?
                    .patch(&name, &PatchParams::default(), &Patch::Merge(json!({"spec": change})))
                    .await;
                let fault = match (refusal, answer) {
                    (Some(reason), answer) => refused(caller, answer, reason).err().map(|fault| format!("{fault:#}")),
                    (None, Ok(after)) if after.resource_version() != before.resource_version() => None,
                    (None, Ok(_)) => Some("nothing changed".to_owned()),
                    (None, Err(error)) => Some(format!("refused: {error}")),
                };
                faults.extend(fault.map(|fault| format!("{behaviour}: {fault}")));
            }
            ensure!(faults.is_empty(), "{} of {} went wrong:\n{}", faults.len(), rows.len(), faults.join("\n"));

            // The same for an agent that brings its review along.
            let bobs = namespace.api::<Agent>("bob").await?;
            for (by, reason) in [("bob", VERB), ("ana", CALLER)] {
                let answer = bobs.create(&PostParams::default(), &agent("born-reviewed", &review(by, "1"))?).await;
                refused("bob", answer, reason)?;
            }
            let carols = namespace.api::<Agent>("carol").await?;
            let stored = carols.create(&PostParams::default(), &agent("other", &review("carol", "1"))?).await?;
            ensure!(stored.spec.review.context("the review is missing")?.by == "carol");
            Ok(())
        })
        .await
}
