//! The facts of an operation to core values.

use std::collections::BTreeMap;

use aegis_decision::tool::{Fact, FactArgument};

use super::{Invalid, text};
use crate::api;

/// The facts, in the order written. Each reads by a Read operation of the same tool.
pub(super) fn facts(
    facts: &[api::fact::Fact],
    operations: &[api::operation::Operation],
    field: &str,
) -> Result<Vec<Fact>, Invalid> {
    text::unique(facts.iter().enumerate().map(|(at, fact)| (fact.name.as_str(), format!("{field}[{at}].name"))))?;
    facts.iter().enumerate().map(|(at, fact)| lower_fact(fact, operations, &format!("{field}[{at}]"))).collect()
}

fn lower_fact(fact: &api::fact::Fact, operations: &[api::operation::Operation], field: &str) -> Result<Fact, Invalid> {
    let api::fact::Fact { name, operation, arguments, paths } = fact;
    let reads = operations.iter().any(|other| other.name == *operation && other.class == api::Class::Read);
    if !reads {
        return Err(Invalid::new(format!("{field}.operation"), "names no Read operation of this tool"));
    }
    if paths.is_empty() {
        return Err(Invalid::new(format!("{field}.paths"), "is empty; name what is kept of the answer"));
    }
    Ok(Fact {
        name: text::name(name, &format!("{field}.name"))?,
        operation: operation.clone(),
        arguments: lower_arguments(arguments, &format!("{field}.arguments"))?,
        paths: text::paths(paths, &format!("{field}.paths"))?,
    })
}

fn lower_arguments(
    arguments: &BTreeMap<String, api::fact::FactArgument>,
    field: &str,
) -> Result<BTreeMap<String, FactArgument>, Invalid> {
    arguments
        .iter()
        .map(|(name, argument)| {
            let name = text::name(name, field)?;
            let field = format!("{field}.{name}");
            let argument = match argument {
                api::fact::FactArgument { from: Some(from), value: None, values: None } => {
                    FactArgument::From(text::path(from, &format!("{field}.from"))?)
                }
                api::fact::FactArgument { from: None, value: Some(value), values: None } => {
                    FactArgument::Value(value.clone())
                }
                api::fact::FactArgument { from: None, value: None, values: Some(values) } => {
                    FactArgument::Values(values.clone())
                }
                api::fact::FactArgument { .. } => {
                    return Err(Invalid::new(field, "has not exactly one of from, value and values"));
                }
            };
            Ok((name, argument))
        })
        .collect()
}
