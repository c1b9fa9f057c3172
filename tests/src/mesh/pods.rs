//! Pods as injection makes them, and the settings that both the operator and these pods go by.

use aegis_crds::mesh::inspect::{agent_uid, inbound};
use aegis_crds::mesh::{Images, Placement, SIDECAR_UIDS, Settings, parts};
use aegis_decision::egress::Level;
use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;

/// The settings of the mesh in tests. Where nothing runs a pod, its sidecar is a process that is told another address of
/// the control service than the pod says.
pub fn settings() -> Settings {
    let image = |program: &str| format!("aegis.test/aegis-{program}:{}", env!("CARGO_PKG_VERSION"));
    Settings {
        images: Images {
            proxy: image("proxy"),
            capture: image("capture"),
            probe: image("probe"),
            previous: Vec::new(),
        },
        control: "https://aegis-operator.aegis-system.svc:8443".to_owned(),
        system_namespace: "aegis-system".to_owned(),
        pull_policy: "Never".to_owned(),
        resources: aegis_crds::mesh::settings::Resources::default(),
        records: aegis_crds::mesh::settings::Records::default(),
        probe_minutes: 10,
        network: aegis_crds::mesh::settings::Network::default(),
    }
}

/// A pod of an agent, before injection: its one container runs as an ordinary user with no rights.
///
/// # Errors
/// Never, unless this does not read as a Pod any more.
pub fn plain(name: &str, agent: &str, account: &str) -> Result<Pod> {
    Ok(serde_json::from_value(json!({
        "metadata": {"name": name, "labels": {"aegis.dev/agent": agent}},
        "spec": {
            "serviceAccountName": account,
            "containers": [{
                "name": "agent",
                "image": "registry.example/agent:1",
                "securityContext": {
                    "runAsUser": 1000, "runAsNonRoot": true, "allowPrivilegeEscalation": false,
                    "capabilities": {"drop": ["ALL"]},
                },
            }],
        },
    }))?)
}

/// The pod with what injection adds for this agent and level.
///
/// # Errors
/// When the pod has no spec.
pub fn injected(mut pod: Pod, namespace: &str, agent: &str, level: Level) -> Result<Pod> {
    let spec = pod.spec.as_mut().context("a pod has a spec")?;
    let placement = Placement {
        namespace,
        agent,
        level,
        sidecar_uid: *SIDECAR_UIDS.start(),
        agent_uid: agent_uid(spec).context("the agent runs as an explicit user")?,
        inbound: &inbound(spec),
        brokered: &[],
    };
    let added = parts(&settings(), &placement);
    let own = spec.init_containers.take().unwrap_or_default();
    spec.init_containers = Some(added.containers.into_iter().chain(own).collect());
    spec.volumes.get_or_insert_default().extend(added.volumes);
    Ok(pod)
}
