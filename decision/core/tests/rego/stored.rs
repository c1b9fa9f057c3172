//! The modules that stand in the cases and in the examples, by the machine and by the interpreter: each on the calls that
//! its own tests name, and on calls made from these.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use aegis_decision::bundle::Bundle;
use aegis_decision::contract::DecisionInput;
use serde_json::{Value, json};

use crate::interpreter::compared;
use crate::mutate::Numbers;
use crate::support::case::CaseFile;
use crate::support::situation::{Scene, Situation, yaml};
use crate::vary::varied;

/// Calls that are made from each one that is named.
const MADE: usize = 30;

/// What was compared.
#[derive(Debug)]
struct Seen {
    numbers: Numbers,
    /// Times that a module failed, and that it said something.
    fell: usize,
    said: usize,
}

impl Seen {
    fn new() -> Self {
        Self { numbers: Numbers(1), fell: 0, said: 0 }
    }

    /// Compares the scene's modules on its call and on calls made from it; gives their number.
    fn compare(&mut self, scene: &Scene) -> usize {
        let mut source = scene.bundle.source().clone();
        // A policy of another tool has a module too.
        source.policies.iter_mut().for_each(|policy| policy.tools = vec![scene.input.tool.clone()]);
        let modules = source.policies.iter().filter(|policy| policy.rego.is_some()).count();
        let bundle = Bundle::assemble(source).unwrap();
        let named = serde_json::to_value(&scene.input.arguments).unwrap();
        for at in 0..=MADE {
            let arguments = if at == 0 { named.clone() } else { varied(&named, &mut self.numbers) };
            let arguments = aegis_decision::json::parse(arguments.to_string().as_bytes()).unwrap();
            let input = DecisionInput { arguments: Some(arguments), ..scene.input.clone() };
            let by_policy = compared(&bundle, &input, &scene.standing, &scene.delegations);
            assert_eq!(by_policy.len(), modules, "every module is asked");
            for said in by_policy.values() {
                match said {
                    None => self.fell += 1,
                    Some(verdicts) => self.said += usize::from(!verdicts.is_empty()),
                }
            }
        }
        modules
    }
}

/// The YAML files of a folder and of those in it.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(self::files(&path));
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            files.push(path);
        }
    }
    files.sort();
    files
}

#[test]
fn the_modules_of_the_cases_mean_what_they_mean_in_the_interpreter() {
    let (mut seen, mut compared, mut refused) = (Seen::new(), 0, 0);
    let mut modules = 0;
    for path in files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases")) {
        let text = fs::read_to_string(&path).unwrap();
        if !text.contains("rego: {") {
            continue;
        }
        modules += text.matches("rego: {").count();
        for case in yaml::<CaseFile>(&text).unwrap().into_cases() {
            println!("{}: {}", path.display(), case.name);
            match case.scene() {
                Ok(scene) => compared += seen.compare(&scene),
                Err(_) => refused += 1,
            }
        }
    }
    assert!(
        compared > 10 && compared + refused == modules,
        "of {modules} modules {compared}, and {refused} are refused"
    );
    assert!(seen.fell > 0 && seen.said > 0, "{seen:?}");
}

#[test]
fn the_modules_of_the_examples_mean_what_they_mean_in_the_interpreter() {
    let mut by_folder: BTreeMap<PathBuf, Vec<String>> = BTreeMap::new();
    for path in files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples")) {
        let text = fs::read_to_string(&path).unwrap();
        by_folder.entry(path.parent().unwrap().to_owned()).or_default().push(text);
    }
    let (mut seen, mut compared, mut modules) = (Seen::new(), 0, 0);
    for (folder, texts) in by_folder {
        let lines = texts.iter().flat_map(|text| text.lines());
        modules += lines.filter(|line| line.trim_start().starts_with("rego:")).count();
        let mut documents: Vec<Value> = Vec::new();
        for text in &texts {
            let read: Vec<Value> = serde_saphyr::from_multiple(text).unwrap();
            documents.extend(read);
        }
        for policy in documents.iter().filter(|one| one["kind"] == "ToolPolicy" && one["spec"]["rego"].is_object()) {
            let name = &policy["metadata"]["name"];
            println!("{}: {name}", folder.display());
            // Tests stand in the policy, or in a file beside it.
            let beside = documents.iter().filter(|one| one["policy"] == *name).map(|one| &one["tests"]);
            let tests = std::iter::once(&policy["spec"]["tests"]).chain(beside).filter_map(Value::as_array).flatten();
            let calls: Vec<_> = tests.map(|test| scene(&documents, policy, &test["call"])).collect();
            assert!(!calls.is_empty(), "{name} has no test");
            for scene in &calls {
                assert_eq!(seen.compare(scene), 1);
            }
            compared += 1;
        }
    }
    assert!(compared > 0 && compared == modules, "of {modules} modules {compared}");
    assert!(seen.said > 0, "{seen:?}");
}

/// The call of a policy's test, under its module alone. Its tool takes any arguments, so that the module is asked.
fn scene(documents: &[Value], policy: &Value, call: &Value) -> Scene {
    assert!(call.get("facts").is_none(), "make the facts of a test known to the module");
    let spec = &policy["spec"];
    let of = |kind: &str, name: &Value| {
        let mut found = documents.iter().filter(|one| one["kind"] == kind && one["metadata"]["name"] == *name);
        found.next().unwrap_or_else(|| panic!("there is no {kind} {name}"))
    };
    let operations = of("Tool", &call["tool"])["spec"]["operations"].as_array().unwrap().iter();
    let class = operations.filter(|one| one["name"] == call["operation"]).map(|one| &one["class"]).next().unwrap();
    let operation = json!({
        "class": class, "http": {"method": "POST", "path": "/recipe"}, "arguments": {"type": "object"},
    });
    let empty = json!([]);
    let names = spec.get("registries").unwrap_or(&empty);
    let registries = names.as_array().unwrap().iter().map(|name| registry(name, &of("Registry", name)["spec"]));
    let tiers = spec["rego"].get("tiers").unwrap_or(&empty);
    let keys = json!({
        "tool": {"name": call["tool"]},
        "operations": BTreeMap::from([(call["operation"].as_str().unwrap(), operation)]),
        "delegations": [{"grants": [{"tool": call["tool"], "operations": ["*"]}]}],
        "registries": registries.collect::<Vec<_>>(),
        "tiers": tiers,
        "rules": [],
        "policies": [{
            "name": policy["metadata"]["name"],
            "tools": [call["tool"]],
            "rules": [],
            "registries": names,
            "rego": {"module": spec["rego"]["module"], "tiers": tiers},
        }],
        "call": {
            "tool": call["tool"],
            "operation": call["operation"],
            "json": call.get("arguments").map_or_else(|| "{}".to_owned(), Value::to_string),
        },
    });
    Situation::fixture().with(keys.as_object().unwrap()).scene().unwrap()
}

/// A Registry as the core has it.
fn registry(name: &Value, spec: &Value) -> Value {
    let entries = spec["entries"].as_array().into_iter().flatten();
    let entries: BTreeMap<_, _> = entries
        .map(|entry| (entry["id"].as_str().unwrap(), entry.get("attributes").cloned().unwrap_or_else(|| json!({}))))
        .collect();
    json!({"name": name, "key": spec["key"], "entries": entries})
}
