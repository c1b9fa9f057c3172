//! A refusal on its way to the output.

use crate::codes::Code;
use crate::decision::{Decision, DecisionOutput, FailedCheck, Outcome, RuleRef, Verdict};

/// Why a call is refused, with all that helps to do better.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: Code,
    /// One plain sentence that a model can act on.
    pub(super) detail: String,
    /// The rule that decided.
    pub(super) rule: Option<RuleRef>,
    /// Checks that failed.
    pub(super) failed: Vec<FailedCheck>,
    /// What would pass.
    pub(super) allowed: Option<String>,
    /// Allow rules that were nearest.
    pub(super) nearest: Vec<RuleRef>,
}

impl Refusal {
    /// A refusal that no rule made.
    pub(super) fn plain(code: Code, detail: String) -> Self {
        Self { code, detail, rule: None, failed: Vec::new(), allowed: None, nearest: Vec::new() }
    }

    /// Completes the output.
    pub(super) fn into_decision(self, mut output: DecisionOutput) -> Decision {
        let code = self.code;
        self.tell(&mut output);
        Decision { outcome: Outcome::Deny(code), output }
    }

    /// Puts it into the output.
    pub(super) fn tell(self, output: &mut DecisionOutput) {
        let Self { code, detail, rule, failed, allowed, nearest } = self;
        output.verdict = Verdict::Deny;
        output.code = Some(code);
        output.detail = Some(detail);
        output.rule = rule;
        output.failed = failed;
        output.allowed = allowed;
        output.nearest = nearest;
    }
}

/// Whether policies refuse, and not the agent's standing, its delegation or the form of its call.
pub(super) fn is_of_policies(code: Code) -> bool {
    matches!(code, Code::RuleDenies | Code::UnknownOrigin | Code::NoRuleAllows | Code::TooManyTiers)
}
