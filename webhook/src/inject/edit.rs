//! Changes to a pod as JSON: fields that this version does not know stay where they are.

use aegis_crds::mesh::{CALL_PORT, Parts, tool_variable};
use serde_json::{Map, Value, json};

use super::AgentFacts;
use super::check::{PREFIX, is_ours};

type Members = Map<String, Value>;

/// Proxy variables, in the spellings that programs look for.
const PROXY: [&str; 6] = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
/// Variables of what is reached without a proxy.
const NO_PROXY: [&str; 2] = ["NO_PROXY", "no_proxy"];
/// The pod itself, and so the base URLs.
const ITSELF: &str = "127.0.0.1,localhost,::1";

/// Tells the agent's containers where the sidecar is. A variable that a container sets itself is kept, and so is its
/// other spelling unset: a program that reads the one and a program that reads the other must not differ by our doing.
/// Ours come first, so that the container's own can refer to them.
pub(super) fn variables(pod: &mut Value, agent: &AgentFacts) {
    let base = format!("http://127.0.0.1:{CALL_PORT}");
    let mut wanted: Vec<(String, String)> =
        agent.tools.iter().map(|tool| (tool_variable(tool), format!("{base}/{tool}"))).collect();
    wanted.extend(PROXY.iter().map(|&name| (name.to_owned(), base.clone())));
    wanted.extend(NO_PROXY.iter().map(|&name| (name.to_owned(), ITSELF.to_owned())));
    for container in agents_containers(pod) {
        let own = container.get("env").and_then(Value::as_array).into_iter().flatten();
        let own: Vec<String> =
            own.filter_map(|variable| Some(variable.get("name")?.as_str()?.to_ascii_uppercase())).collect();
        let missing = wanted.iter().filter(|(name, _)| !own.contains(&name.to_ascii_uppercase()));
        let missing: Vec<Value> = missing.map(|(name, value)| json!({"name": name, "value": value})).collect();
        if !missing.is_empty() {
            in_list(container, "env", |env| drop(env.splice(0..0, missing)));
        }
    }
}

/// Fills in what the agent's containers leave open and level Captured asks for. What they say themselves stays, and
/// refuses the pod where it contradicts.
pub(super) fn harden(pod: &mut Value) {
    let said_by_pod = pod.pointer("/spec/securityContext/runAsNonRoot").is_some_and(|value| !value.is_null());
    for container in agents_containers(pod) {
        in_object(container, "securityContext", |context| {
            default(context, "allowPrivilegeEscalation", false);
            if !said_by_pod {
                default(context, "runAsNonRoot", true);
            }
            in_object(context, "capabilities", |capabilities| {
                in_list(capabilities, "drop", |names| {
                    if !names.iter().any(|name| name == "ALL") {
                        names.push(json!("ALL"));
                    }
                });
            });
        });
    }
}

/// Takes from containers that say nothing of capabilities the one by which root reads all packets of the pod, among them
/// what the sidecar sends to tools without TLS. Those that ask for capabilities, or for all by `privileged`, keep them.
pub(super) fn deafen(pod: &mut Value) {
    for container in agents_containers(pod) {
        in_object(container, "securityContext", |context| {
            let said = context.get("capabilities").is_some_and(|value| !value.is_null());
            if !said && context.get("privileged") != Some(&json!(true)) {
                context.insert("capabilities".to_owned(), json!({"drop": ["NET_RAW"]}));
            }
        });
    }
}

/// Our containers before all others, our volumes after all others.
pub(super) fn put_in(pod: &mut Value, parts: &Parts) {
    in_spec(pod, |spec| {
        let containers = parts.containers.iter().map(|container| json!(container));
        in_list(spec, "initContainers", |all| drop(all.splice(0..0, containers)));
        in_list(spec, "volumes", |all| all.extend(parts.volumes.iter().map(|volume| json!(volume))));
    });
}

/// The reverse of [`put_in`].
pub(super) fn take_out(pod: &mut Value) {
    let name = |item: &Value| item.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    in_spec(pod, |spec| {
        in_list(spec, "initContainers", |all| all.retain(|container| !is_ours(&name(container))));
        in_list(spec, "volumes", |all| all.retain(|volume| !name(volume).starts_with(PREFIX)));
    });
}

/// Sets an annotation.
pub(super) fn annotate(pod: &mut Value, name: &str, value: &str) {
    if let Some(pod) = pod.as_object_mut() {
        in_object(pod, "metadata", |metadata| {
            in_object(metadata, "annotations", |all| drop(all.insert(name.to_owned(), json!(value))));
        });
    }
}

/// The containers that are not ours.
fn agents_containers(pod: &mut Value) -> impl Iterator<Item = &mut Members> {
    let spec = pod.get_mut("spec").and_then(Value::as_object_mut);
    let lists = spec.into_iter().flat_map(|spec| spec.iter_mut());
    let lists = lists.filter(|(name, _)| matches!(name.as_str(), "initContainers" | "containers"));
    let containers = lists.filter_map(|(_, list)| list.as_array_mut()).flatten();
    containers
        .filter(|container| !container.get("name").and_then(Value::as_str).is_some_and(is_ours))
        .filter_map(Value::as_object_mut)
}

fn in_spec(pod: &mut Value, change: impl FnOnce(&mut Members)) {
    if let Some(pod) = pod.as_object_mut() {
        in_object(pod, "spec", change);
    }
}

/// Changes a member that is an object, made where there is none. The pod was parsed before: it is nothing else.
fn in_object(parent: &mut Members, name: &str, change: impl FnOnce(&mut Members)) {
    let slot = parent.entry(name.to_owned()).or_insert(Value::Null);
    if slot.is_null() {
        *slot = Value::Object(Map::new());
    }
    if let Value::Object(members) = slot {
        change(members);
    }
}

/// Changes a member that is a list, made where there is none. The pod was parsed before: it is nothing else.
fn in_list(parent: &mut Members, name: &str, change: impl FnOnce(&mut Vec<Value>)) {
    let slot = parent.entry(name.to_owned()).or_insert(Value::Null);
    if slot.is_null() {
        *slot = Value::Array(Vec::new());
    }
    if let Value::Array(items) = slot {
        change(items);
    }
}

/// Sets a member that is not set.
fn default(parent: &mut Members, name: &str, value: bool) {
    let slot = parent.entry(name.to_owned()).or_insert(Value::Null);
    if slot.is_null() {
        *slot = Value::Bool(value);
    }
}
