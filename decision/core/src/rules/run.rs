//! `$run.done` and `$run.count.<operation>`: what the call's run has done so far.

use std::collections::BTreeMap;

use super::predicate::{CompiledCheck, Question};
use super::resolve::{Found, Names, Resolved, Steps, Subject};
use super::sum::SumLimit;
use crate::json::{Number, Value};
use crate::path::{Path, Root, Step};
use crate::run::RunView;

/// A run as values that checks can look at. What cannot be told has no value.
#[derive(Debug)]
pub(super) struct RunValues {
    /// Names of the operations that were done.
    done: Option<Value>,
    /// How often, for those of which it can be told.
    counts: BTreeMap<String, Option<Value>>,
    /// The count of any other operation.
    zero: Option<Value>,
}

impl RunValues {
    /// Of a run; of none nothing can be told.
    pub(super) fn of(run: Option<&RunView>) -> Self {
        let Some(run) = run else { return Self { done: None, counts: BTreeMap::new(), zero: None } };
        let done =
            run.done().map(|names| Value::Array(names.into_iter().map(|name| Value::String(name.into())).collect()));
        let count = |name: &String| (name.clone(), run.count(name).and_then(number));
        Self { done, counts: run.outcomes.keys().map(count).collect(), zero: run.complete.then(|| number(0)).flatten() }
    }

    /// Takes the steps that name a value of the run.
    pub(super) fn find<'a>(&'a self, member: &str, steps: &mut Steps<'_>) -> Found<'a> {
        let value = match member {
            "done" => self.done.as_ref(),
            "count" => {
                let name = joined(steps);
                self.counts.get(&name).map_or(self.zero.as_ref(), Option::as_ref)
            }
            _ => return Found::Missing,
        };
        value.map_or(Found::Unknown, |value| Found::There(Subject::Json(value)))
    }
}

fn number(count: u32) -> Option<Value> {
    Number::from_text(&count.to_string()).ok().map(Value::Number)
}

/// An operation's name has dots, as a path has: `$run.count.orders.submit` is one count.
fn joined<'s>(steps: impl Iterator<Item = &'s Step>) -> String {
    let keys = steps.filter_map(|step| match step {
        Step::Key(key) => Some(key.as_str()),
        Step::Index(_) | Step::All | Step::Any => None,
    });
    keys.collect::<Vec<_>>().join(".")
}

/// Whether a path below `$run` leads to something: the list of what was done or one element of it, or a count.
pub(super) fn exists(path: &Path) -> bool {
    match path.steps.as_slice() {
        [Step::Key(done)] | [Step::Key(done), Step::Index(_) | Step::All | Step::Any] if done == "done" => true,
        [Step::Key(count), name @ ..] if count == "count" => {
            !name.is_empty() && name.iter().all(|step| matches!(step, Step::Key(_)))
        }
        _ => false,
    }
}

/// The operation that a path counts.
pub(super) fn counted(path: &Path) -> Option<String> {
    let Root::Input(input) = &path.root else { return None };
    match path.steps.as_slice() {
        [Step::Key(count), name @ ..] if input == "run" && count == "count" => Some(joined(name.iter())),
        _ => None,
    }
}

/// Whether the check's answer depends on the run.
pub(super) fn is_read_by(check: &CompiledCheck, names: Names<'_>) -> bool {
    let beside: Vec<&Path> = match &check.question {
        Question::EqualsField(other) | Question::RegistryField { key: other, .. } => vec![other],
        Question::Document { key, .. } => key.iter().map(AsRef::as_ref).collect(),
        Question::OnSide(bound) => bound.currency.iter().map(|currency| &currency.field).collect(),
        Question::Sum(sum) => {
            let bound = match &sum.bound {
                SumLimit::Field(path) => Some(path),
                SumLimit::OwnField | SumLimit::Value(_) => None,
            };
            std::iter::once(&sum.of).chain(&sum.times).chain(bound).collect()
        }
        Question::OneOf(_)
        | Question::IsTrue(_)
        | Question::Matches(_)
        | Question::Prefix(_)
        | Question::Suffix(_)
        | Question::Contains(_)
        | Question::Length { .. }
        | Question::Exists
        | Question::Absent
        | Question::Format(_)
        | Question::InRegistry(_)
        | Question::HostIn(_)
        | Question::Within(_) => Vec::new(),
    };
    let of_run = |path: &Path| matches!(Resolved::of(path, names).root, Root::Input(input) if input == "run");
    of_run(&check.field) || beside.into_iter().any(of_run)
}
