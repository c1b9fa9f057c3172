//! The values that one run's tools told: bounded for each tool, so that no tool can crowd out another's.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::answer::Told;
use super::fingerprint::Fingerprint;
use super::view::Place;

/// Where a value first stood in the answers of one tool.
#[derive(Debug)]
struct Spot {
    /// Counts up within the run.
    order: u64,
    operation: Arc<str>,
    path: Box<str>,
    /// Some answer of the tool had it as a value of its own.
    whole: bool,
}

/// The values of one tool.
#[derive(Debug, Default)]
struct Source {
    values: HashMap<Fingerprint, Spot>,
    /// Oldest first; one queue for values of their own and one for words of texts, so that a long text does not take the
    /// place of values.
    whole: VecDeque<Fingerprint>,
    words: VecDeque<Fingerprint>,
}

/// What a run's tools told.
#[derive(Debug, Default)]
pub(super) struct Seen {
    sources: HashMap<String, Source>,
    next: u64,
}

impl Seen {
    /// Number of values that are kept.
    pub(super) fn len(&self) -> usize {
        self.sources.values().map(|source| source.values.len()).sum()
    }

    /// Keeps what a tool told: at most `each` values of their own and as many words of texts, the newest; of at most
    /// `tools` tools.
    pub(super) fn learn(&mut self, tool: &str, operation: &str, told: Vec<Told>, each: usize, tools: usize) {
        if !self.sources.contains_key(tool) && self.sources.len() >= tools {
            return;
        }
        let source = self.sources.entry(tool.to_owned()).or_default();
        let operation: Arc<str> = operation.into();
        for Told { fingerprint, path, whole, spelling: _ } in told {
            let order = self.next;
            self.next = self.next.saturating_add(1);
            source.keep(fingerprint, Spot { order, operation: Arc::clone(&operation), path, whole }, each);
        }
    }

    /// Where a value stood: one place for each tool, the earliest first.
    pub(super) fn places(&self, value: Fingerprint) -> Vec<Place> {
        let mut spots: Vec<_> =
            self.sources.iter().filter_map(|(tool, source)| Some((tool, source.values.get(&value)?))).collect();
        spots.sort_unstable_by_key(|(_, spot)| spot.order);
        let place = |(tool, spot): (&String, &Spot)| Place {
            tool: tool.clone(),
            operation: spot.operation.to_string(),
            path: spot.path.to_string(),
            whole: spot.whole,
        };
        spots.into_iter().map(place).collect()
    }
}

impl Source {
    fn keep(&mut self, fingerprint: Fingerprint, spot: Spot, each: usize) {
        let whole = spot.whole;
        match self.values.get_mut(&fingerprint) {
            // The first place stays; that a value stood alone somewhere is learned from any place.
            Some(known) if known.whole || !whole => return,
            Some(known) => known.whole = true,
            None => {
                self.values.insert(fingerprint, spot);
            }
        }
        let queue = if whole { &mut self.whole } else { &mut self.words };
        queue.push_back(fingerprint);
        while queue.len() > each {
            let Some(oldest) = queue.pop_front() else { break };
            // A word that has since stood alone is held by the other queue.
            if self.values.get(&oldest).is_some_and(|known| known.whole == whole) {
                self.values.remove(&oldest);
            }
        }
    }
}
