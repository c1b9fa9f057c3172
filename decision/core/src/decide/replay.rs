//! A recorded call judged again, by what its record shows of it.
//!
//! A record holds the values of clear fields, and digests of everything else. So every check is one that can be asked
//! (its paths lead to recorded values, or to the agent, the delegation and the call) or one whose answer may be any. The
//! verdict counts only where it is the same whatever those answers are: a rule is at least as true as its least check
//! would be if all of them were false, and at most as if all were true.
//!
//! Deliberately absent: taking a value that is not recorded for one that was not there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::findings::{self, Finding, Findings};
use super::modes::{self, Becomes};
use super::refusal::Refusal;
use super::said::{self, Asking, Said};
use super::{context, delegation};
use crate::agent::{Mode, Standing};
use crate::bundle::Bundle;
use crate::call::ToolCall;
use crate::codes::Code;
use crate::decision::{RuleRef, Truth, Verdict, Would};
use crate::delegation::Delegation;
use crate::facts::FactSet;
use crate::json::{Object, Value};
use crate::lineup::{Chosen, Lineup};
use crate::path::{Path, Root, Step};
use crate::policy::{Check, Effect};
use crate::record::DecisionRecord;
use crate::rego::{Module, Worker};
use crate::rules::{Inputs, bound_as_check, outside, whole_path};
use crate::sanitize::Sanitation;
use crate::tool::Operation;

/// Most elements of a list that is put together from recorded values.
const MAX_ELEMENTS: usize = 10_000;

/// What a recorded call comes to. Without releases: one that an approval let through is held again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replayed {
    /// The verdict.
    pub verdict: Verdict,
    /// Why not, where it is refused.
    pub code: Option<Code>,
    /// The rule that decides, where the record shows enough to tell which.
    pub rule: Option<RuleRef>,
    /// What would become of it if everything that is tried out were enforced. None where nothing is, and where that cannot
    /// be told.
    pub would: Option<Would>,
}

/// Why it cannot be told what a recorded call comes to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unjudged {
    /// Nothing was judged then: the request was refused before its rules were.
    #[error("it was refused before its rules were judged")]
    NotReached,
    /// The record would have been too long, so what the rules looked at is not in it.
    #[error("its record was too long, so it holds no values")]
    Shortened,
    /// The record says of no declaration by which the request was read.
    #[error("the record does not say how the operation was declared")]
    NoDeclaration,
    /// The operation is declared differently now, so the same request may be read differently.
    #[error("the operation is declared differently now")]
    OtherDeclaration,
    /// The record shows what `Sanitize` rules left of the arguments, or there are such rules now.
    #[error("Sanitize rules stand between the request and what the record shows of it")]
    Sanitized,
    /// A policy asks where values came from, which is in no record.
    #[error("a policy asks where its values came from")]
    Origins,
    /// A Rego module may read more of the call than the record holds.
    #[error("a Rego module reads what the record does not hold: {}", .0.join(", "))]
    Rego(Vec<String>),
    /// The verdict depends on values that the record does not hold.
    #[error("the record does not hold: {}", .0.join(", "))]
    Hidden(Vec<String>),
}

impl Unjudged {
    /// Its kind, of a closed set.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NotReached => "notReached",
            Self::Shortened => "shortened",
            Self::NoDeclaration => "noDeclaration",
            Self::OtherDeclaration => "otherDeclaration",
            Self::Sanitized => "sanitized",
            Self::Origins => "origins",
            Self::Rego(_) => "rego",
            Self::Hidden(_) => "hidden",
        }
    }
}

/// Judges a recorded call under the delegation that it was judged under then, as it stands now, at the time of its record.
pub fn replay(
    bundle: &Bundle,
    record: &DecisionRecord,
    standing: &Standing,
    delegations: &[Delegation],
    worker: &mut Worker,
) -> Result<Replayed, Unjudged> {
    let decision = &record.decision;
    if record.shortened {
        return Err(Unjudged::Shortened);
    }
    let Some(name) = decision.operation.as_deref().filter(|_| !decision.rules.is_empty()) else {
        return Err(Unjudged::NotReached);
    };
    if let Err(code) = standing.may_call(bundle.review_digest(), record.time) {
        return Ok(refused(code));
    }
    let Some(tool) = bundle.tool(&decision.tool) else { return Ok(refused(Code::UnknownTool)) };
    // A request that nobody declares under this name may be another operation's now.
    let operation = tool.operation(name).ok_or(Unjudged::OtherDeclaration)?;
    let declared = decision.context_parts.as_ref().ok_or(Unjudged::NoDeclaration)?.tool;
    let is_same = bundle.lineups(&tool.name, name).is_some_and(|lineups| lineups.tool == declared);
    if !is_same || bundle.may_be_another(&tool.name, name) {
        return Err(Unjudged::OtherDeclaration);
    }
    if !decision.sanitized.is_empty() || bundle.sanitizers(&tool.name, name).is_some() {
        return Err(Unjudged::Sanitized);
    }
    // The schema is a part of the declaration, so the arguments fit now as they did then.
    if operation.class > bundle.agent().ceiling {
        return Ok(refused(Code::ClassAboveCeiling));
    }
    let call = ToolCall {
        tool: tool.name.clone(),
        operation: name.to_owned(),
        class: operation.class,
        arguments: Arc::new(arguments(&record.values)),
        sanitation: Sanitation::default(),
        delegation: decision.delegation.as_ref().map(|delegation| delegation.name.clone()),
        run: record.run.clone(),
        approval: None,
        plan: None,
        idempotency_key: None,
        traceparent: None,
        request: None,
    };
    let Chosen { in_force, tried } = bundle.lineup(&call).ok_or(Unjudged::OtherDeclaration)?;
    let mut judged = |lineup| {
        if bundle.protects(lineup, &call) {
            return Err(Unjudged::Origins);
        }
        judge(bundle, lineup, &call, operation, record, delegations, worker)
    };
    let replayed = judged(in_force)?;
    let mode = bundle.agent().mode.on(operation.class);
    let would = match tried {
        Some((lineup, policies)) => judged(lineup).ok().map(|replayed| would(replayed, policies)),
        None if mode.is_enforce() => None,
        None => Some(would(replayed.clone(), &[])),
    };
    Ok(Replayed { would, ..in_mode(mode, replayed) })
}

/// What the agent's mode makes of a verdict.
fn in_mode(mode: Mode, replayed: Replayed) -> Replayed {
    match modes::becomes(mode, replayed.verdict == Verdict::Deny, replayed.code) {
        Becomes::AsJudged => replayed,
        Becomes::Proposed => Replayed { verdict: Verdict::Propose, code: Some(Code::Proposed), ..replayed },
        Becomes::Allowed => {
            let rule = replayed.rule.filter(|_| replayed.verdict == Verdict::Allow);
            Replayed { verdict: Verdict::Allow, code: None, rule, would: None }
        }
    }
}

fn would(Replayed { verdict, code, rule, .. }: Replayed, policies: &[String]) -> Would {
    Would { verdict, code, detail: None, rule, approvals: Vec::new(), policies: policies.to_vec() }
}

fn judge(
    bundle: &Bundle,
    lineup: &Lineup,
    call: &ToolCall,
    operation: &Operation,
    record: &DecisionRecord,
    delegations: &[Delegation],
    worker: &mut Worker,
) -> Result<Replayed, Unjudged> {
    let chosen = delegation::choose(bundle.agent(), call, delegations, record.time);
    let facts = FactSet(BTreeMap::new());
    let facts = context::declared_facts(operation, &facts);
    let inputs = findings::inputs(bundle, call, operation, chosen.as_ref().ok().copied(), &facts, None, record.time);
    let shown = Shown { values: &record.values, operation };
    let said = shown.said(bundle, lineup, call, &inputs, worker);
    let findings = Findings::evaluate(bundle, lineup, call, &inputs, said.as_deref().unwrap_or_default());
    let of = |wanted: fn(&Effect) -> bool| -> Vec<Ranged<'_>> {
        findings.all().filter(|finding| wanted(&finding.rule.effect)).map(|finding| shown.range(finding)).collect()
    };

    // As in a decision, policies do not hide what an audited agent may do at all.
    let audited = bundle.agent().mode == Mode::Audit;
    if audited && let Some(refused) = without_authority(&chosen, &shown, &inputs)? {
        return Ok(refused);
    }
    let denying = of(|effect| *effect == Effect::Deny);
    if denying.iter().any(|rule| rule.least != Truth::False) {
        let exact = denying.iter().all(Ranged::is_exact);
        // A module may hold a denial that comes before one that could not be told.
        let decides = |rule: &&Finding<'_>| exact && (said.is_ok() || rule.truth == Truth::True);
        let rule = findings.denying().filter(decides).map(Finding::reference);
        return Ok(Replayed { rule, ..refused(Code::RuleDenies) });
    }
    hidden(&denying, |rule| rule.most != Truth::False)?;
    said.as_ref().map_err(Clone::clone)?;

    if let Some(refused) = without_authority(&chosen, &shown, &inputs)? {
        return Ok(refused);
    }

    let allowing = of(|effect| *effect == Effect::Allow);
    let Some(first) = allowing.iter().position(|rule| rule.least == Truth::True) else {
        hidden(&allowing, |rule| rule.most == Truth::True)?;
        return Ok(refused(Code::NoRuleAllows));
    };

    let asking = of(|effect| matches!(effect, Effect::RequireApproval { .. }));
    if asking.iter().any(|rule| rule.least != Truth::False) {
        let exact = asking.iter().all(Ranged::is_exact);
        let rule = findings.asking().next().filter(|_| exact).map(Finding::reference);
        return Ok(Replayed { verdict: Verdict::Hold, code: Some(Code::ApprovalRequired), rule, would: None });
    }
    hidden(&asking, |rule| rule.most != Truth::False)?;
    let exact = allowing.iter().take(first).all(|rule| rule.most != Truth::True);
    let rule = allowing.get(first).filter(|_| exact).map(|rule| rule.finding.reference());
    Ok(Replayed { verdict: Verdict::Allow, code: None, rule, would: None })
}

fn refused(code: Code) -> Replayed {
    Replayed { verdict: Verdict::Deny, code: Some(code), rule: None, would: None }
}

/// The refusal of a call that no delegation is for.
fn without_authority(
    chosen: &Result<&Delegation, Box<Refusal>>,
    shown: &Shown<'_>,
    inputs: &Inputs<'_>,
) -> Result<Option<Replayed>, Unjudged> {
    let delegation = match chosen {
        Err(refusal) => return Ok(Some(refused(refusal.code))),
        Ok(delegation) => delegation,
    };
    let checks: Vec<Check> = delegation.data.iter().map(bound_as_check).collect();
    let hidden: BTreeSet<String> = checks.iter().flat_map(|check| shown.hidden(check)).collect();
    if !hidden.is_empty() {
        return Err(Unjudged::Hidden(hidden.into_iter().collect()));
    }
    let outside = !outside(&delegation.data, inputs).is_empty();
    Ok(outside.then(|| refused(Code::OutsideDelegation)))
}

/// Refuses where one of these rules could matter.
fn hidden(rules: &[Ranged<'_>], matters: impl Fn(&Ranged<'_>) -> bool) -> Result<(), Unjudged> {
    let fields: BTreeSet<&String> = rules.iter().filter(|rule| matters(rule)).flat_map(|rule| &rule.hidden).collect();
    if fields.is_empty() { Ok(()) } else { Err(Unjudged::Hidden(fields.into_iter().cloned().collect())) }
}

/// How true a rule may be.
struct Ranged<'a> {
    finding: &'a Finding<'a>,
    least: Truth,
    most: Truth,
    /// Paths that the record does not hold.
    hidden: Vec<String>,
}

impl Ranged<'_> {
    fn is_exact(&self) -> bool {
        self.least == self.most
    }
}

/// What a record shows of a call.
struct Shown<'a> {
    values: &'a BTreeMap<String, Value>,
    operation: &'a Operation,
}

impl Shown<'_> {
    /// What the modules say, where the record holds all that they may read.
    fn said<'a>(
        &self,
        bundle: &'a Bundle,
        lineup: &Lineup,
        call: &ToolCall,
        inputs: &Inputs<'_>,
        worker: &mut Worker,
    ) -> Result<Vec<Said<'a>>, Unjudged> {
        let knows_facts = self.operation.facts.is_empty();
        let beyond = |module: &Module| module.reads_beyond(|name| self.values.contains_key(name), knows_facts);
        let hidden: BTreeSet<String> = bundle.modules_of(lineup).flat_map(|(.., module)| beyond(module)).collect();
        if !hidden.is_empty() {
            return Err(Unjudged::Rego(hidden.into_iter().collect()));
        }
        // Nothing stops it, so it always answers.
        let asked = said::ask(bundle, lineup, call, self.operation, inputs, &mut Asking { worker, stop: &|| false });
        asked.map_err(|_| Unjudged::Rego(Vec::new()))
    }

    fn range<'a>(&self, finding: &'a Finding<'a>) -> Ranged<'a> {
        let mut ranged = Ranged { finding, least: Truth::True, most: Truth::True, hidden: Vec::new() };
        for (check, outcome) in finding.rule.when.iter().zip(&finding.checks) {
            let hidden = self.hidden(check);
            let (least, most) =
                if hidden.is_empty() { (outcome.truth, outcome.truth) } else { (Truth::False, Truth::True) };
            ranged.least = ranged.least.and(least);
            ranged.most = ranged.most.and(most);
            ranged.hidden.extend(hidden);
        }
        ranged
    }

    /// The paths of a check that the record does not hold.
    fn hidden(&self, check: &Check) -> Vec<String> {
        check.paths().into_iter().filter(|path| !self.has(path)).map(ToString::to_string).collect()
    }

    /// Whether the record holds the one value that the path names.
    fn has(&self, path: &Path) -> bool {
        let whole = whole_path(path, self.operation);
        match &whole.root {
            Root::Arguments => self.values.contains_key(&whole.to_string()),
            // Facts are recorded as digests, and what a run had done is in other records.
            Root::Input(name) => name != "fact" && name != "run",
        }
    }
}

/// The recorded values at their places. What is between them is null, which no check that is asked looks at.
fn arguments(values: &BTreeMap<String, Value>) -> Value {
    let mut tree = Tree::default();
    for (path, value) in values {
        if let Ok(path) = path.parse::<Path>() {
            tree.put(&path.steps, value);
        }
    }
    match tree.into_value() {
        object @ Value::Object(_) => object,
        _ => Value::Object(Object::new()),
    }
}

#[derive(Default)]
struct Tree {
    value: Option<Value>,
    members: BTreeMap<String, Tree>,
    elements: BTreeMap<usize, Tree>,
}

impl Tree {
    fn put(&mut self, steps: &[Step], value: &Value) {
        match steps.split_first() {
            None => self.value = Some(value.clone()),
            Some((Step::Key(key), rest)) => self.members.entry(key.clone()).or_default().put(rest, value),
            Some((Step::Index(index), rest)) if *index < MAX_ELEMENTS => {
                self.elements.entry(*index).or_default().put(rest, value);
            }
            Some(_) => {}
        }
    }

    fn into_value(self) -> Value {
        if let Some(value) = self.value {
            return value;
        }
        if let Some(last) = self.elements.keys().next_back().copied() {
            let mut elements = self.elements;
            return Value::Array(
                (0..=last).map(|at| elements.remove(&at).map_or(Value::Null, Self::into_value)).collect(),
            );
        }
        let mut object = Object::new();
        for (key, member) in self.members {
            // Keys of a map are given once.
            let _ = object.insert(key, member.into_value());
        }
        Value::Object(object)
    }
}
