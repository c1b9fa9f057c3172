//! Every field of a request's spec but the decision is fixed, found by walking the object rather than by a list that could be incomplete.

use aegis_crds::api::ApprovalRequest;
use anyhow::{Context, Result, ensure};
use kube::ResourceExt as _;
use kube::api::PostParams;
use serde_json::{Value, json};

use super::request::{State, request};
use super::scene::{Scene, in_scene, refused};

/// Members that may be absent; each is also taken away.
const OPTIONAL: [&str; 4] = ["/preview", "/traceparent", "/preview/1/flags", "/requirements/0/askedBy/0/reason"];
/// Lists; each also grows and shrinks.
const LISTS: [&str; 5] =
    ["/preview", "/preview/1/flags", "/requirements", "/requirements/0/separationOfDuties", "/requirements/0/askedBy"];

#[tokio::test]
async fn no_field_of_the_spec_can_be_edited_even_with_every_right() -> Result<()> {
    in_scene("edited", async |scene| {
        let before = scene.bring(request(&scene.fresh_name(), 2)?, State::Pending).await?;
        let spec = serde_json::to_value(&before.spec)?;
        let edits = edits(&spec)?;
        // As many as the fixture has leaves, and the edits of lists and optional members: a spec that lost its fields would show here.
        ensure!(edits.len() > 50, "only {} edits", edits.len());
        let mut faults = Vec::new();
        for (path, edited) in &edits {
            for who in ["admin", "control with every right"] {
                if let Err(fault) = put(scene, who, &before, path, edited).await {
                    faults.push(format!("{fault:#}"));
                }
            }
        }
        ensure!(faults.is_empty(), "{} of {} went wrong:\n{}", faults.len(), 2 * edits.len(), faults.join("\n"));
        Ok(())
    })
    .await
}

async fn put(scene: &Scene<'_>, who: &str, before: &ApprovalRequest, path: &str, spec: &Value) -> Result<()> {
    let mut wanted = before.clone();
    wanted.spec = serde_json::from_value(spec.clone()).with_context(|| format!("the edit of {path} is no spec"))?;
    ensure!(wanted.spec != before.spec, "the edit of {path} changes nothing");
    let answer = scene.requests(who)?.replace(&before.name_any(), &PostParams::default(), &wanted).await;
    let field = path.split('/').nth(1).context("a path has a first part")?;
    let verb = if field == "requirements" { "are" } else { "is" };
    refused(&format!("{who} edits {path}"), answer, &format!("{field} {verb} immutable"))
}

/// The spec with one thing changed, for everything that can be changed, and where.
fn edits(spec: &Value) -> Result<Vec<(String, Value)>> {
    let mut paths = Vec::new();
    leaves("", spec, &mut paths);
    let mut edits = Vec::new();
    for path in paths {
        let mut edited = spec.clone();
        let leaf = edited.pointer_mut(&path).context("a leaf is where it was found")?;
        *leaf = other(&path, leaf)?;
        edits.push((path, edited));
    }
    for path in OPTIONAL {
        let (parent, key) = path.rsplit_once('/').context("a path has a parent")?;
        let mut edited = spec.clone();
        let members = edited.pointer_mut(parent).and_then(Value::as_object_mut);
        members.and_then(|members| members.remove(key)).with_context(|| format!("the fixture has no {path}"))?;
        edits.push((path.to_owned(), edited));
    }
    for path in LISTS {
        let list = |spec: &Value| spec.pointer(path).and_then(Value::as_array).cloned();
        let whole = list(spec).with_context(|| format!("the fixture has no list {path}"))?;
        let mut longer = whole.clone();
        longer.extend(whole.first().cloned());
        let shorter = whole.iter().skip(1).cloned().collect::<Vec<_>>();
        // A list of duties is full, others must not become empty.
        let changed = if path.ends_with("Duties") {
            [Some(shorter), None]
        } else {
            [Some(longer), (whole.len() > 1).then_some(shorter)]
        };
        for list in changed.into_iter().flatten() {
            let mut edited = spec.clone();
            *edited.pointer_mut(path).context("the list is where it was found")? = list.into();
            edits.push((path.to_owned(), edited));
        }
    }
    Ok(edits)
}

fn leaves(path: &str, value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(key, value)| leaves(&format!("{path}/{key}"), value, found));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, value)| leaves(&format!("{path}/{index}"), value, found));
        }
        _ => found.push(path.to_owned()),
    }
}

/// Another value that the schema accepts in the same place, so that nothing but immutability can refuse it.
fn other(path: &str, value: &Value) -> Result<Value> {
    if let Some(number) = value.as_i64() {
        return Ok(json!(number + 1));
    }
    let text = value.as_str().with_context(|| format!("{path} is neither a number nor a text"))?;
    let last = || format!("{}a", text.get(..text.len() - 1).unwrap_or_default());
    Ok(match text {
        "Commit" => "Draft".into(),
        // The same duty twice is another list.
        "Requester" => "Delegator".into(),
        "Delegator" => "Requester".into(),
        "POST" => "PUT".into(),
        "2h" | "15m" => format!("1{text}").into(),
        digest if digest.starts_with("sha256:") => last().into(),
        _ if path == "/traceparent" => last().into(),
        time if time.ends_with("00:00Z") => time.replace("00:00Z", "00:01Z").into(),
        _ => format!("{text}x").into(),
    })
}
