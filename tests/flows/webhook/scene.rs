//! A server of its own with one webhook, which all tests here share: its configurations touch the whole cluster.

use aegis_crds::mesh::Settings;
use aegis_tests::cluster::{Cluster, Options, TestNamespace};
use aegis_tests::install::{OPERATOR_USERNAME, impersonate, install};
use aegis_tests::mesh::pods::settings;
use aegis_tests::mesh::webhook::{Webhook, WebhookSpec, enable, register};
use aegis_tests::pods::{prepare, state_mesh};
use anyhow::Result;
use tokio::sync::{OnceCell, RwLock};

/// Server and webhook.
pub struct Scene {
    pub cluster: Cluster,
    pub webhook: Webhook,
    /// Whoever counts what the webhook was asked holds this alone.
    pub quiet: RwLock<()>,
    _folder: tempfile::TempDir,
}

/// The settings of the tests, while a version is being replaced.
fn rolling() -> Settings {
    let mut settings = settings();
    settings.images.previous =
        ["proxy", "capture", "probe"].map(|program| format!("aegis.test/aegis-{program}:0.0.9")).to_vec();
    settings
}

/// The shared scene.
pub async fn scene() -> Result<&'static Scene> {
    static SCENE: OnceCell<Scene> = OnceCell::const_new();
    SCENE
        .get_or_try_init(|| async {
            let cluster = Cluster::start(Options::default()).await?;
            install(&cluster).await?;
            let folder = tempfile::tempdir()?;
            let spec = WebhookSpec { mesh: rolling(), ..WebhookSpec::new(folder.path()) };
            let webhook = Webhook::start(&cluster, &spec).await?;
            register(&cluster, &webhook, &webhook, |_| ()).await?;
            Ok(Scene { cluster, webhook, quiet: RwLock::default(), _folder: folder })
        })
        .await
}

/// A namespace with an agent of each level, in which pods are injected, and its twin in which they are not.
pub async fn pair<'a>(cluster: &'a Cluster, prefix: &str) -> Result<(TestNamespace<'a>, TestNamespace<'a>)> {
    let namespace = cluster.namespace(prefix).await?;
    let twin = cluster.namespace(&format!("{prefix}-twin")).await?;
    prepare(&cluster.admin().await?, namespace.name(), twin.name()).await?;
    enable(cluster, namespace.name()).await?;
    // Played with the operator's account: none runs here.
    let operator = impersonate(cluster, OPERATOR_USERNAME, &["system:masters"]).await?;
    for agent in ["reader", "buyer", "payer"] {
        state_mesh(&operator, namespace.name(), agent, &rolling()).await?;
    }
    Ok((namespace, twin))
}
