//! The agents of the story: each either a process beside its sidecar, or a pod on a node. The story cannot tell.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::Value;

use crate::cluster::process::Process;
use crate::mesh::{Answer, Sidecar};
use crate::node::PodAgent;

/// Base URLs of a sidecar in a pod.
const IN_POD: &str = "http://127.0.0.1:15080";

/// One agent.
pub enum Agent {
    /// Its sidecar runs as a process; whoever calls it is the agent.
    Process(Box<Sidecar>),
    /// It runs in a pod, its sidecar injected.
    Pod(Box<PodAgent>),
}

impl Agent {
    /// A call of the agent, `path` with the tool's name first.
    pub async fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Answer> {
        match self {
            Self::Process(sidecar) => sidecar.call(method, path, body).await,
            Self::Pod(pod) => answer(pod, method, path, body).await,
        }
    }

    /// Where the agent finds its sidecar.
    pub fn base_url(&self) -> String {
        match self {
            Self::Process(sidecar) => sidecar.base_url(),
            Self::Pod(_) => IN_POD.to_owned(),
        }
    }

    /// The folder of its sidecar's record files.
    pub fn records(&self) -> Result<PathBuf> {
        match self {
            Self::Process(sidecar) => Ok(sidecar.records().to_owned()),
            Self::Pod(pod) => pod.records(),
        }
    }

    /// Its sidecar's process; none when it runs in a pod.
    pub fn process(&self) -> Option<&Process> {
        match self {
            Self::Process(sidecar) => Some(sidecar.process()),
            Self::Pod(_) => None,
        }
    }
}

async fn answer(pod: &PodAgent, method: &str, path: &str, body: Option<&Value>) -> Result<Answer> {
    // A held call waits for a person, up to the operation's hold.
    let reply = pod.call(method, &format!("{IN_POD}{path}"), body, &["--timeout", "60000"]).await?;
    let status = reply.status.with_context(|| format!("no answer: {}", reply.error.unwrap_or_default()))?;
    let mut headers = HeaderMap::new();
    for (name, value) in &reply.headers {
        headers.insert(HeaderName::from_bytes(name.as_bytes())?, HeaderValue::from_str(value)?);
    }
    Ok(Answer { status: StatusCode::from_u16(status)?, headers, body: reply.body })
}
