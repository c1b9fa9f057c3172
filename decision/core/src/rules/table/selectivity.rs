//! Which of its checks a rule should hang on: the one because of which it is looked at least often for nothing.
//!
//! Estimated without knowing the calls: of the checks that a slot's keys tell apart one is hit; a bound costs a look at
//! each group of rules that are otherwise the same; a check without key costs being asked, shared by all rules that have
//! it, and holds half of the time.

use std::collections::{BTreeMap, BTreeSet};

use super::access::{Access, Range};
use super::index::Conjunction;
use super::intern::{CheckId, Interner};
use super::slots::SlotId;

/// The cost of being looked at for every call.
const ALWAYS: usize = 1 << 20;

/// What the rules of one index have in common.
#[derive(Debug, Default)]
pub(super) struct Selectivity {
    /// Rules that have the check.
    uses: BTreeMap<CheckId, usize>,
    /// Checks that the keys of one kind tell apart.
    told_apart: BTreeMap<(SlotId, u8), BTreeSet<CheckId>>,
    /// Rules with a bound of this range, and the groups of those that are the same but for such bounds.
    bounds: BTreeMap<Range, (usize, BTreeSet<Vec<CheckId>>)>,
}

impl Selectivity {
    /// Of the rules of one index.
    pub(super) fn of(rules: &[Conjunction], checks: &Interner<'_>) -> Self {
        let mut found = Self::default();
        for rule in rules {
            for check in &rule.checks {
                let access = checks.access(*check);
                if let Some(slot) = slot(access) {
                    found.told_apart.entry((slot, access.rank())).or_default().insert(*check);
                } else if let Access::Bound { range, .. } = access {
                    let (rules, groups) = found.bounds.entry(range.clone()).or_default();
                    *rules = rules.saturating_add(1);
                    let bounds = |other: &&CheckId| matches!(checks.access(**other), Access::Bound { range: on, .. } if on == range);
                    groups.insert(rule.checks.iter().filter(|other| !bounds(other)).copied().collect());
                } else {
                    let uses = found.uses.entry(*check).or_default();
                    *uses = uses.saturating_add(1);
                }
            }
        }
        found
    }

    /// The check to hang a rule on; none for a rule without checks. Of equal ones the cheapest to look up.
    pub(super) fn choose(&self, among: &[CheckId], checks: &Interner<'_>) -> Option<CheckId> {
        among.iter().copied().min_by_key(|check| {
            let access = checks.access(*check);
            (self.cost(*check, access), access.rank(), *check)
        })
    }

    fn cost(&self, check: CheckId, access: &Access<'_>) -> usize {
        let share = |of: usize| ALWAYS.checked_div(of).unwrap_or(ALWAYS);
        if let Some(slot) = slot(access) {
            return self.told_apart.get(&(slot, access.rank())).map_or(ALWAYS, |checks| share(checks.len()));
        }
        if let Access::Bound { range, .. } = access {
            return self.bounds.get(range).map_or(ALWAYS, |(rules, groups)| share(*rules).saturating_mul(groups.len()));
        }
        share(2).saturating_add(self.uses.get(&check).map_or(ALWAYS, |uses| share(*uses)))
    }
}

fn slot(access: &Access<'_>) -> Option<SlotId> {
    match access {
        Access::OneOf { slot, .. }
        | Access::Start { slot, .. }
        | Access::End { slot, .. }
        | Access::Literal { slot, .. }
        | Access::Hosts { slot, .. }
        | Access::Pattern { slot, .. } => Some(*slot),
        Access::Bound { .. } | Access::Asked => None,
    }
}
