//! Whether a pod is governed: it carries exactly what injection adds, and nothing that undoes it.

use aegis_decision::egress::Level;
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, Volume};
use serde_json::Value;

use super::foreign::Foreign;
use super::gateway;
use super::names::{
    AGENT_LABEL, CAPTURE_CONTAINER, COMPONENT_LABEL, GATEWAY, GATEWAY_CONTAINER, PROBE_CONTAINER, SIDECAR_CONTAINER,
    SIDECAR_UIDS, TOKEN_AUDIENCE,
};
use super::parts::{Brokered, Placement, parts};
use super::settings::{Images, Medium, Records, Settings};
use super::volumes;
use crate::lower::is_label;

/// What names of our containers and volumes begin with.
pub(super) const OURS: &str = "aegis-";
/// Where the API server's own token is mounted: its admission adds that mount to every container.
pub const API_TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// Fields of our containers that are not compared: the API server's own admission may set them (`LimitRanger`,
/// `AlwaysPullImages`), a new version may have others, and none of them opens a way out.
const UNCOMPARED: [&str; 2] = ["imagePullPolicy", "resources"];

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
    /// A container of the agent has a name of ours.
    #[error("container {0}: names that begin with aegis- are for what is injected")]
    Reserved(String),
    /// A volume of the agent holds the token that proves the sidecar.
    #[error("volume {0}: a token for audience aegis is for the sidecar alone")]
    Token(String),
    /// A volume by which data leaves a captured pod.
    #[error(
        "volume {0}: only configMap, csi, downwardAPI, emptyDir, ephemeral, image, persistentVolumeClaim, projected and secret are allowed"
    )]
    VolumeKind(String),
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
    let settings = as_injected(settings, image, spec);
    if gateway {
        if level != Level::Sealed {
            faults.push(Fault::Pod("a gateway is for agents of level Sealed"));
        }
        inspect_gateway(spec, namespace, agent, &settings, &mut faults);
    } else {
        inspect_agent(spec, namespace, agent, level, &settings, &mut faults);
    }
    if faults.is_empty() { Ok(Governed { gateway, level, current }) } else { Err(faults) }
}

fn sidecar(spec: &PodSpec) -> Option<&Container> {
    spec.init_containers.iter().flatten().find(|container| container.name == SIDECAR_CONTAINER)
}

/// The settings that this pod was injected by: its images, where they are accepted ones, and what may have been set
/// otherwise since.
fn as_injected(settings: &Settings, image: &str, spec: &PodSpec) -> Settings {
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
    Settings {
        images: Images { proxy, capture, probe, previous: Vec::new() },
        records: records(spec).unwrap_or_else(|| settings.records.clone()),
        probe_minutes: probe_minutes(spec).unwrap_or(settings.probe_minutes),
        ..settings.clone()
    }
}

fn records(spec: &PodSpec) -> Option<Records> {
    let volume = spec.volumes.iter().flatten().find(|volume| volume.name == "aegis-records")?;
    let source = volume.empty_dir.as_ref()?;
    let medium = match source.medium.as_deref() {
        None | Some("") => Medium::Disk,
        Some("Memory") => Medium::Memory,
        Some(_) => return None,
    };
    Some(Records { medium, size_limit: source.size_limit.as_ref()?.0.clone() })
}

fn probe_minutes(spec: &PodSpec) -> Option<u16> {
    let mut env = sidecar(spec)?.env.iter().flatten();
    let text = env.find(|variable| variable.name == "AEGIS_PROBE_MINUTES")?.value.as_deref()?;
    let minutes: u16 = text.parse().ok()?;
    // Written in one way only, as injection writes it.
    ((1..=60).contains(&minutes) && text == minutes.to_string()).then_some(minutes)
}

fn inspect_gateway(spec: &PodSpec, namespace: &str, agent: &str, settings: &Settings, faults: &mut Vec<Fault>) {
    let brokered = brokered(spec);
    pod_wide(spec, Level::Sealed, faults);
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
    let others = first.iter().skip(wanted.containers.len()).chain(&spec.containers).map(Foreign::from);
    for container in others.chain(spec.ephemeral_containers.iter().flatten().map(Foreign::from)) {
        container.inspect(spec, level, faults);
    }
    pod_wide(spec, level, faults);
}

/// Settings of the pod that would let a process out, or into the sidecar.
fn pod_wide(spec: &PodSpec, level: Level, faults: &mut Vec<Fault>) {
    // Also where nothing is captured: any process of the node could use the sidecar, and one that sees the sidecar's
    // process and is root reads its credentials.
    for (found, problem) in [
        (spec.host_network, "hostNetwork is not allowed"),
        (spec.host_pid, "hostPID is not allowed"),
        (spec.host_ipc, "hostIPC is not allowed"),
        (spec.share_process_namespace, "shareProcessNamespace is not allowed"),
    ] {
        if found.unwrap_or(false) {
            faults.push(Fault::Pod(problem));
        }
    }
    for volume in spec.volumes.iter().flatten().filter(|volume| volume.name != "aegis-token") {
        let sources = volume.projected.iter().flat_map(|projected| projected.sources.iter().flatten());
        let mut tokens = sources.filter_map(|source| source.service_account_token.as_ref());
        if tokens.any(|token| token.audience.as_deref() == Some(TOKEN_AUDIENCE)) {
            faults.push(Fault::Token(volume.name.clone()));
        }
    }
    if !level.is_captured() {
        return;
    }
    let dns = spec.dns_config.as_ref();
    let windows = spec.os.as_ref().is_some_and(|os| os.name == "windows")
        || spec.security_context.as_ref().is_some_and(|context| context.windows_options.is_some());
    for (found, problem) in [
        // The sidecar resolves for the agent: whoever answers it chooses where an allowed name leads.
        (spec.host_aliases.iter().flatten().next().is_some(), "hostAliases are not allowed"),
        (spec.dns_policy.as_deref() == Some("None"), "dnsPolicy None is not allowed"),
        (
            dns.is_some_and(|dns| dns.nameservers.iter().flatten().next().is_some()),
            "dnsConfig.nameservers are not allowed",
        ),
        (dns.is_some_and(|dns| dns.searches.iter().flatten().next().is_some()), "dnsConfig.searches are not allowed"),
        (windows, "Windows is not allowed"),
    ] {
        if found {
            faults.push(Fault::Pod(problem));
        }
    }
    let strange = spec.volumes.iter().flatten().filter(|volume| !volumes::is_allowed(volume));
    faults.extend(strange.map(|volume| Fault::VolumeKind(volume.name.clone())));
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
            // No other path below: `..` would lead out of the folder.
            let tool = mount.mount_path.strip_prefix("/etc/aegis/credentials/").filter(|tool| is_label(tool))?;
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
    for field in fields.into_iter().filter(|field| !UNCOMPARED.contains(&field.as_str())) {
        if wanted.get(field) != found_json.get(field) {
            faults.push(Fault::Altered { container: found.name.clone(), field: field.clone() });
        }
    }
}

/// Every volume of ours is there as built, and there is no other of our names.
fn compare_volumes(wanted: &[Volume], spec: &PodSpec, faults: &mut Vec<Fault>) {
    let ours: Vec<&Volume> = spec.volumes.iter().flatten().filter(|volume| volume.name.starts_with(OURS)).collect();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mesh::names::POD_VERIFIED;
    use serde_json::json;

    fn settings() -> Settings {
        Settings::from_yaml(
            "{images: {proxy: 'r/aegis-proxy:1', capture: 'r/aegis-capture:1', probe: 'r/aegis-probe:1'},
              control: 'https://control', systemNamespace: aegis-system}",
        )
        .unwrap()
    }

    /// A captured pod, injected by other settings than those of today where that makes no difference.
    fn captured() -> Pod {
        let mut then = settings();
        then.probe_minutes = 7;
        then.pull_policy = "Always".to_owned();
        then.records = Records { medium: Medium::Memory, size_limit: "1Gi".to_owned() };
        then.resources.memory_limit = "1Gi".to_owned();
        let wanted = parts(
            &then,
            &Placement {
                namespace: "shop",
                agent: "buyer",
                level: Level::Captured,
                sidecar_uid: 31_337,
                agent_uid: 1000,
                inbound: &[],
                brokered: &[],
            },
        );
        let hardened = json!({"runAsUser": 1000, "runAsNonRoot": true, "allowPrivilegeEscalation": false,
            "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}});
        let pod = json!({
            "metadata": {"labels": {AGENT_LABEL: "buyer"}},
            "spec": {"containers": [{"name": "worker", "image": "worker", "securityContext": hardened}],
                "initContainers": wanted.containers, "volumes": wanted.volumes},
            "status": {"conditions": [{"type": POD_VERIFIED, "status": "False"}]},
        });
        serde_json::from_value(pod).unwrap()
    }

    fn faults(change: impl FnOnce(&mut PodSpec)) -> Vec<Fault> {
        let mut pod = captured();
        change(pod.spec.as_mut().unwrap());
        inspect(&pod, "shop", "buyer", Level::Captured, &settings()).err().unwrap_or_default()
    }

    #[test]
    fn what_an_installation_sets_otherwise_later_is_no_fault() {
        assert_eq!(
            inspect(&captured(), "shop", "buyer", Level::Captured, &settings()),
            Ok(Governed { gateway: false, level: Level::Captured, current: true })
        );
    }

    #[test]
    fn a_probe_interval_is_written_in_one_way_only() {
        for text in ["0", "61", "+7", "07", "seven", ""] {
            let found = faults(|spec| {
                let env = spec.init_containers.as_mut().unwrap()[1].env.as_mut().unwrap();
                env.iter_mut().find(|one| one.name == "AEGIS_PROBE_MINUTES").unwrap().value = Some(text.to_owned());
            });
            let altered = Fault::Altered { container: SIDECAR_CONTAINER.to_owned(), field: "env".to_owned() };
            assert_eq!(found, [altered], "{text:?}");
        }
    }

    #[test]
    fn a_gateway_is_for_sealed_agents() {
        let mut pod = captured();
        pod.metadata.labels.get_or_insert_default().insert(COMPONENT_LABEL.to_owned(), GATEWAY.to_owned());
        let found = inspect(&pod, "shop", "buyer", Level::Captured, &settings()).unwrap_err();
        assert!(found.contains(&Fault::Pod("a gateway is for agents of level Sealed")), "{found:?}");
    }

    #[test]
    fn who_answers_the_sidecars_questions_is_not_the_pods_to_choose() {
        let found = faults(|spec| {
            spec.host_aliases = Some(vec![serde_json::from_value(json!({"ip": "192.0.2.1"})).unwrap()]);
            spec.dns_policy = Some("None".to_owned());
            spec.dns_config =
                Some(serde_json::from_value(json!({"nameservers": ["192.0.2.1"], "searches": ["x"]})).unwrap());
        });
        let wanted = ["hostAliases are", "dnsPolicy None is", "dnsConfig.nameservers are", "dnsConfig.searches are"];
        assert_eq!(found.len(), wanted.len());
        for (fault, start) in found.iter().zip(wanted) {
            assert!(fault.to_string().starts_with(&format!("pod: {start}")), "{fault}");
        }
    }

    #[test]
    fn a_token_for_the_sidecar_is_in_its_own_volume_only() {
        let found = faults(|spec| {
            let mut volume = spec.volumes.as_ref().unwrap()[0].clone();
            volume.name = "mine".to_owned();
            spec.volumes.as_mut().unwrap().push(volume);
        });
        assert_eq!(found, [Fault::Token("mine".to_owned())]);
    }
}
