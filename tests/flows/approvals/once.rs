//! An approval is good for one effect, once.

use std::time::Instant;

use aegis_crds::api::approval::{ApprovalVerdict, Phase};
use aegis_tests::cluster::eventually;
use anyhow::{Context as _, Result, ensure};
use futures::future::join_all;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, ResourceExt as _};

use crate::shop::{PATIENCE, Plan, code_of, expect, in_shop};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_approved_call_is_sent_once_and_its_request_says_how() -> Result<()> {
    in_shop("once", Plan::default(), async |shop| {
        let order = shop.order().await?;
        let name = shop.held(order).await?;
        ensure!(shop.held(order).await? == name, "a repeat must join the open request");
        ensure!(shop.sent(order)?.is_empty(), "a held call reached the ERP");

        shop.decide(&name, ApprovalVerdict::Approved).await?;
        let patched = Instant::now();
        let request = shop.until_phase(&name, Phase::Approved).await?;
        println!("figure: patch to phase Approved: {} ms", patched.elapsed().as_millis());
        let answer = shop.until_confirmed(order).await?;
        println!("figure: patch to sent and answered: {} ms", patched.elapsed().as_millis());

        let uid = request.uid().context("a stored request has a uid")?;
        let sent = shop.sent(order)?;
        let keys: Vec<_> = sent.iter().map(|line| (line.idempotency_key.as_deref(), line.status)).collect();
        ensure!(keys == [(Some(uid.as_str()), 200)], "the ERP saw {keys:?}, the request is {uid}");
        let ended = shop.until_succeeded(&name).await?;
        expect(&shop.confirm(order).await?, 409, Some("duplicate_effect"))?;
        ensure!(shop.sent(order)?.len() == 1, "the replay reached the ERP");

        ensure!(ended.phase == Some(Phase::Approved) && ended.decided_at.is_some(), "{ended:?}");
        let claim = ended.claim.context("no claim")?;
        let pods: Api<Pod> = shop.namespace.api("admin").await?;
        let pod = pods.get(shop.sidecar.pod()).await?;
        ensure!(Some(&claim.pod) == pod.uid().as_ref(), "claimed by pod {}", claim.pod);
        ensure!(claim.nonce.len() == 22 && !claim.jti.is_empty(), "{claim:?}");
        let receipt = ended.receipt.context("no receipt")?;
        ensure!(receipt.sent && receipt.status == Some(200), "{receipt:?}");
        let decision = answer.headers.get("aegis-decision").context("no decision")?.to_str()?;
        ensure!(receipt.record == decision, "receipt of {}, answer of {decision}", receipt.record);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_sixteen_identical_approved_calls_one_is_sent() -> Result<()> {
    in_shop("race", Plan::default(), async |shop| {
        let (order, _) = shop.approved().await?;
        let (shop, order) = (&*shop, order);
        eventually("the release to reach the sidecar and be used", PATIENCE, async || {
            let answers = join_all((0..16).map(|_| shop.confirm(order))).await;
            let answers = answers.into_iter().collect::<Result<Vec<_>>>()?;
            let sent = answers.iter().filter(|answer| answer.status == 200).count();
            ensure!(answers.iter().any(|answer| answer.status != 428), "not released yet");
            // From here on nothing may be tried again: a second round would hide a second effect.
            Ok((sent, answers))
        })
        .await
        .and_then(|(sent, answers)| {
            let codes: Vec<_> = answers.iter().map(|answer| (answer.status.as_u16(), code_of(answer))).collect();
            ensure!(sent == 1, "answers: {codes:?}");
            let refused = |code| matches!(code, Some("in_flight" | "duplicate_effect" | "approval_required"));
            ensure!(codes.iter().all(|(status, code)| *status == 200 || refused(*code)), "answers: {codes:?}");
            let confirmations = shop.sent(order)?.len();
            ensure!(confirmations == 1, "the ERP saw {confirmations} confirmations");
            Ok(())
        })
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_approval_outlives_the_operator_and_still_counts_once() -> Result<()> {
    in_shop("restart", Plan::default(), async |shop| {
        let (order, name) = shop.approved().await?;
        shop.stop_operator();
        // Nobody can be asked for the claim: the call is refused, and the approval is not used up by it.
        let refused = shop.confirm(order).await?;
        expect(&refused, 503, Some("control_unavailable"))?;
        ensure!(shop.sent(order)?.is_empty(), "sent without a claim");
        shop.start_operator().await?;
        shop.until_confirmed(order).await?;
        shop.until_succeeded(&name).await?;
        expect(&shop.confirm(order).await?, 409, Some("duplicate_effect"))?;
        ensure!(shop.requests().await?.len() == 1, "another request was opened than {name}");
        ensure!(shop.sent(order)?.len() == 1, "sent more than once");
        Ok(())
    })
    .await
}
