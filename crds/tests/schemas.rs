//! The published schemas are fresh, take what is shipped, and refuse what no kind has.

// Helpers of tests fail by panicking, as tests do.
#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

#[path = "support/fresh.rs"]
mod fresh;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use aegis_crds::schemas::{ALL, TESTS, schemas};
use aegis_crds::test_files::is_test_file;
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

/// A folder beside this crate.
fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// YAML files of these folders, in order.
fn yaml(folders: &[PathBuf]) -> Vec<PathBuf> {
    let entries = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap());
    let files = entries.map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files.filter(|path| path.extension().is_some_and(|end| end == "yaml")).collect();
    files.sort();
    files
}

fn holds_tests(path: &Path) -> bool {
    path.file_name().is_some_and(|name| is_test_file(&name.to_string_lossy()))
}

/// The recipes of the cookbook.
fn recipes() -> Vec<PathBuf> {
    let entries = fs::read_dir(folder("../examples/cookbook")).unwrap();
    entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect()
}

fn documents(path: &Path) -> Vec<Value> {
    serde_saphyr::from_multiple(&fs::read_to_string(path).unwrap()).unwrap()
}

fn assert_fits(validators: &BTreeMap<String, Validator>, name: &str, document: &Value, path: &Path) {
    let told = |fault: jsonschema::ValidationError<'_>| format!("{} {fault}", fault.instance_path());
    let faults: Vec<String> = validators[name].iter_errors(document).map(told).collect();
    assert!(faults.is_empty(), "{} {name}: {faults:?}", path.display());
}

#[test]
fn what_is_shipped_fits_and_a_typo_does_not() {
    let validators = validators();
    let shipped = yaml(&[vec![folder("../examples/procurement")], recipes()].concat());
    let mut seen = 0;
    for path in shipped.into_iter().filter(|path| !holds_tests(path)).chain([folder("tests/full.yaml")]) {
        let ours = documents(&path)
            .into_iter()
            .filter(|one| one["apiVersion"].as_str().is_some_and(|it| it.starts_with("aegis.dev/")));
        for document in ours {
            let kind = document["kind"].as_str().unwrap().to_owned();
            for name in [kind.as_str(), ALL] {
                assert_fits(&validators, name, &document, &path);
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
    assert!(seen >= 100, "{seen}");
}

#[test]
fn files_of_tests_that_are_shipped_fit() {
    let validators = validators();
    let files = yaml(&[vec![folder("../examples/procurement")], recipes()].concat());
    let mut seen = 0;
    for path in files.into_iter().filter(|path| holds_tests(path)) {
        for document in documents(&path) {
            assert_fits(&validators, TESTS, &document, &path);
            seen += 1;
        }
    }
    assert!(seen >= 8, "{seen}");
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
