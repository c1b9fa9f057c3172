//! Protected arguments of a `ToolPolicy` to core values.

use aegis_decision::path::Root;
use aegis_decision::policy::{Provenance, Source, UnknownOrigin};

use super::policy::approval;
use super::{Invalid, text};
use crate::api;

/// The entries, in the order written.
pub(super) fn provenance(
    entries: &[api::provenance::Provenance],
    registries: &[String],
) -> Result<Vec<Provenance>, Invalid> {
    let lower = |(at, entry)| lower_entry(entry, registries, &format!("spec.provenance[{at}]"));
    entries.iter().enumerate().map(lower).collect()
}

fn lower_entry(entry: &api::provenance::Provenance, registries: &[String], field: &str) -> Result<Provenance, Invalid> {
    let api::provenance::Provenance { operations, field: path, from, unknown_origin, approval: by } = entry;
    let path = text::path(path, &format!("{field}.field"))?;
    if path.root != Root::Arguments {
        return Err(Invalid::new(format!("{field}.field"), "is no path into the arguments"));
    }
    if from.is_empty() {
        return Err(Invalid::new(format!("{field}.from"), "is empty; name who may supply the value"));
    }
    let from = from.iter().enumerate().map(|(at, text)| {
        let field = format!("{field}.from[{at}]");
        let source: Source = text.parse().map_err(|error| Invalid::new(&field, format!("{error}")))?;
        match &source {
            Source::Registry(name) if !registries.contains(name) => {
                Err(Invalid::new(field, format!("names registry {name}, which spec.registries does not list")))
            }
            Source::Response(tool) if !text::is_label(tool) => Err(Invalid::new(field, "names no tool: no DNS label")),
            _ => Ok(source),
        }
    });
    let unknown = match (unknown_origin, by) {
        (api::provenance::UnknownOrigin::Hold, Some(by)) => {
            let (tier, hold_seconds) = approval(by, field)?;
            UnknownOrigin::Hold { tier, hold_seconds }
        }
        (api::provenance::UnknownOrigin::Hold, None) => {
            return Err(Invalid::new(format!("{field}.approval"), "is missing; Hold names a tier"));
        }
        (_, Some(_)) => {
            return Err(Invalid::new(format!("{field}.approval"), "is given for an unknownOrigin that is not Hold"));
        }
        (api::provenance::UnknownOrigin::Deny, None) => UnknownOrigin::Deny,
        (api::provenance::UnknownOrigin::Allow, None) => UnknownOrigin::Allow,
    };
    Ok(Provenance {
        operations: text::operations(operations, &format!("{field}.operations"))?,
        field: path,
        from: from.collect::<Result<_, _>>()?,
        unknown,
    })
}
