//! The verdict on one call. Pure: the same bundle, call, evidence and time give the same decision for ever.
//!
//! [`decide`] reads as the order of the verdict:
//!
//! 0. the agent may call at all, the operation is below its ceiling, the arguments could be sanitized
//!    ([`crate::sanitize`]; everything from here on judges the sanitized ones) and fit the schema
//! 1. any `Deny` rule that is true or indeterminate denies
//! 2. a delegation in force grants the operation, and the call is within its data bounds; no protected argument that must
//!    be of known origin is of unknown origin
//! 3. an `Allow` rule is true, else deny `no_rule_allows` (an approval never allows by itself, so nobody is asked in
//!    vain); an approval that the call names is not one for another effect
//! 4. `RequireApproval` rules that are true or indeterminate hold the call, and so do protected arguments of unknown
//!    origin, unless a release for exactly this effect in exactly this context is there
//! 5. the call may go
//!
//! Of an audited agent the delegation and its data bounds come before step 1.
//!
//! Most calls simply go, and the operation's decision table ([`crate::rules`]) finds that out without a look at most
//! rules. Every other verdict is reached the plain way, rule by rule, because it has to be explained; so is every verdict
//! of [`decide_in_full`], which says the same at more length.
//!
//! Which policies count is the call's [lineup](crate::lineup). What becomes of the verdict is the agent's mode (`modes`):
//! enforced, or only proposed, or only audited. What is tried out beside is judged in the same way and reported.
//! Rego modules ([`crate::rego`]) are asked first, and what they say counts as rules that hold, in every step and also
//! for the table. One that fails is a `Deny` rule that holds.
//!
//! Every unknown is a refusal: an operation that the bundle does not have, a field that is missing, a tier that no
//! longer exists. A release's signature is verified by whoever puts it into [`Evidence`].

mod approvals;
pub(crate) mod context;
mod delegation;
mod effect;
mod explain;
mod findings;
mod modes;
mod origins;
mod refusal;
pub mod replay;
mod said;
mod screen;
#[cfg(test)]
mod tests;
mod told;

use jiff::Timestamp;

use crate::agent::{Mode, Standing};
use crate::approval::Release;
use crate::bundle::Bundle;
use crate::call::ToolCall;
use crate::codes::Code;
use crate::decision::{Decision, DecisionOutput, FailedCheck, Outcome, Verdict};
use crate::delegation::Delegation;
use crate::facts::FactSet;
use crate::lineup::{Chosen, Lineup};
use crate::naming::Malformed;
use crate::permit::{OncePermit, Permit};
use crate::policy::Effect;
use crate::provenance::{Judged, Witnesses};
use crate::rego::{OutOfTime, Worker};
use crate::rules::{self, Inputs, RegistryRead};
use crate::run::RunView;
use crate::tool::{Class, Operation};

use findings::{Finding, Findings};
use modes::Becomes;
use refusal::Refusal;
use said::{Asking, Said};

/// What the verdict rests on beside bundle and call.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// Where the agent stands.
    pub standing: &'a Standing,
    /// Delegations to this agent; others are ignored.
    pub delegations: &'a [Delegation],
    /// Facts as read for this call. One that is declared and not here is indeterminate; one that is here and not
    /// declared is not seen.
    pub facts: &'a FactSet,
    /// What is known of the call's run. None: it has none, or nobody remembers it.
    pub run: Option<&'a RunView>,
    /// Releases for this agent, their signatures already verified.
    pub releases: &'a [Release],
}

/// Judges a call.
pub fn decide(bundle: &Bundle, call: ToolCall, evidence: &Evidence<'_>, now: Timestamp) -> Decision {
    decide_on(bundle, call, evidence, now, &mut Worker::new())
}

/// Judges a call as [`decide`] does, on the Rego machines of a worker: for those who judge many calls one after another.
pub fn decide_on(
    bundle: &Bundle,
    call: ToolCall,
    evidence: &Evidence<'_>,
    now: Timestamp,
    worker: &mut Worker,
) -> Decision {
    patiently(Way::Table, bundle, call, evidence, now, worker)
}

/// Judges a call as [`decide`] does, with the Rego machines of a worker, and with a clock of the shell's: `stop` is asked
/// now and then while a module works. What a module may cost is bounded without it; so a machine that is slow or busy
/// answers in time, and says that it did not decide.
pub fn decide_in_time(
    bundle: &Bundle,
    call: ToolCall,
    evidence: &Evidence<'_>,
    now: Timestamp,
    worker: &mut Worker,
    stop: &dyn Fn() -> bool,
) -> Result<Decision, OutOfTime> {
    decide_by(Way::Table, bundle, call, evidence, now, &mut Asking { worker, stop }).map_err(|_| OutOfTime)
}

/// Judges a call as [`decide`] does, and explains every rule also where the call simply goes: `output.rules` lists all of
/// them. It costs as much as there are rules. For those who try their policies out.
pub fn decide_in_full(bundle: &Bundle, call: ToolCall, evidence: &Evidence<'_>, now: Timestamp) -> Decision {
    patiently(Way::Plain, bundle, call, evidence, now, &mut Worker::new())
}

/// Judges a call by the operation's table and by nothing else: what the table does not let go is refused. For tests, which
/// compare when it answers with when it should.
#[doc(hidden)]
pub fn decide_by_table_alone(bundle: &Bundle, call: ToolCall, evidence: &Evidence<'_>, now: Timestamp) -> Decision {
    patiently(Way::TableAlone, bundle, call, evidence, now, &mut Worker::new())
}

fn patiently(
    way: Way,
    bundle: &Bundle,
    call: ToolCall,
    evidence: &Evidence<'_>,
    now: Timestamp,
    worker: &mut Worker,
) -> Decision {
    // Nothing stops it, so the refusal cannot be reached.
    decide_by(way, bundle, call, evidence, now, &mut Asking { worker, stop: &|| false }).unwrap_or_else(|undecided| {
        Refusal::plain(Code::PolicyTimeout, OutOfTime.to_string()).into_decision(*undecided)
    })
}

/// How the rules are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// By the operation's table, and plainly only where there is something to explain.
    Table,
    /// By the operation's table.
    TableAlone,
    /// One after another.
    Plain,
}

/// The decision; where there is none in time, the output of an undecided call.
fn decide_by(
    way: Way,
    bundle: &Bundle,
    call: ToolCall,
    evidence: &Evidence<'_>,
    now: Timestamp,
    asking: &mut Asking<'_>,
) -> Result<Decision, Box<DecisionOutput>> {
    let mut output = explain::undecided(bundle, &call);
    // 0. agent, ceiling, sanitized arguments, schema
    let operation = match screen::screen(bundle, &call, evidence.standing, now) {
        Ok(operation) => operation,
        Err(refusal) => return Ok(refusal.into_decision(output)),
    };
    let Some(Chosen { in_force, tried }) = bundle.lineup(&call) else {
        // Cannot be reached: `Bundle::assemble` makes lineups for every operation.
        let detail = format!("{}: no policies were compiled for it", operation.name);
        return Ok(Refusal::plain(Code::UnknownOperation, detail).into_decision(output));
    };
    let mode = bundle.agent().mode.on(operation.class);
    // What is not enforced needs no approval, and uses none up.
    let releases = if mode.is_enforce() { evidence.releases } else { &[] };
    let case = Case { way, bundle, call: &call, operation, evidence: &Evidence { releases, ..*evidence }, now };
    let Ok(judged) = case.judge(in_force, asking, &mut output) else { return Err(Box::new(output)) };
    output.would = modes::would(&case, tried, mode, asking, &judged, &output);
    let code = judged.as_ref().err().map(|refusal| refusal.code);
    Ok(match modes::becomes(mode, judged.is_err(), code) {
        Becomes::AsJudged => enforced(judged, call, output),
        Becomes::Proposed => modes::proposed(&operation.name, output),
        Becomes::Allowed => modes::audited(&judged, permit(call), output),
    })
}

fn enforced(judged: Judgement, call: ToolCall, mut output: DecisionOutput) -> Decision {
    match judged {
        Ok(Passed::Freely) => {
            output.verdict = Verdict::Allow;
            Decision { outcome: Outcome::Allow(permit(call).map(Box::new)), output }
        }
        Ok(Passed::Once(release)) => match (permit(call), output.effect_digest) {
            (Some(permit), Some(effect)) => {
                output.verdict = Verdict::AllowOnce;
                Decision { outcome: Outcome::AllowOnce(Box::new(OncePermit { permit, effect, release })), output }
            }
            // Cannot be reached: a release only matches a call that has an effect digest, hence a request.
            _ => Refusal::plain(Code::ApprovalMismatch, "there is nothing to send for this approval".to_owned())
                .into_decision(output),
        },
        Ok(Passed::Held(detail)) => {
            output.verdict = Verdict::Hold;
            output.code = Some(Code::ApprovalRequired);
            output.detail = Some(detail);
            Decision { outcome: Outcome::Hold, output }
        }
        Err(refusal) => refusal.into_decision(output),
    }
}

/// What needs no fact to be refused: step 0. A sidecar asks this before it reads facts, so that a suspended agent's call
/// reads nothing. `None`: go on and [`decide`], which refuses the same; so it is for an operation that has no facts.
pub fn refused_without_facts(
    bundle: &Bundle,
    call: &ToolCall,
    standing: &Standing,
    now: Timestamp,
) -> Option<Decision> {
    if bundle.tool(&call.tool).and_then(|tool| tool.operation(&call.operation)).is_none_or(|it| it.facts.is_empty()) {
        return None;
    }
    let refusal = screen::screen(bundle, call, standing, now).err()?;
    Some(refusal.into_decision(explain::undecided(bundle, call)))
}

/// The output for a request that could not be named: refused.
pub fn malformed(bundle: &Bundle, tool: &str, malformed: Malformed) -> DecisionOutput {
    let Malformed { code, detail, operation, class } = malformed;
    // The agent's own text, where it names no tool: what could not be a name is not kept, so nothing long or secret gets
    // into a record that way.
    let named = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let tool = if tool.len() <= 63 && tool.bytes().all(named) { tool } else { "" };
    let mut output = explain::blank(bundle, tool);
    output.code = Some(code);
    output.detail = Some(detail);
    output.operation = operation;
    output.class = class;
    output
}

/// How a call passed.
enum Passed {
    /// Without a person.
    Freely,
    /// By this release, once.
    Once(Release),
    /// To a person, with the sentence for the agent.
    Held(String),
}

/// What is found of a call by the policies of a lineup.
type Judgement = Result<Passed, Box<Refusal>>;

/// One call with what it is judged by, from step 1 on.
#[derive(Debug, Clone, Copy)]
struct Case<'a> {
    way: Way,
    bundle: &'a Bundle,
    call: &'a ToolCall,
    operation: &'a Operation,
    evidence: &'a Evidence<'a>,
    now: Timestamp,
}

/// What is known of a call before its rules are judged.
struct Seen<'a> {
    delegation: Result<&'a Delegation, Box<Refusal>>,
    inputs: Inputs<'a>,
    /// Bounds of the delegation that it is outside of.
    outside: Vec<FailedCheck>,
    origins: Judged<'a>,
    /// What the Rego modules say.
    said: Vec<Said<'a>>,
}

impl Case<'_> {
    /// Judges by the policies of a lineup; what is found on the way is in the output.
    fn judge(
        &self,
        lineup: &Lineup,
        asking: &mut Asking<'_>,
        output: &mut DecisionOutput,
    ) -> Result<Judgement, OutOfTime> {
        let facts = context::declared_facts(self.operation, self.evidence.facts);
        let seen = self.see(&facts, lineup, asking, output)?;
        Ok(match self.by_table(&seen, lineup, output) {
            Some(passed) => Ok(passed),
            None if self.way == Way::TableAlone => {
                Err(Box::new(Refusal::plain(Code::NoRuleAllows, "the table does not let it go".to_owned())))
            }
            None => self.by_steps(seen, lineup, output),
        })
    }

    /// Gathers what rules look at, and what has a say beside them.
    fn see<'s>(
        &'s self,
        facts: &'s FactSet,
        lineup: &Lineup,
        asking: &mut Asking<'_>,
        output: &mut DecisionOutput,
    ) -> Result<Seen<'s>, OutOfTime> {
        let Self { way: _, bundle, call, operation, evidence, now } = *self;
        // Rules may look at the delegation, so it is chosen before they are judged and counts after the Deny rules.
        let delegation = delegation::choose(bundle.agent(), call, evidence.delegations, now);
        let inputs =
            findings::inputs(bundle, call, operation, delegation.as_ref().ok().copied(), facts, evidence.run, now);
        output.facts = context::fact_digests(operation, facts);
        let (outside, origins) = match &delegation {
            Ok(delegation) => {
                let witnesses = Witnesses { delegation, run: evidence.run };
                (rules::outside(&delegation.data, &inputs), bundle.origins(lineup, call, operation, witnesses))
            }
            Err(_) => (Vec::new(), Judged::default()),
        };
        output.unknown_origins = origins::listed(&origins, evidence.run);
        let said = said::ask(bundle, lineup, call, operation, &inputs, asking)?;
        Ok(Seen { delegation, inputs, outside, origins, said })
    }

    /// All of the steps at once, where each one lets the call pass and nobody has to be asked.
    fn by_table(&self, seen: &Seen<'_>, lineup: &Lineup, output: &mut DecisionOutput) -> Option<Passed> {
        let Self { way, bundle, .. } = *self;
        let Seen { delegation, inputs, outside, origins, said } = seen;
        let (Way::Table | Way::TableAlone, Ok(delegation)) = (way, delegation) else { return None };
        if !outside.is_empty() || origins::stop(origins) {
            return None;
        }
        let allowing = lineup.table.allows(&bundle.policies, inputs)?;
        if said.iter().any(|said| said.rule.effect != Effect::Allow) || self.named(output).is_err() {
            return None;
        }
        let allowing = Finding::from(allowing);
        let reads = || {
            let of_modules = said::registry_reads(bundle, lineup);
            [lineup.table.registry_reads(&bundle.policies, inputs), of_modules].concat()
        };
        self.bind(lineup, delegation, inputs, origins, reads, output);
        output.rule = Some(allowing.reference());
        output.rules = vec![allowing.outcome()];
        Some(Passed::Freely)
    }

    /// One step after the other.
    fn by_steps(&self, seen: Seen<'_>, lineup: &Lineup, output: &mut DecisionOutput) -> Judgement {
        let Self { way, bundle, call, operation, evidence, now } = *self;
        let Seen { delegation, inputs, outside, origins, said } = seen;
        let findings = Findings::evaluate(bundle, lineup, call, &inputs, &said);
        output.rules = call.sanitation.rules.iter().cloned().chain(findings.outcomes()).collect();
        if way == Way::Table {
            (output.rules, output.rules_omitted) = told::told(std::mem::take(&mut output.rules));
        }

        // What an audited agent may do at all is not up to policies, so a Deny rule hides nothing of it.
        if bundle.agent().mode == Mode::Audit {
            within(operation, delegation.clone()?, &outside, output)?;
        }

        // 1. any Deny
        if let Some(rule) = findings.denying() {
            return Err(Box::new(explain::rule_denies(operation, rule)));
        }

        // 2. the delegation
        let delegation = delegation?;
        let reads =
            || [context::plain_reads(bundle, lineup, call, &inputs), said::registry_reads(bundle, lineup)].concat();
        self.bind(lineup, delegation, &inputs, &origins, reads, output);
        within(operation, delegation, &outside, output)?;
        origins::refused(operation, &origins, evidence.run)?;

        // 3. some Allow
        let Some(allowing) = findings.allowing() else {
            return Err(Box::new(explain::no_rule_allows(operation, &findings)));
        };
        self.named(output)?;

        // 4. approvals
        output.requirements = approvals::requirements(bundle, &findings, &origins)?;
        if output.requirements.is_empty() {
            output.rule = Some(allowing.reference());
            // Where only a module allows, the table could not tell.
            if way == Way::Table {
                output.rules = vec![allowing.outcome()];
                output.rules_omitted = 0;
            }
            return Ok(Passed::Freely);
        }
        if let Some(release) = approvals::matching(call, evidence.releases, bundle.agent(), output, now)? {
            output.rule = Some(allowing.reference());
            return Ok(Passed::Once(release.clone()));
        }
        output.rule = output.requirements.first().and_then(|needed| needed.asked_by.first()).cloned();
        if let Some(rule) = findings.asking().next() {
            output.rule = Some(rule.reference());
        }
        let why = origins::held(&origins, evidence.run);
        Ok(Passed::Held(explain::held(operation, &findings, &output.requirements, why)))
    }

    /// Refuses a call that names an approval for another one.
    fn named(&self, output: &DecisionOutput) -> Result<(), Box<Refusal>> {
        let Self { bundle, call, evidence, .. } = *self;
        approvals::named_is_for_this_effect(call, evidence.releases, bundle.agent(), output.effect_digest)
    }

    /// The delegation and the context that the call is judged in. A context counts only beside an effect.
    fn bind(
        &self,
        lineup: &Lineup,
        delegation: &Delegation,
        inputs: &Inputs<'_>,
        origins: &Judged<'_>,
        reads: impl FnOnce() -> Vec<RegistryRead>,
        output: &mut DecisionOutput,
    ) {
        output.delegation = Some(delegation::reference(delegation));
        if output.effect_digest.is_some()
            && let Some(parts) = context::parts(self.bundle, lineup, self.operation, delegation, inputs, origins, reads)
        {
            output.context_digest = Some(parts.digest());
            output.context_parts = Some(parts);
        }
    }
}

/// Refuses a call that is outside of a bound of its delegation.
fn within(
    operation: &Operation,
    delegation: &Delegation,
    outside: &[FailedCheck],
    output: &mut DecisionOutput,
) -> Result<(), Box<Refusal>> {
    if outside.is_empty() {
        return Ok(());
    }
    output.delegation = Some(delegation::reference(delegation));
    Err(Box::new(explain::outside_delegation(operation, delegation, outside.to_vec())))
}

/// Leave to send the call's request. Only a Commit carries the agent's idempotency key.
fn permit(call: ToolCall) -> Option<Permit> {
    let idempotency_key = if call.class == Class::Commit { call.idempotency_key } else { None };
    call.request.map(|emitted| Permit { emitted, tool: call.tool, class: call.class, idempotency_key })
}
