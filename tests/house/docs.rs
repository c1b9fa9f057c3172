//! The documentation is true as far as a test can tell: links lead somewhere, tables hold what the code has, and the
//! tutorial's own files are judged.
//!
//! `AEGIS_BLESS=1 cargo test -p aegis-tests --test house docs::` writes the generated parts again.

// Helpers of tests fail by panicking, as tests do.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

mod api;
mod links;
mod lists;
mod rights;
mod tutorial;

use std::fs;
use std::path::PathBuf;

/// A file of the repository, by its path from the root.
pub fn read(path: &str) -> String {
    let file = super::workspace().join(path);
    fs::read_to_string(&file).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Whether generated parts are to be written rather than compared.
pub fn blessing() -> bool {
    std::env::var_os("AEGIS_BLESS").is_some()
}

/// Compares a page with what it should be, or writes it.
pub fn compare(path: &str, wanted: &str) {
    if blessing() {
        fs::write(super::workspace().join(path), wanted).expect("the page can be written");
    }
    assert!(
        read(path) == wanted,
        "{path} is not fresh: run AEGIS_BLESS=1 cargo test -p aegis-tests --test house docs::"
    );
}

/// Every Markdown page of the repository but copies of other people's.
fn pages() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![super::workspace()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("folder is readable") {
            let path = entry.expect("entry is readable").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() && name != "target" && name != "suite" && !name.starts_with('.') {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Lines of a page that are prose, not code: number from 1, and text.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    (1..).zip(text.lines()).filter(move |(_, line)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fence && !fenced
    })
}

/// A fenced block: the words after its fence, and its text.
struct Block {
    info: String,
    text: String,
}

/// The fenced blocks of a page, in order.
fn blocks(text: &str) -> Vec<Block> {
    let mut found: Vec<Block> = Vec::new();
    let mut open = false;
    for line in text.lines() {
        match line.strip_prefix("```") {
            Some(info) if !open => {
                open = true;
                found.push(Block { info: info.trim().to_owned(), text: String::new() });
            }
            Some(_) => open = false,
            None if open => {
                let block = found.last_mut().expect("a block is open");
                block.text.push_str(line);
                block.text.push('\n');
            }
            None => {}
        }
    }
    assert!(!open, "a fenced block has no end");
    found
}

#[test]
fn the_readme_names_both_commands_and_how_to_approve() {
    let readme = read("README.md");
    for part in ["make demo", "make test", "kubectl patch apr", "kubectl aegis approve", "ARCHITECTURE.md", "LICENSE"] {
        assert!(readme.contains(part), "README.md does not name {part}");
    }
    assert!(readme.lines().count() <= 170, "README.md has become a manual: move parts of it to docs/");
}
