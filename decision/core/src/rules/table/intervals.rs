//! Rules with a bound on either side: those whose interval contains a number, found without a look at most of the others.
//!
//! The intervals are sorted by their lower bounds and read as a balanced tree whose root is the middle one; each place
//! knows how far up the intervals of its subtree reach.

use std::cmp::Ordering;
use std::ops::Range as Span;

use crate::rules::exact::Exact;
use crate::rules::number::Side;

/// A value and the side of it.
pub(super) type Limit = (Exact, Side);

/// Intervals, with their rules' places in the order of all rules.
#[derive(Debug, Default)]
pub(super) struct Intervals(Vec<Node>);

#[derive(Debug)]
struct Node {
    lower: Limit,
    upper: Limit,
    /// The furthest upper limit in the subtree.
    reach: Limit,
    order: usize,
}

impl Intervals {
    /// From lower and upper limits and their rules.
    pub(super) fn new(mut intervals: Vec<(Limit, Limit, usize)>) -> Self {
        intervals.sort_by(|(a, ..), (b, ..)| rising(a, b));
        let nodes = intervals.into_iter().map(|(lower, upper, order)| Node { lower, upper, reach: upper, order });
        let mut nodes = Self(nodes.collect());
        nodes.spread(0..nodes.0.len());
        nodes
    }

    /// Sets how far a subtree reaches.
    fn spread(&mut self, span: Span<usize>) -> Option<Limit> {
        let middle = middle(&span)?;
        let below = self.spread(span.start..middle);
        let above = self.spread(middle.saturating_add(1)..span.end);
        let node = self.0.get_mut(middle)?;
        let reaches = [below, above].into_iter().flatten().chain([node.upper]);
        node.reach = reaches.max_by(further)?;
        Some(node.reach)
    }

    /// Visits the rules whose interval contains the number, by rising lower bounds.
    pub(super) fn containing(&self, number: Exact, visit: &mut dyn FnMut(usize)) {
        self.visit(0..self.0.len(), number, visit);
    }

    fn visit(&self, span: Span<usize>, number: Exact, visit: &mut dyn FnMut(usize)) {
        let holds = |(value, side): &Limit| side.holds(number.cmp(value));
        let Some(middle) = middle(&span) else { return };
        let Some(node) = self.0.get(middle).filter(|node| holds(&node.reach)) else { return };
        self.visit(span.start..middle, number, visit);
        if holds(&node.lower) {
            if holds(&node.upper) {
                visit(node.order);
            }
            self.visit(middle.saturating_add(1)..span.end, number, visit);
        }
    }
}

fn middle(span: &Span<usize>) -> Option<usize> {
    (!span.is_empty()).then(|| span.start.midpoint(span.end))
}

/// Lower limits, the one that holds for more numbers first.
fn rising((a, a_side): &Limit, (b, b_side): &Limit) -> Ordering {
    a.cmp(b).then_with(|| a_side.is_strict().cmp(&b_side.is_strict()))
}

/// Upper limits, the one that holds for more numbers last.
fn further((a, a_side): &Limit, (b, b_side): &Limit) -> Ordering {
    a.cmp(b).then_with(|| b_side.is_strict().cmp(&a_side.is_strict()))
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    proptest! {
        #[test]
        fn finds_what_a_plain_look_at_each_finds(
            limits in vec((0..12_i64, select(vec![Side::AtLeast, Side::GreaterThan]),
                           0..12_i64, select(vec![Side::AtMost, Side::LessThan])), 0..20),
        ) {
            let intervals: Vec<_> = limits
                .iter()
                .enumerate()
                .map(|(order, (low, lower, high, upper))| (((*low).into(), *lower), ((*high).into(), *upper), order))
                .collect();
            let tree = Intervals::new(intervals.clone());
            for tenths in (0..130).step_by(5) {
                let number = Exact::parse(&format!("{}.{}", tenths / 10, tenths % 10)).unwrap();
                let holds = |(value, side): &Limit| side.holds(number.cmp(value));
                let mut found = Vec::new();
                tree.containing(number, &mut |order| found.push(order));
                found.sort_unstable();
                let plain: Vec<_> = intervals
                    .iter()
                    .filter(|(lower, upper, _)| holds(lower) && holds(upper))
                    .map(|(_, _, order)| *order)
                    .collect();
                prop_assert_eq!(found, plain, "{}", number);
            }
        }
    }
}
