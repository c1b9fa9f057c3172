//! What a decision says of the table's way and of the plain one: the same.

use aegis_decision::decision::{DecisionOutput, Verdict};

/// What [`aegis_decision::decide::decide`] must say where `decide_in_full` says this: byte for byte the same, but that of
/// a call that simply goes only the rule that allowed it is told.
pub fn told(mut full: DecisionOutput) -> DecisionOutput {
    if full.verdict == Verdict::Allow {
        let by = full.rule.clone().expect("what is allowed is allowed by a rule");
        full.rules.retain(|outcome| outcome.policy == by.policy && outcome.rule == by.rule);
    }
    full
}
