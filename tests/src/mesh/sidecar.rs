//! A sidecar as a process, with the files that a kubelet would mount.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aegis_decision::egress::Level;
use anyhow::{Context as _, Result, bail, ensure};
use http::Method;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::PostParams;
use kube::{Api, ResourceExt as _};
use serde_json::Value;

use super::metrics::metric;
use super::{Mounted, Operator, binary, pods};
use crate::cluster::process::{Process, ProcessSpec};
use crate::cluster::{BoundPod, Cluster, TokenFor, eventually};
use crate::erp::http_json;

/// Life of a pod's token unless told otherwise: the least that the API server gives.
const POD_TOKEN_LIFE: Duration = Duration::from_mins(10);
/// Time for a sidecar to listen.
const START: Duration = Duration::from_mins(1);

/// How a sidecar is started.
#[derive(Debug, Clone)]
pub struct SidecarSpec {
    /// Namespace of agent and pod.
    pub namespace: String,
    /// Agent.
    pub agent: String,
    /// Service account of the pod.
    pub service_account: String,
    /// Folder for its files, records and log.
    pub dir: PathBuf,
    /// Credentials by tool and key.
    pub credentials: BTreeMap<(String, String), String>,
    /// Life of the pod's token, which nothing renews: a kubelet would, and longer runs than this need it longer.
    pub token_life: Duration,
    /// Point at which it kills itself.
    pub kill_at: Option<String>,
    /// Connections of the agent at once, where not as many as by default.
    pub max_connections: Option<usize>,
}

impl SidecarSpec {
    /// For an agent whose service account has its name.
    pub fn new(namespace: &str, agent: &str, dir: &Path) -> Self {
        Self {
            namespace: namespace.to_owned(),
            agent: agent.to_owned(),
            service_account: agent.to_owned(),
            dir: dir.to_owned(),
            credentials: BTreeMap::new(),
            token_life: POD_TOKEN_LIFE,
            kill_at: None,
            max_connections: None,
        }
    }

    /// With a credential: what the Secret of a Tool would hold.
    #[must_use]
    pub fn credential(mut self, tool: &str, key: &str, value: &str) -> Self {
        self.credentials.insert((tool.to_owned(), key.to_owned()), value.to_owned());
        self
    }
}

/// A running sidecar.
pub struct Sidecar {
    process: Process,
    listen: String,
    admin: String,
    records: PathBuf,
    pod: String,
    _trust: Mounted,
}

/// An answer of the sidecar.
pub type Answer = crate::erp::Answer;

impl Sidecar {
    /// Creates the pod, writes what a kubelet would mount, starts the sidecar, and returns when it is ready.
    pub async fn start(cluster: &Cluster, operator: &Operator, spec: &SidecarSpec) -> Result<Self> {
        let sidecar = Self::spawn(cluster, operator, spec).await?;
        sidecar.ready(START).await?;
        Ok(sidecar)
    }

    /// As [`Self::start`], without waiting until it is ready.
    pub async fn spawn(cluster: &Cluster, operator: &Operator, spec: &SidecarSpec) -> Result<Self> {
        fs::create_dir_all(&spec.dir)?;
        let pod = create_pod(cluster, spec).await?;
        let token = spec.dir.join("token");
        write_token(cluster, spec, &pod, &token).await?;
        let trust = spec.dir.join("trust");
        let maps: Api<ConfigMap> = Api::namespaced(cluster.admin().await?, &spec.namespace);
        let mounted = Mounted::config_map(maps, "aegis-trust", &trust).await?;
        let credentials = spec.dir.join("credentials");
        fs::create_dir_all(&credentials)?;
        for ((tool, key), value) in &spec.credentials {
            fs::create_dir_all(credentials.join(tool))?;
            fs::write(credentials.join(tool).join(key), value)?;
        }
        let records = spec.dir.join("records");
        fs::create_dir_all(&records)?;
        let run = format!("{:08x}", rand::random::<u32>());
        let (address, admin) = (spec.dir.join(format!("address-{run}")), spec.dir.join(format!("admin-{run}")));
        let mut process = ProcessSpec::new(binary("aegis-proxy")?, spec.dir.join(format!("sidecar-{run}.log")))
            // As in its image.
            .env("MIMALLOC_PURGE_DELAY", "100")
            .args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
            .args(["--control", &format!("https://{}", operator.control())])
            .args(["--agent", &format!("{}/{}", spec.namespace, spec.agent)])
            .arg("--trust-dir")
            .arg(&trust)
            .arg("--token-file")
            .arg(&token)
            .arg("--credentials-dir")
            .arg(&credentials)
            .arg("--records-dir")
            .arg(&records)
            .arg("--address-file")
            .arg(&address)
            .arg("--admin-address-file")
            .arg(&admin)
            .args(spec.max_connections.map(|connections| format!("--max-connections={connections}")));
        if let Some(point) = &spec.kill_at {
            process = process.args(["--kill-at", point]);
        }
        let process = Process::spawn(process).await?;
        let read = async |path: &Path| {
            eventually("the sidecar to listen", START, async || {
                if let Some(status) = process.exit_status()? {
                    bail!("it ended with status {status}:\n{}", process.logs()?);
                }
                let text = fs::read_to_string(path)?;
                ensure!(!text.trim().is_empty(), "no address yet");
                Ok(text.trim().to_owned())
            })
            .await
        };
        // The agent's port opens when the sidecar can judge; the admin port opens at once.
        let admin = read(&admin).await?;
        let listen = read(&address).await?;
        Ok(Self { listen, admin, records, pod: pod.name_any(), process, _trust: mounted })
    }

    /// Returns when `/ready` says so.
    pub async fn ready(&self, within: Duration) -> Result<()> {
        eventually("the sidecar to be ready", within, async || {
            if let Some(status) = self.process.exit_status()? {
                bail!("it ended with status {status}:\n{}", self.process.logs()?);
            }
            let answer = self.admin("/ready").await?;
            if answer.status == 200 { Ok(()) } else { bail!("{:?}", answer.body) }
        })
        .await
        .with_context(|| self.process.logs().unwrap_or_default())
    }

    /// `http://host:port` that the agent uses.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.listen)
    }

    /// A call of the agent, `path` with the tool's name first.
    pub async fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Answer> {
        self.call_with(method, path, &[], body).await
    }

    /// A call with headers.
    pub async fn call_with(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Answer> {
        http_json(Method::from_bytes(method.as_bytes())?, &format!("{}{path}", self.base_url()), headers, body).await
    }

    /// A request to the admin port.
    pub async fn admin(&self, path: &str) -> Result<Answer> {
        http_json(Method::GET, &format!("http://{}{path}", self.admin), &[], None).await
    }

    /// The sum of all samples of a metric whose line begins with `name`, which may end in the middle of the labels.
    pub async fn metric(&self, name: &str) -> Result<f64> {
        metric(&format!("http://{}", self.admin), name).await
    }

    /// The folder of its record files.
    pub fn records(&self) -> &Path {
        &self.records
    }

    /// Name of its pod.
    pub fn pod(&self) -> &str {
        &self.pod
    }

    /// The process.
    pub fn process(&self) -> &Process {
        &self.process
    }
}

/// The agent's pod. A name of its own for every start: a new process is a new pod.
async fn create_pod(cluster: &Cluster, spec: &SidecarSpec) -> Result<Pod> {
    let api: Api<Pod> = Api::namespaced(cluster.admin().await?, &spec.namespace);
    let name = format!("{}-{:08x}", spec.agent, rand::random::<u32>());
    let pod = pods::plain(&name, &spec.agent, &spec.service_account)?;
    let pod = pods::injected(pod, &spec.namespace, &spec.agent, Level::Mediated)?;
    api.create(&PostParams::default(), &pod).await.context("cannot create the agent's pod")
}

async fn write_token(cluster: &Cluster, spec: &SidecarSpec, pod: &Pod, path: &Path) -> Result<()> {
    let token = cluster
        .service_account_token(&TokenFor {
            namespace: &spec.namespace,
            name: &spec.service_account,
            audiences: &["aegis"],
            pod: Some(BoundPod { name: &pod.name_any(), uid: pod.uid().as_deref() }),
            life: spec.token_life,
        })
        .await?;
    Ok(fs::write(path, token)?)
}
