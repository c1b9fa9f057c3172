//! What the tables of a bundle would hold, counted before anything is compiled.
//!
//! A rule stands in the table of every operation that it is about, of every tool of its policy, in every lineup
//! ([`crate::lineup`]): a few hundred kilobytes of rules about `*` would become gigabytes. Who compiles them judges for
//! others too, so what is too much is refused by this count, which costs about what reading the rules costs.

use std::collections::{BTreeMap, BTreeSet};

use crate::bundle::BundleSource;
use crate::lineup::Counting;
use crate::policy::{Check, Policy, Predicate, Rule, Scalar};
use crate::tool::Tool;

/// Most places in the tables of a bundle, each of some 100 to 200 bytes. In the table of one operation a rule takes one for
/// each of its checks, values of a check and transforms, and one at least; an entry of `provenance` takes one; and so does a
/// policy that says nothing of the operation.
pub const MAX_PLACES: usize = 250_000;
/// Bytes of a text that need no place beside its own.
const TEXT_BYTES: usize = 128;

/// Places in the tables of a tool's operations. Once there are more than [`MAX_PLACES`], they are not counted to the end.
pub(crate) fn of_tool(source: &BundleSource, tool: &Tool, counting: &Counting) -> usize {
    let declared: BTreeSet<&str> = tool.operations.iter().map(|operation| operation.name.as_str()).collect();
    let mut of_policies: BTreeMap<usize, usize> = BTreeMap::new();
    let mut all: usize = 0;
    for place in counting.lineups().flatten() {
        let own = of_policies.entry(*place);
        let own = own.or_insert_with(|| source.policies.get(*place).map_or(0, |policy| of_policy(policy, &declared)));
        all = all.saturating_add(*own);
        if all > MAX_PLACES {
            break;
        }
    }
    all
}

/// Places that a policy takes in one table of each of these operations.
fn of_policy(policy: &Policy, declared: &BTreeSet<&str>) -> usize {
    let stands = |operations: &[String]| {
        if operations.iter().any(|name| name == "*") {
            declared.len()
        } else {
            operations.iter().filter(|name| declared.contains(name.as_str())).count()
        }
    };
    let rules = policy.rules.iter().map(|rule| of_rule(rule).saturating_mul(stands(&rule.operations)));
    let entries = policy.provenance.iter().map(|entry| stands(&entry.operations));
    rules.chain(entries).fold(0, usize::saturating_add).max(declared.len())
}

/// Places that a rule takes in one table.
fn of_rule(rule: &Rule) -> usize {
    let transforms = rule.effect.transforms().map_or(0, <[_]>::len);
    rule.when.iter().map(of_check).fold(transforms, usize::saturating_add).max(1)
}

/// Places that a check takes: as many as there are values by which a table finds it.
fn of_check(check: &Check) -> usize {
    match &check.predicate {
        Predicate::Equals(scalar) => of_scalar(scalar),
        Predicate::In(scalars) => scalars.iter().map(of_scalar).fold(0, usize::saturating_add),
        Predicate::Matches(text) | Predicate::Prefix(text) | Predicate::Suffix(text) => of_text(text),
        Predicate::HostIn { names, .. } => names.iter().map(|name| of_text(name)).fold(1, usize::saturating_add),
        _ => 1,
    }
}

fn of_scalar(scalar: &Scalar) -> usize {
    match scalar {
        Scalar::Integer(_) => 1,
        Scalar::Text(text) => of_text(text),
    }
}

fn of_text(text: &str) -> usize {
    text.len().checked_div(TEXT_BYTES).unwrap_or_default().saturating_add(1)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::bundle::{AssembleError, Bundle, BundleSource};

    /// A rule of so many checks.
    fn rule(name: usize, operations: &[String], checks: usize) -> Value {
        let when: Vec<_> = (0..checks).map(|at| json!({"field": format!("f{at}"), "predicate": "exists"})).collect();
        json!({"name": format!("rule-{name}"), "operations": operations, "effect": "Deny", "when": when})
    }

    fn policy(name: usize, tools: &[String], rules: impl Iterator<Item = Value>) -> Value {
        json!({"name": format!("policy-{name:04}"), "tools": tools, "rules": rules.collect::<Vec<_>>()})
    }

    fn names(of: &str, many: usize) -> Vec<String> {
        (0..many).map(|at| format!("{of}{at}")).collect()
    }

    /// Tools `t0`, `t1`, .. with so many operations `o0`, `o1`, .. each.
    fn source(tools: usize, operations: usize, policies: &[Value]) -> BundleSource {
        let operation = |name: &String| {
            json!({"name": name, "class": "Read", "timeoutSeconds": 5,
                   "http": {"method": "GET", "path": format!("/{name}")}})
        };
        let operations: Vec<_> = names("o", operations).iter().map(operation).collect();
        let tool = |name: &String| {
            json!({"name": name, "uid": name, "allowPrivateAddresses": false, "operations": operations,
                   "endpoint": {"scheme": "https", "host": "t.example", "port": 443, "basePath": ""},
                   "limits": {"requestBytes": 1, "responseBytes": 1, "concurrency": 1}})
        };
        serde_json::from_value(json!({
            "agent": {"namespace": "n", "name": "clerk", "uid": "u1", "tenant": "acme", "businessUnit": "b", "owner": "o",
                      "version": "1", "ceiling": "Commit", "serviceAccount": "clerk", "maxStalenessSeconds": 60,
                      "tokenTtlSeconds": 300},
            "tools": names("t", tools).iter().map(tool).collect::<Vec<_>>(), "policies": policies,
            "registries": [], "tiers": [],
        }))
        .unwrap()
    }

    /// So many policies, each of 50 rules of so many checks about all operations of all tools.
    fn everywhere(tools: usize, operations: usize, policies: usize, checks: usize) -> BundleSource {
        let named = names("t", tools);
        let one = |at| policy(at, &named, (0..50).map(|at| rule(at, &["*".to_owned()], checks)));
        source(tools, operations, &(0..policies).map(one).collect::<Vec<_>>())
    }

    #[test]
    fn ten_thousand_rules_of_three_checks_fit_eight_operations() {
        assert_eq!(everywhere(1, 8, 200, 3).fits(), Ok(()));
        assert_eq!(everywhere(1, 9, 200, 3).fits(), Err(AssembleError::TooManyPlaces));
    }

    #[test]
    fn few_rules_about_all_operations_of_many_tools_do_not_fit() {
        let wide = everywhere(16, 64, 5, 1);
        assert!(serde_json::to_vec(&wide).unwrap().len() < 300_000, "what is wide is not long");
        assert_eq!(wide.fits(), Err(AssembleError::TooManyPlaces));
        assert_eq!(Bundle::assemble(wide).unwrap_err(), AssembleError::TooManyPlaces);
        assert_eq!(everywhere(16, 64, 4, 1).fits(), Ok(()));
    }

    #[test]
    fn a_rule_takes_a_place_for_each_check_where_it_stands_and_one_at_least() {
        // 100 operations of one tool: 2,500 places for each.
        let of = |rules: usize, checks: usize, operations: &[String]| {
            let all = [policy(0, &["t0".to_owned()], (0..rules).map(|at| rule(at, operations, checks)))];
            source(1, 100, &all).fits()
        };
        let (all, some) = (["*".to_owned()], names("o", 50));
        assert_eq!((of(2_500, 0, &all), of(2_500, 1, &all), of(1_250, 2, &all)), (Ok(()), Ok(()), Ok(())));
        assert_eq!((of(5_000, 1, &some), of(2_501, 1, &["o1".to_owned()])), (Ok(()), Ok(())));
        for wide in [of(2_501, 0, &all), of(1_251, 2, &all), of(5_001, 1, &some)] {
            assert_eq!(wide, Err(AssembleError::TooManyPlaces));
        }
    }

    #[test]
    fn a_check_takes_a_place_for_each_value_that_it_is_found_by() {
        let of = |predicate: Value| {
            super::of_check(&serde_json::from_value(json!({"field": "f", "predicate": predicate})).unwrap())
        };
        let long = "x".repeat(256);
        assert_eq!((of(json!("exists")), of(json!({"equals": {"text": "a"}}))), (1, 1));
        assert_eq!(of(json!({"in": [{"text": "a"}, {"integer": 2}, {"text": long}]})), 5);
        assert_eq!((of(json!({"prefix": long})), of(json!({"hostIn": {"names": ["a.example"]}}))), (3, 2));
    }

    #[test]
    fn each_lineup_has_its_own_places() {
        let with = |rollouts: usize| {
            let mut source = everywhere(1, 100, 20, 1);
            for (at, policy) in source.policies.iter_mut().take(rollouts).enumerate() {
                let percent = u8::try_from(at).unwrap() + 1;
                policy.rollout = Some(crate::policy::Rollout { percent, replaces: None });
            }
            source.fits()
        };
        // 100,000 places for all policies, 95,000 without the one that is tried out.
        assert_eq!(with(0), Ok(()));
        assert_eq!(with(1), Ok(()));
        assert_eq!(with(2), Err(AssembleError::TooManyPlaces));
    }

    #[test]
    fn a_policy_that_says_nothing_and_an_entry_of_provenance_take_a_place_each() {
        let silent = |policies: usize| {
            let one = |at| policy(at, &["t0".to_owned()], std::iter::once(rule(0, &["nothing".to_owned()], 1)));
            source(1, 500, &(0..policies).map(one).collect::<Vec<_>>()).fits()
        };
        assert_eq!((silent(500), silent(501)), (Ok(()), Err(AssembleError::TooManyPlaces)));
        let protecting = |entries: usize| {
            let mut all = policy(0, &["t0".to_owned()], std::iter::once(rule(0, &["*".to_owned()], 1)));
            let entry = json!({"operations": ["*"], "field": "payee", "from": ["Request"], "unknown": "Deny"});
            all["provenance"] = vec![entry; entries].into();
            source(1, 1_000, &[all]).fits()
        };
        assert_eq!((protecting(249), protecting(250)), (Ok(()), Err(AssembleError::TooManyPlaces)));
    }
}
