//! What honest people and the control service do passes the same guards.

use aegis_crds::api::approval::{Execution, Phase};
use aegis_crds::api::{ApprovalRequest, Duty};
use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt as _};
use serde_json::json;

use aegis_tests::cluster::eventually;

use super::request::{EFFECT, State, approved, request};
use super::scene::{PATIENCE, Scene, decision, in_scene, refused};

#[tokio::test]
async fn a_patch_with_kubectl_approves_and_is_signed_with_the_callers_name() -> Result<()> {
    in_scene("kubectl", async |scene| {
        let pending = scene.request(State::Pending, 1).await?;
        let name = pending.name_any();
        let patch = format!(r#"{{"spec":{{"decision":{{"verdict":"Approved","effectDigest":"{EFFECT}"}}}}}}"#);
        let here = ["--namespace", scene.namespace.name()];
        let cluster = scene.namespace.cluster();

        let may = cluster
            .kubectl("ana", &[&["auth", "can-i", "approve", "approvaltiers/finance"][..], &here].concat())
            .await?;
        ensure!(String::from_utf8_lossy(&may.stdout).trim() == "yes", "{may:?}");
        let answer = cluster
            .kubectl("ana", &[&["patch", "apr", &name, "--type=merge", "-p", &patch][..], &here].concat())
            .await?;
        ensure!(answer.status.success(), "{answer:?}");
        let stored = scene.requests("ana")?.get(&name).await?;
        signed(scene, &stored, "ana")?;

        // And with that the control service may go on.
        let released = json!({"status": approved()});
        let control = scene.requests("control")?;
        let seen = control.patch_status(&name, &PatchParams::default(), &Patch::Merge(released)).await?;
        ensure!(seen.status.and_then(|status| status.phase) == Some(Phase::Approved));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn whoever_has_the_verb_on_every_tier_approves_two_and_eight() -> Result<()> {
    in_scene("tiers", async |scene| {
        for tiers in [2, 8] {
            let pending = scene.request(State::Pending, tiers).await?;
            ensure!(pending.spec.requirements.len() == tiers);
            let approved = scene.decide("ana", &pending, &decision("Approved")).await?;
            signed(scene, &approved, "ana")?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn one_verb_is_enough_to_deny() -> Result<()> {
    in_scene("deny", async |scene| {
        for tiers in [2, 8] {
            let pending = scene.request(State::Pending, tiers).await?;
            let mut wanted = decision("Denied");
            wanted["reason"] = "too much paper".into();
            let denied = scene.decide("bob", &pending, &wanted).await?;
            signed(scene, &denied, "bob")?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_request_that_has_no_status_yet_can_be_decided() -> Result<()> {
    in_scene("new", async |scene| {
        let new = scene.request(State::New, 1).await?;
        ensure!(new.status.is_none());
        signed(scene, &scene.decide("bob", &new, &decision("Approved")).await?, "bob")
    })
    .await
}

#[tokio::test]
async fn a_person_may_sign_with_their_own_name_and_uid() -> Result<()> {
    in_scene("signed", async |scene| {
        let pending = scene.request(State::Pending, 1).await?;
        let bob = scene.namespace.cluster().user("bob")?;
        let mut wanted = decision("Approved");
        wanted["by"] = json!({"username": bob.name, "uid": bob.uid});
        signed(scene, &scene.decide("bob", &pending, &wanted).await?, "bob")
    })
    .await
}

#[tokio::test]
async fn each_duty_binds_only_where_a_requirement_names_it() -> Result<()> {
    in_scene("duties", async |scene| {
        for (duties, passes, stopped, reason) in [
            (vec![Duty::Delegator], "carol", "dave", "the delegator may not decide"),
            (vec![Duty::Requester], "dave", "carol", "the requester of the task may not decide"),
        ] {
            // The second of two requirements names it: one is enough.
            let mut wanted = request(&scene.fresh_name(), 2)?;
            for (requirement, duties) in wanted.spec.requirements.iter_mut().zip([Vec::new(), duties]) {
                requirement.separation_of_duties = duties;
            }
            let pending = scene.bring(wanted, State::Pending).await?;
            let patch = Patch::Merge(json!({"spec": {"decision": decision("Approved")}}));
            let answer = scene.requests(stopped)?.patch(&pending.name_any(), &PatchParams::default(), &patch).await;
            refused(stopped, answer, reason)?;
            signed(scene, &scene.decide(passes, &pending, &decision("Approved")).await?, passes)?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_control_service_walks_every_allowed_way() -> Result<()> {
    in_scene("ways", async |scene| {
        // Each state is reached by the writes that lead to it.
        for state in [State::Denied, State::Expired, State::Stale, State::Void, State::Succeeded, State::Indeterminate]
        {
            scene.request(state, 1).await.with_context(|| format!("on the way to {state:?}"))?;
        }
        let control = scene.requests("control")?;
        for phase in ["Expired", "Stale", "Void"] {
            let unclaimed = scene.request(State::Approved, 1).await?;
            let ended = Patch::Merge(json!({"status": {"phase": phase}}));
            control.patch_status(&unclaimed.name_any(), &PatchParams::default(), &ended).await?;
        }
        for execution in ["Succeeded", "Failed"] {
            let unknown = scene.request(State::Indeterminate, 1).await?;
            let resolved = Patch::Merge(json!({"status": {"execution": execution}}));
            control.patch_status(&unknown.name_any(), &PatchParams::default(), &resolved).await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_status_that_comes_with_the_object_is_not_stored() -> Result<()> {
    in_scene("dropped", async |scene| {
        let mut wanted = request(&scene.fresh_name(), 1)?;
        wanted.status = Some(serde_json::from_value(approved())?);
        let control = scene.requests("control")?;
        let made = control.create(&PostParams::default(), &wanted).await?;
        ensure!(made.status.is_none(), "{:?}", made.status);

        // erin may replace requests and their status; in the object itself a status has no effect.
        let pending = scene.request(State::Pending, 1).await?;
        let mut forged = pending.clone();
        forged.status = Some(serde_json::from_value(approved())?);
        let put = scene.requests("erin")?.replace(&pending.name_any(), &PostParams::default(), &forged).await?;
        ensure!(put.status == pending.status, "{:?}", put.status);
        ensure!(put.status.and_then(|status| status.execution) == Some(Execution::NotStarted));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_control_service_deletes_what_it_kept_long_enough() -> Result<()> {
    in_scene("kept", async |scene| {
        let old = scene.request(State::Succeeded, 1).await?;
        let control = scene.requests("control")?;
        control.delete(&old.name_any(), &DeleteParams::default()).await?;
        ensure!(control.get_opt(&old.name_any()).await?.is_none());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_namespace_takes_its_requests_along() -> Result<()> {
    in_scene("swept", async |scene| {
        for state in [State::Pending, State::Approved, State::Indeterminate] {
            scene.request(state, 1).await?;
        }
        let namespaces: Api<Namespace> = Api::all(scene.namespace.cluster().admin().await?);
        namespaces.delete(scene.namespace.name(), &DeleteParams::default()).await?;
        eventually("the namespace to end", PATIENCE, async || {
            let left = namespaces.get_opt(scene.namespace.name()).await?;
            ensure!(left.is_none(), "{:?}", left.and_then(|namespace| namespace.status));
            Ok(())
        })
        .await
    })
    .await
}

/// Demands that a request carries the decision of one person, as the server knows them.
fn signed(scene: &Scene<'_>, request: &ApprovalRequest, name: &str) -> Result<()> {
    let person = scene.namespace.cluster().user(name)?;
    let decision = request.spec.decision.as_ref().context("not decided")?;
    let by = decision.by.as_ref().context("nobody is named")?;
    ensure!(by.username == person.name && by.uid.as_deref() == Some(person.uid.as_str()), "signed by {by:?}");
    Ok(())
}
