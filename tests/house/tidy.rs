//! What every source file owes its reader.

use std::fs;
use std::path::{Path, PathBuf};

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("folder is readable") {
        let path = entry.expect("entry is readable").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn all() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    sources(&super::workspace(), &mut found);
    found.into_iter().map(|path| (path.clone(), fs::read_to_string(&path).expect("source is UTF-8"))).collect()
}

#[test]
fn every_file_says_what_it_is_for() {
    let missing: Vec<_> =
        all().into_iter().filter(|(_, text)| !text.starts_with("//!")).map(|(path, _)| path).collect();
    assert!(missing.is_empty(), "these files have no module doc: {missing:#?}");
}

#[test]
fn nothing_is_left_for_later() {
    let words = [concat!("todo", "!("), concat!("unimplemented", "!("), concat!("#[", "ignore"), concat!("db", "g!(")];
    let found: Vec<_> = all()
        .into_iter()
        .filter(|(_, text)| words.iter().any(|word| text.contains(word)))
        .map(|(path, _)| path)
        .collect();
    assert!(found.is_empty(), "these files have unfinished or forgotten code: {found:#?}");
}

/// A test file that no `mod` names is never compiled, so it can never fail.
#[test]
fn every_flow_is_compiled() {
    for suite in ["flows", "house"] {
        let folder = super::workspace().join("tests").join(suite);
        let main = fs::read_to_string(folder.join("main.rs")).expect("the suite has a main.rs");
        for entry in fs::read_dir(&folder).expect("folder is readable") {
            let path = entry.expect("entry is readable").path();
            let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_file() && stem != "main" {
                assert!(main.contains(&format!("mod {stem};")), "{suite}/main.rs does not name {stem}");
            }
        }
    }
}
