//! What an installation decides about its mesh: one file, read by operator and webhook alike.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Settings of the mesh. Unknown fields are refused: a mistyped setting must not be ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings {
    /// Full references of the images, with registry and tag or digest.
    pub images: Images,
    /// URL of the control service, `https://HOST[:PORT]`.
    pub control: String,
    /// Namespace of operator and webhook.
    pub system_namespace: String,
    /// When nodes fetch images: `Always`, `IfNotPresent` or `Never`.
    #[serde(default = "default_pull_policy")]
    pub pull_policy: String,
    /// Memory and CPU of the sidecar.
    #[serde(default)]
    pub resources: Resources,
    /// Where records lie until they are taken away.
    #[serde(default)]
    pub records: Records,
    /// Minutes between two probes of a pod.
    #[serde(default = "default_probe_minutes")]
    pub probe_minutes: u16,
    /// Network policies of agents.
    #[serde(default)]
    pub network: Network,
}

/// Image references.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Images {
    /// Sidecar and gateway.
    pub proxy: String,
    /// Init container that captures.
    pub capture: String,
    /// Probe.
    pub probe: String,
    /// Images of the version that is being replaced: pods that run them are still accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub previous: Vec<String>,
}

/// Requests and limits of the sidecar, as Kubernetes quantities.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Resources {
    /// CPU that it is sure to get.
    pub cpu_request: String,
    /// Memory that it is sure to get.
    pub memory_request: String,
    /// Memory over which it is ended and started anew.
    pub memory_limit: String,
}

impl Default for Resources {
    fn default() -> Self {
        Self { cpu_request: "20m".to_owned(), memory_request: "32Mi".to_owned(), memory_limit: "192Mi".to_owned() }
    }
}

/// Network policies of agents at level Captured or Sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Network {
    /// Whether the operator writes them. Without a network plugin that enforces them they change nothing.
    pub policies: bool,
    /// Where pods ask names: Services as `NAME.NAMESPACE.svc`, or addresses such as a node's own DNS cache.
    pub dns: Vec<String>,
    /// Labels of the namespaces whose pods may read a sidecar's metrics; none: nobody may.
    pub metrics_from: BTreeMap<String, String>,
}

impl Default for Network {
    fn default() -> Self {
        Self { policies: true, dns: vec!["kube-dns.kube-system.svc".to_owned()], metrics_from: BTreeMap::new() }
    }
}

/// Where a sidecar keeps its records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Records {
    /// `Memory` or `Disk` of the node; both last as long as the pod.
    pub medium: Medium,
    /// Most that they may take, a Kubernetes quantity. When it is full, writes are refused.
    pub size_limit: String,
}

impl Default for Records {
    fn default() -> Self {
        Self { medium: Medium::Disk, size_limit: "256Mi".to_owned() }
    }
}

/// What an emptyDir lies on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Medium {
    /// The node's disk.
    Disk,
    /// Memory: fast, counts against the pod's memory.
    Memory,
}

fn default_pull_policy() -> String {
    "IfNotPresent".to_owned()
}

fn default_probe_minutes() -> u16 {
    10
}

/// What is wrong with settings.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// Not the YAML of settings.
    #[error("mesh settings: {0}")]
    Yaml(String),
    /// A value that cannot be used.
    #[error("mesh settings: {field}: {problem}")]
    Field {
        /// The field.
        field: &'static str,
        /// What it must be.
        problem: &'static str,
    },
}

impl Settings {
    /// Reads and checks the YAML of settings.
    pub fn from_yaml(text: &str) -> Result<Self, SettingsError> {
        let settings: Self = serde_saphyr::from_str(text).map_err(|error| SettingsError::Yaml(error.to_string()))?;
        settings.check()?;
        Ok(settings)
    }

    fn check(&self) -> Result<(), SettingsError> {
        let wrong = |field, problem| Err(SettingsError::Field { field, problem });
        let image = |text: &str| {
            (1..=512).contains(&text.len())
                && text.bytes().all(|byte| byte.is_ascii_graphic())
                && text.contains([':', '@'])
        };
        let Images { proxy, capture, probe, previous } = &self.images;
        if ![proxy, capture, probe].into_iter().chain(previous).all(|text| image(text)) {
            return wrong("images", "each must be a full reference with a tag or digest, at most 512 characters");
        }
        if previous.len() > 3 {
            return wrong("images.previous", "at most 3");
        }
        if !self.control.starts_with("https://") || self.control.len() > 256 {
            return wrong("control", "must be https://HOST[:PORT], at most 256 characters");
        }
        if !["Always", "IfNotPresent", "Never"].contains(&self.pull_policy.as_str()) {
            return wrong("pullPolicy", "must be Always, IfNotPresent or Never");
        }
        if self.network.dns.len() > 8 || self.network.metrics_from.len() > 8 {
            return wrong("network", "at most 8 places of DNS and 8 labels");
        }
        if !(1..=60).contains(&self.probe_minutes) {
            return wrong("probeMinutes", "must lie between 1 and 60");
        }
        Ok(())
    }

    /// Images that a sidecar or gateway may have, the current one first.
    pub fn proxy_images(&self) -> Vec<String> {
        self.with_previous(&self.images.proxy, "proxy")
    }

    /// Images that the init container that captures may have.
    pub fn capture_images(&self) -> Vec<String> {
        self.with_previous(&self.images.capture, "capture")
    }

    /// Images that the probe may have.
    pub fn probe_images(&self) -> Vec<String> {
        self.with_previous(&self.images.probe, "probe")
    }

    /// A previous image belongs to the program that its repository names: `.../aegis-<program>`.
    fn with_previous(&self, current: &str, program: &str) -> Vec<String> {
        let repository = format!("aegis-{program}");
        let of_program = |reference: &&String| {
            let path = reference.split('@').next().unwrap_or_default();
            let last = path.rsplit('/').next().unwrap_or_default();
            last.split(':').next() == Some(repository.as_str())
        };
        std::iter::once(current.to_owned()).chain(self.images.previous.iter().filter(of_program).cloned()).collect()
    }
}
