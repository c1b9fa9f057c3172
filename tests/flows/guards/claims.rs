//! A claim is a compare-and-set on the API server: however many try, one wins.

use aegis_crds::api::ApprovalRequest;
use anyhow::{Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _};
use kube::api::PostParams;
use kube::{Api, ResourceExt as _};

use super::request::{State, claimed};
use super::scene::in_scene;

const CLAIMANTS: usize = 1_000;
const AT_ONCE: usize = 64;

#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Won,
    /// The object had changed since this claimant read it.
    Late,
    /// This claimant had read the other's claim and put its own in its place all the same.
    Overruled,
}

#[tokio::test]
async fn of_a_thousand_parallel_claims_exactly_one_wins() -> Result<()> {
    in_scene("claims", async |scene| {
        let request = scene.request(State::Approved, 1).await?;
        let requests = scene.requests("control")?;
        let outcomes: Vec<(String, Outcome)> = futures::stream::iter(0..CLAIMANTS)
            .map(|number| {
                let (request, requests) = (&request, &requests);
                async move {
                    let nonce = format!("nonce-{number}");
                    // Every other one has read the request before anybody claimed; the rest read it in the middle of the fight.
                    let read =
                        if number % 2 == 0 { request.clone() } else { requests.get(&request.name_any()).await? };
                    anyhow::Ok((nonce.clone(), claim(requests, read, &nonce).await?))
                }
            })
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        let won: Vec<&String> =
            outcomes.iter().filter(|(_, outcome)| *outcome == Outcome::Won).map(|(nonce, _)| nonce).collect();
        let count = |wanted: &Outcome| outcomes.iter().filter(|(_, outcome)| outcome == wanted).count();
        ensure!(won.len() == 1, "{} claims won: {won:?}", won.len());
        ensure!(
            count(&Outcome::Late) + count(&Outcome::Overruled) == CLAIMANTS - 1,
            "some attempt is not accounted for"
        );
        ensure!(count(&Outcome::Late) > 0 && count(&Outcome::Overruled) > 0, "both ways of losing are to be seen");
        let stored = requests.get(&request.name_any()).await?.status.and_then(|status| status.claim);
        ensure!(stored.as_ref().map(|claim| &claim.nonce) == won.first().copied(), "{won:?} won, stored is {stored:?}");
        Ok(())
    })
    .await
}

/// Puts a claim in the object as it was read; its resource version makes the server refuse it where somebody was faster.
async fn claim(requests: &Api<ApprovalRequest>, mut read: ApprovalRequest, nonce: &str) -> Result<Outcome> {
    read.status = Some(serde_json::from_value(claimed(nonce))?);
    match requests.replace_status(&read.name_any(), &PostParams::default(), &read).await {
        Ok(_) => Ok(Outcome::Won),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(Outcome::Late),
        Err(kube::Error::Api(status)) if status.message.contains("claim never changes or disappears") => {
            Ok(Outcome::Overruled)
        }
        Err(other) => Err(other.into()),
    }
}
