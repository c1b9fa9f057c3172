//! The strict parser beside four other readers of JSON: what it accepts, all of them read as the same value (`form.rs`), as
//! it came in and as it is sent on. What they would read differently it refuses.
//!
//! `AEGIS_SEED=n` repeats the run that printed `seed n`.

// Helpers of tests fail by panicking, as tests do.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

mod form;
mod generate;
#[path = "../fuzz/mutate.rs"]
#[allow(dead_code, reason = "the fuzz targets use the rest of it")]
mod mutate;
#[path = "../fuzz/number.rs"]
#[allow(dead_code, reason = "the fuzz targets use the rest of it")]
mod number;
mod readers;

use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

use aegis_decision::json::{Number, Value, emit, parse};
use mutate::Numbers;
use readers::{Answer, ask, script};

/// Documents of one run, beside those that are sent on.
const DOCUMENTS: usize = 24_000;

fn seed() -> u64 {
    let by_clock = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    std::env::var("AEGIS_SEED").map_or_else(|_| by_clock(), |seed| seed.parse().expect("AEGIS_SEED is a number"))
}

/// Documents of the public suite, but for the very long ones.
fn suite() -> Vec<Vec<u8>> {
    let vectors = include_str!("../json/suite/vectors.jsonl").lines();
    let read = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
    vectors.filter_map(|line| Some(read(line)["input"].as_str()?.as_bytes().to_vec())).collect()
}

#[test]
fn what_is_accepted_every_reader_reads_as_the_same_value() {
    let seed = seed();
    println!("seed {seed}");
    let mut numbers = Numbers(seed);
    let suite = suite();
    let mut documents: Vec<Vec<u8>> = (0..DOCUMENTS).map(|_| generate::document(&mut numbers, &suite)).collect();
    let sent: Vec<Vec<u8>> = documents.iter().filter_map(|document| Some(emit(&parse(document).ok()?))).collect();
    documents.extend(sent);

    let answers = std::thread::scope(|scope| {
        let documents = documents.as_slice();
        let (python, node, jq) = (script("reader.py"), script("reader.js"), script("reader.jq"));
        let python = scope.spawn(move || ask("python3", &[&python], documents));
        let node = scope.spawn(move || ask("node", &[&node], documents));
        let jq = scope.spawn(move || ask("jq", &["-R", "-r", "-f", &jq], documents));
        [("Python", python), ("Node", node), ("jq", jq)].map(|(name, thread)| (name, thread.join().expect(name)))
    });
    let [python, node, jq] = answers.map(|(_, answers)| answers);
    let mut tally = Tally::default();
    for (((document, python), node), jq) in documents.iter().zip(python).zip(node).zip(jq) {
        let answers = [
            ("serde_json", plain(document)),
            ("Node", readers::form(node)),
            ("jq", if jq == "!" { Answer::Refused } else { plain(jq.as_bytes()) }),
        ];
        tally.compare(document, &readers::form(python), &answers);
    }
    println!("{tally:?}");
    // Enough of both kinds, or the comparison shows nothing.
    assert!(tally.accepted >= DOCUMENTS / 2 && tally.refused >= DOCUMENTS / 5, "{tally:?}");
    assert!(tally.twice >= 100 && tally.read_differently >= 100, "{tally:?}");
}

/// What `serde_json` reads.
fn plain(document: &[u8]) -> Answer {
    serde_json::from_slice(document).map_or(Answer::Refused, |value| Answer::Form(form::theirs(&value)))
}

/// What became of the documents.
#[derive(Debug, Default)]
struct Tally {
    /// Accepted, and read by all as the same value.
    accepted: usize,
    /// Refused here.
    refused: usize,
    /// Of these, with a name twice, as Python sees it.
    twice: usize,
    /// Of these, read by two others as different values.
    read_differently: usize,
    /// Of these, read by all others as one value: strict for the sake of a limit.
    read_alike: usize,
}

impl Tally {
    fn compare(&mut self, document: &[u8], python: &Answer, others: &[(&str, Answer)]) {
        let shown = String::from_utf8_lossy(document);
        if let Ok(value) = parse(document) {
            self.accepted += 1;
            let exact = Answer::Form(form::ours(&value, true));
            assert_eq!(python, &exact, "Python reads another value in {shown:?}");
            let double = Answer::Form(form::ours(&value, false));
            for (name, answer) in others {
                assert_eq!(answer, &double, "{name} reads another value in {shown:?}");
            }
            unambiguous(&value);
        } else {
            self.refused += 1;
            self.twice += usize::from(matches!(python, Answer::Twice(_)));
            let read: Vec<_> = others.iter().map(|(_, answer)| answer).collect();
            let differ = read.windows(2).any(|pair| pair[0] != pair[1]);
            self.read_differently += usize::from(differ);
            self.read_alike += usize::from(!differ && read[0] != &Answer::Refused && matches!(python, Answer::Form(_)));
        }
    }
}

/// No reader can take one of two members, and a reader of doubles has the same decimals as one of decimals.
fn unambiguous(value: &Value) {
    match value {
        Value::Number(number) => {
            let shortest = format!("{:e}", number.as_f64());
            assert_eq!(Number::from_text(&shortest), Ok(*number), "its double stands for another decimal");
        }
        Value::Array(items) => items.iter().for_each(unambiguous),
        Value::Object(object) => {
            let names: BTreeSet<_> = object.iter().map(|(name, _)| name).collect();
            assert_eq!(names.len(), object.len(), "a name twice in {value:?}");
            object.iter().for_each(|(_, inner)| unambiguous(inner));
        }
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}
