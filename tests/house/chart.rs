//! The chart without a cluster: its copies are in step, its documentation is complete, and what it watches exists.
//!
//! `AEGIS_BLESS=1 cargo test -p aegis-tests --test house chart::` writes the copies and the page of values again.

// Helpers of tests fail by panicking, as tests do.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::docs::{blessing, compare, read};

const CHART: &str = "charts/aegis";

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("entry is readable").path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    found.sort();
    found
}

fn yaml(path: &str) -> Value {
    serde_saphyr::from_str(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A chart holds its files itself; the repository's are the originals.
#[test]
fn definitions_and_guards_are_those_of_the_repository() {
    for (source, copy) in [("crds/generated", "files/crds"), ("guards", "files/guards")] {
        let (source, copy) = (super::workspace().join(source), super::workspace().join(CHART).join(copy));
        let originals = files(&source, "yaml");
        assert!(originals.len() >= 5, "the search for originals is broken");
        if blessing() {
            for old in files(&copy, "yaml") {
                fs::remove_file(old).expect("an old copy can be removed");
            }
            for original in &originals {
                fs::copy(original, copy.join(original.file_name().expect("a name"))).expect("a copy can be written");
            }
        }
        let content = |path: &PathBuf| (path.file_name().map(ToOwned::to_owned), fs::read(path).expect("readable"));
        let wanted: Vec<_> = originals.iter().map(content).collect();
        let found: Vec<_> = files(&copy, "yaml").iter().map(content).collect();
        assert!(
            wanted == found,
            "{} is not in step: run AEGIS_BLESS=1 cargo test -p aegis-tests --test house chart::",
            copy.display()
        );
    }
}

#[test]
fn the_chart_has_the_version_of_the_workspace_and_lists_every_kind() {
    let chart = yaml("charts/aegis/Chart.yaml");
    assert_eq!(
        (&chart["version"], &chart["appVersion"]),
        (&env!("CARGO_PKG_VERSION").into(), &env!("CARGO_PKG_VERSION").into())
    );
    let listed = chart["annotations"]["artifacthub.io/crds"].as_str().expect("CRDs are listed");
    let listed: Vec<Value> = serde_saphyr::from_str(listed).expect("a list");
    let listed: BTreeSet<String> =
        listed.iter().map(|one| format!("{}.yaml", one["name"].as_str().expect("a name"))).collect();
    let shipped = files(&super::workspace().join("crds/generated"), "yaml");
    let shipped: BTreeSet<String> =
        shipped.iter().map(|path| path.file_name().expect("a name").to_string_lossy().into_owned()).collect();
    assert_eq!(listed, shipped);
    let images = chart["annotations"]["artifacthub.io/images"].as_str().expect("images are listed");
    for image in ["operator", "webhook", "proxy", "capture", "probe"] {
        let wanted = format!("aegis-{image}:{}", env!("CARGO_PKG_VERSION"));
        assert!(images.contains(&wanted), "{wanted} is not listed");
    }
}

/// Every object of a schema that lists properties refuses others.
fn strict(schema: &Value, path: &str, objects: &mut usize) {
    if schema.get("properties").is_some() {
        *objects += 1;
        assert_eq!(schema["additionalProperties"], false, "{path} takes unknown names");
    }
    match schema {
        Value::Object(members) => {
            members.iter().for_each(|(name, value)| strict(value, &format!("{path}/{name}"), objects));
        }
        Value::Array(items) => items.iter().for_each(|value| strict(value, path, objects)),
        _ => {}
    }
}

#[test]
fn the_schema_takes_no_unknown_name_anywhere() {
    let schema: Value = serde_json::from_str(&read("charts/aegis/values.schema.json")).expect("JSON");
    let mut objects = 0;
    strict(&schema, "", &mut objects);
    assert!(objects > 15, "only {objects} objects found");
}

/// A value: path, default as written, description.
type Row = (String, String, String);

/// The rows of values.yaml: a comment stands above its value, and for those below it that have none.
fn values(text: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut above: Vec<(usize, String, String)> = Vec::new();
    let mut comment = String::new();
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        let line = line.trim();
        if let Some(words) = line.strip_prefix('#') {
            if !comment.is_empty() {
                comment.push(' ');
            }
            comment.push_str(words.trim());
            continue;
        }
        let Some((key, value)) = line.split_once(':') else {
            comment.clear();
            continue;
        };
        above.retain(|(outer, ..)| *outer < indent);
        let path: Vec<&str> = above.iter().map(|(_, key, _)| key.as_str()).chain([key]).collect();
        let path = path.join(".");
        let inherited = above.last().map(|(.., text)| text.clone()).unwrap_or_default();
        let text = if comment.is_empty() { inherited } else { std::mem::take(&mut comment) };
        if value.trim().is_empty() {
            above.push((indent, key.to_owned(), text));
        } else {
            rows.push((path, value.trim().to_owned(), text));
        }
    }
    rows
}

#[test]
fn the_page_of_values_is_fresh() {
    let rows = values(&read("charts/aegis/values.yaml"));
    assert!(rows.len() > 50, "the search for values is broken");
    let mut page = "# Values of the chart\n\nMade from `charts/aegis/values.yaml`. `charts/aegis/values.schema.json` checks types and bounds, and refuses\n\
        every name that is not listed here.\n\n| value | default | meaning |\n| --- | --- | --- |\n"
        .to_owned();
    for (path, default, text) in rows {
        assert!(!text.is_empty(), "{path} has no comment");
        let _ = writeln!(page, "| `{path}` | `{default}` | {text} |");
    }
    compare("docs/reference/values.md", &page);
}

/// Names that look like ours in a query.
fn metrics(query: &str) -> BTreeSet<String> {
    let word = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
    query.split(word).filter(|name| name.starts_with("aegis_")).map(ToOwned::to_owned).collect()
}

fn known(name: &str, page: &str) -> bool {
    let bare = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
    [Some(name), bare].into_iter().flatten().any(|name| page.contains(&format!("| `{name}` |")))
}

#[test]
fn every_query_of_a_dashboard_asks_for_a_metric_that_exists() {
    let page = read("docs/reference/metrics.md");
    let boards = files(&super::workspace().join(CHART).join("dashboards"), "json");
    assert_eq!(boards.len(), 5);
    for board in boards {
        let board: Value = serde_json::from_str(&fs::read_to_string(&board).expect("UTF-8")).expect("a board is JSON");
        let panels = board["panels"].as_array().expect("panels");
        let queries = panels.iter().flat_map(|panel| panel["targets"].as_array().expect("targets"));
        let queries = queries.map(|target| target["expr"].as_str().expect("a query"));
        let variables = board["templating"]["list"].as_array().expect("variables");
        let variables = variables.iter().filter_map(|one| one["query"].as_str()).filter(|query| query.contains('('));
        for query in queries.chain(variables) {
            let names = metrics(query);
            assert!(!names.is_empty(), "{}: no metric of ours in {query}", board["title"]);
            for name in names {
                assert!(known(&name, &page), "{}: {name} is not in docs/reference/metrics.md", board["title"]);
            }
        }
    }
}

#[test]
fn every_alert_has_a_runbook_and_asks_for_metrics_that_exist() {
    let page = read("docs/reference/metrics.md");
    let runbook = read("docs/reference/alerts.md");
    let headings: Vec<&str> = runbook.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    let alerts = yaml("charts/aegis/files/alerts.yaml");
    let alerts = alerts.as_array().expect("a list");
    let names: Vec<&str> = alerts.iter().map(|alert| alert["alert"].as_str().expect("a name")).collect();
    assert_eq!(headings, names, "headings of docs/reference/alerts.md (left) against alerts (right)");
    for alert in alerts {
        assert!(["warning", "critical"].contains(&alert["labels"]["severity"].as_str().expect("a severity")));
        assert!(alert["annotations"]["summary"].is_string(), "{} has no summary", alert["alert"]);
        let names = metrics(alert["expr"].as_str().expect("an expression"));
        assert!(!names.is_empty(), "{} asks for nothing of ours", alert["alert"]);
        for name in names {
            assert!(known(&name, &page), "{}: {name} is not in docs/reference/metrics.md", alert["alert"]);
        }
    }
}
