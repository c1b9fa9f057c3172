//! Who tries.

use std::process::Command;

use aegis_decision::probe::ProbeReport;
use anyhow::{Context, Result, ensure};
use serde::Serialize;

use crate::bed::{Bed, Programs, SIDECAR_UID, SINK_V4, SINK_V6, said};

/// What a container runtime gives a container that asks for nothing.
const DEFAULT_CAPABILITIES: &str = "--bounding-set=-all,+chown,+dac_override,+fsetid,+fowner,+mknod,+net_raw,+setgid,\
    +setuid,+setfcap,+setpcap,+net_bind_service,+sys_chroot,+kill,+audit_write";

/// Three kinds of processes in a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Persona {
    /// The agent as admission demands it: own user, no capability, no privilege escalation.
    Hardened,
    /// The agent as root with the runtime's default capabilities: what admission refuses.
    DefaultRoot,
    /// A second container: another user, without `no_new_privs`.
    Neighbour,
}

pub const ALL: [Persona; 3] = [Persona::Hardened, Persona::DefaultRoot, Persona::Neighbour];

impl Persona {
    /// Short, for a column.
    pub fn label(self) -> &'static str {
        match self {
            Self::Hardened => "A hardened",
            Self::DefaultRoot => "B root",
            Self::Neighbour => "C neighbour",
        }
    }

    /// Adds the program that becomes this persona.
    pub fn become_by(self, command: &mut Command) {
        match self {
            Self::Hardened => command.args(["--reuid", "1000", "--regid", "1000", "--clear-groups", "--no-new-privs"]),
            Self::DefaultRoot => command.args(["--clear-groups", DEFAULT_CAPABILITIES, "--inh-caps=-all"]),
            Self::Neighbour => command.args(["--reuid", "2000", "--regid", "2000", "--clear-groups"]),
        };
        if self != Self::DefaultRoot {
            command.args(["--bounding-set=-all", "--inh-caps=-all"]);
        }
    }

    /// This program in the pod, as this persona.
    pub fn command(self, bed: &Bed, program: &std::path::Path) -> Command {
        let mut command = bed.pod("setpriv");
        self.become_by(&mut command);
        command.arg(program);
        command
    }

    /// Makes the attempts of these techniques.
    pub fn attempt(self, bed: &Bed, programs: &Programs, only: &[u8]) -> Result<ProbeReport> {
        probed(self.command(bed, &programs.probe), only)
    }
}

/// Makes the attempts as the sidecar's own user.
pub fn as_sidecar(bed: &Bed, programs: &Programs, only: &[u8]) -> Result<ProbeReport> {
    let mut command = bed.pod("setpriv");
    let uid = SIDECAR_UID.to_string();
    command.args(["--reuid", &uid, "--regid", &uid, "--clear-groups", "--no-new-privs"]).arg(&programs.probe);
    probed(command, only)
}

fn probed(mut command: Command, only: &[u8]) -> Result<ProbeReport> {
    let only: Vec<String> = only.iter().map(u8::to_string).collect();
    command.args(["--once", "--json", "--only", &only.join(",")]);
    command.args(["--sink-v4", &SINK_V4.to_string(), "--sink-v6", &SINK_V6.to_string()]);
    command.args(["--sidecar-uid", &SIDECAR_UID.to_string()]);
    // Where a copy of the program can be given away (BYP-23); nothing else of the caller's environment.
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command.env("KUBERNETES_SERVICE_HOST", "10.96.0.1").env("KUBERNETES_SERVICE_PORT", "443");
    command.args(["--targets", "10.77.0.1:8443,[fd77::1]:8443"]);
    let output = command.output().context("setpriv (util-linux)")?;
    ensure!(matches!(output.status.code(), Some(0 | 2)), "aegis-probe: {} {}", output.status, said(&output));
    Ok(serde_json::from_slice(&output.stdout)?)
}
