//! How a value leads to a check: the check's key, if it has one.

use super::intern::Interner;
use super::literals;
use super::slots::SlotId;
use crate::path::Path;
use crate::policy::Normalize;
use crate::rules::equal::Comparable;
use crate::rules::exact::Exact;
use crate::rules::host_name::HostName;
use crate::rules::number::Side;
use crate::rules::predicate::{CompiledCheck, Question};
use crate::rules::text::Pattern;

/// What a check is found by.
#[derive(Debug)]
pub(super) enum Access<'p> {
    /// `equals` and `in`.
    OneOf { slot: SlotId, values: &'p [Comparable<'static>] },
    /// `atMost` and its kin.
    Bound { range: Range, side: Side, value: Exact },
    /// `prefix`.
    Start { slot: SlotId, text: &'p str },
    /// `suffix`.
    End { slot: SlotId, text: &'p str },
    /// `matches`, where every text that matches begins with one of these literals.
    Literal { slot: SlotId, pattern: &'p Pattern, starts: Vec<Vec<u8>> },
    /// `hostIn` of names that the rule gives itself. One that names a registry is asked: there are few of these that differ.
    Hosts { slot: SlotId, names: &'p [HostName] },
    /// `matches` of any other pattern.
    Pattern { slot: SlotId, pattern: &'p Pattern },
    /// No key: it has to be asked.
    Asked,
}

/// Bounds with the same range can be sorted: the same field, in the same currency.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Range {
    pub(super) slot: SlotId,
    /// Where the call names its currency, and which one it must be.
    pub(super) currency: Option<(SlotId, String)>,
}

impl<'p> Access<'p> {
    /// The key of a check whose field, alias replaced, is `path`.
    pub(super) fn of(check: &'p CompiledCheck, path: Path, interner: &mut Interner<'p>) -> Self {
        if path.quantifiers() > 0 {
            return Self::Asked;
        }
        if let Question::OnSide(bound) = &check.question {
            let side = if check.negated { bound.side.opposite() } else { bound.side };
            let currency = bound.currency.as_ref().map(|currency| {
                let field = interner.resolved(&currency.field);
                (interner.slot(field, Normalize::None), currency.code.clone())
            });
            let range = Range { slot: interner.slot(path, check.normalize), currency };
            return Self::Bound { range, side, value: bound.value };
        }
        if check.negated {
            return Self::Asked;
        }
        match &check.question {
            Question::OneOf(values) => Self::OneOf { slot: interner.slot(path, check.normalize), values },
            Question::Prefix(text) => Self::Start { slot: interner.slot(path, check.normalize), text },
            Question::Suffix(text) => Self::End { slot: interner.slot(path, check.normalize), text },
            Question::Matches(pattern) => {
                let slot = interner.slot(path, check.normalize);
                match literals::of(pattern.source()) {
                    Some(starts) => Self::Literal { slot, pattern, starts },
                    None => Self::Pattern { slot, pattern },
                }
            }
            Question::HostIn(hosts) => match hosts.own_alone() {
                Some(names) => Self::Hosts { slot: interner.slot(path, check.normalize), names },
                None => Self::Asked,
            },
            _ => Self::Asked,
        }
    }

    /// Of keys that are equally selective the lower one is taken: it costs less to look up.
    pub(super) fn rank(&self) -> u8 {
        match self {
            Self::OneOf { .. } => 0,
            Self::Start { .. } | Self::End { .. } => 1,
            Self::Literal { .. } => 2,
            Self::Bound { .. } => 3,
            Self::Hosts { .. } => 4,
            Self::Pattern { .. } => 5,
            Self::Asked => 6,
        }
    }
}
