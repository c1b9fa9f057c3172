//! Many rules, each with hosts of its own: the table, which looks at those that name the call's host, and the plain way,
//! which looks at all, say the same.

use std::cell::RefCell;
use std::collections::BTreeMap;

use aegis_decision::bundle::Bundle;
use aegis_decision::decision::Verdict;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Value, json};

use crate::{calls, compare, desk, policies, seeded};

const BUNDLES: u32 = 300;
const CALLS: usize = 30;

/// Hosts, all below one, addresses; some cover what others do.
const NAMES: [&str; 9] = [
    "a.example",
    "*.a.example",
    "x.a.example",
    "*.x.a.example",
    "B.example.",
    "*.b.example",
    "10.0.0.7",
    "[2001:db8::1]",
    "bücher.example",
];
/// Hosts and URLs, and what is nearly one.
const LINKS: [&str; 13] = [
    "a.example",
    "https://A.example.:8443/x",
    "x.a.example",
    "http://y.x.a.example?q",
    "b.example:25",
    "https://c.b.example#f",
    "bb.example",
    "10.0.0.7",
    "http://10.7",
    "https://[2001:DB8::1]/",
    "https://xn--bcher-kva.example",
    "https://u@a.example",
    " a.example",
];

/// A rule about the host of a link, some about a name beside it.
fn rule() -> impl Strategy<Value = Value> {
    let approval = json!({"RequireApproval": {"tier": "lead", "holdSeconds": 1}});
    let effect = prop_oneof![12 => Just(json!("Allow")), 1 => Just(json!("Deny")), 1 => Just(approval)];
    let normalize = prop_oneof![4 => Just("None"), 1 => select(vec!["Trim", "Case"])];
    let named = proptest::option::weighted(0.3, select(vec!["n", "m"]));
    (effect, subsequence(NAMES.to_vec(), 1..3), normalize, proptest::bool::weighted(0.05), named).prop_map(
        |(effect, names, normalize, not, named)| {
            let hosts = json!({"hostIn": {"names": names}});
            let mut when = vec![json!({"field": "link", "not": not, "normalize": normalize, "predicate": hosts})];
            when.extend(named.map(|name| json!({"field": "name", "predicate": {"equals": {"text": name}}})));
            json!({"operations": ["*"], "effect": effect, "when": when})
        },
    )
}

/// Arguments with a link; some have none or one that is no text, and some no name.
fn arguments() -> impl Strategy<Value = Value> {
    let link =
        prop_oneof![16 => select(LINKS.to_vec()).prop_map(Value::from), 1 => Just(json!(7)), 1 => Just(Value::Null)];
    let link = proptest::option::weighted(0.95, link);
    (link, proptest::option::of(select(vec!["n", "m", "o"]))).prop_map(|(link, name)| {
        let mut arguments = json!({});
        if let Some(link) = link {
            arguments["link"] = link;
        }
        if let Some(name) = name {
            arguments["name"] = name.into();
        }
        arguments
    })
}

#[test]
fn of_many_rules_with_hosts_of_their_own_the_table_says_what_all_of_them_say() {
    let verdicts: RefCell<BTreeMap<&str, u32>> = RefCell::default();
    let case = (vec(rule(), 1..50), vec(arguments(), CALLS));
    let seed = seeded::run(BUNDLES, &case, |(mut rules, all)| {
        for (at, rule) in rules.iter_mut().enumerate() {
            rule["name"] = json!(format!("r{at}"));
        }
        let source = policies::with(&[json!({"name": "p", "tools": ["desk"], "rules": rules})]);
        let bundle = Bundle::assemble(source).expect("generated rules are well formed");
        let standing = desk::standing(&bundle);
        for arguments in &all {
            let output = compare(&bundle, &standing, &calls::of(arguments))?;
            *verdicts.borrow_mut().entry(output.verdict.as_str()).or_default() += 1;
        }
        Ok(())
    });
    let verdicts = verdicts.into_inner();
    println!("seed {seed}: {verdicts:?}");
    for verdict in [Verdict::Allow, Verdict::Hold, Verdict::Deny] {
        assert!(verdicts.contains_key(verdict.as_str()), "{verdict:?} never came out: {verdicts:?}");
    }
}
