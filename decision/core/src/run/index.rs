//! The memory behind [`RunView`]: bounded in runs, in values and in time.

use std::collections::{BTreeMap, HashMap};

use jiff::{SignedDuration, Timestamp};

use super::answer::Answer;
use super::fingerprint::{Fingerprint, Fingerprinter};
use super::memory::{Forgotten, Run};
use super::view::{Asked, RunView};

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Runs.
    pub runs: usize,
    /// How long a run lasts without a call.
    pub idle: SignedDuration,
    /// Values of their own, and as many words of texts, of each tool of a run.
    pub values_of_source: usize,
    /// Tools of a run whose values are kept.
    pub sources: usize,
    /// Operations of a run whose outcomes are kept.
    pub operations: usize,
    /// Values of all runs together: some 200 bytes each, paths included.
    pub values: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            runs: 4096,
            idle: SignedDuration::from_hours(4),
            values_of_source: 1024,
            sources: 16,
            operations: 256,
            values: 32_768,
        }
    }
}

/// Evicted runs that are remembered for each run that may be kept: some 50 bytes each.
const FORGOTTEN_FOR_EACH: usize = 16;

/// How a call ended, as recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was done.
    Succeeded,
    /// It was not done: refused by the tool, or never sent.
    NotDone,
    /// Nobody knows, or it could not be recorded.
    Unknown,
}

/// What one process remembers of its runs.
#[derive(Debug)]
pub struct RunIndex {
    fingerprinter: Fingerprinter,
    limits: Limits,
    runs: HashMap<Fingerprint, Run>,
    /// Runs by turn: the longest unused first.
    turns: BTreeMap<u64, Fingerprint>,
    next_turn: u64,
    values: usize,
    forgotten: Forgotten,
}

impl RunIndex {
    /// An empty index.
    pub fn new(fingerprinter: Fingerprinter, limits: Limits) -> Self {
        Self {
            fingerprinter,
            limits,
            runs: HashMap::new(),
            turns: BTreeMap::new(),
            next_turn: 0,
            values: 0,
            forgotten: Forgotten::default(),
        }
    }

    /// Makes the fingerprints of an answer; needs no index at hand.
    pub fn fingerprinter(&self) -> &Fingerprinter {
        &self.fingerprinter
    }

    /// Runs that are kept, and values of all of them.
    pub fn size(&self) -> (usize, usize) {
        (self.runs.len(), self.values)
    }

    /// What is known of a run.
    pub fn view(&self, run: &str, asked: &[Asked], now: Timestamp) -> RunView {
        let key = self.key(run);
        let Some(run) = self.runs.get(&key).filter(|run| self.lives(run, now)) else {
            return RunView { complete: !self.forgotten.has(key, now), ..RunView::default() };
        };
        let origins = asked.iter().map(|Asked { path, value }| {
            (path.clone(), run.seen.places(self.fingerprinter.of(b'v', value.as_bytes())))
        });
        RunView {
            complete: run.complete,
            outcomes: run.outcomes.clone(),
            origins: origins.filter(|(_, places)| !places.is_empty()).collect(),
        }
    }

    /// A call of the operation is about to be sent. From here until it has [`RunIndex::ended`] nobody knows whether it was
    /// done.
    pub fn sent(&mut self, run: &str, operation: &str, now: Timestamp) {
        let limit = self.limits.operations;
        let run = self.used(run, now);
        if run.outcomes.len() >= limit && !run.outcomes.contains_key(operation) {
            run.complete = false;
            return;
        }
        let outcomes = run.outcomes.entry(operation.to_owned()).or_default();
        outcomes.uncertain = outcomes.uncertain.saturating_add(1);
    }

    /// A call that was [`RunIndex::sent`] has ended.
    pub fn ended(&mut self, run: &str, operation: &str, ended: Ended, now: Timestamp) {
        let run = self.used(run, now);
        // Forgotten while it was under way: the run is incomplete already.
        let Some(outcomes) = run.outcomes.get_mut(operation).filter(|outcomes| outcomes.uncertain > 0) else {
            run.complete = run.complete && ended == Ended::NotDone;
            return;
        };
        match ended {
            Ended::Unknown => {}
            Ended::NotDone => outcomes.uncertain = outcomes.uncertain.saturating_sub(1),
            Ended::Succeeded => {
                outcomes.uncertain = outcomes.uncertain.saturating_sub(1);
                outcomes.succeeded = outcomes.succeeded.saturating_add(1);
            }
        }
        if *outcomes == super::Outcomes::default() {
            run.outcomes.remove(operation);
        }
    }

    /// A tool answered the agent.
    pub fn learn(&mut self, run: &str, tool: &str, operation: &str, answer: Answer, now: Timestamp) {
        let Limits { values_of_source, sources, values, .. } = self.limits;
        let run = self.used(run, now);
        let (before, turn) = (run.seen.len(), run.turn);
        run.seen.learn(tool, operation, answer.told, values_of_source, sources);
        let after = run.seen.len();
        self.values = self.values.saturating_sub(before).saturating_add(after);
        // Values of the runs that were not used for longest go first; this run's go last.
        while self.values > values {
            let longest_unused =
                self.turns.values().find(|key| self.runs.get(key).is_some_and(|run| run.seen.len() > 0));
            let Some(run) = longest_unused.copied().and_then(|key| self.runs.get_mut(&key)) else { return };
            self.values = self.values.saturating_sub(run.seen.len());
            run.seen = super::seen::Seen::default();
            if run.turn == turn {
                return;
            }
        }
    }

    fn key(&self, run: &str) -> Fingerprint {
        self.fingerprinter.of(b'r', run.as_bytes())
    }

    fn lives(&self, run: &Run, now: Timestamp) -> bool {
        now < self.end_of(run)
    }

    fn end_of(&self, run: &Run) -> Timestamp {
        run.last_used.saturating_add(self.limits.idle).unwrap_or(Timestamp::MAX)
    }

    /// The run, begun or used now.
    fn used(&mut self, run: &str, now: Timestamp) -> &mut Run {
        let key = self.key(run);
        let known = self.remove(key).filter(|run| self.lives(run, now));
        self.make_room(now);
        let turn = self.next_turn;
        self.next_turn = self.next_turn.saturating_add(1);
        self.turns.insert(turn, key);
        let run = match known {
            // A clock that was set back does not shorten its life.
            Some(run) => Run { turn, last_used: run.last_used.max(now), ..run },
            None => Run {
                turn,
                last_used: now,
                complete: !self.forgotten.has(key, now),
                outcomes: BTreeMap::new(),
                seen: super::seen::Seen::default(),
            },
        };
        self.values = self.values.saturating_add(run.seen.len());
        self.runs.entry(key).insert_entry(run).into_mut()
    }

    fn remove(&mut self, key: Fingerprint) -> Option<Run> {
        let run = self.runs.remove(&key)?;
        self.turns.remove(&run.turn);
        self.values = self.values.saturating_sub(run.seen.len());
        Some(run)
    }

    /// Lets runs go until there is room for one more: expired ones, and the longest unused where none has expired.
    fn make_room(&mut self, now: Timestamp) {
        while let Some((_, key)) = self.turns.first_key_value() {
            let key = *key;
            let Some(run) = self.runs.get(&key) else {
                self.turns.pop_first();
                continue;
            };
            let end = self.end_of(run);
            if now < end {
                if self.runs.len() < self.limits.runs {
                    return;
                }
                self.forgotten.add(key, end, self.limits.runs.saturating_mul(FORGOTTEN_FOR_EACH));
            }
            self.remove(key);
        }
    }
}
