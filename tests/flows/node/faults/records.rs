//! What the sidecars of a pod have kept: verified by `aegis verify`, then looked up.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use aegis_decision::decision::Verdict;
use aegis_decision::record::{DecisionRecord, OutcomeRecord, Record};
use aegis_decision::segment::{Entry, read};
use aegis_tests::mesh::binary;
use aegis_tests::node::Node;
use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;

use super::scene::NAMESPACE;

/// All records of one pod, of every start of its sidecar.
#[derive(Default)]
pub struct Records {
    /// Starts of the sidecar.
    pub epochs: usize,
    decisions: BTreeMap<String, DecisionRecord>,
    outcomes: BTreeMap<String, OutcomeRecord>,
    /// Decisions by the id in the call.
    by_call: BTreeMap<String, BTreeSet<String>>,
}

impl Records {
    /// Verifies and reads a folder.
    pub async fn of(folder: &Path, keys: &Path) -> Result<Self> {
        let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
        let files: BTreeSet<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        let output = tokio::process::Command::new(binary("aegis")?)
            .arg("verify")
            .args(&files)
            .arg("--keys")
            .arg(keys)
            .output()
            .await?;
        let (told, complaints) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        ensure!(output.status.success(), "aegis verify: {told}{complaints}");
        let mut records = Self { epochs: files.len(), ..Self::default() };
        for file in files {
            for entry in read(&fs::read(&file)?) {
                match entry {
                    Entry::Record(Record::Decision(record)) => records.decision(*record),
                    Entry::Record(Record::Outcome(record)) => {
                        records.outcomes.insert(record.decision.clone(), *record);
                    }
                    _ => {}
                }
            }
        }
        Ok(records)
    }

    fn decision(&mut self, record: DecisionRecord) {
        if let Some(id) = record.values.get("id").and_then(|id| id.as_str()) {
            self.by_call.entry(id.to_owned()).or_default().insert(record.id.clone());
        }
        self.decisions.insert(record.id.clone(), record);
    }

    /// A decision by its id.
    pub fn by_id(&self, id: &str) -> Option<&DecisionRecord> {
        self.decisions.get(id)
    }

    /// Decisions about a call that let it go: an approved one has a claim.
    pub fn leave(&self, call: &str) -> impl Iterator<Item = &DecisionRecord> {
        let ids = self.by_call.get(call).into_iter().flatten();
        ids.filter_map(|id| self.decisions.get(id)).filter(|record| match record.decision.verdict {
            Verdict::Allow => true,
            Verdict::AllowOnce => record.claim.is_some(),
            Verdict::Hold | Verdict::Deny | Verdict::Propose => false,
        })
    }

    /// Decisions about a call.
    pub fn about(&self, call: &str) -> usize {
        self.by_call.get(call).map_or(0, BTreeSet::len)
    }

    /// How a call ended.
    pub fn outcome(&self, decision: &str) -> Option<&OutcomeRecord> {
        self.outcomes.get(decision)
    }
}

/// The keys that records are verified with, as a file.
pub async fn keys(node: &Node) -> Result<PathBuf> {
    let maps: Api<ConfigMap> = Api::namespaced(node.cluster.admin().await?, NAMESPACE);
    let data = maps.get("aegis-trust").await?.data.unwrap_or_default();
    let file = node.dir.join("jwks.json");
    fs::write(&file, data.get("jwks.json").context("ConfigMap aegis-trust has no jwks.json")?)?;
    Ok(file)
}
