//! Resources from a folder of YAML, and each agent's bundle made from them with the functions that the operator uses.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use aegis_crds::api::Agent;
use aegis_crds::gather;
use aegis_crds::load::Resources;
use aegis_crds::lower;
use aegis_crds::test_files::is_test_file;
use aegis_decision::agent::Standing;
use aegis_decision::bundle::Bundle;
use aegis_decision::contract::DecisionInput;
use aegis_decision::decision::DecisionOutput;
use aegis_decision::delegation::Delegation;
use aegis_decision::rego::Worker;
use aegis_decision::run::RunIndex;
use anyhow::{Context as _, Result, ensure};
use kube::{Resource, ResourceExt as _};

use crate::calls::Unreadable;

/// Most folders in each other.
const MAX_DEPTH: usize = 16;
/// Largest file in bytes.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// One agent with all that judges its calls.
pub(crate) struct Judge {
    /// Its bundle.
    pub(crate) bundle: Bundle,
    /// Where it stands.
    pub(crate) standing: Standing,
    /// The delegations to it.
    pub(crate) delegations: Vec<Delegation>,
    /// Machines for its policies' Rego modules.
    pub(crate) worker: RefCell<Worker>,
}

impl Judge {
    /// The judge of one agent of the resources.
    pub(crate) fn of(agent: &Agent, resources: &Resources) -> Result<Self> {
        let home = home(agent);
        let whose = || format!("agent {home}/{} cannot be judged", agent.name_any());
        let Resources { tools, policies, registries, tiers, delegations, .. } = resources;
        let source = gather::bundle_source(agent, tools, policies, registries, tiers).with_context(whose)?;
        let (_, standing) = lower::agent(agent).with_context(whose)?;
        let delegations = delegations
            .iter()
            .filter(|delegation| self::home(*delegation) == home && delegation.spec.agent == agent.name_any())
            .map(|one| lower::delegation(one).with_context(|| format!("Delegation {}", one.name_any())))
            .collect::<Result<_>>()
            .with_context(whose)?;
        let bundle = Bundle::assemble(source).with_context(whose)?;
        Ok(Self { bundle, standing, delegations, worker: RefCell::default() })
    }
}

/// The judges of all agents, each made once, by `namespace/name`.
pub(crate) struct Judges(BTreeMap<String, Judge>);

impl Judges {
    /// Of the resources under a path; those without namespace are in `namespace`.
    pub(crate) fn load(path: &Path, namespace: &str) -> Result<Self> {
        let resources = load(path, namespace)?;
        let judge = |agent: &Agent| {
            let name = format!("{}/{}", home(agent), agent.name_any());
            Ok((name, Judge::of(agent, &resources)?))
        };
        resources.agents.iter().map(judge).collect::<Result<_>>().map(Self)
    }

    /// The judge of an agent, or why there is none.
    pub(crate) fn of(&self, agent: &str) -> Result<&Judge, Unreadable> {
        self.0.get(agent).ok_or_else(|| {
            let known = self.0.keys().cloned().collect::<Vec<_>>().join(", ");
            let known = if known.is_empty() { "none".to_owned() } else { known };
            Unreadable(format!("agent: {agent} is not among the resources; they have: {known}"))
        })
    }

    /// Judges one call of a run. A call that says itself what was known of its run is judged with that, as the control
    /// service judges a held one.
    pub(crate) fn judge(&self, input: DecisionInput, runs: &RunIndex) -> Result<DecisionOutput, Unreadable> {
        let Judge { bundle, standing, delegations, worker } = self.of(&input.agent)?;
        Ok(bundle.judge_input_once(input, standing, delegations, runs, &mut worker.borrow_mut()))
    }
}

/// Reads every YAML file under a path, or the one file that it names: resources, and tests from files that end with
/// `_test.yaml`. Resources without namespace get `namespace`.
pub(crate) fn load(path: &Path, namespace: &str) -> Result<Resources> {
    let mut resources = Resources::default();
    let files = files(path)?;
    ensure!(!files.is_empty(), "{} holds no file that ends with .yaml, .yml or .json", path.display());
    for file in files {
        let length = fs::metadata(&file).with_context(|| format!("cannot read {}", file.display()))?.len();
        ensure!(length <= MAX_FILE_BYTES, "{} is longer than {MAX_FILE_BYTES} bytes", file.display());
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let origin = file.display().to_string();
        if file.file_name().is_some_and(|name| is_test_file(&name.to_string_lossy())) {
            resources.add_tests(&origin, &text)?;
        } else {
            resources.add(&origin, &text)?;
        }
    }
    settle(&mut resources.agents, namespace);
    settle(&mut resources.tools, namespace);
    settle(&mut resources.policies, namespace);
    settle(&mut resources.registries, namespace);
    settle(&mut resources.delegations, namespace);
    settle(&mut resources.tiers, namespace);
    Ok(resources)
}

/// Namespace of a resource; `default` where it names none, as the API server has it.
pub(crate) fn home<K: Resource>(object: &K) -> String {
    object.namespace().unwrap_or_else(|| "default".to_owned())
}

fn settle<K: Resource>(objects: &mut [K], namespace: &str) {
    for object in objects {
        object.meta_mut().namespace.get_or_insert_with(|| namespace.to_owned());
    }
}

/// The files of resources under a path, ordered by name; the path itself where it is a file.
fn files(path: &Path) -> Result<Vec<PathBuf>> {
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    collect(path, 0, &mut found)?;
    Ok(found)
}

fn collect(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<()> {
    let unreadable = || format!("cannot read {}", folder.display());
    ensure!(depth < MAX_DEPTH, "{} lies more than {MAX_DEPTH} folders deep", folder.display());
    let mut entries = fs::read_dir(folder)
        .with_context(unreadable)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>>>()
        .with_context(unreadable)?;
    entries.sort();
    for path in entries {
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if path.is_dir() && !hidden {
            collect(&path, depth.saturating_add(1), found)?;
        } else if !hidden && is_resource_file(&path) {
            found.push(path);
        }
    }
    Ok(())
}

/// Whether a file of that name is read.
pub(crate) fn is_resource_file(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "yaml" || end == "yml" || end == "json")
}
