//! The document that a module sees as `input`, and the registries that it sees as `data.registries`.

use std::collections::BTreeMap;
use std::sync::Arc;

use regorus::Value as Rego;

use super::error::Failure;
use super::reads::{InputReads, Reads};
use crate::json::Value;
use crate::registry::Registry;
use crate::rules::Inputs;

/// Most bytes of a text that a module reads, keys included.
pub const MAX_TEXT_BYTES: usize = 64 * 1024;

/// What a module is told of a call.
#[derive(Debug, Clone, Copy)]
pub struct RegoInput<'a> {
    /// What rules see.
    pub inputs: &'a Inputs<'a>,
    /// How many facts the operation declares.
    pub declared_facts: usize,
    /// Name of the run, if the agent gave one.
    pub run: Option<&'a str>,
}

/// What a module may read of its input.
const MEMBERS: [&str; 10] =
    ["agent", "arguments", "class", "delegation", "facts", "operation", "run", "seconds", "time", "tool"];

impl RegoInput<'_> {
    /// The document, as far as it is read.
    pub(super) fn document(&self, reads: &InputReads) -> Result<Rego, Failure> {
        let read = |name: &str| match self.member(name, &reads.arguments) {
            Ok(value) => value.map(|value| Ok((Rego::from(name), value))),
            Err(failure) => Some(Err(failure)),
        };
        match &reads.input {
            Reads::All => object(MEMBERS.into_iter().filter_map(read)),
            Reads::Members(names) => object(names.iter().filter_map(|name| read(name))),
        }
    }

    /// One member; none where there is no such thing, or not for this call.
    fn member(&self, name: &str, arguments: &Reads) -> Result<Option<Rego>, Failure> {
        let Inputs { agent, delegation, call, facts, .. } = self.inputs;
        Ok(Some(match name {
            "arguments" => narrowed(self.inputs.arguments, arguments)?,
            "tool" => text(call.tool)?,
            "operation" => text(call.operation)?,
            "class" => text(call.class.as_str())?,
            "time" => text(&call.time.to_string())?,
            "seconds" => Rego::from(call.time.as_second()),
            "agent" => texts(&[
                ("namespace", &agent.namespace),
                ("name", &agent.name),
                ("tenant", &agent.tenant),
                ("businessUnit", &agent.business_unit),
                ("owner", &agent.owner),
                ("version", &agent.version),
            ])?,
            "delegation" => {
                let Some(delegation) = delegation else { return Ok(None) };
                texts(&[
                    ("name", &delegation.name),
                    ("delegator", &delegation.delegator),
                    ("requester", delegation.requester()),
                    ("workflow", &delegation.workflow),
                    ("purpose", &delegation.purpose),
                ])?
            }
            "run" => return self.run.map(text).transpose(),
            "facts" => {
                if facts.0.len() < self.declared_facts {
                    return Err(Failure::NoFact);
                }
                object(facts.0.iter().map(|(name, fact)| Ok((text(name)?, value(fact)?))))?
            }
            _ => return Ok(None),
        }))
    }
}

/// A registry as a module sees it: `ID.ATTRIBUTE` is a list of texts.
pub(super) fn registry(registry: &Registry) -> Rego {
    let list = |texts: &Vec<String>| Rego::from(texts.iter().map(|text| Rego::from(text.as_str())).collect::<Vec<_>>());
    let entries = registry.entries.iter().map(|(id, entry)| {
        let attributes = entry.iter().map(|(name, texts)| (Rego::from(name.as_str()), list(texts)));
        (Rego::from(id.as_str()), Rego::from(attributes.collect::<BTreeMap<_, _>>()))
    });
    Rego::from(entries.collect::<BTreeMap<_, _>>())
}

/// Registries as data: `registries.NAME`.
pub(super) fn data<'a>(registries: impl Iterator<Item = (&'a str, Rego)>) -> Rego {
    let registries = registries.map(|(name, registry)| (Rego::from(name), registry)).collect::<BTreeMap<_, _>>();
    Rego::from(BTreeMap::from([(Rego::from("registries"), Rego::from(registries))]))
}

fn narrowed(arguments: &Value, reads: &Reads) -> Result<Rego, Failure> {
    match (arguments, reads) {
        (Value::Object(members), Reads::Members(names)) => {
            let read = names.iter().filter_map(|name| Some((name, members.get(name)?)));
            object(read.map(|(name, member)| Ok((text(name)?, value(member)?))))
        }
        _ => value(arguments),
    }
}

fn texts(members: &[(&str, &str)]) -> Result<Rego, Failure> {
    object(members.iter().map(|(name, value)| Ok((Rego::from(*name), text(value)?))))
}

/// An object as it is filled: what a `BTreeMap` becomes is copied once more, into a form that is made to be kept.
fn object(members: impl Iterator<Item = Result<(Rego, Rego), Failure>>) -> Result<Rego, Failure> {
    Ok(Rego::Object(Arc::new(members.collect::<Result<_, _>>()?)))
}

fn text(text: &str) -> Result<Rego, Failure> {
    if text.len() > MAX_TEXT_BYTES { Err(Failure::LongText) } else { Ok(Rego::from(text)) }
}

/// The parser's bound on levels is the bound of this recursion.
fn value(json: &Value) -> Result<Rego, Failure> {
    Ok(match json {
        Value::Null => Rego::Null,
        Value::Bool(value) => Rego::from(*value),
        Value::Number(number) => number.as_i64().map_or_else(|| Rego::from(number.as_f64()), Rego::from),
        Value::String(string) => text(string)?,
        Value::Array(items) => Rego::from(items.iter().map(value).collect::<Result<Vec<_>, _>>()?),
        Value::Object(members) => object(members.iter().map(|(name, member)| Ok((text(name)?, value(member)?))))?,
    })
}
