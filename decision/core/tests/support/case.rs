//! One case: a situation and what is expected of the decision.
//!
//! A plain case has `expect`. A case with `check`, `arguments` and `truth` asks one question in the three places where a
//! rule can ask it; what each place makes of true, false and indeterminate is written once, in [`Check::verdicts`].

use aegis_decision::agent::Mode;
use aegis_decision::approval::Release;
use aegis_decision::bundle::AssembleError;
use aegis_decision::codes::Code;
use aegis_decision::decision::{Decision, DecisionOutput, Outcome, Truth, Verdict};
use aegis_decision::digest::Digest;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::agree;
use super::expect::Expect;
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
    Plain { expect: Box<Expect>, earlier: Option<Situation>, releases: Vec<ReleaseGiven> },
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
            let expect: Expect = read(&name, keys.remove("expect").expect("a case has expect, truth or refused"));
            let earlier = keys.remove("earlier").map(|earlier| read::<Map<_, _>>(&name, earlier));
            let releases = keys.remove("releases").map(|releases| read(&name, releases)).unwrap_or_default();
            let earlier = earlier.map(|earlier| base.with(&keys).with(&earlier));
            Kind::Plain { expect: Box::new(expect), earlier, releases }
        };
        Self { name, situation: base.with(&keys), kind }
    }

    /// What it is about; tells when its bundle is refused.
    #[allow(dead_code)] // The test of all cases has no use for it.
    pub fn scene(&self) -> Result<Scene, AssembleError> {
        self.situation.scene()
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
                let full = judge_in_full(&scene, &releases);
                faults.extend(expect.faults(judge(&scene, &releases), &full, earlier.as_ref()));
                faults
            }
        }
    }
}

fn judge(scene: &Scene, releases: &[Release]) -> Decision {
    scene.bundle.decide_input(&scene.input, &scene.standing, &scene.delegations, releases)
}

fn judge_in_full(scene: &Scene, releases: &[Release]) -> DecisionOutput {
    scene.bundle.decide_input_in_full(&scene.input, &scene.standing, &scene.delegations, releases).output
}

/// What holds of every decision: the same twice, the same by the table and rule by rule, outcome and output agree, and the output is read back as it was.
fn coherence(scene: &Scene, releases: &[Release]) -> Vec<String> {
    let mut faults = Vec::new();
    let Decision { outcome, output } = judge(scene, releases);
    if judge(scene, releases).output != output {
        faults.push("judged twice, the outputs differ".to_owned());
    }
    let full = agree::told(judge_in_full(scene, releases));
    if full != output {
        faults.push(format!("the table says {output:?}, and rule by rule it is {full:?}"));
    }
    let agrees = match (&outcome, output.verdict) {
        (Outcome::Allow(_), Verdict::Allow) => {
            let audited = scene.bundle.agent().mode == Mode::Audit;
            output.code.is_none() && (output.rule.is_some() || audited)
        }
        (Outcome::Propose, Verdict::Propose) => output.code == Some(Code::Proposed) && output.would.is_some(),
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
            let expect = Expect::of_rule(verdict, code, "p/asked", self.truth);
            faults.extend(coherence(&scene, &[]));
            let full = judge_in_full(&scene, &[]);
            let found = expect.faults(judge(&scene, &[]), &full, None);
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
