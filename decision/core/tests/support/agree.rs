//! What a decision says of the table's way and of the plain one: the same.

use aegis_decision::decision::{DecisionOutput, RuleOutcome, Verdict};

/// What [`aegis_decision::decide::decide`] must say where `decide_in_full` says this: byte for byte the same, but that of
/// a call that simply goes only the rule that allowed it is told.
pub fn told(mut full: DecisionOutput) -> DecisionOutput {
    let by = full.rule.clone().filter(|_| matches!(full.verdict, Verdict::Allow | Verdict::Propose));
    if let Some(by) = by {
        let this = |outcome: &RuleOutcome| outcome.policy == by.policy && outcome.rule == by.rule;
        // What an agent proposes may be a call that a rule would hold.
        if full.rules.iter().any(|outcome| this(outcome) && outcome.effect == "Allow") {
            full.rules.retain(this);
        }
    }
    full
}
