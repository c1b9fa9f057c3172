//! Findings that somebody looked at and accepted, with the reason, in an annotation of the resource:
//!
//! ```yaml
//! metadata:
//!   annotations:
//!     aegis.dev/lint-allow: |
//!       unbounded-commit send-mail: a mail has no amount
//!       missing-test: the tests of the flow cover these rules
//! ```
//!
//! A line without a reason suppresses nothing, and neither does one for something that is not found: both are findings.

use kube::{Resource, ResourceExt as _};

use super::finding::{Finding, Lint, Subject};
use crate::load::Resources;

/// The annotation.
pub const ANNOTATION: &str = "aegis.dev/lint-allow";

struct Line {
    lint: Lint,
    part: Option<String>,
    reason: String,
    used: bool,
}

impl Line {
    fn allows(&self, finding: &Finding) -> bool {
        self.lint == finding.id && self.part.as_ref().is_none_or(|part| finding.part.as_ref() == Some(part))
    }
}

pub(super) fn apply(resources: &Resources, findings: &mut Vec<Finding>) {
    let Resources { agents, tools, policies, registries, delegations, tiers, .. } = resources;
    for one in agents {
        apply_one("Agent", one, findings);
    }
    for one in tools {
        apply_one("Tool", one, findings);
    }
    for one in policies {
        apply_one("ToolPolicy", one, findings);
    }
    for one in registries {
        apply_one("Registry", one, findings);
    }
    for one in delegations {
        apply_one("Delegation", one, findings);
    }
    for one in tiers {
        apply_one("ApprovalTier", one, findings);
    }
}

fn apply_one<K: Resource>(kind: &'static str, object: &K, findings: &mut Vec<Finding>) {
    let Some(text) = object.annotations().get(ANNOTATION) else { return };
    let subject = Subject::of(kind, object);
    let field = format!("metadata.annotations[{ANNOTATION}]");
    let mut lines = Vec::new();
    for (at, line) in (1_usize..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        match parse(line) {
            Ok(line) => lines.push((at, line)),
            Err(problem) => {
                let message = format!("line {at} {problem}");
                findings.push(Finding::new(Lint::BadSuppression, subject.clone(), field.clone(), message));
            }
        }
    }
    for finding in findings.iter_mut().filter(|finding| finding.subject == subject) {
        if let Some((_, line)) = lines.iter_mut().find(|(_, line)| line.allows(finding)) {
            line.used = true;
            finding.suppressed = Some(line.reason.clone());
        }
    }
    for (at, line) in lines.iter().filter(|(_, line)| !line.used) {
        let message = format!("line {at} suppresses {}, which is not found", line.lint.id());
        findings.push(Finding::new(Lint::UnusedSuppression, subject.clone(), field.clone(), message));
    }
}

fn parse(text: &str) -> Result<Line, &'static str> {
    let (what, reason) = text.split_once(':').ok_or("has no reason after a colon")?;
    let reason = reason.trim();
    if reason.is_empty() {
        return Err("has no reason after the colon");
    }
    let mut words = what.split_whitespace();
    let lint = words.next().and_then(Lint::of_id).ok_or("names no lint before the colon")?;
    if matches!(lint, Lint::InvalidResource | Lint::BadSuppression | Lint::UnusedSuppression) {
        return Err("names what cannot be suppressed");
    }
    let part = words.next().map(str::to_owned);
    if words.next().is_some() {
        return Err("names more than a lint and one rule, operation or registry before the colon");
    }
    Ok(Line { lint, part, reason: reason.to_owned(), used: false })
}
