//! The cookbook is true: every recipe passes its own tests, these reach every rule and check both ways, and its page
//! names every rule and shows the answers that the tests really get.
//!
//! `AEGIS_BLESS=1 cargo test -p aegis --test commands cookbook::` writes the answers on the pages again.

use std::fs;
use std::path::PathBuf;

use aegis_cli::Exit;
use aegis_decision::codes::Code;
use serde::Serialize;
use serde_json::Value;

use crate::aegis;

/// One folder of the cookbook.
struct Recipe {
    name: String,
    folder: PathBuf,
    page: String,
}

/// What an agent is answered, but for the members that every call has anew.
#[derive(Serialize)]
struct Answer<'a> {
    status: u16,
    code: &'a str,
    detail: &'a Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failed: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed: Option<&'a Value>,
}

pub(crate) fn cookbook() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("examples/cookbook")
}

fn recipes() -> Vec<Recipe> {
    let folders = fs::read_dir(cookbook()).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    let mut recipes: Vec<_> = folders
        .map(|folder| {
            let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
            let page = fs::read_to_string(folder.join("README.md"));
            assert!(page.is_ok(), "{name} has no README.md");
            let page = page.unwrap();
            Recipe { name, folder, page }
        })
        .collect();
    recipes.sort_by(|one, other| one.name.cmp(&other.name));
    assert!(recipes.len() >= 20, "the cookbook has only {} recipes", recipes.len());
    recipes
}

impl Recipe {
    fn report(&self) -> Value {
        let ran = aegis(&["policy", "test", self.folder.to_str().unwrap(), "-o", "json"], "");
        assert_eq!(ran.exit, Exit::Done, "{}: {}", self.name, ran.whole());
        serde_json::from_str(&ran.out).unwrap()
    }
}

/// The answer of the test of that name, which is refused or held.
fn answer(report: &Value, test: &str) -> String {
    let mut tests = report["tests"].as_array().unwrap().iter();
    let found = tests.find(|one| one["test"] == test);
    assert!(found.is_some_and(|one| one["decision"]["code"].is_string()), "there is no refused or held test {test}");
    let decision = &found.unwrap()["decision"];
    let code: Code = serde_json::from_value(decision["code"].clone()).unwrap();
    let answer = Answer {
        status: code.status(),
        code: code.as_str(),
        detail: &decision["detail"],
        policy: decision["rule"].get("policy"),
        rule: decision["rule"].get("rule"),
        failed: decision.get("failed"),
        allowed: decision.get("allowed"),
    };
    serde_json::to_string_pretty(&answer).unwrap()
}

/// The page with each block ```` ```json TEST ```` as that test's answer, and how many blocks there are.
fn with_answers(recipe: &Recipe, report: &Value) -> (String, usize) {
    let mut page = String::new();
    let mut shown = 0;
    let mut lines = recipe.page.lines();
    while let Some(line) = lines.next() {
        page.push_str(line);
        page.push('\n');
        let Some(test) = line.strip_prefix("```json ") else { continue };
        page.push_str(&answer(report, test));
        page.push_str("\n```\n");
        shown += 1;
        assert!(lines.any(|line| line == "```"), "{}: a block has no end", recipe.name);
    }
    (page, shown)
}

#[test]
fn every_recipe_passes_and_its_tests_reach_every_rule_and_check_both_ways() {
    for recipe in recipes() {
        let ran = aegis(&["policy", "test", recipe.folder.to_str().unwrap(), "--min-coverage", "100"], "");
        assert_eq!(ran.exit, Exit::Done, "{}: {}", recipe.name, ran.whole());
    }
}

#[test]
fn every_recipe_shows_a_call_that_goes_and_one_that_does_not() {
    let mut held = 0;
    for recipe in recipes() {
        let report = recipe.report();
        let tests = report["tests"].as_array().unwrap();
        let count = |verdict| tests.iter().filter(|test| test["found"]["verdict"] == verdict).count();
        assert!(tests.len() >= 8, "{} has only {} tests", recipe.name, tests.len());
        assert!(count("Deny") >= 2, "{} refuses too little", recipe.name);
        assert!(count("Allow") + count("Hold") >= 1, "{} lets nothing pass", recipe.name);
        held += usize::from(count("Hold") > 0);
    }
    assert!(held >= 10, "only {held} recipes hold a call");
}

#[test]
fn every_page_names_every_rule_and_shows_the_answers_of_its_tests() {
    for recipe in recipes() {
        let Recipe { name, folder, page } = &recipe;
        let command = format!("aegis policy test examples/cookbook/{name}\n");
        for part in ["# ", "\n## The policy\n", "\n## What it does not stop\n", "\n## Try it\n", &command] {
            assert!(page.contains(part), "{name}: README.md lacks {part:?}");
        }
        let report = recipe.report();
        for rule in report["coverage"]["rules"].as_array().unwrap() {
            let rule = format!("| `{}` |", rule["rule"].as_str().unwrap());
            assert!(page.contains(&rule), "{name}: README.md has no row for {rule}");
        }
        let (fresh, shown) = with_answers(&recipe, &report);
        assert!(shown > 0, "{name}: README.md does not show what the agent sees");
        if std::env::var_os("AEGIS_BLESS").is_some() {
            fs::write(folder.join("README.md"), &fresh).unwrap();
        } else {
            assert!(
                *page == fresh,
                "{name}: README.md shows another answer than its tests get; run AEGIS_BLESS=1 cargo test -p aegis \
                 --test commands cookbook::"
            );
        }
    }
}

#[test]
fn the_index_names_every_recipe_once() {
    let index = fs::read_to_string(cookbook().join("README.md")).unwrap();
    let rows: Vec<_> = index.lines().filter(|line| line.starts_with("| [")).collect();
    let recipes = recipes();
    for Recipe { name, .. } in &recipes {
        let link = format!("]({name}/README.md) |");
        assert_eq!(
            rows.iter().filter(|row| row.contains(&link)).count(),
            1,
            "rows of {name} in the cookbook's README.md"
        );
    }
    assert_eq!(rows.len(), recipes.len(), "the index names a recipe that is not there");
}
