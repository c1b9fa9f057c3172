//! What is compared when all vectors were played.

use std::collections::{BTreeMap, BTreeSet};

use aegis_decision::decision::Verdict;
use aegis_decision::digest::Digest;
use serde_json::{Value, json};

use crate::bed::Records;
use crate::client::Heard;
use crate::generate::{BUSY, MANY};
use crate::upstreams::{Seen, Tool};
use crate::vector::{Sent, Vector};

/// Fewest vectors of each kind.
const OF_A_KIND: usize = 100;

/// There are enough generated vectors for three servers, and of each kind; two in five, or more, must go through.
pub fn shares(generated: &[Vector]) {
    for server in BUSY {
        let own = generated.iter().filter(|vector| vector.name.starts_with(server)).count();
        assert!(own >= MANY, "{own} vectors for {server}");
    }
    let mut kinds: BTreeMap<_, (usize, usize)> = BTreeMap::new();
    for vector in generated {
        let (passed, refused) = kinds.entry(vector.kind).or_default();
        *(if vector.passes() { passed } else { refused }) += 1;
    }
    for (kind, (passed, refused)) in &kinds {
        assert!(*passed.min(refused) == 0, "{kind}: {passed} must go through, {refused} must not");
        assert!(passed + refused >= OF_A_KIND, "{kind}: {}", passed + refused);
    }
    let (spellings, passed) = kinds
        .values()
        .filter(|(passed, _)| *passed > 0)
        .fold((0_usize, 0_usize), |(kinds, vectors), (own, _)| (kinds + 1, vectors + own));
    println!(
        "{} generated: {passed} of {spellings} spellings must go through, the rest of {} faults must not",
        generated.len(),
        kinds.len() - spellings
    );
    assert!(passed * 5 >= generated.len() * 2, "{passed} of {} go through", generated.len());
    assert!(spellings >= 15 && kinds.len() - spellings >= 25, "{:?}", kinds.keys());
}

/// Every request has at most one answer, of the kind that it must have, with a record of its own; and the connection
/// comes to its end.
pub fn answers(vectors: &[Vector], heard: &[Heard], records: &Records) {
    let mut verdicts: BTreeMap<_, _> = BTreeMap::new();
    for record in &records.decisions {
        assert!(verdicts.insert(record.id.clone(), record.decision.verdict).is_none(), "two records of {}", record.id);
    }
    let connections: BTreeSet<_> = records.connections.iter().map(|record| record.id.clone()).collect();
    let mut wrong = Vec::new();
    let (mut lost, mut refused) = (0, 0);
    for (vector, heard) in vectors.iter().zip(heard) {
        let expected = vector.answers();
        let kinds: Vec<_> = heard.answers.iter().map(|answer| answer.status == 200).collect();
        let whole = kinds == expected;
        // The last refusal may be lost when the connection ends under bytes that nobody reads.
        let all_but_last = vector.ends_refused() && expected.split_last().is_some_and(|(_, rest)| kinds == rest);
        let recorded = heard.answers.iter().all(|answer| match &answer.decision {
            Some(id) if connections.contains(id) => answer.status >= 400,
            Some(id) => {
                verdicts.remove(id).is_some_and(|verdict| (verdict == Verdict::Allow) == (answer.status == 200))
            }
            None => (400..500).contains(&answer.status),
        });
        lost += usize::from(!whole && all_but_last);
        refused += usize::from(vector.ends_refused());
        if !((whole || all_but_last) && recorded && heard.ended && heard.rest.is_empty()) {
            wrong.push(format!("{}  heard {heard:?}; recorded: {recorded}", vector.shown()));
        }
    }
    let some: Vec<_> = wrong.iter().take(8).map(String::as_str).collect();
    assert!(wrong.is_empty(), "{} of {} are answered otherwise:\n{}", wrong.len(), vectors.len(), some.join("\n"));
    println!(
        "{} vectors, {refused} end refused, {lost} of these refusals were lost with their connection",
        vectors.len()
    );
    assert!(lost * 10 <= refused, "refusals mostly reach the agent");
}

/// The servers saw what the vectors meant, each once.
pub fn effects(vectors: &[Vector], seen: &[Seen]) {
    let mut meant: BTreeMap<&Sent, (i64, Option<&Vector>)> = BTreeMap::new();
    for vector in vectors {
        for sent in vector.sent() {
            let entry = meant.entry(sent).or_default();
            *entry = (entry.0 + 1, Some(vector));
        }
    }
    assert!(meant.values().all(|(count, _)| *count == 1), "vectors name their requests");
    for seen in seen {
        meant.entry(&seen.sent).or_default().0 -= 1;
    }
    let wrong: Vec<_> = meant.iter().filter(|(_, (count, _))| *count != 0).collect();
    let shown = |(sent, (count, vector)): &(&&Sent, &(i64, Option<&Vector>))| {
        let what = if *count > 0 { "was not seen" } else { "was seen and not meant" };
        format!("{sent:?} {what}: {}", vector.map_or_else(String::new, Vector::shown))
    };
    let some: Vec<_> = wrong.iter().take(8).map(shown).collect();
    assert!(wrong.is_empty(), "{} effects differ:\n{}", wrong.len(), some.join("\n"));
    println!("{} requests seen by servers", seen.len());
}

/// No header of the agent's own reaches a server that nobody stands before.
pub fn headers(seen: &[Seen]) {
    const OURS: [&str; 7] =
        ["accept", "accept-encoding", "content-length", "content-type", "host", "idempotency-key", "x-company"];
    for seen in seen.iter().filter(|seen| ["gunicorn", "uvicorn", "waitress", "hypercorn"].contains(&&*seen.sent.tool))
    {
        let mut names: Vec<_> = seen.headers.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "a header twice: {seen:?}");
        assert!(names.iter().all(|name| OURS.contains(name)), "a header that is not ours: {seen:?}");
    }
}

/// The digest of what each server saw is that of a decision which allowed it, and no decision is left over.
pub fn digests(tools: &[Tool], seen: &[Seen], records: &Records) {
    let mut allowed = BTreeMap::new();
    for record in records.decisions.iter().filter(|record| record.decision.verdict == Verdict::Allow) {
        let digest = record.decision.effect_digest.expect("what is allowed has an effect");
        assert!(allowed.insert(digest, record).is_none(), "one effect is allowed twice: {record:?}");
    }
    for seen in seen {
        let record = allowed.remove(&digest(tools, seen)).unwrap_or_else(|| panic!("seen, not judged: {seen:?}"));
        let keys: Vec<_> = seen.values("idempotency-key").collect();
        let draft = record.decision.operation.as_deref() == Some("payments.create");
        assert_eq!(keys, if draft { vec![record.id.as_str()] } else { Vec::new() }, "{seen:?}");
    }
    assert!(allowed.is_empty(), "judged, not seen: {allowed:?}");
    assert_eq!(records.outcomes.len(), seen.len(), "one outcome for each");
}

/// The effect digest (`aegis.dev/effect/v1`) of what a server saw, made without the sidecar's code.
fn digest(tools: &[Tool], seen: &Seen) -> Digest {
    let tool = tools.iter().find(|tool| tool.name == seen.sent.tool).unwrap();
    let path = seen.sent.target.split('?').next().unwrap_or_default();
    let operation = match (seen.sent.method.as_str(), path.split('/').nth(2)) {
        ("GET", Some("notes")) => "notes.get",
        ("POST", Some("notes")) => "notes.create",
        (_, Some("payments")) => "payments.create",
        other => panic!("{other:?}: {seen:?}"),
    };
    let header = |name: &str| seen.values(name).map(|value| json!([name, value])).collect::<Vec<Value>>();
    let headers = [header("x-company"), header("content-type")].concat();
    let mut effect = json!({
        "v": "aegis.dev/effect/v1", "agentUid": "agent-1", "tool": tool.name, "operation": operation,
        "method": seen.sent.method, "url": format!("http://{}{}", tool.address, seen.sent.target),
        "headers": headers,
    });
    if !seen.sent.body.is_empty() {
        effect["encoding"] = json!("application/json");
        effect["body"] = serde_json::from_str(&seen.sent.body).unwrap_or_else(|error| panic!("{error}: {seen:?}"));
    }
    Digest::of(&effect)
}
