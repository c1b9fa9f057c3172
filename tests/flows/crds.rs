//! The definitions on a real API server: every rule with what it refuses and what it accepts, every field that must not
//! change tried, and the largest objects that the bounds allow.

// Helpers of tests fail by panicking, as tests do.
#![allow(clippy::indexing_slicing)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use aegis_crds::api::{Agent, ApprovalRequest, ApprovalTier, Delegation, Registry, Tool, ToolPolicy};
use aegis_crds::definitions::definitions;
use aegis_tests::cluster::{Cluster, Options};
use anyhow::{Context, Result, bail, ensure};
use kube::api::PostParams;
use kube::core::DynamicObject;
use kube::discovery::ApiResource;
use kube::{Api, Client};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::sync::OnceCell;

const RULES: &str = include_str!("crds/rules.yaml");
const FULL: &str = include_str!("../../crds/tests/full.yaml");

/// A rule of a definition and what shows that it holds.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    rule: String,
    kind: String,
    on: Moment,
    #[serde(default)]
    before: Changes,
    refused: Vec<Changes>,
    accepted: Vec<Changes>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Moment {
    Create,
    Update,
    Status,
}

/// JSON pointer to new value; null takes a field away.
type Changes = BTreeMap<String, Value>;

/// A server of our own with the definitions: others put admission policies on the shared one.
async fn defined() -> Result<&'static Cluster> {
    static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();
    CLUSTER
        .get_or_try_init(|| async {
            let cluster = Cluster::start(Options::default()).await?;
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crds/generated");
            cluster.apply("admin", folder.as_path(), "aegis-crds-test").await?;
            Ok(cluster)
        })
        .await
}

struct Scene {
    client: Client,
    namespace: String,
}

impl Scene {
    async fn new(prefix: &str) -> Result<Self> {
        let cluster = defined().await?;
        let namespace = cluster.namespace(prefix).await?.name().to_owned();
        Ok(Self { client: cluster.admin().await?, namespace })
    }

    fn api(&self, kind: &str) -> Result<Api<DynamicObject>> {
        let resource = match kind {
            "Agent" => ApiResource::erase::<Agent>(&()),
            "Tool" => ApiResource::erase::<Tool>(&()),
            "ToolPolicy" => ApiResource::erase::<ToolPolicy>(&()),
            "Registry" => ApiResource::erase::<Registry>(&()),
            "Delegation" => ApiResource::erase::<Delegation>(&()),
            "ApprovalTier" => ApiResource::erase::<ApprovalTier>(&()),
            "ApprovalRequest" => ApiResource::erase::<ApprovalRequest>(&()),
            other => bail!("no kind {other}"),
        };
        Ok(Api::namespaced_with(self.client.clone(), &self.namespace, &resource))
    }

    /// Creates an object for good and returns it as stored; its status, if any, is stored after it.
    async fn store(&self, object: &Value) -> Result<Value> {
        let kind = object["kind"].as_str().context("no kind")?;
        let api = self.api(kind)?;
        let name = object["metadata"]["name"].as_str().context("no name")?;
        let created = api.create(&PostParams::default(), &serde_json::from_value(object.clone())?).await?;
        let mut stored = serde_json::to_value(created)?;
        if let Some(status) = object.get("status") {
            stored["status"] = status.clone();
            let written = serde_json::from_value(stored)?;
            stored = serde_json::to_value(api.replace_status(name, &PostParams::default(), &written).await?)?;
        }
        Ok(stored)
    }

    /// What the server says to an object without storing it: nothing when it accepts it.
    async fn try_it(&self, moment: Moment, object: &Value) -> Result<Option<String>> {
        let kind = object["kind"].as_str().context("no kind")?;
        let name = object["metadata"]["name"].as_str().context("no name")?;
        let api = self.api(kind)?;
        let typed: DynamicObject = serde_json::from_value(object.clone())?;
        let dry = PostParams { dry_run: true, ..PostParams::default() };
        let answer = match moment {
            Moment::Create => api.create(&dry, &typed).await,
            Moment::Update => api.replace(name, &dry, &typed).await,
            Moment::Status => api.replace_status(name, &dry, &typed).await,
        };
        match answer {
            Ok(_) => Ok(None),
            Err(kube::Error::Api(status)) if status.code == 422 => Ok(Some(status.message.clone())),
            Err(other) => Err(other.into()),
        }
    }
}

fn full(kind: &str) -> Result<Value> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(FULL)?;
    documents.into_iter().find(|document| document["kind"] == kind).with_context(|| format!("no full {kind}"))
}

fn changed(object: &Value, changes: &Changes) -> Result<Value> {
    let mut object = object.clone();
    for (pointer, value) in changes {
        let (parent, key) = pointer.rsplit_once('/').context("no pointer")?;
        match object.pointer_mut(parent).with_context(|| format!("{parent} is not there"))? {
            Value::Object(members) if value.is_null() => {
                members.remove(key).with_context(|| format!("{pointer} is not there"))?;
            }
            Value::Object(members) => {
                members.insert(key.to_owned(), value.clone());
            }
            Value::Array(items) => *items.get_mut(key.parse::<usize>()?).context("no such item")? = value.clone(),
            _ => bail!("{parent} has no members"),
        }
    }
    Ok(object)
}

#[tokio::test]
async fn every_rule_refuses_and_accepts() -> Result<()> {
    let rows: Vec<Row> = serde_saphyr::from_str(RULES)?;
    let scene = Scene::new("rules").await?;
    let mut faults = Vec::new();
    for (at, row) in rows.iter().enumerate() {
        ensure!(!row.refused.is_empty() && !row.accepted.is_empty(), "{} lacks a side", row.rule);
        let mut base = full(&row.kind)?;
        base["metadata"]["name"] = json!(format!("row-{at}"));
        let base = match row.on {
            Moment::Create => base,
            Moment::Update | Moment::Status => scene
                .store(&changed(&base, &row.before)?)
                .await
                .with_context(|| format!("row {at}, {}: the object before", row.rule))?,
        };
        for changes in &row.refused {
            match scene.try_it(row.on, &changed(&base, changes)?).await? {
                Some(message) if message.contains(&row.rule) => {}
                Some(message) => faults.push(format!("{} {changes:?}: refused otherwise: {message}", row.rule)),
                None => faults.push(format!("{} {changes:?}: was accepted", row.rule)),
            }
        }
        for changes in &row.accepted {
            if let Some(message) = scene.try_it(row.on, &changed(&base, changes)?).await? {
                faults.push(format!("{} {changes:?}: was refused: {message}", row.rule));
            }
        }
    }
    ensure!(faults.is_empty(), "{}", faults.join("\n"));
    Ok(())
}

#[test]
fn every_rule_is_in_the_table() -> Result<()> {
    let rows: Vec<Row> = serde_saphyr::from_str(RULES)?;
    let tried: BTreeSet<(String, String)> = rows.into_iter().map(|row| (row.kind, row.rule)).collect();
    let mut written = BTreeSet::new();
    for crd in definitions()? {
        let schema = serde_json::to_value(crd.spec.versions[0].schema.as_ref())?;
        collect_messages(&schema, &mut |message| {
            written.insert((crd.spec.names.kind.clone(), message.to_owned()));
        });
    }
    assert_eq!(tried, written);
    Ok(())
}

fn collect_messages(node: &Value, found: &mut impl FnMut(&str)) {
    match node {
        Value::Object(members) => {
            for (key, value) in members {
                if key == "x-kubernetes-validations" {
                    value
                        .as_array()
                        .into_iter()
                        .flatten()
                        .filter_map(|rule| rule["message"].as_str())
                        .for_each(&mut *found);
                } else {
                    collect_messages(value, found);
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect_messages(item, found)),
        _ => {}
    }
}

/// Fields that may change, tried in the table.
const MUTABLE: [(&str, &[&str]); 2] =
    [("ApprovalRequest", &["/spec/decision"]), ("Delegation", &["/spec/revoked", "/spec/expiresAt"])];

#[tokio::test]
async fn no_other_field_of_a_request_or_delegation_can_change() -> Result<()> {
    let scene = Scene::new("fixed").await?;
    for (kind, mutable) in MUTABLE {
        let stored = scene.store(&full(kind)?).await?;
        let mut attempts = 0;
        for (pointer, value) in nodes(&stored["spec"], "/spec") {
            if mutable.contains(&pointer.as_str()) {
                continue;
            }
            let mut immutable = false;
            for other in others(value) {
                let change = Changes::from([(pointer.clone(), other)]);
                let message = scene.try_it(Moment::Update, &changed(&stored, &change)?).await?;
                let message = message.with_context(|| format!("{kind} {change:?} was accepted"))?;
                immutable |= message.contains("immutable");
                attempts += 1;
            }
            ensure!(immutable, "{kind} {pointer}: no other value was refused because it is immutable");
        }
        ensure!(attempts > 30, "only {attempts} attempts on {kind}");
    }
    Ok(())
}

#[tokio::test]
async fn no_optional_field_of_a_request_or_delegation_can_be_added_later() -> Result<()> {
    let scene = Scene::new("added").await?;
    for (kind, optional) in [
        ("ApprovalRequest", ["/spec/preview", "/spec/traceparent"].as_slice()),
        ("Delegation", &["/spec/requestedBy", "/spec/requester", "/spec/request", "/spec/inputs", "/spec/data"]),
    ] {
        let whole = full(kind)?;
        let without = optional.iter().map(|pointer| ((*pointer).to_owned(), Value::Null)).collect();
        let stored = scene.store(&changed(&whole, &without)?).await?;
        for pointer in optional {
            let value = whole.pointer(pointer).context("not in the full object")?.clone();
            let change = Changes::from([((*pointer).to_owned(), value)]);
            let message = scene.try_it(Moment::Update, &changed(&stored, &change)?).await?;
            let message = message.with_context(|| format!("{kind} {pointer} was added"))?;
            ensure!(message.contains("immutable"), "{kind} {pointer}: {message}");
        }
    }
    Ok(())
}

/// The optional fields above are all that there are.
#[test]
fn optional_fields_of_requests_and_delegations_are_known() -> Result<()> {
    for (kind, optional) in [
        ("ApprovalRequest", ["decision", "preview", "traceparent"].as_slice()),
        ("Delegation", ["data", "inputs", "request", "requestedBy", "requester", "revoked"].as_slice()),
    ] {
        let crd = definitions()?.into_iter().find(|crd| crd.spec.names.kind == kind).context("no definition")?;
        let schema = serde_json::to_value(crd.spec.versions[0].schema.as_ref())?;
        let spec = &schema["openAPIV3Schema"]["properties"]["spec"];
        let all: BTreeSet<&str> =
            spec["properties"].as_object().into_iter().flat_map(Map::keys).map(String::as_str).collect();
        let required: BTreeSet<&str> =
            spec["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let found: Vec<&str> = all.difference(&required).copied().collect();
        assert_eq!(found, optional, "{kind}");
    }
    Ok(())
}

/// Every value inside with its pointer, the containers too.
fn nodes<'a>(value: &'a Value, pointer: &str) -> Vec<(String, &'a Value)> {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(members) => members.iter().map(|(key, value)| (key.clone(), value)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(at, value)| (at.to_string(), value)).collect(),
        _ => Vec::new(),
    };
    let mut found = Vec::new();
    for (key, child) in children {
        let at = format!("{pointer}/{key}");
        found.push((at.clone(), child));
        found.extend(nodes(child, &at));
    }
    found
}

/// Other values, some of which have the shape that the field demands.
fn others(value: &Value) -> Vec<Value> {
    match value {
        Value::Bool(truth) => vec![json!(!truth)],
        Value::Number(number) => vec![json!(number.as_i64().unwrap_or_default() + 1)],
        Value::String(text) => other_texts(text).into_iter().map(Value::from).collect(),
        Value::Array(items) => {
            let mut found: Vec<Value> = items
                .first()
                .map(|first| {
                    let mut more = items.clone();
                    more.push(first.clone());
                    json!(more)
                })
                .into_iter()
                .collect();
            found.push(json!(items.iter().skip(1).collect::<Vec<_>>()));
            found
        }
        Value::Object(members) => members
            .iter()
            .flat_map(|(key, value)| {
                others(value).into_iter().map(move |other| {
                    let mut more = members.clone();
                    more.insert(key.clone(), other);
                    Value::Object(more)
                })
            })
            .take(32)
            .collect(),
        Value::Null => Vec::new(),
    }
}

fn other_texts(text: &str) -> Vec<String> {
    let swapped = |from: char| match from {
        '0'..='8' => char::from_digit(from.to_digit(10).unwrap_or_default() + 1, 10).unwrap_or('0'),
        '9' => '0',
        'a'..='y' => 'z',
        'z' => 'a',
        'A'..='Y' => 'Z',
        _ => 'A',
    };
    let at = |index: usize| -> String {
        text.chars().enumerate().map(|(place, one)| if place == index { swapped(one) } else { one }).collect()
    };
    let last = text.chars().count().saturating_sub(1);
    let mut found = vec![at(0), at(last), at(last.saturating_sub(1))];
    found.extend(
        ["Read", "Draft", "Commit", "Requester", "Delegator", "account", "region"]
            .iter()
            .filter(|word| **word != text)
            .map(|word| (*word).to_owned()),
    );
    // A digest's and a trace's digits stand before their end.
    found.retain(|other| other != text);
    found
}

#[tokio::test]
async fn an_explicit_null_is_never_stored() -> Result<()> {
    let scene = Scene::new("nulls").await?;
    for (kind, pointer) in [
        ("Agent", "/spec/review/expires"),
        ("Tool", "/spec/tls/serverName"),
        ("ToolPolicy", "/spec/agents"),
        ("Delegation", "/spec/requester"),
        ("ApprovalRequest", "/spec/decision"),
    ] {
        let mut object = full(kind)?;
        let (parent, key) = pointer.rsplit_once('/').context("no pointer")?;
        object
            .pointer_mut(parent)
            .and_then(Value::as_object_mut)
            .context("no parent")?
            .insert(key.to_owned(), Value::Null);
        if let Some(message) = scene.try_it(Moment::Create, &object).await? {
            ensure!(message.contains("null"), "{kind} {pointer}: {message}");
        } else {
            let stored = scene.store(&object).await?;
            ensure!(stored.pointer(pointer).is_none(), "{kind} {pointer} was stored as null");
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_largest_policy_and_registry_are_accepted_and_larger_ones_refused() -> Result<()> {
    let scene = Scene::new("large").await?;
    let check = |at: usize| json!({"field": format!("lines[*].field{at}"), "in": ["a", "b", at]});
    let rule = |rule: usize, checks: usize| {
        json!({
            "name": format!("rule-{rule}"),
            "operations": ["orders.confirm"],
            "effect": "Allow",
            "when": (0..checks).map(check).collect::<Vec<_>>(),
        })
    };
    let policy = |rules: usize, checks: usize| -> Result<Value> {
        let rules: Vec<Value> = (0..rules).map(|at| rule(at, checks)).collect();
        changed(&full("ToolPolicy")?, &Changes::from([("/spec/rules".to_owned(), json!(rules))]))
    };
    ensure!(scene.try_it(Moment::Create, &policy(64, 16)?).await?.is_none(), "64 rules of 16 checks");
    ensure!(scene.try_it(Moment::Create, &policy(65, 1)?).await?.is_some(), "65 rules");
    ensure!(scene.try_it(Moment::Create, &policy(1, 17)?).await?.is_some(), "17 checks");

    let registry = |entries: usize| -> Result<Value> {
        let entries: Vec<Value> = (0..entries)
            .map(|at| json!({"id": format!("s-{at}"), "attributes": {"iban": ["DE89370400440532013000"]}}))
            .collect();
        changed(&full("Registry")?, &Changes::from([("/spec/entries".to_owned(), json!(entries))]))
    };
    ensure!(scene.try_it(Moment::Create, &registry(2000)?).await?.is_none(), "2000 entries");
    ensure!(scene.try_it(Moment::Create, &registry(2001)?).await?.is_some(), "2001 entries");
    Ok(())
}

#[tokio::test]
async fn names_in_lists_are_unique_and_amounts_are_exact() -> Result<()> {
    let scene = Scene::new("shapes").await?;
    for (kind, pointer, value, expected) in [
        ("ToolPolicy", "/spec/rules/1/name", json!("reading"), "Duplicate value"),
        ("Tool", "/spec/operations/1/name", json!("orders.read"), "Duplicate value"),
        ("Tool", "/spec/endpoint", json!("https://user:word@shop.example"), "spec.endpoint"),
        ("Tool", "/spec/endpoint", json!("https://shop.example/?q=1"), "spec.endpoint"),
        ("Tool", "/spec/unlisted", json!("Read"), "spec.unlisted"),
        ("ToolPolicy", "/spec/mode", json!("audit"), "spec.mode"),
        ("ToolPolicy", "/spec/rules/1/when/0/atMost", json!(5000.5), "atMost"),
        ("ToolPolicy", "/spec/rules/1/when/0/atMost", json!("5e3"), "atMost"),
        ("ToolPolicy", "/spec/rules/3/when/9/exists", json!(false), "exists"),
        ("Agent", "/spec/tenant", json!("Acme"), "spec.tenant"),
        ("Agent", "/spec/tokens/ttl", json!("5 min"), "spec.tokens.ttl"),
    ] {
        let object = changed(&full(kind)?, &Changes::from([(pointer.to_owned(), value)]))?;
        let message = scene.try_it(Moment::Create, &object).await?;
        let message = message.with_context(|| format!("{kind} {pointer} was accepted"))?;
        ensure!(message.contains(expected), "{kind} {pointer}: {message}");
    }
    Ok(())
}

#[tokio::test]
async fn kubectl_lists_every_kind_with_its_columns() -> Result<()> {
    let scene = Scene::new("columns").await?;
    for kind in ["Agent", "Tool", "ToolPolicy", "Registry", "Delegation", "ApprovalTier", "ApprovalRequest"] {
        scene.store(&full(kind)?).await?;
    }
    let output = defined().await?.kubectl("admin", &["get", "aegis", "-n", &scene.namespace]).await?;
    let printed = String::from_utf8(output.stdout)?;
    for line in [
        "TENANT LIFECYCLE CEILING MODE ENFORCEMENT READY REASON PROVEN AGE",
        "ENDPOINT OPERATIONS READY REASON AGE",
        "TOOLS MODE RULES READY REASON AGE",
        "KEY ENTRIES READY REASON AGE",
        "AGENT DELEGATOR WORKFLOW EXPIRES REVOKED READY REASON AGE",
        "MINIMUM DECIDE USE READY AGE",
        "AGENT TOOL OPERATION TIERS PHASE EXECUTION AGE",
    ] {
        let found = printed.lines().any(|printed| {
            let words: Vec<&str> = printed.split_whitespace().skip(1).collect();
            words.join(" ") == line
        });
        ensure!(found, "no heading {line} in\n{printed}");
    }
    let selected = defined()
        .await?
        .kubectl(
            "admin",
            &["get", "agt", "-n", &scene.namespace, "--field-selector", "spec.lifecycle=Active", "-o", "name"],
        )
        .await?;
    assert_eq!(String::from_utf8(selected.stdout)?.trim(), "agent.aegis.dev/buyer");
    Ok(())
}
