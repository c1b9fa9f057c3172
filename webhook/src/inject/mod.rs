//! From a pod and the agent that it belongs to, to the patch that makes it a governed pod, or a refusal. Pure.
//!
//! ```text
//! gateway ----------------------------------------------> left
//! governed already (inspect) ---------------------------> left, or what is missing of variables and hardening added
//! injected by us, then changed around our parts --------> our parts out, and in again
//! carries our names, but not as injected ---------------> refused
//! else: check -> hardening, variables -> parts -> inspect -> patch
//! ```
//! [`aegis_crds::mesh::inspect`] has the last word, so nothing leaves here that the operator would not count as governed.

mod check;
mod edit;
mod facts;
mod refusal;

use aegis_crds::mesh::{self, GATEWAY, INJECTION_DIGEST, Placement, SIDECAR_CONTAINER, SIDECAR_VERSION, Settings};
use aegis_crds::mesh::{AGENT_LABEL, COMPONENT_LABEL};
use aegis_decision::digest::Digest;
use json_patch::Patch;
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, Volume};
use serde_json::Value;

pub use facts::AgentFacts;
pub use refusal::Refusal;

/// Version that is written into injected pods: this crate's, which is also the sidecar's.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The patch that injects `pod`, or none when it stays as it is.
///
/// `sidecar_uid` is the user for this pod's sidecar, of [`aegis_crds::mesh::SIDECAR_UIDS`]; a pod that has a sidecar keeps
/// that one's. The patch is one of RFC 6902 against `pod` as given, of which fields unknown to this version are kept.
pub fn inject(
    pod: &Value,
    agent: &AgentFacts,
    settings: &Settings,
    sidecar_uid: i64,
) -> Result<Option<Patch>, Refusal> {
    let typed = typed(pod)?;
    if label(&typed, COMPONENT_LABEL) == Some(GATEWAY) {
        return Ok(None);
    }
    check::pod(&typed, agent)?;
    let spec = typed.spec.clone().unwrap_or_default();
    let mut wanted = pod.clone();
    if check::has_own_names(&spec) {
        match inspect(&typed, agent, settings) {
            Ok(()) => {}
            // Names of ours, but no sidecar: it is the names that have to change.
            Err(faults) if !check::has_sidecar(&spec) => {
                return check::names(&spec).and(Err(Refusal::Altered(faults)));
            }
            // Nobody touched what we put in, so whoever came after us changed what it was made for: make it anew.
            Err(_) if annotation(&typed, INJECTION_DIGEST) == Some(&digest_of_ours(&spec)) => {
                let uid = own_uid(&spec).unwrap_or(sidecar_uid);
                edit::take_out(&mut wanted);
                return add(pod, wanted, agent, settings, uid);
            }
            Err(faults) => return Err(Refusal::Altered(faults)),
        }
        if !agent.level.is_captured() {
            edit::deafen(&mut wanted);
        }
        edit::variables(&mut wanted, agent);
        return Ok(difference(pod, &wanted));
    }
    add(pod, wanted, agent, settings, sidecar_uid)
}

/// `bare` is `original` without anything of ours.
fn add(
    original: &Value,
    mut bare: Value,
    agent: &AgentFacts,
    settings: &Settings,
    sidecar_uid: i64,
) -> Result<Option<Patch>, Refusal> {
    let spec = typed(&bare)?.spec.unwrap_or_default();
    check::names(&spec)?;
    check::ports(&spec)?;
    if agent.level.is_captured() {
        check::users(&spec)?;
        edit::harden(&mut bare);
    } else {
        edit::deafen(&mut bare);
    }
    edit::variables(&mut bare, agent);
    let inbound = mesh::inspect::inbound(&spec);
    let parts = mesh::parts(
        settings,
        &Placement {
            namespace: &agent.namespace,
            agent: &agent.name,
            level: agent.level,
            sidecar_uid,
            // Checked above where a probe needs it.
            agent_uid: mesh::inspect::agent_uid(&spec).unwrap_or_default(),
            inbound: &inbound,
            brokered: &agent.brokered,
        },
    );
    edit::put_in(&mut bare, &parts);
    edit::annotate(&mut bare, SIDECAR_VERSION, VERSION);
    edit::annotate(&mut bare, INJECTION_DIGEST, &digest(parts.containers.iter().cloned(), parts.volumes.iter()));
    inspect(&typed(&bare)?, agent, settings).map_err(Refusal::Ungovernable)?;
    Ok(difference(original, &bare))
}

fn inspect(pod: &Pod, agent: &AgentFacts, settings: &Settings) -> Result<(), Vec<mesh::Fault>> {
    mesh::inspect(pod, &agent.namespace, &agent.name, agent.level, settings).map(|_| ())
}

fn typed(pod: &Value) -> Result<Pod, Refusal> {
    serde_json::from_value(pod.clone()).map_err(|error| Refusal::Malformed(error.to_string()))
}

fn difference(from: &Value, to: &Value) -> Option<Patch> {
    let patch = json_patch::diff(from, to);
    (!patch.0.is_empty()).then_some(patch)
}

fn label<'a>(pod: &'a Pod, name: &str) -> Option<&'a str> {
    pod.metadata.labels.as_ref()?.get(name).map(String::as_str)
}

fn annotation<'a>(pod: &'a Pod, name: &str) -> Option<&'a String> {
    pod.metadata.annotations.as_ref()?.get(name)
}

/// Name of the agent that a pod says to belong to.
pub fn agent_of(pod: &Value) -> Option<&str> {
    pod.get("metadata")?.get("labels")?.get(AGENT_LABEL)?.as_str()
}

/// Digest of the parts of ours that a pod carries.
fn digest_of_ours(spec: &PodSpec) -> String {
    let containers = spec.init_containers.iter().flatten().filter(|container| check::is_ours(&container.name));
    digest(containers.cloned(), spec.volumes.iter().flatten().filter(|volume| volume.name.starts_with(check::PREFIX)))
}

/// Digest of what was injected, without what the API server's own admission adds to or changes in every container.
fn digest<'a>(containers: impl Iterator<Item = Container>, volumes: impl Iterator<Item = &'a Volume>) -> String {
    let containers = containers.map(|mut container| {
        let mounts = container.volume_mounts.unwrap_or_default();
        let mounts = mounts.into_iter().filter(|mount| mount.mount_path != mesh::inspect::API_TOKEN);
        container.volume_mounts = Some(mounts.collect());
        Container { image_pull_policy: None, resources: None, ..container }
    });
    Digest::of(&(containers.collect::<Vec<_>>(), volumes.collect::<Vec<_>>())).to_string()
}

fn own_uid(spec: &PodSpec) -> Option<i64> {
    let sidecar = spec.init_containers.iter().flatten().find(|container| container.name == SIDECAR_CONTAINER)?;
    sidecar.security_context.as_ref()?.run_as_user.filter(|uid| mesh::SIDECAR_UIDS.contains(uid))
}
