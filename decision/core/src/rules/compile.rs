//! From a policy as written to one that can be asked: every mistake is found here.

use std::collections::{BTreeMap, BTreeSet};

use iso_currency::Currency as IsoCurrency;

use super::equal::Comparable;
use super::error::{RuleError, RuleProblem};
use super::exact::Exact;
use super::explain;
use super::host_in::HostSet;
use super::number::{Bound, Side};
use super::predicate::{CompiledCheck, Question};
use super::registry::RegistryName;
use super::resolve::{self, Resolved};
use super::sum::{CompiledSum, SumLimit};
use super::text::Pattern;
use super::window::Window;
use crate::bundle::BundleSource;
use crate::path::{Path, Root, Step};
use crate::policy::{Amount, Check, Normalize, Policy, Predicate, Rule, Sum, SumBound};
use crate::tool::Operation;

/// A policy whose rules are ready to be asked.
#[derive(Debug)]
pub struct CompiledPolicy {
    pub(super) policy: Policy,
    /// Checks of each rule, in the policy's order.
    pub(super) rules: Vec<Vec<CompiledCheck>>,
    /// Rules of each operation that some rule names.
    by_operation: BTreeMap<String, Vec<usize>>,
    /// Rules of every other operation.
    of_others: Vec<usize>,
}

impl CompiledPolicy {
    /// Compiles a policy for the bundle that it is part of. The first mistake is the error.
    pub fn compile(policy: &Policy, source: &BundleSource) -> Result<Self, RuleError> {
        let mut names = BTreeSet::new();
        let mut rules = Vec::with_capacity(policy.rules.len());
        for (index, rule) in policy.rules.iter().enumerate() {
            let error = |field: String, problem| RuleError { index, rule: rule.name.clone(), field, problem };
            if !names.insert(&rule.name) {
                return Err(error("name".to_owned(), RuleProblem::DuplicateName));
            }
            if rule.operations.is_empty() {
                return Err(error("operations".to_owned(), RuleProblem::NoValue));
            }
            let compiler = Compiler { policy, rule, source };
            let checks = rule.when.iter().enumerate().map(|(place, check)| {
                compiler.check(check).map_err(|(field, problem)| error(format!("when[{place}].{field}"), problem))
            });
            rules.push(checks.collect::<Result<_, _>>()?);
        }
        let operations = policy.rules.iter().flat_map(|rule| &rule.operations);
        let by_operation = operations.map(|name| (name.clone(), indexes(policy, name))).collect();
        Ok(Self { policy: policy.clone(), rules, by_operation, of_others: indexes(policy, "*") })
    }

    /// Places of the rules about an operation, in the policy's order.
    pub(super) fn indexes(&self, operation: &str) -> &[usize] {
        self.by_operation.get(operation).unwrap_or(&self.of_others)
    }
}

fn indexes(policy: &Policy, operation: &str) -> Vec<usize> {
    let rules = policy.rules.iter().enumerate();
    rules.filter(|(_, rule)| rule.applies_to(operation)).map(|(index, _)| index).collect()
}

/// A field of a check and what is wrong with it.
type Wrong = (String, RuleProblem);

struct Compiler<'a> {
    policy: &'a Policy,
    rule: &'a Rule,
    source: &'a BundleSource,
}

impl Compiler<'_> {
    fn check(&self, check: &Check) -> Result<CompiledCheck, Wrong> {
        self.path(&check.field).map_err(|problem| ("field".to_owned(), problem))?;
        let name = explain::name(&check.predicate);
        let question = self.question(check).map_err(|(part, problem)| (format!("{name}{part}"), problem))?;
        Ok(CompiledCheck {
            field: check.field.clone(),
            negated: check.not,
            normalize: check.normalize,
            question,
            field_text: check.field.to_string(),
            label: explain::label(check),
            limit: explain::limit(check),
        })
    }

    fn question(&self, check: &Check) -> Result<Question, Wrong> {
        let normalize = check.normalize;
        let here = |problem| (String::new(), problem);
        let part = |text: &str| match normalize.apply(text) {
            normal if normal.is_empty() => Err(here(RuleProblem::EmptyText)),
            normal => Ok(normal.into_owned()),
        };
        Ok(match &check.predicate {
            Predicate::Equals(scalar) => Question::OneOf(vec![Comparable::of_rule(scalar, normalize)]),
            Predicate::In(scalars) if scalars.is_empty() => return Err(here(RuleProblem::NoValue)),
            Predicate::In(scalars) => {
                Question::OneOf(scalars.iter().map(|scalar| Comparable::of_rule(scalar, normalize)).collect())
            }
            Predicate::IsTrue(value) => Question::IsTrue(*value),
            Predicate::Matches(pattern) => Question::Matches(Pattern::compile(pattern).map_err(here)?),
            Predicate::Prefix(text) => Question::Prefix(part(text)?),
            Predicate::Suffix(text) => Question::Suffix(part(text)?),
            Predicate::Contains(text) => Question::Contains(part(text)?),
            Predicate::AtMost(amount) => self.bound(check, Side::AtMost, amount)?,
            Predicate::AtLeast(amount) => self.bound(check, Side::AtLeast, amount)?,
            Predicate::LessThan(amount) => self.bound(check, Side::LessThan, amount)?,
            Predicate::GreaterThan(amount) => self.bound(check, Side::GreaterThan, amount)?,
            Predicate::Length { min, max } => {
                let bound = |value: u32| usize::try_from(value).unwrap_or(usize::MAX);
                let (lowest, highest) = (min.map_or(0, bound), max.map_or(usize::MAX, bound));
                if (min.is_none() && max.is_none()) || lowest > highest {
                    return Err(here(RuleProblem::EmptyRange));
                }
                Question::Length { min: lowest, max: highest }
            }
            Predicate::Exists => Question::Exists,
            Predicate::Absent => Question::Absent,
            Predicate::Format(format) => Question::Format(*format),
            Predicate::EqualsField(other) => {
                self.beside(check, other).map_err(here)?;
                Question::EqualsField(other.clone())
            }
            Predicate::SumEquals(sum) => self.sum(check, sum, false)?,
            Predicate::SumAtMost(sum) => self.sum(check, sum, true)?,
            Predicate::InRegistry(name) => Question::InRegistry(self.registry(name, normalize).map_err(here)?),
            Predicate::RegistryField { registry, key, attribute } => {
                // The key is looked up as it is, so no normal forms are needed.
                let registry = self.registry(registry, Normalize::None).map_err(|problem| at("registry", problem))?;
                self.beside(check, key).map_err(|problem| at("key", problem))?;
                Question::RegistryField { registry, key: key.clone(), attribute: attribute.clone() }
            }
            Predicate::Document { registry, key, name } => {
                let registry = self.registry(registry, Normalize::None).map_err(|problem| at("registry", problem))?;
                if let Some(key) = key {
                    self.beside(check, key).map_err(|problem| at("key", problem))?;
                }
                Question::Document { registry, key: key.clone(), name: name.clone() }
            }
            Predicate::HostIn { names, registry } => self.hosts(names, registry.as_deref())?,
            Predicate::Within(window) => {
                let wrong = |(field, problem)| match field {
                    Some(field) => at(field, problem),
                    None => here(problem),
                };
                Question::Within(Window::compile(window).map_err(wrong)?)
            }
        })
    }

    fn bound(&self, check: &Check, side: Side, amount: &Amount) -> Result<Question, Wrong> {
        let value = Exact::parse(&amount.value).ok_or((String::new(), RuleProblem::NotADecimal))?;
        if let Some(currency) = &amount.currency {
            if IsoCurrency::from_code(&currency.code).is_none() {
                return Err(at("currency", RuleProblem::NotACurrency));
            }
            self.beside(check, &currency.field).map_err(|problem| at("currencyField", problem))?;
        }
        Ok(Question::OnSide(Bound { side, value, currency: amount.currency.clone() }))
    }

    fn sum(&self, check: &Check, sum: &Sum, at_most: bool) -> Result<Question, Wrong> {
        self.list(&sum.of).map_err(|problem| at("of", problem))?;
        if let Some(times) = &sum.times {
            self.list(times).map_err(|problem| at("times", problem))?;
        }
        let bound = match &sum.bound {
            SumBound::OwnField => SumLimit::OwnField,
            SumBound::Field(path) => {
                self.beside(check, path).map_err(|problem| at("field", problem))?;
                SumLimit::Field(path.clone())
            }
            SumBound::Value(text) => {
                SumLimit::Value(Exact::parse(text).ok_or_else(|| at("value", RuleProblem::NotADecimal))?)
            }
        };
        Ok(Question::Sum(CompiledSum { of: sum.of.clone(), times: sum.times.clone(), bound, at_most }))
    }

    fn hosts(&self, names: &[String], registry: Option<&str>) -> Result<Question, Wrong> {
        if names.is_empty() && registry.is_none() {
            return Err((String::new(), RuleProblem::NoValue));
        }
        let registry = registry.map(|name| self.registry(name, Normalize::None)).transpose();
        let registry = registry.map_err(|problem| at("registry", problem))?;
        HostSet::compile(names, registry, &self.source.registries)
            .map(Question::HostIn)
            .map_err(|(place, problem)| at(&format!("names[{place}]"), problem))
    }

    /// A registry that the policy lists. One that does not exist (yet) leaves its checks indeterminate.
    fn registry(&self, name: &str, normalize: Normalize) -> Result<RegistryName, RuleProblem> {
        if !self.policy.registries.iter().any(|listed| listed == name) {
            return Err(RuleProblem::UnlistedRegistry(name.to_owned()));
        }
        Ok(RegistryName::find(name, &self.source.registries, normalize))
    }

    /// A path that names a list.
    fn list(&self, path: &Path) -> Result<(), RuleProblem> {
        self.path(path)?;
        self.in_every_operation(|aliases| Resolved::of(path, aliases).is_list(), RuleProblem::NotAList)
    }

    /// A path that is followed from each element of the check's field.
    fn beside(&self, check: &Check, other: &Path) -> Result<(), RuleProblem> {
        self.path(other)?;
        self.in_every_operation(
            |aliases| Resolved::of(&check.field, aliases).correlates(Resolved::of(other, aliases)),
            RuleProblem::Uncorrelated,
        )
    }

    /// Aliases differ between operations, so a question about paths is asked for each; once without aliases where the
    /// bundle has no operation for the rule.
    fn in_every_operation(
        &self,
        holds: impl Fn(&BTreeMap<String, Path>) -> bool,
        problem: RuleProblem,
    ) -> Result<(), RuleProblem> {
        let none = BTreeMap::new();
        let mut operations = self.operations().peekable();
        let fine = if operations.peek().is_none() {
            holds(&none)
        } else {
            operations.all(|operation| holds(&operation.aliases))
        };
        if fine { Ok(()) } else { Err(problem) }
    }

    fn operations(&self) -> impl Iterator<Item = &Operation> {
        let tools = self.source.tools.iter().filter(|tool| self.policy.tools.contains(&tool.name));
        tools.flat_map(|tool| &tool.operations).filter(|operation| self.rule.applies_to(&operation.name))
    }

    /// Whether a path starts from something that exists.
    fn path(&self, path: &Path) -> Result<(), RuleProblem> {
        input_exists(path)?;
        self.operations().try_for_each(|operation| self.fact_is_kept(operation, path))
    }

    /// A path that a fact does not keep would never resolve, and `absent` would always hold.
    fn fact_is_kept(&self, operation: &Operation, path: &Path) -> Result<(), RuleProblem> {
        let resolved = Resolved::of(path, &operation.aliases);
        let mut steps = resolved.steps();
        let (Root::Input(root), Some(Step::Key(name))) = (resolved.root, steps.next()) else {
            return Ok(());
        };
        if root != "fact" {
            return Ok(());
        }
        let (fact, operation_name) = (name.clone(), operation.name.clone());
        let Some(declared) = operation.facts.iter().find(|declared| declared.name == *name) else {
            // A rule about all operations may look at a fact that only some declare; for the others it cannot tell.
            let named = self.rule.operations.contains(&operation.name);
            let problem = RuleProblem::UndeclaredFact { fact, operation: operation_name };
            return if named { Err(problem) } else { Ok(()) };
        };
        let kept = declared.paths.iter().any(|kept| {
            let mut pairs = steps.clone().zip(&kept.steps);
            pairs.all(|(own, kept)| own == kept || resolve::enters(own, kept))
        });
        if kept { Ok(()) } else { Err(RuleProblem::UndeclaredFactPath { fact, operation: operation_name }) }
    }
}

fn at(part: &str, problem: RuleProblem) -> Wrong {
    (format!(".{part}"), problem)
}

fn input_exists(path: &Path) -> Result<(), RuleProblem> {
    let Root::Input(root) = &path.root else { return Ok(()) };
    let exists = match (root.as_str(), path.steps.as_slice()) {
        ("fact", [Step::Key(_), ..]) => true,
        ("agent", [Step::Key(member)]) => resolve::AGENT.contains(&member.as_str()),
        ("delegation", [Step::Key(member)]) => resolve::DELEGATION.contains(&member.as_str()),
        ("call", [Step::Key(member)]) => resolve::CALL.contains(&member.as_str()),
        _ => false,
    };
    if exists { Ok(()) } else { Err(RuleProblem::UnknownInput(path.to_string())) }
}
