//! The fuzz targets as plain tests: every file of `fuzz/corpus` goes through the same checks that the fuzzer runs, as it is
//! and with small changes. What the fuzzer once found is kept there, so it stays found.
//!
//! `AEGIS_BLESS=1` writes the files that are made from other tests' cases again (`corpus.rs`); `AEGIS_SEED=n` makes other
//! changes.

// A check fails by panicking, as a test does; the lints' own exceptions cover test functions only.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_in_result, clippy::unwrap_used)]

mod bundle;
mod corpus;
mod decision;
#[path = "../support/interpreter.rs"]
mod interpreter;
mod json;
mod mutate;
mod naming;
mod number;
mod path;
mod rego;
mod run_index;
mod sanitize;
mod segment;
#[path = "../support/situation.rs"]
mod situation;
#[path = "../support/vary.rs"]
mod vary;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use aegis_decision::bundle::Bundle;
use aegis_decision::decision::Verdict;
use aegis_decision::rego::Module;
use mutate::Numbers;
use serde_json::Value;

/// Changes of each file's bytes, and of each document's values.
const CHANGES: usize = 40;
/// Each of them assembles a dozen bundles, or parses a whole one.
const SCENE_CHANGES: usize = 4;

/// The corpus of a target: names and bytes, in order.
fn files(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    LazyLock::force(&corpus::MADE);
    let folder = corpus::folder(target);
    let mut files: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), fs::read(&path).unwrap()))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{target} has no corpus");
    files
}

fn seed() -> u64 {
    let seed = std::env::var("AEGIS_SEED").map_or(1, |seed| seed.parse().expect("AEGIS_SEED is a number"));
    println!("seed {seed}");
    seed
}

/// Runs a check over the corpus and over changes of it. What is printed is shown when it fails.
fn run(target: &str, check: fn(&[u8]), change: fn(&[u8], &mut Numbers) -> Option<Vec<u8>>, changes: usize) {
    let mut numbers = Numbers(seed());
    for (path, bytes) in files(target) {
        println!("{}", path.display());
        check(&bytes);
        for _ in 0..changes {
            if let Some(changed) = change(&bytes, &mut numbers) {
                println!("changed: {}", String::from_utf8_lossy(&changed));
                check(&changed);
            }
        }
    }
}

#[test]
fn strict_json_holds() {
    run("json", json::check, mutate::bytes, CHANGES);
}

#[test]
fn numbers_hold() {
    run("number", number::check, mutate::bytes, CHANGES);
}

#[test]
fn paths_of_rules_hold() {
    run("path", path::check, mutate::bytes, CHANGES);
}

#[test]
fn naming_holds() {
    run("naming", naming::check, mutate::bytes, CHANGES);
}

#[test]
fn bundles_hold() {
    run("bundle", bundle::check, mutate::document, SCENE_CHANGES);
    run("bundle", bundle::check, mutate::bytes, SCENE_CHANGES);
}

#[test]
fn sanitizing_holds() {
    run("sanitize", sanitize::check, mutate::document, CHANGES);
    run("sanitize", sanitize::check, mutate::bytes, CHANGES);
}

/// A document that is no longer read, or that nothing is taken out of, would pass every check.
#[test]
fn something_is_taken_out_of_the_documents() {
    for (path, bytes) in files("sanitize") {
        assert_eq!(sanitize::redacted(&bytes), Some(true), "{}", path.display());
    }
}

#[test]
fn modules_of_rego_hold() {
    run("rego", rego::check, mutate::bytes, SCENE_CHANGES);
}

/// Of the corpus: a module that calls itself without end, so the interpreter would use up its stack. That the machine ends is
/// shown by `recursion_ends` of `--test rego`.
const ENDLESS: &str = "recursion";

/// On the call that each file names, and on calls made from it.
#[test]
fn modules_of_rego_mean_what_they_mean_in_the_interpreter() {
    let mut numbers = Numbers(seed());
    let (mut compared, mut said) = (0, 0);
    for (path, bytes) in files("rego") {
        if path.ends_with(ENDLESS) {
            continue;
        }
        println!("{}", path.display());
        let (arguments, module) = rego::parts(&bytes).expect("the corpus is text");
        if let Err(error) = Module::check(module) {
            println!("refused: {error}");
            continue;
        }
        compared += 1;
        let named: Value = serde_json::from_str(arguments).expect("the first line is the arguments");
        let mut scene = rego::scene(arguments, module);
        let bundle = Bundle::assemble(scene.source.clone()).expect("a module that is not refused");
        for at in 0..=CHANGES {
            let arguments = if at == 0 { named.clone() } else { vary::varied(&named, &mut numbers) };
            println!("asked: {arguments}");
            scene.input.arguments = aegis_decision::json::parse(arguments.to_string().as_bytes()).ok();
            let by_policy = interpreter::compared(&bundle, &scene.input, &scene.standing, &scene.delegations);
            assert_eq!(by_policy.len(), 1, "the module is asked");
            said += by_policy.values().flatten().filter(|verdicts| !verdicts.is_empty()).count();
        }
    }
    assert!(compared >= 6 && said > 20, "{compared} modules are compared, {said} times they say something");
}

#[test]
fn segments_hold() {
    run("segment", segment::check, mutate::bytes, CHANGES);
}

#[test]
fn the_memory_of_runs_holds() {
    run("run_index", run_index::check, mutate::document, CHANGES);
}

/// Scripts after which nothing is known, or no run is complete, would test the reader only.
#[test]
fn the_scripts_of_runs_end_with_something_known() {
    let answers = files("run_index").into_iter().map(|(_, bytes)| run_index::known(&bytes));
    let (known, complete) = answers.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    assert!(known > 0 && complete > 0, "{known} values are known, {complete} runs are complete");
}

#[test]
fn decisions_hold() {
    run("decision", decision::check, mutate::document, SCENE_CHANGES);
}

/// Changes that no bundle survives, or that no verdict notices, would test the reader only.
#[test]
fn changed_scenes_are_still_decided() {
    let mut numbers = Numbers(1);
    let (mut changed, mut decided, mut differ) = (0, 0, 0);
    for (_, bytes) in files("decision") {
        let before = decision::decided(&bytes);
        let scene = mutate::document(&bytes, &mut numbers).expect("a scene is a document");
        let after = decision::decided(&scene);
        changed += 1;
        decided += usize::from(after.is_some());
        differ += usize::from(after.is_some() && after != before);
    }
    assert!(
        decided * 3 >= changed && differ > 0,
        "of {changed} changed scenes {decided} are decided, {differ} otherwise"
    );
}

/// The corpus reaches what it is meant to reach: a scene that is no longer read would pass every check.
#[test]
fn the_scenes_are_decided_in_every_way() {
    let made = |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("case-"));
    let mut verdicts = Vec::new();
    for (path, bytes) in files("decision").into_iter().filter(|(path, _)| made(path)) {
        let verdict = decision::decided(&bytes);
        verdicts.push(verdict.unwrap_or_else(|| panic!("{}: write it again with AEGIS_BLESS=1", path.display())));
    }
    for verdict in [Verdict::Allow, Verdict::Hold, Verdict::Deny] {
        assert!(verdicts.contains(&verdict), "no scene comes to {verdict:?}");
    }
}

#[test]
fn what_is_made_from_cases_is_there() {
    for path in corpus::MADE.iter() {
        assert!(path.exists(), "{} is missing: run with AEGIS_BLESS=1", path.display());
    }
}

#[test]
fn the_honest_segments_are_in_the_corpus() {
    let files = files("segment");
    for (honest, _) in segment::HONEST.iter() {
        assert!(files.iter().any(|(_, bytes)| bytes == honest), "write them again with AEGIS_BLESS=1");
    }
}
