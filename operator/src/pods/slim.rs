//! What the store keeps of a pod: all that says whether it is governed, and no more. A cluster has many pods, and most
//! are nobody's agent.

use std::collections::BTreeMap;

use aegis_crds::mesh::{AGENT_LABEL, COMPONENT_LABEL, GATEWAY_CONTAINER, POD_VERIFIED, SIDECAR_CONTAINER};
use k8s_openapi::api::core::v1::{Container, EphemeralContainer, Pod, PodSpec, PodStatus};

/// Drops what nobody asks for. What [`aegis_crds::mesh::inspect`] says about the pod stays the same, except that a pod
/// without any container of Aegis keeps none at all: it is not governed in any case.
pub fn slim(pod: &mut Pod) {
    let metadata = &mut pod.metadata;
    metadata.managed_fields = None;
    metadata.annotations = None;
    metadata.owner_references = None;
    if let Some(labels) = &mut metadata.labels {
        labels.retain(|name, _| name == AGENT_LABEL || name == COMPONENT_LABEL);
    }
    pod.spec = pod.spec.take().map(slim_spec);
    pod.status = pod.status.take().map(|status| PodStatus {
        phase: status.phase,
        conditions: status
            .conditions
            .map(|all| all.into_iter().filter(|condition| condition.type_ == POD_VERIFIED).collect()),
        ..PodStatus::default()
    });
}

fn slim_spec(spec: PodSpec) -> PodSpec {
    let is_ours = |container: &Container| [SIDECAR_CONTAINER, GATEWAY_CONTAINER].contains(&container.name.as_str());
    let service_account_name = spec.service_account_name;
    if !spec.init_containers.iter().flatten().chain(&spec.containers).any(is_ours) {
        return PodSpec { service_account_name, ..PodSpec::default() };
    }
    PodSpec {
        service_account_name,
        volumes: spec.volumes,
        containers: spec.containers.into_iter().map(slim_container).collect(),
        init_containers: spec.init_containers.map(|all| all.into_iter().map(slim_container).collect()),
        ephemeral_containers: spec.ephemeral_containers.map(|all| all.into_iter().map(slim_ephemeral).collect()),
        dns_config: spec.dns_config,
        dns_policy: spec.dns_policy,
        host_aliases: spec.host_aliases,
        host_ipc: spec.host_ipc,
        host_network: spec.host_network,
        host_pid: spec.host_pid,
        os: spec.os,
        share_process_namespace: spec.share_process_namespace,
        security_context: spec.security_context,
        ..PodSpec::default()
    }
}

/// A container of Aegis is compared field by field, and so kept whole; of the agent's own only what could undo it.
fn slim_container(container: Container) -> Container {
    if container.name.starts_with("aegis-") {
        return container;
    }
    Container {
        name: container.name,
        ports: container.ports,
        security_context: container.security_context,
        volume_devices: container.volume_devices,
        volume_mounts: container.volume_mounts,
        ..Container::default()
    }
}

fn slim_ephemeral(container: EphemeralContainer) -> EphemeralContainer {
    EphemeralContainer {
        name: container.name,
        security_context: container.security_context,
        target_container_name: container.target_container_name,
        volume_devices: container.volume_devices,
        volume_mounts: container.volume_mounts,
        ..EphemeralContainer::default()
    }
}

/// The labels of a slim pod, for tests and for those who ask whether it is somebody's agent.
pub(crate) fn label<'a>(pod: &'a Pod, name: &str) -> Option<&'a str> {
    pod.metadata.labels.as_ref().and_then(|labels: &BTreeMap<String, String>| labels.get(name)).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use aegis_crds::mesh::{Placement, Settings, inspect, parts};
    use aegis_decision::egress::Level;
    use serde_json::json;

    use super::*;

    fn settings() -> Settings {
        serde_json::from_value(json!({
            "images": {"proxy": "x/aegis-proxy:1", "capture": "x/aegis-capture:1", "probe": "x/aegis-probe:1"},
            "control": "https://control:8443", "systemNamespace": "system",
        }))
        .unwrap()
    }

    fn injected(settings: &Settings) -> Pod {
        let mut pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "p", "namespace": "shop", "labels": {AGENT_LABEL: "buyer", "app": "x"},
                "annotations": {"a": "b"}},
            "spec": {"serviceAccountName": "sa", "nodeName": "n", "containers": [{"name": "agent", "image": "i",
                "env": [{"name": "A", "value": "B"}], "ports": [{"containerPort": 80}],
                "securityContext": {"runAsUser": 1000, "runAsNonRoot": true, "allowPrivilegeEscalation": false,
                    "capabilities": {"drop": ["ALL"]}}}]},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"},
                {"type": POD_VERIFIED, "status": "True"}]},
        }))
        .unwrap();
        let placement = Placement {
            namespace: "shop",
            agent: "buyer",
            level: Level::Captured,
            sidecar_uid: 31_000,
            agent_uid: 1000,
            inbound: &[80],
            brokered: &[],
        };
        let added = parts(settings, &placement);
        let spec = pod.spec.as_mut().unwrap();
        spec.init_containers = Some(added.containers);
        spec.volumes = Some(added.volumes);
        pod
    }

    #[test]
    fn a_slim_pod_is_judged_as_the_whole_one() {
        let settings = settings();
        let whole = injected(&settings);
        let mut slimmed = whole.clone();
        slim(&mut slimmed);
        let verdict = |pod: &Pod| inspect(pod, "shop", "buyer", Level::Captured, &settings);
        assert_eq!(verdict(&whole), verdict(&slimmed));
        verdict(&slimmed).unwrap();
        let mut broken = whole;
        let spec = broken.spec.as_mut().unwrap();
        spec.host_network = Some(true);
        spec.containers[0].security_context.as_mut().unwrap().privileged = Some(true);
        let mut slimmed = broken.clone();
        slim(&mut slimmed);
        assert_eq!(verdict(&broken).unwrap_err(), verdict(&slimmed).unwrap_err());
    }

    #[test]
    fn what_nobody_asks_for_is_dropped() {
        let mut pod = injected(&settings());
        slim(&mut pod);
        let spec = pod.spec.unwrap();
        assert_eq!((spec.node_name, spec.containers[0].env.clone()), (None, None));
        let conditions: Vec<_> = pod.status.unwrap().conditions.unwrap().into_iter().map(|c| c.type_).collect();
        assert_eq!(conditions, [POD_VERIFIED]);
        let mut other: Pod = serde_json::from_value(json!({"metadata": {"name": "q"},
            "spec": {"serviceAccountName": "sa", "containers": [{"name": "db", "image": "i"}]}}))
        .unwrap();
        slim(&mut other);
        let spec = other.spec.unwrap();
        assert_eq!((spec.service_account_name.as_deref(), spec.containers.len()), (Some("sa"), 0));
    }
}
