//! Resources become core values as a whole, and what is wrong is named by its field.

// Helpers of tests fail by panicking, as tests do; the table's values are made in the table.
#![allow(clippy::indexing_slicing, clippy::needless_pass_by_value, clippy::panic, clippy::unwrap_used)]

use aegis_crds::api::{Agent, ApprovalTier, Delegation, Registry, Tool, ToolPolicy};
use aegis_crds::gather::{Problem, bundle_source};
use aegis_crds::load::{LoadProblem, Resources, load};
use aegis_crds::lower::{self, Invalid};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use test_case::test_case;

const FULL: &str = include_str!("full.yaml");

fn full() -> Resources {
    load("full.yaml", FULL).unwrap()
}

/// The full object of a kind with one field changed (null takes it away).
fn changed<T: DeserializeOwned + Serialize + Clone>(object: &T, pointer: &str, value: Value) -> T {
    let mut document = serde_json::to_value(object).unwrap();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    match document.pointer_mut(parent).unwrap() {
        Value::Object(members) if value.is_null() => {
            members.shift_remove(key).unwrap();
        }
        Value::Object(members) => {
            members.insert(key.to_owned(), value);
        }
        Value::Array(items) if key == "-" => items.push(value),
        Value::Array(items) => items[key.parse::<usize>().unwrap()] = value,
        _ => panic!("{parent} has no members"),
    }
    serde_json::from_value(document).unwrap()
}

#[test]
fn everything_is_lowered() {
    let all = full();
    let source = bundle_source(&all.agents[0], &all.tools, &all.policies, &all.registries, &all.tiers).unwrap();
    insta::assert_yaml_snapshot!("bundle_source", source);
    let (_, standing) = lower::agent(&all.agents[0]).unwrap();
    insta::assert_yaml_snapshot!("standing", standing);
    insta::assert_yaml_snapshot!("delegation", lower::delegation(&all.delegations[0]).unwrap());
    insta::assert_yaml_snapshot!("context_parts", lower::context_parts(&all.requests[0]).unwrap());
}

#[test]
fn no_object_is_written_with_an_explicit_null() {
    let all = full();
    let mut objects = Vec::new();
    objects.extend(all.agents.iter().map(|one| serde_json::to_value(one).unwrap()));
    objects.extend(all.tools.iter().map(|one| serde_json::to_value(one).unwrap()));
    objects.extend(all.policies.iter().map(|one| serde_json::to_value(one).unwrap()));
    objects.extend(all.registries.iter().map(|one| serde_json::to_value(one).unwrap()));
    objects.extend(all.delegations.iter().map(|one| serde_json::to_value(one).unwrap()));
    objects.extend(all.tiers.iter().map(|one| serde_json::to_value(one).unwrap()));
    objects.extend(all.requests.iter().map(|one| serde_json::to_value(one).unwrap()));
    assert_eq!(objects.len(), 7);
    let bare: Vec<Value> = objects.iter().map(bare).collect();
    for object in objects.iter().chain(&bare) {
        let kind = object["kind"].as_str().unwrap().to_owned();
        let read = load("object", &serde_json::to_string(object).unwrap()).unwrap();
        let written = match kind.as_str() {
            "Agent" => serde_json::to_value(&read.agents[0]),
            "Tool" => serde_json::to_value(&read.tools[0]),
            "ToolPolicy" => serde_json::to_value(&read.policies[0]),
            "Registry" => serde_json::to_value(&read.registries[0]),
            "Delegation" => serde_json::to_value(&read.delegations[0]),
            "ApprovalTier" => serde_json::to_value(&read.tiers[0]),
            _ => serde_json::to_value(&read.requests[0]),
        }
        .unwrap();
        assert_eq!(first_null(&written, &kind), None);
    }
    let status = json!({});
    assert_eq!(written_status::<aegis_crds::api::AgentStatus>(&status), status);
    assert_eq!(written_status::<aegis_crds::api::ToolStatus>(&status), status);
    assert_eq!(written_status::<aegis_crds::api::ToolPolicyStatus>(&status), status);
    assert_eq!(written_status::<aegis_crds::api::RegistryStatus>(&status), status);
    assert_eq!(written_status::<aegis_crds::api::DelegationStatus>(&status), status);
    assert_eq!(written_status::<aegis_crds::api::ApprovalTierStatus>(&status), status);
    assert_eq!(written_status::<aegis_crds::api::ApprovalRequestStatus>(&status), status);
}

fn written_status<T: DeserializeOwned + Serialize>(status: &Value) -> Value {
    serde_json::to_value(serde_json::from_value::<T>(status.clone()).unwrap()).unwrap()
}

/// The object with every field taken away that its kind can do without.
fn bare(object: &Value) -> Value {
    let mut bare = object.clone();
    while let Some(smaller) = removals(&bare).into_iter().find(|smaller| load("object", &smaller.to_string()).is_ok()) {
        bare = smaller;
    }
    bare
}

fn removals(value: &Value) -> Vec<Value> {
    let mut found = Vec::new();
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                if matches!(key.as_str(), "apiVersion" | "kind" | "metadata") {
                    continue;
                }
                let mut without = members.clone();
                without.shift_remove(key);
                found.push(Value::Object(without));
                for smaller in removals(member) {
                    let mut with = members.clone();
                    with.insert(key.clone(), smaller);
                    found.push(Value::Object(with));
                }
            }
        }
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                for smaller in removals(item) {
                    let mut with = items.clone();
                    with[at] = smaller;
                    found.push(Value::Array(with));
                }
            }
        }
        _ => {}
    }
    found
}

fn first_null(value: &Value, at: &str) -> Option<String> {
    match value {
        Value::Null => Some(at.to_owned()),
        Value::Array(items) => items.iter().find_map(|item| first_null(item, &format!("{at}[]"))),
        Value::Object(members) => members.iter().find_map(|(key, value)| first_null(value, &format!("{at}.{key}"))),
        _ => None,
    }
}

#[test_case("/metadata/name", json!("a.b"), "metadata.name")]
#[test_case("/spec/tenant", json!("Acme"), "spec.tenant")]
#[test_case("/spec/businessUnit", json!("-x"), "spec.businessUnit")]
#[test_case("/spec/owner/name", json!(""), "spec.owner.name")]
#[test_case("/spec/version", json!(""), "spec.version")]
#[test_case("/spec/review", json!(null), "spec.review")]
#[test_case("/spec/review/digest", json!("sha256:xyz"), "spec.review.digest")]
#[test_case("/spec/review/expires", json!("2026-03-01T08:00:00Z"), "spec.review.expires")]
#[test_case("/spec/enforcement/maxStaleness", json!("11m"), "spec.enforcement.maxStaleness")]
#[test_case("/spec/tokens/ttl", json!("59s"), "spec.tokens.ttl")]
fn an_agent_is_invalid(pointer: &str, value: Value, field: &str) {
    let wrong: Agent = changed(&full().agents[0], pointer, value.clone());
    names(lower::agent(&wrong).unwrap_err(), field, &value);
}

#[test_case("/metadata/name", json!("aegis"), "metadata.name")]
#[test_case("/spec/endpoint", json!("https://u@h.example"), "spec.endpoint")]
#[test_case("/spec/endpoint", json!("http://h.example"), "spec.tls")]
#[test_case("/spec/headers/0/name", json!("host"), "spec.headers[0].name")]
#[test_case("/spec/headers/0/name", json!("aegis-run"), "spec.headers[0].name"; "own header")]
#[test_case("/spec/headers/0/name", json!("x-api-key"), "spec.headers[0].name"; "the credential's header")]
#[test_case("/spec/headers/0/value", json!("a\nb"), "spec.headers[0].value")]
#[test_case("/spec/headers/-", json!({"name": "x-tenant", "value": "b"}), "spec.headers[1].name")]
#[test_case("/spec/credential/secretRef/key", json!("../x"), "spec.credential.secretRef.key")]
#[test_case("/spec/credential/scheme", json!("two words"), "spec.credential.scheme")]
#[test_case("/spec/credential/name", json!("content-length"), "spec.credential.name")]
#[test_case("/spec/operations", json!([]), "spec.operations")]
#[test_case("/spec/operations/1/name", json!("orders.read"), "spec.operations[1].name")]
#[test_case("/spec/operations/1/name", json!("orders..read"), "spec.operations[1].name"; "empty word")]
#[test_case("/spec/operations/1/arguments", json!(null), "spec.operations[1].arguments")]
#[test_case("/spec/operations/1/arguments", json!({"type": "nothing"}), "spec.operations[1].arguments"; "no schema")]
#[test_case("/spec/operations/1/argumentsFrom", json!("body"), "spec.operations[1].argumentsFrom")]
#[test_case("/spec/operations/1/aliases", json!({"x": "a..b"}), "spec.operations[1].aliases.x")]
#[test_case("/spec/operations/1/dimensions/amount", json!("a..b"), "spec.operations[1].dimensions.amount")]
#[test_case("/spec/operations/1/dimensions/region", json!("$agent.name"), "spec.operations[1].dimensions.region")]
#[test_case("/spec/operations/1/http/path", json!("orders"), "spec.operations[1].http.path")]
#[test_case("/spec/operations/0/http/query/1/name", json!("fields"), "spec.operations[0].http.query[1].name")]
#[test_case("/spec/operations/1/facts/0/operation", json!("orders.confirm"), "spec.operations[1].facts[0].operation")]
#[test_case("/spec/operations/1/facts/0/paths", json!([]), "spec.operations[1].facts[0].paths")]
#[test_case("/spec/operations/1/facts/0/arguments/id", json!({}), "spec.operations[1].facts[0].arguments.id")]
#[test_case("/spec/operations/1/facts/0/arguments/id", json!({"from": "id", "value": "1"}), "spec.operations[1].facts[0].arguments.id"; "two sources")]
#[test_case("/spec/operations/1/record/clear/0", json!("$clock.x"), "spec.operations[1].record.clear[0]")]
#[test_case("/spec/operations/1/sensitive/0", json!("a["), "spec.operations[1].sensitive[0]")]
#[test_case("/spec/operations/1/response/redact/0/path", json!("a["), "spec.operations[1].response.redact[0].path")]
#[test_case("/spec/operations/1/response/redact/0/path", json!(null), "spec.operations[1].response.redact[0].path"; "no path")]
#[test_case("/spec/operations/1/response/redact/0/remove", json!(true), "spec.operations[1].response.redact[0]"; "two redactions")]
#[test_case("/spec/operations/1/response/redact/1/remove", json!(false), "spec.operations[1].response.redact[1].remove")]
#[test_case("/spec/operations/1/response/redact/2/path", json!("internal"), "spec.operations[1].response.redact[2]"; "one place in two ways")]
#[test_case("/spec/operations/1/response/redact/3/pattern", json!("[0-9]+"), "spec.operations[1].response.redact[3].pattern")]
#[test_case("/spec/operations/1/timeout", json!("6m"), "spec.operations[1].timeout")]
#[test_case("/spec/limits/concurrency", json!(0), "spec.limits.concurrency")]
fn a_tool_is_invalid(pointer: &str, value: Value, field: &str) {
    let wrong: Tool = changed(&full().tools[0], pointer, value.clone());
    names(lower::tool(&wrong).unwrap_err(), field, &value);
}

#[test_case("/spec/tools", json!([]), "spec.tools")]
#[test_case("/spec/agents", json!([]), "spec.agents")]
#[test_case("/spec/rules", json!([]), "spec.rules")]
#[test_case("/spec/rules/1/name", json!("reading"), "spec.rules[1].name")]
#[test_case("/spec/rules/0/unconditional", json!(null), "spec.rules[0].when")]
#[test_case("/spec/rules/1/unconditional", json!(true), "spec.rules[1].when"; "checks and unconditional")]
#[test_case("/spec/rules/2/approval", json!(null), "spec.rules[2].approval")]
#[test_case("/spec/rules/1/approval", json!({"tier": "finance"}), "spec.rules[1].approval"; "approval of an allow")]
#[test_case("/spec/rules/2/approval/hold", json!("6m"), "spec.rules[2].approval.hold")]
#[test_case("/spec/rules/5/sanitize", json!([]), "spec.rules[5].sanitize")]
#[test_case("/spec/rules/5/approval", json!({"tier": "finance"}), "spec.rules[5].approval"; "approval of a sanitizer")]
#[test_case("/spec/rules/5/effect", json!("Allow"), "spec.rules[5].sanitize"; "transforms of an allow")]
#[test_case("/spec/rules/5/sanitize/0/field", json!("a["), "spec.rules[5].sanitize[0].field")]
#[test_case("/spec/rules/5/sanitize/0/remove", json!(null), "spec.rules[5].sanitize[0]"; "no action")]
#[test_case("/spec/rules/5/sanitize/0/remove", json!(false), "spec.rules[5].sanitize[0].remove"; "no removal")]
#[test_case("/spec/rules/5/sanitize/1/mask", json!({}), "spec.rules[5].sanitize[1]"; "two actions")]
#[test_case("/spec/rules/5/sanitize/4/set", json!({}), "spec.rules[5].sanitize[4].set"; "no value")]
#[test_case("/spec/rules/5/sanitize/4/set/integer", json!(5), "spec.rules[5].sanitize[4].set"; "two values")]
#[test_case("/spec/rules/1/reason", json!("Small order"), "spec.rules[1].reason")]
#[test_case("/spec/rules/1/operations", json!(["*", "orders.read"]), "spec.rules[1].operations")]
#[test_case("/spec/rules/1/when/0/currency", json!(null), "spec.rules[1].when[0].currency")]
#[test_case("/spec/rules/1/when/1/currency", json!("EUR"), "spec.rules[1].when[1].currency"; "currency without bound")]
#[test_case("/spec/rules/1/when/0/atMost", json!("5,000"), "spec.rules[1].when[0].atMost")]
#[test_case("/spec/rules/1/when/0/atMost", json!(null), "spec.rules[1].when[0]"; "no predicate")]
#[test_case("/spec/rules/1/when/1/prefix", json!("s"), "spec.rules[1].when[1]"; "two predicates")]
#[test_case("/spec/rules/1/when/2/field", json!("a b"), "spec.rules[1].when[2].field")]
#[test_case("/spec/rules/3/when/9/exists", json!(false), "spec.rules[3].when[9].exists")]
#[test_case("/spec/rules/3/when/13/sumEquals/of", json!(""), "spec.rules[3].when[13].sumEquals.of")]
#[test_case("/spec/rules/3/when/14/sumAtMost/field", json!("b"), "spec.rules[3].when[14].sumAtMost")]
#[test_case("/spec/rules/3/when/15/registryField/key", json!("$x.y"), "spec.rules[3].when[15].registryField.key")]
#[test_case("/spec/rules/4/when/0/document/key", json!("$x.y"), "spec.rules[4].when[0].document.key")]
#[test_case("/spec/rules/4/when/0/document/name", json!("an insurance"), "spec.rules[4].when[0].document.name")]
#[test_case("/spec/rules/4/when/1/hostIn", json!({}), "spec.rules[4].when[1].hostIn")]
#[test_case("/spec/rules/4/when/1/hostIn/names/1", json!(""), "spec.rules[4].when[1].hostIn.names[1]")]
#[test_case("/spec/rules/4/when/2/within", json!({"timeZone": "UTC"}), "spec.rules[4].when[2].within")]
#[test_case("/spec/rules/4/when/2/within/days/1", json!("Mon"), "spec.rules[4].when[2].within.days[1]")]
#[test_case("/spec/rules/4/when/2/within/timeZone", json!(""), "spec.rules[4].when[2].within.timeZone")]
#[test_case("/spec/rules/0/name", json!("rego"), "spec.rules[0].name"; "the name of what a module says")]
#[test_case("/spec/rego/module", json!("package aegis\n\nverdicts contains 1 if rand.intn(\"x\", 2) == 1\n"), "spec.rego.module"; "a function that is not available")]
#[test_case("/spec/rego/module", json!("package other\n"), "spec.rego.module"; "another package")]
#[test_case("/spec/rego/module", json!(""), "spec.rego.module"; "no module")]
#[test_case("/spec/rego/tiers/0", json!("Finance"), "spec.rego.tiers[0]")]
#[test_case("/spec/tests/-", json!({"name": "small-order-goes", "call": {"tool": "shop", "operation": "x"}, "expect": {"verdict": "Deny"}}), "spec.tests[1].name")]
#[test_case("/spec/provenance/0/field", json!("$delegation.name"), "spec.provenance[0].field")]
#[test_case("/spec/provenance/0/from", json!([]), "spec.provenance[0].from")]
#[test_case("/spec/provenance/0/from/0", json!("Mail"), "spec.provenance[0].from[0]")]
#[test_case("/spec/provenance/0/from/2", json!("Registry:payees"), "spec.provenance[0].from[2]")]
#[test_case("/spec/provenance/0/from/3", json!("Response:Shop"), "spec.provenance[0].from[3]")]
#[test_case("/spec/provenance/0/approval", json!(null), "spec.provenance[0].approval")]
#[test_case("/spec/provenance/1/approval", json!({"tier": "finance"}), "spec.provenance[1].approval")]
#[test_case("/spec/provenance/1/operations", json!([]), "spec.provenance[1].operations")]
#[test_case("/spec/rollout", json!({"percent": 10}), "spec.rollout"; "a share of a policy that sanitizes")]
fn a_policy_is_invalid(pointer: &str, value: Value, field: &str) {
    let wrong: ToolPolicy = changed(&full().policies[0], pointer, value.clone());
    names(lower::policy(&wrong).unwrap_err(), field, &value);
}

#[test_case("/spec/key", json!("supplier id"), "spec.key")]
#[test_case("/spec/entries/1/id", json!("s-1"), "spec.entries[1].id")]
#[test_case("/spec/entries/1/id", json!(""), "spec.entries[1].id"; "empty id")]
#[test_case("/spec/entries/1/attributes", json!({"iban": []}), "spec.entries[1].attributes.iban")]
#[test_case("/spec/entries/0/documents/0/name", json!("an insurance"), "spec.entries[0].documents[0].name")]
#[test_case("/spec/entries/0/documents/0/validUntil", json!("2026-01-01T00:00:00Z"), "spec.entries[0].documents[0].validUntil")]
fn a_registry_is_invalid(pointer: &str, value: Value, field: &str) {
    let wrong: Registry = changed(&full().registries[0], pointer, value.clone());
    names(lower::registry(&wrong).unwrap_err(), field, &value);
}

#[test_case("/spec/agent", json!("Buyer"), "spec.agent")]
#[test_case("/spec/delegator", json!(""), "spec.delegator")]
#[test_case("/spec/requester", json!(""), "spec.requester")]
#[test_case("/spec/workflow", json!("a b"), "spec.workflow")]
#[test_case("/spec/purpose", json!(""), "spec.purpose")]
#[test_case("/spec/request", json!(""), "spec.request")]
#[test_case("/spec/inputs", json!({"a b": "1"}), "spec.inputs")]
#[test_case("/spec/inputs", json!({"a": ""}), "spec.inputs.a"; "empty input")]
#[test_case("/spec/data/0/in", json!([]), "spec.data[0]")]
#[test_case("/spec/data/0/in/0", json!(""), "spec.data[0].in[0]")]
#[test_case("/spec/data/0/atMost", json!("1"), "spec.data[0]"; "two bounds")]
#[test_case("/spec/data/0/currency", json!("EUR"), "spec.data[0].currency"; "currency without an amount")]
#[test_case("/spec/data/1/atMost", json!("1e3"), "spec.data[1].atMost")]
#[test_case("/spec/data/1/currency", json!("eur"), "spec.data[1].currency")]
#[test_case("/spec/grants", json!([]), "spec.grants")]
#[test_case("/spec/grants/0/tool", json!("Shop"), "spec.grants[0].tool")]
#[test_case("/spec/grants/0/operations", json!([]), "spec.grants[0].operations")]
#[test_case("/spec/expiresAt", json!("2026-04-01T00:00:00Z"), "spec.expiresAt")]
#[test_case("/spec/expiresAt", json!("2026-06-30T00:00:01Z"), "spec.expiresAt"; "longer than 90 days")]
fn a_delegation_is_invalid(pointer: &str, value: Value, field: &str) {
    let wrong: Delegation = changed(&full().delegations[0], pointer, value.clone());
    names(lower::delegation(&wrong).unwrap_err(), field, &value);
}

#[test]
fn a_delegation_of_a_server_needs_its_stamp() {
    let mut unstamped = full().delegations.remove(0);
    unstamped.spec.requested_by = None;
    assert_eq!(lower::delegation(&unstamped).unwrap().requested_by, "ana", "never on a server: its delegator");
    unstamped.metadata.uid = Some("33333333-3333-3333-3333-333333333333".to_owned());
    assert_eq!(lower::delegation(&unstamped).unwrap_err().field, "spec.requestedBy");
}

#[test_case("/spec/minimum", json!(2), "spec.minimum")]
#[test_case("/spec/decideWithin", json!("169h"), "spec.decideWithin")]
#[test_case("/spec/releaseTTL", json!("25h"), "spec.releaseTTL")]
fn a_tier_is_invalid(pointer: &str, value: Value, field: &str) {
    let wrong: ApprovalTier = changed(&full().tiers[0], pointer, value.clone());
    names(lower::tier(&wrong).unwrap_err(), field, &value);
}

fn names(invalid: Invalid, field: &str, value: &Value) {
    assert_eq!(invalid.field, field, "{invalid}");
    assert!(!invalid.reason.is_empty());
    if let Some(text) = value.as_str().filter(|text| text.len() > 4 && *text != "aegis") {
        assert!(!invalid.reason.contains(text), "the value is repeated: {invalid}");
    }
}

#[test]
fn an_agent_gets_the_policies_that_select_it_and_what_they_name() {
    let all = full();
    let mut other = all.policies[0].clone();
    other.metadata.name = Some("others".to_owned());
    other.spec.agents = Some(vec!["seller".to_owned()]);
    other.spec.tools = vec!["nowhere".to_owned()];
    let mut elsewhere = all.policies[0].clone();
    elsewhere.metadata.name = Some("elsewhere".to_owned());
    elsewhere.metadata.namespace = Some("other".to_owned());
    elsewhere.spec.agents = None;
    let mut unnamed = all.tools[0].clone();
    unnamed.metadata.name = Some("unnamed".to_owned());
    unnamed.spec.endpoint = "nonsense".to_owned();

    let policies = [other, elsewhere, all.policies[0].clone()];
    let tools = [unnamed, all.tools[0].clone()];
    let source = bundle_source(&all.agents[0], &tools, &policies, &all.registries, &all.tiers).unwrap();
    assert_eq!(source.policies.iter().map(|policy| policy.name.as_str()).collect::<Vec<_>>(), ["orders"]);
    assert_eq!(source.tools.iter().map(|tool| tool.name.as_str()).collect::<Vec<_>>(), ["shop"]);
}

#[test]
fn an_absent_list_of_agents_selects_every_agent() {
    let all = full();
    let mut policy = all.policies[0].clone();
    policy.spec.agents = None;
    let source = bundle_source(&all.agents[0], &all.tools, [&policy], &all.registries, &all.tiers).unwrap();
    assert_eq!(source.policies.len(), 1);
}

#[test_case("Tool", "spec.tools[0]")]
#[test_case("Registry", "spec.registries[0]")]
#[test_case("ApprovalTier", "spec.rules[2].approval.tier")]
fn a_missing_reference_names_who_misses_what(missing: &str, expected: &str) {
    let mut all = full();
    match missing {
        "Tool" => all.tools.clear(),
        "Registry" => all.registries.clear(),
        _ => all.tiers.clear(),
    }
    let error = bundle_source(&all.agents[0], &all.tools, &all.policies, &all.registries, &all.tiers).unwrap_err();
    assert_eq!(
        (error.kind, error.name.as_str(), error.problem.reason()),
        ("ToolPolicy", "orders", "ReferenceNotFound")
    );
    let Problem::ReferenceNotFound { field, kind, .. } = error.problem else { panic!("{error}") };
    assert_eq!((field.as_str(), kind), (expected, missing));
}

#[test]
fn an_invalid_resource_that_is_named_refuses_the_bundle() {
    let mut all = full();
    all.tools[0].spec.endpoint = "nonsense".to_owned();
    let error = bundle_source(&all.agents[0], &all.tools, &all.policies, &all.registries, &all.tiers).unwrap_err();
    assert_eq!((error.kind, error.name.as_str(), error.problem.reason()), ("Tool", "shop", "Invalid"));
}

#[test]
fn lists_are_read_and_other_groups_are_named() {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "shop-key"}},
        full().tiers[0],
    ]});
    let read = load("list", &list.to_string()).unwrap();
    assert_eq!(read.tiers, full().tiers);
    assert_eq!(read.others, ["Secret/shop-key"]);
}

#[test_case("a: [", "is not YAML"; "no yaml")]
#[test_case("- 1", "apiVersion is missing"; "no object")]
#[test_case("apiVersion: aegis.dev/v1\nkind: Agent\nmetadata: {name: x}", "only v1alpha1 exists"; "version")]
#[test_case("apiVersion: aegis.dev/v1alpha1\nkind: Agnt\nmetadata: {name: x}", "has a kind that"; "kind")]
#[test_case("apiVersion: aegis.dev/v1alpha1\nkind: Agent\nspec: {}", "metadata.name is missing"; "name")]
#[test_case("apiVersion: aegis.dev/v1alpha1\nkind: Registry\nmetadata: {name: x}\nspec: {}", "Registry x: missing field `key`"; "missing")]
#[test_case("apiVersion: aegis.dev/v1alpha1\nkind: Registry\nmetadata: {name: x}\nspec: {key: k, entires: [{id: a}]}", "Registry x: spec.entires: is a field"; "typo")]
#[test_case("apiVersion: aegis.dev/v1alpha1\nkind: Registry\nmetadata: {name: x}\nspec: {key: k, entries: [{id: a, iban: [b]}]}", "spec.entries[0].iban: is a field"; "typo in a list")]
fn what_cannot_be_read_is_named(text: &str, expected: &str) {
    let error = load("some.yaml", text).unwrap_err();
    let message = error.to_string();
    assert!(message.starts_with("some.yaml: ") && message.contains(expected), "{message}");
}

#[test]
fn the_same_object_twice_is_refused() {
    let error = load("full.yaml", &format!("{FULL}\n---\n{FULL}")).unwrap_err();
    assert_eq!(error.document, Some(8));
    assert_eq!(error.problem, LoadProblem::Twice { kind: "Agent".to_owned(), name: "buyer".to_owned() });
}

/// A policy without Sanitize rules.
fn plain_policy(mode: &str, rollout: Value) -> ToolPolicy {
    serde_json::from_value(json!({
        "apiVersion": "aegis.dev/v1alpha1", "kind": "ToolPolicy", "metadata": {"name": "new"},
        "spec": {"tools": ["shop"], "mode": mode, "rollout": rollout,
                 "rules": [{"name": "all", "operations": ["*"], "unconditional": true, "effect": "Allow"}]},
    }))
    .unwrap()
}

#[test_case("Audit", json!({"percent": 10}), "spec.rollout"; "of an audit policy")]
#[test_case("Enforce", json!({"percent": 101}), "spec.rollout.percent"; "over all runs")]
#[test_case("Enforce", json!({"percent": 10, "replaces": "new"}), "spec.rollout.replaces"; "in place of itself")]
fn a_rollout_is_invalid(mode: &str, rollout: Value, field: &str) {
    assert_eq!(lower::policy(&plain_policy(mode, rollout)).unwrap_err().field, field);
}

#[test]
fn a_policy_that_is_replaced_must_exist() {
    let mut all = full();
    all.policies.push(plain_policy("Enforce", json!({"percent": 10, "replaces": "old"})));
    let gather =
        |all: &Resources| bundle_source(&all.agents[0], &all.tools, &all.policies, &all.registries, &all.tiers);
    let fault = gather(&all).unwrap_err();
    assert_eq!((fault.kind, fault.name.as_str()), ("ToolPolicy", "new"));
    let Problem::ReferenceNotFound { field, kind, name } = fault.problem else { panic!("{:?}", fault.problem) };
    assert_eq!((field.as_str(), kind, name.as_str()), ("spec.rollout.replaces", "ToolPolicy", "old"));
    let mut old = plain_policy("Audit", Value::Null);
    old.metadata.name = Some("old".to_owned());
    all.policies.push(old);
    assert_eq!(gather(&all).unwrap().policies.len(), 3);
}
