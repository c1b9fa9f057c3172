//! Whether a pod is governed: it carries exactly what injection adds, and nothing that undoes it.

use aegis_decision::egress::Level;
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, SecurityContext, Volume, VolumeMount};
use serde_json::Value;

use super::gateway;
use super::names::{
    AGENT_LABEL, CAPTURE_CONTAINER, COMPONENT_LABEL, GATEWAY, GATEWAY_CONTAINER, PROBE_CONTAINER, SIDECAR_CONTAINER,
    SIDECAR_UIDS,
};
use super::parts::{Brokered, Placement, parts};
use super::settings::{Images, Settings};

/// Capabilities with which a process can send packets past the rules, or become the sidecar.
const DANGEROUS: [&str; 9] =
    ["ALL", "NET_ADMIN", "NET_RAW", "SETUID", "SETGID", "SYS_ADMIN", "SYS_PTRACE", "SYS_MODULE", "BPF"];
/// Where the API server's own token is mounted: its admission adds that mount to every container.
const API_TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// A governed pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Governed {
    /// Whether it is the agent's gateway, not the agent.
    pub gateway: bool,
    /// Level that its shape gives, before any proof.
    pub level: Level,
    /// Whether it runs the current image.
    pub current: bool,
}

/// Why a pod is not governed. Names the container and the field, never a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The label is missing or another agent's.
    #[error("label {AGENT_LABEL} does not name the agent")]
    Label,
    /// Not there.
    #[error("container {0} is missing, or not before the pod's own init containers")]
    Missing(&'static str),
    /// There, but not as injected.
    #[error("container {container}: {field} is not as injected")]
    Altered {
        /// Container.
        container: String,
        /// Field.
        field: String,
    },
    /// A volume of Aegis is not as injected, or missing.
    #[error("volume {0} is not as injected")]
    Volume(String),
    /// A container of the agent mounts a volume of Aegis.
    #[error("container {0} mounts a volume of Aegis")]
    ForeignMount(String),
    /// A pod-wide setting.
    #[error("pod: {0}")]
    Pod(&'static str),
    /// A container's setting.
    #[error("container {container}: {problem}")]
    Container {
        /// Container.
        container: String,
        /// What is wrong.
        problem: &'static str,
    },
}

/// Judges a pod of `agent` at `level`; every fault is listed. `settings` may name several images: each is tried.
pub fn inspect(
    pod: &Pod,
    namespace: &str,
    agent: &str,
    level: Level,
    settings: &Settings,
) -> Result<Governed, Vec<Fault>> {
    let empty = PodSpec::default();
    let spec = pod.spec.as_ref().unwrap_or(&empty);
    let label = |name: &str| pod.metadata.labels.as_ref().and_then(|labels| labels.get(name)).map(String::as_str);
    let mut faults = Vec::new();
    if label(AGENT_LABEL) != Some(agent) {
        faults.push(Fault::Label);
    }
    let gateway = label(COMPONENT_LABEL) == Some(GATEWAY);
    let found = if gateway { spec.containers.first() } else { sidecar(spec) };
    let image = found.and_then(|container| container.image.as_deref()).unwrap_or_default();
    let current = settings.images.proxy == image;
    let settings = as_of_image(settings, image, spec);
    if gateway {
        inspect_gateway(spec, namespace, agent, &settings, &mut faults);
    } else {
        inspect_agent(spec, namespace, agent, level, &settings, &mut faults);
    }
    if faults.is_empty() { Ok(Governed { gateway, level, current }) } else { Err(faults) }
}

fn sidecar(spec: &PodSpec) -> Option<&Container> {
    spec.init_containers.iter().flatten().find(|container| container.name == SIDECAR_CONTAINER)
}

/// The settings of the version that this pod was injected by: its images, where they are accepted ones.
fn as_of_image(settings: &Settings, image: &str, spec: &PodSpec) -> Settings {
    let of = |name: &str, accepted: Vec<String>, current: &str| {
        let found = spec.init_containers.iter().flatten().find(|container| container.name == name);
        let found = found.and_then(|container| container.image.clone());
        found.filter(|image| accepted.contains(image)).unwrap_or_else(|| current.to_owned())
    };
    let proxy = if settings.proxy_images().iter().any(|accepted| accepted == image) {
        image.to_owned()
    } else {
        settings.images.proxy.clone()
    };
    let capture = of(CAPTURE_CONTAINER, settings.capture_images(), &settings.images.capture);
    let probe = of(PROBE_CONTAINER, settings.probe_images(), &settings.images.probe);
    Settings { images: Images { proxy, capture, probe, previous: Vec::new() }, ..settings.clone() }
}

fn inspect_gateway(spec: &PodSpec, namespace: &str, agent: &str, settings: &Settings, faults: &mut Vec<Fault>) {
    let brokered = brokered(spec);
    pod_wide(spec, faults);
    match spec.containers.as_slice() {
        [only] if only.name == GATEWAY_CONTAINER => {
            compare(&gateway::gateway(settings, namespace, agent, &brokered), only, faults);
        }
        _ => faults.push(Fault::Missing(GATEWAY_CONTAINER)),
    }
    if spec.init_containers.iter().flatten().next().is_some()
        || spec.ephemeral_containers.iter().flatten().next().is_some()
    {
        faults.push(Fault::Pod("a gateway has no other container"));
    }
    compare_volumes(&gateway::volumes(settings, &brokered), spec, faults);
}

fn inspect_agent(
    spec: &PodSpec,
    namespace: &str,
    agent: &str,
    level: Level,
    settings: &Settings,
    faults: &mut Vec<Fault>,
) {
    let uid = sidecar(spec).and_then(|container| container.security_context.as_ref()?.run_as_user);
    let sidecar_uid = uid.filter(|uid| SIDECAR_UIDS.contains(uid)).unwrap_or(*SIDECAR_UIDS.start());
    let brokered = brokered(spec);
    let placement = Placement {
        namespace,
        agent,
        level,
        sidecar_uid,
        agent_uid: agent_uid(spec).unwrap_or(-1),
        inbound: &inbound(spec),
        brokered: &brokered,
    };
    let wanted = parts(settings, &placement);
    let first = spec.init_containers.as_deref().unwrap_or_default();
    for (at, container) in wanted.containers.iter().enumerate() {
        match first.get(at) {
            Some(found) if found.name == container.name => compare(container, found, faults),
            Some(_) | None => faults.push(Fault::Missing(match container.name.as_str() {
                CAPTURE_CONTAINER => CAPTURE_CONTAINER,
                PROBE_CONTAINER => PROBE_CONTAINER,
                _ => SIDECAR_CONTAINER,
            })),
        }
    }
    compare_volumes(&wanted.volumes, spec, faults);
    let others = first.iter().skip(wanted.containers.len()).chain(&spec.containers);
    for container in others {
        let mounts = container.volume_mounts.as_deref().unwrap_or_default();
        foreign(spec, &container.name, container.security_context.as_ref(), mounts, level, faults);
    }
    for container in spec.ephemeral_containers.iter().flatten() {
        let mounts = container.volume_mounts.as_deref().unwrap_or_default();
        foreign(spec, &container.name, container.security_context.as_ref(), mounts, level, faults);
    }
    if level.is_captured() {
        pod_wide(spec, faults);
    }
}

/// Settings of the pod that would let a process out, or into the sidecar.
fn pod_wide(spec: &PodSpec, faults: &mut Vec<Fault>) {
    for (on, problem) in [
        (spec.host_network, "hostNetwork is not allowed"),
        (spec.host_pid, "hostPID is not allowed"),
        (spec.host_ipc, "hostIPC is not allowed"),
        (spec.share_process_namespace, "shareProcessNamespace is not allowed"),
    ] {
        if on.unwrap_or(false) {
            faults.push(Fault::Pod(problem));
        }
    }
}

/// A container that is not ours.
fn foreign(
    spec: &PodSpec,
    name: &str,
    context: Option<&SecurityContext>,
    mounts: &[VolumeMount],
    level: Level,
    faults: &mut Vec<Fault>,
) {
    if mounts.iter().any(|mount| mount.name.starts_with("aegis-")) {
        faults.push(Fault::ForeignMount(name.to_owned()));
    }
    let mut wrong = |problem| faults.push(Fault::Container { container: name.to_owned(), problem });
    let pod = spec.security_context.as_ref();
    let uid = context.and_then(|context| context.run_as_user).or_else(|| pod?.run_as_user);
    if uid.is_some_and(|uid| SIDECAR_UIDS.contains(&uid)) {
        wrong("runAsUser is one of the sidecars' (30000 to 59999)");
    }
    if !level.is_captured() {
        return;
    }
    let context = context.cloned().unwrap_or_default();
    let non_root = context.run_as_non_root.or_else(|| pod?.run_as_non_root).unwrap_or(false);
    if uid.is_none_or(|uid| uid == 0) || !non_root {
        wrong("needs runAsNonRoot: true and an explicit runAsUser other than 0");
    }
    if context.privileged.unwrap_or(false) {
        wrong("privileged is not allowed");
    }
    if context.allow_privilege_escalation != Some(false) {
        wrong("needs allowPrivilegeEscalation: false");
    }
    let capabilities = context.capabilities.unwrap_or_default();
    if !capabilities.drop.iter().flatten().any(|name| name == "ALL") {
        wrong("needs capabilities.drop: [ALL]");
    }
    if capabilities.add.iter().flatten().any(|name| DANGEROUS.contains(&name.trim_start_matches("CAP_"))) {
        wrong("adds a capability that leads past the capture");
    }
    if context.proc_mount.is_some_and(|mount| mount != "Default") {
        wrong("procMount other than Default is not allowed");
    }
}

/// The user of the agent's first container, as the probe gets it.
pub fn agent_uid(spec: &PodSpec) -> Option<i64> {
    let own = spec.containers.first().and_then(|first| first.security_context.as_ref()?.run_as_user);
    own.or_else(|| spec.security_context.as_ref()?.run_as_user)
}

/// TCP ports that the agent's containers declare, in order, each once.
pub fn inbound(spec: &PodSpec) -> Vec<i32> {
    let ports = spec.containers.iter().flat_map(|container| container.ports.iter().flatten());
    let tcp = ports.filter(|port| port.protocol.as_deref().is_none_or(|protocol| protocol == "TCP"));
    let all: std::collections::BTreeSet<i32> = tcp.map(|port| port.container_port).collect();
    all.into_iter().collect()
}

/// The credentials that a pod mounts, read from its volumes: later tools may have been added since it was made.
fn brokered(spec: &PodSpec) -> Vec<Brokered> {
    let mounted = spec
        .init_containers
        .iter()
        .flatten()
        .chain(&spec.containers)
        .filter(|container| container.name == SIDECAR_CONTAINER || container.name == GATEWAY_CONTAINER);
    let mounts = mounted.flat_map(|container| container.volume_mounts.iter().flatten());
    mounts
        .filter_map(|mount| {
            let tool = mount.mount_path.strip_prefix("/etc/aegis/credentials/")?;
            let volume = spec.volumes.iter().flatten().find(|volume| volume.name == mount.name)?;
            let secret = volume.secret.as_ref()?;
            let [item] = secret.items.as_deref()? else { return None };
            Some(Brokered { tool: tool.to_owned(), secret: secret.secret_name.clone()?, key: item.key.clone() })
        })
        .collect()
}

/// Field by field, so that the fault names it. The API server's token mount is not ours to judge.
fn compare(wanted: &Container, found: &Container, faults: &mut Vec<Fault>) {
    let mut found = found.clone();
    if let Some(mounts) = &mut found.volume_mounts {
        mounts.retain(|mount| mount.mount_path != API_TOKEN);
        if mounts.is_empty() {
            found.volume_mounts = None;
        }
    }
    let (wanted, found_json) = (serde_json::to_value(wanted), serde_json::to_value(&found));
    let (Ok(Value::Object(wanted)), Ok(Value::Object(found_json))) = (wanted, found_json) else {
        faults.push(Fault::Altered { container: found.name, field: "all".to_owned() });
        return;
    };
    let fields: std::collections::BTreeSet<_> = wanted.keys().chain(found_json.keys()).collect();
    for field in fields {
        if wanted.get(field) != found_json.get(field) {
            faults.push(Fault::Altered { container: found.name.clone(), field: field.clone() });
        }
    }
}

/// Every volume of ours is there as built, and there is no other of our names.
fn compare_volumes(wanted: &[Volume], spec: &PodSpec, faults: &mut Vec<Fault>) {
    let ours: Vec<&Volume> = spec.volumes.iter().flatten().filter(|volume| volume.name.starts_with("aegis-")).collect();
    for volume in wanted {
        if !ours.contains(&volume) {
            faults.push(Fault::Volume(volume.name.clone()));
        }
    }
    for volume in ours {
        if !wanted.iter().any(|known| known.name == volume.name) {
            faults.push(Fault::Volume(volume.name.clone()));
        }
    }
}
