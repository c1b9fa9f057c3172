//! The order of the verdict, written once more from docs/reference/decision.md in the plainest way: what a decision must
//! say, given how true each check was, whose origins are unknown, and what is not up to rules.

use aegis_decision::codes::Code;
use aegis_decision::decision::{DecisionOutput, RuleOutcome, Truth, UnknownEffect, Verdict};

use crate::calls::Call;
use crate::delegations;

/// Refusals that are taken over from the output, and before which step each of them comes: tests of their own say when
/// they are right, here it is that they come in order.
const TAKEN_OVER: [(Code, u8); 3] =
    [(Code::SanitizeFailed, 1), (Code::OutsideDelegation, 2), (Code::ApprovalMismatch, 4)];

/// Verdict, code, and the rule that decides, as `policy/rule`.
type Said = (Verdict, Option<Code>, Option<String>);

/// What the output of a decision that lists every rule, of an agent that enforces, should say instead; none: nothing.
pub fn contradiction(call: &Call, output: &DecisionOutput) -> Option<String> {
    let untrue = output.rules.iter().find(|rule| rule.truth != conjunction(rule));
    if let Some(rule) = untrue {
        return Some(format!("{rule:?} is {:?}", conjunction(rule)));
    }
    let rule = output.rule.as_ref().map(ToString::to_string);
    let said = (output.verdict, output.code, rule);
    let stated = stated(call, output);
    (said != stated).then(|| format!("{stated:?}, and it says {said:?}"))
}

/// Any false: false. Else any that cannot be told: that. Else true.
fn conjunction(rule: &RuleOutcome) -> Truth {
    let any = |truth: Truth| rule.checks.iter().any(|check| check.truth == truth);
    if any(Truth::False) {
        Truth::False
    } else if any(Truth::Indeterminate) {
        Truth::Indeterminate
    } else {
        Truth::True
    }
}

fn stated(call: &Call, output: &DecisionOutput) -> Said {
    let first = |effect: &str, truth: Truth| {
        let found = output.rules.iter().find(|rule| rule.effect == effect && rule.truth == truth);
        found.map(|rule| format!("{}/{}", rule.policy, rule.rule))
    };
    let first_unknown = |effect: UnknownEffect| {
        let found = output.unknown_origins.iter().find(|value| value.unknown_origin == effect);
        found.map(|value| format!("{}/provenance[{}]", value.policy, value.entry))
    };
    let refused_before =
        |step: u8| output.code.filter(|code| TAKEN_OVER.iter().any(|(one, before)| one == code && *before == step));
    let deny = |code: Code, rule: Option<String>| (Verdict::Deny, Some(code), rule);
    let own = || output.rule.as_ref().map(ToString::to_string);

    if let Some(code) = refused_before(1) {
        return deny(code, own());
    }
    let denying = first("Deny", Truth::True).or_else(|| first("Deny", Truth::Indeterminate));
    if denying.is_some() {
        return deny(Code::RuleDenies, denying);
    }
    if let Some(code) = delegations::refusal(call) {
        return deny(code, None);
    }
    if let Some(code) = refused_before(2) {
        return deny(code, own());
    }
    let unknown = first_unknown(UnknownEffect::Deny);
    if unknown.is_some() {
        return deny(Code::UnknownOrigin, unknown);
    }
    let allowing = first("Allow", Truth::True);
    if allowing.is_none() {
        return deny(Code::NoRuleAllows, None);
    }
    if let Some(code) = refused_before(4) {
        return deny(code, own());
    }
    let asks = |rule: &&RuleOutcome| rule.effect == "RequireApproval" && rule.truth != Truth::False;
    let asking = output.rules.iter().find(asks).map(|rule| format!("{}/{}", rule.policy, rule.rule));
    match asking.or_else(|| first_unknown(UnknownEffect::Hold)) {
        None => (Verdict::Allow, None, allowing),
        Some(_) if output.verdict == Verdict::AllowOnce => (Verdict::AllowOnce, None, allowing),
        asking => (Verdict::Hold, Some(Code::ApprovalRequired), asking),
    }
}
