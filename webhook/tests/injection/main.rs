//! Injection as pairs of files, and what holds for every pod.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_in_result,
    clippy::unwrap_used,
    reason = "a test may panic"
)]

mod golden;
mod properties;
mod reinvoked;

use std::collections::BTreeMap;

use aegis_crds::mesh::{Brokered, Settings};
use aegis_decision::egress::Level;
use aegis_webhook::{AgentFacts, Refusal, inject};
use serde_json::Value;

const UID: i64 = 31_415;

fn settings() -> Settings {
    let text = "
      images:
        proxy: aegis.test/aegis-proxy:0.1.0
        capture: aegis.test/aegis-capture:0.1.0
        probe: aegis.test/aegis-probe:0.1.0
      control: https://aegis-operator.aegis-system.svc:8443
      systemNamespace: aegis-system";
    Settings::from_yaml(text).expect("these are settings")
}

/// `credentials`: tool to Secret and key.
fn buyer(level: Level, tools: &[String], credentials: &BTreeMap<String, (String, String)>) -> AgentFacts {
    let brokered = credentials.iter().map(|(tool, (secret, key))| Brokered {
        tool: tool.clone(),
        secret: secret.clone(),
        key: key.clone(),
    });
    AgentFacts {
        namespace: "shop".to_owned(),
        name: "buyer".to_owned(),
        level,
        service_account: "buyer".to_owned(),
        tools: tools.to_vec(),
        brokered: brokered.collect(),
    }
}

/// The pod after injection; none when it is left.
fn injected(pod: &Value, agent: &AgentFacts, settings: &Settings, uid: i64) -> Result<Option<Value>, Refusal> {
    let Some(patch) = inject(pod, agent, settings, uid)? else { return Ok(None) };
    let mut pod = pod.clone();
    json_patch::patch(&mut pod, &patch).expect("the patch fits the pod that it was made for");
    Ok(Some(pod))
}
