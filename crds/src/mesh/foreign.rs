//! The agent's own containers: what they may not do, so that they neither get past the sidecar nor into it.

use aegis_decision::egress::Level;
use k8s_openapi::api::core::v1::{Container, EphemeralContainer, PodSpec, SecurityContext, VolumeDevice, VolumeMount};

use super::inspect::{Fault, OURS};
use super::names::SIDECAR_UIDS;

/// The only capability that a captured container may add: it opens no way past the rules, and none into the sidecar.
const HARMLESS: &str = "NET_BIND_SERVICE";

/// A container that is not ours, of whatever kind.
pub(super) struct Foreign<'a> {
    name: &'a str,
    context: Option<&'a SecurityContext>,
    mounts: &'a [VolumeMount],
    devices: &'a [VolumeDevice],
    target: Option<&'a str>,
}

impl<'a> From<&'a Container> for Foreign<'a> {
    fn from(container: &'a Container) -> Self {
        Self {
            name: &container.name,
            context: container.security_context.as_ref(),
            mounts: container.volume_mounts.as_deref().unwrap_or_default(),
            devices: container.volume_devices.as_deref().unwrap_or_default(),
            target: None,
        }
    }
}

impl<'a> From<&'a EphemeralContainer> for Foreign<'a> {
    fn from(container: &'a EphemeralContainer) -> Self {
        Self {
            name: &container.name,
            context: container.security_context.as_ref(),
            mounts: container.volume_mounts.as_deref().unwrap_or_default(),
            devices: container.volume_devices.as_deref().unwrap_or_default(),
            target: container.target_container_name.as_deref(),
        }
    }
}

impl Foreign<'_> {
    /// Adds what is wrong with it in a pod of `spec`, whose agent is at `level`.
    pub(super) fn inspect(&self, spec: &PodSpec, level: Level, faults: &mut Vec<Fault>) {
        if self.name.starts_with(OURS) {
            faults.push(Fault::Reserved(self.name.to_owned()));
        }
        if self.mounts.iter().any(|mount| mount.name.starts_with(OURS))
            || self.devices.iter().any(|device| device.name.starts_with(OURS))
        {
            faults.push(Fault::ForeignMount(self.name.to_owned()));
        }
        let mut wrong = |problem| faults.push(Fault::Container { container: self.name.to_owned(), problem });
        if self.target.is_some_and(|target| target.starts_with(OURS)) {
            wrong("targetContainerName is a container of Aegis");
        }
        let pod = spec.security_context.as_ref();
        let uid = self.context.and_then(|context| context.run_as_user).or_else(|| pod?.run_as_user);
        if uid.is_some_and(|uid| SIDECAR_UIDS.contains(&uid)) {
            wrong("runAsUser is one of the sidecars' (30000 to 59999)");
        }
        if !level.is_captured() {
            return;
        }
        let context = self.context.cloned().unwrap_or_default();
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
        if capabilities.add.iter().flatten().any(|name| name != HARMLESS) {
            wrong("may add no capability but NET_BIND_SERVICE");
        }
        if context.proc_mount.is_some_and(|mount| mount != "Default") {
            wrong("procMount other than Default is not allowed");
        }
        if context.windows_options.is_some() {
            wrong("Windows is not allowed");
        }
    }
}
