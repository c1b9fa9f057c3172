//! Delegations: who asks is stamped, another's authority is lent only with the verb for it, and what was lent is fixed but for ending it early.

use aegis_crds::api::Delegation;
use aegis_tests::cluster::TestNamespace;
use aegis_tests::install::shared;
use anyhow::{Context, Result, ensure};
use kube::ResourceExt as _;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::people::until_allowed;
use super::scene::refused;

const ASKER: &str = "spec.requestedBy must be the caller";
const AUTHORITY: &str = "the caller needs the verb delegate-for on delegators/<spec.delegator>";
const TASK: &str = "the caller needs the verb delegate-for on delegators/<spec.requester>";
const PERSON: &str = "a person lends authority and has the task: no account whose name begins with system: does";
const ENDING: &str =
    "a Delegation is ended by its delegator, its requester, or whoever has the verb revoke on delegations";

/// All but dave lend authority; erin may do so for carol, and put tasks on ana; dave responds to incidents.
const RIGHTS: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: delegators}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: aegis-delegator}
subjects:
- {kind: User, name: ana}
- {kind: User, name: bob}
- {kind: User, name: carol}
- {kind: User, name: erin}
- {kind: User, name: mallory}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: responders}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: aegis-responder}
subjects: [{kind: User, name: dave}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: for-carol}
rules: [{apiGroups: [aegis.dev], resources: [delegators], resourceNames: [carol, ana], verbs: [delegate-for]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: for-carol}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: for-carol}
subjects: [{kind: User, name: erin}]
";

async fn among_delegators(prefix: &str, test: impl AsyncFnOnce(&TestNamespace<'_>) -> Result<()>) -> Result<()> {
    let cluster = shared().await?;
    cluster
        .in_namespace(prefix, async |namespace| {
            namespace.apply("admin", RIGHTS, "flows").await?;
            for (user, verb, resource, name) in [
                ("ana", "create", "delegations", ""),
                ("mallory", "create", "delegations", ""),
                ("dave", "revoke", "delegations", ""),
                ("erin", "delegate-for", "delegators", "carol"),
            ] {
                until_allowed(namespace, user, verb, resource, name).await?;
            }
            test(namespace).await
        })
        .await
}

/// A delegation by `delegator`; `change` is laid over its spec.
fn delegation(name: &str, delegator: &str, change: &Value) -> Result<Delegation> {
    let mut spec = json!({
        "agent": "buyer", "delegator": delegator, "workflow": "purchasing", "purpose": "Buy paper.",
        "grants": [{"tool": "erp", "operations": ["purchase.create", "purchase.confirm"]}],
        "notBefore": "2026-05-04T08:00:00Z", "expiresAt": "2026-06-04T08:00:00Z",
    });
    for (key, value) in change.as_object().context("a change is an object")? {
        spec[key] = value.clone();
    }
    Ok(serde_json::from_value(json!({
        "apiVersion": "aegis.dev/v1alpha1", "kind": "Delegation", "metadata": {"name": name}, "spec": spec,
    }))?)
}

#[tokio::test]
async fn who_asks_is_stamped_and_authority_is_lent_by_whom_it_belongs_to() -> Result<()> {
    among_delegators("lent", async |namespace| {
        #[rustfmt::skip] // One row, one line: behaviour, caller, delegator, the rest of the spec, refusal.
        let rows: &[(&str, &str, &str, Value, Option<&str>)] = &[
            ("the_asker_is_filled_in", "ana", "ana", json!({}), None),
            ("the_asker_may_be_named", "ana", "ana", json!({"requestedBy": "ana"}), None),
            ("another_asker_is_refused", "ana", "ana", json!({"requestedBy": "bob"}), Some(ASKER)),
            ("another_asker_is_refused_even_with_every_right", "admin", "admin", json!({"requestedBy": "ana"}), Some(ASKER)),
            ("anothers_authority_is_not_lent", "ana", "bob", json!({}), Some(AUTHORITY)),
            ("anothers_authority_is_not_lent_in_their_name", "ana", "bob", json!({"requestedBy": "bob"}), Some(ASKER)),
            ("anothers_authority_is_lent_with_the_verb", "erin", "carol", json!({}), None),
            ("the_verb_for_one_is_no_verb_for_another", "erin", "bob", json!({}), Some(AUTHORITY)),
            ("a_task_is_not_put_on_another", "ana", "ana", json!({"requester": "carol"}), Some(TASK)),
            ("a_task_is_put_on_another_with_the_verb", "erin", "erin", json!({"requester": "carol"}), None),
            ("a_task_is_not_put_on_another_with_the_verb_for_a_third", "erin", "carol", json!({"requester": "bob"}), Some(TASK)),
            ("the_asker_may_be_the_requester", "erin", "carol", json!({"requester": "erin"}), None),
            ("a_workload_lends_no_authority", "admin", "system:serviceaccount:shop:robot", json!({}), Some(PERSON)),
            ("a_workload_has_no_task", "admin", "admin", json!({"requester": "system:serviceaccount:shop:robot"}), Some(PERSON)),
            ("the_delegator_may_be_the_requester", "erin", "carol", json!({"requester": "carol"}), None),
        ];
        let mut faults = Vec::new();
        for (number, (behaviour, caller, delegator, change, refusal)) in rows.iter().enumerate() {
            let wanted = delegation(&format!("lent-{number}"), delegator, change)?;
            let api = namespace.api::<Delegation>(caller).await?;
            let answer = api.create(&PostParams::default(), &wanted).await;
            let fault = match (refusal, answer) {
                (Some(reason), answer) => refused(caller, answer, reason).err().map(|fault| format!("{fault:#}")),
                (None, Ok(stored)) if stored.spec.requested_by.as_deref() == Some(caller) => None,
                (None, Ok(stored)) => Some(format!("requestedBy is {:?}", stored.spec.requested_by)),
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
async fn what_was_lent_is_fixed_but_for_ending_it_early() -> Result<()> {
    among_delegators("fixed", async |namespace| {
        const FIXED: &str = "is immutable";
        let earlier = || json!({"expiresAt": "2026-05-05T08:00:00Z"});
        let revoked = || json!({"revoked": true});
        // Each is done to a delegation of its own: erin asked for it, under carol's authority, for a task of ana's.
        #[rustfmt::skip] // One row, one line: behaviour, caller, change, refusal.
        let rows: &[(&str, &str, Value, Option<&str>)] = &[
            ("the_agent_is_fixed", "carol", json!({"agent": "other"}), Some("agent is immutable")),
            ("the_asker_is_fixed", "carol", json!({"requestedBy": "carol"}), Some("requestedBy is immutable")),
            ("the_asker_cannot_be_dropped", "carol", json!({"requestedBy": null}), Some("requestedBy is immutable")),
            ("the_delegator_is_fixed", "carol", json!({"delegator": "mallory"}), Some("delegator is immutable")),
            ("the_requester_is_fixed", "carol", json!({"requester": "mallory"}), Some("requester is immutable")),
            ("the_requester_cannot_be_dropped", "carol", json!({"requester": null}), Some("requester is immutable")),
            ("the_workflow_is_fixed", "carol", json!({"workflow": "payments"}), Some("workflow is immutable")),
            ("the_purpose_is_fixed", "carol", json!({"purpose": "Buy pens."}), Some("purpose is immutable")),
            ("no_tool_is_added", "carol", json!({"grants": [{"tool": "erp", "operations": ["purchase.create", "purchase.confirm"]}, {"tool": "bank", "operations": ["*"]}]}), Some("grants are immutable")),
            ("no_operation_is_added", "carol", json!({"grants": [{"tool": "erp", "operations": ["*"]}]}), Some("grants are immutable")),
            ("it_does_not_begin_earlier", "carol", json!({"notBefore": "2026-05-03T08:00:00Z"}), Some("notBefore is immutable")),
            ("it_does_not_last_longer", "carol", json!({"expiresAt": "2026-06-05T08:00:00Z"}), Some("expiresAt can only become earlier")),
            ("an_administrator_does_not_make_it_longer", "admin", json!({"expiresAt": "2026-06-05T08:00:00Z"}), Some("expiresAt can only become earlier")),
            ("an_administrator_does_not_change_the_agent", "admin", json!({"agent": "other"}), Some(FIXED)),
            ("its_delegator_shortens_it", "carol", earlier(), None),
            ("its_delegator_revokes_it", "carol", revoked(), None),
            ("its_requester_shortens_it", "ana", earlier(), None),
            ("its_requester_revokes_it", "ana", revoked(), None),
            ("a_responder_shortens_it", "dave", earlier(), None),
            ("a_responder_revokes_it", "dave", revoked(), None),
            ("a_stranger_does_not_shorten_it", "mallory", earlier(), Some(ENDING)),
            ("a_stranger_does_not_revoke_it", "mallory", revoked(), Some(ENDING)),
            ("who_only_asked_for_it_does_not_revoke_it", "erin", revoked(), Some(ENDING)),
        ];
        let admin = namespace.api::<Delegation>("admin").await?;
        let mut faults = Vec::new();
        for (number, (behaviour, caller, change, refusal)) in rows.iter().enumerate() {
            let lent = lend(namespace, &format!("fixed-{number}")).await?;
            let patch = Patch::Merge(json!({"spec": change}));
            let answer = namespace.api(caller).await?.patch(&lent.name_any(), &PatchParams::default(), &patch).await;
            let after = admin.get(&lent.name_any()).await?;
            let fault = match (refusal, answer) {
                (Some(reason), answer) => refused(caller, answer, reason)
                    .and_then(|()| {
                        ensure!(after.spec == lent.spec, "refused, and yet it changed");
                        Ok(())
                    })
                    .err()
                    .map(|fault| format!("{fault:#}")),
                (None, Ok(_)) if after.spec != lent.spec => None,
                (None, Ok::<Delegation, _>(_)) => Some("nothing changed".to_owned()),
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
async fn a_revoked_delegation_stays_revoked() -> Result<()> {
    among_delegators("revoked", async |namespace| {
        let lent = lend(namespace, "revoked").await?;
        let carols = namespace.api::<Delegation>("carol").await?;
        let set = |revoked: Value| Patch::Merge(json!({"spec": {"revoked": revoked}}));
        let parameters = PatchParams::default();
        carols.patch(&lent.name_any(), &parameters, &set(true.into())).await?;
        for back in [Value::Bool(false), Value::Null] {
            let answer = carols.patch(&lent.name_any(), &parameters, &set(back)).await;
            refused("carol", answer, "a revoked delegation stays revoked")?;
        }
        Ok(())
    })
    .await
}

/// A delegation that erin asked for, under carol's authority, for a task of ana's.
async fn lend(namespace: &TestNamespace<'_>, name: &str) -> Result<Delegation> {
    let wanted = delegation(name, "carol", &json!({"requester": "ana"}))?;
    Ok(namespace.api("erin").await?.create(&PostParams::default(), &wanted).await?)
}
