//! From a policy as written to one that can be asked: every mistake is found here.

use std::collections::{BTreeMap, BTreeSet};

use iso_currency::Currency as IsoCurrency;

use super::equal::Comparable;
use super::error::{RuleError, RuleProblem, Wrong};
use super::exact::Exact;
use super::explain;
use super::host_in::HostSet;
use super::lookups::Lookups;
use super::number::{Bound, Side};
use super::predicate::{CompiledCheck, Question};
use super::registry::RegistryName;
use super::sanitizer;
use super::sum::{CompiledSum, SumLimit};
use super::text::Patterns;
use super::window::Window;
use crate::bundle::BundleSource;
use crate::policy::{Amount, Check, Normalize, Policy, Predicate, Rule, Sum, SumBound};
use crate::room::{BundleRoom, Room};
use crate::tool::Tool;

/// A policy whose rules are ready to be asked.
#[derive(Debug)]
pub struct CompiledPolicy {
    pub(super) policy: Policy,
    /// Checks of each rule, in the policy's order.
    pub(super) rules: Vec<Box<[CompiledCheck]>>,
    /// Rules of each operation that some rule names and that can be called; never those that sanitize.
    by_operation: BTreeMap<String, Vec<usize>>,
    /// Rules of every other operation.
    of_others: Vec<usize>,
}

impl CompiledPolicy {
    /// Compiles a policy for the bundle that it is part of. The first mistake is the error.
    pub fn compile(policy: &Policy, source: &BundleSource) -> Result<Self, RuleError> {
        Self::compile_beside(policy, source, &BundleRoom::default(), &Lookups::new(&source.registries))
    }

    /// Compiles a policy whose patterns fit beside those that the bundle has already, and whose checks share what they look
    /// up with those of other policies.
    pub(crate) fn compile_beside(
        policy: &Policy,
        source: &BundleSource,
        bundle: &BundleRoom,
        lookups: &Lookups<'_>,
    ) -> Result<Self, RuleError> {
        let patterns = Patterns::new(Room::of_policy(bundle));
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
            if let Some(transforms) = rule.effect.transforms() {
                sanitizer::check(&rule.when, transforms).map_err(|(field, problem)| error(field, problem))?;
            }
            let compiler = Compiler { policy, rule, source, lookups, patterns: &patterns };
            let checks = rule.when.iter().enumerate().map(|(place, check)| {
                compiler.check(check).map_err(|(field, problem)| error(format!("when[{place}].{field}"), problem))
            });
            rules.push(checks.collect::<Result<_, _>>()?);
        }
        let operations = operations(policy, source).into_iter();
        let by_operation = operations.map(|name| (name.clone(), indexes(policy, name))).collect();
        Ok(Self { policy: policy.clone(), rules, by_operation, of_others: indexes(policy, "*") })
    }

    /// Places of the rules that judge an operation, in the policy's order.
    pub(super) fn indexes(&self, operation: &str) -> &[usize] {
        self.by_operation.get(operation).unwrap_or(&self.of_others)
    }
}

/// The operations that rules name. Where every tool of the policy is known, only those that one of them declares: nobody
/// asks about another, and lists of rules for each would grow by the product of both.
fn operations<'p>(policy: &'p Policy, source: &BundleSource) -> BTreeSet<&'p String> {
    let tools: Option<Vec<&Tool>> =
        policy.tools.iter().map(|name| source.tools.iter().find(|tool| tool.name == *name)).collect();
    let declared: Option<BTreeSet<&String>> =
        tools.map(|tools| tools.into_iter().flat_map(|tool| &tool.operations).map(|one| &one.name).collect());
    let named = policy.rules.iter().flat_map(|rule| &rule.operations);
    named.filter(|name| declared.as_ref().is_none_or(|declared| declared.contains(name))).collect()
}

fn indexes(policy: &Policy, operation: &str) -> Vec<usize> {
    let rules = policy.rules.iter().enumerate();
    let judging = rules.filter(|(_, rule)| rule.applies_to(operation) && rule.effect.transforms().is_none());
    judging.map(|(index, _)| index).collect()
}

/// What a check is compiled in.
pub(super) struct Compiler<'a> {
    pub(super) policy: &'a Policy,
    pub(super) rule: &'a Rule,
    pub(super) source: &'a BundleSource,
    /// What checks look registries up in.
    lookups: &'a Lookups<'a>,
    /// Patterns of the policy so far.
    patterns: &'a Patterns<'a>,
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
            field_text: check.field.to_string().into(),
            label: explain::label(check).into(),
            limit: explain::limit(check).into(),
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
            Predicate::Matches(pattern) => Question::Matches(self.patterns.compile(pattern).map_err(here)?),
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
                Question::EqualsField(Box::new(other.clone()))
            }
            Predicate::SumEquals(sum) => self.sum(check, sum, false)?,
            Predicate::SumAtMost(sum) => self.sum(check, sum, true)?,
            Predicate::InRegistry(name) => {
                Question::InRegistry(Box::new(self.registry(name, normalize).map_err(here)?))
            }
            Predicate::RegistryField { registry, key, attribute } => {
                // The key is looked up as it is, so no normal forms are needed.
                let registry = self.registry(registry, Normalize::None).map_err(|problem| at("registry", problem))?;
                self.beside(check, key).map_err(|problem| at("key", problem))?;
                Question::RegistryField {
                    registry: Box::new(registry),
                    key: Box::new(key.clone()),
                    attribute: attribute.as_str().into(),
                }
            }
            Predicate::Document { registry, key, name } => {
                let registry = self.registry(registry, Normalize::None).map_err(|problem| at("registry", problem))?;
                if let Some(key) = key {
                    self.beside(check, key).map_err(|problem| at("key", problem))?;
                }
                Question::Document {
                    registry: Box::new(registry),
                    key: key.clone().map(Box::new),
                    name: name.as_str().into(),
                }
            }
            Predicate::HostIn { names, registry } => self.hosts(names, registry.as_deref())?,
            Predicate::Within(window) => {
                let wrong = |(field, problem)| match field {
                    Some(field) => at(field, problem),
                    None => here(problem),
                };
                Question::Within(Box::new(Window::compile(window).map_err(wrong)?))
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
        Ok(Question::OnSide(Box::new(Bound { side, value, currency: amount.currency.clone() })))
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
        let sum = CompiledSum { of: sum.of.clone(), times: sum.times.clone(), bound, at_most };
        Ok(Question::Sum(Box::new(sum)))
    }

    fn hosts(&self, names: &[String], registry: Option<&str>) -> Result<Question, Wrong> {
        if names.is_empty() && registry.is_none() {
            return Err((String::new(), RuleProblem::NoValue));
        }
        let find = |name: &str| self.registry(name, Normalize::None).map(|found| (found, self.lookups.domains(name)));
        let registry = registry.map(find).transpose().map_err(|problem| at("registry", problem))?;
        HostSet::compile(names, registry)
            .map(|hosts| Question::HostIn(Box::new(hosts)))
            .map_err(|(place, problem)| at(&format!("names[{place}]"), problem))
    }

    /// A registry that the policy lists. One that does not exist (yet) leaves its checks indeterminate.
    fn registry(&self, name: &str, normalize: Normalize) -> Result<RegistryName, RuleProblem> {
        if !self.policy.registries.iter().any(|listed| listed == name) {
            return Err(RuleProblem::UnlistedRegistry(name.to_owned()));
        }
        Ok(RegistryName::find(name, self.lookups, normalize))
    }
}

fn at(part: &str, problem: RuleProblem) -> Wrong {
    (format!(".{part}"), problem)
}
