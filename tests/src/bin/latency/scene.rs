//! The story's stage, with a second tool beside the ERP: one that answers at once.

use std::net::SocketAddr;
use std::time::Duration;

use aegis_tests::answering::AtOnce;
use aegis_tests::cluster::{apply_in, eventually};
use aegis_tests::story::{DELEGATOR, Stage, wait_ready};
use anyhow::{Result, ensure};
use http::{HeaderMap, HeaderValue, Method};
use jiff::{SignedDuration, Timestamp};

use crate::paired::Way;

/// The story's namespace.
const NAMESPACE: &str = "shop";
/// Time for the new tool to reach the sidecar.
const WITHIN: Duration = Duration::from_mins(1);
/// A draft of 500 bytes; the note fills it up.
const DRAFT_BYTES: usize = 500;

/// Where the ways lead.
pub struct Scene<'a> {
    stage: &'a Stage,
    tool: SocketAddr,
    draft: String,
}

impl<'a> Scene<'a> {
    /// Starts the tool, declares it, and waits until the buyer's sidecar knows it.
    pub async fn set(stage: &'a Stage) -> Result<Self> {
        let tool = AtOnce::listen().await?.address;
        let admin = stage.cluster().admin().await?;
        apply_in(&admin, NAMESPACE, resources(tool).as_str(), "platform").await?;
        apply_in(&stage.cluster().client(DELEGATOR).await?, NAMESPACE, delegation()?.as_str(), "purchasing-lead")
            .await?;
        wait_ready(stage.cluster(), NAMESPACE, "delegation", "measure").await?;
        let start = r#"{"party":"17","amount":"1249.50","currency":"EUR","note":""#;
        let note = "x".repeat(DRAFT_BYTES.saturating_sub(start.len()).saturating_sub(2));
        let scene = Self { stage, tool, draft: format!("{start}{note}\"}}") };
        eventually("the sidecar to know the tool", WITHIN, async || {
            let answer = stage.buyer.call("GET", "/bench/items/7", None).await?;
            ensure!(answer.status == 200, "{} {}", answer.status, answer.body);
            Ok(())
        })
        .await?;
        Ok(scene)
    }

    /// A read, at the tool itself.
    pub fn read_direct(&self) -> Result<Way> {
        Way::new(Method::GET, &format!("http://{}/items/7", self.tool), HeaderMap::new(), "")
    }

    /// The same read at the sidecar.
    pub fn read(&self) -> Result<Way> {
        Way::new(Method::GET, &format!("{}/bench/items/7", self.stage.buyer.base_url()), HeaderMap::new(), "")
    }

    /// A draft, at the tool itself.
    pub fn draft_direct(&self) -> Result<Way> {
        Way::new(Method::POST, &format!("http://{}/items", self.tool), json_body(), &self.draft)
    }

    /// The same draft at the sidecar, which keeps its decision on disk before it sends it.
    pub fn draft(&self) -> Result<Way> {
        let url = format!("{}/bench/items", self.stage.buyer.base_url());
        Way::new(Method::POST, &url, json_body(), &self.draft)
    }

    /// The ERP's suppliers, with the credential that the sidecar adds for an agent.
    pub fn erp_direct(&self) -> Result<Way> {
        let erp = &self.stage.erp;
        let mut headers = HeaderMap::new();
        headers.insert("authorization", HeaderValue::from_str(&format!("bearer {}", erp.key("agent-erp")?))?);
        headers.insert("x-tryton-context", HeaderValue::from_str(&erp.context_header())?);
        Way::new(Method::GET, &format!("{}/rest/model/party.party?f=name", erp.base_url()), headers, "")
    }

    /// The same at the sidecar.
    pub fn erp(&self) -> Result<Way> {
        let url = format!("{}/erp/rest/model/party.party?f=name", self.stage.buyer.base_url());
        Way::new(Method::GET, &url, HeaderMap::new(), "")
    }
}

fn json_body() -> HeaderMap {
    HeaderMap::from_iter([(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"))])
}

fn resources(tool: SocketAddr) -> String {
    format!(
        "apiVersion: aegis.dev/v1alpha1
kind: Tool
metadata: {{name: bench}}
spec:
  endpoint: http://{tool}
  allowPrivateAddresses: true
  limits: {{requestBytes: 65536, responseBytes: 65536, concurrency: 16}}
  operations:
  - name: items.read
    class: Read
    http: {{method: GET, path: '/items/{{id}}'}}
  - name: items.draft
    class: Draft
    http: {{method: POST, path: /items}}
    arguments:
      type: object
      required: [party, amount, currency]
      properties:
        amount: {{type: string, pattern: '^[0-9]+[.][0-9]{{2}}$'}}
---
apiVersion: aegis.dev/v1alpha1
kind: ToolPolicy
metadata: {{name: bench}}
spec:
  tools: [bench]
  rules:
  - name: read
    operations: [items.read]
    unconditional: true
    effect: Allow
  - name: draft
    operations: [items.draft]
    effect: Allow
    when:
    - {{field: amount, atMost: \"5000.00\"}}
    - {{field: currency, in: [EUR, CHF]}}
"
    )
}

fn delegation() -> Result<String> {
    let now = Timestamp::from_second(Timestamp::now().as_second())?;
    let end = now.checked_add(SignedDuration::from_hours(1))?;
    Ok(format!(
        "apiVersion: aegis.dev/v1alpha1
kind: Delegation
metadata: {{name: measure}}
spec:
  agent: buyer
  delegator: {DELEGATOR}
  workflow: measuring
  purpose: measure what a sidecar adds to a call
  grants:
  - {{tool: bench, operations: [\"*\"]}}
  notBefore: \"{now}\"
  expiresAt: \"{end}\"
"
    ))
}
