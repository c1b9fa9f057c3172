//! While a guard in the API server is missing or altered, nothing is released. A server of its own: the guards are changed.

use aegis_crds::api::approval::{ApprovalVerdict, Phase};
use aegis_tests::cluster::{Cluster, Options, eventually};
use aegis_tests::install::install;
use anyhow::{Context as _, Result, ensure};

use crate::shop::{PATIENCE, Plan, Shop, expect, in_shop_of};

/// What is done to the guards, as arguments of `kubectl`, and what the request's condition names.
const FAULTS: [(&[&str], &str); 3] = [
    (
        &["delete", "validatingadmissionpolicybinding", "aegis-approvals"],
        "ValidatingAdmissionPolicyBinding aegis-approvals",
    ),
    (
        &[
            "patch",
            "validatingadmissionpolicy",
            "aegis-approvals",
            "--type=merge",
            "-p",
            r#"{"spec":{"failurePolicy":"Ignore"}}"#,
        ],
        "ValidatingAdmissionPolicy aegis-approvals",
    ),
    (&["delete", "validatingadmissionpolicy", "aegis-delegations"], "ValidatingAdmissionPolicy aegis-delegations"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_released_while_a_guard_is_missing_or_altered() -> Result<()> {
    let cluster = Cluster::start(Options::default()).await?;
    install(&cluster).await?;
    in_shop_of(&cluster, "unguarded", Plan::default(), async |shop| {
        for (fault, named) in FAULTS {
            not_released(shop, fault, named).await.with_context(|| fault.join(" "))?;
        }
        not_claimed(shop).await
    })
    .await
}

/// Approved while a guard is gone: no release, and the request says why. With the guard back it goes out.
async fn not_released(shop: &Shop<'_>, fault: &[&str], named: &str) -> Result<()> {
    let order = shop.order().await?;
    let name = shop.held(order).await?;
    kubectl(shop, fault).await?;
    shop.decide(&name, ApprovalVerdict::Approved).await?;
    eventually("the request to say what is missing", PATIENCE, async || {
        let status = shop.request(&name).await?.status.context("no status")?;
        ensure!(status.phase == Some(Phase::Pending), "it is {:?}", status.phase);
        let ready = status.conditions.iter().find(|condition| condition.type_ == "Ready").context("no condition")?;
        ensure!(
            ready.reason == "GuardsMissing" && ready.message.contains(named),
            "{}: {}",
            ready.reason,
            ready.message
        );
        Ok(())
    })
    .await?;
    ensure!(shop.operator_metric("aegis_operator_guard_faults").await? >= 1.0, "not counted");
    expect(&shop.confirm(order).await?, 428, Some("approval_required"))?;
    ensure!(shop.sent(order)?.is_empty(), "the call reached the ERP");
    install(shop.cluster()).await?;
    shop.until_phase(&name, Phase::Approved).await?;
    shop.until_confirmed(order).await?;
    ensure!(shop.sent(order)?.len() == 1, "sent more than once");
    Ok(())
}

/// Released already when a guard goes: the claim is refused.
async fn not_claimed(shop: &Shop<'_>) -> Result<()> {
    let (order, _) = shop.approved().await?;
    kubectl(shop, &["delete", "mutatingadmissionpolicy", "aegis-approver-stamp"]).await?;
    eventually("the claim to be refused", PATIENCE, async || {
        let answer = shop.confirm(order).await?;
        ensure!(answer.status != 428, "the release has not reached the sidecar");
        Ok(answer)
    })
    .await
    .and_then(|answer| expect(&answer, 503, Some("control_unavailable")))?;
    ensure!(shop.sent(order)?.is_empty(), "the call reached the ERP");
    install(shop.cluster()).await?;
    shop.until_confirmed(order).await?;
    ensure!(shop.sent(order)?.len() == 1, "sent more than once");
    Ok(())
}

async fn kubectl(shop: &Shop<'_>, arguments: &[&str]) -> Result<()> {
    let output = shop.cluster().kubectl("admin", arguments).await?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
