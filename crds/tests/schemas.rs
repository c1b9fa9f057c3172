//! The published schemas are fresh, take what is shipped, and refuse what no kind has.

// Helpers of tests fail by panicking, as tests do.
#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

#[path = "support/fresh.rs"]
mod fresh;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use aegis_crds::schemas::{ALL, TESTS, schemas};
use jsonschema::Validator;
use serde_json::{Value, json};

fn validators() -> BTreeMap<String, Validator> {
    let compile = |(name, schema): (String, Value)| (name, jsonschema::draft202012::new(&schema).unwrap());
    schemas().unwrap().into_iter().map(compile).collect()
}

/// With `AEGIS_BLESS=1` writes the files; without, fails where one differs.
#[test]
fn published_schemas_are_fresh() {
    let texts = schemas()
        .unwrap()
        .into_iter()
        .map(|(name, schema)| (format!("{name}.json"), serde_json::to_string_pretty(&schema).unwrap() + "\n"));
    fresh::assert_fresh("../docs/schemas", texts);
}

#[test]
fn what_is_shipped_fits_and_a_typo_does_not() {
    let validators = validators();
    let mut seen = 0;
    for (folder, file) in [("../examples/procurement", None), ("tests", Some("full.yaml"))] {
        for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let is_wanted = file.is_none_or(|file| path.ends_with(file));
            if !is_wanted || path.extension().is_none_or(|end| end != "yaml") {
                continue;
            }
            let documents: Vec<Value> = serde_saphyr::from_multiple(&fs::read_to_string(&path).unwrap()).unwrap();
            let ours = documents
                .into_iter()
                .filter(|one| one["apiVersion"].as_str().is_some_and(|it| it.starts_with("aegis.dev/")));
            for document in ours {
                let kind = document["kind"].as_str().unwrap().to_owned();
                for name in [kind.as_str(), ALL] {
                    let faults: Vec<String> = validators[name]
                        .iter_errors(&document)
                        .map(|fault| format!("{} {fault}", fault.instance_path()))
                        .collect();
                    assert!(faults.is_empty(), "{} {name}: {faults:?}", path.display());
                    let mut typo = document.clone();
                    typo["spec"]["typo"] = json!(1);
                    assert!(!validators[name].is_valid(&typo), "{name} takes a field that it does not have");
                    let mut other = document.clone();
                    other["kind"] = json!("Agents");
                    assert!(!validators[name].is_valid(&other), "{name} takes another kind");
                }
                seen += 1;
            }
        }
    }
    assert!(seen >= 10, "{seen}");
}

#[test]
fn tests_fit_their_schema() {
    let validator = &validators()[TESTS];
    let tests = json!({"policy": "p", "at": "2026-05-04T10:00:00Z", "tests": [
        {"name": "t", "call": {"tool": "b", "operation": "pay", "arguments": {"any": [1]}}, "expect": {"verdict": "Allow"}}]});
    assert!(
        validator.is_valid(&tests),
        "{:?}",
        validator.iter_errors(&tests).map(|fault| fault.to_string()).collect::<Vec<_>>()
    );
    for (pointer, name) in [("", "typo"), ("/tests/0", "typo"), ("/tests/0/call", "typo"), ("/tests/0/expect", "typo")]
    {
        let mut wrong = tests.clone();
        wrong.pointer_mut(pointer).unwrap()[name] = json!(1);
        assert!(!validator.is_valid(&wrong), "{pointer}/{name}");
    }
    let mut wrong = tests;
    wrong["tests"][0]["expect"]["verdict"] = json!("Maybe");
    assert!(!validator.is_valid(&wrong));
}
