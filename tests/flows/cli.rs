//! The command line on a real API server: people list, show, approve and deny with the rights of their own kubeconfig.

use std::process::Stdio;

use aegis_crds::api::approval::ApprovalVerdict;
use aegis_crds::api::{ApprovalRequest, approval};
use aegis_tests::cluster::{TestNamespace, eventually};
use aegis_tests::mesh::binary;
use anyhow::{Context as _, Result, ensure};
use kube::ResourceExt as _;
use kube::api::PostParams;
use serde_json::json;
use tokio::process::Command;

use crate::guards::request::{EFFECT, State};
use crate::guards::scene::{PATIENCE, Scene, in_scene, refused};

/// What `aegis` printed and how it ended.
struct Ran {
    code: i32,
    out: String,
    err: String,
}

/// Runs a program of ours as a person, without a terminal.
async fn run(program: &str, namespace: &TestNamespace<'_>, who: &str, arguments: &[&str]) -> Result<Ran> {
    let output = Command::new(binary(program)?)
        .args(arguments)
        .args(["--namespace", namespace.name()])
        .env("KUBECONFIG", namespace.cluster().kubeconfig(who))
        .env("NO_PROXY", "127.0.0.1,localhost")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await?;
    let text = |bytes: Vec<u8>| String::from_utf8(bytes);
    Ok(Ran {
        code: output.status.code().context("ended by a signal")?,
        out: text(output.stdout)?,
        err: text(output.stderr)?,
    })
}

impl Scene<'_> {
    async fn aegis(&self, who: &str, arguments: &[&str]) -> Result<Ran> {
        run("aegis", self.namespace, who, arguments).await
    }

    async fn stored(&self, name: &str) -> Result<ApprovalRequest> {
        Ok(self.requests("control")?.get(name).await?)
    }
}

fn ended(ran: &Ran, code: i32, out: &str, err: &str) -> Result<()> {
    let Ran { code: found, out: printed, err: said } = ran;
    ensure!(
        *found == code && printed.contains(out) && said.contains(err),
        "wanted code {code}, {out:?} and {err:?}; found code {found}\n--- out\n{printed}\n--- err\n{said}"
    );
    Ok(())
}

#[tokio::test]
async fn a_person_lists_shows_and_approves_what_was_shown() -> Result<()> {
    in_scene("cli", async |scene| {
        let open = scene.request(State::Pending, 2).await?.name_any();
        scene.request(State::Denied, 1).await?;

        let listed = scene.aegis("ana", &["approvals", "list"]).await?;
        ended(&listed, 0, "NAME", "")?;
        ensure!(listed.out.lines().count() == 3, "{}", listed.out);
        let first = listed.out.lines().nth(1).unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
        ensure!(first.starts_with(&format!("{open} buyer erp purchase.confirm finance,legal ")), "{}", listed.out);
        let pending = scene.aegis("ana", &["approvals", "list", "--pending", "-o", "json"]).await?;
        let pending: serde_json::Value = serde_json::from_str(&pending.out)?;
        ensure!(pending.pointer("/items/0/metadata/name").and_then(|name| name.as_str()) == Some(open.as_str()));
        ensure!(pending.pointer("/items/1").is_none(), "{pending}");

        let shown = scene.aegis("ana", &["approvals", "show", &open]).await?;
        for part in ["dave", "carol", "12000.00", "first_seen", EFFECT, "purchases/large-orders (over_limit)"] {
            ended(&shown, 0, part, "")?;
        }

        let unasked = scene.aegis("ana", &["approve", &open]).await?;
        ended(&unasked, 2, "12000.00", "repeat with --yes")?;
        ensure!(scene.stored(&open).await?.spec.decision.is_none(), "decided without a confirmation");

        let approved = scene.aegis("ana", &["approve", &open, "--yes", "--reason", "in the budget"]).await?;
        ended(&approved, 0, "Approved by ana", "")?;
        let decision = scene.stored(&open).await?.spec.decision.context("nothing is stored")?;
        let uid = scene.namespace.cluster().user("ana")?.uid.clone();
        assert_eq!(
            decision,
            approval::ApprovalDecision {
                verdict: ApprovalVerdict::Approved,
                effect_digest: EFFECT.to_owned(),
                by: Some(approval::Decider { username: "ana".to_owned(), uid: Some(uid) }),
                reason: Some("in the budget".to_owned()),
            }
        );
        let again = scene.aegis("ana", &["deny", &open, "--yes"]).await?;
        ended(&again, 1, "", "a decision is final")
    })
    .await
}

#[tokio::test]
async fn the_plugin_denies_and_prints_the_stored_object_for_programs() -> Result<()> {
    in_scene("cli-plugin", async |scene| {
        let open = scene.request(State::Pending, 1).await?.name_any();
        let denied = run("kubectl-aegis", scene.namespace, "bob", &["deny", &open, "--yes", "-o", "json"]).await?;
        ended(&denied, 0, "", "12000.00")?;
        let stored: ApprovalRequest = serde_json::from_str(&denied.out)?;
        let decision = stored.spec.decision.context("nothing is stored")?;
        ensure!(decision.verdict == ApprovalVerdict::Denied && decision.by.is_some_and(|by| by.username == "bob"));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_refusal_is_the_servers_message_and_the_next_step() -> Result<()> {
    in_scene("cli-refused", async |scene| {
        let open = scene.request(State::Pending, 2).await?.name_any();
        for (who, reason) in [
            ("bob", "approving needs the verb approve on every approvaltier"),
            ("carol", "the requester of the task may not decide about it"),
            ("dave", "the delegator may not decide"),
        ] {
            let answer = scene.aegis(who, &["approve", &open, "--yes"]).await?;
            ended(&answer, 1, "", reason)?;
            ended(&answer, 1, "", "kubectl auth can-i approve approvaltiers/legal")?;
        }
        ensure!(scene.stored(&open).await?.spec.decision.is_none());
        let missing = scene.aegis("ana", &["approve", "no-such-request", "--yes"]).await?;
        ended(&missing, 2, "", "there is no approval request no-such-request")?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_request_that_was_replaced_under_its_name_is_not_decided() -> Result<()> {
    in_scene("cli-replaced", async |scene| {
        // The uid that the command sends is what the server compares; a patch for another object of that name is refused.
        let open = scene.request(State::Pending, 1).await?;
        let name = open.name_any();
        let patch = json!({"metadata": {"uid": "00000000-0000-0000-0000-000000000000"},
            "spec": {"decision": {"verdict": "Approved", "effectDigest": EFFECT}}});
        let answer = scene
            .requests("ana")?
            .patch(&name, &kube::api::PatchParams::default(), &kube::api::Patch::Merge(patch))
            .await;
        refused("a decision about another object", answer, "metadata.uid")?;
        // And a closed one is not asked about at all.
        let mut closed = open.clone();
        closed.status = Some(serde_json::from_value(json!({"phase": "Expired", "execution": "NotStarted"}))?);
        let control = scene.requests("control")?;
        eventually("the request to be closed", PATIENCE, async || {
            Ok(control.replace_status(&name, &PostParams::default(), &closed).await.map(drop)?)
        })
        .await?;
        let late = scene.aegis("ana", &["approve", &name, "--yes"]).await?;
        ended(&late, 1, "", "its phase is Expired")
    })
    .await
}
