//! `Agent` to the core's agent and its standing.

use aegis_decision::agent::{Agent, Lifecycle, Mode, Review, Standing};
use aegis_decision::egress::{Egress, Level};
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
        egress,
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
        level: enforcement.level.into(),
        mode: match enforcement.mode {
            api::agent::Mode::Enforce => Mode::Enforce,
            api::agent::Mode::Propose => Mode::Propose,
            api::agent::Mode::Audit => Mode::Audit,
        },
        egress: egress.iter().enumerate().map(|(at, entry)| lower_egress(at, entry)).collect::<Result<_, _>>()?,
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

fn lower_egress(at: usize, egress: &api::agent::Egress) -> Result<Egress, Invalid> {
    let api::agent::Egress { host, ports, reason } = egress;
    let field = |name: &str| format!("spec.egress[{at}].{name}");
    let name = host.strip_prefix("*.").unwrap_or(host);
    let labels: Vec<&str> = name.split('.').collect();
    let label = |text: &str| {
        (1..=63).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            && !text.starts_with('-')
            && !text.ends_with('-')
    };
    let named = labels.last().is_some_and(|last| last.starts_with(|first: char| first.is_ascii_lowercase()));
    if name.len() > 253 || labels.len() < 2 || !labels.iter().all(|text| label(text)) || !named {
        return Err(Invalid::new(
            field("host"),
            "is not a name in lower case with at least one dot, or such a name after *.",
        ));
    }
    if ports.is_empty() || ports.len() > 8 || ports.contains(&0) {
        return Err(Invalid::new(field("ports"), "does not hold 1 to 8 ports from 1 to 65535"));
    }
    Ok(Egress { host: host.clone(), ports: ports.clone(), reason: text::bounded(reason, 256, &field("reason"))? })
}

impl From<api::agent::Level> for Level {
    fn from(level: api::agent::Level) -> Self {
        match level {
            api::agent::Level::Mediated => Self::Mediated,
            api::agent::Level::Captured => Self::Captured,
            api::agent::Level::Sealed => Self::Sealed,
        }
    }
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
