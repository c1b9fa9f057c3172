//! Envoy, which asks OPA about every call by external authorization over gRPC, and on another port asks nobody.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use aegis_tests::cluster::process::{Process, ProcessSpec};
use anyhow::Result;

use crate::peer::{free, listens};
use crate::rego::Rego;
use crate::way::Way;

/// Both, running.
pub struct Envoy {
    proxy: Process,
    opa: Process,
    judged: SocketAddr,
    plain: SocketAddr,
}

impl Envoy {
    /// Starts both, each with one thread for requests.
    pub async fn start(folder: &Path, envoy: &Path, opa: &Path, tool: SocketAddr) -> Result<Self> {
        let rego = Rego::write(folder, "input.parsed_body")?;
        let (asked, api, judged, plain) = (free()?, free()?, free()?, free()?);
        // It logs no decisions unless it is told to.
        let opa = ProcessSpec::new(opa, folder.join("opa.log"))
            .env("GOMAXPROCS", "1")
            .args(["run", "--server", "--skip-version-check", "--optimize-store-for-read-speed", "--log-level=error"])
            .args(["--addr", &api.to_string()])
            .args(["--set", &format!("plugins.envoy_ext_authz_grpc.addr={asked}")])
            .args(["--set", "plugins.envoy_ext_authz_grpc.path=bench/allow"])
            .arg(&rego.module)
            .arg(&rego.data);
        let opa = Process::spawn(opa).await?;
        listens(&opa, asked).await?;
        let config = folder.join("envoy.yaml");
        let mut text = include_str!("envoy.yaml").to_owned();
        for (mark, address) in [("@JUDGED@", judged), ("@PLAIN@", plain), ("@TOOL@", tool), ("@OPA@", asked)] {
            text = text.replace(mark, &address.port().to_string());
        }
        fs::write(&config, text)?;
        let envoy = ProcessSpec::new(envoy, folder.join("envoy.log")).arg("--config-path").arg(&config).args([
            "--concurrency",
            "1",
            "--disable-hot-restart",
            "--log-level",
            "error",
        ]);
        let envoy = Process::spawn(envoy).await?;
        listens(&envoy, judged).await?;
        listens(&envoy, plain).await?;
        Ok(Self { proxy: envoy, opa, judged, plain })
    }

    /// Its processes, with their names.
    pub fn processes(&self) -> [(&'static str, u32); 2] {
        [("Envoy", self.proxy.pid()), ("OPA", self.opa.pid())]
    }

    /// The ways through it.
    pub fn ways(&self) -> [Way; 2] {
        let (envoy, opa) = (self.proxy.pid(), self.opa.pid());
        let way = |name, address, judges, processes| Way { name, address, path: "/judge", judges, processes };
        [
            way("Envoy, no policy", self.plain, false, vec![envoy]),
            way("Envoy with OPA", self.judged, true, vec![envoy, opa]),
        ]
    }
}
