//! The tables of a bundle while they are made. Operations share one where the same rules are about them and names in paths
//! mean the same; so do lineups that differ only in policies which say nothing of the operation.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::CompiledPolicy;
use super::table::{SetRoom, Table};
use crate::path::Path;
use crate::tool::{Dimension, Operation};

/// All that goes into a table: rules by policy, in their order, and what aliases and dimensions stand for.
type Key<'p> = (Vec<(usize, &'p [usize])>, &'p BTreeMap<String, Path>, &'p BTreeMap<Dimension, Path>);

/// The tables of one bundle so far.
#[derive(Debug)]
pub(crate) struct Tables<'p> {
    policies: &'p [CompiledPolicy],
    sets: SetRoom,
    made: RefCell<BTreeMap<Key<'p>, Arc<Table>>>,
}

impl<'p> Tables<'p> {
    /// None is made yet.
    pub(crate) fn new(policies: &'p [CompiledPolicy]) -> Self {
        Self { policies, sets: SetRoom::default(), made: RefCell::default() }
    }

    /// The table of the policies at these places, which select the agent and the operation's tool, for the operation.
    pub(crate) fn of(&self, places: &[usize], operation: &'p Operation) -> Arc<Table> {
        let policies = self.policies;
        let judging = places.iter().filter_map(|place| Some((*place, policies.get(*place)?.indexes(&operation.name))));
        let rules = judging.filter(|(_, rules)| !rules.is_empty()).collect();
        let key = (rules, &operation.aliases, &operation.dimensions);
        let mut made = self.made.borrow_mut();
        let table =
            made.entry(key).or_insert_with(|| Arc::new(Table::compile(policies, places, operation, &self.sets)));
        Arc::clone(table)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::bundle::BundleSource;
    use crate::policy::Policy;

    #[test]
    fn operations_with_the_same_rules_and_names_share_a_table() {
        let operation = |name: &str, aliases: serde_json::Value| {
            json!({"name": name, "class": "Read", "timeoutSeconds": 5, "aliases": aliases,
                   "http": {"method": "GET", "path": format!("/{name}")}})
        };
        let rule = |name: &str, operations: &[&str]| {
            json!({"name": name, "operations": operations, "effect": "Allow",
                   "when": [{"field": "total", "predicate": {"equals": {"text": "1"}}}]})
        };
        let policy = |name: &str, rules: &[serde_json::Value]| json!({"name": name, "tools": ["desk"], "rules": rules});
        let source: BundleSource = serde_json::from_value(json!({
            "agent": {"namespace": "n", "name": "clerk", "uid": "u1", "tenant": "acme", "businessUnit": "b", "owner": "o",
                      "version": "1", "ceiling": "Commit", "serviceAccount": "clerk", "maxStalenessSeconds": 60,
                      "tokenTtlSeconds": 300},
            "tools": [{"name": "desk", "uid": "t1", "endpoint": {"scheme": "https", "host": "desk.example", "port": 443,
                       "basePath": ""}, "allowPrivateAddresses": false, "limits": {"requestBytes": 1, "responseBytes": 1,
                       "concurrency": 1},
                       "operations": [operation("a", json!({})), operation("b", json!({})), operation("c", json!({})),
                                      operation("d", json!({"total": "order.total"}))]}],
            "policies": [policy("all", &[rule("every", &["*"]), rule("third", &["c"])]), policy("none", &[rule("x", &["x"])])],
            "registries": [], "tiers": [],
        }))
        .unwrap();
        let compile = |policy: &Policy| CompiledPolicy::compile(policy, &source).unwrap();
        let policies: Vec<_> = source.policies.iter().map(compile).collect();
        assert!(policies[1].indexes("x").is_empty(), "a rule of what cannot be called");
        let tables = Tables::new(&policies);
        let of = |places: &[usize], operation: usize| tables.of(places, &source.tools[0].operations[operation]);
        let first = of(&[0, 1], 0);
        assert!(Arc::ptr_eq(&first, &of(&[0, 1], 1)), "the same rules under other operations");
        assert!(Arc::ptr_eq(&first, &of(&[0], 1)), "a policy that says nothing of the operation");
        assert!(!Arc::ptr_eq(&first, &of(&[0, 1], 2)), "one more rule");
        assert!(!Arc::ptr_eq(&first, &of(&[0, 1], 3)), "the same rules, which look elsewhere");
        assert!(!Arc::ptr_eq(&first, &of(&[1], 0)), "no rule");
    }
}
