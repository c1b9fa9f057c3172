//! What a decision says of the table's way and of the plain one: the same.

use aegis_decision::decision::{DecisionOutput, MAX_RULES_TOLD, RuleOutcome, Truth, Verdict};

/// What [`aegis_decision::decide::decide`] must say where `decide_in_full` says this: byte for byte the same, but that of
/// a call that simply goes only the rule that allowed it is told, and else no more rules than there is room for.
pub fn told(mut full: DecisionOutput) -> DecisionOutput {
    let by = full.rule.clone().filter(|_| matches!(full.verdict, Verdict::Allow | Verdict::Propose));
    if let Some(by) = by {
        let this = |outcome: &RuleOutcome| outcome.policy == by.policy && outcome.rule == by.rule;
        // What an agent proposes may be a call that a rule would hold.
        if full.rules.iter().any(|outcome| this(outcome) && outcome.effect == "Allow") {
            full.rules.retain(this);
        }
    }
    first_of_many(&mut full);
    full
}

/// Of many rules those that hold, cannot be told, or miss the fewest checks stay.
fn first_of_many(full: &mut DecisionOutput) {
    let missed = |rule: &RuleOutcome| rule.checks.iter().filter(|check| check.truth != Truth::True).count();
    let is = |truth: Truth| move |rule: &RuleOutcome| rule.truth == truth;
    let places = |wanted: &dyn Fn(&RuleOutcome) -> bool| -> Vec<usize> {
        full.rules.iter().enumerate().filter(|(_, rule)| wanted(rule)).map(|(place, _)| place).collect()
    };
    let mut kept = places(&is(Truth::True));
    kept.extend(places(&is(Truth::Indeterminate)));
    for misses in 0..=full.rules.iter().map(missed).max().unwrap_or(0) {
        kept.extend(places(&|rule| rule.truth == Truth::False && missed(rule) == misses));
    }
    kept.truncate(MAX_RULES_TOLD);
    full.rules_omitted = full.rules.len() - kept.len();
    let mut place = 0..;
    full.rules.retain(|_| place.next().is_some_and(|place| kept.contains(&place)));
}
