//! `aegis policy explain`: one call, every rule that was considered, and why each held or not.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Read as _;

use aegis_decision::bundle::BundleSource;
use aegis_decision::decision::{DecisionOutput, RuleOutcome, Truth, Would};
use aegis_decision::rules::explain;
use anyhow::{Context as _, Result, anyhow, ensure};
use serde::Serialize;

use crate::args::PolicyExplainArgs;
use crate::calls::{self, MAX_LINE_BYTES, Unreadable};
use crate::io::Io;
use crate::output::{self, Answer, printable, row, table};
use crate::resources::{Judge, Judges};

/// The decision with every rule, and what was not looked at.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Explained {
    decision: DecisionOutput,
    /// Rules about other operations.
    other_rules: usize,
    /// Policies that are not about the tool.
    other_policies: Vec<String>,
    /// Policies whose Rego module was asked and says nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    silent_modules: Vec<String>,
    /// The checks of each rule of the decision in words.
    #[serde(skip)]
    words: Vec<Vec<String>>,
}

/// Explains the verdict on one call.
pub(crate) fn run(args: &PolicyExplainArgs, io: &mut Io<'_>) -> Result<Answer> {
    let judges = Judges::load(&args.resources, &args.namespace)?;
    let told = |Unreadable(problem): Unreadable| anyhow!("--call: {problem}");
    let input = calls::call(&text(&args.call, io)?, args.at.unwrap_or(io.now)).map_err(told)?;
    let Judge { bundle, standing, delegations, worker: _ } = judges.of(&input.agent).map_err(told)?;
    let decision = bundle.decide_input_in_full(&input, standing, delegations, &[]).output;
    let source = bundle.source();
    let about = |tools: &[String]| tools.contains(&decision.tool);
    let others = source.policies.iter().filter(|policy| !about(&policy.tools));
    let rules = source.policies.iter().filter(|policy| about(&policy.tools)).flat_map(|policy| &policy.rules);
    let operation = decision.operation.as_deref().unwrap_or("*");
    // Where no rule was considered, no module may have been asked.
    let asked = !decision.rules.is_empty();
    let speaks = |name: &String| decision.rules.iter().any(|one| one.policy == *name && one.reason.is_some());
    let modules = source.policies.iter().filter(|policy| policy.rego.is_some() && about(&policy.tools));
    let silent = modules.map(|policy| &policy.name).filter(|name| asked && !speaks(name));
    let explained = Explained {
        silent_modules: silent.cloned().collect(),
        other_rules: rules.filter(|rule| !rule.applies_to(operation)).count(),
        other_policies: others.map(|policy| policy.name.clone()).collect(),
        words: decision.rules.iter().map(|rule| checks_in_words(source, rule)).collect(),
        decision,
    };
    output::print(args.output, &explained, || explained.text(), io)?;
    Ok(Answer::Yes)
}

/// The call: itself, or in the file behind `@`, or on the standard input.
fn text(call: &str, io: &mut Io<'_>) -> Result<Vec<u8>> {
    let limit = u64::try_from(MAX_LINE_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    match call.strip_prefix('@') {
        Some(path) => {
            let unreadable = || format!("cannot read {path}");
            File::open(path).with_context(unreadable)?.take(limit).read_to_end(&mut bytes).with_context(unreadable)?;
        }
        None if call == "-" => {
            (&mut io.input).take(limit).read_to_end(&mut bytes).context("cannot read the standard input")?;
        }
        None => bytes.extend_from_slice(call.as_bytes()),
    }
    ensure!(bytes.len() <= MAX_LINE_BYTES, "--call: is longer than {MAX_LINE_BYTES} bytes");
    Ok(bytes)
}

impl Explained {
    fn text(&self) -> String {
        let Self { decision, other_rules, other_policies, silent_modules, words } = self;
        let operation = decision.operation.as_deref().unwrap_or("an unnamed operation");
        let mut text = format!("{}\n", printable(&format!("{} on {}:", operation, decision.tool)));
        let code = decision.code.map(|code| format!(" ({})", code.as_str())).unwrap_or_default();
        row(&mut text, "verdict", &format!("{}{code}", decision.verdict.as_str()));
        if let Some(rule) = &decision.rule {
            row(&mut text, "decided by", &rule.to_string());
        }
        if let Some(detail) = &decision.detail {
            row(&mut text, "because", detail);
        }
        if let Some(delegation) = &decision.delegation {
            row(&mut text, "delegation", &delegation.name);
        }
        if let Some(allowed) = &decision.allowed {
            row(&mut text, "would pass", allowed);
        }
        if !decision.nearest.is_empty() {
            let nearest: Vec<_> = decision.nearest.iter().map(ToString::to_string).collect();
            row(&mut text, "nearest rules", &nearest.join(", "));
        }
        if let Some(would) = &decision.would {
            row(&mut text, "enforced would", &in_words(would));
        }
        text.push('\n');
        if decision.rules.is_empty() {
            text.push_str("No rule was considered: the call was refused before, or there is none about it.\n");
        } else {
            let lines = decision.rules.iter().zip(words).flat_map(|(rule, words)| lines(rule, words));
            text.push_str(&table(["RULE", "EFFECT", "HOLDS", "CHECK", "TRUE"], lines));
        }
        // Writing to a String cannot fail.
        if !silent_modules.is_empty() {
            let _ = writeln!(text, "Rego modules that say nothing: {}", printable(&silent_modules.join(", ")));
        }
        let _ = writeln!(text, "\n{other_rules} rules of these policies are about other operations.");
        if !other_policies.is_empty() {
            let _ = writeln!(text, "Policies about other tools: {}", printable(&other_policies.join(", ")));
        }
        text
    }
}

/// What is tried out, such as `deny (rule_denies) by new/stop, with new counted`.
fn in_words(would: &Would) -> String {
    let code = would.code.map(|code| format!("({code})"));
    let rule = would.rule.as_ref().map(|rule| format!("by {}/{}", rule.policy, rule.rule));
    let verdict = would.verdict.as_str().to_owned();
    let words = std::iter::once(verdict).chain(code).chain(rule).collect::<Vec<_>>().join(" ");
    if would.policies.is_empty() { words } else { format!("{words}, with {} counted", would.policies.join(", ")) }
}

/// What the checks of a rule ask, such as `amount at most 100.00`.
fn checks_in_words(source: &BundleSource, outcome: &RuleOutcome) -> Vec<String> {
    let policy = source.policies.iter().find(|policy| policy.name == outcome.policy);
    let rule = policy.and_then(|policy| policy.rules.iter().find(|rule| rule.name == outcome.rule));
    rule.iter().flat_map(|rule| &rule.when).map(|check| format!("{} {}", check.field, explain::limit(check))).collect()
}

/// A line for each check of a rule, the rule's name on the first.
fn lines(rule: &RuleOutcome, words_of_checks: &[String]) -> Vec<[String; 5]> {
    let head = [format!("{}/{}", rule.policy, rule.rule), rule.effect.clone(), words(rule.truth).to_owned()];
    let mut heads = std::iter::once(head).chain(std::iter::repeat_with(Default::default));
    let mut line = |check: String, truth: String| {
        let [rule, effect, holds] = heads.next().unwrap_or_default();
        [rule, effect, holds, check, truth]
    };
    if rule.checks.is_empty() {
        // What a module says has its reason, and no checks that are known.
        let why = rule.reason.as_ref().map_or_else(|| "unconditional".to_owned(), |reason| format!("Rego: {reason}"));
        return vec![line(why, String::new())];
    }
    let checks = rule.checks.iter().zip(words_of_checks);
    checks.map(|(check, asked)| line(asked.clone(), words(check.truth).to_owned())).collect()
}

fn words(truth: Truth) -> &'static str {
    match truth {
        Truth::True => "yes",
        Truth::False => "no",
        Truth::Indeterminate => "cannot tell",
    }
}
