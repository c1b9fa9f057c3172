//! What a case expects of a decision.

use std::collections::BTreeMap;

use aegis_decision::codes::Code;
use aegis_decision::decision::{Decision, DecisionOutput, Outcome, Sanitized, Truth, UnknownValue, Verdict, Would};
use aegis_decision::run::Place;
use serde::Deserialize;

/// What must be so. What is not named is not looked at, but that the verdict and the code are always compared.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    verdict: Option<Verdict>,
    code: Option<Code>,
    operation: Option<String>,
    /// `policy/rule` that decided.
    rule: Option<String>,
    reason: Option<String>,
    /// `field check` or `field check limit`, each; exactly these, in order.
    failed: Option<Vec<String>>,
    /// Fields that failed because they could not be told.
    unknown: Option<Vec<String>>,
    allowed: Option<String>,
    /// `field action policy/rule`, each; exactly these, in order.
    sanitized: Option<Vec<String>>,
    detail: Option<String>,
    /// Parts of the detail.
    says: Option<Vec<String>>,
    /// Parts that the whole output must not have.
    hides: Option<Vec<String>>,
    nearest: Option<Vec<String>>,
    /// `tier` and `tier seconds`.
    requirements: Option<Vec<String>>,
    asked_by: Option<Vec<String>>,
    /// `policy/entry place`, and `first tool operation path` where it was seen.
    unknown_origins: Option<Vec<String>>,
    delegation: Option<String>,
    /// Truth of rules, by `policy/rule`.
    truths: Option<BTreeMap<String, Truth>>,
    /// Facts by name, and whether they were read.
    facts: Option<BTreeMap<String, bool>>,
    /// Whether effect and context digest are there.
    digests: Option<[bool; 2]>,
    /// Whether the effect is the one of the earlier situation.
    same_effect: Option<bool>,
    /// Parts of the context that differ from the earlier situation's.
    changed: Option<Vec<String>>,
    sent: Option<Sent>,
    /// What would be, as `verdict code policy/rule`, as far as there are; empty: nothing is said of it.
    would: Option<String>,
    /// Policies that `would` counts beside those in force.
    tried: Option<Vec<String>>,
    /// Tiers that would be asked.
    would_ask: Option<Vec<String>>,
}

/// What the permit would send.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sent {
    method: Option<String>,
    url: Option<String>,
    body: Option<String>,
    headers: Option<Vec<(String, String)>>,
    idempotency_key: Option<String>,
}

impl Expect {
    /// This verdict, code and truth of one rule; anything else.
    pub fn of_rule(verdict: Verdict, code: Option<Code>, rule: &str, truth: Truth) -> Self {
        let truths = Some(BTreeMap::from([(rule.to_owned(), truth)]));
        Self { verdict: Some(verdict), code, truths, ..Self::default() }
    }

    /// What is not as expected. The truth of rules is looked up in `full`, which has all of them.
    pub fn faults(&self, decision: Decision, full: &DecisionOutput, earlier: Option<&DecisionOutput>) -> Vec<String> {
        let Self {
            verdict,
            code,
            operation,
            rule,
            reason,
            failed,
            unknown,
            allowed,
            sanitized,
            detail,
            says,
            hides,
            nearest,
            requirements,
            asked_by,
            unknown_origins,
            delegation,
            truths,
            facts,
            digests,
            same_effect,
            changed,
            sent,
            would,
            tried,
            would_ask,
        } = self;
        let Decision { outcome, output } = decision;
        let mut found = Differences::default();
        found.compare("verdict", &verdict.unwrap_or(Verdict::Allow), &output.verdict);
        found.compare("code", code, &output.code);
        found.wanted("operation", operation.as_ref(), || output.operation.clone().unwrap_or_default());
        found.wanted("rule", rule.as_ref(), || output.rule.as_ref().map(ToString::to_string).unwrap_or_default());
        found
            .wanted("reason", reason.as_ref(), || output.rule.clone().and_then(|rule| rule.reason).unwrap_or_default());
        found.wanted("failed", failed.as_ref(), || failed_as_said(&output, failed.as_deref().unwrap_or_default()));
        found.wanted("unknown", unknown.as_ref(), || {
            output.failed.iter().filter(|check| check.indeterminate).map(|check| check.field.clone()).collect()
        });
        found.wanted("allowed", allowed.as_ref(), || output.allowed.clone().unwrap_or_default());
        found.wanted("sanitized", sanitized.as_ref(), || {
            let said = |one: &Sanitized| format!("{} {} {}", one.field, one.action, one.rule);
            output.sanitized.iter().map(said).collect()
        });
        found.wanted("detail", detail.as_ref(), || output.detail.clone().unwrap_or_default());
        found.words(&output, says.as_deref().unwrap_or_default(), hides.as_deref().unwrap_or_default());
        found.wanted("nearest", nearest.as_ref(), || output.nearest.iter().map(ToString::to_string).collect());
        found.wanted("requirements", requirements.as_ref(), || {
            output.requirements.iter().map(|needed| format!("{} {}", needed.tier.name, needed.hold_seconds)).collect()
        });
        found.wanted("asked_by", asked_by.as_ref(), || {
            output.requirements.iter().flat_map(|needed| &needed.asked_by).map(ToString::to_string).collect()
        });
        found.wanted("unknown_origins", unknown_origins.as_ref(), || {
            let seen = |place: &Place| format!(" first {} {} {}", place.tool, place.operation, place.path);
            let told = |one: &UnknownValue| {
                format!(
                    "{}/{} {}{}",
                    one.policy,
                    one.entry,
                    one.field,
                    one.first_seen.as_ref().map(seen).unwrap_or_default()
                )
            };
            output.unknown_origins.iter().map(told).collect()
        });
        found.wanted("delegation", delegation.as_ref(), || {
            output.delegation.as_ref().map(|delegation| delegation.name.clone()).unwrap_or_default()
        });
        for (rule, truth) in truths.iter().flatten() {
            let outcome = full.rules.iter().find(|outcome| format!("{}/{}", outcome.policy, outcome.rule) == *rule);
            found.compare(rule, &Some(*truth), &outcome.map(|outcome| outcome.truth));
        }
        found.wanted("facts", facts.as_ref(), || {
            output.facts.iter().map(|(name, digest)| (name.clone(), digest.is_some())).collect()
        });
        found.wanted("digests", digests.as_ref(), || [output.effect_digest.is_some(), output.context_digest.is_some()]);
        found.wanted("same_effect", same_effect.as_ref(), || {
            let earlier = earlier.expect("same_effect needs an earlier situation");
            assert!(earlier.effect_digest.is_some() && output.effect_digest.is_some(), "both effects have a digest");
            earlier.effect_digest == output.effect_digest
        });
        found.wanted("changed", changed.as_ref(), || {
            let before = earlier.and_then(|earlier| earlier.context_parts.as_ref()).expect("earlier has a context");
            let after = output.context_parts.as_ref().expect("this situation has a context");
            before.changed(after).into_iter().map(str::to_owned).collect()
        });
        found.wanted("would", would.as_ref(), || output.would.as_ref().map(would_as_said).unwrap_or_default());
        found.wanted("tried", tried.as_ref(), || {
            output.would.as_ref().map(|would| would.policies.clone()).unwrap_or_default()
        });
        found.wanted("would_ask", would_ask.as_ref(), || {
            output.would.as_ref().map(|would| would.approvals.clone()).unwrap_or_default()
        });
        if let Some(sent) = sent {
            sent.compare(outcome, &mut found);
        }
        found.0
    }
}

fn would_as_said(would: &Would) -> String {
    let code = would.code.map(|code| code.as_str().to_owned());
    let parts = std::iter::once(would.verdict.as_str().to_owned())
        .chain(code)
        .chain(would.rule.as_ref().map(ToString::to_string));
    parts.collect::<Vec<_>>().join(" ")
}

/// Failed checks in as many words as the case gives: a limit is compared only where the case has one.
fn failed_as_said(output: &DecisionOutput, said: &[String]) -> Vec<String> {
    let words = output.failed.iter().enumerate().map(|(at, check)| {
        let short = format!("{} {}", check.field, check.check);
        match &check.limit {
            Some(limit) if said.get(at) != Some(&short) => format!("{short} {limit}"),
            _ => short,
        }
    });
    words.collect()
}

impl Sent {
    fn compare(&self, outcome: Outcome, differences: &mut Differences) {
        let Outcome::Allow(Some(permit)) = outcome else {
            differences.0.push(format!("nothing is sent: {outcome:?}"));
            return;
        };
        let Self { method, url, body, headers, idempotency_key } = self;
        differences.wanted("key", idempotency_key.as_ref(), || permit.idempotency_key().unwrap_or_default().to_owned());
        let request = permit.into_emitted();
        differences.wanted("method", method.as_ref(), || request.method.clone());
        differences.wanted("url", url.as_ref(), || request.url.clone());
        differences.wanted("headers", headers.as_ref(), || request.headers.clone());
        differences.wanted("body", body.as_ref(), || String::from_utf8(request.body_bytes()).unwrap());
    }
}

/// What is not as expected, a line each.
#[derive(Default)]
struct Differences(Vec<String>);

impl Differences {
    fn words(&mut self, output: &DecisionOutput, says: &[String], hides: &[String]) {
        let detail = output.detail.as_deref().unwrap_or_default();
        let all = serde_json::to_string(output).unwrap();
        self.0.extend(
            says.iter().filter(|part| !detail.contains(*part)).map(|part| format!("{detail:?} lacks {part:?}")),
        );
        self.0
            .extend(hides.iter().filter(|part| all.contains(*part)).map(|part| format!("{part:?} is shown in {all}")));
    }

    fn compare<T: PartialEq + std::fmt::Debug>(&mut self, what: &str, expected: &T, found: &T) {
        if expected != found {
            self.0.push(format!("{what}: expected {expected:?}, found {found:?}"));
        }
    }

    /// Compares where the case says something.
    fn wanted<T: PartialEq + std::fmt::Debug>(&mut self, what: &str, said: Option<&T>, found: impl FnOnce() -> T) {
        if let Some(expected) = said {
            self.compare(what, expected, &found());
        }
    }
}
