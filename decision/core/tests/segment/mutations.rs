//! Ten thousand changes to honest files, of every kind that a forger has: each one is found.

use aegis_decision::control::Head;
use aegis_decision::digest::Digest;
use aegis_decision::jws::{SigningKey, base64url};
use aegis_decision::segment::{Batch, tree_hash, verify};
use serde_json::{Value, json};

use crate::sample::{Numbers, at, attestation, control_key, keys, lines, record_key, segment};

const MUTATIONS: usize = 10_000;
const KINDS: usize = 11;

/// Whether the change shows without a head: as a finding, or as a torn end.
fn shows_alone(bytes: &[u8]) -> bool {
    verify(bytes, &keys(), None).map_or(true, |report| report.torn.is_some())
}

/// Two halves, so that two cores share them.
#[test]
fn ten_thousand_mutations_are_found_first_half() {
    run(MUTATIONS / 2, 7);
}

#[test]
fn ten_thousand_mutations_are_found_second_half() {
    run(MUTATIONS / 2, 42);
}

fn run(mutations: usize, seed: u64) {
    let mut numbers = Numbers(seed);
    let (honest, head) = segment("e-1", &control_key(1), &record_key(2), 3, 3, &mut numbers);
    let (sibling, _) = segment("e-2", &control_key(1), &record_key(3), 3, 3, &mut numbers);
    let (past, _) = segment("e-1", &control_key(1), &record_key(2), 3, 3, &mut numbers);
    let report = verify(&honest, &keys(), Some(&head)).unwrap();
    assert!(report.records >= 2, "there is something to change");
    let mut done = [0; KINDS];
    let mut total = 0;
    while total < mutations {
        let kind = total % KINDS;
        let changed = mutate(kind, &honest, if numbers.below(2) == 0 { &sibling } else { &past }, &mut numbers);
        if changed == honest {
            // Two equal lines were swapped, or the cut was at the end: no mutation.
            continue;
        }
        // A cut after a batch is the only change that a file alone cannot show.
        let cut = kind == 10 || (kind == 4 && ends_with_batch(&changed));
        let found = if cut { shows_with_head(&changed, &head) } else { shows_alone(&changed) };
        assert!(found, "kind {kind}, mutation {total}: {}", String::from_utf8_lossy(&changed));
        done[kind] += 1;
        total += 1;
    }
    assert!(done.iter().all(|count| *count >= mutations / KINDS), "{done:?}");
}

/// Whether a cut shows with the head that was kept elsewhere.
fn shows_with_head(bytes: &[u8], head: &Head) -> bool {
    verify(bytes, &keys(), Some(head)).is_err()
}

fn ends_with_batch(bytes: &[u8]) -> bool {
    bytes.is_empty()
        || lines(bytes)
            .last()
            .is_some_and(|line| line.ends_with(b"\"type\":\"batch\"}\n") || line.ends_with(b"\"type\":\"header\"}\n"))
}

fn mutate(kind: usize, honest: &[u8], other: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = honest.to_vec();
    let mut rows = lines(honest);
    let at = numbers.below(bytes.len());
    let (row, second) = (numbers.below(rows.len()), numbers.below(rows.len()));
    match kind {
        // Flip one bit.
        0 => bytes[at] ^= 1 << numbers.below(8),
        // Drop a line (but the last one, which is a cut: kind 10).
        1 => drop(rows.remove(row.min(rows.len() - 2))),
        // Repeat a line somewhere.
        2 => rows.insert(second, rows[row].clone()),
        // Swap two lines.
        3 => rows.swap(row, second),
        // Cut anywhere.
        4 => bytes.truncate(at),
        // Put a line of another segment over one of these.
        5 => {
            let others = lines(other);
            rows[row].clone_from(&others[numbers.below(others.len())]);
        }
        // Put a run of another segment's lines in between.
        6 => {
            let others = lines(other);
            let from = numbers.below(others.len());
            let until = from + 1 + numbers.below(others.len() - from);
            rows.splice(row..row, others[from..until].iter().cloned());
        }
        // Remove or add bytes.
        7 => drop(bytes.remove(at)),
        8 => bytes.insert(at, u8::try_from(numbers.below(256)).unwrap()),
        // Change a value, or drop a record, and seal everything again with another key.
        9 => return resealed(honest, numbers),
        // Cut after a batch: whole in itself, only the head shows it.
        _ => {
            let ends: Vec<usize> = (0..rows.len() - 1).filter(|row| ends_with_batch(&rows[*row])).collect();
            rows.truncate(ends[numbers.below(ends.len())] + 1);
        }
    }
    if matches!(kind, 0 | 4 | 7 | 8) { bytes } else { rows.concat() }
}

/// A consistent file with another content, by somebody who has every key but the two that count: the sidecar's record
/// key and the control service's attestation key.
fn resealed(honest: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let forger = record_key(66);
    let mut rows: Vec<Value> = lines(honest).iter().map(|line| serde_json::from_slice(line).unwrap()).collect();
    let records: Vec<usize> = (0..rows.len()).filter(|row| rows[*row].get("sequence").is_some()).collect();
    rows[records[numbers.below(records.len())]]["latencyMicros"] = json!(numbers.below(1_000_000));
    match numbers.below(3) {
        // The header stays: its attestation names a key that the forger does not have.
        0 => {}
        // The header names the forger's key, with the honest attestation.
        1 => {
            rows[0]["body"]["key"] = json!(forger.public());
            sign(&mut rows[0], "aegis.dev/segment-header/v1", &forger);
        }
        // The header holds an attestation by a key that only the forger trusts.
        _ => {
            rows[0]["body"]["key"] = json!(forger.public());
            rows[0]["body"]["attestation"] = json!(attestation(&forger, 0, 1000).issue(&control_key(67)).unwrap());
            sign(&mut rows[0], "aegis.dev/segment-header/v1", &forger);
        }
    }
    let mut previous = Digest::of_bytes(&canonical(&rows[0]));
    let mut open: Vec<Vec<u8>> = Vec::new();
    for row in rows.iter_mut().skip(1) {
        if row["type"] != "batch" {
            open.push(canonical(row));
            continue;
        }
        let mut leaves = vec![previous.as_bytes().to_vec()];
        leaves.append(&mut open);
        row["body"]["previous"] = json!(previous);
        previous = tree_hash(&leaves);
        row["body"]["root"] = json!(previous);
        sign(row, "aegis.dev/segment-batch/v1", &forger);
    }
    rows.iter().flat_map(|row| [canonical(row), b"\n".to_vec()].concat()).collect()
}

fn canonical(value: &Value) -> Vec<u8> {
    serde_json_canonicalizer::to_vec(value).unwrap()
}

fn sign(row: &mut Value, domain: &'static str, key: &SigningKey) {
    row["signature"] = json!(base64url(&key.sign_statement(domain, &canonical(&row["body"]))));
}

/// The forgery above is one by its key only: with the right key, the same steps make a file that verifies.
#[test]
fn the_forger_lacks_nothing_but_the_key() {
    let (honest, head) = segment("e-1", &control_key(1), &record_key(2), 3, 3, &mut Numbers(5));
    let mut rows: Vec<Value> = lines(&honest).iter().map(|line| serde_json::from_slice(line).unwrap()).collect();
    for row in &mut rows {
        let domain = match row["type"].as_str().unwrap() {
            "header" => "aegis.dev/segment-header/v1",
            "batch" => "aegis.dev/segment-batch/v1",
            _ => continue,
        };
        sign(row, domain, &record_key(2));
    }
    let again: Vec<u8> = rows.iter().flat_map(|row| [canonical(row), b"\n".to_vec()].concat()).collect();
    assert_eq!(again, honest);
    let last: Batch = serde_json::from_value(rows.last().unwrap()["body"].clone()).unwrap();
    assert_eq!((last.root, last.last()), (head.root, head.sequence));
    assert!(last.at >= at(0));
}
