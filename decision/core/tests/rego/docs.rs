//! `docs/reference/rego.md` says what the code does: the list of functions row by row, and the bounds.

use std::path::Path;

use aegis_decision::rego::builtins::ALLOWED;
use aegis_decision::rego::{self};

use crate::scene::{ask, scene};

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/rego.md");
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn the_page_lists_the_functions_that_are_available() {
    let page = page();
    let (_, table) =
        page.split_once("| function | arguments | gives | bounded, because |\n| --- | --- | --- | --- |\n").unwrap();
    let rows: Vec<_> = table.lines().take_while(|line| line.starts_with('|')).collect();
    let listed: Vec<_> = ALLOWED
        .iter()
        .map(|one| format!("| `{}` | {} | {} | {} |", one.name, one.arguments, one.gives, one.bounded))
        .collect();
    assert_eq!(rows, listed);
}

#[test]
fn the_page_tells_the_bounds() {
    let page = page().replace(',', "");
    for bound in [
        u64::from(rego::FUEL),
        u64::from(rego::MAX_DEPTH),
        rego::MAX_MODULE_BYTES as u64,
        rego::MAX_INSTRUCTIONS as u64,
        rego::MAX_TEXT_BYTES as u64,
        rego::MAX_VERDICTS as u64,
        rego::MAX_REASON as u64,
        rego::MAX_MESSAGE as u64,
    ] {
        assert!(page.contains(&bound.to_string()), "{bound}");
    }
}

/// The example is a module that works.
#[test]
fn the_example_of_the_page_holds_a_large_order() {
    let page = page();
    let (_, example) = page.split_once("    module: |\n").unwrap();
    let (example, _) = example.split_once("```").unwrap();
    let module = example
        .replace("finance", "manager")
        .replace("data.registries.suppliers[input.arguments.supplier].tier", "[\"small\"]");
    let line =
        |price: u32| serde_json::json!({"amount": 1, "supplier": "s-2", "lines": [{"price": price, "count": 3}]});
    let asked = |price| ask(&scene(&module, &line(price)).unwrap()).output.rules;
    assert_eq!(asked(400).first().map(|rule| rule.effect.clone()).as_deref(), Some("RequireApproval"));
    assert!(asked(300).is_empty());
}
