//! Whether a declared fact can be read at all: found when the bundle is compiled, not at the first call.

use std::collections::BTreeSet;

use super::declaration::names_one_argument;
use super::error::BindingError;
use super::router::Route;
use crate::path::{Root, Step};
use crate::tool::{Class, Fact, FactArgument, Operation, Tool};

/// Checks the facts of one operation.
pub(super) fn check(tool: &Tool, operation: &Operation, routes: &[Route]) -> Result<(), BindingError> {
    let mut names = BTreeSet::new();
    for fact in &operation.facts {
        let twice = (!names.insert(&fact.name)).then_some("is given twice");
        if let Some(reason) = twice.or_else(|| wrong(tool, operation, fact, routes)) {
            let (operation, fact) = (operation.name.clone(), fact.name.clone());
            return Err(BindingError::Fact { operation, fact, reason });
        }
    }
    Ok(())
}

fn wrong(tool: &Tool, operation: &Operation, fact: &Fact, routes: &[Route]) -> Option<&'static str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if fact.name.is_empty() || !fact.name.bytes().all(plain) {
        return Some("must be named with letters, digits, _ or -");
    }
    let Some((index, read)) = tool.operations.iter().enumerate().find(|(_, read)| read.name == fact.operation) else {
        return Some("names an operation that the tool does not declare");
    };
    if read.class != Class::Read || read.http.method != "GET" {
        return Some("must be a Read operation with method GET");
    }
    let route = routes.iter().find(|route| route.operation == index)?;
    wrong_arguments(operation, fact, read, route).or_else(|| wrong_paths(fact))
}

fn wrong_arguments(operation: &Operation, fact: &Fact, read: &Operation, route: &Route) -> Option<&'static str> {
    for (name, argument) in &fact.arguments {
        let parameter = read.http.query.iter().find(|parameter| parameter.name == *name);
        if parameter.is_none() && !route.template.parameters().any(|parameter| parameter == name) {
            return Some("gives an argument that is no path or query parameter of its operation");
        }
        let values: &[String] = match argument {
            FactArgument::From(path) if names_one_argument(path, operation) => &[],
            FactArgument::From(_) => return Some("must take an argument from a path that names one value of the call"),
            FactArgument::Value(value) => std::slice::from_ref(value),
            FactArgument::Values(values) if parameter.is_some_and(|parameter| parameter.repeated) => values,
            FactArgument::Values(_) => return Some("gives several values to a parameter that is not repeated"),
        };
        let constant = parameter.and_then(|parameter| parameter.constant.as_ref());
        if constant.is_some_and(|constant| values.iter().any(|value| value != constant)) {
            return Some("gives a query parameter another value than its constant");
        }
    }
    let given = |name: &str| fact.arguments.contains_key(name);
    let mut required = read.http.query.iter().filter(|parameter| parameter.required && parameter.constant.is_none());
    if !route.template.parameters().all(given) || !required.all(|parameter| given(&parameter.name)) {
        return Some("must give every path parameter and every required query parameter of its operation");
    }
    None
}

fn wrong_paths(fact: &Fact) -> Option<&'static str> {
    if fact.paths.is_empty() {
        return Some("must keep at least one path of the answer");
    }
    let narrow = |step: &Step| matches!(step, Step::Key(_) | Step::All);
    let plain = fact.paths.iter().all(|path| path.root == Root::Arguments && path.steps.iter().all(narrow));
    if plain { None } else { Some("must keep paths of field names and [*] only") }
}
