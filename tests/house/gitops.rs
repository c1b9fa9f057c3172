//! What `gitops/` tells Argo CD and Flux, run as they run it, over objects in every state that the operator writes.
//!
//! `AEGIS_BLESS=1 cargo test -p aegis-tests --test house gitops::` writes `gitops/argocd/argocd-cm.yaml` again.

// Helpers of tests fail by panicking, as tests do.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

mod argocd;
mod flux;
mod states;

use serde_json::Value;

/// What somebody who waits for an object is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    Progressing,
    Healthy,
    Suspended,
    Degraded,
}

/// An object as it is stored, and what Argo CD and Flux should make of it. Flux knows no suspension.
#[derive(Debug)]
pub struct State {
    pub name: &'static str,
    pub object: Value,
    pub argo: Health,
    pub flux: Health,
}

/// Kinds that the API has, by the definitions that are shipped.
fn kinds() -> Vec<String> {
    let folder = super::workspace().join("crds/generated");
    let mut kinds: Vec<String> = std::fs::read_dir(folder)
        .expect("definitions are generated")
        .map(|entry| {
            let text = std::fs::read_to_string(entry.expect("entry is readable").path()).expect("UTF-8");
            let definition: Value = serde_saphyr::from_str(&text).expect("YAML");
            definition["spec"]["names"]["kind"].as_str().expect("a kind").to_owned()
        })
        .collect();
    kinds.sort();
    kinds
}

/// Each kind is in one of the states at least, so that no kind is forgotten.
#[test]
fn every_kind_has_states() {
    let states = states::all();
    for kind in kinds() {
        assert!(states.iter().any(|state| state.object["kind"] == kind.as_str()), "no state of {kind}");
    }
}
