//! The tutorial's files are read, its policy tests run and its calls judged, by the same code as the command line's.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use aegis_crds::api::ToolPolicy;
use aegis_crds::api::policy::{ExpectedVerdict, PolicyTest};
use aegis_crds::gather::bundle_source;
use aegis_crds::load::Resources;
use aegis_crds::lower;
use aegis_decision::agent::{Lifecycle, Review, Standing};
use aegis_decision::bundle::Bundle;
use aegis_decision::codes::Code;
use aegis_decision::contract::DecisionInput;
use aegis_decision::decision::{DecisionOutput, Verdict};
use aegis_decision::delegation::{Delegation, Grant};
use aegis_decision::json;
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;
use serde_json::Value;

use super::{Block, blocks, compare, read};

const PAGE: &str = "docs/tutorial.md";

/// Text of the block with these words after its fence.
fn named<'a>(blocks: &'a [Block], info: &str) -> &'a str {
    let mut found = blocks.iter().filter(|block| block.info == info);
    let (Some(block), None) = (found.next(), found.next()) else { panic!("{PAGE} must have one block {info:?}") };
    &block.text
}

/// Files of the tutorial; of one that is given twice, the later text counts, as it does for its reader.
fn resources(blocks: &[Block]) -> Resources {
    let mut files: Vec<(&str, &str)> = Vec::new();
    for block in blocks {
        if let Some(name) = block.info.strip_prefix("yaml ") {
            files.retain(|(known, _)| *known != name);
            files.push((name, &block.text));
        }
    }
    assert!(files.len() >= 4, "the tutorial has lost its files");
    let mut all = Resources::default();
    for (name, text) in files {
        all.add(name, text).unwrap_or_else(|error| panic!("{PAGE}: {error}"));
    }
    all
}

fn bundle(all: &Resources, agent: &str) -> Bundle {
    let agent = all.agents.iter().find(|known| known.name_any() == agent).expect("the tutorial has this agent");
    let source = bundle_source(agent, &all.tools, &all.policies, &all.registries, &all.tiers);
    Bundle::assemble(source.unwrap_or_else(|error| panic!("{PAGE}: {error}")))
        .unwrap_or_else(|error| panic!("{PAGE}: {error}"))
}

fn at() -> Timestamp {
    "2026-01-15T09:00:00Z".parse().expect("a time")
}

/// As `aegis policy test` judges: the agent counts as Active and reviewed, a delegation grants everything.
fn judged(all: &Resources, test: &PolicyTest) -> DecisionOutput {
    let name = test.call.agent.clone().unwrap_or_else(|| all.agents[0].name_any());
    let bundle = bundle(all, &name);
    let agent = bundle.agent();
    let review = Review { by: "test".to_owned(), at: at(), expires: None, digest: agent.review_digest() };
    let standing = Standing { lifecycle: Lifecycle::Active, review: Some(review) };
    let grants = all.tools.iter().map(|tool| Grant { tool: tool.name_any(), operations: vec!["*".to_owned()] });
    let hour = SignedDuration::from_hours(1);
    let delegation = Delegation {
        name: "test".to_owned(),
        uid: String::new(),
        generation: 0,
        agent: name.clone(),
        requested_by: "test".to_owned(),
        delegator: "test".to_owned(),
        requester: None,
        workflow: "test".to_owned(),
        purpose: "test".to_owned(),
        request: None,
        inputs: BTreeMap::new(),
        grants: grants.collect(),
        data: Vec::new(),
        not_before: at().saturating_sub(hour).expect("a time"),
        expires_at: at().saturating_add(hour).expect("a time"),
        revoked: false,
    };
    let strict =
        |value: &Value| json::parse(value.to_string().as_bytes()).expect("the tutorial's values are strict JSON");
    let input = DecisionInput {
        agent: format!("{}/{name}", agent.namespace),
        tool: test.call.tool.clone(),
        http: None,
        operation: Some(test.call.operation.clone()),
        arguments: Some(strict(&Value::Object(test.call.arguments.clone()))),
        delegation: None,
        run: None,
        facts: test.call.facts.iter().map(|(name, value)| (name.clone(), strict(value))).collect(),
        run_view: None,
        at: at(),
    };
    bundle.judge_input(&input, &standing, &[delegation])
}

fn run_tests(all: &Resources, policy: &ToolPolicy) -> usize {
    for test in &policy.spec.tests {
        let output = judged(all, test);
        let verdict = match output.verdict {
            Verdict::Allow | Verdict::AllowOnce => ExpectedVerdict::Allow,
            Verdict::Hold => ExpectedVerdict::Hold,
            Verdict::Deny => ExpectedVerdict::Deny,
            Verdict::Propose => panic!("{PAGE}: test {}: no agent of the tutorial only proposes", test.name),
        };
        assert_eq!(verdict, test.expect.verdict, "{PAGE}: test {}: {output:?}", test.name);
        if let Some(rule) = &test.expect.rule {
            assert_eq!(output.rule.as_ref().map(|found| &found.rule), Some(rule), "{PAGE}: test {}", test.name);
        }
        if let Some(code) = &test.expect.code {
            assert_eq!(output.code.map(Code::as_str), Some(code.as_str()), "{PAGE}: test {}", test.name);
        }
    }
    policy.spec.tests.len()
}

#[test]
fn the_policy_tests_of_the_tutorial_pass() {
    let all = resources(&blocks(&read(PAGE)));
    let tests: usize = all.policies.iter().map(|policy| run_tests(&all, policy)).sum();
    assert!(tests >= 4, "the tutorial has lost its policy tests");
}

/// The first form of the policy, before it is extended, is right as well.
#[test]
fn the_first_rule_of_the_tutorial_passes_its_test() {
    let blocks = blocks(&read(PAGE));
    let first = blocks.iter().find(|block| block.info == "yaml policy.yaml").expect("the first policy is there");
    let mut all = resources(&blocks);
    all.policies = aegis_crds::load::load("policy.yaml", &first.text).expect("the first policy").policies;
    let tests: usize = all.policies.iter().map(|policy| run_tests(&all, policy)).sum();
    assert!(tests >= 1, "the first policy has no test");
}

#[test]
fn the_calls_of_the_tutorial_get_the_answers_that_it_shows() {
    let page = read(PAGE);
    let blocks = blocks(&page);
    let all = resources(&blocks);
    let delegations: Vec<Delegation> =
        all.delegations.iter().map(|delegation| lower::delegation(delegation).expect("a delegation")).collect();
    let mut shown = String::new();
    for line in named(&blocks, "json calls.jsonl").lines() {
        let input: DecisionInput = serde_json::from_str(line).unwrap_or_else(|error| panic!("{PAGE}: {line}: {error}"));
        let (_, agent) = input.agent.split_once('/').expect("namespace/name");
        let bundle = bundle(&all, agent);
        let resource = all.agents.iter().find(|known| known.name_any() == agent).expect("found above");
        let (_, standing) = lower::agent(resource).expect("an agent");
        let output = bundle.judge_input(&input, &standing, &delegations);
        let code = output.code.map(Code::as_str);
        let answer = serde_json::json!([output.verdict, code, output.detail]);
        writeln!(shown, "{answer}").expect("a string can be written");
    }
    let old = named(&blocks, "json answers");
    compare(PAGE, &page.replace(&format!("```json answers\n{old}```"), &format!("```json answers\n{shown}```")));
}
