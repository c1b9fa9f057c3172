//! Bounds that pages for authors of policies state are those of the code, and so are the lists that they give.

use std::collections::BTreeSet;

use super::docs::read;

const CHECKS: &str = "docs/reference/checks.md";
const SANITIZE: &str = "docs/reference/sanitize.md";
const PROVENANCE: &str = "docs/provenance.md";
const TEXT: &str = "decision/core/src/rules/text.rs";
const HOST: &str = "decision/core/src/rules/host.rs";
const TRANSFORM: &str = "decision/core/src/policy/transform.rs";
const REDACT: &str = "decision/core/src/sanitize/redact.rs";
const ANSWER: &str = "decision/core/src/run/answer.rs";
const RUNS: &str = "decision/core/src/run/index.rs";
const VAT: &str = "decision/core/src/rules/vat.rs";

/// Page, what it says, with `{}` for the bound, and where the bound is a constant, or a member of the defaults.
const BOUNDS: [(&str, &str, &str, &str); 24] = [
    (CHECKS, "no back-references, at most\n{} bytes", TEXT, "MAX_PATTERN_BYTES"),
    (CHECKS, "A text longer than {} is indeterminate", TEXT, "MAX_MATCHED_BYTES"),
    (CHECKS, "`-` and `_`, at most {} bytes", HOST, "MAX_LABEL"),
    (CHECKS, "bytes, together at most {}. One label will do", HOST, "MAX_NAME"),
    (SANITIZE, "is made for it. At most {} bytes", TRANSFORM, "MAX_SET_BYTES"),
    (SANITIZE, "`scale` (0 to {})", TRANSFORM, "MAX_SCALE"),
    (SANITIZE, "At most {} transforms a rule", TRANSFORM, "MAX_TRANSFORMS"),
    (SANITIZE, "and {} for one operation together", "decision/core/src/sanitize/plan.rs", "MAX_TOGETHER"),
    (SANITIZE, "At most {} redactions an operation", REDACT, "MAX_REDACTIONS"),
    (SANITIZE, "must bound its matches to {} bytes", REDACT, "MAX_MATCH_BYTES"),
    (SANITIZE, "not anchored, at most {} bytes", TEXT, "MAX_PATTERN_BYTES"),
    (SANITIZE, "may take {} once compiled", "decision/core/src/room.rs", "MAX_OWN_BYTES"),
    (PROVENANCE, "Of an entry, {} values are asked", "decision/core/src/provenance/protected.rs", "MAX_VALUES"),
    (PROVENANCE, "After a call with more than {} values", ANSWER, "MAX_OF_EACH"),
    (PROVENANCE, "| of a call under way | {} bytes", "decision/core/src/run/said.rs", "MAX_SAID_BYTES"),
    (PROVENANCE, "fingerprints of {} values and", ANSWER, "MAX_OF_EACH"),
    (PROVENANCE, "| of an answer | {} values", ANSWER, "MAX_OF_EACH"),
    (PROVENANCE, "values of at most {} bytes", ANSWER, "MAX_VALUE_BYTES"),
    (PROVENANCE, "| runs | {};", RUNS, "runs"),
    (PROVENANCE, "one ends {} hours after", RUNS, "idle"),
    (PROVENANCE, "| of each tool of a run | {} values", RUNS, "values_of_source"),
    (PROVENANCE, "the newest; {} tools", RUNS, "sources"),
    (PROVENANCE, "outcomes of {} operations", RUNS, "operations"),
    (PROVENANCE, "| of all runs | {} values", RUNS, "values"),
];

/// The constant's value, or that of the member: a number, or a product of some.
fn value(file: &str, name: &str) -> u64 {
    let source = read(file);
    let definitions = source.lines().map(str::trim).filter_map(|line| {
        let constant = line.split_once(&format!("const {name}: ")).and_then(|(_, rest)| rest.split_once(" = "));
        let member = line.strip_prefix(&format!("{name}: ")).filter(|value| value.ends_with(','));
        constant.map(|(_, value)| value).or(member)
    });
    let known = definitions.filter_map(|text| {
        let text = text.trim_end_matches([';', ',']);
        let text = text.strip_prefix("SignedDuration::from_hours(").map_or(text, |text| text.trim_end_matches(')'));
        text.split(" * ").map(|factor| factor.replace('_', "").parse::<u64>().ok()).product::<Option<u64>>()
    });
    // A count that begins at nothing is no bound.
    match known.filter(|value| *value > 0).collect::<Vec<_>>().as_slice() {
        [one] => *one,
        others => panic!("{name} stands {} times in {file}", others.len()),
    }
}

/// As pages write it: with commas between thousands, and what is whole in KiB or MiB also so.
fn written(value: u64) -> Vec<String> {
    let mut ways = vec![super::figures::written(value)];
    for (unit, name) in [(1 << 10, "KiB"), (1 << 20, "MiB")] {
        if value.is_multiple_of(unit) {
            ways.push(format!("{} {name}", value / unit));
        }
    }
    ways
}

#[test]
fn pages_state_the_bounds_of_the_code() {
    let wrong = BOUNDS.iter().filter_map(|(page, says, file, name)| {
        let ways = written(value(file, name));
        let page_text = read(page);
        let is_there = ways.iter().any(|way| page_text.contains(&says.replace("{}", way)));
        (!is_there).then(|| format!("{page} does not say \"{says}\" with {name} of {file}: {}", ways.join(" or ")))
    });
    assert_eq!(wrong.collect::<Vec<_>>(), Vec::<String>::new());
}

#[test]
fn the_page_knows_the_countries_of_vat_numbers() {
    let (page, source) = (read(CHECKS), read(VAT));
    let (_, rest) = page.split_once("`vatId` knows").expect("the page has the list");
    let (list, _) = rest.split_once("Every other prefix").expect("the list ends");
    let is_prefix = |text: &&str| text.len() == 2 && text.bytes().all(|b| b.is_ascii_uppercase());
    let told: BTreeSet<&str> = list.split('`').filter(is_prefix).collect();
    let (_, rest) = source.split_once("const STRUCTURES").expect("the source has the table");
    let (table, _) = rest.split_once("];").expect("the table ends");
    let known: BTreeSet<&str> = table.lines().filter_map(|line| line.trim().strip_prefix("(\"")?.get(..2)).collect();
    assert!(known.len() > 25, "{known:?}");
    assert_eq!(told, known);
}
