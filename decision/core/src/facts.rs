//! Facts: what rules must know and the call does not say. `POST /orders/7/confirm` has no amount; the order has.
//!
//! A fact is a Read of the same tool that the sidecar makes itself. Its request is written by the code that writes every
//! other request, from the call's arguments and constants; only the declared paths of its answer are kept.

mod narrow;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::bundle::Bundle;
use crate::call::ToolCall;
use crate::json::{self, Value};
use crate::naming::{self, Route};
use crate::path::{Path, Root, Step};
use crate::permit::FactPermit;
use crate::tool::{Fact, FactArgument, Operation, Tool};

/// Facts by name, as kept by [`Bundle::keep_fact`]. One that could not be read is not in it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FactSet(pub BTreeMap<String, Value>);

impl FactSet {
    /// The fact of that name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }
}

impl Bundle {
    /// Leave to read the facts that the call's operation declares, in order. A fact whose arguments the call does not
    /// have, or does not have as path and query can carry, has no permit: it is not read, and rules that need it are
    /// indeterminate.
    pub fn fact_permits(&self, call: &ToolCall) -> Vec<FactPermit> {
        let Some((tool, operation)) = self.operation_of(call) else { return Vec::new() };
        operation.facts.iter().filter_map(|fact| self.fact_permit(tool, operation, fact, &call.arguments)).collect()
    }

    /// What is kept of a fact's answer: its declared paths. None when the fact is not declared, the answer is not strict
    /// JSON, or it has not the shape that the paths need.
    pub fn keep_fact(&self, call: &ToolCall, name: &str, answer: &[u8]) -> Option<Value> {
        let (_, operation) = self.operation_of(call)?;
        let fact = operation.facts.iter().find(|fact| fact.name == name)?;
        narrow::narrow(&json::parse(answer).ok()?, &fact.paths)
    }

    fn operation_of(&self, call: &ToolCall) -> Option<(&Tool, &Operation)> {
        let tool = self.tool(&call.tool)?;
        Some((tool, tool.operation(&call.operation)?))
    }

    fn fact_permit(&self, tool: &Tool, operation: &Operation, fact: &Fact, arguments: &Value) -> Option<FactPermit> {
        let index = tool.operations.iter().position(|read| read.name == fact.operation)?;
        let read = tool.operations.get(index)?;
        let route = self.routers.get(&tool.name)?.route(index)?;
        let (path, query) = parameters(operation, fact, read, route, arguments)?;
        naming::check_query(read, &query).ok()?;
        // The same that is checked when an agent makes this read itself.
        let merged = naming::merge(read, route, None, &path, &query).ok()?;
        if let Some(schema) = self.schema(&tool.name, &read.name) {
            schema.check(&merged).ok()?;
        }
        let passed = vec![("accept".to_owned(), "application/json".to_owned())];
        Some(FactPermit {
            name: fact.name.clone(),
            tool: tool.name.clone(),
            emitted: naming::emitted(tool, route, &path, &query, None, passed),
            timeout_seconds: read.timeout_seconds,
        })
    }
}

type Pairs = Vec<(String, String)>;

/// Values of the path's and the query's parameters.
fn parameters(
    operation: &Operation,
    fact: &Fact,
    read: &Operation,
    route: &Route,
    arguments: &Value,
) -> Option<(Pairs, Pairs)> {
    let mut path = Pairs::new();
    for name in route.path_parameters() {
        match given(operation, fact.arguments.get(name)?, arguments)?.as_slice() {
            [value] if naming::unsafe_segment(value).is_none() => path.push((name.to_owned(), value.clone())),
            _ => return None,
        }
    }
    let mut query = Pairs::new();
    for parameter in &read.http.query {
        let values = match (fact.arguments.get(&parameter.name), &parameter.constant) {
            (Some(argument), _) => given(operation, argument, arguments)?,
            (None, Some(constant)) if parameter.required => vec![constant.clone()],
            (None, _) => Vec::new(),
        };
        query.extend(values.into_iter().map(|value| (parameter.name.clone(), value)));
    }
    Some((path, query))
}

fn given(operation: &Operation, argument: &FactArgument, arguments: &Value) -> Option<Vec<String>> {
    match argument {
        FactArgument::Value(value) => Some(vec![value.clone()]),
        FactArgument::Values(values) => Some(values.clone()),
        FactArgument::From(path) => match find(operation, path, arguments)? {
            Value::Array(items) => items.iter().map(scalar).collect(),
            value => Some(vec![scalar(value)?]),
        },
    }
}

fn find<'a>(operation: &Operation, path: &Path, arguments: &'a Value) -> Option<&'a Value> {
    let (_, alias, rest) = resolve(path, operation);
    alias.iter().chain(rest).try_fold(arguments, |value, step| step.of(value))
}

/// A path after its alias, if its first key is one, was replaced: root, the alias's steps, the rest.
pub(crate) fn resolve<'a>(path: &'a Path, operation: &'a Operation) -> (&'a Root, &'a [Step], &'a [Step]) {
    if path.root == Root::Arguments
        && let Some((Step::Key(key), rest)) = path.steps.split_first()
        && let Some(alias) = operation.aliases.get(key)
    {
        return (&alias.root, &alias.steps, rest);
    }
    (&path.root, &[], &path.steps)
}

/// The text of a scalar in a path or query. A control character has no place there.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => (!text.chars().any(char::is_control)).then(|| text.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}
