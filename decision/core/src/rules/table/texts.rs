//! `prefix`, `suffix` and `matches` of one slot.
//!
//! A pattern is found by the literal that its matches begin with, or by the slot's regex set: one that has no such
//! literal, or shares it with so many others that it says little. Either way the pattern itself is asked afterwards, since
//! it alone knows about which texts it cannot tell.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::mem;
use std::sync::Arc;

use super::search::{Candidate, Search};
use super::slots::SlotValue;
use super::starts::Starts;
use crate::decision::Truth;
use crate::rules::automaton::Automaton;
use crate::rules::text::Pattern;

/// Most memory for the compiled patterns of one set, in bytes. A set that needs more is not made; its patterns are asked
/// one by one.
const SET_BYTES: usize = 4 * 1_048_576;
/// Most memory for the sets of all tables of one bundle, in bytes. Sets beyond it are not made either.
const ALL_SETS_BYTES: usize = 16 * 1_048_576;
/// Most patterns that are found by one literal; of more the set tells which.
const MAX_SHARING: usize = 8;
/// Memory for each set's lazily built automaton, in bytes.
const LAZY_BYTES: usize = 1_048_576;

/// What is left for the sets of one bundle, in bytes.
#[derive(Debug)]
pub(crate) struct SetRoom(Cell<usize>);

impl Default for SetRoom {
    fn default() -> Self {
        Self(Cell::new(ALL_SETS_BYTES))
    }
}

/// The rules of one slot that hang on the shape of a text. Places of candidates, rising.
#[derive(Debug)]
pub(super) struct Texts {
    starts: Starts,
    /// Ends, written backwards.
    ends: Starts,
    has_ends: bool,
    /// None where it has no pattern.
    set: Option<Arc<Automaton>>,
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
    /// Largest size of each pattern once compiled, in bytes.
    sizes: BTreeMap<String, usize>,
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
            sizes: BTreeMap::new(),
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
        self.sizes.entry(pattern.source().to_owned()).or_insert_with(|| pattern.size());
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

    /// Compiles the set, where there is room for it.
    pub(super) fn finish(mut self, room: &SetRoom) -> Texts {
        let crowded = self.crowded();
        let together: Vec<_> = self.patterns.keys().chain(crowded.keys()).collect();
        let together = room.compile(&together, &self.sizes);
        let (set, of_pattern, too_large) = if let Ok(set) = together {
            let crowded = crowded.into_values().map(|found| found.candidates);
            (set, self.patterns.into_values().chain(crowded).collect(), Vec::new())
        } else {
            // A literal that says little says more than none.
            self.literals.extend(crowded);
            let alone: Vec<_> = self.patterns.keys().collect();
            match room.compile(&alone, &self.sizes) {
                Ok(set) => (set, self.patterns.into_values().collect(), Vec::new()),
                Err(_) => (None, Vec::new(), sorted(self.patterns.into_values().flatten().collect())),
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

impl SetRoom {
    /// One set of patterns; none where there are none. Fails where it would be too large.
    fn compile(
        &self,
        patterns: &[&String],
        sizes: &BTreeMap<String, usize>,
    ) -> Result<Option<Arc<Automaton>>, regex::Error> {
        if patterns.is_empty() {
            return Ok(None);
        }
        // One automaton reads forwards, one backwards.
        let largest = SET_BYTES.min(self.0.get() / 2);
        let own = patterns.iter().filter_map(|pattern| sizes.get(*pattern));
        let size = own.fold(0_usize, |sum, size| sum.saturating_add(*size)).min(largest);
        let patterns = patterns.iter().map(|pattern| (*pattern).clone()).collect();
        let set = Automaton::of(patterns, largest, LAZY_BYTES)?;
        self.0.set(self.0.get().saturating_sub(size.saturating_mul(2)));
        Ok(Some(set))
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
        if let Some(set) = &self.set {
            for places in set.set().matches(text).iter().filter_map(|matched| self.of_pattern.get(matched)) {
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
