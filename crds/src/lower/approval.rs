//! Parts of an `ApprovalRequest` to core values.

use aegis_decision::decision::ContextParts;

use super::{Invalid, text};
use crate::api;

/// The digests of what the call was judged with.
pub fn context_parts(resource: &api::ApprovalRequest) -> Result<ContextParts, Invalid> {
    let api::approval::ContextParts { rules, registries, facts, delegation, tool } =
        &resource.spec.action.context_parts;
    let part = |text: &str, name: &str| text::digest(text, &format!("spec.action.contextParts.{name}"));
    Ok(ContextParts {
        rules: part(rules, "rules")?,
        registries: part(registries, "registries")?,
        facts: part(facts, "facts")?,
        delegation: part(delegation, "delegation")?,
        tool: part(tool, "tool")?,
    })
}

impl From<&ContextParts> for api::approval::ContextParts {
    fn from(parts: &ContextParts) -> Self {
        Self {
            rules: parts.rules.to_string(),
            registries: parts.registries.to_string(),
            facts: parts.facts.to_string(),
            delegation: parts.delegation.to_string(),
            tool: parts.tool.to_string(),
        }
    }
}
