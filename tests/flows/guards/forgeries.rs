//! The table of forged and illegal attempts. Each is made on a request of its own by somebody whom RBAC does not stop, and must leave that request untouched.

use aegis_crds::api::ApprovalRequest;
use anyhow::{Result, bail, ensure};
use kube::ResourceExt as _;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::request::{EFFECT, LATER, OTHER, State, approved, claimed, request};
use super::scene::{Scene, decision, in_scene, refused};

/// One attempt and the refusal it must meet.
struct Row {
    behaviour: &'static str,
    given: State,
    tiers: usize,
    who: &'static str,
    attempt: Attempt,
    /// Part of the server's message: it shows which rule refused.
    reason: &'static str,
}

enum Attempt {
    /// A merge patch of `spec.decision`.
    Decide(Value),
    /// A merge patch of the object.
    Merge(Value),
    /// A merge patch of the status.
    MergeStatus(Value),
    /// The whole object with this status, or with none, put to the status.
    PutStatus(Option<Value>),
    /// A new request; decided already where a decision is given.
    Create(Option<Value>),
    Delete,
    /// Every request of the namespace at once.
    DeleteAll,
}

use Attempt::{Create, Decide, Delete, DeleteAll, Merge, MergeStatus, PutStatus};

const ONCE: &str = "decision is set once";
const CALLER: &str = "spec.decision.by must be the caller";
const PERSON: &str = "a person decides: no account whose name begins with system: may";
const REQUESTER: &str = "the requester of the task may not decide about it";
const DELEGATOR: &str = "the delegator may not decide about what is done under their authority";
const VERB: &str = "approving needs the verb approve on every approvaltier that the request names";
const CLOSED: &str = "this ApprovalRequest is closed";
const CREATES: &str = "only Aegis creates an ApprovalRequest";
const UNDECIDED: &str = "an ApprovalRequest is created undecided";
const DELETES: &str = "only Aegis deletes it";
const METADATA: &str = "owner references, finalizers and labels of an ApprovalRequest are written by Aegis only";
const STATUS: &str = "the status of an ApprovalRequest is written by Aegis only";
const CLAIM: &str = "claim never changes or disappears";
const CLAIMABLE: &str = "only an Approved request is claimed";
const PHASE: &str = "phase only moves forward";
const FOLLOWS: &str = "phase follows the stored decision";
const EXECUTION: &str = "execution only moves forward";
const EXECUTABLE: &str = "only a claimed request is executed";

#[tokio::test]
async fn every_forgery_is_refused_and_changes_nothing() -> Result<()> {
    in_scene("forged", async |scene| {
        let rows = rows(scene)?;
        let mut faults = Vec::new();
        for row in &rows {
            if let Err(fault) = attempt(scene, row).await {
                faults.push(format!("{}: {fault:#}", row.behaviour));
            }
        }
        ensure!(faults.is_empty(), "{} of {} went wrong:\n{}", faults.len(), rows.len(), faults.join("\n"));
        Ok(())
    })
    .await
}

async fn attempt(scene: &Scene<'_>, row: &Row) -> Result<()> {
    let before = scene.request(row.given, row.tiers).await?;
    let name = before.name_any();
    let requests = scene.requests(row.who)?;
    let (patch, post) = (PatchParams::default(), PostParams::default());
    let mut created = None;
    let answer = match &row.attempt {
        Decide(decision) => {
            requests.patch(&name, &patch, &Patch::Merge(json!({"spec": {"decision": decision}}))).await.map(drop)
        }
        Merge(change) => requests.patch(&name, &patch, &Patch::Merge(change)).await.map(drop),
        MergeStatus(status) => {
            requests.patch_status(&name, &patch, &Patch::Merge(json!({"status": status}))).await.map(drop)
        }
        PutStatus(status) => {
            let mut wanted = before.clone();
            wanted.status = status.clone().map(serde_json::from_value).transpose()?;
            requests.replace_status(&name, &post, &wanted).await.map(drop)
        }
        Create(decision) => {
            let mut wanted = request(&scene.fresh_name(), row.tiers)?;
            wanted.spec.decision = decision.clone().map(serde_json::from_value).transpose()?;
            created = Some(wanted.name_any());
            requests.create(&post, &wanted).await.map(drop)
        }
        Delete => requests.delete(&name, &DeleteParams::default()).await.map(drop),
        DeleteAll => requests.delete_collection(&DeleteParams::default(), &ListParams::default()).await.map(drop),
    };
    refused(row.who, answer, row.reason)?;
    untouched(scene, &before).await?;
    if let Some(created) = created
        && scene.requests("admin")?.get_opt(&created).await?.is_some()
    {
        bail!("refused, and yet {created} exists");
    }
    Ok(())
}

async fn untouched(scene: &Scene<'_>, before: &ApprovalRequest) -> Result<()> {
    let after = scene.requests("admin")?.get(&before.name_any()).await?;
    ensure!(after.resource_version() == before.resource_version(), "the request was changed");
    ensure!(after.metadata.deletion_timestamp.is_none(), "the request is being deleted");
    Ok(())
}

fn rows(scene: &Scene<'_>) -> Result<Vec<Row>> {
    let mut rows = decisions(scene)?;
    rows.extend(smuggled());
    rows.extend(objects(scene)?);
    rows.extend(statuses());
    Ok(rows)
}

fn row(behaviour: &'static str, given: State, who: &'static str, attempt: Attempt, reason: &'static str) -> Row {
    Row { behaviour, given, tiers: 1, who, attempt, reason }
}

/// Wrong people, wrong words, wrong time.
#[rustfmt::skip] // One row, one line.
fn decisions(scene: &Scene<'_>) -> Result<Vec<Row>> {
    use State::{ApprovedUnseen, DeniedUnseen, Denied, Expired, New, Pending, Stale, Succeeded, Void};
    let user = |name: &str| scene.namespace.cluster().user(name).cloned();
    let (ana, bob) = (user("ana")?, user("bob")?);
    let yes = || Decide(decision("Approved"));
    let no = || Decide(decision("Denied"));
    let by = |verdict: &str, username: &str, uid: &str| Decide(json!({
        "verdict": verdict, "effectDigest": EFFECT, "by": {"username": username, "uid": uid},
    }));
    let mut rows = vec![
        row("somebody_elses_name_and_uid_are_refused", Pending, "bob", by("Approved", "ana", &ana.uid), CALLER),
        row("somebody_elses_name_is_refused", Pending, "bob", by("Approved", "ana", &bob.uid), CALLER),
        row("somebody_elses_uid_is_refused", Pending, "bob", by("Approved", "bob", &ana.uid), CALLER),
        row("ones_own_name_without_the_uid_is_refused", Pending, "bob", by("Approved", "bob", ""), CALLER),
        row("an_administrator_cannot_decide_in_anothers_name", Pending, "admin", by("Approved", "ana", &ana.uid), CALLER),
        row("a_denial_in_anothers_name_is_refused", Pending, "bob", by("Denied", "ana", &ana.uid), CALLER),
        row("another_digest_is_refused", Pending, "ana", Decide(json!({"verdict": "Approved", "effectDigest": OTHER})), "decision.effectDigest must equal action.effectDigest"),
        row("a_denial_of_another_digest_is_refused", Pending, "ana", Decide(json!({"verdict": "Denied", "effectDigest": OTHER})), "decision.effectDigest must equal action.effectDigest"),
        row("no_digest_is_refused", Pending, "ana", Decide(json!({"verdict": "Approved"})), "spec.decision.effectDigest: Required value"),
        row("an_unknown_verdict_is_refused", Pending, "ana", Decide(json!({"verdict": "Maybe", "effectDigest": EFFECT})), "spec.decision.verdict: Unsupported value"),
        row("a_second_decision_is_refused", ApprovedUnseen, "bob", by("Approved", "bob", &bob.uid), ONCE),
        row("an_approval_cannot_become_a_denial", ApprovedUnseen, "ana", no(), ONCE),
        row("a_denial_cannot_become_an_approval", DeniedUnseen, "ana", yes(), ONCE),
        row("an_approval_cannot_be_withdrawn", ApprovedUnseen, "ana", Decide(Value::Null), ONCE),
        row("a_denial_cannot_be_withdrawn", DeniedUnseen, "ana", Decide(Value::Null), ONCE),
        row("a_reason_cannot_be_added_later", ApprovedUnseen, "ana", Decide(json!({"reason": "afterthought"})), ONCE),
        row("the_control_service_cannot_withdraw_a_decision", ApprovedUnseen, "control with every right", Decide(Value::Null), ONCE),
        row("the_requester_cannot_approve", Pending, "carol", yes(), REQUESTER),
        row("the_requester_cannot_deny", Pending, "carol", no(), REQUESTER),
        row("the_delegator_cannot_approve", Pending, "dave", yes(), DELEGATOR),
        row("the_delegator_cannot_deny", Pending, "dave", no(), DELEGATOR),
        row("a_service_account_with_the_verb_cannot_approve", Pending, "robot", yes(), PERSON),
        row("a_node_with_the_verb_cannot_approve", Pending, "node", yes(), PERSON),
        row("the_control_service_cannot_approve", Pending, "control with every right", yes(), PERSON),
        row("without_the_verb_nobody_approves", Pending, "mallory", yes(), VERB),
        row("without_the_verb_nobody_denies", Pending, "mallory", no(), VERB),
        row("a_request_without_status_needs_the_verb_too", New, "mallory", yes(), VERB),
        row("a_decision_after_expiry_is_refused", Expired, "ana", yes(), CLOSED),
        row("a_decision_on_a_stale_request_is_refused", Stale, "ana", yes(), CLOSED),
        row("a_decision_on_a_void_request_is_refused", Void, "ana", yes(), CLOSED),
        row("a_denial_after_expiry_is_refused", Expired, "ana", no(), CLOSED),
        row("an_approval_after_the_denial_was_seen_is_refused", Denied, "ana", yes(), ONCE),
        row("a_denial_after_the_call_was_sent_is_refused", Succeeded, "ana", no(), ONCE),
    ];
    rows.push(Row { tiers: 2, ..row("one_verb_of_two_does_not_approve", Pending, "bob", yes(), VERB) });
    rows.push(Row { tiers: 8, ..row("seven_verbs_of_eight_do_not_approve", Pending, "erin", yes(), VERB) });
    rows.push(Row { tiers: 8, ..row("no_verb_of_eight_does_not_deny", Pending, "mallory", no(), VERB) });
    Ok(rows)
}

/// Another change that comes along with an honest decision.
#[rustfmt::skip] // One row, one line.
fn smuggled() -> Vec<Row> {
    use State::Pending;
    let with = |change: Value| {
        let mut spec = json!({"decision": decision("Approved")});
        json_patch(&mut spec, change);
        Merge(json!({"spec": spec}))
    };
    let finance_only = json!({"requirements": [{
        "tier": "finance", "minimum": 1, "separationOfDuties": [], "decideWithin": "2h", "releaseTTL": "15m",
        "askedBy": [{"policy": "purchases", "rule": "large-orders"}],
    }]});
    vec![
        row("the_effect_cannot_be_swapped_while_approving", Pending, "ana", with(json!({"action": {"effectDigest": OTHER}, "decision": {"verdict": "Approved", "effectDigest": OTHER}})), "action is immutable"),
        row("the_preview_cannot_be_swapped_while_approving", Pending, "ana", with(json!({"preview": [{"path": "order.total", "value": "1.00"}]})), "preview is immutable"),
        row("the_requester_cannot_rename_the_requester_to_approve", Pending, "carol", with(json!({"requester": "mallory"})), "requester is immutable"),
        row("the_delegator_cannot_rename_the_delegator_to_approve", Pending, "dave", with(json!({"delegation": {"delegator": "mallory"}})), "delegation is immutable"),
        row("expiry_cannot_be_moved_while_approving", Pending, "ana", with(json!({"expiresAt": "2046-05-04T12:00:00Z"})), "expiresAt is immutable"),
        row("a_label_cannot_be_changed_while_approving", Pending, "ana", Merge(json!({"metadata": {"labels": {"team": "other"}}, "spec": {"decision": decision("Approved")}})), METADATA),
        Row { tiers: 2, ..row("tiers_cannot_be_dropped_while_approving", Pending, "bob", with(finance_only), "requirements are immutable") },
    ]
}

/// Making, deleting and labelling requests.
#[rustfmt::skip] // One row, one line.
fn objects(scene: &Scene<'_>) -> Result<Vec<Row>> {
    use State::{Approved, Claimed, Expired, Indeterminate, Pending, Succeeded};
    let ana = scene.namespace.cluster().user("ana")?.uid.clone();
    let decided = || Some(json!({"verdict": "Approved", "effectDigest": EFFECT, "by": {"username": "ana", "uid": ana}}));
    let metadata = |change: Value| Merge(json!({"metadata": change}));
    let owner = || metadata(json!({"ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "gone", "uid": "00000000-0000-0000-0000-000000000000"}]}));
    Ok(vec![
        row("a_user_cannot_make_a_request", Pending, "erin", Create(None), CREATES),
        row("an_administrator_cannot_make_a_request", Pending, "admin", Create(None), CREATES),
        row("a_user_cannot_make_a_decided_request", Pending, "erin", Create(decided()), CREATES),
        row("the_control_service_cannot_make_a_decided_request", Pending, "control", Create(decided()), UNDECIDED),
        row("an_open_request_cannot_be_deleted", Pending, "erin", Delete, DELETES),
        row("an_approved_request_cannot_be_deleted", Approved, "erin", Delete, DELETES),
        row("a_claimed_request_cannot_be_deleted", Claimed, "erin", Delete, DELETES),
        row("a_finished_request_cannot_be_deleted", Succeeded, "erin", Delete, DELETES),
        row("an_expired_request_cannot_be_deleted", Expired, "erin", Delete, DELETES),
        row("a_request_of_unknown_outcome_cannot_be_deleted", Indeterminate, "erin", Delete, DELETES),
        row("an_administrator_cannot_delete_a_request", Pending, "admin", Delete, DELETES),
        row("requests_cannot_be_deleted_all_at_once", Pending, "erin", DeleteAll, DELETES),
        row("an_owner_reference_cannot_be_added", Pending, "ana", owner(), METADATA),
        row("an_owner_reference_cannot_be_added_with_every_right", Pending, "admin", owner(), METADATA),
        row("a_finalizer_cannot_be_added", Pending, "ana", metadata(json!({"finalizers": ["example.com/keep"]})), METADATA),
        row("a_label_cannot_be_added", Pending, "ana", metadata(json!({"labels": {"more": "yes"}})), METADATA),
        row("a_label_cannot_be_changed", Pending, "ana", metadata(json!({"labels": {"team": "other"}})), METADATA),
        row("labels_cannot_be_removed", Pending, "ana", metadata(json!({"labels": null})), METADATA),
    ])
}

/// Statuses that no course of events leads to, mostly written by the control service itself.
#[rustfmt::skip] // One row, one line.
fn statuses() -> Vec<Row> {
    use State::{Approved, ApprovedUnseen, Claimed, Denied, DeniedUnseen, Expired, Indeterminate, New, Pending, Stale, Succeeded, Void};
    let put = |status: Value| PutStatus(Some(status));
    let phase = |phase: &str| put(json!({"phase": phase, "execution": "NotStarted"}));
    let but = |mut status: Value, key: &str, value: Value| {
        status[key] = value;
        put(status)
    };
    let without = |mut status: Value, key: &str| {
        status.as_object_mut().map(|members| members.remove(key));
        put(status)
    };
    vec![
        row("an_approver_cannot_write_the_status", ApprovedUnseen, "erin", MergeStatus(json!({"phase": "Approved"})), STATUS),
        row("an_approver_cannot_claim", Approved, "erin", put(claimed("nonce-2")), STATUS),
        row("an_administrator_cannot_write_the_status", ApprovedUnseen, "admin", MergeStatus(json!({"phase": "Approved"})), STATUS),
        row("an_approver_cannot_reopen_a_request", Expired, "erin", MergeStatus(json!({"phase": "Pending"})), PHASE),
        row("the_status_of_an_approved_request_cannot_be_dropped", Approved, "control", PutStatus(None), PHASE),
        row("the_status_of_a_claimed_request_cannot_be_dropped", Claimed, "control", PutStatus(None), CLAIM),
        row("a_claim_cannot_be_changed", Claimed, "control", put(claimed("nonce-2")), CLAIM),
        row("a_claim_cannot_be_dropped", Claimed, "control", put(approved()), CLAIM),
        row("a_claim_cannot_be_changed_after_the_outcome", Succeeded, "control", but(claimed("nonce-2"), "execution", "Succeeded".into()), CLAIM),
        row("a_pending_request_cannot_be_claimed", Pending, "control", but(claimed("nonce-1"), "phase", "Pending".into()), CLAIMABLE),
        row("a_claim_before_the_phase_is_refused", ApprovedUnseen, "control", but(claimed("nonce-1"), "phase", "Pending".into()), CLAIMABLE),
        row("a_denied_request_cannot_be_claimed", Denied, "control", but(claimed("nonce-1"), "phase", "Denied".into()), CLAIMABLE),
        row("an_expired_request_cannot_be_claimed", Expired, "control", but(claimed("nonce-1"), "phase", "Expired".into()), CLAIMABLE),
        row("a_request_without_phase_cannot_be_claimed", New, "control", without(claimed("nonce-1"), "phase"), CLAIMABLE),
        row("an_approved_request_cannot_become_pending", Approved, "control", phase("Pending"), PHASE),
        row("an_approved_request_cannot_become_denied", Approved, "control", phase("Denied"), PHASE),
        row("the_phase_cannot_be_dropped", Approved, "control", without(approved(), "phase"), PHASE),
        row("a_denied_request_cannot_become_pending", Denied, "control", phase("Pending"), PHASE),
        row("a_denied_request_cannot_become_approved", Denied, "control", phase("Approved"), PHASE),
        row("an_expired_request_cannot_become_pending", Expired, "control", phase("Pending"), PHASE),
        row("a_stale_request_cannot_become_pending", Stale, "control", phase("Pending"), PHASE),
        row("a_void_request_cannot_become_expired", Void, "control", phase("Expired"), PHASE),
        row("a_claimed_request_cannot_expire", Claimed, "control", but(claimed("nonce-1"), "phase", "Expired".into()), PHASE),
        row("a_claimed_request_cannot_become_stale", Claimed, "control", but(claimed("nonce-1"), "phase", "Stale".into()), PHASE),
        row("nothing_is_approved_without_a_stored_verdict", Pending, "control", phase("Approved"), FOLLOWS),
        row("nothing_is_approved_at_once_without_a_stored_verdict", New, "control", phase("Approved"), FOLLOWS),
        row("nothing_is_denied_without_a_stored_verdict", Pending, "control", phase("Denied"), FOLLOWS),
        row("a_stored_denial_cannot_be_shown_as_approved", DeniedUnseen, "control", phase("Approved"), FOLLOWS),
        row("a_stored_approval_cannot_be_shown_as_denied", ApprovedUnseen, "control", phase("Denied"), FOLLOWS),
        row("a_claimed_execution_cannot_go_back", Claimed, "control", but(claimed("nonce-1"), "execution", "NotStarted".into()), EXECUTION),
        row("a_finished_execution_cannot_go_back", Succeeded, "control", put(claimed("nonce-1")), EXECUTION),
        row("a_success_cannot_become_a_failure", Succeeded, "control", but(claimed("nonce-1"), "execution", "Failed".into()), EXECUTION),
        row("a_success_cannot_become_unknown", Succeeded, "control", but(claimed("nonce-1"), "execution", "Indeterminate".into()), EXECUTION),
        row("an_unknown_outcome_cannot_be_tried_again", Indeterminate, "control", put(claimed("nonce-1")), EXECUTION),
        row("an_execution_cannot_be_dropped", Succeeded, "control", without(claimed("nonce-1"), "execution"), EXECUTION),
        row("nothing_is_executed_without_a_claim", Approved, "control", but(approved(), "execution", "Succeeded".into()), EXECUTABLE),
        row("a_failure_without_a_claim_is_refused", Pending, "control", put(json!({"phase": "Pending", "execution": "Failed"})), EXECUTABLE),
        row("the_time_of_the_decision_cannot_be_moved", Approved, "control", but(approved(), "decidedAt", LATER.into()), "decidedAt is set once"),
        row("the_time_of_the_decision_cannot_be_dropped", Approved, "control", without(approved(), "decidedAt"), "decidedAt is set once"),
    ]
}

/// Lays a change over an object: RFC 7396 for objects, all that is needed here.
fn json_patch(target: &mut Value, change: Value) {
    match (target, change) {
        (Value::Object(target), Value::Object(change)) => {
            for (key, value) in change {
                json_patch(target.entry(key).or_insert(Value::Null), value);
            }
        }
        (target, change) => *target = change,
    }
}
