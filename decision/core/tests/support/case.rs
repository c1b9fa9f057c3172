//! One case: a situation and what is expected of the decision.
//!
//! A plain case has `expect`. A case with `check`, `arguments` and `truth` asks one question in the three places where a
//! rule can ask it; what each place makes of true, false and indeterminate is written once, in [`Check::verdicts`].

use std::collections::BTreeMap;

use aegis_decision::approval::Release;
use aegis_decision::codes::Code;
use aegis_decision::decision::{Decision, DecisionOutput, Outcome, Truth, Verdict};
use aegis_decision::digest::Digest;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::situation::{Scene, Situation, read};

/// One YAML file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseFile {
    /// What the file's cases share.
    #[serde(default)]
    resources: Map<String, Value>,
    cases: Vec<Map<String, Value>>,
}

impl CaseFile {
    /// Its cases, each on top of fixture and resources.
    pub fn into_cases(self) -> Vec<Case> {
        let base = Situation::fixture().with(&self.resources);
        self.cases.into_iter().map(|keys| Case::read(&base, keys)).collect()
    }
}

/// One case.
#[derive(Debug)]
pub struct Case {
    pub name: String,
    situation: Situation,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// One decision.
    Plain { expect: Expect, earlier: Option<Situation>, releases: Vec<ReleaseGiven> },
    /// One check in three places.
    Check(Check),
    /// The bundle is refused, with a message that says this.
    Refused(String),
}

#[derive(Debug)]
struct Check {
    check: Value,
    truth: Truth,
}

/// A release, by default for the effect and context of the decision in the `earlier` situation, else of this one.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReleaseGiven {
    #[serde(default = "release_name")]
    name: String,
    #[serde(default = "release_agent")]
    agent: String,
    #[serde(default = "release_end")]
    expires: Timestamp,
    /// `false`: for another effect.
    #[serde(default = "yes")]
    effect: bool,
    /// `false`: for another context.
    #[serde(default = "yes")]
    context: bool,
}

fn release_name() -> String {
    "apr-1".to_owned()
}

fn release_agent() -> String {
    "agent-uid-1".to_owned()
}

fn release_end() -> Timestamp {
    "2026-06-01T12:15:00Z".parse().unwrap()
}

fn yes() -> bool {
    true
}

/// What must be so. What is not named is not looked at, but that the verdict and the code are always compared.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expect {
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
    detail: Option<String>,
    /// Parts of the detail.
    says: Option<Vec<String>>,
    /// Parts that the whole output must not have.
    hides: Option<Vec<String>>,
    nearest: Option<Vec<String>>,
    /// `tier` and `tier seconds`.
    requirements: Option<Vec<String>>,
    asked_by: Option<Vec<String>>,
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

impl Case {
    fn read(base: &Situation, mut keys: Map<String, Value>) -> Self {
        let name: String = read("name", keys.remove("name").expect("a case has a name"));
        let refused = keys.remove("refused").map(|text| read("refused", text));
        let check = keys.remove("check");
        let kind = if let Some(check) = check {
            let truth = read(&name, keys.remove("truth").expect("a check has a truth"));
            if let Some(arguments) = keys.remove("arguments") {
                keys.insert("call".to_owned(), json!({"arguments": arguments}));
            }
            if let Some(text) = keys.remove("json") {
                keys.insert("call".to_owned(), json!({"json": text}));
            }
            Kind::Check(Check { check, truth })
        } else if let Some(refused) = refused {
            Kind::Refused(refused)
        } else {
            let expect = read(&name, keys.remove("expect").expect("a case has expect, truth or refused"));
            let earlier = keys.remove("earlier").map(|earlier| read::<Map<_, _>>(&name, earlier));
            let releases = keys.remove("releases").map(|releases| read(&name, releases)).unwrap_or_default();
            let earlier = earlier.map(|earlier| base.with(&keys).with(&earlier));
            Kind::Plain { expect, earlier, releases }
        };
        Self { name, situation: base.with(&keys), kind }
    }

    /// Judges it; a list of what is not as expected.
    pub fn faults(&self) -> Vec<String> {
        match &self.kind {
            Kind::Check(check) => check.faults(&self.situation),
            Kind::Refused(text) => match self.situation.scene() {
                Ok(_) => vec!["the bundle was made".to_owned()],
                Err(error) if error.to_string().contains(text) => Vec::new(),
                Err(error) => vec![format!("refused with {:?}, which does not say {text:?}", error.to_string())],
            },
            Kind::Plain { expect, earlier, releases } => {
                let scene = match self.situation.scene() {
                    Ok(scene) => scene,
                    Err(error) => return vec![format!("the bundle is refused: {error}")],
                };
                let earlier = earlier.as_ref().map(|earlier| {
                    judge(&earlier.scene().unwrap_or_else(|error| panic!("earlier: {error}")), &[]).output
                });
                let of = earlier.clone().unwrap_or_else(|| judge(&scene, &[]).output);
                let releases: Vec<_> = releases.iter().map(|given| given.release(&of)).collect();
                let mut faults = coherence(&scene, &releases);
                faults.extend(expect.faults(judge(&scene, &releases), earlier.as_ref()));
                faults
            }
        }
    }
}

fn judge(scene: &Scene, releases: &[Release]) -> Decision {
    scene.bundle.decide_input(&scene.input, &scene.standing, &scene.delegations, releases)
}

/// What holds of every decision: the same twice, outcome and output agree, and the output is read back as it was.
fn coherence(scene: &Scene, releases: &[Release]) -> Vec<String> {
    let mut faults = Vec::new();
    let Decision { outcome, output } = judge(scene, releases);
    if judge(scene, releases).output != output {
        faults.push("judged twice, the outputs differ".to_owned());
    }
    let agrees = match (&outcome, output.verdict) {
        (Outcome::Allow(_), Verdict::Allow) => output.code.is_none() && output.rule.is_some(),
        (Outcome::AllowOnce(_), Verdict::AllowOnce) => output.code.is_none() && !output.requirements.is_empty(),
        (Outcome::Hold, Verdict::Hold) => output.code == Some(Code::ApprovalRequired),
        (Outcome::Deny(code), Verdict::Deny) => output.code == Some(*code),
        _ => false,
    };
    if !agrees || (output.code.is_some() != output.detail.is_some()) {
        faults.push(format!("outcome {outcome:?} and output {output:?} do not agree"));
    }
    let text = serde_json::to_string(&output).unwrap();
    if serde_json::from_str::<DecisionOutput>(&text).ok().as_ref() != Some(&output) {
        faults.push(format!("the output is not read back as it was: {text}"));
    }
    faults
}

impl Check {
    /// Effect of the rule that asks, and what is to come out. Beside a `Deny` or a `RequireApproval` everything is allowed.
    fn verdicts(&self) -> [(Value, Verdict, Option<Code>); 3] {
        let approval = json!({"RequireApproval": {"tier": "manager"}});
        let (allow, deny, require) = match self.truth {
            Truth::True => (
                (Verdict::Allow, None),
                (Verdict::Deny, Some(Code::RuleDenies)),
                (Verdict::Hold, Some(Code::ApprovalRequired)),
            ),
            Truth::False => ((Verdict::Deny, Some(Code::NoRuleAllows)), (Verdict::Allow, None), (Verdict::Allow, None)),
            Truth::Indeterminate => (
                (Verdict::Deny, Some(Code::NoRuleAllows)),
                (Verdict::Deny, Some(Code::RuleDenies)),
                (Verdict::Hold, Some(Code::ApprovalRequired)),
            ),
        };
        [(json!("Allow"), allow.0, allow.1), (json!("Deny"), deny.0, deny.1), (approval, require.0, require.1)]
    }

    fn faults(&self, situation: &Situation) -> Vec<String> {
        let mut faults = Vec::new();
        for (effect, verdict, code) in self.verdicts() {
            let mut rules = vec![json!({"name": "asked", "operations": ["*"], "effect": effect, "when": [self.check]})];
            if effect != json!("Allow") {
                rules.push(json!({"name": "all", "operations": ["*"], "effect": "Allow"}));
            }
            let keys = Map::from_iter([("rules".to_owned(), Value::Array(rules))]);
            let scene = match situation.with(&keys).scene() {
                Ok(scene) => scene,
                Err(error) => return vec![format!("the bundle is refused: {error}")],
            };
            let expect = Expect {
                verdict: Some(verdict),
                code,
                truths: Some(BTreeMap::from([("p/asked".to_owned(), self.truth)])),
                ..Expect::default()
            };
            faults.extend(coherence(&scene, &[]));
            let found = expect.faults(judge(&scene, &[]), None);
            faults.extend(found.into_iter().map(|fault| format!("in a rule of effect {effect}: {fault}")));
        }
        faults
    }
}

impl ReleaseGiven {
    fn release(&self, of: &DecisionOutput) -> Release {
        let other = Digest::of_bytes(b"something else");
        Release {
            request_name: self.name.clone(),
            request_uid: format!("uid-of-{}", self.name),
            agent_uid: self.agent.clone(),
            effect_digest: of.effect_digest.filter(|_| self.effect).unwrap_or(other),
            context_digest: of.context_digest.filter(|_| self.context).unwrap_or(other),
            expires_at: self.expires,
        }
    }
}

impl Expect {
    fn faults(&self, decision: Decision, earlier: Option<&DecisionOutput>) -> Vec<String> {
        let Self {
            verdict,
            code,
            operation,
            rule,
            reason,
            failed,
            unknown,
            allowed,
            detail,
            says,
            hides,
            nearest,
            requirements,
            asked_by,
            delegation,
            truths,
            facts,
            digests,
            same_effect,
            changed,
            sent,
        } = self;
        let Decision { outcome, output } = decision;
        let mut differences = Differences::default();
        differences.compare("verdict", &verdict.unwrap_or(Verdict::Allow), &output.verdict);
        differences.compare("code", code, &output.code);
        let title = |policy: &str, rule: &str| format!("{policy}/{rule}");
        differences.wanted("operation", operation, || output.operation.clone().unwrap_or_default());
        let decided_by = output.rule.as_ref();
        differences.wanted("rule", rule, || decided_by.map(|rule| title(&rule.policy, &rule.rule)).unwrap_or_default());
        differences.wanted("reason", reason, || decided_by.and_then(|rule| rule.reason.clone()).unwrap_or_default());
        if let Some(failed) = failed {
            // As many words as the case gives: the limit is compared only where it stands.
            let found: Vec<_> = output
                .failed
                .iter()
                .enumerate()
                .map(|(at, check)| {
                    let all = format!("{} {} {}", check.field, check.check, check.limit.as_deref().unwrap_or_default());
                    let short = format!("{} {}", check.field, check.check);
                    if failed.get(at) == Some(&short) { short } else { all.trim_end().to_owned() }
                })
                .collect();
            differences.compare("failed", failed, &found);
        }
        differences.wanted("unknown", unknown, || {
            output.failed.iter().filter(|check| check.indeterminate).map(|check| check.field.clone()).collect()
        });
        differences.wanted("allowed", allowed, || output.allowed.clone().unwrap_or_default());
        differences.wanted("detail", detail, || output.detail.clone().unwrap_or_default());
        for part in says.iter().flatten() {
            let text = output.detail.clone().unwrap_or_default();
            if !text.contains(part) {
                differences.0.push(format!("detail does not say {part:?}: {text:?}"));
            }
        }
        for part in hides.iter().flatten() {
            let text = serde_json::to_string(&output).unwrap();
            if text.contains(part) {
                differences.0.push(format!("the output shows {part:?}: {text}"));
            }
        }
        differences
            .wanted("nearest", nearest, || output.nearest.iter().map(|rule| title(&rule.policy, &rule.rule)).collect());
        differences.wanted("requirements", requirements, || {
            output.requirements.iter().map(|needed| format!("{} {}", needed.tier.name, needed.hold_seconds)).collect()
        });
        differences.wanted("asked_by", asked_by, || {
            let asking = output.requirements.iter().flat_map(|needed| &needed.asked_by);
            asking.map(|rule| title(&rule.policy, &rule.rule)).collect()
        });
        differences.wanted("delegation", delegation, || {
            output.delegation.as_ref().map(|delegation| delegation.name.clone()).unwrap_or_default()
        });
        for (rule, truth) in truths.iter().flatten() {
            let found = output.rules.iter().find(|outcome| title(&outcome.policy, &outcome.rule) == *rule);
            differences.compare(rule, &Some(*truth), &found.map(|outcome| outcome.truth));
        }
        differences.wanted("facts", facts, || {
            output.facts.iter().map(|(name, digest)| (name.clone(), digest.is_some())).collect()
        });
        differences.wanted("digests", digests, || [output.effect_digest.is_some(), output.context_digest.is_some()]);
        differences.wanted("same_effect", same_effect, || {
            let earlier = earlier.expect("same_effect needs an earlier situation");
            assert!(earlier.effect_digest.is_some() && output.effect_digest.is_some(), "both effects have a digest");
            earlier.effect_digest == output.effect_digest
        });
        differences.wanted("changed", changed, || {
            let before = earlier.and_then(|earlier| earlier.context_parts.as_ref()).expect("earlier has a context");
            let after = output.context_parts.as_ref().expect("this situation has a context");
            before.changed(after).into_iter().map(str::to_owned).collect()
        });
        if let Some(sent) = sent {
            sent.compare(outcome, &mut differences);
        }
        differences.0
    }
}

impl Sent {
    fn compare(&self, outcome: Outcome, differences: &mut Differences) {
        let Outcome::Allow(Some(permit)) = outcome else {
            differences.0.push(format!("nothing is sent: {outcome:?}"));
            return;
        };
        let Self { method, url, body, headers, idempotency_key } = self;
        differences.wanted("key", idempotency_key, || permit.idempotency_key().unwrap_or_default().to_owned());
        let request = permit.into_emitted();
        differences.wanted("method", method, || request.method.clone());
        differences.wanted("url", url, || request.url.clone());
        differences.wanted("headers", headers, || request.headers.clone());
        differences.wanted("body", body, || String::from_utf8(request.body_bytes()).unwrap());
    }
}

#[derive(Default)]
struct Differences(Vec<String>);

impl Differences {
    fn compare<T: PartialEq + std::fmt::Debug>(&mut self, what: &str, expected: &T, found: &T) {
        if expected != found {
            self.0.push(format!("{what}: expected {expected:?}, found {found:?}"));
        }
    }

    fn wanted<T: PartialEq + std::fmt::Debug>(&mut self, what: &str, expected: &Option<T>, found: impl FnOnce() -> T) {
        if let Some(expected) = expected {
            self.compare(what, expected, &found());
        }
    }
}
