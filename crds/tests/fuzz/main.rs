//! The fuzz target `lowering` as a plain test: every file of its corpus, and small changes of it.

// A check fails by panicking, as a test does; the lints' own exceptions cover test functions only.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

mod lowering;
#[path = "../../../decision/core/tests/fuzz/mutate.rs"]
mod mutate;

use std::fs;
use std::path::Path;

use mutate::Numbers;

/// Changes of each file.
const CHANGES: usize = 40;

#[test]
fn lowering_holds() {
    let seed = std::env::var("AEGIS_SEED").map_or(1, |seed| seed.parse().expect("AEGIS_SEED is a number"));
    println!("seed {seed}");
    let mut numbers = Numbers(seed);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/lowering");
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let (mut honest, mut changed) = (0, 0);
    for path in paths {
        println!("{}", path.display());
        let bytes = fs::read(&path).unwrap();
        honest += lowering::check(&bytes);
        for _ in 0..CHANGES {
            // JSON is YAML: of such a file whole values are changed.
            let next = mutate::document(&bytes, &mut numbers).or_else(|| mutate::bytes(&bytes, &mut numbers)).unwrap();
            println!("changed: {}", String::from_utf8_lossy(&next));
            changed += lowering::check(&next);
        }
    }
    // A corpus that no longer reaches a bundle would pass every check.
    assert!(honest >= 2 && changed >= 20, "{honest} bundles are made of the corpus, {changed} of its changes");
}
