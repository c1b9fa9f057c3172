//! What the sidecars' records say, after `aegis verify` has found each file to hold.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use aegis_decision::decision::Verdict;
use aegis_decision::record::{Record, RecordedExecution};
use aegis_decision::segment::{self, Entry};
use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use serde_json::Value;
use tokio::process::Command;

use super::start::Node;
use crate::mesh::binary;

/// What lies in a folder of record files.
#[derive(Debug, Default)]
pub struct Evidence {
    /// What `aegis verify` says of each file, in their order: one for each start of a sidecar.
    pub epochs: Vec<Value>,
    /// `traceparent` of every allowed call by the decision's id.
    pub allowed: BTreeMap<String, String>,
    /// How allowed calls ended, by the decision's id.
    pub outcomes: BTreeMap<String, RecordedExecution>,
    /// Renewed attestations: one for each token after an epoch's first.
    pub renewals: usize,
}

impl Evidence {
    /// Verifies and reads every file of a folder, with the keys that the namespace trusts.
    ///
    /// # Errors
    /// When `aegis verify` finds a file to be changed or cannot read it.
    pub async fn read(node: &Node, namespace: &str, folder: &Path) -> Result<Self> {
        let files = files(folder)?;
        let maps: Api<ConfigMap> = Api::namespaced(node.cluster.admin().await?, namespace);
        let data = maps.get("aegis-trust").await?.data.unwrap_or_default();
        let keys = node.dir.join(format!("jwks-{namespace}.json"));
        fs::write(&keys, data.get("jwks.json").context("ConfigMap aegis-trust has no jwks.json")?)?;
        let mut verify = Command::new(binary("aegis")?);
        verify.arg("verify").args(&files).args(["-o", "json", "--keys"]).arg(&keys);
        let output = verify.kill_on_drop(true).output().await?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(output.status.success(), "aegis verify: {text}{}", String::from_utf8_lossy(&output.stderr));
        let mut evidence = Self { epochs: serde_json::from_str(&text)?, ..Self::default() };
        for file in &files {
            for entry in segment::read(&fs::read(file)?) {
                evidence.add(entry);
            }
        }
        Ok(evidence)
    }

    fn add(&mut self, entry: Entry) {
        match entry {
            Entry::Record(Record::Decision(record)) if record.decision.verdict == Verdict::Allow => {
                self.allowed.insert(record.id, record.traceparent.unwrap_or_default());
            }
            Entry::Record(Record::Outcome(record)) => {
                self.outcomes.insert(record.decision, record.execution);
            }
            Entry::Attestation => self.renewals += 1,
            _ => {}
        }
    }

    /// Allowed calls of which no outcome is recorded.
    pub fn open(&self) -> Vec<&String> {
        self.allowed.keys().filter(|id| !self.outcomes.contains_key(*id)).collect()
    }
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .with_context(|| format!("cannot read {}", folder.display()))?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    files.sort();
    ensure!(!files.is_empty(), "no record files in {}", folder.display());
    Ok(files)
}

/// Gives every file of a folder a second place: what is written to it is still to be read when its pod is gone. May be
/// repeated.
pub fn keep(folder: &Path, into: &Path) -> Result<()> {
    fs::create_dir_all(into)?;
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let entry = entry?;
        let kept = into.join(entry.file_name());
        if entry.file_type()?.is_file() && !kept.exists() {
            fs::hard_link(entry.path(), &kept).with_context(|| format!("cannot keep {}", entry.path().display()))?;
        }
    }
    Ok(())
}
