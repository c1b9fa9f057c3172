//! The requests that reached the ERP, in the order in which they were answered.

use std::{fs, io, path::Path};

use anyhow::{Context, Result};
use serde::Deserialize;

/// One request that reached the ERP. Its line is on disk before the answer leaves the ERP: whoever has seen an answer
/// finds the line, and a call that was refused before the ERP has none.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct AccessLine {
    /// When it arrived, in seconds since 1970.
    pub time: f64,
    /// The HTTP method.
    pub method: String,
    /// The path, decoded, without the query.
    pub path: String,
    /// The query string as sent, empty when absent.
    pub query: String,
    /// The status that the ERP answered with.
    pub status: u16,
    /// The header `Idempotency-Key`.
    pub idempotency_key: Option<String>,
    /// The header `User-Agent`.
    pub user_agent: Option<String>,
    /// Whose key came with it: a login; `unknown` for any other credential; none without one.
    pub user: Option<String>,
}

impl AccessLine {
    /// Whether the method may change something: neither GET nor HEAD.
    pub fn may_change(&self) -> bool {
        !matches!(self.method.as_str(), "GET" | "HEAD")
    }
}

/// Reads the access log in `dir`; a line still being written is left out.
pub(super) fn read(dir: &Path) -> Result<Vec<AccessLine>> {
    let path = dir.join("access.jsonl");
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        read => read.with_context(|| format!("read {}", path.display()))?,
    };
    text.split_inclusive('\n')
        .filter(|line| line.ends_with('\n'))
        .map(|line| serde_json::from_str(line).with_context(|| format!("line of the access log: {line}")))
        .collect()
}
