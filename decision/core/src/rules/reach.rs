//! What the paths of a check may reach: inputs that exist, facts that are declared and kept, lists that the check's field
//! ranges over.

use super::compile::Compiler;
use super::error::RuleProblem;
use super::resolve::{self, Names, Resolved};
use super::run;
use crate::path::{Path, Root, Step};
use crate::policy::Check;
use crate::tool::{Dimension, Operation, Tool};

impl Compiler<'_> {
    /// A path that names a list.
    pub(super) fn list(&self, path: &Path) -> Result<(), RuleProblem> {
        self.path(path)?;
        self.in_every_operation(|names| Resolved::of(path, names).is_list(), RuleProblem::NotAList)
    }

    /// A path that is followed from each element of the check's field.
    pub(super) fn beside(&self, check: &Check, other: &Path) -> Result<(), RuleProblem> {
        self.path(other)?;
        self.in_every_operation(
            |names| Resolved::of(&check.field, names).correlates(Resolved::of(other, names)),
            RuleProblem::Uncorrelated,
        )
    }

    /// Aliases differ between operations, so a question about paths is asked for each; once without aliases where the
    /// bundle has no operation for the rule.
    fn in_every_operation(&self, holds: impl Fn(Names<'_>) -> bool, problem: RuleProblem) -> Result<(), RuleProblem> {
        let mut operations = self.operations().peekable();
        let fine = if operations.peek().is_none() {
            holds(Names::NONE)
        } else {
            operations.all(|operation| holds(Names::of(operation)))
        };
        if fine { Ok(()) } else { Err(problem) }
    }

    fn operations(&self) -> impl Iterator<Item = &Operation> {
        let tools = self.source.tools.iter().filter(|tool| self.policy.tools.contains(&tool.name));
        tools.flat_map(|tool| &tool.operations).filter(|operation| self.rule.applies_to(&operation.name))
    }

    /// Whether a path starts from something that exists.
    pub(super) fn path(&self, path: &Path) -> Result<(), RuleProblem> {
        input_exists(path)?;
        self.operation_exists(path)?;
        self.operations().try_for_each(|operation| {
            self.dimension_is_declared(operation, path)?;
            self.fact_is_kept(operation, path)
        })
    }

    /// A count of an operation that does not exist would be 0 for ever. Where a tool of the policy is not known, it cannot
    /// be told.
    fn operation_exists(&self, path: &Path) -> Result<(), RuleProblem> {
        let Some(name) = run::counted(path) else { return Ok(()) };
        let mut tools = self.policy.tools.iter().map(|name| self.source.tools.iter().find(|tool| tool.name == *name));
        let declares = |tool: Option<&Tool>| tool.is_none_or(|tool| tool.operation(&name).is_some());
        if tools.any(declares) { Ok(()) } else { Err(RuleProblem::UnknownOperation(name)) }
    }

    /// As for facts: a rule that names the operation means its dimension; a rule about all may meet one without.
    fn dimension_is_declared(&self, operation: &Operation, path: &Path) -> Result<(), RuleProblem> {
        let dimension = match (&path.root, path.first_key()) {
            (Root::Input(input), Some(name)) if input == "dim" => Dimension::named(name),
            _ => None,
        };
        match dimension.filter(|dimension| !operation.dimensions.contains_key(dimension)) {
            Some(dimension) if self.rule.operations.contains(&operation.name) => {
                Err(RuleProblem::UndeclaredDimension {
                    dimension: dimension.as_str(),
                    operation: operation.name.clone(),
                })
            }
            _ => Ok(()),
        }
    }

    /// A path that a fact does not keep would never resolve, and `absent` would always hold.
    fn fact_is_kept(&self, operation: &Operation, path: &Path) -> Result<(), RuleProblem> {
        let resolved = Resolved::of(path, Names::of(operation));
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

fn input_exists(path: &Path) -> Result<(), RuleProblem> {
    let Root::Input(root) = &path.root else { return Ok(()) };
    let exists = match (root.as_str(), path.steps.as_slice()) {
        ("fact", [Step::Key(_), ..]) => true,
        ("agent", [Step::Key(member)]) => resolve::AGENT.contains(&member.as_str()),
        ("delegation", [Step::Key(inputs), Step::Key(_)]) => inputs == "inputs",
        ("dim", [Step::Key(name)]) => Dimension::named(name).is_some(),
        ("run", _) => run::exists(path),
        ("delegation", [Step::Key(member)]) => resolve::DELEGATION.contains(&member.as_str()),
        ("call", [Step::Key(member)]) => resolve::CALL.contains(&member.as_str()),
        _ => false,
    };
    if exists { Ok(()) } else { Err(RuleProblem::UnknownInput(path.to_string())) }
}
