//! The operator as a process.

use std::path::{Path, PathBuf};
use std::time::Duration;

use aegis_crds::mesh::Settings;
use anyhow::{Context as _, Result};
use serde_json::Value;

use super::metrics::metric;
use super::{binary, pods};
use crate::cluster::{
    Cluster,
    process::{Process, ProcessSpec},
};

/// Time for the operator to listen.
const START: Duration = Duration::from_mins(1);

/// A running operator.
pub struct Operator {
    process: Process,
    control: String,
    admin: String,
}

/// How an operator is started.
#[derive(Debug, Clone)]
pub struct OperatorSpec {
    /// Namespaces that it reconciles.
    pub namespaces: Vec<String>,
    /// Folder for its kubeconfig and log.
    pub dir: PathBuf,
    /// Address of the control service; port 0 for a free one.
    pub listen: String,
    /// Settings of the mesh.
    pub mesh: Settings,
    /// Point at which it kills itself.
    pub kill_at: Option<String>,
    /// Further arguments.
    pub arguments: Vec<String>,
}

impl OperatorSpec {
    /// For some namespaces, on a free port.
    pub fn new(namespaces: &[&str], dir: &Path) -> Self {
        Self {
            namespaces: namespaces.iter().map(|&name| name.to_owned()).collect(),
            dir: dir.to_owned(),
            listen: "127.0.0.1:0".to_owned(),
            mesh: pods::settings(),
            kill_at: None,
            arguments: Vec::new(),
        }
    }
}

impl Operator {
    /// Starts one under the service account `aegis-system/aegis-operator`, and returns when it listens.
    pub async fn start(cluster: &Cluster, spec: &OperatorSpec) -> Result<Self> {
        std::fs::create_dir_all(&spec.dir)?;
        let kubeconfig = cluster.service_account_kubeconfig("aegis-system", "aegis-operator", &spec.dir).await?;
        let settings = spec.dir.join("mesh-settings.yaml");
        // JSON is YAML.
        std::fs::write(&settings, serde_json::to_string_pretty(&spec.mesh)?)?;
        // A log of its own for every start: what an earlier one printed must not be taken for this one's.
        let log = spec.dir.join(format!("operator-{:08x}.log", rand::random::<u32>()));
        let mut process = ProcessSpec::new(binary("aegis-operator")?, &log)
            .env("KUBECONFIG", &kubeconfig)
            .args(["--namespaces", &spec.namespaces.join(",")])
            .arg("--mesh-settings")
            .arg(&settings)
            .args(["--control-listen", &spec.listen])
            .args(["--control-names", "localhost,127.0.0.1"])
            .args(["--admin-listen", "127.0.0.1:0"])
            .args(&spec.arguments);
        if let Some(point) = &spec.kill_at {
            process = process.args(["--kill-at", point]);
        }
        let process = Process::spawn(process).await?;
        let admin = address(&process.wait_for_log("admin listens", START).await?)?;
        let control = address(&process.wait_for_log("control service listens", START).await?)?;
        Ok(Self { process, control, admin })
    }

    /// `host:port` of the control service.
    pub fn control(&self) -> &str {
        &self.control
    }

    /// `http://host:port` of the admin port.
    pub fn admin(&self) -> String {
        format!("http://{}", self.admin)
    }

    /// The sum of all samples of a metric whose line begins with `name`, which may end in the middle of the labels.
    pub async fn metric(&self, name: &str) -> Result<f64> {
        metric(&self.admin(), name).await
    }

    /// The process.
    pub fn process(&self) -> &Process {
        &self.process
    }
}

/// The field `address` of a log line.
pub(super) fn address(line: &str) -> Result<String> {
    let line: Value = serde_json::from_str(line).with_context(|| format!("not a JSON log line: {line}"))?;
    let fields = line.get("fields").unwrap_or(&line);
    let address = fields.get("address").and_then(Value::as_str).context("the log line has no address")?;
    Ok(address.to_owned())
}
