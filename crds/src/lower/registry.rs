//! `Registry` to the core's registry.

use std::collections::BTreeMap;

use aegis_decision::registry::{Entry, Registry};
use kube::ResourceExt as _;

use super::{Invalid, text};
use crate::api;

/// The registry, its entries by id.
pub fn registry(resource: &api::Registry) -> Result<Registry, Invalid> {
    let api::RegistrySpec { key, entries } = &resource.spec;
    if entries.len() > 2000 {
        return Err(Invalid::new("spec.entries", "has more than 2000 entries"));
    }
    text::unique(entries.iter().enumerate().map(|(at, entry)| (entry.id.as_str(), format!("spec.entries[{at}].id"))))?;
    let mut by_id = BTreeMap::new();
    for (at, api::registry::RegistryEntry { id, attributes }) in entries.iter().enumerate() {
        let field = format!("spec.entries[{at}]");
        let id = text::bounded(id, 128, &format!("{field}.id"))?;
        by_id.insert(id, lower_attributes(attributes, &format!("{field}.attributes"))?);
    }
    Ok(Registry { name: resource.name_any(), key: text::name(key, "spec.key")?, entries: by_id })
}

fn lower_attributes(attributes: &BTreeMap<String, Vec<String>>, field: &str) -> Result<Entry, Invalid> {
    if attributes.len() > 16 {
        return Err(Invalid::new(field, "has more than 16 attributes"));
    }
    for (name, texts) in attributes {
        // The name of an attribute is no secret: rules name it, too.
        let field = format!("{field}.{}", text::name(name, field)?);
        if texts.is_empty() || texts.len() > 16 {
            return Err(Invalid::new(field, "does not have 1 to 16 texts"));
        }
        for (at, text) in texts.iter().enumerate() {
            text::bounded(text, 256, &format!("{field}[{at}]"))?;
        }
    }
    Ok(attributes.clone())
}
