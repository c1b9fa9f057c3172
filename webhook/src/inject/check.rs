//! What is refused with a message of its own, because its author can mend it.

use aegis_crds::mesh::{
    ADMIN_PORT, AGENT_LABEL, CALL_PORT, CAPTURE_CONTAINER, CAPTURE_PORT, DNS_PORT, GATEWAY_CONTAINER, INJECT_LABEL,
    PROBE_CONTAINER, SIDECAR_CONTAINER,
};
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};

use super::{AgentFacts, Refusal, annotation, label};

/// What names of containers and volumes of ours begin with.
pub(super) const PREFIX: &str = "aegis-";
/// Value of [`INJECT_LABEL`] by which some other meshes let a pod opt out.
const DISABLED: &str = "disabled";

/// Whether a container is one of those that are injected.
pub(super) fn is_ours(name: &str) -> bool {
    [CAPTURE_CONTAINER, SIDECAR_CONTAINER, PROBE_CONTAINER, GATEWAY_CONTAINER].contains(&name)
}

/// Whether anything in the pod has a name of ours.
pub(super) fn has_own_names(spec: &PodSpec) -> bool {
    names(spec).is_err()
}

/// Whether the pod has a sidecar where injection puts it, of whatever form.
pub(super) fn has_sidecar(spec: &PodSpec) -> bool {
    spec.init_containers.iter().flatten().any(|container| container.name == SIDECAR_CONTAINER)
}

/// Nothing has a name of ours.
pub(super) fn names(spec: &PodSpec) -> Result<(), Refusal> {
    if let Some(container) = containers(spec).find(|container| container.name.starts_with(PREFIX)) {
        return Err(Refusal::ContainerName(container.name.clone()));
    }
    match spec.volumes.iter().flatten().find(|volume| volume.name.starts_with(PREFIX)) {
        Some(volume) => Err(Refusal::VolumeName(volume.name.clone())),
        None => Ok(()),
    }
}

/// The pod as a whole: whose it is, and that agent and sidecar are apart in it.
pub(super) fn pod(pod: &Pod, agent: &AgentFacts) -> Result<(), Refusal> {
    match label(pod, AGENT_LABEL) {
        None => return Err(Refusal::NoAgent),
        Some(name) if name != agent.name => {
            return Err(Refusal::UnknownAgent { name: name.to_owned(), namespace: agent.namespace.clone() });
        }
        Some(_) => {}
    }
    if label(pod, INJECT_LABEL) == Some(DISABLED) {
        return Err(Refusal::OptedOut("label"));
    }
    if annotation(pod, INJECT_LABEL).is_some_and(|value| value == DISABLED) {
        return Err(Refusal::OptedOut("annotation"));
    }
    let default = PodSpec::default();
    let spec = pod.spec.as_ref().unwrap_or(&default);
    // What the API server fills in, but after this is called.
    let account = spec.service_account_name.as_deref().filter(|name| !name.is_empty()).unwrap_or("default");
    if account != agent.service_account {
        return Err(Refusal::ServiceAccount {
            agent: agent.name.clone(),
            wanted: agent.service_account.clone(),
            found: account.to_owned(),
        });
    }
    // At every level: the sidecar's loopback would be the node's, or its processes the agent's to look into.
    for (shared, field) in [
        (spec.host_network, "hostNetwork"),
        (spec.host_pid, "hostPID"),
        (spec.host_ipc, "hostIPC"),
        (spec.share_process_namespace, "shareProcessNamespace"),
    ] {
        if shared == Some(true) {
            return Err(Refusal::Shared(field));
        }
    }
    Ok(())
}

/// No container wants a port of the sidecar: one of both could not listen.
pub(super) fn ports(spec: &PodSpec) -> Result<(), Refusal> {
    for container in containers(spec) {
        for declared in container.ports.iter().flatten() {
            let port = declared.container_port;
            if [CALL_PORT, CAPTURE_PORT, DNS_PORT, ADMIN_PORT].contains(&port) {
                return Err(Refusal::Port { container: container.name.clone(), port });
            }
        }
    }
    Ok(())
}

/// Every container runs as a user that is written down, and is not root.
pub(super) fn users(spec: &PodSpec) -> Result<(), Refusal> {
    let of_pod = spec.security_context.as_ref().and_then(|context| context.run_as_user);
    for container in containers(spec) {
        let own = container.security_context.as_ref().and_then(|context| context.run_as_user);
        if own.or(of_pod).is_none_or(|uid| uid == 0) {
            return Err(Refusal::NoUser(container.name.clone()));
        }
    }
    Ok(())
}

fn containers(spec: &PodSpec) -> impl Iterator<Item = &Container> {
    spec.init_containers.iter().flatten().chain(&spec.containers)
}
