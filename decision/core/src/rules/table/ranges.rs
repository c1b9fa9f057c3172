//! `atMost`, `atLeast`, `lessThan`, `greaterThan`: sorted bounds, so that one binary search tells which are on the right
//! side of a number.
//!
//! Rules that are the same but for their bounds are a group: of those with one bound that holds the first is known
//! beforehand; those with one on either side are intervals ([`super::intervals`]).

use std::collections::BTreeMap;

use super::access::Range;
use super::intern::CheckId;
use super::intervals::{Intervals, Limit};
use super::search::Search;
use super::slots::SlotValue;
use crate::rules::exact::Exact;

/// The rules that hang on a bound of one field in one currency.
#[derive(Debug)]
pub(super) struct Ranges {
    range: Range,
    groups: Vec<Group>,
}

#[derive(Debug)]
struct Group {
    rest: Box<[CheckId]>,
    /// `atMost` and `lessThan`, rising; `atLeast` and `greaterThan`, falling: those that hold are the last ones.
    sides: [Sorted; 2],
    /// Rules with a bound on either side.
    intervals: Intervals,
}

/// Bounds in an order in which those that hold for a number are the last ones, whatever the number.
#[derive(Debug, Default)]
struct Sorted {
    bounds: Vec<Limit>,
    /// The first rule of those from here to the end.
    first: Vec<usize>,
}

/// Bounds to be sorted, with their rules' places in the order of all rules.
type Unsorted = Vec<(Limit, usize)>;

/// Rules to be hung on bounds, by the rest of their checks.
#[derive(Debug, Default)]
pub(super) struct RangesDraft(BTreeMap<Vec<CheckId>, GroupDraft>);

#[derive(Debug, Default)]
struct GroupDraft {
    rising: Unsorted,
    falling: Unsorted,
    intervals: Vec<(Limit, Limit, usize)>,
}

impl RangesDraft {
    /// Hangs a rule on its bound, and on one of the other side, if it has one.
    pub(super) fn add(&mut self, bound: Limit, other: Option<Limit>, order: usize, rest: Vec<CheckId>) {
        let group = self.0.entry(rest).or_default();
        match (other, bound.1.is_upper()) {
            (Some(other), true) => group.intervals.push((other, bound, order)),
            (Some(other), false) => group.intervals.push((bound, other, order)),
            (None, true) => group.rising.push((bound, order)),
            (None, false) => group.falling.push((bound, order)),
        }
    }

    /// Sorts the bounds.
    pub(super) fn finish(self, range: Range) -> Ranges {
        let group = |(rest, draft): (Vec<CheckId>, GroupDraft)| Group {
            rest: rest.into_boxed_slice(),
            sides: [Sorted::new(draft.rising, true), Sorted::new(draft.falling, false)],
            intervals: Intervals::new(draft.intervals),
        };
        Ranges { range, groups: self.0.into_iter().map(group).collect() }
    }
}

impl Ranges {
    /// Looks at the rules whose bound holds. False when no bound can be told: no number, or another currency.
    pub(super) fn search(&self, search: &mut Search<'_, '_>) -> bool {
        let answers = search.answers;
        if let Some((slot, code)) = &self.range.currency
            && answers.value(*slot).and_then(|value| value.text.as_deref()) != Some(code)
        {
            return false;
        }
        let Some(number) = answers.value(self.range.slot).and_then(SlotValue::decimal) else { return false };
        for group in &self.groups {
            search.look();
            for order in group.sides.iter().filter_map(|sorted| sorted.first_that_holds(number)) {
                search.consider_one(order, &group.rest);
            }
            group.intervals.containing(number, &mut |order| {
                search.consider_one(order, &group.rest);
            });
            if search.settled() {
                break;
            }
        }
        true
    }
}

impl Sorted {
    fn new(mut bounds: Unsorted, rising: bool) -> Self {
        bounds.sort_by(|((a, a_side), _), ((b, b_side), _)| {
            let by_value = if rising { a.cmp(b) } else { b.cmp(a) };
            // Of one value the bound that excludes it holds for less, so it comes before the one that includes it.
            by_value.then_with(|| b_side.is_strict().cmp(&a_side.is_strict()))
        });
        let mut first: Vec<usize> = bounds
            .iter()
            .rev()
            .scan(usize::MAX, |least, (_, order)| {
                *least = (*least).min(*order);
                Some(*least)
            })
            .collect();
        first.reverse();
        Self { bounds: bounds.into_iter().map(|(bound, _)| bound).collect(), first }
    }

    fn first_that_holds(&self, number: Exact) -> Option<usize> {
        let start = self.bounds.partition_point(|(bound, side)| !side.holds(number.cmp(bound)));
        self.first.get(start).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::number::Side;

    #[test]
    fn the_first_rule_whose_bound_holds_is_found() {
        let sides = [Side::AtMost, Side::LessThan, Side::AtLeast, Side::GreaterThan];
        for rising in [true, false] {
            let of_side = || sides.into_iter().filter(|side| side.is_upper() == rising);
            // Bounds in no order, values that meet, and every number between and on them.
            let bounds: Unsorted = [3, 1, 2, 1, 5]
                .into_iter()
                .flat_map(|value| of_side().map(move |side| (Exact::from(value), side)))
                .enumerate()
                .map(|(order, bound)| (bound, order))
                .collect();
            let sorted = Sorted::new(bounds.clone(), rising);
            for tenths in (0..=60).step_by(5) {
                let number = Exact::parse(&format!("{}.{}", tenths / 10, tenths % 10)).unwrap();
                let plain = bounds.iter().find(|((bound, side), _)| side.holds(number.cmp(bound)));
                assert_eq!(sorted.first_that_holds(number), plain.map(|(_, order)| *order), "{number} {bounds:?}");
            }
        }
    }
}
