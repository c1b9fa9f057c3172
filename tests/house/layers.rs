//! Direct, normal dependencies against the table of ARCHITECTURE.md: Aegis crates by an allow-list, what a crate must
//! not know by a deny-list.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// Crate, Aegis crates it may depend on, other crates it must not depend on.
const TABLE: &[(&str, &[&str], &[&str])] = &[
    (
        "aegis-decision",
        &[],
        &[
            "tokio",
            "kube",
            "k8s-openapi",
            "axum",
            "hyper",
            "tracing",
            "prometheus-client",
            "rand",
            "reqwest",
            "tempfile",
        ],
    ),
    ("aegis-crds", &["aegis-decision"], &["tokio", "kube-client", "kube-runtime", "axum", "hyper"]),
    ("aegis-runtime", &[], &["kube", "k8s-openapi"]),
    ("aegis-cluster", &["aegis-runtime"], &["axum", "hyper"]),
    ("aegis-proxy", &["aegis-decision", "aegis-runtime"], &["kube", "k8s-openapi", "schemars"]),
    ("aegis-operator", &["aegis-decision", "aegis-crds", "aegis-runtime", "aegis-cluster"], &[]),
    ("aegis-webhook", &["aegis-decision", "aegis-crds", "aegis-runtime", "aegis-cluster"], &["ed25519-dalek"]),
    ("aegis-capture", &["aegis-decision"], &["tokio", "kube", "k8s-openapi", "hyper", "rustls"]),
    ("aegis", &["aegis-decision", "aegis-crds"], &["axum"]),
    ("aegis-testkit", &[], &["kube", "k8s-openapi"]),
];

/// Member, name of each dependency with its enabled features.
fn normal_dependencies() -> BTreeMap<String, BTreeMap<String, BTreeSet<String>>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--locked", "--offline"])
        .current_dir(super::workspace())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("metadata is JSON");
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    list(&metadata["packages"])
        .iter()
        .map(|package| {
            let dependencies = list(&package["dependencies"])
                .iter()
                .filter(|dependency| dependency["kind"].is_null())
                .map(|dependency| {
                    let features = list(&dependency["features"]);
                    (text(&dependency["name"]), features.iter().map(text).collect())
                })
                .collect();
            (text(&package["name"]), dependencies)
        })
        .collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[test]
fn crates_know_only_whom_they_may() {
    let members = normal_dependencies();
    let aegis: BTreeSet<&str> = members.keys().map(String::as_str).collect();
    let mut faults = Vec::new();
    for (name, may, must_not) in TABLE {
        let dependencies = members.get(*name).unwrap_or_else(|| panic!("{name} is no member of the workspace"));
        for dependency in dependencies.keys().map(String::as_str) {
            if aegis.contains(dependency) && !may.contains(&dependency) {
                faults.push(format!("{name} must not depend on {dependency}"));
            }
            if must_not.contains(&dependency) {
                faults.push(format!("{name} must not know {dependency}"));
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
    let listed: BTreeSet<&str> = TABLE.iter().map(|(name, ..)| *name).chain(["aegis-tests"]).collect();
    assert_eq!(aegis, listed, "a new crate needs a row in this table and in ARCHITECTURE.md");
}

#[test]
fn the_api_crate_has_no_kubernetes_client() {
    let members = normal_dependencies();
    let features = &members["aegis-crds"]["kube"];
    assert!(!features.contains("client") && !features.contains("runtime"), "{features:?}");
}
