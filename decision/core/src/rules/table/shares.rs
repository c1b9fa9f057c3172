//! What a call looks at among the rules of the benchmarks' workload. By counting, so that it holds on any machine.

use jiff::Timestamp;
use test_case::test_case;

use super::answers::Answers;
use super::index::Index;
use super::search::{Search, Wanted};
use super::{Allowing, SetRoom, Table};
use crate::bundle::BundleSource;
use crate::facts::FactSet;
use crate::json;
use crate::lineup::Counting;
use crate::places;
use crate::policy::Policy;
use crate::rules::resolve::Scope;
use crate::rules::{CallInputs, CompiledPolicy, Inputs};

// Some of it only the benchmarks are about.
#[allow(dead_code)]
#[path = "../../../benches/workload/given.rs"]
mod given;

use given::Rules;

/// Most rules, groups of bounds and asked checks that a call may look at, however many rules there are.
const MOST: usize = 8;

/// The workload's rules about a payment, compiled.
struct Desk {
    source: BundleSource,
    policies: Vec<CompiledPolicy>,
    table: Table,
}

impl Desk {
    fn new(source: BundleSource) -> Self {
        let compile = |policy: &Policy| CompiledPolicy::compile(policy, &source).unwrap();
        let policies: Vec<_> = source.policies.iter().map(compile).collect();
        let places: Vec<_> = (0..policies.len()).collect();
        let table = Table::compile(&policies, &places, &source.tools[0].operations[0], &SetRoom::default());
        Self { source, policies, table }
    }

    fn of(kinds: Rules, rules: usize) -> Self {
        Self::new(serde_json::from_value(given::bundle(kinds, rules)).unwrap())
    }

    /// With Allow rules, each about a reference that matches a pattern.
    fn of_patterns(patterns: impl Iterator<Item = String>) -> Self {
        Self::of_predicates(patterns.map(|pattern| serde_json::json!({"matches": pattern})))
    }

    /// With Allow rules, each about the reference. Of large patterns a policy has room for some.
    fn of_predicates(predicates: impl Iterator<Item = serde_json::Value>) -> Self {
        let mut desk = given::bundle(Rules::Keyed, 1);
        let rule = |(at, predicate): (usize, serde_json::Value)| {
            let when = [serde_json::json!({"field": "reference", "predicate": predicate})];
            serde_json::json!({"name": format!("rule-{at}"), "operations": ["*"], "effect": "Allow", "when": when})
        };
        let rules: Vec<_> = predicates.enumerate().map(rule).collect();
        let policy = |(at, rules): (usize, &[serde_json::Value])| {
            let mut policy = desk["policies"][0].clone();
            policy["name"] = format!("policy-{at:02}").into();
            policy["rules"] = rules.into();
            policy
        };
        desk["policies"] = rules.chunks(16).enumerate().map(policy).collect();
        Self::new(serde_json::from_value(desk).unwrap())
    }

    /// What the payment, changed so, looks at, and the rule by which it may go.
    fn judge(&self, changes: &[(&str, Option<&str>)]) -> (usize, Option<String>) {
        let mut payment: serde_json::Value = serde_json::from_slice(&given::payment()).unwrap();
        for (field, text) in changes {
            match text {
                Some(text) => payment[*field] = (*text).into(),
                None => drop(payment.as_object_mut().unwrap().remove(*field)),
            }
        }
        let arguments = json::parse(payment.to_string().as_bytes()).unwrap();
        let operation = &self.source.tools[0].operations[0];
        let facts = FactSet::default();
        let inputs = Inputs {
            arguments: &arguments,
            aliases: &operation.aliases,
            dimensions: &operation.dimensions,
            agent: &self.source.agent,
            delegation: None,
            call: CallInputs {
                time: Timestamp::UNIX_EPOCH,
                class: operation.class,
                tool: "bank",
                operation: &operation.name,
            },
            run: None,
            facts: &facts,
            registries: &self.source.registries,
            record_clear: &[],
        };
        let scope = Scope::new(&inputs);
        let answers = Answers::new(&self.table, &self.policies, &scope);
        let looked = |index: &Index, wanted| {
            let mut search = Search::new(&answers, wanted);
            index.search(&mut search);
            search.looked()
        };
        let looked = looked(&self.table.blocking, Wanted::NotFalse) + looked(&self.table.allowing, Wanted::True);
        let allowing = self.table.allows(&self.policies, &inputs);
        (looked, allowing.map(|Allowing { rule, .. }| rule.name.clone()))
    }

    /// Rules that no key leads to.
    fn without_key(&self) -> usize {
        self.table.blocking.without_key() + self.table.allowing.without_key()
    }
}

#[test_case(Rules::Mixed, 10)]
#[test_case(Rules::Mixed, 1_000)]
#[test_case(Rules::Keyed, 1_000)]
fn a_key_leads_to_every_rule_of_the_workload(kinds: Rules, rules: usize) {
    let desk = Desk::of(kinds, rules);
    assert_eq!((desk.table.rules.len(), desk.without_key()), (rules, 0));
}

#[test]
fn ten_thousand_rules_of_the_workload_take_less_than_a_quarter_of_the_places() {
    let source: BundleSource = serde_json::from_value(given::bundle(Rules::Mixed, 10_000)).unwrap();
    let tool = &source.tools[0];
    let taken = places::of_tool(&source, tool, &Counting::of(&source, tool));
    assert!(taken > 40_000 && taken < places::MAX_PLACES / 4, "{taken}");
}

#[test]
fn of_ten_thousand_rules_a_call_looks_at_a_handful() {
    let desk = Desk::of(Rules::Mixed, 10_000);
    assert_eq!(desk.without_key(), 0);
    let other = ("supplier", Some("supplier-x"));
    let cases: [(&[_], _); 12] = [
        (&[], Some("rule-5000")),
        (&[other], None),
        // Rule 9957 allows by a pattern, 9988 denies by one.
        (&[other, ("reference", Some("ORD-9957-12345"))], Some("rule-9957")),
        (&[other, ("reference", Some("ORD-9957-123"))], None),
        (&[("reference", Some("ORD-9988-12345"))], None),
        (&[("reference", Some("ORD-9988-123"))], Some("rule-5000")),
        // 9983 denies by a beginning.
        (&[("reference", Some("BATCH-9983-1"))], None),
        (&[("supplier", None)], None),
        (&[("reference", None)], None),
        (&[("amount", None)], None),
        // 5009 allows by a range, 5028 denies by one.
        (&[("amount", Some("15009.50"))], Some("rule-5009")),
        (&[("amount", Some("15028.50"))], None),
    ];
    for (changes, expected) in cases {
        let (looked, allowing) = desk.judge(changes);
        assert_eq!(allowing.as_deref(), expected, "{changes:?}");
        assert!(looked <= MOST, "{changes:?}: looked at {looked}");
    }
}

/// A literal that many patterns begin with would lead to all of them.
#[test]
fn of_patterns_with_one_beginning_a_call_looks_at_those_that_match() {
    let desk = Desk::of_patterns((0..200).map(|at| format!("ORD-[0-9]{{4}}-{at}")));
    assert_eq!(desk.without_key(), 200);
    assert_eq!(desk.judge(&[("reference", Some("ORD-1234-150"))]), (1, Some("rule-150".to_owned())));
    assert_eq!(desk.judge(&[]), (0, None));
}

/// Where the set would be too large, the literal leads to fewer than all.
#[test]
fn a_beginning_of_many_is_better_than_none() {
    let pattern = |at: usize| format!(r"{}-\w{{2}}-{at}", if at < 110 { "ORD" } else { "INV" });
    let desk = Desk::of_patterns((0..120).map(pattern));
    assert_eq!(desk.without_key(), 0);
    assert_eq!(desk.judge(&[("reference", Some("INV-ab-119"))]), (10, Some("rule-119".to_owned())));
}

/// A name, every name below one, and an address.
#[test]
fn of_rules_with_hosts_of_their_own_a_call_looks_at_those_that_name_its_host() {
    let names = |at: usize| {
        let address = format!("10.0.{}.{}", at / 256, at % 256);
        [format!("shop-{at}.example"), format!("*.hosts-{at}.example"), address]
    };
    let desk = Desk::of_predicates((0..1_000).map(|at| serde_json::json!({"hostIn": {"names": names(at)}})));
    assert_eq!(desk.without_key(), 0);
    for reference in ["https://SHOP-700.example:8443/x", "a.b.hosts-700.example", "http://10.0.2.188"] {
        assert_eq!(desk.judge(&[("reference", Some(reference))]), (1, Some("rule-700".to_owned())), "{reference}");
    }
    for reference in ["https://hosts-700.example", "https://shop-1000.example", "https://u@shop-700.example"] {
        assert_eq!(desk.judge(&[("reference", Some(reference))]), (0, None), "{reference}");
    }
}
