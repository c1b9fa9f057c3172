//! The memory of runs on any sequence of events, beside a plain memory that forgets nothing but runs that have ended:
//! what was evicted is never known, what no tool told is never known, and the bounds hold.

use std::collections::{BTreeMap, BTreeSet};

use aegis_decision::json::{self, Value};
use aegis_decision::provenance::Canonical;
use aegis_decision::run::{Answer, Asked, Ended, Fingerprinter, Limits, Outcomes, RunIndex};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// The form of this target's corpus.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Script {
    /// Runs, values of a source, sources, operations, values; a run lasts 100 s.
    pub limits: [u8; 5],
    /// In order.
    pub events: Vec<Event>,
}

/// Something that happens, some seconds after what happened before.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Event {
    pub after: u8,
    pub run: String,
    pub what: What,
}

/// What happens.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum What {
    Answer { tool: String, content: Value },
    Text { tool: String, content: String },
    Sent { operation: String },
    Succeeded { operation: String },
    NotDone { operation: String },
    Unknown { operation: String },
}

const IDLE: SignedDuration = SignedDuration::from_secs(100);
/// Events of a script that count, so that one input costs little.
const MAX_EVENTS: usize = 64;

/// A run as a plain memory has it.
#[derive(Debug, Clone, Default)]
struct Plain {
    last: Option<Timestamp>,
    outcomes: BTreeMap<String, Outcomes>,
    /// Values of their own, by tool.
    whole: BTreeMap<String, BTreeSet<Canonical>>,
}

/// Panics where the index knows more than was told.
pub fn check(bytes: &[u8]) {
    let _known = known(bytes);
}

/// The same; gives the number of questions that the index answered with a known value, and with a complete run.
pub fn known(bytes: &[u8]) -> (usize, usize) {
    json::read::<Script>(bytes).map(|script| played(&script)).unwrap_or_default()
}

/// Plays a script: the number of questions with a known value, and with a complete run.
fn played(script: &Script) -> (usize, usize) {
    let [runs, values_of_source, sources, operations, values] = script.limits.map(usize::from);
    let limits = Limits { runs, idle: IDLE, values_of_source, sources, operations, values };
    let fingerprinter = Fingerprinter::new([7; 32]);
    let mut index = RunIndex::new(fingerprinter.clone(), limits);
    let mut plain: BTreeMap<&str, Plain> = BTreeMap::new();
    let mut asked: BTreeSet<Canonical> = BTreeSet::from([Canonical::of_text("never told").unwrap()]);
    let mut now = Timestamp::UNIX_EPOCH;
    let (mut known, mut complete) = (0, 0);
    for Event { after, run, what } in script.events.iter().take(MAX_EVENTS) {
        now += SignedDuration::from_secs((*after).into());
        let memory = plain.entry(run).or_default();
        if memory.last.is_some_and(|last| last + IDLE <= now) {
            *memory = Plain::default();
        }
        let used = match what {
            What::Answer { tool, content } => {
                let mut told = BTreeSet::new();
                walk(content, &mut told);
                asked.extend(told.iter().cloned());
                memory.whole.entry(tool.clone()).or_default().extend(told);
                index.learn(run, tool, "read", Answer::of_value(content, &fingerprinter), now);
                true
            }
            What::Text { tool, content } => {
                asked.extend(content.split_whitespace().filter_map(Canonical::of_text));
                let answer = Answer::of_bytes(content.as_bytes(), &fingerprinter);
                if let Ok(value) = json::parse(content.as_bytes()) {
                    walk(&value, memory.whole.entry(tool.clone()).or_default());
                }
                index.learn(run, tool, "read", answer, now);
                true
            }
            What::Sent { operation } => {
                memory.outcomes.entry(operation.clone()).or_default().uncertain += 1;
                index.sent(run, operation, now);
                true
            }
            What::Succeeded { operation } => end(&mut index, memory, run, operation, Ended::Succeeded, now),
            What::NotDone { operation } => end(&mut index, memory, run, operation, Ended::NotDone, now),
            What::Unknown { operation } => end(&mut index, memory, run, operation, Ended::Unknown, now),
        };
        if used {
            memory.last = Some(now);
        }
        let (kept_runs, kept_values) = index.size();
        assert!(kept_runs <= runs.max(1), "{kept_runs} runs of {runs}");
        assert!(kept_values <= values, "{kept_values} values of {values}");
        let (of_known, of_complete) = compare(&index, &plain, &asked, now);
        known += of_known;
        complete += of_complete;
    }
    (known, complete)
}

/// Ends a call that was sent; an end of nothing is no event of an honest shell.
fn end(index: &mut RunIndex, memory: &mut Plain, run: &str, operation: &str, ended: Ended, now: Timestamp) -> bool {
    let Some(outcomes) = memory.outcomes.get_mut(operation).filter(|outcomes| outcomes.uncertain > 0) else {
        return false;
    };
    if ended != Ended::Unknown {
        outcomes.uncertain -= 1;
        outcomes.succeeded += u32::from(ended == Ended::Succeeded);
    }
    index.ended(run, operation, ended, now);
    true
}

fn compare(
    index: &RunIndex,
    plain: &BTreeMap<&str, Plain>,
    asked: &BTreeSet<Canonical>,
    now: Timestamp,
) -> (usize, usize) {
    let questions: Vec<Asked> = asked
        .iter()
        .enumerate()
        .map(|(number, value)| Asked { path: number.to_string(), value: value.clone() })
        .collect();
    let (mut known, mut complete) = (0, 0);
    for (run, memory) in plain {
        let lives = memory.last.is_some_and(|last| now < last + IDLE);
        let memory = if lives { memory.clone() } else { Plain::default() };
        let view = index.view(run, &questions, now);
        for Asked { path, value } in &questions {
            for place in view.origins.get(path).into_iter().flatten().filter(|place| place.whole) {
                let told = memory.whole.get(&place.tool).is_some_and(|values| values.contains(value));
                assert!(told, "{value:?} is known from {place:?}, which never told it");
                known += 1;
            }
        }
        if view.complete {
            let outcomes: BTreeMap<_, _> =
                memory.outcomes.into_iter().filter(|(_, ended)| *ended != Outcomes::default()).collect();
            assert_eq!(view.outcomes, outcomes, "of run {run:?}");
            complete += 1;
        }
    }
    (known, complete)
}

fn walk(value: &Value, told: &mut BTreeSet<Canonical>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| walk(item, told)),
        Value::Object(object) => object.iter().for_each(|(_, member)| walk(member, told)),
        scalar => told.extend(Canonical::of(scalar)),
    }
}
