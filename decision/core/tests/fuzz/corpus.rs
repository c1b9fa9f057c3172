//! Where the corpora are, and how those are made that come from other tests' cases.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use aegis_decision::digest::Digest;
use aegis_decision::feed::{Envelope, FeedItem};
use aegis_decision::jws::{Purpose, SigningKey};
use serde_json::{Map, Value, json};

use crate::decision::Scene;
use crate::segment::HONEST;
use crate::situation::{Situation, yaml};

/// Cases of each file that become scenes.
const CASES: usize = 2;
/// Checks of each file of predicates that become rules.
const CHECKS: usize = 12;

/// The corpus of a target.
pub fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target)
}

/// The files that are made from cases; written, when `AEGIS_BLESS` is set.
pub static MADE: LazyLock<Vec<PathBuf>> = LazyLock::new(|| {
    let mut made = Vec::new();
    for (name, bytes) in vectors() {
        made.push((folder("json").join(name), bytes));
    }
    for (at, (name, scene)) in scenes().into_iter().chain(checks()).enumerate() {
        made.push((folder("decision").join(format!("case-{name}.json")), serde_json::to_vec(&scene).unwrap()));
        if at % CASES == 0 {
            made.extend(items(&name, scene));
        }
    }
    for (at, (bytes, _)) in HONEST.iter().enumerate() {
        made.push((folder("segment").join(format!("honest-{at}")), bytes.clone()));
    }
    if std::env::var_os("AEGIS_BLESS").is_some() {
        for (path, bytes) in &made {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
    }
    made.into_iter().map(|(path, _)| path).collect()
});

/// The short ones of the public suite: all that must be accepted, and what is nearest to it.
fn vectors() -> Vec<(String, Vec<u8>)> {
    let vectors = include_str!("../json/suite/vectors.jsonl").lines().map(|line| serde_json::from_str(line).unwrap());
    let short = |vector: Value| {
        let (name, input) = (vector["name"].as_str()?.to_owned(), vector["input"].as_str()?.as_bytes().to_vec());
        (!name.starts_with("n_") && input.len() < 200).then_some((name, input))
    };
    vectors.filter_map(short).collect()
}

/// The first plain cases of each file, as scenes.
fn scenes() -> Vec<(String, Scene)> {
    let mut scenes = Vec::new();
    for (name, file) in files("tests/cases") {
        let base = base(&file);
        let cases = file["cases"].as_array().unwrap().iter().filter_map(Value::as_object);
        let plain = cases.filter(|case| case.contains_key("expect")).take(CASES);
        for (at, case) in plain.enumerate() {
            let mut keys = case.clone();
            keys.retain(|key, _| !matches!(key.as_str(), "name" | "expect" | "earlier" | "releases"));
            scenes.push((format!("{name}-{at}"), scene(&base, &keys)));
        }
    }
    scenes
}

/// Names and contents of the YAML files of a folder.
fn files(folder: &str) -> Vec<(String, Map<String, Value>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let read = |path: PathBuf| {
        let name = path.file_stem()?.to_string_lossy().into_owned();
        path.is_file().then(|| (name, yaml(&fs::read_to_string(&path).unwrap()).unwrap()))
    };
    paths.into_iter().filter_map(read).collect()
}

fn base(file: &Map<String, Value>) -> Situation {
    let shared = file.get("resources").and_then(Value::as_object).cloned().unwrap_or_default();
    Situation::fixture().with(&shared)
}

fn scene(base: &Situation, keys: &Map<String, Value>) -> Scene {
    let scene = base.with(keys).scene().unwrap();
    let source = scene.bundle.source().clone();
    Scene { source, standing: scene.standing, delegations: scene.delegations, input: scene.input }
}

/// A scene of each file of predicates: its checks as rules of their own, over the arguments of all of them.
fn checks() -> Vec<(String, Scene)> {
    let made = files("tests/cases/predicates").into_iter().map(|(name, file)| {
        let cases = file["cases"].as_array().unwrap().iter().filter(|case| case["check"].is_object());
        let (mut rules, mut arguments) = (vec![json!({"name": "all", "effect": "Allow"})], Map::new());
        for (at, case) in cases.take(CHECKS).enumerate() {
            let effect = if at % 2 == 0 { json!("Deny") } else { json!({"RequireApproval": {"tier": "manager"}}) };
            rules.push(json!({"name": format!("c{at}"), "effect": effect, "when": [case["check"]]}));
            arguments.extend(case["arguments"].as_object().cloned().unwrap_or_default());
        }
        let keys = json!({"rules": rules, "call": {"arguments": arguments}});
        (format!("{name}-checks"), scene(&base(&file), keys.as_object().unwrap()))
    });
    made.collect()
}

/// A scene's source for the feed: plain, as an item, and as the line that the key signed.
fn items(name: &str, scene: Scene) -> [(PathBuf, Vec<u8>); 3] {
    let source = serde_json::to_vec(&scene.source).unwrap();
    let item = Envelope {
        agent_uid: scene.source.agent.uid.clone(),
        sequence: 7,
        as_of: scene.input.at,
        item: FeedItem::Policy { version: 3, digest: Digest::of(&scene.source), source: Box::new(scene.source) },
    };
    let line = item.sign(&SigningKey::from_seed(Purpose::Feed, &[1; 32])).unwrap();
    let at = |kind: &str| folder("bundle").join(format!("case-{name}.{kind}"));
    [
        (at("source.json"), source),
        (at("item.json"), serde_json::to_vec(&item).unwrap()),
        (at("line"), line.into_bytes()),
    ]
}
