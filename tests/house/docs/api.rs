//! `docs/reference/api.md`: every kind and field, written from the definitions in `crds/generated`.

use std::fmt::Write as _;

use serde_json::Value;

const HEAD: &str = "# API reference: aegis.dev/v1alpha1

<!-- Generated from crds/generated. Run: AEGIS_BLESS=1 cargo test -p aegis-tests --test house docs:: -->

All kinds are namespaced and in the category `aegis`: `kubectl get aegis`. `kubectl explain KIND.spec` shows the same
text. A field in **bold** is required. A path ends in `[]` where a list begins and in `{}` where a map does. Durations
are written like `90s`, `15m` or `2h`. Decimals are written as strings, exact: `\"5000.00\"`.
";

/// Definitions in the order of the page.
const KINDS: [&str; 7] =
    ["agents", "tools", "toolpolicies", "registries", "delegations", "approvaltiers", "approvalrequests"];

#[test]
fn the_reference_of_the_api_is_fresh() {
    let mut page = HEAD.to_owned();
    for plural in KINDS {
        let text = super::read(&format!("crds/generated/{plural}.aegis.dev.yaml"));
        let definition: Value = serde_saphyr::from_str(&text).expect("a definition is YAML");
        kind(&mut page, &definition);
    }
    super::compare("docs/reference/api.md", &page);
}

#[test]
fn every_definition_is_in_the_reference() {
    let folder = crate::workspace().join("crds/generated");
    let files = std::fs::read_dir(folder).expect("the definitions are there").count();
    assert_eq!(files, KINDS.len(), "a new kind needs a place in docs/reference/api.md");
}

fn kind(page: &mut String, definition: &Value) {
    let names = &definition["spec"]["names"];
    let version = &definition["spec"]["versions"][0];
    let schema = &version["schema"]["openAPIV3Schema"];
    let _ = writeln!(page, "\n## {}\n\n{}\n", text(&names["kind"]), one_line(&schema["description"]));
    let columns: Vec<&str> =
        list(&version["additionalPrinterColumns"]).iter().map(|column| text(&column["name"])).collect();
    let short: Vec<&str> = list(&names["shortNames"]).iter().map(text).collect();
    let _ = writeln!(
        page,
        "Plural `{}`, short `{}`. Columns: {}.",
        text(&names["plural"]),
        short.join("`, `"),
        columns.join(", ")
    );
    for part in ["spec", "status"] {
        let node = &schema["properties"][part];
        if node.is_null() {
            continue;
        }
        let _ = writeln!(page, "\n| field | type | description |\n| --- | --- | --- |");
        members(page, node, part);
    }
    let mut rules = Vec::new();
    validations(schema, "", &mut rules);
    if !rules.is_empty() {
        let _ = writeln!(page, "\nThe API server refuses an object unless:\n");
        for (path, message) in rules {
            let place = if path.is_empty() { "the object".to_owned() } else { format!("`{path}`") };
            let _ = writeln!(page, "- {place}: {message}");
        }
    }
}

fn members(page: &mut String, node: &Value, path: &str) {
    let required: Vec<&str> = list(&node["required"]).iter().map(text).collect();
    let Some(properties) = node["properties"].as_object() else { return };
    for (name, member) in properties {
        let here = format!("{path}.{name}");
        let shown = if required.contains(&name.as_str()) { format!("**`{here}`**") } else { format!("`{here}`") };
        let _ = writeln!(
            page,
            "| {shown} | {} | {} |",
            cell(&kind_of(member)),
            cell(&format!("{}{}", one_line(&member["description"]), bounds(member)))
        );
        // Conditions have the one shape that all of Kubernetes has.
        if name != "conditions" {
            inner(page, member, &here);
        }
    }
}

fn inner(page: &mut String, node: &Value, path: &str) {
    match text(&node["type"]) {
        "array" => inner(page, &node["items"], &format!("{path}[]")),
        "object" if node["properties"].is_object() => members(page, node, path),
        "object" if node["additionalProperties"].is_object() => {
            inner(page, &node["additionalProperties"], &format!("{path}{{}}"));
        }
        _ => {}
    }
}

fn kind_of(node: &Value) -> String {
    if node["x-kubernetes-int-or-string"] == true {
        return "integer or string".to_owned();
    }
    let choices: Vec<String> =
        list(&node["enum"]).iter().map(|choice| choice.as_str().map_or(choice.to_string(), str::to_owned)).collect();
    if !choices.is_empty() {
        return choices.iter().map(|choice| format!("`{choice}`")).collect::<Vec<_>>().join(" \\| ");
    }
    match text(&node["type"]) {
        "array" => format!("list of {}", kind_of(&node["items"])),
        "object" if node["additionalProperties"].is_object() => {
            format!("map of {}", kind_of(&node["additionalProperties"]))
        }
        "string" if node["format"] == "date-time" => "time (RFC 3339)".to_owned(),
        other => other.to_owned(),
    }
}

fn bounds(node: &Value) -> String {
    let mut parts = Vec::new();
    if !node["default"].is_null() && !node["default"].is_object() {
        let default = node["default"].as_str().map_or_else(|| node["default"].to_string(), str::to_owned);
        parts.push(format!("Default `{default}`."));
    }
    if let (Some(low), Some(high)) = (node["minimum"].as_i64(), node["maximum"].as_i64())
        && high < 1 << 40
    {
        parts.push(format!("{low} to {high}."));
    }
    for (key, what) in [("maxItems", "items"), ("maxProperties", "members"), ("maxLength", "characters")] {
        if let Some(most) = node[key].as_i64() {
            parts.push(format!("At most {most} {what}."));
        }
    }
    parts.iter().flat_map(|part| [" ", part]).collect()
}

fn validations(node: &Value, path: &str, found: &mut Vec<(String, String)>) {
    for rule in list(&node["x-kubernetes-validations"]) {
        found.push((path.to_owned(), one_line(&rule["message"])));
    }
    let at = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    for (name, member) in node["properties"].as_object().into_iter().flatten() {
        validations(member, &at(name), found);
    }
    if node["items"].is_object() {
        validations(&node["items"], &format!("{path}[]"), found);
    }
    if node["additionalProperties"].is_object() {
        validations(&node["additionalProperties"], &format!("{path}{{}}"), found);
    }
}

fn cell(text: &str) -> String {
    // What is escaped already stays as it is.
    text.replace("\\|", "|").replace('|', "\\|")
}

fn one_line(value: &Value) -> String {
    text(value).split_whitespace().collect::<Vec<_>>().join(" ")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}
