//! Links: each leads to a file that exists, an anchor to a heading that exists, and a test's name to that test.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Target and text of every link of a line: `[text](target)`.
fn links(line: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (at, _) in line.match_indices("](") {
        let Some(end) = line[at + 2..].find(')') else { continue };
        let start = line[..at].rfind('[').map_or(0, |start| start + 1);
        found.push((line[at + 2..at + 2 + end].to_owned(), line[start..at].to_owned()));
    }
    found
}

/// Anchors of a page, as GitHub makes them from its headings.
fn anchors(text: &str) -> BTreeSet<String> {
    super::prose(text)
        .filter_map(|(_, line)| line.strip_prefix('#').map(|rest| rest.trim_start_matches('#')))
        .map(|heading| {
            let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
            kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
        })
        .collect()
}

fn fault(folder: &Path, own: &str, target: &str, text: &str) -> Option<String> {
    if target.starts_with("https://") || target.starts_with("http://") {
        return None;
    }
    let (path, anchor) = target.split_once('#').map_or((target, None), |(path, anchor)| (path, Some(anchor)));
    let file = folder.join(path);
    let content = match path {
        "" => own.to_owned(),
        _ if file.is_dir() => String::new(),
        _ => match fs::read_to_string(&file) {
            Ok(content) => content,
            Err(_) => return Some(format!("{target} leads nowhere")),
        },
    };
    if let Some(anchor) = anchor
        && !anchors(&content).contains(anchor)
    {
        return Some(format!("{target}: there is no heading for #{anchor}"));
    }
    // A link from a test's name to a source file promises that the test is there.
    let name = text.trim_matches('`');
    let is_test = text.starts_with('`')
        && file.extension().is_some_and(|extension| extension == "rs")
        && !name.contains(['.', '/']);
    if is_test && !content.contains(&format!("fn {name}(")) {
        return Some(format!("{target} has no test {name}"));
    }
    None
}

#[test]
fn every_link_leads_somewhere() {
    let mut faults = Vec::new();
    let mut seen = 0;
    for page in super::pages() {
        let own = fs::read_to_string(&page).expect("the page is UTF-8");
        let folder = page.parent().expect("a page has a folder");
        for (number, line) in super::prose(&own) {
            for (target, text) in links(line) {
                seen += 1;
                if let Some(fault) = fault(folder, &own, &target, &text) {
                    faults.push(format!("{}:{number}: {fault}", page.display()));
                }
            }
        }
    }
    assert!(seen > 50, "only {seen} links found: the search for them is broken");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
