//! Calls that go on while something happens to the cluster. Each carries a trace id of its own, so that what the agent was
//! answered, what was recorded and what the tool saw can be matched one by one.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::agent::PodAgent;

/// Number of a series' first call: all numbers of a series have as many digits.
const FIRST: u64 = 10_000_000;
/// Calls that one command in the pod makes. Between two commands the agent pauses for some tenths of a second.
const BURST: u64 = 40;

/// A series of the same call, numbered through.
#[derive(Debug, Clone)]
pub struct Series {
    run: String,
    method: &'static str,
    url: String,
    body: Option<String>,
}

/// One call of a series, and its answer.
#[derive(Debug, Clone)]
pub struct Called {
    /// The call's `traceparent`.
    pub trace: String,
    /// Status; none when there was no answer.
    pub status: Option<u16>,
    /// All that the test program said about it.
    pub said: Value,
}

impl Series {
    /// A call without a body.
    pub fn get(url: &str) -> Self {
        let run = format!("{:08x}{:016x}", rand::random::<u32>(), rand::random::<u64>());
        Self { run, method: "GET", url: url.to_owned(), body: None }
    }

    /// A call with a JSON body.
    pub fn post(url: &str, body: &Value) -> Self {
        Self { method: "POST", body: Some(body.to_string()), ..Self::get(url) }
    }

    /// Arguments of the test program: the calls from number `skip` on, `rate` a second.
    pub fn arguments(&self, skip: u64, rate: u32, further: &[&str]) -> Vec<String> {
        let first = FIRST.saturating_add(skip).to_string();
        let traceparent = format!("traceparent: {}", self.traceparent("{n}"));
        let rate = rate.to_string();
        let mut arguments = vec!["loop", &self.url, "--method", self.method, "--rate", &rate, "--first", &first];
        arguments.extend(["--keep", "--header", &traceparent]);
        if let Some(body) = &self.body {
            arguments.extend(["--header", "content-type: application/json", "--body", body]);
        }
        arguments.extend(further);
        arguments.into_iter().map(str::to_owned).collect()
    }

    fn traceparent(&self, number: &str) -> String {
        format!("00-{}{number}-00f067aa0ba902b7-01", self.run)
    }

    /// What the test program printed about calls of this series, also where the node's log has a time before each line;
    /// other lines are passed over.
    pub fn read(&self, printed: &str) -> Vec<Called> {
        let objects = printed.lines().filter_map(|line| line.get(line.find('{')?..));
        let lines = objects.filter_map(|object| serde_json::from_str::<Value>(object).ok());
        lines
            .filter_map(|said| {
                let number = said.get("n")?.as_u64()?.to_string();
                let status = said.get("status").and_then(Value::as_u64).and_then(|status| u16::try_from(status).ok());
                Some(Called { trace: self.traceparent(&number), status, said })
            })
            .collect()
    }
}

/// A series that an agent in a pod calls until it is told to stop.
pub struct Stream {
    stop: CancellationToken,
    calls: JoinHandle<Result<Vec<Called>>>,
}

impl Stream {
    /// Begins it, `rate` calls a second.
    pub fn start(agent: &Arc<PodAgent>, series: Series, rate: u32) -> Self {
        let (agent, stop) = (Arc::clone(agent), CancellationToken::new());
        let stopped = stop.clone();
        let calls = tokio::spawn(async move {
            let mut calls = Vec::new();
            let burst = BURST.to_string();
            while !stopped.is_cancelled() {
                let skip = u64::try_from(calls.len())?;
                let arguments = series.arguments(skip, rate, &["--calls", &burst, "--seconds", "600"]);
                let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
                let printed = agent.exec(&arguments).await?;
                let made = series.read(&printed);
                ensure!(u64::try_from(made.len())? == BURST, "{} of {BURST} calls told: {printed}", made.len());
                calls.extend(made);
            }
            Ok(calls)
        });
        Self { stop, calls }
    }

    /// Lets the calls under way finish, and tells all.
    pub async fn stop(self) -> Result<Vec<Called>> {
        self.stop.cancel();
        self.calls.await.context("the stream died")?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_read_from_what_was_printed_and_from_the_nodes_log() {
        let series = Series::get("http://127.0.0.1/{n}");
        let line = r#"{"n":10000007,"status":200}"#;
        let printed = format!("{line}\n2026-01-02T03:04:05.123456789Z stdout F {line}\n{{\"loop\":\"x\"}}\nnothing\n");
        let calls = series.read(&printed);
        assert_eq!(calls.len(), 2);
        assert!(calls.iter().all(|call| call.status == Some(200) && call.trace == series.traceparent("10000007")));
        assert_eq!(calls[0].trace.len(), 55, "a traceparent");
    }
}
