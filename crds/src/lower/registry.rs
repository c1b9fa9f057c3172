//! `Registry` to the core's registry.

use std::collections::BTreeMap;

use aegis_decision::registry::{Document, Entry, Registry};
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
    let (mut by_id, mut documents_by_id) = (BTreeMap::new(), BTreeMap::new());
    for (at, api::registry::RegistryEntry { id, attributes, documents }) in entries.iter().enumerate() {
        let field = format!("spec.entries[{at}]");
        let id = text::bounded(id, 128, &format!("{field}.id"))?;
        let documents = lower_documents(documents, &format!("{field}.documents"))?;
        if !documents.is_empty() {
            documents_by_id.insert(id.clone(), documents);
        }
        by_id.insert(id, lower_attributes(attributes, &format!("{field}.attributes"))?);
    }
    Ok(Registry {
        name: resource.name_any(),
        key: text::name(key, "spec.key")?,
        entries: by_id.into(),
        documents: documents_by_id.into(),
    })
}

fn lower_documents(documents: &[api::registry::RegistryDocument], field: &str) -> Result<Vec<Document>, Invalid> {
    if documents.len() > 16 {
        return Err(Invalid::new(field, "has more than 16 documents"));
    }
    let lower = |(at, document): (usize, &api::registry::RegistryDocument)| {
        let api::registry::RegistryDocument { name, valid_from, valid_until } = document;
        if let (Some(from), Some(until)) = (valid_from, valid_until)
            && until.0 <= from.0
        {
            return Err(Invalid::new(format!("{field}[{at}].validUntil"), "does not lie after validFrom"));
        }
        Ok(Document {
            name: text::name(name, &format!("{field}[{at}].name"))?,
            valid_from: valid_from.as_ref().map(|time| time.0),
            valid_until: valid_until.as_ref().map(|time| time.0),
        })
    };
    documents.iter().enumerate().map(lower).collect()
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
