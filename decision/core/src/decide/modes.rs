//! What the agent's mode makes of a verdict, and what would become of the call if everything that is tried out were
//! enforced.

use super::explain;
use super::refusal::is_of_policies;
use super::said::Asking;
use super::{Case, Evidence, Judgement, Passed};
use crate::agent::Mode;
use crate::codes::Code;
use crate::decision::{Decision, DecisionOutput, Outcome, Verdict, Would};
use crate::lineup::Lineup;
use crate::permit::Permit;

/// What becomes of a call by its agent's mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Becomes {
    /// What the verdict says.
    AsJudged,
    /// It is proposed.
    Proposed,
    /// It goes.
    Allowed,
}

/// What a mode makes of a verdict; a refusal without a code is not one by policies.
pub(super) fn becomes(mode: Mode, refused: bool, code: Option<Code>) -> Becomes {
    match mode {
        Mode::Propose if !refused => Becomes::Proposed,
        Mode::Audit if !refused || code.is_some_and(is_of_policies) => Becomes::Allowed,
        Mode::Enforce | Mode::Propose | Mode::Audit => Becomes::AsJudged,
    }
}

/// What would become of the call; none where nothing is tried out for it, or where that could not be found out in time.
/// Releases do not count: they are for what is in force.
pub(super) fn would(
    case: &Case<'_>,
    tried: Option<(&Lineup, &[String])>,
    mode: Mode,
    asking: &mut Asking<'_>,
    judged: &Judgement,
    output: &DecisionOutput,
) -> Option<Would> {
    match tried {
        Some((lineup, policies)) => {
            let mut beside = explain::blank(case.bundle, &case.call.tool);
            let evidence = Evidence { releases: &[], ..*case.evidence };
            let judged = Case { evidence: &evidence, ..*case }.judge(lineup, asking, &mut beside).ok()?;
            Some(told(&judged, &beside, policies))
        }
        None if mode.is_enforce() => None,
        None => Some(told(judged, output, &[])),
    }
}

fn told(judged: &Judgement, output: &DecisionOutput, policies: &[String]) -> Would {
    let (verdict, code, detail, rule) = match judged {
        Ok(Passed::Freely) => (Verdict::Allow, None, None, &output.rule),
        Ok(Passed::Once(_)) => (Verdict::Hold, Some(Code::ApprovalRequired), None, &output.rule),
        Ok(Passed::Held(detail)) => (Verdict::Hold, Some(Code::ApprovalRequired), Some(detail.clone()), &output.rule),
        Err(refusal) => (Verdict::Deny, Some(refusal.code), Some(refusal.detail.clone()), &refusal.rule),
    };
    Would {
        verdict,
        code,
        detail,
        rule: rule.clone(),
        approvals: output.requirements.iter().map(|needed| needed.tier.name.clone()).collect(),
        policies: policies.to_vec(),
    }
}

/// A call of an agent that is audited: it goes, whatever policies say.
pub(super) fn audited(judged: &Judgement, permit: Option<Permit>, mut output: DecisionOutput) -> Decision {
    if !matches!(judged, Ok(Passed::Freely)) {
        // The rule that holds or refuses does not.
        output.rule = None;
    }
    output.requirements.clear();
    output.verdict = Verdict::Allow;
    Decision { outcome: Outcome::Allow(permit.map(Box::new)), output }
}

/// A call of an agent that only proposes: recorded, and never sent.
pub(super) fn proposed(operation: &str, mut output: DecisionOutput) -> Decision {
    output.requirements.clear();
    output.verdict = Verdict::Propose;
    output.code = Some(Code::Proposed);
    output.detail = Some(format!(
        "{operation}: this agent only proposes; the call is recorded and was not sent, and a person decides what to do"
    ));
    Decision { outcome: Outcome::Propose, output }
}
