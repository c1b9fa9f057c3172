//! The sidecar and `aegis eval` say the same, byte for byte: generated requests go to real sidecars, then what their
//! records hold of them goes to the command line, with the resources as the server holds them.

mod calls;
mod cookbook;
mod erp;
mod recipes;
mod requests;
mod service;
mod tally;
mod vary;

use std::collections::BTreeMap;
use std::path::Path;

use aegis_crds::api;
use aegis_decision::contract::{DecisionInput, HttpInput};
use aegis_decision::decision::DecisionOutput;
use aegis_decision::record::Record;
use aegis_decision::segment::{self, Entry};
use aegis_tests::cluster::Cluster;
use aegis_tests::erp::{Answer, Caller};
use aegis_tests::mesh::{Sidecar, binary};
use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http::Method;
use jiff::Timestamp;
use kube::api::ListParams;
use kube::{Api, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tally::Tally;

/// Fewest calls that both judge.
const CALLS: usize = 10_000;
const _: () = assert!(erp::CALLS + cookbook::CALLS >= CALLS);

/// A request that a sidecar judged.
#[derive(Debug)]
struct Sent {
    /// Id of the decision.
    id: String,
    /// What `aegis eval` is asked. Its time is that of the record.
    input: DecisionInput,
    /// What `aegis eval` is told after it: what the tool returned, where the call went and belongs to a run.
    returned: Option<Value>,
}

/// What `aegis eval` is asked about a request, without facts and at no time yet.
fn input(agent: String, tool: &str, http: HttpInput) -> DecisionInput {
    DecisionInput { http: Some(http), ..DecisionInput::new(agent, tool, Timestamp::UNIX_EPOCH) }
}

/// The agent sends a request to its sidecar: the answer, with the decision's id.
async fn send(caller: &Caller, sidecar: &Sidecar, tool: &str, http: &HttpInput) -> Result<(Answer, String)> {
    let query = http.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
    let url = format!("{}/{tool}{}{query}", sidecar.base_url(), http.path);
    let headers: Vec<_> = http.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let method = Method::from_bytes(http.method.as_bytes())?;
    let answer = caller.call(method, &url, &headers, Bytes::from(http.body.clone())).await?;
    let id = answer.headers.get("aegis-decision").with_context(|| format!("{http:?}: {}", answer.body))?;
    let id = id.to_str()?.to_owned();
    Ok((answer, id))
}

/// Asks `aegis eval` about all that a sidecar judged, in the order that it was sent, and compares every line with the
/// record. `dir` has a folder `resources`. The sidecar has ended, which seals every record.
async fn agree(sent: &[Sent], records: &Path, dir: &Path) -> Result<Tally> {
    let said = said(records)?;
    let mut lines = String::new();
    let mut expected = BTreeMap::new();
    for (number, Sent { id, input, returned }) in sent.iter().enumerate() {
        let (at, output) = said.get(id).with_context(|| format!("no record of {id}"))?;
        ensure!(expected.insert(id, (number, output)).is_none(), "{id} is the decision of two calls");
        lines.push_str(&serde_json::to_string(&DecisionInput { at: *at, ..input.clone() })?);
        lines.push('\n');
        if let Some(returned) = returned {
            let mut told = returned.clone();
            told["at"] = json!(at);
            lines.push_str(&told.to_string());
            lines.push('\n');
        }
    }
    let calls = dir.join("calls.jsonl");
    std::fs::write(&calls, lines)?;
    let found = eval(&dir.join("resources"), &calls).await?;
    let found: Vec<&str> = found.lines().collect();
    ensure!(found.len() == sent.len(), "{} lines for {} calls", found.len(), sent.len());
    let mut tally = Tally::default();
    for (id, (number, output)) in expected {
        let (sidecar, eval) = (serde_json::to_string(output)?, found[number]);
        ensure!(sidecar == eval, "call {number}, {id}: {:?}\nsidecar {sidecar}\neval    {eval}", sent[number].input);
        tally.count(output);
    }
    Ok(tally)
}

/// What `aegis eval` prints.
async fn eval(resources: &Path, calls: &Path) -> Result<String> {
    let mut command = tokio::process::Command::new(binary("aegis")?);
    let output = command.arg("eval").arg("--resources").arg(resources).arg("--calls").arg(calls).output().await?;
    ensure!(output.status.success(), "aegis eval: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// Time and output of every recorded decision.
fn said(folder: &Path) -> Result<BTreeMap<String, (Timestamp, DecisionOutput)>> {
    let mut said = BTreeMap::new();
    for file in std::fs::read_dir(folder)? {
        let bytes = std::fs::read(file?.path())?;
        for entry in segment::read(&bytes) {
            if let Entry::Record(Record::Decision(record)) = entry {
                said.insert(record.id.clone(), (record.time, record.decision.clone()));
            }
        }
    }
    Ok(said)
}

/// The namespace's resources as the server holds them: with uid, generation and defaults.
async fn export(cluster: &Cluster, namespace: &str, folder: &Path) -> Result<()> {
    async fn kind<K>(cluster: &Cluster, namespace: &str, folder: &Path) -> Result<()>
    where
        K: Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>
            + Clone
            + std::fmt::Debug
            + DeserializeOwned
            + Serialize,
    {
        let api: Api<K> = Api::namespaced(cluster.admin().await?, namespace);
        for (number, object) in api.list(&ListParams::default()).await?.items.iter().enumerate() {
            // JSON is YAML.
            std::fs::write(folder.join(format!("{}-{number}.yaml", K::plural(&()))), serde_json::to_vec(object)?)?;
        }
        Ok(())
    }
    std::fs::create_dir_all(folder)?;
    kind::<api::Agent>(cluster, namespace, folder).await?;
    kind::<api::Tool>(cluster, namespace, folder).await?;
    kind::<api::ToolPolicy>(cluster, namespace, folder).await?;
    kind::<api::Registry>(cluster, namespace, folder).await?;
    kind::<api::ApprovalTier>(cluster, namespace, folder).await?;
    kind::<api::Delegation>(cluster, namespace, folder).await
}
