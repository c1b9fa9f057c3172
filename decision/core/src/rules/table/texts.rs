//! `prefix`, `suffix` and `matches` of one slot.
//!
//! A pattern is found by the literal that its matches begin with, or by the slot's regex set: one that has no such
//! literal, or shares it with so many others that it says little. Either way the pattern itself is asked afterwards, since
//! it alone knows about which texts it cannot tell.

use std::collections::BTreeMap;
use std::mem;

use regex::{RegexSet, RegexSetBuilder};

use super::search::{Candidate, Search};
use super::slots::SlotValue;
use super::starts::Starts;
use crate::decision::Truth;
use crate::rules::text::Pattern;

/// Most memory for the compiled patterns of one set, in bytes. A set that needs more is not made; its patterns are asked
/// one by one.
const SET_BYTES: usize = 4 * 1_048_576;
/// Most patterns that are found by one literal; of more the set tells which.
const MAX_SHARING: usize = 8;
/// Memory for each set's lazily built automaton, in bytes.
const LAZY_BYTES: usize = 1_048_576;

/// The rules of one slot that hang on the shape of a text. Places of candidates, rising.
#[derive(Debug)]
pub(super) struct Texts {
    starts: Starts,
    /// Ends, written backwards.
    ends: Starts,
    has_ends: bool,
    set: RegexSet,
    /// Rules of each pattern of the set.
    of_pattern: Vec<Vec<usize>>,
    /// Rules of the patterns that would be too large together: looked at one by one.
    too_large: Vec<usize>,
    /// Rules that hang on a pattern in either way.
    patterned: Vec<usize>,
    /// A text longer than this is too long for some pattern, which then cannot tell.
    longest: usize,
}

/// Rules to be hung on the shape of a text.
#[derive(Debug)]
pub(super) struct TextsDraft {
    starts: BTreeMap<Vec<u8>, Vec<usize>>,
    ends: BTreeMap<Vec<u8>, Vec<usize>>,
    /// Patterns with the literals that their matches begin with.
    literals: BTreeMap<String, Literals>,
    /// Patterns without.
    patterns: BTreeMap<String, Vec<usize>>,
    patterned: Vec<usize>,
    longest: usize,
}

/// What a pattern is found by, and its rules.
#[derive(Debug)]
struct Literals {
    starts: Vec<Vec<u8>>,
    candidates: Vec<usize>,
}

impl Default for TextsDraft {
    fn default() -> Self {
        Self {
            starts: BTreeMap::new(),
            ends: BTreeMap::new(),
            literals: BTreeMap::new(),
            patterns: BTreeMap::new(),
            patterned: Vec::new(),
            longest: usize::MAX,
        }
    }
}

impl TextsDraft {
    /// Hangs a rule on a beginning.
    pub(super) fn start(&mut self, text: &str, candidate: usize) {
        self.starts.entry(text.as_bytes().to_vec()).or_default().push(candidate);
    }

    /// Hangs a rule on an end.
    pub(super) fn end(&mut self, text: &str, candidate: usize) {
        self.ends.entry(text.bytes().rev().collect()).or_default().push(candidate);
    }

    /// Hangs a rule on a pattern whose matches begin with one of these literals.
    pub(super) fn literals(&mut self, pattern: &Pattern, starts: &[Vec<u8>], candidate: usize) {
        let found = self.literals.entry(pattern.source().to_owned());
        let found = found.or_insert_with(|| Literals { starts: starts.to_vec(), candidates: Vec::new() });
        found.candidates.push(candidate);
        self.patterned(pattern, candidate);
    }

    /// Hangs a rule on any other pattern.
    pub(super) fn pattern(&mut self, pattern: &Pattern, candidate: usize) {
        self.patterns.entry(pattern.source().to_owned()).or_default().push(candidate);
        self.patterned(pattern, candidate);
    }

    fn patterned(&mut self, pattern: &Pattern, candidate: usize) {
        self.patterned.push(candidate);
        self.longest = self.longest.min(pattern.max_bytes());
    }

    /// Takes out the patterns that share a literal with many others.
    fn crowded(&mut self) -> BTreeMap<String, Literals> {
        let mut sharing: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
        for start in self.literals.values().flat_map(|found| &found.starts) {
            let patterns = sharing.entry(start.clone()).or_default();
            *patterns = patterns.saturating_add(1);
        }
        let says_little = |start: &Vec<u8>| sharing.get(start).is_some_and(|patterns| *patterns > MAX_SHARING);
        let all = mem::take(&mut self.literals).into_iter();
        let (crowded, others) = all.partition(|(_, found)| found.starts.iter().any(says_little));
        self.literals = others;
        crowded
    }

    /// Compiles the set.
    pub(super) fn finish(mut self) -> Texts {
        let crowded = self.crowded();
        let (set, of_pattern, too_large) = if let Some(set) = compile(self.patterns.keys().chain(crowded.keys())) {
            let crowded = crowded.into_values().map(|found| found.candidates);
            (set, self.patterns.into_values().chain(crowded).collect(), Vec::new())
        } else {
            // A literal that says little says more than none.
            self.literals.extend(crowded);
            match compile(self.patterns.keys()) {
                Some(set) => (set, self.patterns.into_values().collect(), Vec::new()),
                None => (RegexSet::empty(), Vec::new(), sorted(self.patterns.into_values().flatten().collect())),
            }
        };
        for Literals { starts, candidates } in self.literals.into_values() {
            for start in starts {
                self.starts.entry(start).or_default().extend(&candidates);
            }
        }
        for places in self.starts.values_mut() {
            places.sort_unstable();
            places.dedup();
        }
        Texts {
            has_ends: !self.ends.is_empty(),
            starts: Starts::new(self.starts),
            ends: Starts::new(self.ends),
            set,
            of_pattern,
            too_large,
            patterned: self.patterned,
            longest: self.longest,
        }
    }
}

/// One set of patterns; none where it would be too large.
fn compile<'p>(patterns: impl Iterator<Item = &'p String>) -> Option<RegexSet> {
    RegexSetBuilder::new(patterns).size_limit(SET_BYTES).dfa_size_limit(LAZY_BYTES).nest_limit(64).build().ok()
}

fn sorted(mut places: Vec<usize>) -> Vec<usize> {
    places.sort_unstable();
    places
}

impl Texts {
    /// Looks at the rules whose check is not false. False when none can be told: the value is no text.
    pub(super) fn search(&self, value: &SlotValue<'_>, candidates: &[Candidate], search: &mut Search<'_, '_>) -> bool {
        let Some(text) = value.text.as_deref() else { return false };
        for places in self.starts.of(text.as_bytes()) {
            search.consider(candidates, places, Truth::True);
        }
        if self.has_ends {
            let backwards: Vec<u8> = text.bytes().rev().collect();
            for places in self.ends.of(&backwards) {
                search.consider(candidates, places, Truth::True);
            }
        }
        if value.bytes > self.longest {
            search.consider(candidates, &self.patterned, Truth::True);
            return true;
        }
        search.consider(candidates, &self.too_large, Truth::True);
        if !self.of_pattern.is_empty() {
            for places in self.set.matches(text).iter().filter_map(|matched| self.of_pattern.get(matched)) {
                search.consider(candidates, places, Truth::True);
            }
        }
        true
    }
}

#[cfg(test)]
impl Texts {
    /// Rules of patterns that are not found by a literal.
    pub(super) fn without_literal(&self) -> usize {
        self.too_large.len() + self.of_pattern.iter().map(Vec::len).sum::<usize>()
    }
}
