//! The control service's authority rotates within seconds, while sidecars of two operators follow their feeds, renew their
//! tokens and judge calls, and while namespaces come and go.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use aegis_crds::api::Agent;
use aegis_tests::cluster::{Cluster, Options, apply, apply_in, eventually};
use aegis_tests::install::install;
use aegis_tests::mesh::{Operator, OperatorSpec, Sidecar, SidecarSpec};
use anyhow::{Context as _, Result, ensure};
use http::StatusCode;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::DeleteParams;
use kube::{Api, Client};

use super::wire::Wire;
use crate::shop::{BUYER, PATIENCE, Plan, Shop, agent, expect, in_shop_of, review};

/// An authority lasts 27 s, a leaf 6 s, and pods get 3 s to see a changed ConfigMap.
const SHORT: [&str; 8] =
    ["--ca-life", "27", "--leaf-life", "6", "--ca-settle", "3", "--namespaces", "rotated-late,rotated-leaving"];
/// Gets its first agent in the middle of a rotation.
const LATE: &str = "rotated-late";
/// Is deleted in the middle of a rotation, and keeps its agent.
const LEAVING: &str = "rotated-leaving";
/// Its sidecars renew their tokens as often as can be; the buyer's keep one feed all the time.
const CLERK: &str = "clerk";
/// Two rotations take some 50 s.
const WITHIN: Duration = Duration::from_mins(4);

/// Those whose calls, tokens and feeds must not notice.
struct Mesh<'a> {
    shop: &'a Shop<'a>,
    admin: Client,
    operators: [&'a Operator; 2],
    buyers: [&'a Sidecar; 2],
    clerks: Vec<Sidecar>,
}

/// What was seen meanwhile.
#[derive(Default)]
struct Seen {
    calls: Cell<u32>,
    connections: Cell<u32>,
    is_over: Cell<bool>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_refused_while_two_operators_rotate_their_authority() -> Result<()> {
    let cluster = Cluster::start(Options::default()).await?;
    install(&cluster).await?;
    let admin = cluster.admin().await?;
    let namespace = |name: &str| format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n");
    apply(&admin, format!("{}---\n{}", namespace(LATE), namespace(LEAVING)).as_str(), "flows").await?;
    // What is deleted stays as long as somebody has not let it go.
    let held = agent("guest", "guest", &Plan::default())
        .replace("metadata: {name: guest}", "metadata: {name: guest, finalizers: [example.com/held]}");
    apply_in(&admin, LEAVING, held.as_str(), "flows").await?;
    let plan = Plan { operator: &SHORT, ..Plan::default() };
    in_shop_of(&cluster, "rotated", plan, async |shop| Box::pin(in_mesh(shop)).await).await
}

async fn in_mesh(shop: &Shop<'_>) -> Result<()> {
    let (namespace, cluster, folder) = (shop.namespace, shop.cluster(), shop.folder());
    let mut spec = OperatorSpec::new(&[namespace.name()], &folder.join("second"));
    spec.arguments = SHORT.map(str::to_owned).to_vec();
    let second = Operator::start(cluster, &spec).await?;
    namespace.watch_log(second.process().log());
    let account = format!("apiVersion: v1\nkind: ServiceAccount\nmetadata: {{name: {CLERK}}}\n");
    namespace.apply("admin", account.as_str(), "flows").await?;
    let short = Plan { token_ttl: "60s", ..Plan::default() };
    namespace.apply("admin", agent(CLERK, CLERK, &short).as_str(), "flows").await?;
    review(namespace, CLERK).await?;

    let start = async |agent: &str, number: u32, operator: &Operator| {
        let spec = SidecarSpec::new(namespace.name(), agent, &folder.join(format!("{agent}-{number}")));
        let spec = spec.credential("erp", "token", &shop.erp.key("agent-erp")?);
        let sidecar = Sidecar::start(cluster, operator, &spec).await?;
        namespace.watch_log(sidecar.process().log());
        anyhow::Ok(sidecar)
    };
    let first = shop.operator()?;
    let buyer = start(BUYER, 2, &second).await?;
    let clerks = vec![start(CLERK, 1, first).await?, start(CLERK, 2, &second).await?, start(CLERK, 3, &second).await?];
    let operators = [first, &second];
    let mesh = Mesh { shop, admin: cluster.admin().await?, operators, buyers: [&shop.sidecar, &buyer], clerks };
    mesh.rotates().await
}

impl Mesh<'_> {
    async fn rotates(&self) -> Result<()> {
        let old = self.authorities(self.shop.namespace.name()).await?;
        // The first connection brings the policy, the second says that it is in use.
        for buyer in self.buyers {
            eventually("the feed to be followed", PATIENCE, async || {
                let connections = buyer.metric("aegis_feed_connections_total").await?;
                ensure!(connections >= 2.0, "{connections} connections");
                Ok(())
            })
            .await?;
        }
        let (feeds, issued) = (self.feeds().await?, self.tokens().await?);
        let (began, seen) = (Instant::now(), Seen::default());
        let ((), (), sizes) = tokio::try_join!(self.call(&seen), self.connect(&seen), self.watch(&seen, issued))?;

        println!(
            "figure: {} rotations in {:?}: {} calls, {} new connections, {} leaves, {} tokens renewed, none failed; {} feeds open all the time",
            self.steps("retire").await?,
            began.elapsed(),
            seen.calls.get(),
            seen.connections.get(),
            self.steps("issue").await?,
            self.tokens().await? - issued,
            feeds.len(),
        );
        ensure!(seen.calls.get() >= 30 && seen.connections.get() >= 50, "too little happened");
        ensure!(sizes == BTreeSet::from([1, 2]), "one authority, or old and new, is trusted: {sizes:?}");
        ensure!(self.feeds().await? == feeds, "feeds were ended: {feeds:?} before, {:?} after", self.feeds().await?);
        for sidecar in self.buyers.into_iter().chain(&self.clerks) {
            for failures in ["aegis_token_failures_total", "aegis_trust_failures_total", "aegis_feed_refusals_total"] {
                let failed = sidecar.metric(failures).await?;
                ensure!(failed < 1.0, "{failures} of {}: {failed}", sidecar.pod());
            }
        }
        for operator in self.operators {
            let failed = operator.metric("aegis_operator_certificate_failures_total").await?;
            ensure!(failed < 1.0, "{failed} steps failed: {}", operator.process().logs()?);
        }
        self.old_is_refused(&old).await?;
        // A held call goes to the control service several times before it goes out.
        let (order, request) = self.shop.approved().await?;
        self.shop.until_confirmed(order).await?;
        self.shop.until_succeeded(&request).await.map(drop)
    }

    /// The agents call all the time.
    async fn call(&self, seen: &Seen) -> Result<()> {
        while !seen.is_over.get() {
            expect(&self.shop.draft().await?, 200, None)?;
            for buyer in self.buyers {
                expect(&buyer.call("GET", "/erp/rest/model/party.party?f=name", None).await?, 200, None)?;
            }
            seen.calls.set(seen.calls.get() + 3);
        }
        Ok(())
    }

    /// Somebody connects all the time, and trusts what a pod would.
    async fn connect(&self, seen: &Seen) -> Result<()> {
        let trust = self.shop.folder().join(BUYER).join("trust");
        while !seen.is_over.get() {
            for operator in self.operators {
                let (status, answer) = Wire::new(operator.control(), &trust)?.get("/jwks.json", None).await?;
                ensure!(status == StatusCode::OK, "{status}: {answer}");
                seen.connections.set(seen.connections.get() + 1);
            }
        }
        Ok(())
    }

    /// Returns after two whole rotations: how many authorities were trusted at once.
    async fn watch(&self, seen: &Seen, issued: f64) -> Result<BTreeSet<usize>> {
        let mut sizes = BTreeSet::new();
        eventually("the next authority to be made", WITHIN, async || {
            ensure!(self.steps("make_next").await? >= 1.0, "not yet");
            Ok(())
        })
        .await?;
        apply_in(&self.admin, LATE, agent("guest", "guest", &Plan::default()).as_str(), "flows").await?;
        let namespaces: Api<Namespace> = Api::all(self.admin.clone());
        namespaces.delete(LEAVING, &DeleteParams::default()).await?;
        let own = self.shop.namespace.name();
        eventually("a new namespace to be told", PATIENCE, async || {
            ensure!(self.authorities(LATE).await? == self.authorities(own).await?, "it trusts something else");
            Ok(())
        })
        .await?;
        eventually("the ConfigMap to go with its namespace", PATIENCE, async || {
            let maps: Api<ConfigMap> = Api::namespaced(self.admin.clone(), LEAVING);
            ensure!(maps.get_opt("aegis-trust").await?.is_none(), "it is there");
            Ok(())
        })
        .await?;
        let agents: Api<Agent> = Api::namespaced(self.admin.clone(), LEAVING);
        agents.get("guest").await.context("an agent that is still there")?;
        eventually("two whole rotations, and every token renewed twice", WITHIN, async || {
            sizes.insert(self.authorities(own).await?.matches("BEGIN CERTIFICATE").count());
            let (retired, renewed) = (self.steps("retire").await?, self.tokens().await? - issued);
            ensure!(retired >= 2.0 && renewed >= 6.0, "{retired} retired, {renewed} renewed");
            Ok(())
        })
        .await?;
        ensure!(self.authorities(LATE).await? == self.authorities(own).await?, "a new namespace is left behind");
        seen.is_over.set(true);
        Ok(sizes)
    }

    /// Who trusts the first authority alone is led to nobody any more.
    async fn old_is_refused(&self, old: &str) -> Result<()> {
        ensure!(!self.authorities(self.shop.namespace.name()).await?.contains(old.trim()), "it is still published");
        let trust = self.shop.folder().join("old");
        fs::create_dir(&trust)?;
        fs::write(trust.join("ca.crt"), old)?;
        for operator in self.operators {
            let refused = Wire::new(operator.control(), Path::new(&trust))?.get("/jwks.json", None).await;
            let reason = format!("{:#}", refused.err().context("an old authority still leads there")?);
            ensure!(reason.contains("UnknownIssuer") || reason.contains("BadSignature"), "{reason}");
        }
        Ok(())
    }

    /// What the pods of a namespace are told to trust.
    async fn authorities(&self, namespace: &str) -> Result<String> {
        let maps: Api<ConfigMap> = Api::namespaced(self.admin.clone(), namespace);
        let data = maps.get("aegis-trust").await?.data.unwrap_or_default();
        Ok(data.get("ca.crt").context("no ca.crt")?.clone())
    }

    /// Steps of both operators.
    async fn steps(&self, step: &str) -> Result<f64> {
        self.sum(&format!("aegis_operator_certificate_steps_total{{step=\"{step}\"}}")).await
    }

    /// Tokens of both operators.
    async fn tokens(&self) -> Result<f64> {
        self.sum("aegis_operator_tokens_total{result=\"issued\"}").await
    }

    async fn sum(&self, name: &str) -> Result<f64> {
        Ok(self.operators[0].metric(name).await? + self.operators[1].metric(name).await?)
    }

    /// Connections to the feed that the buyer's sidecars have begun.
    async fn feeds(&self) -> Result<Vec<String>> {
        let mut feeds = Vec::new();
        for buyer in self.buyers {
            feeds.push(buyer.metric("aegis_feed_connections_total").await?.to_string());
        }
        Ok(feeds)
    }
}
