//! Injection by hand: what the webhook does, for when it is down. The parts are those of the product.

use aegis_crds::mesh::inspect::{agent_uid, inbound};
use aegis_crds::mesh::{AGENT_LABEL, Brokered, COMPONENT_LABEL, GATEWAY, Images, Placement, Settings, gateway, parts};
use aegis_decision::egress::Level;
use anyhow::{Context, Result};
use json_patch::Patch;
use k8s_openapi::api::core::v1::{Pod, PodSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::cases::{HonestCase, HostileCase};

/// The user of every sidecar that is injected by hand.
const SIDECAR_UID: i64 = 31_337;

/// The pod of a case as people write it. A gateway is written by Aegis itself, whole.
pub fn written(case: &HonestCase, namespace: &str, settings: &Settings) -> Result<Pod> {
    let mut labels = case.labels.clone();
    let spec = match &case.agent {
        Some(agent) => {
            labels.insert(AGENT_LABEL.to_owned(), agent.clone());
            let account = format!("{agent}-account");
            if case.gateway {
                labels.insert(COMPONENT_LABEL.to_owned(), GATEWAY.to_owned());
                gateway::pod_spec(settings, namespace, agent, &account, &brokered(case))
            } else {
                PodSpec { service_account_name: Some(account), ..spec(case)? }
            }
        }
        None => spec(case)?,
    };
    Ok(Pod {
        metadata: ObjectMeta {
            generate_name: Some("tried-".to_owned()),
            labels: Some(labels),
            ..ObjectMeta::default()
        },
        spec: Some(spec),
        status: None,
    })
}

fn spec(case: &HonestCase) -> Result<PodSpec> {
    serde_json::from_value(case.spec.clone()).with_context(|| format!("spec of {}", case.name))
}

/// Adds to a pod of a case what injection adds, unless it is a gateway or nobody's.
pub fn inject(case: &HonestCase, pod: &mut Pod, namespace: &str, level: Level, settings: &Settings) -> Result<()> {
    let (Some(agent), false) = (&case.agent, case.gateway) else { return Ok(()) };
    let spec = pod.spec.as_mut().context("a pod has a spec")?;
    let parts = parts(
        &of_version(settings, case.previous),
        &Placement {
            namespace,
            agent,
            level,
            sidecar_uid: SIDECAR_UID,
            agent_uid: agent_uid(spec).unwrap_or(-1),
            inbound: &inbound(spec),
            brokered: &brokered(case),
        },
    );
    spec.init_containers =
        Some(parts.containers.into_iter().chain(spec.init_containers.take().unwrap_or_default()).collect());
    spec.volumes = Some(parts.volumes.into_iter().chain(spec.volumes.take().unwrap_or_default()).collect());
    Ok(())
}

/// The pod of a hostile case, changed before and after injection, as no API server has seen it yet.
///
/// # Errors
/// When a patch does not fit.
pub fn spoiled(
    base: &HonestCase,
    case: &HostileCase,
    namespace: &str,
    level: Level,
    settings: &Settings,
) -> Result<Pod> {
    let mut pod = patched(&written(base, namespace, settings)?, &case.before, namespace, settings)?;
    if case.injected {
        inject(base, &mut pod, namespace, level, settings)?;
    }
    patched(&pod, &case.patch, namespace, settings)
}

/// A patch may name the namespace, and an image that is not one of ours though it begins like it.
pub fn patched(pod: &Pod, patch: &Patch, namespace: &str, settings: &Settings) -> Result<Pod> {
    let text = serde_json::to_string(patch)?
        .replace("NAMESPACE/", &format!("{namespace}/"))
        .replace("TAGGED", &format!("{}-mine", settings.images.proxy));
    let patch: Patch = serde_json::from_str(&text)?;
    let mut pod = pod.clone();
    pod.metadata.labels.get_or_insert_default();
    let mut value = serde_json::to_value(pod)?;
    json_patch::patch(&mut value, &patch)?;
    Ok(serde_json::from_value(value)?)
}

fn of_version(settings: &Settings, previous: bool) -> Settings {
    let images = &settings.images;
    let last = |accepted: Vec<String>, current: &str| accepted.last().cloned().unwrap_or_else(|| current.to_owned());
    let images = if previous {
        Images {
            proxy: last(settings.proxy_images(), &images.proxy),
            capture: last(settings.capture_images(), &images.capture),
            probe: last(settings.probe_images(), &images.probe),
            previous: Vec::new(),
        }
    } else {
        images.clone()
    };
    Settings { images, ..settings.clone() }
}

fn brokered(case: &HonestCase) -> Vec<Brokered> {
    let credential = |one: &super::cases::Credential| Brokered {
        tool: one.tool.clone(),
        secret: one.secret.clone(),
        key: one.key.clone(),
    };
    case.brokered.iter().map(credential).collect()
}
