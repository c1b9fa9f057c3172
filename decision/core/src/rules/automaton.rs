//! Compiled patterns, held once in a process: many policies, tables and agents have the same ones.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use regex::{RegexSet, RegexSetBuilder};

/// What an automaton is made from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    patterns: Vec<String>,
    max_bytes: usize,
    lazy_bytes: usize,
}

/// The automata that something holds.
static KNOWN: Mutex<BTreeMap<Key, Weak<Automaton>>> = Mutex::new(BTreeMap::new());

/// Patterns compiled together. One alone is a set as well: a `Regex` would keep what tells where groups are, and nobody
/// asks for that.
#[derive(Debug)]
pub(super) struct Automaton {
    key: Key,
    set: RegexSet,
}

impl Automaton {
    /// Of these patterns, compiled to at most `max_bytes`, with so much memory for what is built lazily.
    pub(super) fn of(patterns: Vec<String>, max_bytes: usize, lazy_bytes: usize) -> Result<Arc<Self>, regex::Error> {
        let key = Key { patterns, max_bytes, lazy_bytes };
        if let Some(known) = known(&key) {
            return Ok(known);
        }
        let mut builder = RegexSetBuilder::new(&key.patterns);
        let set = builder.size_limit(max_bytes).dfa_size_limit(lazy_bytes).nest_limit(64).build()?;
        let made = Arc::new(Self { key: key.clone(), set });
        KNOWN.lock().unwrap_or_else(PoisonError::into_inner).insert(key, Arc::downgrade(&made));
        Ok(made)
    }

    /// What is asked.
    pub(super) fn set(&self) -> &RegexSet {
        &self.set
    }
}

fn known(key: &Key) -> Option<Arc<Automaton>> {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner).get(key)?.upgrade()
}

impl Drop for Automaton {
    fn drop(&mut self) {
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        // Another one may have been made since nothing held this one.
        if known.get(&self.key).is_some_and(|one| one.strong_count() == 0) {
            known.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_patterns_are_compiled_once_and_forgotten_with_their_last_holder() {
        let make = || Automaton::of(vec!["held-once-[0-9]".to_owned()], 16_384, 16_384).unwrap();
        let (one, other) = (make(), make());
        assert!(Arc::ptr_eq(&one, &other));
        let key = one.key.clone();
        drop((one, other));
        assert!(!KNOWN.lock().unwrap().contains_key(&key));
        assert!(make().set().is_match("held-once-7"));
    }

    #[test]
    fn what_fitted_in_more_memory_is_not_taken_for_what_has_to_fit_in_less() {
        let make = |max_bytes| Automaton::of(vec![r"\w{3}".to_owned()], max_bytes, 16_384);
        let _large = make(262_144).unwrap();
        assert!(matches!(make(4_096), Err(regex::Error::CompiledTooBig(_))));
    }
}
