//! Aegis: a real API server, the operator and one sidecar, as processes.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use aegis_tests::cluster::{Cluster, Options, apply_in, eventually};
use aegis_tests::erp::http_bytes;
use aegis_tests::install;
use aegis_tests::mesh::{Operator, OperatorSpec, Sidecar, SidecarSpec};
use aegis_tests::story::{self, DELEGATOR, Teller, wait_ready};
use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http::Method;

use crate::resources::{self, AGENT, DELEGATION};
use crate::way::Way;
use crate::workload::payment;

/// Connections that the sidecar takes at once: twice as many as by default.
pub const CONNECTIONS: usize = 512;
/// Where it all is.
const NAMESPACE: &str = "shop";
/// Time for all rules to reach the sidecar.
const WITHIN: Duration = Duration::from_mins(1);
/// Longer than any measurement: nothing renews the pod's token here.
const TOKEN_LIFE: Duration = Duration::from_hours(6);

/// Aegis, running. Dropped in this order.
pub struct Scene {
    sidecar: Sidecar,
    address: SocketAddr,
    _operator: Operator,
    _cluster: Cluster,
}

impl Scene {
    /// Starts everything, and waits until the sidecar judges by the rules for so many suppliers.
    pub async fn set(folder: &Path, tool: SocketAddr, suppliers: u32) -> Result<Self> {
        let cluster = Cluster::start(Options::default().dir(folder.join("cluster"))).await?;
        install::install(&cluster).await?;
        story::people(&cluster, NAMESPACE).await?;
        let admin = cluster.admin().await?;
        for text in [resources::tool(tool), resources::agent()].iter().chain(&resources::policies(suppliers)) {
            apply_in(&admin, NAMESPACE, text.as_str(), "platform").await?;
        }
        let spec = OperatorSpec::new(&[NAMESPACE], &folder.join("operator"));
        let operator = Operator::start(&cluster, &spec).await?;
        story::review(&cluster, NAMESPACE, &Teller::silent(), AGENT).await?;
        let delegator = cluster.client(DELEGATOR).await?;
        apply_in(&delegator, NAMESPACE, resources::delegation()?.as_str(), "purchasing-lead").await?;
        wait_ready(&cluster, NAMESPACE, "delegation", DELEGATION).await?;
        let mut spec = SidecarSpec::new(NAMESPACE, AGENT, &folder.join(AGENT));
        spec.token_life = TOKEN_LIFE;
        spec.max_connections = Some(CONNECTIONS);
        let sidecar = Sidecar::start(&cluster, &operator, &spec).await?;
        let address = sidecar.base_url().trim_start_matches("http://").parse().context("the sidecar's address")?;
        let scene = Self { sidecar, address, _operator: operator, _cluster: cluster };
        scene.knows_all(suppliers).await?;
        Ok(scene)
    }

    /// Waits until each operation goes, for the last supplier.
    async fn knows_all(&self, suppliers: u32) -> Result<()> {
        let headers = [("content-type", "application/json")];
        for way in self.ways() {
            let url = format!("http://{}{}", way.address, way.path);
            eventually(&format!("{} to be allowed", way.path), WITHIN, async || {
                let body = Bytes::from(payment(suppliers - 1, 500));
                let answer = http_bytes(Method::POST, &url, &headers, body).await?;
                ensure!(answer.status == 200, "{} {}", answer.status, answer.body);
                Ok(())
            })
            .await?;
        }
        Ok(())
    }

    /// Its process, with its name.
    pub fn process(&self) -> (&'static str, u32) {
        ("sidecar", self.sidecar.process().pid())
    }

    /// The ways through the sidecar: without rules to look at, with all, and with a record that is durable first.
    pub fn ways(&self) -> [Way; 3] {
        let way = |name, path, judges| {
            let processes = vec![self.sidecar.process().pid()];
            Way { name, address: self.address, path, judges, processes }
        };
        [
            way("sidecar, one rule", "/bank/pass", false),
            way("sidecar, 1,000 rules", "/bank/judge", true),
            way("sidecar, 1,000 rules, durable first", "/bank/keep", true),
        ]
    }
}
