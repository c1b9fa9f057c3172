//! Findings as SARIF 2.1.0, which code hosts show beside the files.

use aegis_crds::lint::{Finding, Lint, Severity};
use serde_json::{Value, json};

/// The whole document. Resources have no line numbers here, so a result names its file and the field.
pub(super) fn document(findings: &[Finding]) -> Value {
    let rules: Vec<Value> = Lint::ALL
        .iter()
        .map(|lint| {
            json!({
                "id": lint.id(),
                "help": {"text": lint.advice()},
                "defaultConfiguration": {"level": level(lint.severity())},
            })
        })
        .collect();
    let results: Vec<Value> = findings.iter().map(result).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {"name": "aegis", "version": env!("CARGO_PKG_VERSION"), "rules": rules}},
            "results": results,
        }],
    })
}

fn result(finding: &Finding) -> Value {
    let name = format!("{}: {}", finding.subject, finding.field);
    let physical = finding.file.as_ref().map(|file| json!({"artifactLocation": {"uri": file}}));
    let suppressions = finding.suppressed.as_ref().map(|reason| json!([{"kind": "inSource", "justification": reason}]));
    let location =
        given([("logicalLocations", Some(json!([{"fullyQualifiedName": name}]))), ("physicalLocation", physical)]);
    given([
        ("ruleId", Some(json!(finding.id.id()))),
        ("level", Some(json!(level(finding.severity)))),
        ("message", Some(json!({"text": format!("{name}: {}", finding.message)}))),
        ("locations", Some(json!([location]))),
        ("suppressions", suppressions),
    ])
}

/// An object of the members that there are.
fn given<const N: usize>(members: [(&str, Option<Value>); N]) -> Value {
    let there = members.into_iter().filter_map(|(name, value)| value.map(|value| (name.to_owned(), value)));
    Value::Object(there.collect())
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info => "note",
    }
}
