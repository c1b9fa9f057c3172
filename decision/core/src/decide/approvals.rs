//! Step 4: which approvals a call needs, and whether a release gives them.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::findings::Findings;
use super::origins;
use super::refusal::Refusal;
use crate::agent::Agent;
use crate::approval::Release;
use crate::bundle::Bundle;
use crate::call::ToolCall;
use crate::codes::Code;
use crate::decision::{DecisionOutput, Requirement};
use crate::digest::Digest;
use crate::policy::Effect;
use crate::provenance::Judged;

/// Most tiers that one call may need.
pub(super) const MAX_TIERS: usize = 8;

/// One requirement per tier, ordered by the tier's name.
pub(super) fn requirements(
    bundle: &Bundle,
    findings: &Findings<'_>,
    origins: &Judged<'_>,
) -> Result<Vec<Requirement>, Box<Refusal>> {
    let mut by_tier: BTreeMap<&str, Requirement> = BTreeMap::new();
    let of_rules = findings.asking().filter_map(|finding| match &finding.rule.effect {
        Effect::RequireApproval { tier, hold_seconds } => Some((tier, *hold_seconds, finding.reference())),
        Effect::Allow | Effect::Deny | Effect::Sanitize(_) => None,
    });
    for (name, hold_seconds, asked_by) in of_rules.chain(origins::asking(origins)) {
        // `Bundle::assemble` refuses a rule whose tier does not exist; what slips through cannot be approved by anyone.
        let Some(tier) = bundle.source.tiers.iter().find(|tier| tier.name == *name) else {
            let detail = format!("rule {asked_by} asks for approval by tier {name}, which does not exist");
            return Err(Box::new(Refusal { rule: Some(asked_by), ..Refusal::plain(Code::RuleDenies, detail) }));
        };
        let requirement = by_tier.entry(name).or_insert_with(|| Requirement {
            tier: tier.clone(),
            asked_by: Vec::new(),
            hold_seconds: 0,
        });
        if !requirement.asked_by.contains(&asked_by) {
            requirement.asked_by.push(asked_by);
        }
        requirement.hold_seconds = requirement.hold_seconds.max(hold_seconds);
    }
    if by_tier.len() > MAX_TIERS {
        let names: Vec<_> = by_tier.into_keys().collect();
        let detail = format!(
            "this call needs approvals of {} tiers, {MAX_TIERS} are possible: {}",
            names.len(),
            names.join(", ")
        );
        return Err(Box::new(Refusal::plain(Code::TooManyTiers, detail)));
    }
    Ok(by_tier.into_values().collect())
}

/// An agent that names an approval says "this is that call again". When the release of that name is for another effect,
/// it is not, whether or not this call needs an approval.
///
/// A named approval of which no release is here may still be open; whether it is for this effect, the control service
/// knows.
pub(super) fn named_is_for_this_effect(
    call: &ToolCall,
    releases: &[Release],
    agent: &Agent,
    effect: Option<Digest>,
) -> Result<(), Box<Refusal>> {
    let Some(name) = &call.approval else { return Ok(()) };
    let mut of_that_name =
        releases.iter().filter(|release| release.request_name == *name && is_of(release, agent)).peekable();
    if of_that_name.peek().is_none() || of_that_name.any(|release| Some(release.effect_digest) == effect) {
        return Ok(());
    }
    Err(mismatch(call, name, "is for another call"))
}

/// The release for exactly this effect in exactly this context. Of several (which the control service does not issue) the
/// one that lasts longest.
pub(super) fn matching<'a>(
    call: &ToolCall,
    releases: &'a [Release],
    agent: &Agent,
    output: &DecisionOutput,
    now: Timestamp,
) -> Result<Option<&'a Release>, Box<Refusal>> {
    let (Some(effect), Some(context)) = (output.effect_digest, output.context_digest) else { return Ok(None) };
    let matching = releases.iter().filter(|release| {
        is_of(release, agent)
            && release.effect_digest == effect
            && release.context_digest == context
            && release.in_force(now)
    });
    let latest = |release: &&Release| (release.expires_at, release.request_uid.clone());
    match &call.approval {
        None => Ok(matching.max_by_key(latest)),
        Some(name) => {
            let (named, others): (Vec<_>, Vec<_>) = matching.partition(|release| release.request_name == *name);
            match (named.into_iter().max_by_key(latest), others.as_slice()) {
                (Some(release), _) => Ok(Some(release)),
                (None, []) => Ok(None),
                (None, [other, ..]) => {
                    let why = format!("is not the one for this call, which is {}", other.request_name);
                    Err(mismatch(call, name, &why))
                }
            }
        }
    }
}

/// A release without agent uid is nobody's.
fn is_of(release: &Release, agent: &Agent) -> bool {
    !agent.uid.is_empty() && release.agent_uid == agent.uid
}

fn mismatch(call: &ToolCall, name: &str, why: &str) -> Box<Refusal> {
    let detail = format!(
        "{}: approval {name} {why}; repeat the approved call unchanged, or leave the header Aegis-Approval out",
        call.operation
    );
    Box::new(Refusal::plain(Code::ApprovalMismatch, detail))
}
