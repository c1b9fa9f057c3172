//! The `Sanitize` rules of one operation: compiled together, asked about a call, done to its arguments.

use jiff::Timestamp;

use super::failure::{Failure, SanitizeProblem};
use super::{Sanitation, tree};
use crate::bundle::BundleSource;
use crate::decision::{RuleOutcome, RuleRef, Sanitized, Truth};
use crate::facts::{FactSet, resolve};
use crate::json::{Object, Value};
use crate::naming::Route;
use crate::path::{Path, Step};
use crate::policy::transform::{Action, Constant};
use crate::policy::{Policy, Rule, Transform};
use crate::rules::{CallInputs, CompiledPolicy, Inputs, sanitizer};
use crate::tool::{Operation, Tool};

/// Most transforms of one operation, of all rules together.
const MAX_TOGETHER: usize = 128;

/// The `Sanitize` rules of one (tool, operation).
#[derive(Debug)]
pub(crate) struct Sanitizers(Vec<SanitizingRule>);

/// One rule by its place, with its transforms.
#[derive(Debug)]
struct SanitizingRule {
    policy: usize,
    rule: usize,
    reference: RuleRef,
    transforms: Vec<Compiled>,
}

/// One transform whose alias is replaced.
#[derive(Debug)]
struct Compiled {
    steps: Vec<Step>,
    /// The steps as a path, for people.
    field: String,
    action: Action,
}

/// What is to be done to the arguments of one call.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    /// What became of each rule.
    rules: Vec<RuleOutcome>,
    /// Or why nothing can be done.
    transforms: Result<Vec<(&'a Compiled, &'a RuleRef)>, Failure>,
}

impl Sanitizers {
    /// Compiles the `Sanitize` rules of all policies that select the agent and the tool, for one operation. None where
    /// there is none.
    pub(crate) fn compile(
        source: &BundleSource,
        tool: &Tool,
        operation: &Operation,
        route: &Route,
    ) -> Result<Option<Self>, SanitizeProblem> {
        let mut rules = Vec::new();
        for (place, policy) in source.policies.iter().enumerate() {
            // What is only audited changes nothing.
            if !policy.applies_to(&source.agent.name, &tool.name) || !policy.mode.is_enforce() {
                continue;
            }
            for (index, rule) in policy.rules.iter().enumerate().filter(|(_, rule)| rule.applies_to(&operation.name)) {
                let Some(transforms) = rule.effect.transforms() else { continue };
                checks_look_at_the_request(policy, rule, operation)?;
                rules.push(SanitizingRule {
                    policy: place,
                    rule: index,
                    reference: reference(policy, rule),
                    transforms: compiled(policy, rule, transforms, operation, route)?,
                });
            }
        }
        let sanitizers = Self(rules);
        sanitizers.without_conflict()?;
        Ok((!sanitizers.0.is_empty()).then_some(sanitizers))
    }

    /// INV: whichever of the rules hold for a call, the order of their transforms makes no difference.
    fn without_conflict(&self) -> Result<(), SanitizeProblem> {
        let all: Vec<_> = self.0.iter().flat_map(|rule| rule.transforms.iter().map(move |one| (rule, one))).collect();
        if all.len() > MAX_TOGETHER {
            return Err(SanitizeProblem::TooMany(MAX_TOGETHER));
        }
        for (place, (rule, one)) in all.iter().enumerate() {
            for (other_rule, other) in all.iter().skip(place.saturating_add(1)) {
                if tree::conflict((&one.steps, &one.action), (&other.steps, &other.action)) {
                    return Err(SanitizeProblem::Conflict {
                        first: rule.reference.to_string(),
                        second: other_rule.reference.to_string(),
                        path: other.field.clone(),
                    });
                }
            }
        }
        Ok(())
    }

    /// Asks every rule about the arguments as they came. A rule that was not compiled cannot be told.
    pub(crate) fn plan(
        &self,
        source: &BundleSource,
        compiled: &[CompiledPolicy],
        tool: &str,
        operation: &Operation,
        arguments: &Value,
    ) -> Plan<'_> {
        let facts = FactSet::default();
        let inputs = Inputs {
            arguments,
            aliases: &operation.aliases,
            dimensions: &operation.dimensions,
            run: None,
            agent: &source.agent,
            delegation: None,
            // No check that may stand here asks for the time.
            call: CallInputs { time: Timestamp::UNIX_EPOCH, class: operation.class, tool, operation: &operation.name },
            facts: &facts,
            registries: &source.registries,
            record_clear: &[],
        };
        let mut plan = Plan { rules: Vec::with_capacity(self.0.len()), transforms: Ok(Vec::new()) };
        for rule in &self.0 {
            let asked = compiled.get(rule.policy).and_then(|compiled| compiled.evaluate_one(rule.rule, &inputs));
            let (truth, checks) = asked.map_or((Truth::Indeterminate, Vec::new()), |asked| (asked.truth, asked.checks));
            plan.rules.push(RuleOutcome {
                policy: rule.reference.policy.clone(),
                rule: rule.reference.rule.clone(),
                effect: "Sanitize".to_owned(),
                truth,
                reason: None,
                checks,
            });
            let Ok(chosen) = &mut plan.transforms else { continue };
            let untold = rule.transforms.iter().find(|one| !one.action.only_takes_away());
            match (truth, untold) {
                (Truth::False, _) => {}
                (Truth::Indeterminate, Some(one)) => {
                    let reason = "it cannot be told whether the rule holds, because a field of its checks is missing or cannot be compared";
                    plan.transforms = Err(failure(one, &rule.reference, reason.to_owned()));
                }
                (Truth::True, _) | (Truth::Indeterminate, None) => {
                    chosen.extend(rule.transforms.iter().map(|one| (one, &rule.reference)));
                }
            }
        }
        plan
    }
}

impl Plan<'_> {
    /// Does it to a copy of the arguments: what comes out, and what became of the rules. None where nothing changes.
    pub(crate) fn apply(self, arguments: &Value) -> (Option<Value>, Sanitation) {
        let mut sanitation = Sanitation { rules: self.rules, ..Sanitation::default() };
        let mut transforms = match self.transforms {
            Ok(transforms) => transforms,
            Err(failure) => {
                sanitation.failure = Some(failure);
                return (Some(Value::Object(Object::new())), sanitation);
            }
        };
        if transforms.is_empty() {
            return (None, sanitation);
        }
        // One order, whatever order the rules stand in; of two alike the first rule's.
        transforms.sort_by(|(one, _), (other, _)| tree::order(&one.steps, &other.steps));
        transforms.dedup_by(|(next, _), (kept, _)| next.steps == kept.steps);
        let mut tree = arguments.clone();
        for (one, rule) in transforms {
            match tree::apply(&mut tree, &one.steps, &one.action) {
                Ok(true) => sanitation.changed.push(Sanitized {
                    field: one.field.clone(),
                    action: one.action.name().to_owned(),
                    rule: rule.clone(),
                }),
                Ok(false) => {}
                Err(unfit) => {
                    sanitation.changed.clear();
                    sanitation.failure = Some(failure(one, rule, unfit.to_string()));
                    return (Some(Value::Object(Object::new())), sanitation);
                }
            }
        }
        sanitation.changed.sort_by(|one, other| one.field.cmp(&other.field));
        ((!sanitation.changed.is_empty()).then_some(tree), sanitation)
    }
}

fn failure(one: &Compiled, rule: &RuleRef, reason: String) -> Failure {
    Failure { rule: Some(rule.clone()), field: one.field.clone(), action: one.action.name(), reason }
}

fn reference(policy: &Policy, rule: &Rule) -> RuleRef {
    RuleRef { policy: policy.name.clone(), rule: rule.name.clone(), reason: rule.reason.clone() }
}

/// An alias may lead where the path as written does not seem to.
fn checks_look_at_the_request(policy: &Policy, rule: &Rule, operation: &Operation) -> Result<(), SanitizeProblem> {
    let real = |path: &Path| {
        let (root, head, tail) = resolve(path, operation);
        Path { root: root.clone(), steps: head.iter().chain(tail).cloned().collect() }
    };
    let known = |path: &Path| sanitizer::is_known_with_the_request(&real(path));
    match rule.when.iter().position(|check| !check.paths().into_iter().all(known)) {
        None => Ok(()),
        Some(place) => Err(SanitizeProblem::Check {
            rule: reference(policy, rule).to_string(),
            place,
            reason: sanitizer::NOT_OF_THE_REQUEST,
        }),
    }
}

fn compiled(
    policy: &Policy,
    rule: &Rule,
    transforms: &[Transform],
    operation: &Operation,
    route: &Route,
) -> Result<Vec<Compiled>, SanitizeProblem> {
    let compiled = |(place, transform): (usize, &Transform)| {
        let (root, head, tail) = resolve(&transform.field, operation);
        let steps: Vec<Step> = head.iter().chain(tail).cloned().collect();
        let field = Path { root: root.clone(), steps };
        let problem = sanitizer::of_the_arguments(&field).err().or_else(|| {
            let here = Transform { field: field.clone(), action: transform.action.clone() };
            sanitizer::fits(&here).err().or_else(|| unsendable(&here, operation, route))
        });
        match problem {
            None => Ok(Compiled { field: field.to_string(), steps: field.steps, action: transform.action.clone() }),
            Some(reason) => Err(SanitizeProblem::Transform {
                rule: reference(policy, rule).to_string(),
                place,
                path: transform.field.to_string(),
                reason,
            }),
        }
    };
    transforms.iter().enumerate().map(compiled).collect()
}

/// What no request of the operation could carry, or what would make it a request of another operation.
fn unsendable(Transform { field, action }: &Transform, operation: &Operation, route: &Route) -> Option<&'static str> {
    let removes = *action == Action::Remove;
    let other_than_text = matches!(action, Action::Set(Constant::Integer(_) | Constant::Boolean(_)));
    let name = field.first_key();
    if route.path_parameters().any(|parameter| Some(parameter) == name) {
        return match field.steps.len() {
            1 if removes => Some("is a path parameter; without it there is no path"),
            1 if other_than_text => Some("is a path parameter; set it to a text"),
            1 => None,
            _ => Some("leads into a path parameter, which is a text"),
        };
    }
    if let Some(parameter) = operation.http.query.iter().find(|parameter| Some(parameter.name.as_str()) == name) {
        let whole = field.steps.len() == 1;
        let element = field.steps.len() == 2 && !matches!(field.steps.last(), Some(Step::Key(_)));
        return if parameter.constant.is_some() {
            Some("is a query parameter of a fixed value")
        } else if removes && parameter.required {
            Some("is a required query parameter")
        } else if other_than_text {
            Some("is a query parameter; set it to a text")
        } else if (whole && (removes || !parameter.repeated)) || (element && parameter.repeated) {
            None
        } else if parameter.repeated {
            Some("is a repeated query parameter; write [*] behind it")
        } else {
            Some("leads into a query parameter, which is a text")
        };
    }
    route.tells_apart_by(&field.steps).then_some("is what http.body knows the operation by")
}
