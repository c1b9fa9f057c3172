//! Whether something can be reached from a pod's network, as some user, without being in any of its containers.

use std::fmt;
use std::net::SocketAddr;

use aegis_tests::mesh::binary;
use anyhow::{Result, ensure};
use tokio::process::Command;

/// A process whose network it is, as this machine numbers it, and the user to try as.
#[derive(Debug, Clone, Copy)]
pub struct Inside {
    pub pid: u64,
    pub uid: i64,
}

/// How something is tried.
#[derive(Debug, Clone, Copy)]
pub enum Over {
    /// A connection.
    Tcp,
    /// A datagram that is answered.
    Udp,
    /// A question for a name that the cluster has.
    Dns,
}

/// What is tried.
#[derive(Debug, Clone)]
pub struct Target {
    pub what: &'static str,
    pub address: SocketAddr,
    pub over: Over,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.what, self.address)
    }
}

impl Target {
    pub fn tcp(what: &'static str, address: SocketAddr) -> Self {
        Self { what, address, over: Over::Tcp }
    }

    /// Tries it, for at most 3 seconds.
    pub async fn is_reached(&self, from: Inside) -> Result<bool> {
        let (uid, address) = (from.uid.to_string(), self.address.to_string());
        let testkit = binary("aegis-testkit")?;
        let testkit = testkit.to_str().unwrap_or_default();
        let connect = format!("exec 3<>/dev/tcp/{}/{}", self.address.ip(), self.address.port());
        let words = match self.over {
            Over::Tcp => vec!["timeout", "3", "bash", "-c", &connect],
            Over::Udp => vec![testkit, "connect", &address, "--udp"],
            Over::Dns => vec![testkit, "lookup", "kubernetes.default.svc.cluster.local.", "--server", &address],
        };
        let output = Command::new("nsenter")
            .args(["-t", &from.pid.to_string(), "-n", "--"])
            .args(["setpriv", "--reuid", &uid, "--regid", &uid, "--clear-groups", "--"])
            .args(&words)
            .output()
            .await?;
        let said = String::from_utf8_lossy(&output.stderr);
        // Neither nsenter nor setpriv may be what failed.
        ensure!(!said.contains("nsenter:") && !said.contains("setpriv:"), "{said}");
        Ok(output.status.success())
    }
}
