//! Lists of the documentation against the lists of the code: codes, metrics, options, commands, endpoints.

use std::collections::{BTreeMap, BTreeSet};

use aegis_decision::codes::Code;

use super::read;

#[test]
fn every_code_is_explained() {
    let page = read("docs/errors.md");
    let mut sections: Vec<(&str, String)> = Vec::new();
    for line in page.lines() {
        if let Some(code) = line.strip_prefix("### ") {
            sections.push((code, String::new()));
        } else if line.starts_with("## ") {
            sections.push(("", String::new()));
        } else if let Some((_, text)) = sections.last_mut() {
            text.push_str(line);
            text.push(' ');
        }
    }
    sections.retain(|(code, _)| !code.is_empty());
    let listed: BTreeSet<&str> = sections.iter().map(|(code, _)| *code).collect();
    let known: BTreeSet<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(listed, known, "headings of docs/errors.md against Code::ALL");
    assert_eq!(sections.len(), known.len(), "a code is explained twice");
    for (name, text) in sections {
        let code = Code::ALL.iter().find(|code| code.as_str() == name).expect("compared above");
        for part in [
            format!("{} {}", code.status(), code.title()),
            code.cause().to_owned(),
            "**Example:**".to_owned(),
            "**What to do:**".to_owned(),
        ] {
            assert!(text.contains(&part), "docs/errors.md: {name}: {part} is missing");
        }
    }
}

/// A metric as a scrape shows it: type and labels by name.
type Metrics = BTreeMap<String, (String, BTreeSet<String>)>;

/// Field and name of each metric that a source file registers, and whether it is in seconds. Written as
/// `registry.register("name", .., metrics.field.clone())`, or as `field: metric(registry, "name", ..)`.
fn registrations(source: &str) -> Vec<(&str, &str, bool)> {
    fn name(rest: &str) -> &str {
        rest.split('"').nth(1).expect("a metric has a name")
    }
    let mut found = Vec::new();
    for (way, with_unit) in [(".register(", false), (".register_with_unit(", true)] {
        for (at, _) in source.match_indices(way) {
            let rest = &source[at + way.len()..];
            // A function that registers what it is given has no name of its own.
            if rest.trim_start().starts_with('"') {
                let field = rest.split("metrics.").nth(1).expect("a metric is a field");
                found.push((field.split('.').next().expect("a name"), name(rest), with_unit));
            }
        }
    }
    for (way, with_unit) in [(": metric(", false), (": seconds(", true)] {
        for (at, _) in source.match_indices(way) {
            let field = source[..at].rsplit(char::is_whitespace).next().expect("a metric is a field");
            found.push((field, name(&source[at..]), with_unit));
        }
    }
    found
}

/// The metrics that a source file registers.
fn registered(source: &str, prefix: &str) -> Metrics {
    let source = source.split("#[cfg(test)]").next().expect("split gives one part at least");
    let mut found = Metrics::new();
    for (field, name, with_unit) in registrations(source) {
        let of = |text: &str| format!("{field}: {text}");
        let declared = source
            .lines()
            .map(|line| line.trim().trim_start_matches("pub "))
            .find(|line| line.starts_with(&of("")) && line.ends_with(',') && !line.contains("::"))
            .unwrap_or_else(|| panic!("{field} is no field of the struct"));
        let (kind, suffix) = match declared {
            _ if declared.contains("Counter") => ("counter", "_total"),
            _ if declared.contains("Histogram") => ("histogram", ""),
            _ => ("gauge", ""),
        };
        let unit = if with_unit { "_seconds" } else { "" };
        found.insert(format!("{prefix}_{name}{unit}{suffix}"), (kind.to_owned(), labels(source, declared)));
    }
    found
}

/// Fields of the label struct that a `Family<Labels, ..>` names.
fn labels(source: &str, declared: &str) -> BTreeSet<String> {
    let Some((_, family)) = declared.split_once("Family<") else { return BTreeSet::new() };
    let name = family.split(',').next().expect("a family has labels");
    let body = source.split(&format!("struct {name} {{")).nth(1).expect("the labels are a struct of this file");
    let body = body.split('}').next().expect("a struct ends");
    body.lines().filter_map(|line| Some(line.trim().split_once(':')?.0.to_owned())).collect()
}

/// Cells of every table row of a page whose first cell is code.
fn rows(page: &str) -> Vec<Vec<String>> {
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    page.lines().filter(|line| line.starts_with("| `")).map(cells).collect()
}

#[test]
fn every_metric_is_documented_with_type_and_labels() {
    let mut known = registered(&read("decision/proxy/src/metrics.rs"), "aegis");
    known.extend(registered(&read("operator/src/metrics.rs"), "aegis_operator"));
    known.extend(registered(&read("webhook/src/metrics.rs"), "aegis_webhook"));
    for program in ["aegis_operator", "aegis_webhook"] {
        known.extend(registered(&read("runtime/src/tls/rotation/metrics.rs"), program));
    }
    assert!(known.len() > 20, "the search for metrics is broken: {known:?}");
    let mut listed = Metrics::new();
    for row in rows(&read("docs/reference/metrics.md")) {
        let [name, kind, labels, meaning] = row.as_slice() else { panic!("not four cells: {row:?}") };
        assert!(!meaning.is_empty(), "{name} has no meaning");
        let labels = labels.split(", ").map(|label| label.trim_matches('`').to_owned()).filter(|label| label != "-");
        listed.insert(name.trim_matches('`').to_owned(), (kind.clone(), labels.collect()));
    }
    assert_eq!(listed, known, "docs/reference/metrics.md (left) against what is registered (right)");
}

/// Long options of clap structs, and the variables of the environment that they read.
fn options(source: &str) -> Vec<String> {
    let source = source.split("mod tests").next().expect("split gives one part at least");
    let mut found = Vec::new();
    let mut pending: Option<String> = None;
    for line in source.lines().map(str::trim) {
        if line.starts_with("#[arg(") {
            pending = Some(String::new());
        }
        if let Some(attribute) = &mut pending {
            attribute.push_str(line);
            let field = line.trim_start_matches("pub ").split_once(':');
            if let Some((name, _)) = field
                && !line.starts_with('#')
                && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
            {
                if attribute.contains("long") && !attribute.contains("hide = true") {
                    found.push(format!("--{}", name.replace('_', "-")));
                }
                if let Some(env) = attribute.split("env = \"").nth(1) {
                    found.push(env.split('"').next().unwrap_or_default().to_owned());
                }
                pending = None;
            }
        }
    }
    // Only in test builds.
    found.retain(|name| name != "--kill-at" && name != "AEGIS_KILL_AT");
    found
}

#[test]
fn every_option_of_operator_and_sidecar_is_documented() {
    let page = read("docs/operate.md");
    for source in ["decision/proxy/src/args.rs", "operator/src/args.rs", "webhook/src/args.rs", "runtime/src/args.rs"] {
        let options = options(&read(source));
        assert!(options.len() >= 8, "the search for options of {source} is broken: {options:?}");
        for option in options {
            assert!(page.contains(&format!("`{option}`")), "docs/operate.md does not name {option} of {source}");
        }
    }
}

#[test]
fn every_command_and_option_of_the_command_line_is_documented() {
    let (source, page) = (read("cli/src/args.rs"), read("docs/reference/cli.md"));
    let options = options(&source);
    assert!(options.len() >= 10, "the search for options is broken: {options:?}");
    for option in options {
        assert!(page.contains(&option), "docs/reference/cli.md does not name {option}");
    }
    let commands = source.split("pub enum Command {").nth(1).expect("the commands are an enum");
    let commands = commands.split("\n}").next().expect("an enum ends");
    let names = commands.lines().filter_map(|line| {
        let name = line.strip_prefix("    ")?;
        let name: String = name.chars().take_while(char::is_ascii_alphanumeric).collect();
        name.starts_with(|first: char| first.is_ascii_uppercase()).then(|| name.to_lowercase())
    });
    let names: Vec<String> = names.collect();
    assert!(names.len() >= 9, "the search for commands is broken: {names:?}");
    for name in names {
        assert!(
            page.contains(&format!("\n## aegis {name}\n")),
            "docs/reference/cli.md has no heading for aegis {name}"
        );
    }
}

#[test]
fn every_endpoint_and_refusal_of_the_control_service_is_documented() {
    let page = read("docs/reference/control.md");
    let routes = read("operator/src/control/mod.rs");
    let routes: Vec<&str> =
        routes.split(".route(\"").skip(1).map(|rest| rest.split('"').next().unwrap_or_default()).collect();
    assert!(routes.len() >= 7, "the search for routes is broken: {routes:?}");
    for route in routes {
        assert!(page.contains(route), "docs/reference/control.md does not name {route}");
    }
    let errors = read("operator/src/control/error.rs");
    let reasons = errors.split("fn reason").nth(1).expect("refusals have reasons").split("fn status").next();
    let reasons: Vec<&str> = reasons.unwrap_or_default().split('"').skip(1).step_by(2).collect();
    assert!(reasons.len() >= 10, "the search for reasons is broken: {reasons:?}");
    for reason in reasons {
        assert!(page.contains(&format!("`{reason}`")), "docs/reference/control.md does not name {reason}");
    }
}

/// What conditions say is what people search for.
#[test]
fn every_reason_of_a_condition_is_documented() {
    let page = read("docs/operate.md");
    let mut reasons = BTreeSet::new();
    for file in [
        "operator/src/plan/agents.rs",
        "operator/src/plan/frozen.rs",
        "operator/src/plan/parts.rs",
        "operator/src/plan/pods.rs",
        "operator/src/owned/mod.rs",
        "operator/src/approvals/write.rs",
    ] {
        let source = read(file);
        let source = source.split("#[cfg(test)]").next().expect("split gives one part at least");
        for quoted in source.split('"').skip(1).step_by(2) {
            // A reason or type is one word in camel case; messages are sentences.
            let word = quoted.bytes().all(|byte| byte.is_ascii_alphabetic());
            if word && quoted.starts_with(|first: char| first.is_ascii_uppercase()) {
                reasons.insert(quoted.to_owned());
            }
        }
    }
    let others = ["Tool", "Registry", "ApprovalTier", "ToolPolicy", "Agent", "Running", "Succeeded", "Failed"];
    reasons.retain(|word| !others.contains(&word.as_str()));
    assert!(reasons.len() > 20, "the search for reasons is broken: {reasons:?}");
    let missing: Vec<_> = reasons.iter().filter(|word| !page.contains(&format!("`{word}`"))).collect();
    assert!(missing.is_empty(), "docs/operate.md does not name {missing:?}");
}
