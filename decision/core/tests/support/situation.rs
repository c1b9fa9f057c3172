//! Resources, call and evidence of a case: the fixture, with whole keys replaced by the file's and the case's own.
//!
//! Short forms, each filled up to the core type: a delegation, tool, policy, registry or rule needs only what differs.

use std::collections::BTreeMap;

use aegis_decision::agent::{Agent, Lifecycle, Review, Standing};
use aegis_decision::bundle::{AssembleError, Bundle, BundleSource};
use aegis_decision::contract::{DecisionInput, HttpInput};
use aegis_decision::delegation::Delegation;
use aegis_decision::digest::Digest;
use aegis_decision::json;
use aegis_decision::policy::Policy;
use aegis_decision::registry::Registry;
use aegis_decision::run::RunView;
use aegis_decision::tier::Tier;
use aegis_decision::tool::Tool;
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

const FIXTURE: &str = include_str!("../fixture.yaml");

/// Keys as written in YAML. Later ones replace earlier ones as a whole, but `agent`, `tool` and `operations`, which are
/// merged key by key (`null` takes a key away).
#[derive(Debug, Clone)]
pub struct Situation(Map<String, Value>);

/// All keys that a situation may have.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Given {
    now: Timestamp,
    agent: Agent,
    standing: StandingGiven,
    tool: Map<String, Value>,
    operations: BTreeMap<String, Map<String, Value>>,
    delegations: Vec<Map<String, Value>>,
    tiers: Vec<Value>,
    registries: Vec<Registry>,
    rules: Vec<Map<String, Value>>,
    #[serde(default)]
    policies: Vec<Map<String, Value>>,
    #[serde(default)]
    facts: BTreeMap<String, Value>,
    #[serde(default)]
    run_view: Option<RunView>,
    call: CallGiven,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StandingGiven {
    lifecycle: Lifecycle,
    review: ReviewGiven,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
enum ReviewGiven {
    /// Of the agent as it is, without end.
    Valid,
    /// Not given.
    None,
    /// Of another configuration.
    Other,
    /// Of the agent as it is, until then.
    Until(Timestamp),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CallGiven {
    #[serde(default)]
    agent: Option<String>,
    #[serde(default)]
    tool: Option<String>,
    /// By name.
    #[serde(default)]
    operation: Option<String>,
    #[serde(default)]
    arguments: Option<Value>,
    /// Arguments as JSON text, for what YAML cannot say.
    #[serde(default)]
    json: Option<String>,
    #[serde(default)]
    delegation: Option<String>,
    #[serde(default)]
    run: Option<String>,
    /// As a request: `POST /orders?x=y`.
    #[serde(default)]
    http: Option<String>,
    #[serde(default)]
    headers: Vec<(String, String)>,
    #[serde(default)]
    body: String,
}

/// A situation, ready to be judged.
pub struct Scene {
    pub bundle: Bundle,
    pub input: DecisionInput,
    pub standing: Standing,
    pub delegations: Vec<Delegation>,
}

impl Situation {
    /// The fixture.
    pub fn fixture() -> Self {
        Self(yaml(FIXTURE).expect("fixture.yaml is YAML"))
    }

    /// With keys replaced.
    pub fn with(&self, keys: &Map<String, Value>) -> Self {
        let mut merged = self.0.clone();
        for (key, value) in keys {
            match merged.get_mut(key) {
                Some(old) if matches!(key.as_str(), "agent" | "tool" | "operations") => {
                    merge(old, value, if key == "operations" { 2 } else { 1 });
                }
                _ => {
                    merged.insert(key.clone(), value.clone());
                }
            }
        }
        Self(merged)
    }

    /// Assembles and reads everything; tells when the bundle is refused.
    pub fn scene(&self) -> Result<Scene, AssembleError> {
        let given = self.given();
        let bundle = Bundle::assemble(given.source())?;
        let standing = given.standing(bundle.agent());
        Ok(Scene { input: given.input(), delegations: given.delegations(), standing, bundle })
    }

    fn given(&self) -> Given {
        read("situation", self.0.clone())
    }
}

impl Given {
    fn source(&self) -> BundleSource {
        let mut tool = self.tool.clone();
        let operations = self
            .operations
            .iter()
            .map(|(name, operation)| filled(operation, json!({"name": name, "timeoutSeconds": 10})));
        tool.insert("operations".to_owned(), Value::Array(operations.collect()));
        let tool: Tool = read("tool", Value::Object(tool));

        let mut policies = Vec::new();
        if !self.rules.is_empty() {
            policies.push(policy(&Map::new(), &self.rules, &tool.name));
        }
        for given in &self.policies {
            let rules: Vec<Map<String, Value>> = read("rules", given.get("rules").cloned().unwrap_or_default());
            policies.push(policy(given, &rules, &tool.name));
        }
        BundleSource {
            agent: self.agent.clone(),
            tools: vec![tool],
            policies,
            registries: self.registries.clone(),
            tiers: self.tiers.iter().map(tier).collect(),
        }
    }

    fn standing(&self, agent: &Agent) -> Standing {
        let review = |digest, expires| Review {
            by: "rita@acme.example".to_owned(),
            at: "2026-01-01T00:00:00Z".parse().unwrap(),
            expires,
            digest,
        };
        let review = match self.standing.review {
            ReviewGiven::Valid => Some(review(agent.review_digest(), None)),
            ReviewGiven::None => None,
            ReviewGiven::Other => Some(review(Digest::of_bytes(b"another configuration"), None)),
            ReviewGiven::Until(end) => Some(review(agent.review_digest(), Some(end))),
        };
        Standing { lifecycle: self.standing.lifecycle, review }
    }

    fn delegations(&self) -> Vec<Delegation> {
        let default = |given: &Map<String, Value>| {
            let name = given.get("name").and_then(Value::as_str).unwrap_or("d1");
            json!({
                "name": name, "uid": format!("uid-of-{name}"), "generation": 1, "agent": "buyer",
                "requestedBy": "dora@acme.example", "delegator": "dora@acme.example", "workflow": "restock",
                "purpose": "paper for the shops", "grants": [{"tool": "shop", "operations": ["*"]}],
                "notBefore": "2026-01-01T00:00:00Z", "expiresAt": "2027-01-01T00:00:00Z",
            })
        };
        self.delegations.iter().map(|given| read("delegation", filled(given, default(given)))).collect()
    }

    fn input(&self) -> DecisionInput {
        let call = &self.call;
        let http = call.http.as_ref().map(|line| {
            let (method, target) = line.split_once(' ').expect("http: METHOD /path?query");
            let (path, query) = match target.split_once('?') {
                Some((path, query)) => (path, Some(query.to_owned())),
                None => (target, None),
            };
            let mut headers = call.headers.clone();
            if !call.body.is_empty() && !headers.iter().any(|(name, _)| name == "content-type") {
                headers.push(("content-type".to_owned(), "application/json".to_owned()));
            }
            let (method, path) = (method.to_owned(), path.to_owned());
            HttpInput { method, path, query, headers, body: call.body.clone() }
        });
        let by_name = http.is_none();
        let arguments = call.json.clone().or_else(|| call.arguments.as_ref().map(Value::to_string));
        DecisionInput {
            agent: call.agent.clone().unwrap_or_else(|| "team-a/buyer".to_owned()),
            tool: call.tool.clone().unwrap_or_else(|| "shop".to_owned()),
            http,
            operation: call.operation.clone().or_else(|| by_name.then(|| "orders.create".to_owned())),
            arguments: arguments.map(|text| json::parse(text.as_bytes()).expect("arguments are strict JSON")),
            delegation: call.delegation.clone(),
            run: call.run.clone(),
            facts: self
                .facts
                .iter()
                .map(|(name, fact)| (name.clone(), json::parse(fact.to_string().as_bytes()).expect("a fact is JSON")))
                .collect(),
            run_view: self.run_view.clone(),
            at: self.now,
        }
    }
}

fn policy(given: &Map<String, Value>, rules: &[Map<String, Value>], tool: &str) -> Policy {
    let rules: Vec<Value> =
        rules.iter().map(|rule| filled(rule, json!({"name": "rule", "operations": ["orders.create"]}))).collect();
    let mut policy = filled(given, json!({"name": "p", "tools": [tool], "registries": ["suppliers"]}));
    if let Value::Object(members) = &mut policy {
        members.insert("rules".to_owned(), Value::Array(rules));
    }
    read("policy", policy)
}

fn tier(given: &Value) -> Tier {
    let (name, own) = match given {
        Value::String(name) => (name.as_str(), Map::new()),
        Value::Object(own) => (own.get("name").and_then(Value::as_str).unwrap_or("manager"), own.clone()),
        other => panic!("a tier is a name or an object, not {other}"),
    };
    let default = json!({
        "name": name, "minimum": 1, "separationOfDuties": ["Requester"],
        "decideWithinSeconds": 3600, "releaseTtlSeconds": 900,
    });
    read("tier", filled(&own, default))
}

fn filled(own: &Map<String, Value>, default: Value) -> Value {
    let Value::Object(mut members) = default else { panic!("a default is an object") };
    members.extend(own.clone());
    Value::Object(members)
}

fn merge(old: &mut Value, new: &Value, depth: usize) {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) if depth > 0 => {
            for (key, value) in new {
                if value.is_null() {
                    old.remove(key);
                } else {
                    merge(old.entry(key.clone()).or_insert(Value::Null), value, depth - 1);
                }
            }
        }
        (old, new) => *old = new.clone(),
    }
}

/// Reads YAML 1.2, where `n` and `on` are strings.
pub fn yaml<T: DeserializeOwned>(text: &str) -> Result<T, serde_saphyr::Error> {
    serde_saphyr::from_str_with_options(text, serde_saphyr::options! { strict_booleans: true })
}

/// Reads a core type or says what is wrong with the case.
pub fn read<T: DeserializeOwned>(what: &str, value: impl Into<Value>) -> T {
    let value = value.into();
    T::deserialize(&value).unwrap_or_else(|error| panic!("{what}: {error} in {value:#}"))
}
