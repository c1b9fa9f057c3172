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
    let mut location = json!({
        "logicalLocations": [{"fullyQualifiedName": format!("{}: {}", finding.subject, finding.field)}],
    });
    if let Some(file) = &finding.file {
        location["physicalLocation"] = json!({"artifactLocation": {"uri": file}});
    }
    let mut result = json!({
        "ruleId": finding.id.id(),
        "level": level(finding.severity),
        "message": {"text": format!("{}: {}: {}", finding.subject, finding.field, finding.message)},
        "locations": [location],
    });
    if let Some(reason) = &finding.suppressed {
        result["suppressions"] = json!([{"kind": "inSource", "justification": reason}]);
    }
    result
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info => "note",
    }
}
