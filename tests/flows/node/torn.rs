//! A node whose webhook and guards some flows take away. They take turns with those that make pods. Its agents are probed
//! every minute.

use std::sync::Arc;

use aegis_tests::node::{Bench, BenchSpec, Node, NodeSpec};
use anyhow::Result;
use tokio::sync::{Mutex, OnceCell, RwLock};

use super::scene;

/// The node, and whose turn it is.
pub struct Torn {
    pub node: Arc<Node>,
    /// Held to read while pods are made, to write while webhook or guards are away.
    pub whole: RwLock<()>,
    /// Held, before the other, while frames are counted and while a pod has a hole: its probe's frames would be counted.
    pub cable: Mutex<()>,
}

impl Torn {
    /// A bench, and what is made on it while webhook and guards are there.
    pub async fn bench<T>(
        &self,
        spec: &BenchSpec<'_>,
        make: impl AsyncFnOnce(&Bench) -> Result<T>,
    ) -> Result<(Bench, T)> {
        let _whole = self.whole.read().await;
        let bench = Bench::set(&self.node, spec).await?;
        let on_it = make(&bench).await?;
        Ok((bench, on_it))
    }
}

/// The one of this process, started by the first flow that asks and ended with the process.
pub async fn torn() -> Result<&'static Torn> {
    static TORN: OnceCell<Torn> = OnceCell::const_new();
    TORN.get_or_try_init(|| async {
        let folder = tempfile::Builder::new().prefix("torn-").tempdir_in(env!("CARGO_TARGET_TMPDIR"))?.keep();
        let values = ["mesh.probeMinutes=1", "operator.replicas=1", "webhook.replicas=1"];
        let spec = NodeSpec { values: values.map(str::to_owned).to_vec(), ..NodeSpec::default() };
        let node = Node::start(&folder, &spec).await?;
        scene::names(&node)?;
        Ok(Torn { node: Arc::new(node), whole: RwLock::default(), cable: Mutex::default() })
    })
    .await
}
