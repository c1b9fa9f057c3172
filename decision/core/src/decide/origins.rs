//! What becomes of a call whose protected values are of unknown origin: refused, held for a person, or only reported.

use std::borrow::Cow;

use super::refusal::Refusal;
use crate::codes::Code;
use crate::decision::{FailedCheck, MAX_UNKNOWN, RuleRef, UnknownEffect, UnknownValue};
use crate::policy::UnknownOrigin;
use crate::provenance::{Judged, Unknown};
use crate::run::{Place, RunView};
use crate::tool::Operation;

/// Longest place that is told, in bytes: keys are the agent's own text.
const MAX_PLACE_BYTES: usize = 256;
/// Most values that a sentence tells.
const TOLD_AT_MOST: usize = 4;

/// Whether the call cannot simply go.
pub(super) fn stop(origins: &Judged<'_>) -> bool {
    origins.unknown.iter().any(|unknown| match unknown.guard.entry.unknown {
        UnknownOrigin::Hold { .. } | UnknownOrigin::Deny => true,
        UnknownOrigin::Allow => false,
    })
}

/// For the output.
pub(super) fn listed(origins: &Judged<'_>, run: Option<&RunView>) -> Vec<UnknownValue> {
    let value = |unknown: &Unknown<'_>| UnknownValue {
        policy: unknown.guard.policy.name.clone(),
        entry: unknown.guard.index,
        field: place(unknown).into_owned(),
        from: unknown.guard.entry.from.clone(),
        unknown_origin: match unknown.guard.entry.unknown {
            UnknownOrigin::Hold { .. } => UnknownEffect::Hold,
            UnknownOrigin::Deny => UnknownEffect::Deny,
            UnknownOrigin::Allow => UnknownEffect::Allow,
        },
        first_seen: first_seen(unknown, run).cloned(),
    };
    origins.unknown.iter().take(MAX_UNKNOWN).map(value).collect()
}

/// Refuses a call with a value of unknown origin that must not go.
pub(super) fn refused(operation: &Operation, origins: &Judged<'_>, run: Option<&RunView>) -> Result<(), Box<Refusal>> {
    let denied = || origins.unknown.iter().filter(|unknown| unknown.guard.entry.unknown == UnknownOrigin::Deny);
    let Some(first) = denied().next() else { return Ok(()) };
    let told: Vec<_> = denied().take(TOLD_AT_MOST).map(|unknown| sentence(unknown, run)).collect();
    let sources = first.guard.entry.sources();
    let detail = format!("{}: {}; it must come from {sources}", operation.name, told.join("; "));
    let failed = denied().take(MAX_UNKNOWN).map(|unknown| FailedCheck {
        field: place(unknown).into_owned(),
        check: "provenance".to_owned(),
        limit: Some(format!("from {}", unknown.guard.entry.sources())),
        value: None,
        indeterminate: false,
    });
    Err(Box::new(Refusal {
        rule: Some(reference(first)),
        failed: failed.collect(),
        allowed: Some(format!("{} from {sources}", place(first))),
        ..Refusal::plain(Code::UnknownOrigin, detail)
    }))
}

/// Tiers that values of unknown origin ask for: tier, seconds to wait, and by which entry.
pub(super) fn asking<'a>(origins: &'a Judged<'_>) -> impl Iterator<Item = (&'a String, u32, RuleRef)> {
    origins.unknown.iter().filter_map(|unknown| match &unknown.guard.entry.unknown {
        UnknownOrigin::Hold { tier, hold_seconds } => Some((tier, *hold_seconds, reference(unknown))),
        UnknownOrigin::Deny | UnknownOrigin::Allow => None,
    })
}

/// Why the call is held, in sentences.
pub(super) fn held(origins: &Judged<'_>, run: Option<&RunView>) -> Vec<String> {
    let holds = |unknown: &&Unknown<'_>| matches!(unknown.guard.entry.unknown, UnknownOrigin::Hold { .. });
    let title = |unknown: &Unknown<'_>| format!("{}/{}", unknown.guard.policy.name, unknown.guard.name());
    let why = origins.unknown.iter().filter(holds).take(TOLD_AT_MOST);
    why.map(|unknown| format!("{} ({})", title(unknown), sentence(unknown, run))).collect()
}

/// `payee.iban is of unknown origin, it first appeared in the answer of mail to read at body`. Never the value.
fn sentence(unknown: &Unknown<'_>, run: Option<&RunView>) -> String {
    let place = place(unknown);
    match first_seen(unknown, run) {
        None => format!("{place} is of unknown origin"),
        Some(Place { tool, operation, path, .. }) => {
            let at = if path.is_empty() { String::new() } else { format!(" at {path}") };
            format!("{place} is of unknown origin, it first appeared in the answer of {tool} to {operation}{at}")
        }
    }
}

fn first_seen<'a>(unknown: &Unknown<'_>, run: Option<&'a RunView>) -> Option<&'a Place> {
    run?.places(&unknown.path).first()
}

fn reference(unknown: &Unknown<'_>) -> RuleRef {
    let reason = Some(Code::UnknownOrigin.as_str().to_owned());
    RuleRef { policy: unknown.guard.policy.name.clone(), rule: unknown.guard.name(), reason }
}

fn place<'a>(unknown: &'a Unknown<'_>) -> Cow<'a, str> {
    let path = &unknown.path;
    if path.len() <= MAX_PLACE_BYTES {
        return Cow::Borrowed(path);
    }
    let end = path.floor_char_boundary(MAX_PLACE_BYTES);
    Cow::Owned(format!("{}…", path.get(..end).unwrap_or_default()))
}
