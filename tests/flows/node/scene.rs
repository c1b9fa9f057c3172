//! The node that flows share, with the names of the outside world that they use.

use std::path::Path;
use std::sync::Arc;

use aegis_tests::node::{Node, NodeSpec, Place, TOOL_ADDRESS, TOOL_NAME, World};
use anyhow::Result;
use tokio::sync::OnceCell;

use super::worn;

/// Address outside that counts as a public one, and its name: a host of `Agent.egress`.
pub const EGRESS_ADDRESS: &str = "192.88.98.10";
pub const EGRESS_NAME: &str = "model.example";
/// A name that no agent may reach.
pub const EVIL_NAME: &str = "evil.example";
pub const EVIL_ADDRESS: &str = "203.0.113.20";

/// The node of this process. Started by the first flow that asks, ended with the process; its files stay in the build
/// folder, to be looked at after a failure.
pub async fn node() -> Result<&'static Arc<Node>> {
    static NODE: OnceCell<Arc<Node>> = OnceCell::const_new();
    NODE.get_or_try_init(|| async {
        let folder = tempfile::Builder::new().prefix("node-").tempdir_in(env!("CARGO_TARGET_TMPDIR"))?.keep();
        let node = start(&folder).await.map(Arc::new)?;
        // What takes ten minutes goes on beside all else.
        if node.place == Place::Bed {
            worn::begin(&node);
        }
        Ok(node)
    })
    .await
}

/// A node of one's own, for a flow that breaks it.
pub async fn start(folder: &Path) -> Result<Node> {
    let node = Node::start(folder, &NodeSpec::default()).await?;
    // Elsewhere there is no outside world to name.
    if node.place == Place::Bed {
        names(&node)?;
    }
    Ok(node)
}

/// What the outside world is called.
pub fn names(node: &Node) -> Result<()> {
    World::names(node, &[(TOOL_NAME, TOOL_ADDRESS), (EGRESS_NAME, EGRESS_ADDRESS), (EVIL_NAME, EVIL_ADDRESS)])
}
