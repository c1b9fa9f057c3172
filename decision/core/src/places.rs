//! What the tables of a bundle would hold, counted before anything is compiled.
//!
//! A rule stands in the table of every operation that it is about, of every tool of its policy, in every lineup
//! ([`crate::lineup`]): a few hundred kilobytes of rules about `*` would become gigabytes. Who compiles them judges for
//! others too, so what is too much is refused by this count, which costs about what reading the rules costs.
//!
//! Counted is what a table has of its own: keys, and the texts and paths in them. What all tables share counts once or not
//! at all: names, reasons and messages of rules stand in the policy alone, and a Rego module is compiled once.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;

use crate::bundle::BundleSource;
use crate::lineup::Counting;
use crate::path::{Path, Root, Step};
use crate::policy::transform::{Action, Constant};
use crate::policy::{Check, Policy, Predicate, Rule, Scalar, Transform};
use crate::rules::MAX_LITERALS;
use crate::tool::Tool;

/// Most places in the tables of a bundle, each of some 100 to 200 bytes. In the table of one operation a rule takes one for
/// each of its checks, values of a check and transforms, and one at least; long texts and paths take more. A `matches` takes
/// as many as there may be literals that it is found by ([`MAX_LITERALS`]). An entry of `provenance` takes one, and so does
/// a policy that says nothing of the operation, or that is tried out beside others. A Rego module takes one for each of its
/// bytes, once.
pub const MAX_PLACES: usize = 250_000;
/// Bytes of texts and paths that need no place beside their own.
const TEXT_BYTES: usize = 128;

/// Places of the programs of all Rego modules. A byte that says much becomes an instruction with its stops and its place in
/// the text, which together take no more than two or three places; most bytes become less.
pub(crate) fn of_modules(source: &BundleSource) -> usize {
    let modules = source.policies.iter().filter_map(|policy| policy.rego.as_ref());
    modules.map(|rego| rego.module.len()).fold(0, usize::saturating_add)
}

/// Places in the tables of a tool's operations. Once there are more than [`MAX_PLACES`], they are not counted to the end.
pub(crate) fn of_tool(source: &BundleSource, tool: &Tool, counting: &Counting) -> usize {
    let named = Named::of(tool);
    let mut of_policies: BTreeMap<usize, usize> = BTreeMap::new();
    let mut all: usize = 0;
    for place in counting.lineups().flatten() {
        let own = of_policies.entry(*place);
        let own = own.or_insert_with(|| source.policies.get(*place).map_or(0, |policy| of_policy(policy, &named)));
        all = all.saturating_add(*own);
        if all > MAX_PLACES {
            return all;
        }
    }
    let beside = counting.beside().filter_map(|place| source.policies.get(place));
    let beside = beside.map(|policy| of_text(&policy.name).saturating_mul(named.operations.len()));
    beside.fold(all, usize::saturating_add)
}

/// Names of a tool's operations, and what names in paths mean in them.
struct Named<'a> {
    operations: BTreeSet<&'a str>,
    /// Bytes of the longest path that an alias stands for.
    aliases: BTreeMap<&'a str, usize>,
    /// Bytes of the longest path that a dimension stands for.
    dimension: usize,
}

impl<'a> Named<'a> {
    fn of(tool: &'a Tool) -> Self {
        let mut aliases: BTreeMap<&str, usize> = BTreeMap::new();
        for (name, path) in tool.operations.iter().flat_map(|operation| &operation.aliases) {
            let longest = aliases.entry(name.as_str()).or_default();
            *longest = bytes(path).max(*longest);
        }
        let dimensions = tool.operations.iter().flat_map(|operation| operation.dimensions.values());
        Self {
            operations: tool.operations.iter().map(|operation| operation.name.as_str()).collect(),
            aliases,
            dimension: dimensions.map(bytes).max().unwrap_or_default(),
        }
    }

    /// Bytes of a path once its first key is replaced by what it stands for.
    fn bytes(&self, path: &Path) -> usize {
        let name = path.first_key().unwrap_or_default();
        let stands_for = match &path.root {
            Root::Arguments => self.aliases.get(name).copied().unwrap_or_default(),
            Root::Input(input) if input == "dim" => self.dimension,
            Root::Input(_) => 0,
        };
        bytes(path).saturating_add(stands_for)
    }
}

/// Bytes of a path as a table holds it: by its steps.
fn bytes(path: &Path) -> usize {
    let step = |step: &Step| match step {
        Step::Key(key) => key.len().saturating_add(mem::size_of::<Step>()),
        Step::Index(_) | Step::All | Step::Any => mem::size_of::<Step>(),
    };
    path.steps.iter().map(step).fold(0, usize::saturating_add)
}

/// Places that a policy takes in one table of each of these operations.
fn of_policy(policy: &Policy, named: &Named<'_>) -> usize {
    let declared = &named.operations;
    let stands = |operations: &[String]| {
        if operations.iter().any(|name| name == "*") {
            declared.len()
        } else {
            operations.iter().filter(|name| declared.contains(name.as_str())).count()
        }
    };
    let of_rule = |rule: &Rule| of_rule(policy, rule, named).saturating_mul(stands(&rule.operations));
    let entries = policy.provenance.iter().map(|entry| stands(&entry.operations));
    policy.rules.iter().map(of_rule).chain(entries).fold(0, usize::saturating_add).max(declared.len())
}

/// Places that a rule takes in one table.
fn of_rule(policy: &Policy, rule: &Rule, named: &Named<'_>) -> usize {
    let checks = rule.when.iter().map(|check| of_check(check, named)).fold(0, usize::saturating_add);
    let Some(transforms) = rule.effect.transforms() else { return checks.max(1) };
    // By these texts records name a rule that changed something.
    let texts = [policy.name.len(), rule.name.len(), rule.reason.as_ref().map_or(0, String::len)];
    let texts = beyond(texts.into_iter().fold(0, usize::saturating_add));
    let transforms = transforms.iter().map(|transform| of_transform(transform, named));
    transforms.fold(checks.saturating_add(texts), usize::saturating_add).max(1)
}

/// Places that a transform takes. Its path stands there by its steps and as a text.
fn of_transform(Transform { field, action }: &Transform, named: &Named<'_>) -> usize {
    let text = if let Action::Set(Constant::Text(text)) = action { text.len() } else { 0 };
    beyond(named.bytes(field).saturating_mul(2).saturating_add(text)).saturating_add(1)
}

/// Places that a check takes: as many as there may be values by which a table finds it, and what its paths take.
fn of_check(check: &Check, named: &Named<'_>) -> usize {
    // Any other check is asked, whatever it could be found by.
    let is_found = !check.not && check.field.quantifiers() == 0;
    let (values, other_path) = match &check.predicate {
        Predicate::Matches(text) if is_found => (beyond(text.len()).saturating_add(MAX_LITERALS), None),
        Predicate::Equals(scalar) => (of_scalar(scalar), None),
        Predicate::In(scalars) => (scalars.iter().map(of_scalar).fold(0, usize::saturating_add), None),
        Predicate::Matches(text) | Predicate::Prefix(text) | Predicate::Suffix(text) => (of_text(text), None),
        Predicate::HostIn { names, .. } => {
            (names.iter().map(|name| of_text(name)).fold(1, usize::saturating_add), None)
        }
        Predicate::AtMost(amount)
        | Predicate::AtLeast(amount)
        | Predicate::LessThan(amount)
        | Predicate::GreaterThan(amount) => (1, amount.currency.as_ref().map(|currency| &currency.field)),
        _ => (1, None),
    };
    let paths = named.bytes(&check.field).saturating_add(other_path.map_or(0, |path| named.bytes(path)));
    beyond(paths).saturating_add(values)
}

fn of_scalar(scalar: &Scalar) -> usize {
    match scalar {
        Scalar::Integer(_) => 1,
        Scalar::Text(text) => of_text(text),
    }
}

fn of_text(text: &str) -> usize {
    beyond(text.len()).saturating_add(1)
}

/// Places that so many bytes need beside the one of what they belong to.
fn beyond(bytes: usize) -> usize {
    bytes.checked_div(TEXT_BYTES).unwrap_or_default()
}

#[cfg(test)]
// Values of test cases are given away.
#[allow(clippy::needless_pass_by_value)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::bundle::{AssembleError, Bundle};
    use crate::tool::Dimension;

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

    /// Places of a check of that field.
    fn of(named: &Named<'_>, field: &str, predicate: Value) -> usize {
        super::of_check(&serde_json::from_value(json!({"field": field, "predicate": predicate})).unwrap(), named)
    }

    /// A path of 16 steps of one letter, and what it takes beside another.
    fn deep() -> (String, usize) {
        (["a"; 16].join("."), 16 * (mem::size_of::<Step>() + 1) / TEXT_BYTES)
    }

    #[test]
    fn a_check_takes_a_place_for_each_value_that_it_is_found_by() {
        let source = source(1, 1, &[]);
        let of = |predicate: Value| of(&Named::of(&source.tools[0]), "f", predicate);
        let long = "x".repeat(256);
        assert_eq!((of(json!("exists")), of(json!({"equals": {"text": "a"}}))), (1, 1));
        assert_eq!(of(json!({"in": [{"text": "a"}, {"integer": 2}, {"text": long}]})), 5);
        assert_eq!((of(json!({"prefix": long})), of(json!({"hostIn": {"names": ["a.example"]}}))), (3, 2));
    }

    #[test]
    fn a_pattern_takes_a_place_for_each_literal_that_it_may_be_found_by_unless_it_is_asked() {
        let source = source(1, 1, &[]);
        let named = Named::of(&source.tools[0]);
        let matches = |pattern: &str| json!({"matches": pattern});
        assert_eq!(of(&named, "f", matches("[0-9]X-[0-9]{3}")), MAX_LITERALS);
        assert_eq!(of(&named, "f", matches(&"x".repeat(256))), MAX_LITERALS + 2);
        assert_eq!(of(&named, "f[*]", matches("[0-9]X-[0-9]{3}")), 1);
        let negated = json!({"field": "f", "not": true, "predicate": matches("[0-9]X-[0-9]{3}")});
        assert_eq!(super::of_check(&serde_json::from_value(negated).unwrap(), &named), 1);
    }

    #[test]
    fn a_path_takes_places_by_its_steps_and_by_those_of_what_it_begins_with() {
        let mut source = source(1, 2, &[]);
        let (deep, own) = deep();
        assert!(own > 1, "{own}");
        let operation = &mut source.tools[0].operations[1];
        operation.aliases.insert("short".to_owned(), deep.parse().unwrap());
        operation.dimensions.insert(Dimension::Amount, deep.parse().unwrap());
        let named = Named::of(&source.tools[0]);
        let of = |field: &str| of(&named, field, json!("exists"));
        assert_eq!((of("f"), of("f.g"), of(&deep)), (1, 1, 1 + own));
        assert!(of("short") > own && of("$dim.amount") > own);
        assert_eq!((of("$call.short"), of("other")), (1, 1));
        let limit = json!({"value": "1.00", "currency": {"code": "EUR", "field": deep}});
        assert!(self::of(&named, "f", json!({"atMost": limit})) > own);
    }

    #[test]
    fn a_transform_takes_its_path_twice_and_its_text_and_its_rule_what_it_is_called() {
        let source = source(1, 1, &[]);
        let named = Named::of(&source.tools[0]);
        let of = |name: &str, field: &str, action: &Value| {
            let effect = json!({"Sanitize": [{"field": field, "action": action}]});
            let rule = json!({"name": name, "operations": ["*"], "effect": effect});
            let policy: Policy = serde_json::from_value(policy(0, &[], std::iter::once(rule))).unwrap();
            super::of_rule(&policy, &policy.rules[0], &named)
        };
        let (deep, own) = deep();
        let set = json!({"set": {"text": "x".repeat(256)}});
        assert_eq!((of("r", "f", &json!("remove")), of("r", "f", &set)), (1, 3));
        assert!(of("r", &deep, &json!("remove")) > 2 * own);
        assert_eq!(of(&"r".repeat(256), "f", &json!("remove")), 3);
    }

    #[test]
    fn a_module_takes_a_place_for_each_byte_once() {
        let with = |bytes: usize| {
            let mut all = policy(0, &["t0".to_owned()], std::iter::once(rule(0, &["*".to_owned()], 1)));
            all["rego"] = json!({"module": "#".repeat(bytes)});
            source(1, 100, &[all]).fits()
        };
        assert_eq!((with(249_900), with(249_901)), (Ok(()), Err(AssembleError::TooManyPlaces)));
    }

    #[test]
    fn a_policy_that_is_tried_out_takes_a_place_for_its_name_beside_each_set_in_force() {
        let audited = |policies: usize| {
            let one = |at| {
                let mut one = policy(at, &["t0".to_owned()], std::iter::once(rule(0, &["*".to_owned()], 1)));
                one["mode"] = json!("Audit");
                one
            };
            source(1, 500, &(0..policies).map(one).collect::<Vec<_>>()).fits()
        };
        assert_eq!((audited(250), audited(251)), (Ok(()), Err(AssembleError::TooManyPlaces)));
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
