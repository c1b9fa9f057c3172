//! Praxis, with its policy engine on one port and without on another.
//!
//! Its policies read the bodies of inference requests only, or of MCP calls behind a classifier that is no part of it. So
//! the workload's bodies have a `model`, for everybody.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use aegis_tests::cluster::process::{Process, ProcessSpec};
use anyhow::Result;

use crate::peer::{free, listens};
use crate::rego::Rego;
use crate::way::Way;

/// A running one.
pub struct Praxis {
    process: Process,
    judged: SocketAddr,
    plain: SocketAddr,
}

impl Praxis {
    /// Starts it with one thread for requests.
    pub async fn start(folder: &Path, program: &Path, tool: SocketAddr) -> Result<Self> {
        let rego = Rego::write(folder, "input.llm.request")?;
        let (judged, plain) = (free()?, free()?);
        let (config, policy) = (folder.join("praxis.yaml"), folder.join("praxis-policy.yaml"));
        let text = include_str!("praxis-policy.yaml")
            .replace("@MODULE@", &rego.module.to_string_lossy())
            .replace("@DATA@", &rego.data.to_string_lossy());
        fs::write(&policy, text)?;
        let text = include_str!("praxis.yaml")
            .replace("@POLICY@", &policy.to_string_lossy())
            .replace("@JUDGED@", &judged.port().to_string())
            .replace("@PLAIN@", &plain.port().to_string())
            .replace("@TOOL@", &tool.port().to_string());
        fs::write(&config, text)?;
        let spec =
            ProcessSpec::new(program, folder.join("praxis.log")).env("RUST_LOG", "error").arg("--config").arg(&config);
        let process = Process::spawn(spec).await?;
        listens(&process, judged).await?;
        listens(&process, plain).await?;
        Ok(Self { process, judged, plain })
    }

    /// Its process, with its name.
    pub fn process(&self) -> (&'static str, u32) {
        ("Praxis", self.process.pid())
    }

    /// The ways through it.
    pub fn ways(&self) -> [Way; 2] {
        let processes = || vec![self.process.pid()];
        let way = |name, address, judges| Way { name, address, path: "/judge", judges, processes: processes() };
        [way("Praxis, no policy", self.plain, false), way("Praxis with policy", self.judged, true)]
    }
}
