//! Decisions as data: every case of `cases/**/*.yaml` names one rule of behaviour and is judged by the whole path from
//! resources and input to decision.

// A case that cannot be read must stop the test where it stands.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use support::case::CaseFile;
use support::situation::yaml;

/// The cases are a specification; losing some of them must not go unseen.
const AT_LEAST: usize = 150;

#[test]
fn every_case_is_decided_as_it_says() {
    let mut files = Vec::new();
    yaml_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases"), &mut files);
    let (mut count, mut failures) = (0, Vec::new());
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let cases: CaseFile = yaml(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let short = file.file_name().unwrap().to_string_lossy().into_owned();
        let mut names = BTreeSet::new();
        for case in cases.into_cases() {
            assert!(names.insert(case.name.clone()), "{short} has two cases named {:?}", case.name);
            count += 1;
            let faults = case.faults();
            if !faults.is_empty() {
                failures.push(format!("{short}: {}\n    {}", case.name, faults.join("\n    ")));
            }
        }
    }
    assert!(failures.is_empty(), "{} of {count} cases failed:\n{}", failures.len(), failures.join("\n"));
    assert!(count >= AT_LEAST, "there are {count} cases, fewer than {AT_LEAST}");
}

fn yaml_files(folder: &Path, files: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for entry in entries {
        if entry.is_dir() {
            yaml_files(&entry, files);
        } else if entry.extension().is_some_and(|extension| extension == "yaml") {
            files.push(entry);
        }
    }
}
