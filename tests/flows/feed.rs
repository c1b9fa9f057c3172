//! The feed: what changes in the cluster reaches the sidecar, and what the sidecar knows grows old without it.

use std::time::{Duration, Instant};

use aegis_crds::api::{Agent, Tool, ToolPolicy};
use aegis_tests::cluster::{AuditEvent, eventually};
use aegis_tests::install::OPERATOR_USERNAME;
use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Api;
use serde_json::json;

use crate::shop::{BUYER, PATIENCE, Plan, RESPONDER, Shop, code_of, expect, in_shop};

/// After so long a suspension has come from the API server by the operator to the sidecar. It takes some tenths of a second.
const SUSPENDED: Duration = Duration::from_secs(10);
/// `maxStaleness` of [`without_the_operator_writes_close_first_and_reads_later`].
const STALE: Duration = Duration::from_secs(4);
/// What the clocks of two processes may differ by, and more.
const SLACK: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspension_ends_the_calls_that_follow() -> Result<()> {
    in_shop("suspend", Plan::default(), async |shop| {
        expect(&shop.draft().await?, 200, None)?;
        let _: Agent = shop.patch(RESPONDER, BUYER, json!({"spec": {"lifecycle": "Suspended"}})).await?;
        let patched = Instant::now();
        let mut still = 0_u32;
        loop {
            let began = patched.elapsed();
            let answer = shop.read().await?;
            if answer.status == 403 {
                expect(&answer, 403, Some("agent_not_active"))?;
                break;
            }
            expect(&answer, 200, None)?;
            still += 1;
            ensure!(began < SUSPENDED, "{still} calls went through since, the last began after {began:?}");
        }
        let took = patched.elapsed();
        println!("figure: suspend to first refused call: {} ms ({still} calls before)", took.as_millis());
        for answer in [shop.read().await?, shop.draft().await?] {
            expect(&answer, 403, Some("agent_not_active"))?;
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_counts_when_it_is_valid_and_the_last_good_one_stays_when_it_is_not() -> Result<()> {
    in_shop("policy", Plan::default(), async |shop| {
        let policy = shop.policy()?;
        let quote = "  - name: quote\n    operations: [purchases.quote]\n";
        ensure!(policy.contains(quote), "the example has no rule quote");
        let closed = policy.replace(
            quote,
            &format!("  - name: closed\n    operations: [purchases.draft]\n    unconditional: true\n    effect: Deny\n\n{quote}"),
        );
        expect(&shop.draft().await?, 200, None)?;
        shop.namespace.apply("admin", closed.as_str(), "flows").await?;
        let applied = Instant::now();
        eventually("the new rule to reach the sidecar", PATIENCE, async || {
            expect(&shop.draft().await?, 403, Some("rule_denies"))
        })
        .await?;
        println!("figure: policy change to first call judged by it: {} ms", applied.elapsed().as_millis());

        // Each has one fault, and no longer the rule that denies: were it used, a Draft would go through. Were it
        // skipped, nothing would be allowed.
        let version = shop.sidecar_metric("aegis_bundle_version").await?;
        for (from, to, field) in [
            ("registries: [suppliers]", "registries: [suppliers, nowhere]", "spec.registries[1]"),
            ("format: iban, normalize: Spaces}\n    - {field: \"$fact", "matches: \"(\"}\n    - {field: \"$fact", "when[0].matches"),
            ("$fact.order.party.id, inRegistry", "$fact.nothing.party.id, inRegistry", "when[0].field"),
            ("approval: {tier: finance, hold: 0s}", "approval: {tier: nobody, hold: 0s}", "approval.tier"),
        ] {
            shop.change(&policy, from, to).await?;
            stays(shop, field).await.with_context(|| to.to_owned())?;
        }
        ensure!((shop.sidecar_metric("aegis_bundle_version").await? - version).abs() < 0.5, "another bundle is in use");

        shop.namespace.apply("admin", policy.as_str(), "flows").await?;
        eventually("the valid policy to reach the sidecar", PATIENCE, async || {
            expect(&shop.draft().await?, 200, None)
        })
        .await?;
        // A Tool whose operations cannot be told apart.
        let twin = "  operations:\n  - name: suppliers.twin\n    class: Read\n    http:\n      method: GET\n      path: /rest/model/party.party\n";
        shop.change(&shop.tool()?, "  operations:\n", twin).await?;
        let tools: Api<Tool> = shop.namespace.api("admin").await?;
        eventually("the tool's condition to name the field", PATIENCE, async || {
            names(&tools.get("erp").await?.status.unwrap_or_default().conditions, "spec.operations")
        })
        .await?;
        // A schema that cannot be used.
        shop.change(&shop.tool()?, "pattern: \"^[0-9]{1,9}$\"", "pattern: \"(\"").await?;
        eventually("the tool's condition to name the schema", PATIENCE, async || {
            names(&tools.get("erp").await?.status.unwrap_or_default().conditions, "].arguments")
        })
        .await?;
        expect(&shop.draft().await?, 200, None)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_changed_makes_no_call_by_the_bundle_of_before() -> Result<()> {
    in_shop("frozen", Plan::default(), async |shop| {
        // The next bundle cannot be made, so the one of before stays.
        shop.change(&shop.policy()?, "approval: {tier: finance, hold: 0s}", "approval: {tier: nobody, hold: 0s}")
            .await?;
        let agents: Api<Agent> = shop.namespace.api("admin").await?;
        eventually("the agent's condition to name the field", PATIENCE, async || {
            let conditions = agents.get(BUYER).await?.status.unwrap_or_default().conditions;
            let accepted = conditions.iter().find(|condition| condition.type_ == "PolicyAccepted");
            ensure!(accepted.is_some_and(|accepted| accepted.message.contains("approval.tier")), "{accepted:?}");
            Ok(())
        })
        .await?;
        expect(&shop.draft().await?, 200, None)?;
        // Its review is of what that bundle says of the agent, and not of what the agent is now.
        let audited = json!({"spec": {"enforcement": {"mode": "Audit"}}});
        let _: Agent = shop.patch("admin", BUYER, audited).await?;
        eventually("the agent to be refused", PATIENCE, async || {
            expect(&shop.draft().await?, 403, Some("agent_not_reviewed"))
        })
        .await
    })
    .await
}

/// The policy's condition and the agent's name the field; calls are judged by the bundle before.
async fn stays(shop: &Shop<'_>, field: &str) -> Result<()> {
    let policies: Api<ToolPolicy> = shop.namespace.api("admin").await?;
    eventually("the policy's condition to name the field", PATIENCE, async || {
        names(&policies.get("purchasing").await?.status.unwrap_or_default().conditions, field)
    })
    .await?;
    let agents: Api<Agent> = shop.namespace.api("admin").await?;
    eventually("the agent's condition to name the field", PATIENCE, async || {
        let conditions = agents.get(BUYER).await?.status.unwrap_or_default().conditions;
        let accepted =
            conditions.iter().find(|condition| condition.type_ == "PolicyAccepted").context("no condition")?;
        ensure!(accepted.status == "False" && accepted.message.contains(field), "{}", accepted.message);
        Ok(())
    })
    .await?;
    expect(&shop.draft().await?, 403, Some("rule_denies"))?;
    expect(&shop.read().await?, 200, None)
}

fn names(conditions: &[Condition], field: &str) -> Result<()> {
    let ready = conditions.iter().find(|condition| condition.type_ == "Ready").context("no condition")?;
    ensure!(ready.status == "False" && ready.message.contains(field), "{}: {}", ready.reason, ready.message);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_operator_writes_close_first_and_reads_later() -> Result<()> {
    let plan = Plan { max_staleness: "4s", operator: &["--list-every", "1"], ..Plan::default() };
    in_shop("stale", plan, async |shop| {
        let order = shop.order().await?;
        eventually("fresh knowledge", PATIENCE, async || expect(&shop.draft().await?, 200, None)).await?;
        shop.stop_operator();
        let stopped = Instant::now();
        // When the last call that went through began, and when the first that was refused had its answer: between these they
        // closed, and a slow machine only moves the two apart.
        let closed = async |write: bool| {
            let mut open = Duration::ZERO;
            loop {
                let began = stopped.elapsed();
                let answer = if write { shop.draft().await? } else { shop.read().await? };
                match (answer.status.as_u16(), code_of(&answer)) {
                    (200, _) if began < PATIENCE => open = began,
                    (503, Some("stale")) => return Ok((open, stopped.elapsed())),
                    other => bail!("after {began:?} {other:?}: {}", answer.body),
                }
            }
        };
        let (writes_open, writes) = closed(true).await?;
        expect(&shop.confirm(order).await?, 503, Some("stale"))?;
        expect(&shop.read().await?, 200, None).context("Reads go on when writes are closed")?;
        let (reads_open, reads) = closed(false).await?;
        println!(
            "figure: with maxStaleness 4 s, writes closed {writes:?} and reads {reads:?} after the operator's end"
        );
        ensure!(
            writes_open <= STALE + SLACK,
            "a Draft that began {writes_open:?} after the operator's end went through"
        );
        ensure!(
            reads_open <= STALE * 2 + SLACK,
            "a Read that began {reads_open:?} after the operator's end went through"
        );
        let apart = reads.saturating_sub(writes_open);
        ensure!(apart + SLACK >= STALE, "Reads closed {apart:?} after the last Draft at most, so not twice as late");
        ensure!(shop.sent(order)?.is_empty(), "a closed call reached the ERP");

        shop.start_operator().await?;
        eventually("calls to go on", PATIENCE, async || {
            expect(&shop.draft().await?, 200, None)?;
            expect(&shop.read().await?, 200, None)
        })
        .await
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_at_rest_writes_nothing() -> Result<()> {
    in_shop("rest", Plan { operator: &["--list-every", "1"], ..Plan::default() }, async |shop| {
        // Everything that an operator may write about has happened: a call held, one sent, one denied rule.
        let (order, _) = shop.approved().await?;
        shop.until_confirmed(order).await?;
        shop.held(shop.order().await?).await?;
        let (mut seen, mut since) = (writes(shop)?, rounds(shop)?);
        eventually("the last outcome to be written", PATIENCE, async || {
            let (now, round) = (writes(shop)?, rounds(shop)?);
            if now != seen {
                (seen, since) = (now, round);
            }
            ensure!(round >= since + 3, "{} writes, {} rounds since", seen.len(), round - since);
            Ok(())
        })
        .await?;
        // That nothing happens can only be seen while something else does: lists, one each second.
        let before = rounds(shop)?;
        eventually("twenty rounds of lists", PATIENCE, async || {
            let passed = rounds(shop)? - before;
            ensure!(passed >= 20, "{passed}");
            Ok(())
        })
        .await?;
        let more = writes(shop)?;
        ensure!(more == seen, "written at rest: {:?}", more.iter().skip(seen.len()).collect::<Vec<_>>());
        Ok(())
    })
    .await
}

/// Writes of the operator's account in this namespace, oldest first.
fn writes(shop: &Shop<'_>) -> Result<Vec<String>> {
    let reads = |verb: &str| matches!(verb, "get" | "list" | "watch");
    let events = asked(shop)?.into_iter().filter(|event| !reads(&event.verb));
    Ok(events.map(|event| format!("{} {}", event.verb, event.request_uri)).collect())
}

/// How often the operator has listed the agents of this namespace.
fn rounds(shop: &Shop<'_>) -> Result<usize> {
    let agents = |event: &AuditEvent| event.object_ref.as_ref().is_some_and(|object| object.resource == "agents");
    Ok(asked(shop)?.iter().filter(|event| event.verb == "list" && agents(event)).count())
}

/// What the operator's account has asked for in this namespace, oldest first.
fn asked(shop: &Shop<'_>) -> Result<Vec<AuditEvent>> {
    let mut events = shop.cluster().audit_events()?;
    events.retain(|event| {
        let here = event.object_ref.as_ref().is_some_and(|object| object.namespace == shop.namespace.name());
        here && event.user.username.as_deref() == Some(OPERATOR_USERNAME)
    });
    Ok(events)
}
