//! `Agent` to the core's agent and its standing.

use aegis_decision::agent::{Agent, Lifecycle, Review, Standing};
use kube::ResourceExt as _;

use super::{Invalid, duration, text};
use crate::api;

/// The agent, and whether it is in good standing.
pub fn agent(resource: &api::Agent) -> Result<(Agent, Standing), Invalid> {
    let api::AgentSpec {
        tenant,
        business_unit,
        owner,
        version,
        lifecycle,
        ceiling,
        review,
        workload,
        enforcement,
        tokens,
    } = &resource.spec;
    let agent = Agent {
        namespace: resource.namespace().unwrap_or_else(|| "default".to_owned()),
        name: text::label(&resource.name_any(), "metadata.name")?,
        uid: resource.uid().unwrap_or_default(),
        tenant: text::label(tenant, "spec.tenant")?,
        business_unit: text::label(business_unit, "spec.businessUnit")?,
        owner: text::bounded(&owner.name, 128, "spec.owner.name")?,
        version: text::bounded(version, 64, "spec.version")?,
        ceiling: (*ceiling).into(),
        service_account: text::bounded(&workload.service_account_name, 253, "spec.workload.serviceAccountName")?,
        max_staleness_seconds: duration::seconds(&enforcement.max_staleness, 1..=600, "spec.enforcement.maxStaleness")?,
        token_ttl_seconds: duration::seconds(&tokens.ttl, 60..=900, "spec.tokens.ttl")?,
    };
    let review = review.as_ref().map(lower_review).transpose()?;
    let lifecycle = match lifecycle {
        api::agent::Lifecycle::Registered => Lifecycle::Registered,
        api::agent::Lifecycle::Active if review.is_none() => {
            return Err(Invalid::new("spec.review", "is missing; an Active agent needs a review"));
        }
        api::agent::Lifecycle::Active => Lifecycle::Active,
        api::agent::Lifecycle::Suspended => Lifecycle::Suspended,
        api::agent::Lifecycle::Retired => Lifecycle::Retired,
    };
    Ok((agent, Standing { lifecycle, review }))
}

fn lower_review(review: &api::agent::Review) -> Result<Review, Invalid> {
    let api::agent::Review { by, at, expires, digest } = review;
    if expires.as_ref().is_some_and(|expires| expires.0 <= at.0) {
        return Err(Invalid::new("spec.review.expires", "does not lie after spec.review.at"));
    }
    Ok(Review {
        by: text::bounded(by, 256, "spec.review.by")?,
        at: at.0,
        expires: expires.as_ref().map(|expires| expires.0),
        digest: text::digest(digest, "spec.review.digest")?,
    })
}
