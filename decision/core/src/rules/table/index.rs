//! Rules by the check that each of them hangs on.

use std::collections::BTreeMap;

use super::access::{Access, Range};
use super::equality::Equality;
use super::hosts::Hosts;
use super::intern::{CheckId, Interner};
use super::intervals::Limit;
use super::ranges::{Ranges, RangesDraft};
use super::search::{Candidate, Search, Wanted};
use super::selectivity::Selectivity;
use super::slots::SlotId;
use super::texts::{Texts, TextsDraft};
use crate::decision::Truth;
use crate::rules::number::Side;

/// Deepest index of an index. Below it rules hang on checks that are asked, whatever keys they have.
const MAX_DEPTH: usize = 8;

/// A rule: the Kleene AND of distinct checks.
#[derive(Debug, Clone)]
pub(super) struct Conjunction {
    /// Its place among all rules of the operation.
    pub(super) order: usize,
    pub(super) checks: Vec<CheckId>,
}

impl Conjunction {
    /// Its other checks.
    pub(super) fn without(&self, check: CheckId) -> Vec<CheckId> {
        self.checks.iter().copied().filter(|other| *other != check).collect()
    }
}

/// Rules by the check that each of them hangs on.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// The first rule without checks.
    free: Option<usize>,
    /// The rules that hang on a key, in their order, but for those on a bound.
    candidates: Vec<Candidate>,
    equalities: Vec<(SlotId, Keyed<Equality>)>,
    ranges: Vec<Keyed<Ranges>>,
    texts: Vec<(SlotId, Keyed<Texts>)>,
    hosts: Vec<(SlotId, Keyed<Hosts>)>,
    /// Checks that have to be asked, with the rules that hang on each.
    asked: Vec<(CheckId, Vec<usize>)>,
}

/// Keys of one slot.
#[derive(Debug)]
struct Keyed<K> {
    keys: K,
    /// The same rules by the rest of their checks, for a value that the keys cannot be compared with. None where only
    /// true rules are wanted: there are none then.
    unknown: Option<Box<Index>>,
}

/// Keys of one slot while they are gathered, with their rules.
#[derive(Debug, Default)]
struct Draft<K> {
    keys: K,
    rests: Vec<Conjunction>,
}

impl<K> Draft<K> {
    fn finish<F>(
        self,
        finish: impl FnOnce(K) -> F,
        unknown: impl FnOnce(Vec<Conjunction>) -> Option<Box<Index>>,
    ) -> Keyed<F> {
        Keyed { keys: finish(self.keys), unknown: unknown(self.rests) }
    }
}

impl Index {
    /// Hangs every rule on its most selective check. `rules` in their order.
    pub(super) fn build(rules: Vec<Conjunction>, checks: &Interner<'_>, wanted: Wanted, depth: usize) -> Self {
        let selectivity = Selectivity::of(&rules, checks);
        let mut index = Self::default();
        let mut equalities: BTreeMap<SlotId, Draft<Equality>> = BTreeMap::new();
        let mut ranges: BTreeMap<Range, Draft<RangesDraft>> = BTreeMap::new();
        let mut texts: BTreeMap<SlotId, Draft<TextsDraft>> = BTreeMap::new();
        let mut hosts: BTreeMap<SlotId, Draft<Hosts>> = BTreeMap::new();
        let mut asked: BTreeMap<CheckId, Vec<usize>> = BTreeMap::new();
        for rule in rules {
            let order = rule.order;
            let Some(check) = selectivity.choose(&rule.checks, checks) else {
                index.free = index.free.or(Some(order));
                continue;
            };
            let rest = rule.without(check);
            let below = Conjunction { order, checks: rest.clone() };
            let candidate = index.candidates.len();
            let access = if depth < MAX_DEPTH { checks.access(check) } else { &Access::Asked };
            let rest = match access {
                Access::OneOf { slot, values } => {
                    let draft = equalities.entry(*slot).or_default();
                    draft.keys.add(values, candidate);
                    draft.rests.push(below);
                    rest
                }
                Access::Bound { range, side, value } => {
                    let other = other_bound(&rest, checks, range, *side);
                    let rest = other.map_or(rest, |(other, _)| below.without(other));
                    let draft = ranges.entry(range.clone()).or_default();
                    draft.keys.add((*value, *side), other.map(|(_, limit)| limit), order, rest);
                    draft.rests.push(below);
                    continue;
                }
                Access::Start { slot, text } => {
                    let draft = texts.entry(*slot).or_default();
                    draft.keys.start(text, candidate);
                    draft.rests.push(below);
                    rest
                }
                Access::End { slot, text } => {
                    let draft = texts.entry(*slot).or_default();
                    draft.keys.end(text, candidate);
                    draft.rests.push(below);
                    rest
                }
                Access::Literal { slot, pattern, starts } => {
                    let draft = texts.entry(*slot).or_default();
                    draft.keys.literals(pattern, starts, candidate);
                    draft.rests.push(below);
                    rule.checks
                }
                Access::Pattern { slot, pattern } => {
                    let draft = texts.entry(*slot).or_default();
                    draft.keys.pattern(pattern, candidate);
                    draft.rests.push(below);
                    rule.checks
                }
                Access::Hosts { slot, names } => {
                    let draft = hosts.entry(*slot).or_default();
                    draft.keys.add(names, candidate);
                    draft.rests.push(below);
                    rest
                }
                Access::Asked => {
                    asked.entry(check).or_default().push(candidate);
                    rest
                }
            };
            index.candidates.push(Candidate { order, rest: rest.into_boxed_slice() });
        }
        let unknown = |rests| {
            let deeper = depth.saturating_add(1);
            (wanted == Wanted::NotFalse).then(|| Box::new(Self::build(rests, checks, wanted, deeper)))
        };
        index.equalities =
            equalities.into_iter().map(|(slot, draft)| (slot, draft.finish(|keys| keys, unknown))).collect();
        index.ranges =
            ranges.into_iter().map(|(range, draft)| draft.finish(|keys| keys.finish(range), unknown)).collect();
        index.texts = texts
            .into_iter()
            .map(|(slot, draft)| (slot, draft.finish(|keys| keys.finish(checks.sets), unknown)))
            .collect();
        index.hosts = hosts.into_iter().map(|(slot, draft)| (slot, draft.finish(|keys| keys, unknown))).collect();
        index.asked = asked.into_iter().collect();
        index
    }

    /// Looks for a rule as wanted. What costs little comes first: a search for any rule ends with the first.
    pub(super) fn search(&self, search: &mut Search<'_, '_>) {
        if let Some(order) = self.free {
            search.consider_one(order, &[]);
        }
        let answers = search.answers;
        for (slot, keyed) in &self.equalities {
            if search.settled() {
                return;
            }
            let Some(found) = answers.value(*slot).and_then(|value| keyed.keys.not_false(value)) else {
                keyed.cannot_tell(search);
                continue;
            };
            for (places, truth) in found {
                search.consider(&self.candidates, places, truth);
            }
        }
        for keyed in &self.ranges {
            if search.settled() {
                return;
            }
            if !keyed.keys.search(search) {
                keyed.cannot_tell(search);
            }
        }
        for (slot, keyed) in &self.texts {
            if search.settled() {
                return;
            }
            let told = answers.value(*slot).is_some_and(|value| keyed.keys.search(value, &self.candidates, search));
            if !told {
                keyed.cannot_tell(search);
            }
        }
        for (slot, keyed) in &self.hosts {
            if search.settled() {
                return;
            }
            let Some(found) = answers.value(*slot).and_then(|value| keyed.keys.covering(value)) else {
                keyed.cannot_tell(search);
                continue;
            };
            for places in found {
                search.consider(&self.candidates, places, Truth::True);
            }
        }
        for (check, places) in &self.asked {
            if search.settled() {
                return;
            }
            let first = places.first().and_then(|place| self.candidates.get(*place));
            if first.is_some_and(|first| !search.is_late(first.order)) {
                search.look();
                search.consider(&self.candidates, places, answers.truth(*check));
            }
        }
    }
}

#[cfg(test)]
impl Index {
    /// Rules that are found by a slot's regex set or by asking one of their checks.
    pub(super) fn without_key(&self) -> usize {
        let asked = self.asked.iter().map(|(_, places)| places.len());
        let texts = self.texts.iter().map(|(_, keyed)| keyed.keys.without_literal());
        asked.chain(texts).sum()
    }
}

/// A bound of the same range from the other side.
fn other_bound(among: &[CheckId], checks: &Interner<'_>, of: &Range, beside: Side) -> Option<(CheckId, Limit)> {
    among.iter().find_map(|check| match checks.access(*check) {
        Access::Bound { range, side, value } if range == of && side.is_upper() != beside.is_upper() => {
            Some((*check, (*value, *side)))
        }
        _ => None,
    })
}

impl<K> Keyed<K> {
    /// Every check of these keys is indeterminate.
    fn cannot_tell(&self, search: &mut Search<'_, '_>) {
        if let Some(index) = &self.unknown {
            index.search(search);
        }
    }
}
