//! Everything that is measured, running: the tool, the bare relay, Aegis, and the peers that there are.

use std::path::Path;

use aegis_tests::answering::AtOnce;
use aegis_tests::usage::Usage;
use anyhow::Result;

use crate::args::Args;
use crate::cores::Cores;
use crate::envoy::Envoy;
use crate::praxis::Praxis;
use crate::relay::Relay;
use crate::scene::Scene;
use crate::way::Way;
use crate::workload::SUPPLIERS;

/// Place among the [ways](Stage::ways) of the one that the others are compared with.
pub const REFERENCE: usize = 0;
/// Place of the same once more.
pub const CONTROL: usize = 1;

/// The running parts.
pub struct Stage {
    /// The tool behind all ways.
    pub tool: AtOnce,
    relay: Relay,
    scene: Scene,
    envoy: Option<Envoy>,
    praxis: Option<Praxis>,
    /// Each measured process, with its name and what it took before the first call that is measured.
    pub idle: Vec<(&'static str, u32, Usage)>,
}

impl Stage {
    /// Starts everything, and moves what is measured to its core.
    pub async fn set(folder: &Path, args: &Args, cores: Cores) -> Result<Self> {
        let tool = AtOnce::listen().await?;
        let relay = Relay::start(folder, tool.address).await?;
        let scene = Scene::set(folder, tool.address, SUPPLIERS).await?;
        let envoy = match (&args.envoy, &args.opa) {
            (Some(envoy), Some(opa)) => Some(Envoy::start(&folder.join("envoy"), envoy, opa, tool.address).await?),
            _ => None,
        };
        let praxis = match &args.praxis {
            Some(praxis) => Some(Praxis::start(&folder.join("praxis"), praxis, tool.address).await?),
            None => None,
        };
        let mut stage = Self { tool, relay, scene, envoy, praxis, idle: Vec::new() };
        for (name, process) in stage.processes() {
            cores.give(process)?;
            stage.idle.push((name, process, Usage::of(process)?));
        }
        Ok(stage)
    }

    fn processes(&self) -> Vec<(&'static str, u32)> {
        let envoy = self.envoy.iter().flat_map(Envoy::processes);
        let praxis = self.praxis.iter().map(Praxis::process);
        [self.scene.process(), self.relay.process()].into_iter().chain(envoy).chain(praxis).collect()
    }

    /// All ways, the [`REFERENCE`] and the [`CONTROL`] at their places.
    pub fn ways(&self) -> Vec<Way> {
        let [pass, judge, keep] = self.scene.ways();
        let tool =
            Way { name: "direct", address: self.tool.address, path: "/judge", judges: false, processes: Vec::new() };
        let control = Way { name: "control: sidecar, 1,000 rules, once more", judges: false, ..judge.clone() };
        let mut ways = vec![judge, control, keep, pass, self.relay.way(), tool];
        ways.extend(self.envoy.iter().flat_map(Envoy::ways));
        ways.extend(self.praxis.iter().flat_map(Praxis::ways));
        ways
    }
}
