//! The containers and volumes of a governed pod, with every field that the API server would fill in, so that what was
//! built and what is stored compare as they are.

use std::collections::BTreeMap;

use aegis_decision::egress::Level;
use k8s_openapi::api::core::v1::{
    Capabilities, ConfigMapVolumeSource, Container, EmptyDirVolumeSource, EnvVar, ExecAction, HTTPGetAction, KeyToPath,
    Probe, ProjectedVolumeSource, ResourceRequirements, SeccompProfile, SecretVolumeSource, SecurityContext,
    ServiceAccountTokenProjection, Volume, VolumeMount, VolumeProjection,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::names::{
    ADMIN_PORT, CALL_PORT, CAPTURE_CONTAINER, CAPTURE_PORT, DNS_PORT, GATEWAY_PORT, PROBE_CONTAINER, SIDECAR_CONTAINER,
    TOKEN_AUDIENCE, TOKEN_SECONDS, TRUST_CONFIG_MAP, gateway_name,
};
use super::settings::{Medium, Settings};

/// Seconds that a container may take to start: 120 tries, one a second. The node may have to fetch nothing any more.
const START_TRIES: i32 = 120;
/// Mode of mounted files: the API server's default.
const MODE: i32 = 0o644;

/// A credential of a tool, mounted into the container that sends the calls.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Brokered {
    /// Tool.
    pub tool: String,
    /// Secret in the pod's namespace. A missing one does not hold the pod up; calls to the tool are refused.
    pub secret: String,
    /// Key of the Secret, and name of the file.
    pub key: String,
}

/// What is particular to one pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement<'a> {
    /// Namespace of pod and agent.
    pub namespace: &'a str,
    /// Agent.
    pub agent: &'a str,
    /// The agent's level.
    pub level: Level,
    /// The sidecar's user, of [`super::SIDECAR_UIDS`].
    pub sidecar_uid: i64,
    /// The user that the agent's containers run as; the probe runs as it.
    pub agent_uid: i64,
    /// TCP ports that the agent's containers declare.
    pub inbound: &'a [i32],
    /// Credentials of the agent's tools.
    pub brokered: &'a [Brokered],
}

/// What is added to a pod: the containers in this order before all its own init containers.
#[derive(Debug, Clone, PartialEq)]
pub struct Parts {
    /// Init containers.
    pub containers: Vec<Container>,
    /// Volumes.
    pub volumes: Vec<Volume>,
}

/// What a pod of this placement gets.
pub fn parts(settings: &Settings, placement: &Placement<'_>) -> Parts {
    let captured = placement.level.is_captured();
    let brokered = if placement.level == Level::Sealed { &[] } else { placement.brokered };
    let mut containers = Vec::new();
    if captured {
        containers.push(capture(settings, placement));
    }
    containers.push(sidecar(settings, placement, brokered));
    if captured {
        containers.push(probe(settings, placement));
    }
    let mut volumes = base_volumes(settings);
    if captured {
        volumes.push(empty_dir("aegis-probe", Medium::Memory, "1Mi"));
    }
    volumes.extend(brokered.iter().map(credential_volume));
    Parts { containers, volumes }
}

fn capture(settings: &Settings, placement: &Placement<'_>) -> Container {
    let mut arguments = vec!["--sidecar-uid".to_owned(), placement.sidecar_uid.to_string()];
    if !placement.inbound.is_empty() {
        let ports: Vec<_> = placement.inbound.iter().map(ToString::to_string).collect();
        arguments.extend(["--inbound-tcp".to_owned(), ports.join(",")]);
    }
    Container {
        args: Some(arguments),
        resources: Some(resources([("cpu", "10m"), ("memory", "16Mi")], "64Mi")),
        security_context: Some(SecurityContext {
            capabilities: Some(Capabilities {
                add: Some(vec!["NET_ADMIN".to_owned()]),
                drop: Some(vec!["ALL".to_owned()]),
            }),
            run_as_user: Some(0),
            run_as_group: Some(0),
            run_as_non_root: Some(false),
            ..hardened(0)
        }),
        ..container(CAPTURE_CONTAINER, &settings.images.capture, settings)
    }
}

fn sidecar(settings: &Settings, placement: &Placement<'_>, brokered: &[Brokered]) -> Container {
    let mut env = common_env(settings, placement.namespace, placement.agent, placement.level);
    env.push(variable("AEGIS_LISTEN", &format!("127.0.0.1:{CALL_PORT}")));
    let mut mounts = base_mounts();
    if placement.level.is_captured() {
        env.push(variable("AEGIS_CAPTURE_LISTEN", &both_loopbacks(CAPTURE_PORT)));
        env.push(variable("AEGIS_DNS_LISTEN", &both_loopbacks(DNS_PORT)));
        env.push(variable("AEGIS_PROBE_SOCKET", "/run/aegis/probe/sidecar.sock"));
        env.push(variable("AEGIS_PROBE_MINUTES", &settings.probe_minutes.to_string()));
        mounts.push(mount("aegis-probe", "/run/aegis/probe", false));
    }
    if placement.level == Level::Sealed {
        let gateway = format!("{}.{}.svc:{GATEWAY_PORT}", gateway_name(placement.agent), placement.namespace);
        env.push(variable("AEGIS_GATEWAY", &gateway));
    }
    mounts.extend(brokered.iter().map(credential_mount));
    Container {
        env: Some(env),
        restart_policy: Some("Always".to_owned()),
        startup_probe: Some(Probe { http_get: Some(admin_get("/startup")), ..every_second() }),
        resources: Some(sidecar_resources(settings)),
        security_context: Some(hardened(placement.sidecar_uid)),
        volume_mounts: Some(mounts),
        ..container(SIDECAR_CONTAINER, &settings.images.proxy, settings)
    }
}

fn probe(settings: &Settings, placement: &Placement<'_>) -> Container {
    let started = ExecAction { command: Some(vec!["/aegis-probe".to_owned(), "--started".to_owned()]) };
    Container {
        env: Some(vec![variable("AEGIS_PROBE_SOCKET", "/run/aegis/probe/sidecar.sock")]),
        restart_policy: Some("Always".to_owned()),
        startup_probe: Some(Probe { exec: Some(started), timeout_seconds: Some(5), ..every_second() }),
        resources: Some(resources([("cpu", "5m"), ("memory", "8Mi")], "32Mi")),
        security_context: Some(hardened(placement.agent_uid)),
        volume_mounts: Some(vec![mount("aegis-probe", "/run/aegis/probe", false)]),
        ..container(PROBE_CONTAINER, &settings.images.probe, settings)
    }
}

/// What sidecar and gateway are both told.
pub(super) fn common_env(settings: &Settings, namespace: &str, agent: &str, level: Level) -> Vec<EnvVar> {
    vec![
        variable("AEGIS_AGENT", &format!("{namespace}/{agent}")),
        variable("AEGIS_CONTROL", &settings.control),
        variable("AEGIS_LEVEL", level.as_str()),
        variable("AEGIS_ADMIN_LISTEN", &format!("0.0.0.0:{ADMIN_PORT}")),
        variable("AEGIS_RECORDS_DIR", "/var/lib/aegis/records"),
        variable("AEGIS_CREDENTIALS_DIR", "/etc/aegis/credentials"),
        variable("AEGIS_TRUST_DIR", "/etc/aegis/trust"),
        variable("AEGIS_TOKEN_FILE", "/var/run/secrets/aegis/token"),
    ]
}

pub(super) fn base_mounts() -> Vec<VolumeMount> {
    vec![
        mount("aegis-token", "/var/run/secrets/aegis", true),
        mount("aegis-trust", "/etc/aegis/trust", true),
        mount("aegis-records", "/var/lib/aegis/records", false),
    ]
}

pub(super) fn base_volumes(settings: &Settings) -> Vec<Volume> {
    let token = VolumeProjection {
        service_account_token: Some(ServiceAccountTokenProjection {
            audience: Some(TOKEN_AUDIENCE.to_owned()),
            expiration_seconds: Some(TOKEN_SECONDS),
            path: "token".to_owned(),
            ..ServiceAccountTokenProjection::default()
        }),
        ..VolumeProjection::default()
    };
    vec![
        Volume {
            name: "aegis-token".to_owned(),
            projected: Some(ProjectedVolumeSource {
                default_mode: Some(MODE),
                sources: Some(vec![token]),
                ..ProjectedVolumeSource::default()
            }),
            ..Volume::default()
        },
        Volume {
            name: "aegis-trust".to_owned(),
            config_map: Some(ConfigMapVolumeSource {
                name: TRUST_CONFIG_MAP.to_owned(),
                default_mode: Some(MODE),
                ..ConfigMapVolumeSource::default()
            }),
            ..Volume::default()
        },
        empty_dir("aegis-records", settings.records.medium, &settings.records.size_limit),
    ]
}

pub(super) fn credential_volume(brokered: &Brokered) -> Volume {
    Volume {
        name: credential_name(&brokered.tool),
        secret: Some(SecretVolumeSource {
            secret_name: Some(brokered.secret.clone()),
            items: Some(vec![KeyToPath {
                key: brokered.key.clone(),
                path: brokered.key.clone(),
                ..KeyToPath::default()
            }]),
            optional: Some(true),
            default_mode: Some(MODE),
            ..SecretVolumeSource::default()
        }),
        ..Volume::default()
    }
}

pub(super) fn credential_mount(brokered: &Brokered) -> VolumeMount {
    mount(&credential_name(&brokered.tool), &format!("/etc/aegis/credentials/{}", brokered.tool), true)
}

/// Name of a credential's volume. A tool's name is a DNS label of up to 63 characters and so is a volume's, so a long
/// one is cut and told apart by its digest.
pub(super) fn credential_name(tool: &str) -> String {
    const PREFIX: &str = "aegis-cred-";
    if PREFIX.len() + tool.len() <= 63 {
        return format!("{PREFIX}{tool}");
    }
    let digest = aegis_decision::digest::Digest::of(tool).to_string();
    let hex: String = digest.trim_start_matches("sha256:").chars().take(16).collect();
    let cut: String = tool.chars().take(63 - PREFIX.len() - 17).collect();
    format!("{PREFIX}{cut}-{hex}")
}

pub(super) fn sidecar_resources(settings: &Settings) -> ResourceRequirements {
    let wanted = &settings.resources;
    resources([("cpu", &wanted.cpu_request), ("memory", &wanted.memory_request)], &wanted.memory_limit)
}

/// No right beyond running: what Pod Security "restricted" asks for, and more.
pub(super) fn hardened(uid: i64) -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        capabilities: Some(Capabilities { add: None, drop: Some(vec!["ALL".to_owned()]) }),
        privileged: Some(false),
        read_only_root_filesystem: Some(true),
        run_as_non_root: Some(true),
        run_as_user: Some(uid),
        run_as_group: Some(uid),
        seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), localhost_profile: None }),
        ..SecurityContext::default()
    }
}

/// A container with what the API server fills in.
pub(super) fn container(name: &str, image: &str, settings: &Settings) -> Container {
    Container {
        name: name.to_owned(),
        image: Some(image.to_owned()),
        image_pull_policy: Some(settings.pull_policy.clone()),
        termination_message_path: Some("/dev/termination-log".to_owned()),
        termination_message_policy: Some("File".to_owned()),
        ..Container::default()
    }
}

pub(super) fn admin_get(path: &str) -> HTTPGetAction {
    HTTPGetAction {
        path: Some(path.to_owned()),
        port: IntOrString::Int(ADMIN_PORT),
        scheme: Some("HTTP".to_owned()),
        ..HTTPGetAction::default()
    }
}

pub(super) fn every_second() -> Probe {
    Probe {
        period_seconds: Some(1),
        timeout_seconds: Some(2),
        failure_threshold: Some(START_TRIES),
        success_threshold: Some(1),
        ..Probe::default()
    }
}

pub(super) fn variable(name: &str, value: &str) -> EnvVar {
    EnvVar { name: name.to_owned(), value: Some(value.to_owned()), value_from: None }
}

fn both_loopbacks(port: i32) -> String {
    format!("127.0.0.1:{port},[::1]:{port}")
}

fn mount(name: &str, path: &str, read_only: bool) -> VolumeMount {
    VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        read_only: read_only.then_some(true),
        ..VolumeMount::default()
    }
}

fn empty_dir(name: &str, medium: Medium, size_limit: &str) -> Volume {
    let memory = (medium == Medium::Memory).then(|| "Memory".to_owned());
    Volume {
        name: name.to_owned(),
        empty_dir: Some(EmptyDirVolumeSource {
            medium: memory,
            size_limit: Some(Quantity(size_limit.to_owned())),
            ..EmptyDirVolumeSource::default()
        }),
        ..Volume::default()
    }
}

fn resources(requests: [(&str, &str); 2], memory_limit: &str) -> ResourceRequirements {
    let requests = requests.map(|(name, quantity)| (name.to_owned(), Quantity(quantity.to_owned())));
    ResourceRequirements {
        requests: Some(BTreeMap::from(requests)),
        limits: Some(BTreeMap::from([("memory".to_owned(), Quantity(memory_limit.to_owned()))])),
        claims: None,
    }
}
