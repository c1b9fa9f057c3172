//! `ApprovalTier` to the core's tier.

use aegis_decision::tier::{Duty, Tier};
use kube::ResourceExt as _;

use super::{Invalid, duration, text};
use crate::api;

/// Longest time to decide: 7 days.
const MAX_DECIDE: u32 = 604_800;
/// Longest time to use an approval: 24 hours.
const MAX_RELEASE: u32 = 86_400;

/// The tier.
pub fn tier(resource: &api::ApprovalTier) -> Result<Tier, Invalid> {
    let api::ApprovalTierSpec { minimum, separation_of_duties, decide_within, release_ttl } = &resource.spec;
    if *minimum != 1 {
        return Err(Invalid::new("spec.minimum", "is not 1; only one approver is possible now"));
    }
    Ok(Tier {
        name: text::label(&resource.name_any(), "metadata.name")?,
        minimum: *minimum,
        separation_of_duties: duties(separation_of_duties),
        decide_within_seconds: duration::seconds(decide_within, 1..=MAX_DECIDE, "spec.decideWithin")?,
        release_ttl_seconds: duration::seconds(release_ttl, 1..=MAX_RELEASE, "spec.releaseTTL")?,
    })
}

/// Duties in one order, each once.
pub fn duties(written: &[api::Duty]) -> Vec<Duty> {
    let mut duties: Vec<Duty> = written.iter().copied().map(Duty::from).collect();
    duties.sort_unstable();
    duties.dedup();
    duties
}
