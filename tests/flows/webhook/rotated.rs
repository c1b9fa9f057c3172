//! Certificates that rotate in seconds under continuous questions, and webhooks that end and come again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use aegis_tests::cluster::{Cluster, Options, eventually};
use aegis_tests::install::install;
use aegis_tests::mesh::pods::plain;
use aegis_tests::mesh::webhook::{Webhook, WebhookSpec, register};
use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::PostParams;
use kube::{Api, Client};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::super::guards::scene::PATIENCE;
use super::scene::pair;

/// An authority lasts 24 s, a leaf 6 s, and API servers get 2 s to take over a new bundle.
const SHORT: [&str; 6] = ["--ca-life", "24", "--leaf-life", "6", "--ca-settle", "2"];

/// What validation lets pass when it fails would not be seen to fail.
fn fail_closed(document: &mut Value) {
    document["webhooks"][0]["failurePolicy"] = json!("Fail");
}

/// Asks both hooks until told to stop. Fails at the first question that is not answered.
async fn ask(client: Client, namespace: String, stop: Arc<AtomicBool>, asked: Arc<AtomicU32>) -> Result<()> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), &namespace);
    let policies: Api<aegis_crds::api::ToolPolicy> = Api::namespaced(client, &namespace);
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    let pod = plain("asked", "reader", "reader-account")?;
    let policy = serde_json::from_value(json!({
        "apiVersion": "aegis.dev/v1alpha1", "kind": "ToolPolicy", "metadata": {"name": "asked"},
        "spec": {"tools": ["none"], "rules": [{"name": "all", "operations": ["*"], "effect": "Deny", "unconditional": true}]},
    }))?;
    while !stop.load(Ordering::Relaxed) {
        let stored = pods.create(&dry_run, &pod).await.context("injection")?;
        ensure!(stored.spec.context("spec")?.init_containers.is_some(), "not injected");
        policies.create(&dry_run, &policy).await.context("validation")?;
        asked.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

/// The bundles of both configurations.
async fn bundles(client: &Client) -> Result<Vec<Vec<u8>>> {
    let mutating = Api::<MutatingWebhookConfiguration>::all(client.clone()).get("aegis-webhook").await?;
    let validating = Api::<ValidatingWebhookConfiguration>::all(client.clone()).get("aegis-webhook").await?;
    let mutating = mutating.webhooks.into_iter().flatten().map(|one| one.client_config.ca_bundle);
    let validating = validating.webhooks.into_iter().flatten().map(|one| one.client_config.ca_bundle);
    mutating.chain(validating).map(|bundle| Ok(bundle.context("no caBundle")?.0)).collect()
}

/// A new connection to a webhook, by somebody who trusts a bundle. API servers keep theirs.
async fn handshake(address: &str, bundle: &[u8]) -> Result<usize> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(bundle) {
        roots.add(certificate?)?;
    }
    let trusted = roots.len();
    let config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let stream = TcpStream::connect(address).await?;
    tokio_rustls::TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("127.0.0.1")?, stream).await?;
    Ok(trusted)
}

#[tokio::test]
async fn no_admission_fails_while_two_replicas_rotate_their_authority() -> Result<()> {
    let cluster = Cluster::start(Options::default()).await?;
    install(&cluster).await?;
    let folder = tempfile::tempdir()?;
    let start = async |name: &str| {
        Webhook::start(&cluster, &WebhookSpec::new(&folder.path().join(name)).arguments(&SHORT)).await
    };
    // One answers for pods, one for policies; both share the authority.
    let (first, second) = (start("first").await?, start("second").await?);
    register(&cluster, &first, &second, fail_closed).await?;
    let (namespace, _) = pair(&cluster, "rotated").await?;
    namespace.watch_log(first.process().log());
    namespace.watch_log(second.process().log());
    let client = cluster.admin().await?;
    let pods: Api<Pod> = namespace.api("admin").await?;
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    let pod = plain("first", "reader", "reader-account")?;
    eventually("the agent to be known", PATIENCE, async || Ok(pods.create(&dry_run, &pod).await.map(drop)?)).await?;

    let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let asking = tokio::spawn(ask(client.clone(), namespace.name().to_owned(), Arc::clone(&stop), Arc::clone(&asked)));
    let mut seen = BTreeSet::new();
    let steps = async |step: &str| -> Result<f64> {
        let name = format!("aegis_webhook_certificate_steps_total{{step=\"{step}\"}}");
        Ok(first.metric(&name).await? + second.metric(&name).await?)
    };
    let end = tokio::time::Instant::now() + Duration::from_mins(2);
    let mut handshakes = 0;
    while steps("retire").await? < 2.0 {
        ensure!(tokio::time::Instant::now() < end, "rotates too slowly: {} retired", steps("retire").await?);
        ensure!(!asking.is_finished(), "a question failed: {:?}", asking.await);
        for bundle in bundles(&client).await? {
            for webhook in [&first, &second] {
                seen.insert(handshake(webhook.address(), &bundle).await.context("a new connection")?);
                handshakes += 1;
            }
        }
    }
    stop.store(true, Ordering::Relaxed);
    asking.await??;
    let asked = asked.load(Ordering::Relaxed);
    let issued = steps("issue").await?;
    println!(
        "{asked} questions to each hook, {handshakes} handshakes, {issued} leaves, {} rotations",
        steps("promote").await?
    );
    ensure!(seen == BTreeSet::from([1, 2]), "one authority, or old and new, is trusted: {seen:?}");
    ensure!(asked >= 50 && handshakes >= 50 && issued >= 8.0, "too little happened");
    ensure!(steps("promote").await? >= 2.0, "nothing was promoted");

    // Nobody but the webhook owns caBundle, and it owns nothing else.
    let stored = Api::<MutatingWebhookConfiguration>::all(client).get("aegis-webhook").await?;
    let managers = stored.metadata.managed_fields.unwrap_or_default();
    let own =
        managers.iter().filter(|one| serde_json::to_string(&one.fields_v1).unwrap_or_default().contains("caBundle"));
    let own: Vec<_> = own.map(|one| one.manager.clone().unwrap_or_default()).collect();
    ensure!(own == ["aegis-webhook-ca"], "{own:?}");
    Ok(())
}

#[tokio::test]
async fn a_webhook_that_ends_takes_only_agents_pods_with_it_and_comes_again_with_the_same_authority() -> Result<()> {
    let cluster = Cluster::start(Options::default()).await?;
    install(&cluster).await?;
    let folder = tempfile::tempdir()?;
    let mut spec = WebhookSpec::new(folder.path());
    let webhook = Webhook::start(&cluster, &spec).await?;
    register(&cluster, &webhook, &webhook, |_| ()).await?;
    let (namespace, _) = pair(&cluster, "restarted").await?;
    let pods: Api<Pod> = namespace.api("admin").await?;
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    let agents = plain("agents", "reader", "reader-account")?;
    let mut others = plain("others", "reader", "default")?;
    others.metadata.labels = None;
    let accepted = async |pod: &Pod| Ok(pods.create(&dry_run, pod).await.map(drop)?);
    eventually("the agent to be known", PATIENCE, async || accepted(&agents).await).await?;
    let secrets: Api<Secret> = Api::namespaced(cluster.admin().await?, "aegis-system");
    let authority = secrets.get("aegis-webhook-ca").await?.data;

    spec.listen = webhook.address().to_owned();
    webhook.process().kill9()?;
    webhook.process().wait_exit(PATIENCE).await?;
    match pods.create(&dry_run, &agents).await {
        Err(kube::Error::Api(status)) if status.message.contains("failed calling webhook") => {}
        other => bail!("an agent's pod without the webhook: {other:?}"),
    }
    accepted(&others).await.context("a pod that is no agent's must not wait for the webhook")?;
    let policies: Api<aegis_crds::api::ToolPolicy> = namespace.api("admin").await?;
    let broken = serde_json::from_value(json!({
        "apiVersion": "aegis.dev/v1alpha1", "kind": "ToolPolicy", "metadata": {"name": "broken"},
        "spec": {"tools": ["none"], "rules": [{"name": "broken", "operations": ["*"], "effect": "Allow",
            "when": [{"field": "text", "matches": "("}]}]},
    }))?;
    policies.create(&dry_run, &broken).await.context("policies must be changeable without the webhook")?;

    let again = Webhook::start(&cluster, &spec).await?;
    namespace.watch_log(again.process().log());
    again.ready().await?;
    eventually("injection to work again", PATIENCE, async || accepted(&agents).await).await?;
    ensure!(secrets.get("aegis-webhook-ca").await?.data == authority, "the authority was made anew");
    again.process().terminate()?;
    ensure!(again.process().wait_exit(PATIENCE).await? == 0, "it did not end in order");
    Ok(())
}
