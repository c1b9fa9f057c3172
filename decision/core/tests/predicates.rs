//! What rules say about calls: a table for every predicate, what does not compile, explanations, registry reads, and
//! agreement with a second evaluator on generated checks and arguments.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_in_result,
    clippy::unwrap_used,
    reason = "helpers of tests fail by panicking, as tests do"
)]

use std::collections::BTreeMap;

use aegis_decision::bundle::BundleSource;
use aegis_decision::decision::Truth;
use aegis_decision::delegation::Delegation;
use aegis_decision::facts::FactSet;
use aegis_decision::json::{self, Object, Value};
use aegis_decision::policy::{
    Amount, Check, Currency, Day, Effect, Format, Normalize, Policy, Predicate, Rule, Scalar, Sum, SumBound, Window,
};
use aegis_decision::rules::{CallInputs, CompiledPolicy, Inputs, RegistryRead, RuleError, explain};
use proptest::prelude::*;
use serde::Deserialize;
use test_case::test_case;

#[path = "predicates/formats.rs"]
mod formats;
#[path = "predicates/generate.rs"]
mod generate;
#[path = "predicates/reference.rs"]
mod reference;
#[path = "support/seeded.rs"]
mod seeded;

use generate::{call_arguments, fitting, generated_check, object, time};

/// A bundle's source, a delegation and facts around the arguments of one call.
struct Situation {
    source: BundleSource,
    delegation: Delegation,
    facts: FactSet,
}

impl Situation {
    fn new() -> Self {
        let delegation = serde_json::json!({
            "name": "restock-may", "agent": "clerk", "requestedBy": "ann@example.com", "delegator": "ann@example.com",
            "workflow": "restock", "purpose": "Restock the workshop", "grants": [],
            "notBefore": "2031-05-01T00:00:00Z", "expiresAt": "2031-06-01T00:00:00Z"
        });
        let bill = arguments(r#"{"total":12.50,"lines":[{"price":10},{"price":"2.50"}],"note":null}"#);
        Self {
            source: serde_json::from_str(include_str!("predicates/fixture.json")).unwrap(),
            delegation: serde_json::from_value(delegation).unwrap(),
            facts: FactSet(BTreeMap::from([("bill".to_owned(), bill)])),
        }
    }

    fn compile(&self, rules: Vec<Rule>) -> Result<CompiledPolicy, RuleError> {
        CompiledPolicy::compile(&policy(rules), &self.source)
    }

    fn inputs<'a>(&'a self, arguments: &'a Value) -> Inputs<'a> {
        let operation = self.source.tools[0].operation("book").unwrap();
        Inputs {
            arguments,
            aliases: &operation.aliases,
            dimensions: &operation.dimensions,
            run: None,
            agent: &self.source.agent,
            delegation: Some(&self.delegation),
            call: CallInputs {
                time: "2031-05-06T07:08:09Z".parse().unwrap(),
                class: operation.class,
                tool: "ledger",
                operation: "book",
            },
            facts: &self.facts,
            registries: &self.source.registries,
            record_clear: &operation.record_clear,
        }
    }

    fn ask(&self, check: &Check, arguments: &Value) -> Truth {
        let compiled = self.compile(vec![rule("only", vec![check.clone()])]).unwrap();
        compiled.evaluate("book", &self.inputs(arguments))[0].truth
    }
}

fn policy(rules: Vec<Rule>) -> Policy {
    Policy {
        name: "spending".to_owned(),
        tools: vec!["ledger".to_owned()],
        agents: None,
        rules: rules.into(),
        registries: vec!["suppliers".to_owned(), "planned".to_owned()],
        provenance: Vec::new(),
        mode: aegis_decision::policy::Mode::Enforce,
        rollout: None,
        rego: None,
    }
}

fn rule(name: &str, when: Vec<Check>) -> Rule {
    let operations = vec!["book".to_owned()];
    Rule { name: name.to_owned(), operations, when, effect: Effect::Allow, reason: None, message: None }
}

fn check(field: &str, predicate: Predicate) -> Check {
    Check { field: field.parse().unwrap(), not: false, normalize: Normalize::None, predicate }
}

fn arguments(text: &str) -> Value {
    json::parse(text.as_bytes()).unwrap()
}

fn text(text: &str) -> Scalar {
    Scalar::Text(text.to_owned())
}

fn at_most(value: &str, currency: Option<(&str, &str)>) -> Predicate {
    let currency = currency.map(|(code, field)| Currency { code: code.to_owned(), field: field.parse().unwrap() });
    Predicate::AtMost(Amount { value: value.to_owned(), currency })
}

fn document(key: Option<&str>) -> Predicate {
    let key = key.map(|key| key.parse().unwrap());
    Predicate::Document { registry: "suppliers".to_owned(), key, name: "insurance".to_owned() }
}

fn host_in(names: &[&str], registry: Option<&str>) -> Predicate {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    Predicate::HostIn { names, registry: registry.map(str::to_owned) }
}

fn within(days: &[Day], hours: Option<&str>) -> Predicate {
    let (days, hours) = (days.to_vec(), hours.map(str::to_owned));
    Predicate::Within(Window { days, hours, time_zone: "Europe/Zurich".to_owned() })
}

// ---- tables

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Behaviour {
    #[serde(rename = "behaviour")]
    title: String,
    check: Check,
    cases: Vec<(String, Expected)>,
}

#[derive(Deserialize)]
enum Expected {
    T,
    F,
    I,
}

#[test]
fn every_predicate_says_what_the_table_says() {
    let situation = Situation::new();
    let table: Vec<Behaviour> = serde_saphyr::from_str(include_str!("predicates/table.yaml")).unwrap();
    let mut wrong = Vec::new();
    let mut predicates = std::collections::BTreeSet::new();
    for Behaviour { title, check, cases } in &table {
        predicates.insert(explain::name(&check.predicate));
        for (text, expected) in cases {
            let expected = match expected {
                Expected::T => Truth::True,
                Expected::F => Truth::False,
                Expected::I => Truth::Indeterminate,
            };
            let truth = situation.ask(check, &arguments(text));
            if truth != expected {
                wrong.push(format!("{title}: {text} is {truth:?}, expected {expected:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(predicates.len(), 23, "the table knows every predicate: {predicates:?}");
}

#[test]
fn every_predicate_and_format_has_its_place_in_the_reference() {
    let page = include_str!("../../../docs/reference/checks.md");
    let table: Vec<Behaviour> = serde_saphyr::from_str(include_str!("predicates/table.yaml")).unwrap();
    let known: std::collections::BTreeSet<&str> =
        table.iter().map(|behaviour| explain::name(&behaviour.check.predicate)).collect();
    let described: std::collections::BTreeSet<&str> =
        page.lines().filter_map(|line| line.strip_prefix("### `")?.strip_suffix('`')).collect();
    assert_eq!(described, known, "headings of docs/reference/checks.md");
    let formats: Vec<&str> = page
        .lines()
        .skip_while(|line| *line != "### `format`")
        .take_while(|line| !line.starts_with("## "))
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .collect();
    assert_eq!(formats.len(), 11);
    for format in formats {
        assert!(serde_json::from_value::<Format>(serde_json::json!(format)).is_ok(), "{format} is no format");
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Refused {
    check: Check,
    error: String,
}

#[test]
fn a_rule_that_cannot_be_compiled_names_rule_check_and_field() {
    let situation = Situation::new();
    let table: Vec<Refused> = serde_saphyr::from_str(include_str!("predicates/refused.yaml")).unwrap();
    for Refused { check, error } in table {
        let rules = vec![rule("first", vec![]), rule("ceiling", vec![check])];
        assert_eq!(situation.compile(rules).unwrap_err().to_string(), error);
    }
}

/// As many rules and checks as a ToolPolicy may have.
fn rules_of_patterns(pattern: impl Fn(usize) -> String) -> Vec<Rule> {
    let checks = |first: usize| -> Vec<Check> {
        (first..first + 16).map(|at| check("a", Predicate::Matches(pattern(at)))).collect()
    };
    (0..64).map(|at| rule(&format!("rule-{at}"), checks(at * 16))).collect()
}

#[test]
fn patterns_that_are_too_large_together_are_refused_at_the_first_that_does_not_fit() {
    let large = rules_of_patterns(|at| format!(r"\w{{20}}|a{{{at}}}"));
    let error = Situation::new().compile(large).unwrap_err().to_string();
    let expected = "rules[0] (rule-0): when[4].matches: patterns of this policy take over 8 MiB compiled: use fewer or \
                    smaller ones";
    assert_eq!(error, expected);
}

#[test]
fn equal_patterns_count_once_and_as_many_small_ones_as_a_policy_can_have_fit() {
    let situation = Situation::new();
    assert!(situation.compile(rules_of_patterns(|_| r"\w{20}".to_owned())).is_ok());
    assert!(situation.compile(rules_of_patterns(|at| format!("ORD-{at}-[0-9]{{4,8}}"))).is_ok());
}

#[test]
fn rules_have_names_of_their_own_and_operations() {
    let situation = Situation::new();
    let twice = situation.compile(vec![rule("same", vec![]), rule("same", vec![])]).unwrap_err();
    assert_eq!(twice.to_string(), "rules[1] (same): name: is the name of an earlier rule");
    let mut aimless = rule("aimless", vec![]);
    aimless.operations.clear();
    let aimless = situation.compile(vec![aimless]).unwrap_err();
    assert_eq!(aimless.to_string(), "rules[0] (aimless): operations: needs at least one value");
}

#[test]
fn a_rule_about_all_operations_may_read_a_fact_that_only_some_declare() {
    let situation = Situation::new();
    let mut everywhere = rule("everywhere", vec![check("$fact.bill.total", Predicate::Absent)]);
    everywhere.operations = vec!["*".to_owned()];
    let compiled = situation.compile(vec![everywhere]).unwrap();
    let none = FactSet::default();
    let arguments = arguments("{}");
    let elsewhere = Inputs { facts: &none, ..situation.inputs(&arguments) };
    assert_eq!(compiled.evaluate("look", &elsewhere)[0].truth, Truth::Indeterminate);
}

// ---- rules

#[test]
fn when_is_the_conjunction_of_its_checks() {
    let situation = Situation::new();
    let (holds, fails) = (check("a", Predicate::Exists), check("a", Predicate::Absent));
    let unknown = check("b", Predicate::IsTrue(true));
    let truth = |when: Vec<&Check>| {
        let compiled = situation.compile(vec![rule("only", when.into_iter().cloned().collect())]).unwrap();
        compiled.evaluate("book", &situation.inputs(&arguments(r#"{"a":1}"#)))[0].truth
    };
    assert_eq!(truth(vec![]), Truth::True, "an unconditional rule holds");
    assert_eq!(truth(vec![&holds, &holds]), Truth::True);
    assert_eq!(truth(vec![&holds, &unknown]), Truth::Indeterminate);
    assert_eq!(truth(vec![&unknown, &fails, &holds]), Truth::False);
}

#[test]
fn only_rules_of_the_operation_the_tool_and_the_agent_are_asked_in_order() {
    let situation = Situation::new();
    let with = |name: &str, operations: &[&str]| {
        let operations = operations.iter().map(|name| (*name).to_owned()).collect();
        Rule { operations, ..rule(name, vec![]) }
    };
    let rules = vec![with("a", &["look"]), with("b", &["*"]), with("c", &["book", "look"]), with("d", &["other"])];
    let arguments = arguments("{}");
    let inputs = situation.inputs(&arguments);
    let asked = |policy: &Policy, operation: &str, inputs: &Inputs<'_>| {
        let compiled = CompiledPolicy::compile(policy, &situation.source).unwrap();
        let evaluations = compiled.evaluate(operation, inputs);
        evaluations.iter().map(|evaluation| (evaluation.index, evaluation.rule.name.clone())).collect::<Vec<_>>()
    };
    let all = policy(rules.clone());
    let names = |pairs: &[(usize, &str)]| pairs.iter().map(|(i, name)| (*i, (*name).to_owned())).collect::<Vec<_>>();
    assert_eq!(asked(&all, "look", &inputs), names(&[(0, "a"), (1, "b"), (2, "c")]));
    assert_eq!(asked(&all, "book", &inputs), names(&[(1, "b"), (2, "c")]));
    assert_eq!(asked(&all, "unheard", &inputs), names(&[(1, "b")]));
    let other_agent = Policy { agents: Some(vec!["baker".to_owned()]), ..policy(rules) };
    assert_eq!(asked(&other_agent, "look", &inputs), vec![]);
    let other_tool = Inputs { call: CallInputs { tool: "mail", ..inputs.call }, ..inputs };
    assert_eq!(asked(&all, "look", &other_tool), vec![]);
}

#[test]
fn without_a_delegation_its_members_are_missing() {
    let situation = Situation::new();
    let compiled = situation
        .compile(vec![
            rule("named", vec![check("$delegation.name", Predicate::Exists)]),
            rule("workflow", vec![check("$delegation.workflow", Predicate::Equals(text("restock")))]),
        ])
        .unwrap();
    let arguments = arguments("{}");
    let alone = Inputs { delegation: None, ..situation.inputs(&arguments) };
    let truths: Vec<_> = compiled.evaluate("book", &alone).iter().map(|evaluation| evaluation.truth).collect();
    assert_eq!(truths, [Truth::False, Truth::Indeterminate]);
}

#[test]
fn a_registry_at_another_place_is_not_mistaken_for_the_one_compiled() {
    let situation = Situation::new();
    let compiled = situation
        .compile(vec![rule("known", vec![check("a", Predicate::InRegistry("suppliers".to_owned()))])])
        .unwrap();
    let mut other = situation.source.registries.clone();
    other[0].name = "blocked".to_owned();
    let arguments = arguments(r#"{"a":"S-1"}"#);
    let inputs = Inputs { registries: &other, ..situation.inputs(&arguments) };
    assert_eq!(compiled.evaluate("book", &inputs)[0].truth, Truth::Indeterminate);
}

// ---- explanations

#[test]
fn a_failed_check_has_its_limit_in_words_and_values_only_of_clear_fields() {
    let situation = Situation::new();
    let compiled = situation
        .compile(vec![rule(
            "ceiling",
            vec![
                check("amount", at_most("5000.00", Some(("EUR", "currency")))),
                check("party", Predicate::InRegistry("suppliers".to_owned())),
                check("lines[?].price", at_most("1", None)),
                Check { not: true, ..check("secret", Predicate::Exists) },
                check("amount", Predicate::Exists),
            ],
        )])
        .unwrap();
    let arguments = arguments(
        r#"{"amount":6000.50,"currency":"EUR","secret":"hush","lines":[{"price":2},{"price":"3"},{"price":4},{"price":5},{"price":6}]}"#,
    );
    let evaluation = compiled.evaluate("book", &situation.inputs(&arguments)).remove(0);
    let explained = serde_json::json!({
        "truth": evaluation.truth, "checks": evaluation.checks, "failed": evaluation.failed,
    });
    let expected = serde_json::json!({
        "truth": "false",
        "checks": [
            { "field": "amount", "check": "atMost", "truth": "false" },
            { "field": "party", "check": "inRegistry", "truth": "indeterminate" },
            { "field": "lines[?].price", "check": "atMost", "truth": "false" },
            { "field": "secret", "check": "not exists", "truth": "false" },
            { "field": "amount", "check": "exists", "truth": "true" },
        ],
        "failed": [
            { "field": "amount", "check": "atMost", "limit": "at most 5000.00 EUR", "value": "6000.5" },
            { "field": "party", "check": "inRegistry", "limit": "in registry suppliers", "indeterminate": true },
            { "field": "lines[?].price", "check": "atMost", "limit": "at most 1", "value": "2, 3, 4, 5, …" },
            { "field": "secret", "check": "not exists", "limit": "not present" },
        ],
    });
    assert_eq!(explained, expected);
    assert!(!explained.to_string().contains("hush"));
}

#[test]
fn what_would_pass_is_one_sentence() {
    let sum =
        |bound| Sum { of: "lines[*].price".parse().unwrap(), times: Some("lines[*].count".parse().unwrap()), bound };
    let many: Vec<Scalar> = (0..9).map(Scalar::Integer).collect();
    let when = vec![
        check("amount", at_most("5000.00", Some(("EUR", "currency")))),
        check("party", Predicate::InRegistry("suppliers".to_owned())),
        check("state", Predicate::In(vec![text("draft"), text("open")])),
        Check { not: true, ..check("kind", Predicate::In(many)) },
        check("total", Predicate::SumEquals(sum(SumBound::OwnField))),
        check("lines", Predicate::SumAtMost(sum(SumBound::Value("10".to_owned())))),
        check("code", Predicate::Matches("[A-Z]+".to_owned())),
        check("note", Predicate::Length { min: None, max: Some(80) }),
        check("urgent", Predicate::IsTrue(false)),
        check(
            "iban",
            Predicate::RegistryField {
                registry: "suppliers".to_owned(),
                key: "party".parse().unwrap(),
                attribute: "iban".to_owned(),
            },
        ),
        check("party", document(None)),
        check("iban", document(Some("party"))),
        check("callback", host_in(&["shop.example", "*.corp.internal"], None)),
        check("callback", host_in(&[], Some("suppliers"))),
        check("callback", host_in(&["shop.example"], Some("suppliers"))),
        check("$call.time", within(&[Day::Mon, Day::Fri], Some("08:00-18:00"))),
        Check { not: true, ..check("due", within(&[Day::Sun], None)) },
    ];
    assert_eq!(
        explain::allowed(&rule("ceiling", when)),
        "amount at most 5000.00 EUR; party in registry suppliers; state one of draft, open; kind not one of 9 values; \
         total equal to the sum of lines[*].price times lines[*].count; \
         lines with the sum of lines[*].price times lines[*].count at most 10; code matching `[A-Z]+`; \
         note of length at most 80; urgent false; iban the iban of party in registry suppliers; \
         party with a valid document insurance in registry suppliers; \
         iban beside a valid document insurance of party in registry suppliers; \
         callback with host one of shop.example, *.corp.internal; callback with a host of registry suppliers; \
         callback with host one of shop.example or of registry suppliers; \
         $call.time within Mon, Fri 08:00-18:00 Europe/Zurich; due not within Sun Europe/Zurich"
    );
    assert_eq!(explain::allowed(&rule("free", vec![])), "");
}

#[test]
fn a_long_clear_value_is_cut() {
    let situation = Situation::new();
    let compiled = situation.compile(vec![rule("short", vec![check("amount", Predicate::IsTrue(true))])]).unwrap();
    let mut object = Object::new();
    object.insert("amount", Value::String("ü".repeat(1_000).into())).unwrap();
    let arguments = Value::Object(object);
    let failed = &compiled.evaluate("book", &situation.inputs(&arguments))[0].failed[0];
    assert_eq!(failed.value.as_deref(), Some(format!("{}…", "ü".repeat(120)).as_str()));
}

// ---- registry reads

#[test]
fn registry_reads_name_each_entry_once_in_order() {
    let situation = Situation::new();
    let suppliers = || "suppliers".to_owned();
    let compiled = situation
        .compile(vec![
            rule("lines", vec![check("l[*].id", Predicate::InRegistry(suppliers()))]),
            rule("some", vec![check("l[?].id", Predicate::InRegistry(suppliers()))]),
            rule(
                "iban",
                vec![check(
                    "l[*].iban",
                    Predicate::RegistryField {
                        registry: suppliers(),
                        key: "l[*].payee".parse().unwrap(),
                        attribute: "iban".to_owned(),
                    },
                )],
            ),
            Rule {
                operations: vec!["look".to_owned()],
                ..rule("other", vec![check("x", Predicate::InRegistry(suppliers()))])
            },
            rule("planned", vec![check("x", Predicate::InRegistry("planned".to_owned()))]),
        ])
        .unwrap();
    let arguments =
        arguments(r#"{"x":"X","l":[{"id":"S-9"},{"id":42,"payee":"s-1"},{"id":"S-9"},{"id":true},{"payee":"P"}]}"#);
    let reads = compiled.registry_reads("book", &situation.inputs(&arguments));
    let entry = |key: &str| situation.source.registries[0].entries.get(key).cloned();
    let documents = |key: &str| situation.source.registries[0].documents.get(key).cloned().unwrap_or_default();
    let read = |registry: &str, key: &str| RegistryRead {
        registry: registry.to_owned(),
        key: key.to_owned(),
        entry: if registry == "suppliers" { entry(key) } else { None },
        documents: if registry == "suppliers" { documents(key) } else { Vec::new() },
    };
    let expected = vec![
        read("planned", "X"),
        read("suppliers", "42"),
        read("suppliers", "P"),
        read("suppliers", "S-9"),
        read("suppliers", "s-1"),
    ];
    assert_eq!(reads, expected);
    assert!(reads[1].entry.is_some() && reads[2].entry.is_none());
    assert_eq!(serde_json::to_value(&reads[2]).unwrap(), serde_json::json!({"registry": "suppliers", "key": "P"}));
}

#[test]
fn a_normalised_read_names_the_registrys_own_spellings() {
    let situation = Situation::new();
    let known = Check { normalize: Normalize::Spaces, ..check("a", Predicate::InRegistry("suppliers".to_owned())) };
    let compiled = situation.compile(vec![rule("known", vec![known])]).unwrap();
    let keys = |text: &str| {
        let arguments = arguments(text);
        let reads = compiled.registry_reads("book", &situation.inputs(&arguments));
        reads.into_iter().map(|read| (read.key, read.entry.is_some())).collect::<Vec<_>>()
    };
    assert_eq!(keys(r#"{"a":" s -1"}"#), [("S-1".to_owned(), true), ("s-1".to_owned(), true)]);
    assert_eq!(keys(r#"{"a":" s -2"}"#), [("S-2".to_owned(), false)]);
}

#[test]
fn a_document_and_a_host_name_the_entries_that_the_answer_rests_on() {
    let situation = Situation::new();
    let reads = |predicate: Predicate, text: &str| {
        let compiled = situation.compile(vec![rule("only", vec![check("a", predicate)])]).unwrap();
        compiled.registry_reads("book", &situation.inputs(&arguments(text)))
    };
    let names = |reads: &[RegistryRead]| {
        reads.iter().map(|read| (read.registry.clone(), read.key.clone(), read.entry.is_some())).collect::<Vec<_>>()
    };
    let entry = |registry: &str, key: &str, there: bool| (registry.to_owned(), key.to_owned(), there);
    let documents = reads(document(None), r#"{"a":"S-1"}"#);
    assert_eq!(names(&documents), [entry("suppliers", "S-1", true)]);
    let known = situation.source.registries[0].documents.get("S-1");
    assert_eq!(Some(&documents[0].documents), known, "a renewal changes the context");
    assert_eq!(names(&reads(document(None), r#"{"a":"S-9"}"#)), [entry("suppliers", "S-9", false)]);
    let beside = reads(document(Some("b")), r#"{"a":1,"b":42}"#);
    assert_eq!(names(&beside), [entry("suppliers", "42", true)]);

    let suppliers = || host_in(&["shop.example"], Some("suppliers"));
    let blue = reads(suppliers(), r#"{"a":"https://Blue.example:8443/x"}"#);
    assert_eq!(names(&blue), [entry("suppliers", "42", true), entry("suppliers", "S-1", true)]);
    assert_eq!(names(&reads(suppliers(), r#"{"a":"https://x.paper.example"}"#)), [entry("suppliers", "S-1", true)]);
    let unknown = reads(suppliers(), r#"{"a":"https://Evil.example"}"#);
    assert_eq!(names(&unknown), [entry("suppliers#domains", "evil.example", false)]);
    assert_eq!(names(&reads(suppliers(), r#"{"a":"https://u@blue.example"}"#)), []);
    assert_eq!(names(&reads(host_in(&["shop.example"], None), r#"{"a":"https://blue.example"}"#)), []);
}

// ---- bounds

#[test_case(r"(a+)+b"; "nested repetition")]
#[test_case(r"(a|a)*b"; "ambiguous branches")]
#[test_case(r"(.*a){12}"; "many ways to split")]
fn a_hostile_string_takes_time_in_proportion_to_its_length(pattern: &str) {
    // A backtracking engine would need longer than the universe exists for each of these.
    let situation = Situation::new();
    let mut object = Object::new();
    object.insert("a", Value::String(("a".repeat(5_000) + "!").into())).unwrap();
    let check = check("a", Predicate::Matches(pattern.to_owned()));
    assert_eq!(situation.ask(&check, &Value::Object(object)), Truth::False);
}

// ---- properties

/// Checks that both evaluators are asked, and calls about which each of them is asked.
const CHECKS: u32 = 5_000;
const CALLS: usize = 20;
const _: () = assert!(CHECKS as usize * CALLS >= 100_000);

#[test]
fn agrees_with_the_reference() {
    let situation = Situation::shared();
    let case = (generated_check(), proptest::collection::vec(call_arguments(), CALLS));
    let seed = seeded::run(CHECKS, &case, |(check, calls)| {
        let compiled = situation.compile(vec![rule("only", vec![check.clone()])]).unwrap();
        for arguments in &calls {
            let truth = compiled.evaluate("book", &situation.inputs(arguments))[0].truth;
            prop_assert_eq!(truth, expected(&check, arguments), "{:?}", arguments);
        }
        Ok(())
    });
    println!("seed {seed}");
}

#[test]
fn agrees_with_the_reference_on_what_it_can_tell() {
    let situation = Situation::shared();
    let seed = seeded::run(CHECKS, &(fitting(), any::<bool>()), |((predicate, value), not)| {
        let mut object = Object::new();
        object.insert("a", Value::String(value.into())).unwrap();
        let arguments = Value::Object(object);
        let check = Check { not, ..check("a", predicate) };
        prop_assert_eq!(situation.ask(&check, &arguments), expected(&check, &arguments));
        Ok(())
    });
    println!("seed {seed}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn two_windows_that_meet_share_out_the_week(time in time(), start in 0_u16..1_440, length in 1_u16..1_440) {
        prop_assume!(!time.contains(":60"));
        let situation = Situation::shared();
        let clock = |minute: u16| format!("{:02}:{:02}", minute % 1_440 / 60, minute % 60);
        let hours = [format!("{}-{}", clock(start), clock(start + length)), format!("{}-{}", clock(start + length), clock(start))];
        let mut object = Object::new();
        object.insert("a", Value::String(time.into())).unwrap();
        let arguments = Value::Object(object);
        let truths = hours.map(|hours| situation.ask(&check("a", within(&[], Some(&hours))), &arguments));
        prop_assert_eq!(truths[0], truths[1].negate());
        prop_assert_ne!(truths[0], Truth::Indeterminate);
    }

    #[test]
    fn case_port_path_and_last_dot_do_not_change_a_host(
        name in "[a-z][a-z0-9]{0,5}(\\.[a-z][a-z0-9]{0,5}){1,3}",
        upper in any::<u64>(),
        dot in any::<bool>(),
        port in proptest::option::of(1_u16..),
        rest in "(/[a-z@:]{0,4}(\\?[a-z@:/]{0,4})?)?",
    ) {
        let spelled: String = name
            .char_indices()
            .map(|(at, c)| if (upper >> (at % 64)) & 1 == 1 { c.to_ascii_uppercase() } else { c })
            .collect();
        let url = format!("https://{spelled}{}{}{rest}", if dot { "." } else { "" }, port.map(|port| format!(":{port}")).unwrap_or_default());
        let mut object = Object::new();
        object.insert("a", Value::String(url.into())).unwrap();
        let arguments = Value::Object(object);
        let situation = Situation::shared();
        prop_assert_eq!(situation.ask(&check("a", host_in(&[&name], None)), &arguments), Truth::True);
        let other = format!("x{name}");
        prop_assert_eq!(situation.ask(&check("a", host_in(&[&other], None)), &arguments), Truth::False);
    }

    #[test]
    fn without_its_field_only_exists_and_absent_can_tell(check in generated_check()) {
        let truth = Situation::shared().ask(&check, &arguments("{}"));
        let expected = match check.predicate {
            Predicate::Exists => check.not.into(),
            Predicate::Absent => (!check.not).into(),
            _ => Truth::Indeterminate,
        };
        prop_assert_eq!(truth, expected);
    }

    #[test]
    fn null_has_the_wrong_type_for_all_but_exists_and_absent(check in generated_check(), arguments in call_arguments()) {
        let name = check.field.first_key().unwrap().to_owned();
        let Value::Object(members) = &arguments else { unreachable!("arguments are an object") };
        let nulled = members.iter().map(|(key, value)| {
            (key, if key == name { Value::Null } else { value.clone() })
        });
        let truth = Situation::shared().ask(&check, &object(nulled.collect()));
        if !matches!(check.predicate, Predicate::Exists | Predicate::Absent) {
            prop_assert_eq!(truth, Truth::Indeterminate);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_luhn_digit_is_the_only_one_that_fits(digits in "[0-9]{1,30}", changed in any::<proptest::sample::Index>()) {
        let situation = Situation::shared();
        let luhn = |text: &str| {
            let mut object = Object::new();
            object.insert("a", Value::String(text.into())).unwrap();
            situation.ask(&check("a", Predicate::Format(Format::Luhn)), &Value::Object(object))
        };
        let complete: Vec<String> =
            (0..10).map(|digit| format!("{digits}{digit}")).filter(|text| luhn(text) == Truth::True).collect();
        prop_assert_eq!(complete.len(), 1);
        // Every single wrong digit is found.
        let place = changed.index(complete[0].len());
        for digit in '0'..='9' {
            let mut other: Vec<char> = complete[0].chars().collect();
            let same = other[place] == digit;
            other[place] = digit;
            prop_assert_eq!(luhn(&other.into_iter().collect::<String>()), same.into());
        }
    }
}

/// What the reference says.
fn expected(check: &Check, arguments: &Value) -> Truth {
    let registries = &Situation::shared().source.registries;
    let world = reference::World {
        arguments,
        registries: registries.iter().map(|registry| (registry.name.as_str(), registry)).collect(),
        now: "2031-05-06T07:08:09Z",
    };
    match world.check(check) {
        reference::TRUE => Truth::True,
        reference::FALSE => Truth::False,
        _ => Truth::Indeterminate,
    }
}

impl Situation {
    /// One for all generated cases.
    fn shared() -> &'static Self {
        static SHARED: std::sync::OnceLock<Situation> = std::sync::OnceLock::new();
        SHARED.get_or_init(Self::new)
    }
}
