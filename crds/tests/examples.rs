//! Every object of the examples can be read, and every agent of them gets a bundle.

// Helpers of tests fail by panicking, as tests do.
#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use aegis_crds::gather::bundle_source;
use aegis_crds::load::Resources;
use aegis_crds::lower;
use aegis_decision::bundle::Bundle;

#[test]
fn every_agent_of_the_examples_gets_a_bundle() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let mut agents = 0;
    for example in fs::read_dir(&examples).unwrap() {
        let all = read(&example.unwrap().path());
        for delegation in &all.delegations {
            lower::delegation(delegation).unwrap();
        }
        for agent in &all.agents {
            let source = bundle_source(agent, &all.tools, &all.policies, &all.registries, &all.tiers).unwrap();
            assert!(!source.policies.is_empty() && !source.tools.is_empty(), "an example agent without policy or tool");
            Bundle::assemble(source).unwrap();
            agents += 1;
        }
    }
    assert!(agents > 0, "no agent in {}", examples.display());
}

fn read(folder: &Path) -> Resources {
    let mut all = Resources::default();
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            all.add(&path.display().to_string(), &fs::read_to_string(&path).unwrap()).unwrap();
        }
    }
    all
}
