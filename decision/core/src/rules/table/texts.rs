//! `prefix`, `suffix` and `matches` of one slot.
//!
//! A pattern is found by the literal that its matches begin with, or by the slot's regex set; either way the pattern
//! itself is asked afterwards, since it alone knows about which texts it cannot tell.

use std::collections::BTreeMap;

use regex::{RegexSet, RegexSetBuilder};

use super::search::{Candidate, Search};
use super::slots::SlotValue;
use super::starts::Starts;
use crate::decision::Truth;
use crate::rules::text::Pattern;

/// Most memory for the compiled patterns of one set, in bytes. A set that needs more is not made; its patterns are asked
/// one by one.
const SET_BYTES: usize = 4 * 1_048_576;
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
    patterns: BTreeMap<String, Vec<usize>>,
    patterned: Vec<usize>,
    longest: usize,
}

impl Default for TextsDraft {
    fn default() -> Self {
        Self {
            starts: BTreeMap::new(),
            ends: BTreeMap::new(),
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
        for start in starts {
            let places = self.starts.entry(start.clone()).or_default();
            if places.last() != Some(&candidate) {
                places.push(candidate);
            }
        }
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

    /// Compiles the set.
    pub(super) fn finish(self) -> Texts {
        let patterns = self.patterns.keys();
        let set =
            RegexSetBuilder::new(patterns).size_limit(SET_BYTES).dfa_size_limit(LAZY_BYTES).nest_limit(64).build();
        let rules = self.patterns.into_values();
        let (set, of_pattern, too_large) = match set {
            Ok(set) => (set, rules.collect(), Vec::new()),
            Err(_) => (RegexSet::empty(), Vec::new(), sorted(rules.flatten().collect())),
        };
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
