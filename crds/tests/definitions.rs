//! The generated definitions are fresh, and every field of every kind is described and bounded.

// Helpers of tests fail by panicking, as tests do.
#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

#[path = "support/fresh.rs"]
mod fresh;

use aegis_crds::definitions::{definitions, files};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::Value;

/// With `AEGIS_BLESS=1` writes the files; without, fails where one differs.
#[test]
fn generated_files_are_fresh() {
    fresh::assert_fresh("generated", files().unwrap());
}

#[test]
fn yaml_says_what_the_definitions_say() {
    for (crd, (name, text)) in definitions().unwrap().into_iter().zip(files().unwrap()) {
        let read: CustomResourceDefinition = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(read, crd, "{name}");
    }
}

#[test]
fn every_field_is_described_and_bounded() {
    let mut faults = Vec::new();
    for crd in definitions().unwrap() {
        let name = crd.spec.names.kind.clone();
        let schema = serde_json::to_value(crd.spec.versions[0].schema.as_ref().unwrap()).unwrap();
        let root = &schema["openAPIV3Schema"];
        for part in ["spec", "status"] {
            inspect(&root["properties"][part], &format!("{name}.{part}"), part == "status", &mut faults);
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

fn inspect(node: &Value, path: &str, described: bool, faults: &mut Vec<String>) {
    let has = |key: &str| node.get(key).is_some();
    let mut demand = |holds: bool, what: &str| {
        if !holds {
            faults.push(format!("{path} has {what}"));
        }
    };
    demand(
        described || has("description") || path.split('.').nth(1) == Some("spec") && path.matches('.').count() == 1,
        "no description",
    );
    demand(!has("nullable"), "nullable");
    demand(!has("anyOf") && !has("oneOf"), "a union");
    if has("x-kubernetes-int-or-string") {
        demand(has("maxLength"), "no maxLength");
        return;
    }
    match node["type"].as_str() {
        Some("string") => demand(has("maxLength") || has("enum") || node["format"] == "date-time", "no bound"),
        Some("integer") => demand(has("minimum") && has("maximum"), "no minimum and maximum"),
        Some("boolean") => {}
        Some("array") => {
            demand(has("maxItems"), "no maxItems");
            inspect(&node["items"], &format!("{path}[]"), true, faults);
        }
        Some("object") if has("properties") => {
            for (name, property) in node["properties"].as_object().unwrap() {
                inspect(property, &format!("{path}.{name}"), false, faults);
            }
        }
        Some("object") if has("additionalProperties") => {
            demand(has("maxProperties"), "no maxProperties");
            let values = &node["additionalProperties"];
            if values.get("x-kubernetes-preserve-unknown-fields").is_none() {
                inspect(values, &format!("{path}.*"), true, faults);
            }
        }
        Some("object") => demand(has("x-kubernetes-preserve-unknown-fields"), "no shape"),
        None if has("x-kubernetes-preserve-unknown-fields") => {}
        other => faults.push(format!("{path} has type {other:?}")),
    }
}

#[test]
fn every_rule_says_what_is_wrong_and_where() {
    let mut rules = 0;
    for crd in definitions().unwrap() {
        let schema = serde_json::to_value(crd.spec.versions[0].schema.as_ref().unwrap()).unwrap();
        visit(&schema, &mut |rule| {
            rules += 1;
            assert!(rule["message"].as_str().is_some_and(|message| !message.is_empty()), "{rule}");
            assert!(rule["reason"].is_string(), "{rule}");
        });
    }
    assert!(rules > 40, "only {rules} rules were found");
}

fn visit(node: &Value, seen: &mut impl FnMut(&Value)) {
    match node {
        Value::Object(members) => {
            for (key, value) in members {
                match value {
                    Value::Array(rules) if key == "x-kubernetes-validations" => rules.iter().for_each(&mut *seen),
                    _ => visit(value, seen),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| visit(item, seen)),
        _ => {}
    }
}

#[test]
fn kinds_are_namespaced_and_in_the_category() {
    let short: Vec<(String, String)> = definitions()
        .unwrap()
        .iter()
        .map(|crd| {
            let names = &crd.spec.names;
            assert_eq!((crd.spec.group.as_str(), crd.spec.scope.as_str()), ("aegis.dev", "Namespaced"));
            assert_eq!(names.categories.as_deref(), Some(["aegis".to_owned()].as_slice()));
            assert!(crd.spec.versions[0].subresources.as_ref().unwrap().status.is_some());
            (names.plural.clone(), names.short_names.clone().unwrap().join(","))
        })
        .collect();
    let expected = [
        ("agents", "agt"),
        ("approvalrequests", "apr"),
        ("approvaltiers", "tier"),
        ("delegations", "dlg"),
        ("registries", "areg"),
        ("toolpolicies", "tpol"),
        ("tools", "tool"),
    ];
    assert_eq!(short, expected.map(|(plural, name)| (plural.to_owned(), name.to_owned())));
}
