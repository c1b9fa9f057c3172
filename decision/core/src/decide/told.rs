//! Of many rules an output lists those that matter most: answers and records have an end, however many rules there are.

use crate::decision::{MAX_RULES_TOLD, RuleOutcome, Truth};

/// At most [`MAX_RULES_TOLD`] of these rules, in their order, and how many were left out.
pub(super) fn told(rules: Vec<RuleOutcome>) -> (Vec<RuleOutcome>, usize) {
    let omitted = rules.len().saturating_sub(MAX_RULES_TOLD);
    if omitted == 0 {
        return (rules, 0);
    }
    let mut ranked: Vec<_> = rules.into_iter().enumerate().collect();
    // Stable: of rules that matter equally the first stays.
    ranked.sort_by_key(|(_, rule)| rank(rule));
    ranked.truncate(MAX_RULES_TOLD);
    ranked.sort_by_key(|(place, _)| *place);
    (ranked.into_iter().map(|(_, rule)| rule).collect(), omitted)
}

/// The lower, the more it matters: it holds, it cannot be told, it misses few checks.
fn rank(rule: &RuleOutcome) -> usize {
    match rule.truth {
        Truth::True => 0,
        Truth::Indeterminate => 1,
        Truth::False => rule.checks.iter().filter(|check| check.truth != Truth::True).count().saturating_add(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::CheckOutcome;

    fn rule(name: usize, truth: Truth, checks: &[Truth]) -> RuleOutcome {
        let checks = checks.iter().map(|truth| CheckOutcome {
            field: "a".to_owned(),
            check: "equals".to_owned(),
            truth: *truth,
        });
        RuleOutcome {
            policy: "p".to_owned(),
            rule: name.to_string(),
            effect: "Allow".to_owned(),
            truth,
            reason: None,
            checks: checks.collect(),
        }
    }

    #[test]
    fn what_matters_most_is_told_in_order() {
        let far = |name| rule(name, Truth::False, &[Truth::False, Truth::False]);
        let mut rules: Vec<_> = (0..200).map(far).collect();
        rules[199] = rule(199, Truth::True, &[Truth::True]);
        rules[150] = rule(150, Truth::Indeterminate, &[Truth::Indeterminate]);
        rules[100] = rule(100, Truth::False, &[Truth::True, Truth::False]);
        let (told, omitted) = told(rules);
        let names: Vec<usize> = told.iter().map(|rule| rule.rule.parse().unwrap()).collect();
        let expected: Vec<usize> = (0..61).chain([100, 150, 199]).collect();
        assert_eq!((names, omitted), (expected, 136));
    }

    #[test]
    fn as_many_as_fit_are_all_told() {
        let rules: Vec<_> = (0..MAX_RULES_TOLD).map(|name| rule(name, Truth::False, &[])).collect();
        assert_eq!(told(rules.clone()), (rules, 0));
    }
}
