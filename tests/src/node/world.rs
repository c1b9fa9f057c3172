//! The outside world of the node: servers that tools and attackers run there.

use std::path::Path;

use anyhow::{Context as _, Result};

use super::start::Node;
use crate::cluster::process::{Place, Process, ProcessSpec};
use crate::mesh::binary;

/// Starts the test program in the outside world.
pub struct World;

impl World {
    /// Runs `aegis-testkit ARGUMENTS` outside; ends when dropped. `name` names its log.
    pub async fn run(node: &Node, name: &str, arguments: &[&str]) -> Result<Process> {
        let ext = node.cluster.ready().ext.as_ref().context("this cluster has no outside world")?;
        let spec = ProcessSpec::new(binary("aegis-testkit")?, node.dir.join(format!("{name}.log")))
            .place(Place::Ext(ext.pid))
            .args(arguments);
        Process::spawn(spec).await
    }

    /// Gives names of the outside world their addresses; what was there before goes.
    pub fn names(node: &Node, names: &[(&str, &str)]) -> Result<()> {
        let hosts = &node.cluster.ready().node.as_ref().context("this cluster has no node")?.hosts;
        let lines: Vec<String> = names.iter().map(|(name, address)| format!("{address} {name}")).collect();
        let text = lines.join("\n") + "\n";
        let new = hosts.with_extension("new");
        std::fs::write(&new, text)?;
        std::fs::rename(&new, hosts).with_context(|| format!("cannot write {}", hosts.display()))
    }

    /// An address on this machine that leads to an address outside.
    pub fn reach(node: &Node, address: &str) -> Result<String> {
        let answer = node.cluster.command(&format!("forward ext {address}"))?;
        let found = answer.get("address").and_then(serde_json::Value::as_str).context("no address")?;
        Ok(found.to_owned())
    }

    /// The folder of logs.
    pub fn logs(node: &Node) -> &Path {
        &node.dir
    }
}
