//! From a text to those of many beginnings that it has, by one binary search.

use std::collections::BTreeMap;
use std::iter;

/// Beginnings, sorted; each knows the longest other one that it begins with itself.
#[derive(Debug, Default)]
pub(super) struct Starts(Vec<Start>);

#[derive(Debug)]
struct Start {
    text: Box<[u8]>,
    /// Place of the longest other beginning that this one begins with.
    shorter: Option<usize>,
    /// Rules that hang here.
    candidates: Vec<usize>,
}

impl Starts {
    /// From the rules of each beginning.
    pub(super) fn new(by_text: BTreeMap<Vec<u8>, Vec<usize>>) -> Self {
        let mut starts: Vec<Start> = Vec::with_capacity(by_text.len());
        for (text, candidates) in by_text {
            // In sorted order, what this one begins with is the one before it, or what that one begins with.
            let before = starts.len().checked_sub(1);
            let shorter = chain(&starts, before).find(|(_, start)| text.starts_with(&start.text));
            let shorter = shorter.map(|(place, _)| place);
            starts.push(Start { text: text.into_boxed_slice(), shorter, candidates });
        }
        Self(starts)
    }

    /// The rules of each beginning that the text has.
    pub(super) fn of<'s>(&'s self, text: &'s [u8]) -> impl Iterator<Item = &'s [usize]> {
        // Whatever the text begins with is not after it, and what lies between the two begins with it as well.
        let last = self.0.partition_point(|start| *start.text <= *text).checked_sub(1);
        let starts = chain(&self.0, last).filter(move |(_, start)| text.starts_with(&start.text));
        starts.map(|(_, start)| start.candidates.as_slice())
    }
}

/// A beginning, what it begins with, and so on.
fn chain(starts: &[Start], from: Option<usize>) -> impl Iterator<Item = (usize, &Start)> {
    let at = |place: usize| starts.get(place).map(|start| (place, start));
    iter::successors(from.and_then(at), move |(_, start)| start.shorter.and_then(at))
}

#[cfg(test)]
mod tests {
    use proptest::collection::{btree_set, vec};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn finds_what_a_plain_look_at_each_finds(starts in btree_set("[ab]{1,4}", 0..12), texts in vec("[ab]{0,6}", 8)) {
            let starts: Vec<String> = starts.into_iter().collect();
            let by_text = starts.iter().enumerate().map(|(at, start)| (start.clone().into_bytes(), vec![at])).collect();
            let index = Starts::new(by_text);
            for text in texts {
                let mut found: Vec<usize> = index.of(text.as_bytes()).flatten().copied().collect();
                found.sort_unstable();
                let plain: Vec<usize> =
                    starts.iter().enumerate().filter(|(_, start)| text.starts_with(*start)).map(|(at, _)| at).collect();
                prop_assert_eq!(found, plain, "{}", text);
            }
        }
    }
}
