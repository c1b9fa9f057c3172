//! Pairs of files in `tests/golden`: `NAME.in.yaml` holds what is known of the agent, then the pod; `NAME.out.yaml` the pod
//! as it comes back, or why it is refused. `AEGIS_BLESS=1` writes the second files anew; then read the difference.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use aegis_crds::api::agent::Level;
use aegis_crds::mesh;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{UID, buyer, injected, settings};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Known {
    level: Level,
    tools: Vec<String>,
    #[serde(default)]
    credentials: BTreeMap<String, (String, String)>,
}

fn pairs() -> Vec<(String, PathBuf, PathBuf)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut names: Vec<String> = fs::read_dir(&folder)
        .unwrap()
        .filter_map(|entry| Some(entry.unwrap().file_name().to_str()?.strip_suffix(".in.yaml")?.to_owned()))
        .collect();
    names.sort();
    let pair =
        |name: String| (name.clone(), folder.join(format!("{name}.in.yaml")), folder.join(format!("{name}.out.yaml")));
    names.into_iter().map(pair).collect()
}

#[test]
fn every_pod_comes_back_as_written_down() {
    let bless = std::env::var_os("AEGIS_BLESS").is_some();
    let pairs = pairs();
    assert!(pairs.len() >= 30, "the golden pairs were not found");
    let mut differing = Vec::new();
    for (name, input, output) in pairs {
        let documents: Vec<Value> = serde_saphyr::from_multiple(&fs::read_to_string(&input).unwrap()).unwrap();
        let [known, pod] = documents.as_slice() else { panic!("{name}: not two documents") };
        let known = Known::deserialize(known).unwrap_or_else(|error| panic!("{name}: {error}"));
        let agent = buyer(known.level.into(), &known.tools, &known.credentials);
        let found = match injected(pod, &agent, &settings(), UID) {
            Ok(Some(pod)) => {
                let typed = serde_json::from_value(pod.clone()).unwrap();
                mesh::inspect(&typed, "shop", "buyer", agent.level, &settings()).expect("injected pods are governed");
                assert_eq!(injected(&pod, &agent, &settings(), UID + 1), Ok(None), "{name}: injected twice");
                pod
            }
            Ok(None) => json!({"unchanged": true}),
            Err(refusal) => json!({"refused": refusal.to_string(), "reason": refusal.reason()}),
        };
        let text = serde_saphyr::to_string(&found).unwrap();
        if bless {
            fs::write(&output, &text).unwrap();
        } else if fs::read_to_string(&output).unwrap_or_default() != text {
            differing.push(format!("{}:\n{text}", output.display()));
        }
    }
    assert!(differing.is_empty(), "these differ from what is found now:\n{}", differing.join("\n"));
}
